//! Hit test: the target of a click in the layout that was drawn.

use super::app::{App, Overlay};
use super::layout::slots::{column_at, gauge_at};
use super::layout::{Layout, filter_bar, key_bar, scroll_bar, state_bar, tabs};
use super::overlay;
use crate::format::{Column, Gauge};
use crate::model::State;
use ratatui::layout::{Position, Rect};

/// Target of a click.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// A line of the list that is open.
    OverlayLine(usize),
    /// Outside the lines of an overlay that a click closes.
    OutsideOverlay,
    /// The border between table and details.
    DetailsBorder,
    /// The scroll bar of the table.
    ScrollBar,
    /// The top alert.
    TopAlert,
    /// A tab, by index.
    Tab(usize),
    /// The poll state at the right end of the header.
    PollState,
    /// A state of the state bar.
    State(State),
    /// The filter bar.
    FilterBar,
    /// The title of a column.
    Title(&'static Column),
    /// A line of the table, with the column and the gauge there.
    Line {
        /// Index of the line.
        line: usize,
        /// Name of the column.
        column: Option<&'static str>,
        /// Gauge at the place.
        gauge: Option<Gauge>,
    },
    /// A key of the key bar, by its index in the command registry.
    Key(usize),
    /// Nothing that reacts.
    Nothing,
}

/// Columns at the right end of the header that pause on a click.
const POLL_STATE_WIDTH: u16 = 40;

fn within(r: Rect, x: u16, y: u16) -> bool {
    r.contains(Position::new(x, y))
}

/// The target at a cell of the screen.
pub(crate) fn target(app: &App, x: u16, y: u16) -> Target {
    let l = app.layout();
    match &app.overlay {
        Some(o) if o.is_list() => {
            return overlay::line_at(app, x, y).map_or(Target::OutsideOverlay, Target::OverlayLine);
        }
        Some(Overlay::Help { .. } | Overlay::Explain { .. } | Overlay::Why(..)) => {
            return Target::OutsideOverlay;
        }
        _ => {}
    }
    if on_border(&l, x, y) {
        return Target::DetailsBorder;
    }
    if filter_bar::alert_area(app, &l).is_some_and(|r| within(r, x, y)) {
        return Target::TopAlert;
    }
    let found = if within(l.header, x, y) {
        let tab = tabs::tabs(app, l.header).into_iter().find(|(_, at, w)| x >= *at && x < at + w);
        let at_end = x + POLL_STATE_WIDTH > l.header.right();
        tab.map(|(i, ..)| Target::Tab(i)).or(at_end.then_some(Target::PollState))
    } else if within(l.state_bar, x, y) {
        let slot = state_bar::slots(app, l.state_bar).into_iter().find(|s| x >= s.x && x < s.x + s.width);
        slot.map(|s| Target::State(s.state))
    } else if within(l.filter, x, y) {
        Some(Target::FilterBar)
    } else if within(l.head, x, y) {
        column_at(app, l.head, x).map(Target::Title)
    } else if within(l.body, x, y) && x + 1 == l.body.right() && scrolls(app, &l) {
        Some(Target::ScrollBar)
    } else if within(l.body, x, y) {
        let line = app.view_state().top + usize::from(y - l.body.y);
        let column = column_at(app, l.body, x).map(|c| c.name);
        Some(Target::Line { line, column, gauge: gauge_at(app, l.body, x) })
    } else if within(l.keys, x, y) {
        key_bar::command_at(app, l.keys, x).map(Target::Key)
    } else {
        None
    };
    found.unwrap_or(Target::Nothing)
}

/// True if the cell is in the details.
pub(crate) fn is_over_details(app: &App, x: u16, y: u16) -> bool {
    within(app.layout().details, x, y)
}

/// True if the table has a scroll bar.
fn scrolls(app: &App, l: &Layout) -> bool {
    scroll_bar::thumb(app.view_state().lines.len(), 0, usize::from(l.body.height)).is_some()
}

/// True for the border between table and details.
fn on_border(l: &Layout, x: u16, y: u16) -> bool {
    let d = l.details;
    d.area() > 0 && l.body.height > 0 && within(d, x, y) && if l.beside { x == d.x } else { y == d.y }
}
