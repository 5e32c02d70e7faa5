//! What a screen or a list shows: which rows, in which order, in which groups.

use super::Table;
use super::filter::Filter;
use super::group::{self, Group, GroupBy};
use super::order::{self, SortKey};
use crate::model::Snapshot;
use std::borrow::Cow;

/// A question over one table.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The table.
    pub table: &'static Table,
    /// Which rows.
    pub filter: Filter,
    /// In which order; empty: the table's own.
    pub sort: Vec<SortKey>,
    /// In which groups.
    pub group: Option<GroupBy>,
    /// Whether sockets that closed a moment ago are there too.
    pub closed: bool,
}

impl View {
    /// Every row of a table in its own order, without groups.
    pub fn new(table: &'static Table) -> Self {
        Self { table, filter: Filter::everything(table), sort: Vec::new(), group: None, closed: false }
    }

    /// The sort order in force.
    pub fn order(&self) -> Cow<'_, [SortKey]> {
        if self.sort.is_empty() { Cow::Owned(order::default(self.table)) } else { Cow::Borrowed(&self.sort) }
    }

    /// The answer for one snapshot.
    pub fn arrange(&self, snap: &Snapshot) -> Arranged {
        let mut total = (self.table.len)(snap);
        if self.table.name == "list" && !self.closed {
            total = snap.live.min(total);
        }
        let matcher = self.filter.over(snap);
        let mut rows: Vec<u32> = (0..total as u32).filter(|r| matcher.matches(*r as usize)).collect();
        order::sort(&mut rows, snap, &self.order());
        let groups = match self.group {
            Some(by) => group::arrange(&mut rows, snap, self, by),
            None => Vec::new(),
        };
        Arranged { rows, groups, total }
    }
}

/// The answer to a question over one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arranged {
    /// Row numbers in order, group after group.
    pub rows: Vec<u32>,
    /// The groups, each before those within it; empty without grouping.
    pub groups: Vec<Group>,
    /// How many rows there were before filtering.
    pub total: usize,
}

/// One line of a list with groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The head of a group: its index in [`Arranged::groups`].
    Group(u32),
    /// A row: its number in the snapshot.
    Row(u32),
}

impl Arranged {
    /// The lines to show. Of a folded group only the head is there.
    pub fn lines(&self, folded: &dyn Fn(u64, u8) -> bool) -> Vec<Line> {
        let mut out = Vec::with_capacity(self.rows.len() + self.groups.len());
        let mut at = 0usize;
        let mut i = 0;
        while i < self.groups.len() {
            let g = &self.groups[i];
            let (start, end) = (g.start as usize, (g.start + g.len) as usize);
            // Rows of the group around it that stand before this one.
            out.extend(self.rows[at.min(start)..start].iter().map(|r| Line::Row(*r)));
            out.push(Line::Group(i as u32));
            at = start;
            i += 1;
            if folded(g.id, g.depth) {
                at = end;
                while self.groups.get(i).is_some_and(|inner| inner.depth > g.depth) {
                    i += 1;
                }
            }
        }
        out.extend(self.rows[at.min(self.rows.len())..].iter().map(|r| Line::Row(*r)));
        out
    }
}
