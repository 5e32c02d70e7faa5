//! State of one view: its table, query, arranged rows, selection and scroll position.

mod preset;

use super::arrange::{self, ArrangeJob, ArrangeOutput, GroupSummary, Order};
use crate::filter::{Filter, FilterError, Names};
use crate::format::{Column, Role};
use crate::model::Snapshot;
use crate::table::{Collapsed, Grouping, HOSTNAME_COLUMN, RowId, Table, TableId, spans_namespaces};
use crate::view::group::{self, GroupBy};
use crate::view::sort::{self, SortKey, largest_first};
use crate::view::{Arranged, Line, View};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Identity of a line across snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Group(u64),
    Row(RowId),
}

/// State of one view.
#[derive(Debug)]
pub(crate) struct ViewState {
    /// The query; its filter is the last valid one.
    pub(crate) view: View,
    /// Index of the grouping.
    pub(crate) grouping: usize,
    /// Text of the filter bar.
    pub(crate) text: String,
    /// Error of the filter.
    pub(crate) error: Option<FilterError>,
    pub(crate) arranged: Arranged,
    /// Number of rows without sockets that have just closed.
    pub(crate) shown: usize,
    /// Summary of each group; for sockets only.
    pub(crate) group_summaries: Vec<GroupSummary>,
    pub(crate) lines: Vec<Line>,
    /// Groups expanded or collapsed against the default.
    fold_overrides: FxHashSet<u64>,
    /// True if all groups were collapsed by one key.
    all_closed: bool,
    pub(crate) selected: Option<Key>,
    /// Line of the selection.
    pub(crate) cursor: usize,
    /// First visible line.
    pub(crate) top: usize,
    /// True if the user moved the selection; else it stays at the top.
    chosen: bool,
    /// True if sockets of several network namespaces were seen; the column stays from then on.
    multiple_netns: bool,
    /// True if rows are of several hosts: the host is a column and a grouping.
    pub(crate) multiple_hosts: bool,
    /// Grouping beside those of the table.
    more_grouping: Option<Grouping>,
    /// Columns chosen by the user, in order.
    chosen_columns: Option<Vec<&'static Column>>,
    /// Marked rows, visible or not.
    pub(crate) marks: FxHashSet<RowId>,
    /// The row marked last.
    anchor: Option<RowId>,
    /// Column of the selected cell, by name.
    pub(crate) selected_column: Option<&'static str>,
    /// Maximum content width of each column, by name: columns grow and never shrink, so that the table does not jitter.
    content_widths: Vec<(&'static str, u16)>,
    /// True if the rows must be rearranged before they are shown.
    pub(crate) stale: bool,
    /// Sort orders, for filtering the same snapshot again.
    orders: Vec<Order>,
    /// Sequence number of the snapshot of the lines.
    seq: u64,
    /// The last background job: snapshot and view.
    last_job: Option<(u64, View)>,
}

impl ViewState {
    pub(crate) fn new(table: &'static Table) -> Self {
        let mut view_state = Self {
            view: View {
                table,
                filter: Filter::everything(table),
                sort: sort::default(table),
                group: None,
                closed: true,
            },
            grouping: 0,
            text: String::new(),
            error: None,
            arranged: Arranged::default(),
            shown: 0,
            group_summaries: Vec::new(),
            lines: Vec::new(),
            fold_overrides: FxHashSet::default(),
            all_closed: false,
            selected: None,
            cursor: 0,
            top: 0,
            chosen: false,
            multiple_netns: false,
            multiple_hosts: false,
            more_grouping: None,
            chosen_columns: None,
            marks: FxHashSet::default(),
            anchor: None,
            selected_column: None,
            content_widths: Vec::new(),
            stale: true,
            orders: Vec::new(),
            seq: 0,
            last_job: None,
        };
        view_state.set_grouping(0);
        view_state
    }

    /// The table shown.
    pub(crate) const fn id(&self) -> TableId {
        self.view.table.id
    }

    /// The current grouping.
    pub(crate) fn grouping_now(&self) -> Grouping {
        self.groupings().nth(self.grouping).unwrap_or(Grouping::FLAT)
    }

    /// Groupings on offer.
    pub(crate) fn groupings(&self) -> impl Iterator<Item = Grouping> + use<> {
        let by_host = self.multiple_hosts.then_some(Grouping::BY_HOST);
        self.view.table.groupings.iter().copied().chain(by_host).chain(self.more_grouping)
    }

    /// Sets the order and the grouping that the dashboard starts with.
    pub(crate) fn start(&mut self, sort: Option<Vec<SortKey>>, grouping: Option<Grouping>) {
        if let Some(sort) = sort {
            self.view.sort = sort;
        }
        let Some(grouping) = grouping else { return };
        let known = self.groupings().position(|g| g.name == grouping.name);
        if known.is_none() {
            self.more_grouping = Some(grouping);
        }
        self.set_grouping(known.unwrap_or_else(|| self.groupings().count() - 1));
    }

    pub(crate) fn grouping_name(&self) -> Option<&'static str> {
        self.grouping_now().name
    }

    pub(crate) fn set_grouping(&mut self, index: usize) {
        self.grouping = index;
        self.view.group = self.grouping_name().and_then(|n| GroupBy::parse(n, self.view.table).ok());
        self.fold_overrides.clear();
        self.all_closed = false;
        self.stale = true;
    }

    /// Sets the filter; on an error the last valid one stays in force.
    pub(crate) fn set_filter(&mut self, text: String, names: Names<'_>) {
        match Filter::parse_named(&text, self.view.table, names) {
            Ok(f) => {
                self.view.filter = f;
                self.error = None;
                self.stale = true;
            }
            Err(e) => self.error = Some(e),
        }
        self.text = text;
    }

    /// Columns shown: those chosen, else the default ones without the one in the group titles.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static Column> + '_ {
        let in_titles = self.grouping_name().filter(|g| *g == "state");
        let usual = self.usual().filter(move |c| Some(c.name) != in_titles);
        let (chosen_columns, usual) = match &self.chosen_columns {
            Some(p) => (Some(p.iter().copied()), None),
            None => (None, Some(usual)),
        };
        chosen_columns.into_iter().flatten().chain(usual.into_iter().flatten())
    }

    fn usual(&self) -> impl Iterator<Item = &'static Column> + use<> {
        let table = self.view.table;
        let places = table.with_role(Role::Netns).filter(|_| self.multiple_netns);
        let names = table.defaults.iter().filter(|n| !table.in_gauge.contains(n)).chain(table.wide_columns);
        let host = table.column(HOSTNAME_COLUMN).filter(|_| self.multiple_hosts);
        host.into_iter().chain(names.filter_map(move |n| table.column(n))).flat_map(move |c| {
            let after = places.filter(|_| Some(c.name) == table.netns_after);
            std::iter::once(c).chain(after)
        })
    }

    /// True if a column is shown on any screen with room, and not only on a wide one.
    pub(crate) fn is_usual(&self, column: &Column) -> bool {
        self.chosen_columns.is_some()
            || column.is(Role::Netns)
            || (self.multiple_hosts && column.name == HOSTNAME_COLUMN)
            || self.view.table.defaults.contains(&column.name)
    }

    /// Shows these columns; `None`: the default ones.
    pub(crate) fn choose_columns(&mut self, columns: Option<Vec<&'static Column>>) {
        self.chosen_columns = columns.filter(|c| !c.is_empty());
        self.stale = true;
    }

    /// True if the user chose the columns.
    pub(crate) const fn has_chosen_columns(&self) -> bool {
        self.chosen_columns.is_some()
    }

    /// Every column and whether it is shown: those shown in their order, then the others.
    pub(crate) fn choices(&self) -> Vec<(&'static Column, bool)> {
        let mut out: Vec<_> = self.columns().map(|c| (c, true)).collect();
        let rest = self.view.table.columns.iter().filter(|c| out.iter().all(|(o, _)| *o != *c));
        let rest: Vec<_> = rest.map(|c| (c, false)).collect();
        out.extend(rest);
        out
    }

    /// Shows or hides the column at a line of the choices; returns its new line. The last shown column stays.
    pub(crate) fn toggle_column(&mut self, at: usize) -> usize {
        let choices = self.choices();
        let Some((column, shown)) = choices.get(at).copied() else { return at };
        let mut chosen_columns: Vec<_> = self.columns().collect();
        if shown && chosen_columns.len() == 1 {
            return at;
        }
        if shown {
            chosen_columns.retain(|c| *c != column);
        } else {
            chosen_columns.push(column);
        }
        let last = chosen_columns.len().saturating_sub(1);
        self.choose_columns(Some(chosen_columns));
        if shown { at } else { last }
    }

    /// Moves the column at a line of the choices; returns its new line.
    pub(crate) fn move_column(&mut self, at: usize, by: i8) -> usize {
        let mut chosen_columns: Vec<_> = self.columns().collect();
        let to = at.saturating_add_signed(isize::from(by));
        if at >= chosen_columns.len() || to >= chosen_columns.len() {
            return at;
        }
        chosen_columns.swap(at, to);
        self.choose_columns(Some(chosen_columns));
        to
    }

    /// Sorts by a column, numbers largest first; reverses the order if it is the sort column already.
    pub(crate) fn sort_by(&mut self, column: &'static Column) {
        let first = self.view.sort.first();
        if first.is_some_and(|k| k.column.name == column.name) {
            self.reverse();
        } else {
            self.view.sort = vec![SortKey { column, descending: largest_first(column) }];
            self.stale = true;
        }
    }

    pub(crate) fn reverse(&mut self) {
        if let Some(k) = self.view.sort.first_mut() {
            k.descending = !k.descending;
            self.stale = true;
        }
    }

    /// Records the width of a text seen in a column.
    pub(crate) fn widen(&mut self, column: &Column, width: u16) {
        match self.content_widths.iter_mut().find(|(n, _)| *n == column.name) {
            Some((_, seen)) => *seen = width.max(*seen),
            None => self.content_widths.push((column.name, width)),
        }
    }

    /// Content width of a text column.
    pub(crate) fn content_width(&self, column: &Column) -> u16 {
        let seen = self.content_widths.iter().find(|(n, _)| *n == column.name).map_or(0, |(_, w)| *w);
        seen.max(column.title.len() as u16).max(column.width.min)
    }

    /// Arranges the rows of a snapshot in this thread.
    pub(crate) fn arrange(&mut self, snap: &Snapshot) {
        let done = arrange::arrange(&self.view, snap, &self.orders);
        self.take(done, snap);
        self.stale = false;
    }

    /// A background job for a snapshot; `None` if it is already running.
    pub(crate) fn job(&mut self, snap: &Arc<Snapshot>) -> Option<ArrangeJob> {
        if self.last_job.as_ref().is_some_and(|(seq, view)| *seq == snap.seq && *view == self.view) {
            return None;
        }
        self.last_job = Some((snap.seq, self.view.clone()));
        self.orders.retain(|o| o.seq == snap.seq);
        Some(ArrangeJob { view: self.view.clone(), snap: Arc::clone(snap), orders: self.orders.clone() })
    }

    /// Forgets the last background job, whose result may not arrive.
    pub(crate) fn forget_job(&mut self) {
        self.last_job = None;
    }

    /// Forgets the last background job if it is this one.
    pub(crate) fn forget_job_if(&mut self, seq: u64, view: &View) {
        if self.last_job.as_ref().is_some_and(|(s, v)| *s == seq && v == view) {
            self.last_job = None;
        }
    }

    /// Takes over arranged rows of a snapshot.
    pub(crate) fn take(&mut self, done: ArrangeOutput, snap: &Snapshot) {
        self.orders.retain(|o| o.seq == snap.seq);
        self.orders.extend(done.order);
        self.arranged = done.arranged;
        self.shown = {
            let live = self.view.table.live_rows(snap);
            self.arranged.rows.iter().filter(|r| (**r as usize) < live).count()
        };
        self.group_summaries = done.group_summaries;
        self.seq = snap.seq;
        self.multiple_netns = self.multiple_netns || spans_namespaces(snap);
        self.rebuild_lines(snap);
    }

    /// True if the lines are of this snapshot.
    pub(crate) fn shows_snapshot(&self, snap: &Snapshot) -> bool {
        self.seq == snap.seq
    }

    /// Clears the lines, which are of an earlier snapshot.
    pub(crate) fn clear(&mut self) {
        self.arranged = Arranged::default();
        self.shown = 0;
        self.group_summaries.clear();
        self.lines.clear();
    }

    /// True if a group is collapsed: by default as its grouping has it.
    fn is_closed(&self, id: u64, depth: u8) -> bool {
        let usual = match self.grouping_now().collapsed {
            Collapsed::All => true,
            _ if self.all_closed => true,
            Collapsed::Nested => depth > 0,
            Collapsed::Value(text) => {
                let groups = &self.arranged.groups;
                groups.len() > 1
                    && groups.iter().any(|g| g.id == id && matches!(&g.key, group::Key::Text(t) if t == text))
            }
        };
        usual != self.fold_overrides.contains(&id)
    }

    pub(crate) fn is_group_closed(&self, group: u32) -> bool {
        let g = &self.arranged.groups[group as usize];
        self.is_closed(g.id, g.depth)
    }

    /// Rebuilds the lines; selection and scroll position follow their row.
    fn rebuild_lines(&mut self, snap: &Snapshot) {
        self.lines = self.arranged.lines(&|id, depth| self.is_closed(id, depth));
        if self.view.group == Some(GroupBy::Local) {
            // An endpoint with one socket gets no group line.
            let Arranged { groups, rows, .. } = &self.arranged;
            let mut alone = None;
            self.lines.retain_mut(|line| match *line {
                Line::Group(g) if groups[g as usize].len == 1 => {
                    let row = rows[groups[g as usize].start as usize];
                    alone = Some(row);
                    *line = Line::Row(row);
                    true
                }
                Line::Row(r) => alone != Some(r),
                Line::Group(_) => true,
            });
        }
        let offset = self.cursor.saturating_sub(self.top);
        if self.chosen {
            let found = self.selected.and_then(|key| {
                // Usually the line has not moved.
                let near = self.lines.get(self.cursor).filter(|l| self.key(snap, **l) == Some(key));
                near.map(|_| self.cursor)
                    .or_else(|| self.lines.iter().position(|l| self.key(snap, *l) == Some(key)))
            });
            match found {
                Some(i) => self.cursor = i,
                None => self.select(snap, self.cursor),
            }
            self.top = self.cursor.saturating_sub(offset);
        } else {
            self.cursor = 0;
            self.top = 0;
            self.selected = self.lines.first().and_then(|l| self.key(snap, *l));
        }
    }

    /// Identity of a line.
    pub(crate) fn key(&self, snap: &Snapshot, line: Line) -> Option<Key> {
        match line {
            Line::Group(g) => Some(Key::Group(self.arranged.groups.get(g as usize)?.id)),
            Line::Row(r) => self.view.table.row_id(snap, r as usize).map(Key::Row),
        }
    }

    /// The selected row.
    pub(crate) fn row(&self) -> Option<usize> {
        match self.lines.get(self.cursor)? {
            Line::Row(r) => Some(*r as usize),
            Line::Group(_) => None,
        }
    }

    /// The selected row, or those of the selected group.
    pub(crate) fn selected_rows(&self) -> &[u32] {
        match self.lines.get(self.cursor) {
            Some(Line::Row(r)) => std::slice::from_ref(r),
            Some(Line::Group(g)) => {
                self.arranged.groups.get(*g as usize).map_or(&[], |g| self.arranged.members(g))
            }
            None => &[],
        }
    }

    /// Selects a line.
    pub(crate) fn select(&mut self, snap: &Snapshot, line: usize) {
        self.cursor = line.min(self.lines.len().saturating_sub(1));
        self.selected = self.lines.get(self.cursor).and_then(|l| self.key(snap, *l));
        self.chosen = true;
    }

    /// Selects the first line and keeps the selection at the top.
    pub(crate) fn go_top(&mut self, snap: &Snapshot) {
        self.select(snap, 0);
        self.top = 0;
        self.chosen = false;
    }

    /// Scrolls so that the selection is visible within `height` lines and the screen is full.
    pub(crate) fn show_cursor(&mut self, height: usize) {
        if self.lines.is_empty() {
            return;
        }
        let height = height.max(1);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
        self.top = self.top.min(self.lines.len().saturating_sub(height));
    }

    /// Scrolls by lines; the selection moves only to stay visible.
    pub(crate) fn scroll(&mut self, snap: &Snapshot, by: isize, height: usize) {
        let last = self.lines.len().saturating_sub(height.max(1));
        self.top = self.top.saturating_add_signed(by).min(last);
        let seen = self.cursor.clamp(self.top, self.top + height.saturating_sub(1));
        if seen != self.cursor {
            self.select(snap, seen);
        }
        self.chosen = self.top > 0 || self.cursor > 0;
    }

    /// Line of the parent group (`outer`), or of the previous group.
    fn group_line(&self, from: usize, outer: bool) -> Option<usize> {
        let depth = match self.lines.get(from)? {
            Line::Group(g) => self.arranged.groups[*g as usize].depth,
            Line::Row(_) if from >= self.nested_until(from) => 1,
            Line::Row(_) => u8::MAX,
        };
        (0..from).rev().find(|i| match self.lines[*i] {
            Line::Group(g) => !outer || self.arranged.groups[g as usize].depth < depth,
            Line::Row(_) => false,
        })
    }

    /// End of the expanded nested group at or before this line; 0 for none.
    pub(crate) fn nested_until(&self, line: usize) -> usize {
        let head =
            (0..=line.min(self.lines.len().saturating_sub(1))).rev().find_map(|i| match self.lines.get(i) {
                Some(Line::Group(g)) => Some((i, *g)),
                _ => None,
            });
        head.map_or(0, |(at, g)| self.nested_end(at, g))
    }

    /// End of the nested group whose head is at this line; 0 if it is not nested, or collapsed.
    pub(crate) fn nested_end(&self, at: usize, group: u32) -> usize {
        match self.arranged.groups.get(group as usize) {
            Some(g) if g.depth > 0 && !self.is_group_closed(group) => at + 1 + g.len as usize,
            _ => 0,
        }
    }

    /// Selects the next (1) or previous group.
    pub(crate) fn go_group(&mut self, snap: &Snapshot, by: i8) {
        let to = if by > 0 {
            (self.cursor + 1..self.lines.len()).find(|i| matches!(self.lines[*i], Line::Group(_)))
        } else {
            self.group_line(self.cursor, false)
        };
        if let Some(i) = to {
            self.select(snap, i);
        }
    }

    /// Expands or collapses the selected group; `false` if no group is selected.
    pub(crate) fn toggle(&mut self, snap: &Snapshot) -> bool {
        let Some(Line::Group(g)) = self.lines.get(self.cursor) else { return false };
        let id = self.arranged.groups[*g as usize].id;
        if !self.fold_overrides.remove(&id) {
            self.fold_overrides.insert(id);
        }
        self.chosen = true;
        self.rebuild_lines(snap);
        true
    }

    /// Marks or unmarks the selected row, or the rows of the selected group, and selects the next line.
    pub(crate) fn mark(&mut self, snap: &Snapshot) {
        let id = self.row().and_then(|r| self.view.table.row_id(snap, r));
        if let Some(id) = id {
            if !self.marks.remove(&id) {
                self.marks.insert(id);
            }
            self.anchor = Some(id);
        } else if let Some(Line::Group(g)) = self.lines.get(self.cursor)
            && let Some(g) = self.arranged.groups.get(*g as usize)
        {
            let rows = &self.arranged.rows[g.start as usize..(g.start + g.len) as usize];
            let ids: Vec<_> = rows.iter().filter_map(|r| self.view.table.row_id(snap, *r as usize)).collect();
            if ids.iter().all(|id| self.marks.contains(id)) {
                self.marks.retain(|m| !ids.contains(m));
            } else {
                self.marks.extend(ids);
            }
        }
        self.select(snap, self.cursor + 1);
    }

    /// Marks all rows from the last mark to the selection.
    pub(crate) fn mark_range(&mut self, snap: &Snapshot) {
        let table = self.view.table;
        let row_identity = |l: &Line| match l {
            Line::Row(r) => table.row_id(snap, *r as usize),
            Line::Group(_) => None,
        };
        let from = self.anchor.and_then(|id| self.lines.iter().position(|l| row_identity(l) == Some(id)));
        let from = from.unwrap_or(self.cursor);
        let (low, high) = (from.min(self.cursor), from.max(self.cursor));
        let ids = self.lines.get(low..=high).unwrap_or_default().iter().filter_map(row_identity);
        self.marks.extend(ids);
        self.anchor = self.lines.get(self.cursor).and_then(row_identity);
    }

    /// Selects a line as soon as it exists.
    pub(crate) fn select_when_present(&mut self, key: Key) {
        self.selected = Some(key);
        self.chosen = true;
        self.stale = true;
    }

    /// Marks all rows that match the filter, or clears the marks if there are any.
    pub(crate) fn mark_all(&mut self, snap: &Snapshot) {
        if self.marks.is_empty() {
            let table = self.view.table;
            self.marks = self.arranged.rows.iter().filter_map(|r| table.row_id(snap, *r as usize)).collect();
        } else {
            self.marks.clear();
        }
    }

    /// Marked rows that still exist.
    pub(crate) fn marked(&self, snap: &Snapshot) -> Vec<usize> {
        if self.marks.is_empty() {
            return vec![];
        }
        let table = self.view.table;
        let marked = |r: &usize| table.row_id(snap, *r).is_some_and(|id| self.marks.contains(&id));
        (0..table.rows(snap)).filter(marked).collect()
    }

    /// True if a row is marked.
    pub(crate) fn is_marked(&self, snap: &Snapshot, row: usize) -> bool {
        !self.marks.is_empty() && self.view.table.row_id(snap, row).is_some_and(|id| self.marks.contains(&id))
    }

    /// Selects a row and expands its groups; `false` if it is not in the view.
    pub(crate) fn reveal(&mut self, snap: &Snapshot, row: usize) -> bool {
        let Some(at) = self.arranged.rows.iter().position(|r| *r as usize == row) else { return false };
        let around = |g: &group::Group| (g.start..g.start + g.len).contains(&(at as u32));
        let closed: Vec<u64> = self
            .arranged
            .groups
            .iter()
            .filter(|g| around(g) && self.is_closed(g.id, g.depth))
            .map(|g| g.id)
            .collect();
        for id in closed {
            if !self.fold_overrides.remove(&id) {
                self.fold_overrides.insert(id);
            }
        }
        self.rebuild_lines(snap);
        match self.lines.iter().position(|l| *l == Line::Row(row as u32)) {
            Some(line) => {
                self.select(snap, line);
                true
            }
            None => false,
        }
    }

    pub(crate) fn open(&mut self, snap: &Snapshot) {
        if let Some(Line::Group(g)) = self.lines.get(self.cursor) {
            if self.is_group_closed(*g) {
                self.toggle(snap);
            } else {
                self.select(snap, self.cursor + 1);
            }
        }
    }

    pub(crate) fn close(&mut self, snap: &Snapshot) {
        match self.lines.get(self.cursor) {
            Some(Line::Group(g)) if !self.is_group_closed(*g) => {
                self.toggle(snap);
            }
            _ => {
                if let Some(i) = self.group_line(self.cursor, true) {
                    self.select(snap, i);
                }
            }
        }
    }

    pub(crate) fn fold_all(&mut self, snap: &Snapshot) {
        // The outermost group stays visible.
        while let Some(i) = self.group_line(self.cursor, true) {
            self.select(snap, i);
        }
        if self.grouping_now().collapsed != Collapsed::All {
            self.all_closed = !self.all_closed;
            self.fold_overrides.clear();
        } else if self.fold_overrides.is_empty() {
            self.fold_overrides = self.arranged.groups.iter().map(|g| g.id).collect();
        } else {
            self.fold_overrides.clear();
        }
        self.rebuild_lines(snap);
    }
}
