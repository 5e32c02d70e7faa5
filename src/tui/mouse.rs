//! What lies under the mouse: the same layout as is drawn, asked the other way round.

use super::app::{App, Overlay};
use super::command::COMMANDS;
use super::event::{Action, Effect};
use super::layout::Layout;
use super::update::{choose_state, update};
use super::{
    details,
    draw::{header, table},
};
use crate::model::State;
use ratatui::layout::{Position, Rect};

/// The states of the strip: all that occurred in the polls remembered, with the most there were.
pub(crate) fn strip_states(app: &App) -> Vec<(State, u32)> {
    let Some(snap) = &app.snapshot else { return vec![] };
    State::all()
        .map(|s| {
            let past = snap.history.iter().map(|(_, c)| c.get(s)).max().unwrap_or(0);
            (s, past.max(snap.states.get(s)))
        })
        .filter(|(_, most)| *most > 0)
        .collect()
}

fn within(r: Rect, x: u16, y: u16) -> bool {
    r.contains(Position::new(x, y))
}

/// A click.
pub(crate) fn click(app: &mut App, x: u16, y: u16) -> Vec<Effect> {
    let l = app.layout();
    if app.overlay.as_mut().and_then(Overlay::line).is_some() {
        // A click beside what is open closes it; in the list it chooses.
        if let Some(i) = super::overlay::list::line_at(app, l.all, x, y)
            && let Some(at) = app.overlay.as_mut().and_then(Overlay::line)
        {
            *at = i;
            return update(app, Action::Enter);
        }
        app.overlay = None;
        return vec![];
    }
    match app.overlay {
        Some(Overlay::Help { .. } | Overlay::Explain { .. }) => {
            app.overlay = None;
            return vec![];
        }
        Some(Overlay::Palette { .. }) => {
            let line = super::overlay::palette::line_at(app, l.all, x, y);
            if let (Some(i), Some(Overlay::Palette { at, .. })) = (line, &mut app.overlay) {
                *at = i;
                return update(app, Action::Enter);
            }
            app.overlay = None;
            return vec![];
        }
        _ => {}
    }
    if on_border(&l, x, y) {
        app.dragging = true;
    } else if header::worst_place(app, &l).is_some_and(|r| within(r, x, y)) {
        app.overlay = None;
        super::update::to_worst(app);
    } else if within(l.header, x, y) {
        if let Some((i, ..)) =
            header::tabs(app, l.header).into_iter().find(|(_, at, w)| x >= *at && x < at + w)
        {
            return update(app, Action::View(i as u8));
        }
        if x + 40 > l.header.right() {
            return update(app, Action::Pause);
        }
    } else if within(l.strip, x, y) {
        let found = header::places(app, l.strip).into_iter().find(|s| x >= s.x && x < s.x + s.width);
        if let Some(spot) = found {
            app.overlay = None;
            choose_state(app, spot.state);
        }
    } else if within(l.filter, x, y) {
        return update(app, Action::Filter);
    } else if within(l.head, x, y) {
        let column = table::column_at(app, l.head, x);
        if let Some(c) = column {
            app.view_state_mut().sort_by(c);
        }
    } else if within(l.body, x, y) {
        row(app, l.body, x, y);
    } else if within(l.keys, x, y) {
        let place = app.focus();
        if let Some(i) = super::draw::key_at(app, l.keys, x) {
            let action = COMMANDS[i].action;
            debug_assert!(COMMANDS[i].applies(place));
            return update(app, action);
        }
    }
    vec![]
}

/// Whether that is the border between table and details.
fn on_border(l: &Layout, x: u16, y: u16) -> bool {
    let d = l.details;
    d.area() > 0 && l.body.height > 0 && within(d, x, y) && if l.beside { x == d.x } else { y == d.y }
}

/// The border of the details goes with the mouse.
pub(crate) fn drag(app: &mut App, x: u16, y: u16) {
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

/// Makes the details larger or smaller.
pub(crate) fn pane(app: &mut App, by: i8) {
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

/// A click on a line selects it; on a group it turns it; on the selected row it opens the details, and on a gauge in it
/// goes to the limit that the gauge is of.
fn row(app: &mut App, body: Rect, x: u16, y: u16) {
    let Some(snap) = app.snapshot.clone() else { return };
    if !matches!(app.overlay, Some(Overlay::Filter { .. })) {
        app.overlay = None;
    }
    let cell = table::column_at(app, body, x).map(|c| c.name);
    let gauge = table::gauge_at(app, body, x);
    let view_state = app.view_state_mut();
    let line = view_state.top + usize::from(y - body.y);
    if line >= view_state.lines.len() {
        return;
    }
    let again = view_state.cursor == line && view_state.row().is_some();
    view_state.select(&snap, line);
    view_state.selected_column = cell;
    let turned = view_state.toggle(&snap);
    let limit = view_state.row().and_then(|r| (gauge?.limit)(&snap, r));
    app.details_top = 0;
    if turned || !again {
        return;
    }
    match limit {
        Some(limit) => super::update::to_limit(app, limit),
        None => app.details = !app.details,
    }
}

/// The wheel.
pub(crate) fn wheel(app: &mut App, x: u16, y: u16, by: i8) {
    let l = app.layout();
    let by = isize::from(by) * 3;
    // What lies over the table has the wheel; what is typed below it leaves it to the table.
    if !matches!(app.overlay, None | Some(Overlay::Filter { .. } | Overlay::Name { .. } | Overlay::States(_)))
    {
        update(app, Action::Go(super::event::Motion::Lines(by.signum() as i16 * 2)));
        return;
    }
    if within(l.details, x, y) {
        let most = details::height(app).saturating_sub(usize::from(l.details.height));
        app.details_top = app.details_top.saturating_add_signed(by).min(most);
    } else if let Some(snap) = app.snapshot.clone() {
        let height = usize::from(l.body.height);
        app.view_state_mut().scroll(&snap, by, height);
    }
}
