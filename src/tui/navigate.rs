//! Moves between views, rows and earlier locations.

use super::app::App;
use crate::model::Snapshot;
use crate::model::lang::tr;
use crate::model::limit::{Limit, LimitKind};
use crate::msg;
use crate::table::TableId;
use std::sync::Arc;

/// Switches to a view; notes if the filter of the previous view does not apply there.
pub(crate) fn to_view(app: &mut App, to: usize) {
    let from = app.view_state();
    let left = (to != app.active && !from.text.trim().is_empty()).then_some(from.view.table.title);
    app.active = to;
    app.overlay = None;
    app.details_top = 0;
    if let Some(title) = left.filter(|_| app.view_state().text.trim().is_empty()) {
        app.status_message = Some(msg!("no filter in this view ({} keeps its own)", title));
    }
}

/// Selects the peer socket of the selected connection.
pub(crate) fn to_peer(app: &mut App) {
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state();
    let here = view_state.row().filter(|_| view_state.view.table.is_sockets());
    let Some(row) = here else { return };
    let hidden = tr("peer socket hidden by the current filter");
    let (on, here) = snap.at(TableId::Sockets, row);
    let host = snap.host_index(TableId::Sockets, row);
    let number = |row: usize| match &snap.merged {
        Some(m) => m.row(TableId::Sockets, host, row).map(|r| r as usize),
        None => Some(row),
    };
    let found = on.local_peer(here).and_then(number).or_else(|| on_other_host(&snap, on, here));
    app.status_message = match found {
        Some(other) => {
            app.nav_history.push_location();
            if app.view_state_mut().reveal(&snap, other) { None } else { Some(hidden.to_owned()) }
        }
        None if on.local_peers.is_empty() => {
            // Peers are searched for while the details are open.
            app.details = true;
            Some(msg!("searching for the peer socket; press {} again", app.key_label("go-to-peer")))
        }
        None if snap.merged.is_some() => Some(tr("the peer is on none of these hosts").to_owned()),
        None => Some(tr("the peer is not on this host").to_owned()),
    };
}

/// Row of the other end of a connection on another host, among those of all hosts.
fn on_other_host(snap: &Snapshot, on: &Snapshot, row: usize) -> Option<usize> {
    let (merged, peer) = (snap.merged.as_ref()?, on.host_peers.get(row)?);
    let host = &merged.hosts.get(peer.host)?.snap;
    // A display that is paused has earlier snapshots than those that were joined last.
    let there =
        if Arc::ptr_eq(host, &peer.snap) { peer.row } else { host.find(peer.snap.get_socket(peer.row)?.id)? };
    merged.row(TableId::Sockets, peer.host, there).map(|r| r as usize)
}

/// Opens the limit of the top alert.
pub(crate) fn to_top_alert(app: &mut App) {
    let Some(snap) = &app.snapshot else { return };
    let worst = app.worst.map(|(process, _)| process as u32);
    let descriptors = |number: &usize| {
        let (on, row) = snap.at(TableId::Limits, *number);
        let host = snap.host_index(TableId::Limits, *number);
        let is_of = |l: &Limit| l.process.is_some_and(|p| Some(snap.process_number(host, p)) == worst);
        on.limits.get(row).is_some_and(|l| l.kind == LimitKind::Fds && is_of(l))
    };
    let limit = match snap.alerts.first() {
        Some(a) => Some(a.limit as usize),
        None => (0..TableId::Limits.table().rows(snap)).find(descriptors),
    };
    match limit {
        Some(limit) => to_limit(app, limit),
        None => app.active = TableId::Limits as usize,
    }
}

/// Opens a limit, by its row.
pub(crate) fn to_limit(app: &mut App, row: usize) {
    let Some(snap) = app.snapshot.clone() else { return };
    app.active = TableId::Limits as usize;
    app.details_top = 0;
    app.view_state_mut().arrange(&snap);
    if !app.view_state_mut().reveal(&snap, row) {
        app.status_message = Some(tr("hidden by the current filter").to_owned());
    }
}

/// Restores the settings before the last change (undo), or those undone last (redo).
pub(crate) fn undo(app: &mut App, redo: bool) {
    let Some((view, settings, left)) = app.nav_history.step(redo) else {
        app.status_message =
            Some(if redo { tr("nothing to redo") } else { tr("nothing to undo") }.to_owned());
        return;
    };
    app.active = view;
    app.overlay = None;
    app.view_states[view].apply(&settings, app.options.names());
    app.status_message = match left {
        _ if redo => None,
        0 => Some(tr("undone: initial view restored").to_owned()),
        n => Some(msg!("undone, {} more; {} redoes", n, app.key_label("redo"))),
    };
}

/// Goes back (-1) or forward to another location.
pub(crate) fn go_in_history(app: &mut App, by: isize) {
    let Some(location) = app.nav_history.go(by) else {
        app.status_message =
            Some(if by < 0 { tr("no previous location") } else { tr("no next location") }.to_owned());
        return;
    };
    app.active = location.view;
    app.overlay = None;
    app.details_top = 0;
    if let Some(key) = location.key {
        app.view_state_mut().select_when_present(key);
    }
}
