//! Clicks, the wheel, and dragging the scroll bar or the border of the details.

use crate::format::Gauge;
use crate::table::TableId;
use crate::tui::app::{App, Overlay};
use crate::tui::command::COMMANDS;
use crate::tui::event::Action;
use crate::tui::layout::scroll_bar;
use crate::tui::mouse::{Target, is_over_details, target};
use crate::tui::{details, navigate, overlay};

/// Handles a click. Returns the action that it stands for, if any; other clicks are carried out here.
pub(super) fn click(app: &mut App, x: u16, y: u16) -> Option<Action> {
    match target(app, x, y) {
        Target::OverlayLine(line) => {
            if let Some(at) = app.overlay.as_mut().and_then(Overlay::position) {
                *at = line;
            }
            return Some(Action::Enter);
        }
        Target::OutsideOverlay => app.overlay = None,
        Target::DetailsBorder => app.dragging = true,
        Target::ScrollBar => {
            app.scrolling = true;
            scroll_to(app, y);
        }
        Target::TopAlert => {
            app.overlay = None;
            navigate::to_top_alert(app);
        }
        Target::Tab(i) => return Some(Action::View(i as u8)),
        Target::PollState => return Some(Action::Pause),
        Target::State(state) => {
            app.overlay = None;
            app.toggle_state_filter(state);
        }
        Target::FilterBar => return Some(Action::Filter),
        Target::Title(column) => app.view_state_mut().sort_by(column),
        Target::Line { line, column, gauge } => {
            if !matches!(app.overlay, Some(Overlay::Filter { .. })) {
                app.overlay = None;
            }
            click_line(app, line, column, gauge);
        }
        Target::Key(command) => return Some(COMMANDS[command].action),
        Target::Nothing => {}
    }
    None
}

/// A click on a line selects it; on a group it folds or unfolds it; on the selected row it opens the details, and on a
/// gauge in it the limit that the gauge shows.
fn click_line(app: &mut App, line: usize, column: Option<&'static str>, gauge: Option<Gauge>) {
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state_mut();
    if line >= view_state.lines.len() {
        return;
    }
    let again = view_state.cursor == line && view_state.row().is_some();
    view_state.select(&snap, line);
    view_state.selected_column = column;
    let toggled = view_state.toggle(&snap);
    let limit = view_state.row().and_then(|r| {
        let (on, row) = snap.at(view_state.id(), r);
        let limit = (gauge?.limit)(on, row)?;
        match &snap.merged {
            Some(m) => m.row(TableId::Limits, snap.host_index(view_state.id(), r), limit).map(|r| r as usize),
            None => Some(limit),
        }
    });
    app.details_top = 0;
    if toggled || !again {
        return;
    }
    match limit {
        Some(limit) => navigate::to_limit(app, limit),
        None => app.toggle_details(),
    }
}

/// Scrolls the table to the place of this line of the screen on its scroll bar.
fn scroll_to(app: &mut App, y: u16) {
    let (Some(snap), body) = (app.snapshot.clone(), app.layout().body) else { return };
    let (height, line) = (usize::from(body.height), usize::from(y.saturating_sub(body.y)));
    let view_state = app.view_state_mut();
    let top = scroll_bar::top_at(view_state.lines.len(), line, height);
    let by = top.cast_signed() - view_state.top.cast_signed();
    view_state.scroll(&snap, by, height);
}

/// Drags the scroll bar, or resizes the details by dragging their border.
pub(super) fn drag(app: &mut App, x: u16, y: u16) {
    if app.scrolling {
        scroll_to(app, y);
        return;
    }
    let l = app.layout();
    if !app.dragging || l.details.area() == 0 {
        return;
    }
    if l.beside {
        let side = u32::from(l.all.right().saturating_sub(x));
        app.pane.0 = Some((side * 100).div_ceil(u32::from(l.all.width.max(1))) as u16);
    } else {
        let room = l.head.height + l.body.height + l.details.height;
        let below = u32::from(l.details.bottom().saturating_sub(y));
        app.pane.1 = Some((below * 100).div_ceil(u32::from(room.max(1))).min(100) as u16);
    }
}

/// Enlarges (1) or shrinks the details.
pub(super) fn resize_details(app: &mut App, by: i8) {
    let l = app.layout();
    let room = l.head.height + l.body.height + l.details.height;
    let percent = |part: u16, of: u16| (u32::from(part) * 100).div_ceil(u32::from(of.max(1))) as u16;
    let (share, now) = if l.beside {
        (&mut app.pane.0, percent(l.details.width, l.all.width))
    } else {
        (&mut app.pane.1, percent(l.details.height, room))
    };
    *share = Some(now.saturating_add_signed(i16::from(by) * 5).clamp(15, 85));
}

/// Handles the wheel: scrolls the overlay, the details or the table.
pub(super) fn wheel(app: &mut App, x: u16, y: u16, by: i8) {
    if app.overlay.as_mut().is_some_and(|o| o.position().is_some()) {
        overlay::go(app, isize::from(by.signum()) * 2);
        return;
    }
    let by = isize::from(by) * 3;
    if is_over_details(app, x, y) {
        let last = details::extent(app);
        app.details_top = app.details_top.saturating_add_signed(by).min(last);
    } else if let Some(snap) = app.snapshot.clone() {
        let height = usize::from(app.layout().body.height);
        app.view_state_mut().scroll(&snap, by, height);
    }
}
