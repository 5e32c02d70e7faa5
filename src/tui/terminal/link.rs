//! Flow control of the line to the terminal: by its replies, so it works on a serial line, in ssh and in a multiplexer alike.
//!
//! After each frame goes DSR 5 ("are you ready?"), which a terminal answers once it has processed everything before it.
//! Kernel, ssh and serial driver each buffer some kilobytes; without replies a slow line would show the past of all of
//! them. A terminal that answered nothing so far is not waited for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for the first reply before the first frame.
const FIRST_REPLY: Duration = Duration::from_millis(200);
/// Longest wait for a reply; then the terminal counts as one that does not answer.
const LOST: Duration = Duration::from_secs(30);
/// Bytes under way up to which a key still makes a frame at once: keys on a line with much delay.
const SMALL: usize = 1024;
/// Time of a frame above which the line is slow, and gets a rest as long as the frame took.
const SLOW: Duration = Duration::from_millis(200);
/// Shortest and longest wait for replies under way when the terminal is restored.
const LEAVE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// State of the line.
#[derive(Debug, Default)]
pub struct Link {
    /// True once a reply came.
    answers: bool,
    /// Queries without a reply yet: when sent, and the bytes sent before it.
    open: VecDeque<(Instant, usize)>,
    /// No frame for new data before.
    rest_until: Option<Instant>,
    /// Duration of the last frame, from sent to processed.
    last: Duration,
}

static LINK: Mutex<Link> = Mutex::new(Link::new());

/// The line to this process's terminal.
pub fn link() -> MutexGuard<'static, Link> {
    LINK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// A line of which nothing is known.
    pub const fn new() -> Self {
        Self { answers: false, open: VecDeque::new(), rest_until: None, last: Duration::ZERO }
    }

    /// True if the terminal answers.
    pub const fn answers(&self) -> bool {
        self.answers
    }

    /// Records a query after this number of bytes.
    pub fn asked(&mut self, bytes: usize, now: Instant) {
        self.open.push_back((now, bytes));
    }

    /// Records a frame without a query: the time its bytes took to leave.
    pub fn wrote(&mut self, took: Duration, now: Instant) {
        if took > SLOW {
            self.rest_until = Some(now + took);
        }
    }

    /// Records a reply.
    pub fn answered(&mut self, now: Instant) {
        self.answers = true;
        if let Some((sent, _)) = self.open.pop_front() {
            self.last = now.duration_since(sent);
            if self.last > SLOW {
                self.rest_until = Some(now + self.last);
            }
        }
    }

    /// Time to wait before the next frame, unless a reply comes first; `None`: draw now. `urgent`: a key was pressed.
    pub fn hold(&mut self, urgent: bool, now: Instant) -> Option<Duration> {
        let under_way: usize = self.open.iter().map(|(_, bytes)| bytes).sum();
        if let Some((sent, bytes)) = self.open.front() {
            let age = now.duration_since(*sent);
            let most = match (self.answers, bytes) {
                (true, _) => LOST,
                (false, 0) => FIRST_REPLY,
                (false, _) => Duration::ZERO,
            };
            if age >= LOST {
                (self.answers, self.open) = (false, VecDeque::new());
            } else if age < most && !(urgent && under_way < SMALL) {
                return Some(most.saturating_sub(age));
            }
        }
        let rest = self.rest_until.filter(|until| *until > now && !urgent)?;
        Some(rest.duration_since(now))
    }

    /// Time to wait for replies under way before the terminal is restored; zero if there are none.
    pub fn leave_wait(&self, now: Instant) -> Duration {
        let Some((sent, _)) = self.open.back() else { return Duration::ZERO };
        let most = if self.answers { (self.last * 2).clamp(LEAVE.0, LEAVE.1) } else { LEAVE.0 };
        most.saturating_sub(now.duration_since(*sent))
    }

    /// Forgets the queries under way.
    pub fn reset(&mut self) {
        self.open.clear();
        self.rest_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn one_frame_is_under_way_at_a_time() {
        let t = Instant::now();
        let mut l = Link::new();
        assert_eq!(l.hold(false, t), None, "nothing asked");
        l.asked(0, t);
        assert_eq!(l.hold(false, t), Some(FIRST_REPLY), "its background is waited for");
        assert_eq!(l.hold(false, t + MS(200)), None, "and no longer than that");
        l.answered(t + MS(10));
        assert_eq!(l.hold(false, t + MS(10)), None);
        l.asked(6000, t + MS(10));
        assert!(l.hold(false, t + MS(1000)).is_some() && l.hold(true, t + MS(1000)).is_some());
        // 6,000 bytes at 9,600 baud.
        l.answered(t + MS(6010));
        assert_eq!(l.hold(false, t + MS(6010)), Some(MS(6000)), "the line has a rest");
        assert_eq!(l.hold(true, t + MS(6010)), None, "but a key is answered");
        assert_eq!(l.hold(false, t + MS(12_010)), None);
    }

    #[test]
    fn keys_do_not_wait_for_the_delay_of_a_fast_line() {
        let t = Instant::now();
        let mut l = Link::new();
        l.asked(0, t);
        l.answered(t + MS(150));
        l.asked(300, t + MS(200));
        assert_eq!(l.hold(true, t + MS(210)), None);
        assert!(l.hold(false, t + MS(210)).is_some());
        l.asked(900, t + MS(220));
        assert!(l.hold(true, t + MS(230)).is_some());
    }

    #[test]
    fn terminal_that_does_not_answer_is_not_waited_for() {
        let t = Instant::now();
        let mut l = Link::new();
        l.asked(0, t);
        assert_eq!(l.hold(false, t + MS(250)), None);
        assert_eq!((l.leave_wait(t + MS(100)), l.leave_wait(t + MS(900))), (MS(400), MS(0)));
        // One that stopped answering.
        l.answered(t);
        l.asked(100, t);
        assert!(l.hold(false, t + MS(29_000)).is_some());
        assert_eq!(l.hold(false, t + LOST), None);
        assert!(!l.answers());
        // Its writes tell how slow the line is.
        l.wrote(MS(900), t);
        assert_eq!(l.hold(false, t + MS(100)), Some(MS(800)));
    }
}
