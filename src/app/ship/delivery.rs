//! Sends batches until they are taken: one at a time, oldest first.

use super::spool::{Entry, Spool};
use crate::app::print::print_error;
use crate::cli::args::Encoding;
use crate::format::thousands;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Answer of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Taken.
    Taken,
    /// Larger than it takes at once (413).
    TooLarge,
    /// Not taken for what is in it (400, 415, 422): the status and the beginning of the answer.
    Refused(String),
    /// Not taken now: the reason, and the time that it asks for.
    Later(String, Option<Duration>),
}

/// A receiver.
pub(super) trait Receiver: Send {
    /// Sends a batch; `id` is the same whenever this batch is sent.
    fn send(&mut self, id: &str, body: &[u8], encoding: Encoding) -> Reply;
}

/// First and longest time until a batch is sent again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Longest time that a receiver may ask for (`Retry-After`).
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// Orders to the thread that sends.
#[derive(Debug, Default)]
struct Orders {
    /// A batch was added.
    added: bool,
    /// Ends when nothing waits, or at this time.
    until: Option<Instant>,
}

/// Wakes and ends the thread that sends.
#[derive(Debug, Default)]
pub(super) struct Bell {
    orders: Mutex<Orders>,
    ring: Condvar,
}

impl Bell {
    /// A batch was added.
    pub(super) fn added(&self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).added = true;
        self.ring.notify_all();
    }

    /// Ends the thread when nothing waits, at the latest at this time.
    pub(super) fn end(&self, until: Instant) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).until = Some(until);
        self.ring.notify_all();
    }

    /// Waits for a batch or the end. True at the end.
    fn wait(&self) -> bool {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if std::mem::take(&mut orders.added) {
                return false;
            }
            if orders.until.is_some() {
                return true;
            }
            orders = self.ring.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits this time, less near the end. True after the end.
    fn pause(&self, time: Duration) -> bool {
        let due = Instant::now() + time;
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            if orders.until.is_some_and(|end| now >= end) {
                return true;
            }
            let until = orders.until.map_or(due, |end| end.min(due));
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return false;
            }
            orders = self.ring.wait_timeout(orders, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn is_over(&self) -> bool {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.until.is_some_and(|end| Instant::now() >= end)
    }
}

/// Delivery of the batches of a spool.
pub(super) struct Delivery<'a> {
    /// Batches that wait.
    pub(super) spool: &'a Spool,
    /// Wakes it.
    pub(super) bell: &'a Bell,
    /// First time until a batch is sent again.
    pub(super) backoff: Duration,
}

impl<'a> Delivery<'a> {
    /// Delivery with the usual times.
    pub(super) const fn new(spool: &'a Spool, bell: &'a Bell) -> Self {
        Self { spool, bell, backoff: BACKOFF.0 }
    }

    /// Sends what waits, and what is added, until the end. Returns the number of rows that were taken.
    pub(super) fn run(&self, receiver: &mut dyn Receiver) -> u64 {
        let (mut delay, mut failing, mut taken) = (self.backoff, false, 0);
        loop {
            let Some(first) = self.spool.take(0) else {
                if self.bell.wait() {
                    return taken;
                }
                continue;
            };
            let (why, after) = match self.send(receiver, &first) {
                Reply::Taken => {
                    self.done(&first);
                    taken += first.rows;
                    if std::mem::take(&mut failing) {
                        print_error("the receiver takes batches again");
                    }
                    delay = self.backoff;
                    if self.bell.is_over() {
                        return taken;
                    }
                    continue;
                }
                Reply::Refused(why) => match self.send_next(receiver) {
                    // It takes others: this one is at fault.
                    Some(rows) => {
                        taken += rows;
                        self.refuse(&first, &why);
                        continue;
                    }
                    None => (why, None),
                },
                Reply::TooLarge => ("a single row is larger than it takes".to_owned(), None),
                Reply::Later(why, after) => (why, after),
            };
            if !std::mem::replace(&mut failing, true) {
                let waiting = self.spool.waiting();
                print_error(&format!(
                    "not taken: {why}; {} rows wait and are sent again",
                    thousands(waiting.rows)
                ));
            }
            if self.bell.pause(after.map_or(jitter(delay), |a| a.min(LONGEST_RETRY))) {
                return taken;
            }
            delay = (delay * 2).min(BACKOFF.1);
        }
    }

    /// Sends the batch behind the first; its rows if it was taken.
    fn send_next(&self, receiver: &mut dyn Receiver) -> Option<u64> {
        let next = self.spool.take(1)?;
        (self.send(receiver, &next) == Reply::Taken).then(|| {
            self.done(&next);
            next.rows
        })
    }

    fn send(&self, receiver: &mut dyn Receiver, entry: &Entry) -> Reply {
        let id = format!("{}-{}", self.spool.id(), entry.number);
        let failed = |e: io::Error| Reply::Later(format!("read batch {}: {e}", entry.number), None);
        let body = match self.spool.read(entry) {
            Ok(body) => body,
            Err(e) => return failed(e),
        };
        match receiver.send(&id, &body, entry.encoding) {
            Reply::TooLarge => match entry.encoding.decode(&body) {
                Ok(text) => halves(receiver, &id, &text, entry.encoding),
                Err(e) => failed(e),
            },
            reply => reply,
        }
    }

    fn done(&self, entry: &Entry) {
        if let Err(e) = self.spool.remove(entry) {
            print_error(&format!("remove batch {}: {e}", entry.number));
        }
    }

    fn refuse(&self, entry: &Entry, why: &str) {
        let kept = match self.spool.refuse(entry) {
            Ok(path) => format!("kept as {}", path.display()),
            Err(e) => format!("not kept: {e}"),
        };
        print_error(&format!("a batch of {} rows is refused: {why}; {kept}", thousands(entry.rows)));
    }
}

/// Sends the rows of a batch that is too large in two parts, and those in parts of their own if needed. What was taken of it may
/// be sent once more: the rows have ids.
fn halves(receiver: &mut dyn Receiver, id: &str, text: &[u8], encoding: Encoding) -> Reply {
    let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    if lines.len() < 2 {
        return Reply::TooLarge;
    }
    for (n, half) in lines.chunks(lines.len().div_ceil(2)).enumerate() {
        let (id, text) = (format!("{id}.{n}"), half.concat());
        let body = match encoding.encode(&text) {
            Ok(body) => body,
            Err(e) => return Reply::Later(format!("compress: {e}"), None),
        };
        let reply = match receiver.send(&id, &body, encoding) {
            Reply::TooLarge => halves(receiver, &id, &text, encoding),
            reply => reply,
        };
        if reply != Reply::Taken {
            return reply;
        }
    }
    Reply::Taken
}

/// A time between half and all of this one, so that many hosts do not retry together.
fn jitter(time: Duration) -> Duration {
    let mut random = [0; 1];
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK);
    time / 2 + time / 2 * u32::from(random[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::thread;

    /// A receiver that answers by a script, then takes everything; at most `most` rows at once.
    struct Scripted {
        replies: Vec<Reply>,
        most: usize,
        /// Rows that were taken, and how often.
        rows: Arc<Mutex<BTreeMap<String, usize>>>,
        ids: Vec<String>,
    }

    impl Receiver for Scripted {
        fn send(&mut self, id: &str, body: &[u8], encoding: Encoding) -> Reply {
            self.ids.push(id.to_owned());
            let text = String::from_utf8(encoding.decode(body).unwrap()).unwrap();
            if text.contains("poison") {
                return Reply::Refused("400 cannot parse".into());
            }
            if text.lines().count() > self.most {
                return Reply::TooLarge;
            }
            if !self.replies.is_empty() {
                let reply = self.replies.remove(0);
                // An answer that is lost after the rows were taken.
                if reply != Reply::Later("cut".into(), None) {
                    return reply;
                }
                self.take(&text);
                return reply;
            }
            self.take(&text);
            Reply::Taken
        }
    }

    impl Scripted {
        fn take(&self, text: &str) {
            for line in text.lines() {
                *self.rows.lock().unwrap().entry(line.to_owned()).or_default() += 1;
            }
        }
    }

    /// Delivers batches of three rows; returns how often each row was taken, the ids and the number of rows.
    fn deliver(
        batches: &[&str],
        replies: Vec<Reply>,
        most: usize,
    ) -> (BTreeMap<String, usize>, Vec<String>, u64) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 1 << 20).unwrap();
        for text in batches {
            spool.push(text.as_bytes(), text.lines().count() as u64, Encoding::Zstd).unwrap();
        }
        let bell = Bell::default();
        let rows = Arc::default();
        let mut receiver = Scripted { replies, most, rows: Arc::clone(&rows), ids: Vec::new() };
        let taken = thread::scope(|scope| {
            let delivery = Delivery { backoff: Duration::from_millis(1), ..Delivery::new(&spool, &bell) };
            let receiver = &mut receiver;
            let running = scope.spawn(move || delivery.run(receiver));
            while spool.waiting().batches > 0 {
                thread::sleep(Duration::from_millis(1));
            }
            bell.end(Instant::now());
            running.join().unwrap()
        });
        assert_eq!(spool.take_lost(), super::super::spool::Amount::default());
        // Numbers of the batches from 0, without the identity of the directory.
        let mut bases: Vec<&str> = receiver.ids.iter().map(|id| id.split('.').next().unwrap()).collect();
        bases.sort_unstable();
        bases.dedup();
        let ids = receiver.ids.iter().map(|id| {
            let n = bases.iter().position(|b| id.starts_with(b)).unwrap();
            format!("r-{n}{}", &id[bases[n].len()..])
        });
        let ids = ids.collect();
        let rows = rows.lock().unwrap().clone();
        (rows, ids, taken)
    }

    #[test]
    fn every_row_is_taken_in_spite_of_failures() {
        let later = |why: &str| Reply::Later(why.into(), Some(Duration::from_millis(1)));
        let replies = vec![later("500"), later("429"), Reply::Later("cut".into(), None), later("connect")];
        let (rows, ids, taken) = deliver(&["a\nb\nc\n", "d\ne\nf\n"], replies, 100);
        let names: Vec<&str> = rows.keys().map(String::as_str).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e", "f"]);
        assert_eq!((rows["a"], rows["d"], taken), (2, 1, 6), "the cut one is sent again under its id");
        assert_eq!(ids, ["r-0", "r-0", "r-0", "r-0", "r-0", "r-1"]);
    }

    #[test]
    fn batch_that_is_too_large_is_sent_in_parts() {
        let (rows, ids, taken) = deliver(&["a\nb\nc\nd\ne\n"], Vec::new(), 2);
        assert!(rows.len() == 5 && rows.values().all(|n| *n == 1), "{rows:?}");
        assert_eq!(taken, 5);
        assert_eq!(ids, ["r-0", "r-0.0", "r-0.0.0", "r-0.0.1", "r-0.1"]);
    }

    #[test]
    fn refused_batch_does_not_block_the_others() {
        let (rows, _, taken) = deliver(&["a\n", "poison\n", "b\n", "c\n"], Vec::new(), 100);
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(taken, 3);
    }
}
