//! Search for the moment at which something began: an alert, a finding, a row that matches the filter.

use super::{Context, Skipped};
use crate::derive::Engine;
use crate::diagnose::finding::{flow_diagnoses, forward_diagnosis, resolver_findings, socket_diagnoses};
use crate::filter::Filter;
use crate::model::addr::Endpoint;
use crate::model::snapshot::{DNS_WINDOW_S, EVENT_WINDOW_S, FlowKey};
use crate::model::{Level, Snapshot};
use crate::recording::{Moments, RecordingError};
use crate::table::{FORWARDS, Identity, LIMITS, SOCKETS};
use crate::tui::Searched;
use rustc_hash::FxHashSet;

/// Moments that are read at once, and moments before them from which their rates and ages are derived; polls of a live source come
/// in between.
const SLICE: (usize, usize) = (20, 5);
/// The same above [`LARGE`].
const SLICE_OF_LARGE: (usize, usize) = (6, 1);
/// Slices before one whose events are read.
const SLICES_OF_EVENTS: usize = 3;
/// Number of sockets of which each moment takes a tenth of a second.
const LARGE: usize = 30_000;

/// One thing that is there at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Thing {
    Row(Identity),
    Finding(&'static str, Identity),
    /// Finding of the connections between a process and a service.
    Flow(&'static str, FlowKey),
    /// Finding of a resolver: the inode of the namespace that asks it, and its endpoint.
    Resolver(&'static str, u64, Endpoint),
}

/// A search that is under way.
#[derive(Debug)]
pub(in crate::app) struct Search {
    what: Searched,
    forward: bool,
    filter: Option<Filter>,
    /// Time of the last moment that was searched, nanoseconds since 1970.
    searched_ns: u64,
}

/// Result of a part of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Slice {
    /// Number of the moment.
    Found(usize),
    /// All moments were searched.
    Nothing,
    /// The search came to this time, nanoseconds since 1970.
    Searched(u64),
}

impl Search {
    /// A search from a moment, nanoseconds since 1970.
    pub(super) const fn new(what: Searched, forward: bool, filter: Option<Filter>, from_ns: u64) -> Self {
        Self { what, forward, filter, searched_ns: from_ns }
    }

    /// True of a search for alerts.
    pub(super) fn is_for_alerts(&self) -> bool {
        self.what == Searched::Alert
    }

    /// Time of the last moment that was searched, nanoseconds since 1970, and the direction.
    pub(super) const fn place(&self) -> (u64, bool) {
        (self.searched_ns, self.forward)
    }

    /// Searches the next moments.
    pub(in crate::app) fn slice(
        &mut self,
        moments: &mut dyn Moments,
        context: &Context,
    ) -> Result<Slice, RecordingError> {
        let at = moments.number_at(self.searched_ns);
        let sockets = moments.mark(at).and_then(|m| m.states).map_or(0, |s| s.total() as usize);
        let (slice, warm_up) = if sockets > LARGE { SLICE_OF_LARGE } else { SLICE };
        let (first, end) = if self.forward {
            (at + 1, (at + 1 + slice).min(moments.len()))
        } else {
            (at.saturating_sub(slice).max(1), at)
        };
        if first >= end {
            return Ok(Slice::Nothing);
        }
        let mut engine = Engine::new().with_alert_rules(context.rules.clone());
        let mut before: Option<FxHashSet<Thing>> = None;
        let mut found = None;
        let derived = first.saturating_sub(warm_up);
        let mut skipped = Skipped::default();
        moments.read(self.first_with_events(moments, derived, slice)..end, &mut |n, sample| {
            if n < derived {
                skipped.add(sample);
                return true;
            }
            let snap = engine.step(context.complete(skipped.before(sample.clone())));
            if n + 1 < first {
                return true;
            }
            let now = self.things(&snap);
            if before.as_ref().is_some_and(|b| !now.is_subset(b)) {
                found = Some(n);
            }
            before = Some(now);
            // Backwards the last one is the next.
            found.is_none() || !self.forward
        })?;
        if let Some(found) = found {
            return Ok(Slice::Found(found));
        }
        let last = if self.forward { end - 1 } else { first };
        self.searched_ns = moments.mark(last).map_or(self.searched_ns, |m| m.at.unix_ns);
        Ok(Slice::Searched(self.searched_ns))
    }

    /// First of the moments whose events count for findings at a moment: else what fails all the time would begin with each slice.
    fn first_with_events(&self, moments: &dyn Moments, number: usize, slice: usize) -> usize {
        if self.what != Searched::Finding {
            return number;
        }
        let window_ns = EVENT_WINDOW_S.max(DNS_WINDOW_S) * 1_000_000_000;
        let at = moments.mark(number).map_or(0, |m| m.at.unix_ns);
        let first = moments.number_at(at.saturating_sub(window_ns));
        first.clamp(number.saturating_sub(slice * SLICES_OF_EVENTS), number)
    }

    /// Things of the searched kind.
    fn things(&self, snap: &Snapshot) -> FxHashSet<Thing> {
        match (self.what, &self.filter) {
            (Searched::Finding, _) => findings(snap),
            (Searched::Match, Some(filter)) => {
                let (table, matcher) = (filter.table(), filter.over(snap));
                let rows = (0..(table.len)(snap)).filter(|row| matcher.matches(*row));
                rows.filter_map(|row| (table.identity)(snap, row)).map(Thing::Row).collect()
            }
            // Alerts are found by the marks of the moments.
            (Searched::Alert, _) | (Searched::Match, None) => FxHashSet::default(),
        }
    }
}

/// Every finding that is more than a remark. That of a limit is its alert.
fn findings(snap: &Snapshot) -> FxHashSet<Thing> {
    let mut out = FxHashSet::default();
    for row in 0..snap.live {
        let found = socket_diagnoses(snap, row).filter(|d| d.severity > Level::Ok);
        let name_and_row = |name| Some(Thing::Finding(name, (SOCKETS.identity)(snap, row)?));
        out.extend(found.filter_map(|d| name_and_row(d.finding.name)));
    }
    for row in 0..snap.forward_rows().len() {
        if let Some(d) = forward_diagnosis(snap, row).filter(|d| d.severity > Level::Ok)
            && let Some(identity) = (FORWARDS.identity)(snap, row)
        {
            out.insert(Thing::Finding(d.finding.name, identity));
        }
    }
    for flow in &snap.events.window.flows {
        let found = flow_diagnoses(snap, &|f| f.key == flow.key);
        let found = found.iter().filter(|d| d.severity > Level::Ok);
        out.extend(found.map(|d| Thing::Flow(d.finding.name, flow.key)));
    }
    for resolver in &snap.dns.resolvers {
        let found = resolver_findings(resolver).filter(|(f, _)| f.severity > Level::Ok);
        out.extend(found.map(|(f, _)| Thing::Resolver(f.name, resolver.netns_inode, resolver.server)));
    }
    let rows = snap.alerts.iter().map(|a| a.limit as usize);
    out.extend(rows.filter_map(|row| (LIMITS.identity)(snap, row)).map(Thing::Row));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{DnsOutcome, DnsQuery};
    use crate::model::{AlertRules, Mark, Proto, ProtoSet, Sample, Wants};
    use crate::testing;
    use std::ops::Range;
    use std::sync::Arc;

    struct Kept(Vec<Sample>);

    impl Moments for Kept {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn mark(&self, number: usize) -> Option<Mark> {
            self.0.get(number).map(|s| Mark { at: s.at, alert: None, states: None })
        }

        fn read(
            &mut self,
            numbers: Range<usize>,
            each: &mut dyn FnMut(usize, &Sample) -> bool,
        ) -> Result<(), RecordingError> {
            numbers.take_while(|n| each(*n, &self.0[*n])).for_each(drop);
            Ok(())
        }
    }

    /// Samples a second apart; from the hundredth on a resolver fails, each time it is asked.
    fn samples() -> Vec<Sample> {
        let sample = |n: usize| {
            let mut sample = testing::snapshot(vec![], vec![], &[]).sample;
            let ns = n as u64 * 1_000_000_000;
            (sample.at.boot_ns, sample.at.unix_ns) = (1_000_000_000_000 + ns, 1_777_885_200_000_000_000 + ns);
            sample.wants = Wants::recording();
            sample.dns.on = true;
            sample.dns.list.push(DnsQuery {
                asked_ns: sample.at.boot_ns - 10_000_000,
                took_ns: 1_000_000,
                netns: 0,
                proto: Proto::Udp,
                client: testing::ep("10.0.0.4:40000"),
                server: testing::ep("10.0.0.2:53"),
                inbound: false,
                id: n as u16,
                name: "db.internal".into(),
                qtype: 1,
                outcome: DnsOutcome::Answered(if n < 100 { 0 } else { 2 }),
                truncated: false,
                answers: 0,
                addrs: Vec::new(),
                tries: 1,
                process: None,
                uid: None,
            });
            sample
        };
        (0..300).map(sample).collect()
    }

    #[test]
    fn finding_about_a_resolver_is_found_once() {
        let context = Context {
            services: Arc::default(),
            hosts: Arc::default(),
            rules: AlertRules::default(),
            protos: ProtoSet::ALL,
        };
        let mut moments = Kept(samples());
        let mut found = Vec::new();
        for (from, forward) in [(0, true), (299, false), (150, true), (90, false)] {
            let from_ns = moments.0[from].at.unix_ns;
            let mut search = Search::new(Searched::Finding, forward, None, from_ns);
            found.push(loop {
                match search.slice(&mut moments, &context).unwrap() {
                    Slice::Searched(_) => {}
                    end => break end,
                }
            });
        }
        let Slice::Found(began) = found[0] else { panic!("{found:?}") };
        // A tenth of the questions of the last minute, and at least three.
        assert!((102..108).contains(&began), "{found:?}");
        assert_eq!(found[1..], [Slice::Found(began), Slice::Nothing, Slice::Nothing]);
    }
}
