//! State of one view: its table, query, arranged rows, selection and scroll position.

mod preset;

use super::arrange::{self, ArrangeJob, ArrangeOutput, GroupSummary, Order};
use crate::filter::{Filter, FilterError, Names};
use crate::format::{Column, Role};
use crate::model::Snapshot;
use crate::table::{Grouping, Identity, Table, TableId, spans_namespaces};
use crate::view::group::GroupBy;
use crate::view::sort::{self, SortKey, largest_first};
use crate::view::{Arranged, Line, View};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Who a line is, across refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Group(u64),
    Row(Identity),
}

/// One view.
#[derive(Debug)]
pub(crate) struct ViewState {
    /// What is asked; its filter is the last good one.
    pub(crate) view: View,
    /// Index in the groupings.
    pub(crate) grouping: usize,
    /// The filter as it stands in the bar.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) error: Option<FilterError>,
    pub(crate) arranged: Arranged,
    /// How many of its rows are not just closed.
    pub(crate) shown: usize,
    /// Beside each group; of sockets only.
    pub(crate) group_summaries: Vec<GroupSummary>,
    pub(crate) lines: Vec<Line>,
    /// Groups whose fold is not the usual one.
    fold_overrides: FxHashSet<u64>,
    /// All groups closed by one key.
    all_closed: bool,
    pub(crate) selected: Option<Key>,
    /// Line of the selection.
    pub(crate) cursor: usize,
    /// First visible line.
    pub(crate) top: usize,
    /// Whether somebody chose the selection; else it stays at the top.
    chosen: bool,
    /// Whether the sockets are of several network namespaces; once so, the column stays.
    several: bool,
    /// Columns that somebody chose, in order.
    picked: Option<Vec<&'static Column>>,
    /// Rows that are marked, also while they are out of sight.
    pub(crate) marks: FxHashSet<Identity>,
    /// The row that was marked last.
    anchor: Option<Identity>,
    /// The column of the cell that was gone to, by name.
    pub(crate) selected_column: Option<&'static str>,
    /// Widest text seen in each column, by name: a column of text grows and never shrinks, so nothing moves to and fro.
    content_widths: Vec<(&'static str, u16)>,
    /// Whether it must be arranged anew before it is shown.
    pub(crate) stale: bool,
    /// Rows in order, for filtering the same snapshot again.
    orders: Vec<Order>,
    /// The snapshot that the lines are of.
    seq: u64,
    /// What was last asked to be arranged elsewhere.
    asked: Option<(u64, View)>,
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
            several: false,
            picked: None,
            marks: FxHashSet::default(),
            anchor: None,
            selected_column: None,
            content_widths: Vec::new(),
            stale: true,
            orders: Vec::new(),
            seq: 0,
            asked: None,
        };
        view_state.set_grouping(0);
        view_state
    }

    /// The table it shows.
    pub(crate) const fn id(&self) -> TableId {
        self.view.table.id
    }

    /// The grouping in force.
    pub(crate) fn grouping_now(&self) -> Grouping {
        self.view.table.groupings.get(self.grouping).copied().unwrap_or(Grouping::FLAT)
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

    /// Takes the text as the filter; on an error the last good one stays.
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

    /// The columns on screen: those chosen, else the usual ones without the one that every group's title says.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static Column> + '_ {
        let said = self.grouping_name().filter(|g| *g == "state");
        let usual = self.usual().filter(move |c| Some(c.name) != said);
        let (picked, usual) = match &self.picked {
            Some(p) => (Some(p.iter().copied()), None),
            None => (None, Some(usual)),
        };
        picked.into_iter().flatten().chain(usual.into_iter().flatten())
    }

    fn usual(&self) -> impl Iterator<Item = &'static Column> + use<> {
        let table = self.view.table;
        let places = table.with_role(Role::Netns).filter(|_| self.several);
        let names = table.defaults.iter().filter(|n| !table.in_gauge.contains(n)).chain(table.wide_columns);
        names.filter_map(move |n| table.column(n)).flat_map(move |c| {
            let after = places.filter(|_| Some(c.name) == table.netns_after);
            std::iter::once(c).chain(after)
        })
    }

    /// Whether a column is there on every screen that has room, and not only on a wide one.
    pub(crate) fn is_usual(&self, column: &Column) -> bool {
        self.picked.is_some() || column.is(Role::Netns) || self.view.table.defaults.contains(&column.name)
    }

    /// Shows these columns; `None`: the usual ones.
    pub(crate) fn pick(&mut self, columns: Option<Vec<&'static Column>>) {
        self.picked = columns.filter(|c| !c.is_empty());
        self.stale = true;
    }

    /// Whether somebody chose the columns.
    pub(crate) const fn is_picked(&self) -> bool {
        self.picked.is_some()
    }

    /// Every column there is, and whether it is shown: the shown ones in their order, then the others.
    pub(crate) fn choices(&self) -> Vec<(&'static Column, bool)> {
        let mut out: Vec<_> = self.columns().map(|c| (c, true)).collect();
        let rest = self.view.table.columns.iter().filter(|c| out.iter().all(|(o, _)| *o != *c));
        let rest: Vec<_> = rest.map(|c| (c, false)).collect();
        out.extend(rest);
        out
    }

    /// Shows or hides the column at a line of the choices; where it stands then. The last one stays.
    pub(crate) fn turn_column(&mut self, at: usize) -> usize {
        let choices = self.choices();
        let Some((column, shown)) = choices.get(at).copied() else { return at };
        let mut picked: Vec<_> = self.columns().collect();
        if shown && picked.len() == 1 {
            return at;
        }
        if shown {
            picked.retain(|c| *c != column);
        } else {
            picked.push(column);
        }
        let last = picked.len().saturating_sub(1);
        self.pick(Some(picked));
        if shown { at } else { last }
    }

    /// Moves the column at a line of the choices; where it stands then.
    pub(crate) fn move_column(&mut self, at: usize, by: i8) -> usize {
        let mut picked: Vec<_> = self.columns().collect();
        let to = at.saturating_add_signed(isize::from(by));
        if at >= picked.len() || to >= picked.len() {
            return at;
        }
        picked.swap(at, to);
        self.pick(Some(picked));
        to
    }

    /// Sorts by a column: numbers begin with the greatest. By the column that sorts already: turns it round.
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

    /// Width that a column of text asks for.
    pub(crate) fn content_width(&self, column: &Column) -> u16 {
        let seen = self.content_widths.iter().find(|(n, _)| *n == column.name).map_or(0, |(_, w)| *w);
        seen.max(column.title.len() as u16).max(column.width.min)
    }

    /// Arranges the snapshot's rows as asked, here and now.
    pub(crate) fn arrange(&mut self, snap: &Snapshot) {
        let done = arrange::arrange(&self.view, snap, &self.orders);
        self.take(done, snap);
        self.stale = false;
    }

    /// What is to be arranged elsewhere; `None` where that was asked for already.
    pub(crate) fn job(&mut self, snap: &Arc<Snapshot>) -> Option<ArrangeJob> {
        if self.asked.as_ref().is_some_and(|(seq, view)| *seq == snap.seq && *view == self.view) {
            return None;
        }
        self.asked = Some((snap.seq, self.view.clone()));
        self.orders.retain(|o| o.seq == snap.seq);
        Some(ArrangeJob { view: self.view.clone(), snap: Arc::clone(snap), orders: self.orders.clone() })
    }

    /// What was asked for may not come.
    pub(crate) fn forget(&mut self) {
        self.asked = None;
    }

    /// The same, if this is what was asked for last.
    pub(crate) fn forget_if(&mut self, seq: u64, view: &View) {
        if self.asked.as_ref().is_some_and(|(s, v)| *s == seq && v == view) {
            self.asked = None;
        }
    }

    /// Takes over what was arranged of this snapshot.
    pub(crate) fn take(&mut self, done: ArrangeOutput, snap: &Snapshot) {
        self.orders.retain(|o| o.seq == snap.seq);
        self.orders.extend(done.order);
        self.arranged = done.arranged;
        self.shown = {
            let live = (self.view.table.live)(snap);
            self.arranged.rows.iter().filter(|r| (**r as usize) < live).count()
        };
        self.group_summaries = done.group_summaries;
        self.seq = snap.seq;
        self.several = self.several || spans_namespaces(snap);
        self.rebuild_lines(snap);
    }

    /// Whether its lines are those of this snapshot.
    pub(crate) fn is_of(&self, snap: &Snapshot) -> bool {
        self.seq == snap.seq
    }

    /// Shows nothing until it is arranged: its lines are of a snapshot that is gone.
    pub(crate) fn clear(&mut self) {
        self.arranged = Arranged::default();
        self.shown = 0;
        self.group_summaries.clear();
        self.lines.clear();
    }

    /// Whether a group is closed: in the view by state the states are open and the endpoints in them closed, in
    /// others all are closed, and each can be overridden.
    fn is_closed(&self, id: u64, depth: u8) -> bool {
        let usual = self.all_closed || depth > 0 || self.grouping_name() != Some("state");
        usual != self.fold_overrides.contains(&id)
    }

    pub(crate) fn is_group_closed(&self, group: u32) -> bool {
        let g = &self.arranged.groups[group as usize];
        self.is_closed(g.id, g.depth)
    }

    /// Makes the lines of what is arranged; selection and scroll go where their row went.
    fn rebuild_lines(&mut self, snap: &Snapshot) {
        self.lines = self.arranged.lines(&|id, depth| self.is_closed(id, depth));
        if self.view.group == Some(GroupBy::Local) {
            // An endpoint with one socket needs no head.
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
                // Most often it has not moved, or not far.
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

    /// Who the line is.
    pub(crate) fn key(&self, snap: &Snapshot, line: Line) -> Option<Key> {
        match line {
            Line::Group(g) => Some(Key::Group(self.arranged.groups.get(g as usize)?.id)),
            Line::Row(r) => (self.view.table.identity)(snap, r as usize).map(Key::Row),
        }
    }

    /// The row at the selection.
    pub(crate) fn row(&self) -> Option<usize> {
        match self.lines.get(self.cursor)? {
            Line::Row(r) => Some(*r as usize),
            Line::Group(_) => None,
        }
    }

    /// Selects a line.
    pub(crate) fn select(&mut self, snap: &Snapshot, line: usize) {
        self.cursor = line.min(self.lines.len().saturating_sub(1));
        self.selected = self.lines.get(self.cursor).and_then(|l| self.key(snap, *l));
        self.chosen = true;
    }

    /// Selects the first line, and stays there whatever comes.
    pub(crate) fn go_top(&mut self, snap: &Snapshot) {
        self.select(snap, 0);
        self.top = 0;
        self.chosen = false;
    }

    /// Scrolls so that the selection is among `height` lines and no room is wasted.
    pub(crate) fn show_cursor(&mut self, height: usize) {
        if self.lines.is_empty() {
            return;
        }
        let height = height.max(1);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
        self.top = self.top.min(self.lines.len().saturating_sub(height));
    }

    /// Scrolls by lines; the selection follows only to stay in sight.
    pub(crate) fn scroll(&mut self, snap: &Snapshot, by: isize, height: usize) {
        let last = self.lines.len().saturating_sub(height.max(1));
        self.top = self.top.saturating_add_signed(by).min(last);
        let seen = self.cursor.clamp(self.top, self.top + height.saturating_sub(1));
        if seen != self.cursor {
            self.select(snap, seen);
        }
        self.chosen = self.top > 0 || self.cursor > 0;
    }

    /// The line of the group around a line, or before it.
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

    /// The line after the open group within a group that stands at or before this line; 0 for none.
    pub(crate) fn nested_until(&self, line: usize) -> usize {
        let head =
            (0..=line.min(self.lines.len().saturating_sub(1))).rev().find_map(|i| match self.lines.get(i) {
                Some(Line::Group(g)) => Some((i, *g)),
                _ => None,
            });
        head.map_or(0, |(at, g)| self.nested_end(at, g))
    }

    /// The line after a group within a group, whose head stands at this line; 0 when it is none, or closed.
    pub(crate) fn nested_end(&self, at: usize, group: u32) -> usize {
        match self.arranged.groups.get(group as usize) {
            Some(g) if g.depth > 0 && !self.is_group_closed(group) => at + 1 + g.len as usize,
            _ => 0,
        }
    }

    /// Goes to the next group or the one before.
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

    /// Opens or closes the group at the selection; whether there was one to turn.
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

    /// Marks the selected row, or the rows of the selected group, or takes the marks away; goes on to the next line.
    pub(crate) fn mark(&mut self, snap: &Snapshot) {
        let id = self.row().and_then(|r| (self.view.table.identity)(snap, r));
        if let Some(id) = id {
            if !self.marks.remove(&id) {
                self.marks.insert(id);
            }
            self.anchor = Some(id);
        } else if let Some(Line::Group(g)) = self.lines.get(self.cursor)
            && let Some(g) = self.arranged.groups.get(*g as usize)
        {
            let rows = &self.arranged.rows[g.start as usize..(g.start + g.len) as usize];
            let ids: Vec<_> =
                rows.iter().filter_map(|r| (self.view.table.identity)(snap, *r as usize)).collect();
            if ids.iter().all(|id| self.marks.contains(id)) {
                self.marks.retain(|m| !ids.contains(m));
            } else {
                self.marks.extend(ids);
            }
        }
        self.select(snap, self.cursor + 1);
    }

    /// Marks all rows from the last mark to the selected one.
    pub(crate) fn mark_range(&mut self, snap: &Snapshot) {
        let identity = self.view.table.identity;
        let of = |l: &Line| match l {
            Line::Row(r) => identity(snap, *r as usize),
            Line::Group(_) => None,
        };
        let from = self.anchor.and_then(|id| self.lines.iter().position(|l| of(l) == Some(id)));
        let from = from.unwrap_or(self.cursor);
        let (low, high) = (from.min(self.cursor), from.max(self.cursor));
        let ids = self.lines.get(low..=high).unwrap_or_default().iter().filter_map(of);
        self.marks.extend(ids);
        self.anchor = self.lines.get(self.cursor).and_then(of);
    }

    /// Stands at that line as soon as it is there.
    pub(crate) fn stand_at(&mut self, key: Key) {
        self.selected = Some(key);
        self.chosen = true;
        self.stale = true;
    }

    /// Marks every row that the filter lets through, or takes all marks away where there are any.
    pub(crate) fn mark_all(&mut self, snap: &Snapshot) {
        if self.marks.is_empty() {
            let identity = self.view.table.identity;
            self.marks = self.arranged.rows.iter().filter_map(|r| identity(snap, *r as usize)).collect();
        } else {
            self.marks.clear();
        }
    }

    /// The rows that are marked and still there.
    pub(crate) fn marked(&self, snap: &Snapshot) -> Vec<usize> {
        if self.marks.is_empty() {
            return vec![];
        }
        let table = self.view.table;
        let marked = |r: &usize| (table.identity)(snap, *r).is_some_and(|id| self.marks.contains(&id));
        (0..(table.len)(snap)).filter(marked).collect()
    }

    /// Whether a row is marked.
    pub(crate) fn is_marked(&self, snap: &Snapshot, row: usize) -> bool {
        !self.marks.is_empty()
            && (self.view.table.identity)(snap, row).is_some_and(|id| self.marks.contains(&id))
    }

    /// Selects a row, and opens the groups it is in; whether it is there at all.
    pub(crate) fn reveal(&mut self, snap: &Snapshot, row: usize) -> bool {
        let Some(at) = self.arranged.rows.iter().position(|r| *r as usize == row) else { return false };
        let around = |g: &crate::view::group::Group| (g.start..g.start + g.len).contains(&(at as u32));
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
        // The selection goes to the outermost group, which stays visible.
        while let Some(i) = self.group_line(self.cursor, true) {
            self.select(snap, i);
        }
        let usual = self.grouping_name() == Some("state");
        if usual {
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
