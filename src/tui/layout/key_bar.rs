//! Placement of the keys in the key bar.

use crate::model::lang::{noop, tr};
use crate::model::sample::EventKind;
use crate::model::{Level, State};
use crate::table::TableId;
use crate::tui::app::App;
use crate::tui::canvas::width;
use crate::tui::command::{Command, Focus};
use crate::tui::event::Action;
use crate::tui::key::{self, Key};
use crate::view::Line;
use ratatui::layout::Rect;

/// A key with its placement.
pub(crate) struct KeySlot {
    /// Index in the command registry.
    pub(crate) command: usize,
    pub(crate) x: u16,
    pub(crate) width: u16,
    pub(crate) word: &'static str,
}

/// Keys with their placement: as many as fit, by rank; quit is on the right.
pub(crate) fn slots(app: &App, area: Rect) -> Vec<KeySlot> {
    let place = app.focus();
    let map = &app.options.keymap;
    let applies = |(i, (c, keys)): (usize, (&'static Command, &[Key]))| {
        let word = if c.applies(place) { tr(label(app, c)) } else { "" };
        // Keys that close, unmark or clear are shown before those for other views and orders.
        let leaves = place == Focus::Table && c.action == Action::Back;
        let rank = if leaves { c.rank.min(2) } else { c.rank };
        (!word.is_empty() && !keys.is_empty()).then_some((i, rank, word))
    };
    let mut shown: Vec<_> = map.commands().enumerate().filter_map(applies).collect();
    shown.sort_by_key(|(_, rank, _)| *rank);
    let (mut x, mut end) = (area.x + 1, area.right().saturating_sub(1));
    let mut out = Vec::new();
    for (i, rank, word) in shown {
        let w = width(&key::label(map.keys(i)[0], app.glyphs.ascii)) + 1 + width(word);
        if rank == 0 {
            if x + w <= end {
                end -= w;
                out.push(KeySlot { command: i, x: end, width: w, word });
                end = end.saturating_sub(2);
            }
        } else if x + w <= end {
            out.push(KeySlot { command: i, x, width: w, word });
            x += w + 3;
        }
    }
    out
}

/// Label of a command in the current state; empty where it has no effect.
pub(crate) fn label(app: &App, c: &Command) -> &'static str {
    match (app.focus(), c.action) {
        (Focus::Table, _) => {}
        // One of the keys that cancel is enough.
        (Focus::Confirm, Action::Back) => return if c.name == "back" { noop("cancel") } else { "" },
        _ => return c.bar,
    }
    let view_state = app.view_state();
    match (c.action, view_state.lines.get(view_state.cursor)) {
        (Action::Enter, Some(Line::Group(g))) if view_state.is_group_closed(*g) => noop("expand"),
        (Action::Enter, Some(Line::Group(_))) => noop("collapse"),
        (Action::Group(_), _) if view_state.groupings().count() < 2 => "",
        (Action::Pause, _) if app.paused => noop("resume"),
        // Where something does not work.
        (Action::Why, Some(Line::Row(r))) if is_failing(app, *r as usize) => c.bar,
        // On a row the label of Enter covers it.
        (Action::Enter, Some(Line::Row(_))) | (Action::Back, None | Some(Line::Group(_))) if app.details => {
            noop("close details")
        }
        (Action::Back, _) if app.details => "",
        (Action::Back, _) if !view_state.marks.is_empty() => noop("unmark"),
        (Action::Back, _) if !view_state.text.is_empty() => noop("clear filter"),
        // Without a row there is nothing to open or to act on.
        (Action::Enter | Action::ActionList | Action::Mark, None) | (Action::Back | Action::Why, _) => "",
        _ => c.bar,
    }
}

/// True for a row of a connection that waits or failed.
fn is_failing(app: &App, row: usize) -> bool {
    let Some(snap) = &app.snapshot else { return false };
    let (snap, row) = snap.at(app.view_state().id(), row);
    match app.view_state().id() {
        TableId::Sockets => snap.get_socket(row).is_some_and(|s| s.state == State::SynSent),
        TableId::Events => snap.events.rows.get(row).is_some_and(|e| e.event.kind == EventKind::Failed),
        TableId::Limits => snap.limits.get(row).is_some_and(|l| l.level > Level::Ok),
        _ => false,
    }
}

/// The command at this x position.
pub(crate) fn command_at(app: &App, area: Rect, x: u16) -> Option<usize> {
    slots(app, area).into_iter().find(|s| x >= s.x && x < s.x + s.width).map(|s| s.command)
}
