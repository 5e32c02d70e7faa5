//! Moments of the past for the dashboard: which one is meant, and its snapshot.

mod alert_marks;
mod search;

use crate::derive::Engine;
use crate::model::sample::{DnsQuery, Event, EventCount};
use crate::model::{AlertRules, Hosts, Period, ProtoSet, Sample, Services, Snapshot};
use crate::recording::{Moments, Recording, RecordingError, Ring};
use crate::tui::{PastPosition, Searched, SeekRequest, SeekTo};
use alert_marks::AlertMarks;
pub(super) use search::{Search, Slice};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Samples that are read for a moment with at most this many sockets, so that a step takes no longer with more: those before it from
/// which its rates, ages and trends are derived, and the number whose events are shown.
const HISTORY: [(usize, &[usize], usize); 3] =
    [(2_000, &[19, 10, 5, 2, 1, 0], 300), (30_000, &[9, 4, 1, 0], 10), (usize::MAX, &[1, 0], 2)];
/// Most parts of the time bar: as many as a wide terminal has columns.
const MOST_PERIODS: usize = 512;

/// Data that a snapshot needs beside its sample.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) services: Arc<Services>,
    pub(super) hosts: Arc<Hosts>,
    pub(super) rules: AlertRules,
    /// Protocols that are shown.
    pub(super) protos: ProtoSet,
}

impl Context {
    /// A sample that was read back, with what is not recorded.
    fn complete(&self, mut sample: Sample) -> Sample {
        sample.retain_protos(self.protos);
        sample.services = Arc::clone(&self.services);
        sample.hosts = Arc::clone(&self.hosts);
        sample
    }
}

/// The past of the dashboard.
#[derive(Debug)]
pub(super) enum Past {
    /// The last minutes of a live source.
    Ring(Ring),
    /// A recording, which is the past as a whole.
    Recording(Box<Recording>, Box<AlertMarks>),
}

impl Past {
    /// A recording.
    pub(super) fn recording(mut recording: Recording) -> Self {
        let alerts = AlertMarks::new(&mut recording);
        Self::Recording(Box::new(recording), Box::new(alerts))
    }

    /// Its moments.
    pub(super) fn moments(&mut self) -> &mut dyn Moments {
        match self {
            Self::Ring(ring) => ring,
            Self::Recording(recording, _) => &mut **recording,
        }
    }

    /// Continues a search for some moments.
    pub(super) fn search(&mut self, search: &mut Search, context: &Context) -> Result<Slice, RecordingError> {
        match self {
            Self::Recording(recording, alerts) if search.is_for_alerts() => {
                alerts.search(search, recording, context)
            }
            _ => search.slice(self.moments(), context),
        }
    }

    /// True if the alerts of some moments are not known yet.
    pub(super) fn has_unmarked(&self) -> bool {
        matches!(self, Self::Recording(_, alerts) if !alerts.is_done())
    }

    /// Derives the alerts of some moments; returns the figures of all if they are others now.
    pub(super) fn mark_alerts(&mut self, context: &Context) -> Result<Option<Arc<[Period]>>, RecordingError> {
        match self {
            Self::Recording(recording, alerts) => {
                let changed = alerts.part(recording, context)?;
                Ok(changed.then(|| periods(&**recording)))
            }
            Self::Ring(_) => Ok(None),
        }
    }
}

/// Number of the moment that is meant, seen from the one that is shown; `Break` if it is to be searched for.
fn target(moments: &dyn Moments, shown_ns: u64, to: SeekTo) -> ControlFlow<(Searched, bool), Option<usize>> {
    let Some(last) = moments.len().checked_sub(1) else { return ControlFlow::Continue(None) };
    let shown = moments.number_at(shown_ns);
    let number = match to {
        SeekTo::Samples(by) => Some(shown.saturating_add_signed(by as isize).min(last)),
        SeekTo::Seconds(by) => {
            Some(moments.number_at(shown_ns.saturating_add_signed(i64::from(by) * 1_000_000_000)))
        }
        SeekTo::Moment(moment) => moments.mark(last).map(|m| moments.number_at(moment.resolve(m.at.unix_ns))),
        SeekTo::Begin(what, forward) => {
            if what != Searched::Alert {
                return ControlFlow::Break((what, forward));
            }
            match next_alert(moments, shown, forward) {
                Some((_, None)) => return ControlFlow::Break((what, forward)),
                known => known.map(|(n, _)| n),
            }
        }
    };
    ControlFlow::Continue(number)
}

/// Next moment in a direction with which an alert begins, or of which that is not known yet (`None`).
fn next_alert(moments: &dyn Moments, from: usize, forward: bool) -> Option<(usize, Option<bool>)> {
    let mark = |n: usize| Some((n, moments.mark(n)?.alert)).filter(|(_, alert)| *alert != Some(false));
    if forward { (from + 1..moments.len()).find_map(mark) } else { (0..from).rev().find_map(mark) }
}

/// Result of requests.
pub(super) enum Sought {
    /// A moment, and its place.
    Moment(Arc<Snapshot>, PastPosition),
    /// No moment is meant, or the one that is cannot be read any more.
    Nothing,
    /// It is to be searched for.
    Search(Search),
}

/// Snapshot of the moment to which these requests lead, numbered after `seq`; `sought` is the time of the last one that was
/// sought, and becomes that of this one.
pub(super) fn seek(
    moments: &mut dyn Moments,
    context: &Context,
    (requests, sought): (&[SeekRequest], &mut u64),
    seq: u64,
) -> Result<Sought, RecordingError> {
    let mut number = None;
    for request in requests {
        *sought = request.from.unwrap_or(*sought);
        match target(moments, *sought, request.to) {
            ControlFlow::Continue(found) => number = found,
            ControlFlow::Break((what, forward)) => {
                return Ok(Sought::Search(Search::new(what, forward, request.filter.clone(), *sought)));
            }
        }
        if let Some(mark) = number.and_then(|n| moments.mark(n)) {
            *sought = mark.at.unix_ns;
        }
    }
    match number {
        Some(number) => moment(moments, context, number, seq),
        None => Ok(Sought::Nothing),
    }
}

/// Snapshot of a moment, numbered after `seq`.
pub(super) fn moment(
    moments: &mut dyn Moments,
    context: &Context,
    number: usize,
    seq: u64,
) -> Result<Sought, RecordingError> {
    let mut engine = Engine::new().with_alert_rules(context.rules.clone());
    engine.number_after(seq);
    let sockets = moments.mark(number).and_then(|m| m.states).map_or(HISTORY[1].0, |s| s.total() as usize);
    let (_, derived, for_events) = HISTORY.iter().find(|(most, ..)| sockets <= *most).unwrap_or(&HISTORY[2]);
    let first = number.saturating_sub(*for_events);
    let mut skipped = Skipped::default();
    let mut last = None;
    moments.read(first..number + 1, &mut |n, sample| {
        if derived.contains(&(number - n)) {
            last = Some(engine.step(context.complete(skipped.before(sample.clone()))));
        } else {
            skipped.add(sample);
        }
        true
    })?;
    let Some(snap) = last else { return Ok(Sought::Nothing) };
    Ok(Sought::Moment(snap, position(moments, number)))
}

/// Events and DNS questions of samples that nothing is derived from.
#[derive(Default)]
struct Skipped {
    list: Vec<Event>,
    counts: Vec<EventCount>,
    lost: u64,
    questions: Vec<DnsQuery>,
    dns_lost: u64,
}

impl Skipped {
    fn add(&mut self, sample: &Sample) {
        self.list.extend(sample.events.list.iter().cloned());
        self.counts.extend(sample.events.counts.iter().cloned());
        self.lost = self.lost.saturating_add(sample.events.lost);
        self.questions.extend(sample.dns.list.iter().cloned());
        self.dns_lost = self.dns_lost.saturating_add(sample.dns.lost);
    }

    /// The next sample, with these events before its own.
    fn before(&mut self, mut sample: Sample) -> Sample {
        let skipped = std::mem::take(self);
        sample.events.list.splice(..0, skipped.list);
        sample.events.counts.splice(..0, skipped.counts);
        sample.events.lost = sample.events.lost.saturating_add(skipped.lost);
        sample.dns.list.splice(..0, skipped.questions);
        sample.dns.lost = sample.dns.lost.saturating_add(skipped.dns_lost);
        sample
    }
}

/// Figures of all moments, in at most [`MOST_PERIODS`] parts.
fn periods(moments: &dyn Moments) -> Arc<[Period]> {
    let count = moments.len();
    let mut periods = vec![Period { states: None, alert: Some(false) }; count.min(MOST_PERIODS)];
    for (n, mark) in (0..count).filter_map(|n| Some((n, moments.mark(n)?))) {
        let period = &mut periods[n * count.min(MOST_PERIODS) / count];
        if let Some(states) = &mark.states {
            period.states.get_or_insert_default().raise(states);
        }
        period.alert = match (period.alert, mark.alert) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
    }
    periods.into()
}

/// Place of a moment.
fn position(moments: &dyn Moments, number: usize) -> PastPosition {
    let count = moments.len();
    let at = |n: usize| moments.mark(n).map_or(0, |m| m.at.unix_ns);
    PastPosition {
        number,
        moments: count,
        span_ns: (at(0), at(count.saturating_sub(1))),
        periods: periods(moments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::moment::MomentArg;
    use crate::model::{Mark, Stamp, State, StateCounts};
    use std::ops::Range;

    /// Moments ten seconds apart with these numbers of alerts.
    struct Fixed(Vec<u32>);

    impl Moments for Fixed {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn mark(&self, n: usize) -> Option<Mark> {
            let ns = 1_777_885_200_000_000_000 + n as u64 * 10_000_000_000;
            let at = Stamp { boot_ns: ns, unix_ns: ns };
            let mut states = StateCounts::default();
            (0..n).for_each(|_| states.add(State::Established));
            let alerts = self.0.get(n)?;
            let alert = Some(n > 0 && *alerts > self.0[n - 1]);
            Some(Mark { at, alert, states: Some(states) })
        }

        fn read(
            &mut self,
            _: Range<usize>,
            _: &mut dyn FnMut(usize, &Sample) -> bool,
        ) -> Result<(), RecordingError> {
            Ok(())
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
            (9, SeekTo::Begin(Searched::Alert, false), Some(7)),
            (7, SeekTo::Begin(Searched::Alert, false), Some(6)),
            (2, SeekTo::Begin(Searched::Alert, false), None),
            (0, SeekTo::Begin(Searched::Alert, true), Some(2)),
            (7, SeekTo::Begin(Searched::Alert, true), None),
            // 09:00:25 UTC.
            (9, SeekTo::Moment(MomentArg::TimeOfDay(32_425_000_000_000)), Some(2)),
            // 10:00 is yesterday's, before all of them.
            (9, SeekTo::Moment(MomentArg::TimeOfDay(36_000_000_000_000)), Some(0)),
        ] {
            assert_eq!(target(&moments, at(shown), to), ControlFlow::Continue(want), "{shown} {to:?}");
        }
        assert_eq!(target(&Fixed(vec![]), 5, SeekTo::Samples(1)), ControlFlow::Continue(None));
        let found = target(&moments, at(5), SeekTo::Begin(Searched::Match, true));
        assert_eq!(found, ControlFlow::Break((Searched::Match, true)));
    }

    #[test]
    fn periods_hold_every_moment() {
        let alerts: Vec<u32> = (0..5000).map(|n| u32::from(n == 4000)).collect();
        let place = position(&Fixed(alerts), 4999);
        assert_eq!((place.moments, place.number, place.periods.len()), (5000, 4999, MOST_PERIODS));
        let open = |p: &Period| p.states.map_or(0, |s| s.get(State::Established));
        assert!(place.periods.is_sorted_by_key(open));
        assert_eq!(place.periods.last().map(open), Some(4999), "the largest of the last period");
        let alerts: Vec<usize> =
            (0..MOST_PERIODS).filter(|p| place.periods[*p].alert == Some(true)).collect();
        assert_eq!(alerts, [4000 * MOST_PERIODS / 5000]);
        let place = position(&Fixed(vec![0, 1, 1]), 1);
        assert_eq!(place.periods.iter().map(|p| p.alert).collect::<Vec<_>>(), [false, true, false].map(Some));
        assert_eq!(position(&Fixed(vec![]), 0).periods.len(), 0);
    }
}
