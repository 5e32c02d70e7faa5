//! Age of the newest snapshot: the dashboard shows it when a poll is late, whatever holds the poll up.

use crate::tui::Event;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time beyond the interval after which a poll is late.
const GRACE: Duration = Duration::from_secs(2);

/// Time of the last poll that finished, and the interval.
#[derive(Debug)]
pub(super) struct PollAge(Mutex<(Option<Instant>, Duration)>);

impl PollAge {
    /// No poll has finished yet.
    pub(super) fn new(interval: Duration) -> Self {
        Self(Mutex::new((None, interval)))
    }

    /// A poll has finished now.
    pub(super) fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(Instant::now());
    }

    /// Changes the interval.
    pub(super) fn set_interval(&self, interval: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = interval;
    }

    /// Age of the last poll, if the next one is late.
    fn late(&self, now: Instant) -> Option<Duration> {
        let (last, interval) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(last?);
        (age > interval * 2 + GRACE).then_some(age)
    }
}

/// Starts the thread that reports a late poll every second, for as long as it is late.
pub(super) fn watch_age(age: &Arc<PollAge>, events: Sender<Event>) -> io::Result<()> {
    let age = Arc::clone(age);
    std::thread::Builder::new().name("poll-age".into()).spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if let Some(late) = age.late(Instant::now())
                && events.send(Event::Late(late)).is_err()
            {
                return;
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_is_late_after_twice_its_interval_and_a_grace() {
        let age = PollAge::new(Duration::from_secs(1));
        let now = Instant::now();
        assert_eq!(age.late(now + Duration::from_secs(60)), None, "nothing is shown yet");
        age.note();
        assert_eq!(age.late(now + Duration::from_secs(3)), None);
        assert!(age.late(now + Duration::from_secs(12)).is_some_and(|a| a.as_secs() >= 11));
        age.set_interval(Duration::from_secs(10));
        assert_eq!(age.late(now + Duration::from_secs(12)), None, "not yet due");
    }
}
