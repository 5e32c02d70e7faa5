//! Search for the moment at which something began: an alert, a finding, a row that matches the filter.

use super::Context;
use crate::derive::Engine;
use crate::diagnose::finding::{flow_diagnoses, forward_diagnosis, socket_diagnoses};
use crate::filter::Filter;
use crate::model::snapshot::FlowKey;
use crate::model::{Level, Snapshot};
use crate::recording::{Moments, RecordingError};
use crate::table::{FORWARDS, Identity, LIMITS, SOCKETS};
use crate::tui::Searched;
use rustc_hash::FxHashSet;

/// Moments that are read at once; polls of a live source come in between.
const SLICE: usize = 20;
/// Moments before them from which their rates and ages are derived.
const WARM_UP: usize = 5;

/// One thing that is there at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Thing {
    Row(Identity),
    Finding(&'static str, Identity),
    /// Finding of the connections between a process and a service.
    Flow(&'static str, FlowKey),
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

    /// Searches the next moments.
    pub(in crate::app) fn slice(
        &mut self,
        moments: &mut dyn Moments,
        context: &Context,
    ) -> Result<Slice, RecordingError> {
        let at = moments.number_at(self.searched_ns);
        let (first, end) = if self.forward {
            (at + 1, (at + 1 + SLICE).min(moments.len()))
        } else {
            (at.saturating_sub(SLICE).max(1), at)
        };
        if first >= end {
            return Ok(Slice::Nothing);
        }
        let mut engine = Engine::new().with_alert_rules(context.rules.clone());
        let mut before: Option<FxHashSet<Thing>> = None;
        let mut found = None;
        moments.read(first.saturating_sub(WARM_UP)..end, &mut |n, sample| {
            let snap = engine.step(context.complete(sample.clone()));
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

    /// Things of the searched kind.
    fn things(&self, snap: &Snapshot) -> FxHashSet<Thing> {
        match (self.what, &self.filter) {
            (Searched::Alert, _) => {
                let rows = snap.alerts.iter().map(|a| a.limit as usize);
                rows.filter_map(|row| (LIMITS.identity)(snap, row)).map(Thing::Row).collect()
            }
            (Searched::Finding, _) => findings(snap),
            (Searched::Match, Some(filter)) => {
                let (table, matcher) = (filter.table(), filter.over(snap));
                let rows = (0..(table.len)(snap)).filter(|row| matcher.matches(*row));
                rows.filter_map(|row| (table.identity)(snap, row)).map(Thing::Row).collect()
            }
            (Searched::Match, None) => FxHashSet::default(),
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
    let rows = snap.alerts.iter().map(|a| a.limit as usize);
    out.extend(rows.filter_map(|row| (LIMITS.identity)(snap, row)).map(Thing::Row));
    out
}
