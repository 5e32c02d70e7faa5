//! Moments of the past for the dashboard: which one is meant, and its snapshot.

use crate::derive::Engine;
use crate::model::{AlertRules, Hosts, Services, Snapshot};
use crate::recording::{Moments, Recording, RecordingError, Ring};
use crate::tui::{PastPosition, SeekTo};
use std::sync::Arc;

/// Samples before a moment from which its rates, ages and trends are derived: the decoder has to read those in between anyway.
const HISTORY: [usize; 6] = [19, 10, 5, 2, 1, 0];

/// Data that a snapshot needs beside its sample.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) services: Arc<Services>,
    pub(super) hosts: Arc<Hosts>,
    pub(super) rules: AlertRules,
}

/// The past of the dashboard.
#[derive(Debug)]
pub(super) enum Past {
    /// The last minutes of a live source.
    Ring(Ring),
    /// A recording, which is the past as a whole.
    Recording(Box<Recording>),
}

impl Past {
    /// Its moments.
    pub(super) fn moments(&mut self) -> &mut dyn Moments {
        match self {
            Self::Ring(ring) => ring,
            Self::Recording(recording) => &mut **recording,
        }
    }
}

/// Number of the moment that is meant, seen from the one that is shown; `None` if there is none.
fn target(moments: &dyn Moments, shown_ns: u64, to: SeekTo) -> Option<usize> {
    const DAY: u64 = 86_400_000_000_000;
    let last = moments.len().checked_sub(1)?;
    let shown = moments.number_at(shown_ns);
    let alerts = |n: usize| moments.mark(n).map_or(0, |m| m.alerts);
    let begins = |n: &usize| *n > 0 && alerts(*n) > alerts(*n - 1);
    match to {
        SeekTo::Samples(by) => Some(shown.saturating_add_signed(by as isize).min(last)),
        SeekTo::Seconds(by) => {
            Some(moments.number_at(shown_ns.saturating_add_signed(i64::from(by) * 1_000_000_000)))
        }
        SeekTo::TimeOfDay(time) => {
            let newest = moments.mark(last)?.at.unix_ns;
            let today = newest / DAY * DAY + time;
            Some(moments.number_at(if today > newest { today.saturating_sub(DAY) } else { today }))
        }
        SeekTo::Alert(true) => (shown + 1..=last).find(begins),
        SeekTo::Alert(false) => (0..shown).rfind(begins),
    }
}

/// Snapshot of the moment to which these steps lead, numbered after `seq`; `sought` is the time of the last one that was sought, and
/// becomes that of this one. `None` if the last step leads nowhere, or if the moment cannot be read any more.
pub(super) fn seek(
    moments: &mut dyn Moments,
    context: &Context,
    (steps, sought): (&[(Option<u64>, SeekTo)], &mut u64),
    seq: u64,
) -> Result<Option<(Arc<Snapshot>, PastPosition)>, RecordingError> {
    let mut number = None;
    for (from, to) in steps {
        *sought = from.unwrap_or(*sought);
        number = target(moments, *sought, *to);
        if let Some(mark) = number.and_then(|n| moments.mark(n)) {
            *sought = mark.at.unix_ns;
        }
    }
    let Some(number) = number else { return Ok(None) };
    let mut numbers: Vec<usize> = HISTORY.iter().filter_map(|n| number.checked_sub(*n)).collect();
    numbers.dedup();
    let mut engine = Engine::new().with_alert_rules(context.rules.clone());
    engine.number_after(seq);
    let mut last = None;
    for mut sample in moments.samples(&numbers)? {
        sample.services = Arc::clone(&context.services);
        sample.hosts = Arc::clone(&context.hosts);
        last = Some(engine.step(sample));
    }
    let marks = (0..moments.len()).filter_map(|n| moments.mark(n)).collect();
    Ok(last.map(|snap| (snap, PastPosition { number, marks })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mark, Sample, Stamp, StateCounts};

    /// Moments ten seconds apart with these numbers of alerts.
    struct Fixed(Vec<u32>);

    impl Moments for Fixed {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn mark(&self, n: usize) -> Option<Mark> {
            let ns = 1_777_885_200_000_000_000 + n as u64 * 10_000_000_000;
            let at = Stamp { boot_ns: ns, unix_ns: ns };
            self.0.get(n).map(|alerts| Mark { at, alerts: *alerts, states: StateCounts::default() })
        }

        fn samples(&mut self, _: &[usize]) -> Result<Vec<Sample>, RecordingError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn moment_is_found_from_the_one_that_is_shown() {
        let moments = Fixed(vec![0, 0, 1, 1, 0, 0, 2, 3, 3, 3]);
        let at = |n: usize| moments.mark(n).map_or(0, |m| m.at.unix_ns);
        for (shown, to, want) in [
            (5, SeekTo::Samples(-1), Some(4)),
            (5, SeekTo::Samples(1), Some(6)),
            (0, SeekTo::Samples(-1), Some(0)),
            (9, SeekTo::Samples(1), Some(9)),
            (9, SeekTo::Seconds(-60), Some(3)),
            (2, SeekTo::Seconds(-60), Some(0)),
            (9, SeekTo::Alert(false), Some(7)),
            (7, SeekTo::Alert(false), Some(6)),
            (2, SeekTo::Alert(false), None),
            (0, SeekTo::Alert(true), Some(2)),
            (7, SeekTo::Alert(true), None),
            // 09:00:25 UTC.
            (9, SeekTo::TimeOfDay(32_425_000_000_000), Some(2)),
            // 10:00 is yesterday's, before all of them.
            (9, SeekTo::TimeOfDay(36_000_000_000_000), Some(0)),
        ] {
            assert_eq!(target(&moments, at(shown), to), want, "{shown} {to:?}");
        }
        assert_eq!(target(&Fixed(vec![]), 5, SeekTo::Samples(1)), None);
    }
}
