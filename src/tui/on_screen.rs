//! Sockets and processes on screen. Each poll checks their owners and names first, so that none is older than one interval.

use super::app::App;
use super::view_state::ViewState;
use crate::model::{SHOWN_MAX, Shown, Snapshot};
use crate::table::Table;
use crate::view::Line;
use rustc_hash::FxHashSet;

/// List of sockets and processes without repetition, up to [`SHOWN_MAX`] each.
struct Collected<'a> {
    snap: &'a Snapshot,
    table: &'static Table,
    shown: Shown,
    seen: (FxHashSet<u64>, FxHashSet<u32>),
}

impl Collected<'_> {
    const fn is_full(&self) -> bool {
        self.shown.inodes.len() >= SHOWN_MAX
    }

    fn add_process(&mut self, index: u32) {
        let Some(p) = self.snap.sample.processes.get(index as usize) else { return };
        if self.shown.pids.len() < SHOWN_MAX && self.seen.1.insert(p.info.pid) {
            self.shown.pids.push(p.info.pid);
        }
    }

    fn add_row(&mut self, row: usize) {
        if row >= (self.table.len)(self.snap) {
            return;
        }
        for index in (self.table.owners)(self.snap, row) {
            self.add_process(index);
        }
        if let Some(index) = (self.table.process_of)(self.snap, row) {
            self.add_process(index);
        }
        for socket in (self.table.sockets)(self.snap, row) {
            if self.is_full() {
                return;
            }
            let inode = self.snap.live_sockets().get(socket as usize).map_or(0, |s| s.inode);
            if inode != 0 && self.seen.0.insert(inode) {
                self.shown.inodes.push(inode);
            }
        }
    }
}

/// The selected row, the visible rows, the process named in the header, and last the rows of visible group headers.
pub(crate) fn shown(app: &App, snap: &Snapshot, height: usize) -> Shown {
    // Each of several hosts checks what it can.
    if snap.merged.is_some() {
        return Shown::default();
    }
    let view_state = app.view_state();
    let mut all = Collected {
        snap,
        table: view_state.view.table,
        shown: Shown::default(),
        seen: (FxHashSet::default(), FxHashSet::default()),
    };
    // Lines belong to one snapshot.
    if !view_state.shows_snapshot(snap) {
        return Shown::clone(&app.last_shown);
    }
    if let Some(row) = view_state.row() {
        all.add_row(row);
    }
    let visible = view_state.lines.iter().skip(view_state.top).take(height.max(1));
    for line in visible.clone() {
        if let Line::Row(r) = line {
            all.add_row(*r as usize);
        }
    }
    if let Some((process, _)) = app.worst {
        all.add_process(process as u32);
    }
    for line in visible {
        if let Line::Group(g) = line {
            add_group(&mut all, view_state, *g);
        }
    }
    all.shown
}

fn add_group(all: &mut Collected<'_>, view_state: &ViewState, group: u32) {
    let Some(g) = view_state.arranged.groups.get(group as usize) else { return };
    let rows = view_state.arranged.rows.iter().skip(g.start as usize).take(g.len as usize);
    for r in rows {
        if all.is_full() {
            return;
        }
        all.add_row(*r as usize);
    }
}
