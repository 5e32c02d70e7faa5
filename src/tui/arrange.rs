//! Filtering, sorting and grouping, where there are many rows: away from the thread that draws.
//!
//! A key is answered at once, over what is on the screen; the rows follow when they are arranged. A new snapshot
//! takes the place of the old one together with its rows, so that lines and rows always belong to each other.

use crate::model::Snapshot;
use crate::model::snapshot::Direction;
use crate::view::group::GroupBy;
use crate::view::sort::SortKey;
use crate::view::{Arranged, View};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// What a group's line says beside what the query says of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GroupSummary {
    /// Rows that are not just closed.
    pub(crate) live: u32,
    /// The first process that holds one of its sockets, and how many more do.
    pub(crate) process: Option<(u32, u32)>,
    /// Whether the far ends connected to this one.
    pub(crate) inbound: bool,
}

/// All rows of one snapshot in one order.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) seq: u64,
    pub(crate) keys: Vec<SortKey>,
    pub(crate) rows: Arc<Vec<u32>>,
}

/// What is to be arranged.
#[derive(Clone, Debug)]
pub struct ArrangeJob {
    pub(crate) view: View,
    pub(crate) snap: Arc<Snapshot>,
    /// Orders known of this snapshot.
    pub(crate) orders: Vec<Order>,
}

impl PartialEq for ArrangeJob {
    /// The same question over the same snapshot.
    fn eq(&self, o: &Self) -> bool {
        self.view == o.view && self.snap.seq == o.snap.seq
    }
}

/// How it is arranged.
#[derive(Clone, Debug)]
pub struct ArrangeResult {
    pub(crate) view: View,
    pub(crate) snap: Arc<Snapshot>,
    pub(crate) done: ArrangeOutput,
}

/// What arranging makes.
#[derive(Clone, Debug)]
pub(crate) struct ArrangeOutput {
    pub(crate) arranged: Arranged,
    pub(crate) group_summaries: Vec<GroupSummary>,
    /// An order that was not known.
    pub(crate) order: Option<Order>,
}

impl ArrangeJob {
    /// Does it. Takes as long as there are rows.
    pub fn work(self) -> ArrangeResult {
        let done = arrange(&self.view, &self.snap, &self.orders);
        ArrangeResult { view: self.view, snap: self.snap, done }
    }
}

/// Arranges the snapshot's rows as asked.
pub(crate) fn arrange(view: &View, snap: &Snapshot, orders: &[Order]) -> ArrangeOutput {
    let keys = view.keys();
    let known = orders.iter().find(|o| o.seq == snap.seq && o.keys == keys);
    let mut order = None;
    let arranged = match known {
        Some(known) => view.arrange_sorted(snap, &known.rows),
        // The order of everything serves for every filter typed over this snapshot.
        None if view.filter.is_everything() => {
            let rows = Arc::new(view.sorted(snap));
            let arranged = view.arrange_sorted(snap, &rows);
            order = Some(Order { seq: snap.seq, keys, rows });
            arranged
        }
        None => view.arrange(snap),
    };
    let group_summaries =
        if view.table.is_sockets() { group_summaries(view, &arranged, snap) } else { Vec::new() };
    ArrangeOutput { arranged, group_summaries, order }
}

/// Sums up the groups of sockets.
fn group_summaries(view: &View, arranged: &Arranged, snap: &Snapshot) -> Vec<GroupSummary> {
    let mut processes = FxHashSet::default();
    let summary = |g: &crate::view::group::Group| {
        let rows = &arranged.rows[g.start as usize..(g.start + g.len) as usize];
        let live = rows.iter().filter(|r| (**r as usize) < snap.live).count() as u32;
        processes.clear();
        let mut first = None;
        let mut last = None;
        // A state as a whole has too many holders for one cell.
        if g.depth > 0 || view.group != Some(GroupBy::State) {
            for o in rows.iter().flat_map(|r| snap.owners(*r as usize)) {
                first.get_or_insert(o.process);
                // Neighbours mostly have the same.
                if last != Some(o.process) {
                    last = Some(o.process);
                    processes.insert(o.process);
                }
            }
        }
        let inbound = rows.first().is_some_and(|r| snap.facts[*r as usize].direction == Direction::In);
        let process = first.map(|p| (p, processes.len() as u32 - 1));
        GroupSummary { live, process, inbound }
    };
    arranged.groups.iter().map(summary).collect()
}
