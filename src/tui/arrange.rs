//! Filtering, sorting and grouping in a background thread when there are many rows.
//!
//! A key takes effect at once on the rows shown; the new order follows when it is computed. A snapshot is shown
//! together with its arranged rows, so lines and rows always belong to each other.

use crate::model::Snapshot;
use crate::model::lang::in_english;
use crate::model::snapshot::Direction;
use crate::table::TableId;
use crate::view::group::GroupBy;
use crate::view::sort::SortKey;
use crate::view::summary::latencies;
use crate::view::{Arranged, View};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Facts on the line of a group that the query does not compute.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GroupSummary {
    /// Rows without sockets that have just closed.
    pub(crate) live: u32,
    /// The first process that owns one of its sockets, and the number of others.
    pub(crate) process: Option<(u32, u32)>,
    /// True if the connections are inbound.
    pub(crate) inbound: bool,
    /// Failures and percentiles of the latencies, microseconds, of DNS questions.
    pub(crate) dns: Option<(u32, [Option<u64>; 2])>,
}

/// All rows of one snapshot, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) seq: u64,
    pub(crate) keys: Vec<SortKey>,
    pub(crate) rows: Arc<Vec<u32>>,
}

/// Request to arrange the rows of a snapshot.
#[derive(Clone, Debug)]
pub struct ArrangeJob {
    pub(crate) view: View,
    pub(crate) snap: Arc<Snapshot>,
    /// Sort orders already computed for this snapshot.
    pub(crate) orders: Vec<Order>,
}

impl PartialEq for ArrangeJob {
    /// Equal if view and snapshot are the same.
    fn eq(&self, o: &Self) -> bool {
        self.view == o.view && self.snap.seq == o.snap.seq
    }
}

/// Result of an [`ArrangeJob`].
#[derive(Clone, Debug)]
pub struct ArrangeResult {
    pub(crate) view: View,
    pub(crate) snap: Arc<Snapshot>,
    pub(crate) done: ArrangeOutput,
}

/// Arranged rows with their group summaries.
#[derive(Clone, Debug)]
pub(crate) struct ArrangeOutput {
    pub(crate) arranged: Arranged,
    pub(crate) group_summaries: Vec<GroupSummary>,
    /// A sort order computed meanwhile, for reuse.
    pub(crate) order: Option<Order>,
}

impl ArrangeJob {
    /// Does the work; slow with many rows.
    pub fn work(self) -> ArrangeResult {
        let done = arrange(&self.view, &self.snap, &self.orders);
        ArrangeResult { view: self.view, snap: self.snap, done }
    }
}

/// Arranges the rows of a snapshot for a view; filters test English values.
pub(crate) fn arrange(view: &View, snap: &Snapshot, orders: &[Order]) -> ArrangeOutput {
    in_english(|| arrange_values(view, snap, orders))
}

fn arrange_values(view: &View, snap: &Snapshot, orders: &[Order]) -> ArrangeOutput {
    let keys = view.keys();
    let known = orders.iter().find(|o| o.seq == snap.seq && o.keys == keys);
    let mut order = None;
    let arranged = match known {
        Some(known) => view.arrange_sorted(snap, &known.rows),
        // The order of all rows serves every filter typed while this snapshot is shown.
        None if view.filter.is_everything() => {
            let rows = Arc::new(view.sorted(snap));
            let arranged = view.arrange_sorted(snap, &rows);
            order = Some(Order { seq: snap.seq, keys, rows });
            arranged
        }
        None => view.arrange(snap),
    };
    let group_summaries = match view.table.id {
        TableId::Sockets => group_summaries(view, &arranged, snap),
        TableId::Dns => dns_summaries(view, &arranged, snap),
        _ => Vec::new(),
    };
    ArrangeOutput { arranged, group_summaries, order }
}

/// Summaries of groups of DNS questions.
fn dns_summaries(view: &View, arranged: &Arranged, snap: &Snapshot) -> Vec<GroupSummary> {
    let summary = |g: &crate::view::group::Group| {
        let rows = &arranged.rows[g.start as usize..(g.start + g.len) as usize];
        let is_failure = |r: &&u32| {
            let (snap, row) = snap.at(TableId::Dns, **r as usize);
            let row = snap.dns.rows.get(row);
            row.is_some_and(|row| row.query.outcome.is_failure())
        };
        let failed = rows.iter().filter(is_failure).count() as u32;
        let latencies = latencies(snap, view.table, rows).unwrap_or_default();
        let dns = Some((failed, [50, 99].map(|percent| latencies.percentile(percent))));
        GroupSummary { live: g.len, dns, ..GroupSummary::default() }
    };
    arranged.groups.iter().map(summary).collect()
}

/// Summaries of groups of sockets.
fn group_summaries(view: &View, arranged: &Arranged, snap: &Snapshot) -> Vec<GroupSummary> {
    let mut processes = FxHashSet::default();
    let summary = |g: &crate::view::group::Group| {
        let rows = &arranged.rows[g.start as usize..(g.start + g.len) as usize];
        let live = rows.iter().filter(|r| (**r as usize) < snap.live).count() as u32;
        processes.clear();
        let mut first = None;
        let mut last = None;
        // A whole state has too many owners for one cell.
        if g.depth > 0 || view.group != Some(GroupBy::State) {
            for r in rows {
                let (on, row) = snap.at(TableId::Sockets, *r as usize);
                let host = snap.host_index(TableId::Sockets, *r as usize);
                for o in on.owners(row) {
                    let process = snap.process_number(host, o.process);
                    first.get_or_insert(process);
                    // Adjacent rows mostly have the same owner.
                    if last != Some(process) {
                        last = Some(process);
                        processes.insert(process);
                    }
                }
            }
        }
        let inbound = rows.first().is_some_and(|r| {
            let (snap, row) = snap.at(TableId::Sockets, *r as usize);
            snap.facts.get(row).is_some_and(|f| f.direction == Direction::In)
        });
        let process = first.map(|p| (p, processes.len() as u32 - 1));
        GroupSummary { live, process, inbound, dns: None }
    };
    arranged.groups.iter().map(summary).collect()
}
