//! Overlays: one file each, with its placement, content, extent and effect of Enter.

mod actions;
mod alerts;
mod cells;
mod chosen;
mod columns;
mod completion;
mod confirm;
mod differences;
mod explain;
mod export;
mod greeting;
mod help;
mod list;
mod name;
pub(crate) mod palette;
mod saved;
mod sort;
mod states;
mod why;
mod window;

use super::app::{App, Overlay};
use super::canvas::Canvas;
use super::layout::Layout;
pub(crate) use chosen::Chosen;
use list::List;
use ratatui::layout::Position;
use std::sync::Arc;

/// The open list, if the overlay is one.
fn open_list(app: &App) -> Option<List> {
    match &app.overlay {
        Some(Overlay::Sort(at)) => Some(sort::list(app, *at)),
        Some(Overlay::Columns(at)) => Some(columns::list(app, *at)),
        Some(Overlay::Cells(at)) => cells::list(app, *at),
        Some(Overlay::Saved(at)) => Some(saved::list(app, *at)),
        Some(Overlay::Act(at)) => Some(actions::list(app, *at)),
        Some(Overlay::Alerts(at)) => alerts::list(app, *at),
        Some(Overlay::Write(at, differences)) => Some(export::list(*at, differences.is_some())),
        Some(Overlay::Differences(at, comparison)) => Some(differences::list(app, *at, comparison)),
        _ => None,
    }
}

/// Draws the overlay; the cursor position while text is edited in it.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, l: &Layout) -> Option<Position> {
    match &app.overlay {
        None => greeting::draw(app, canvas, l.body),
        Some(Overlay::Filter { .. }) => completion::draw(app, canvas, l.filter, l.all),
        Some(Overlay::Name { .. } | Overlay::States(_)) => {}
        Some(Overlay::Help { .. }) => return help::draw(app, canvas, l.windows()),
        Some(Overlay::Explain { .. }) => explain::draw(app, canvas, l.windows()),
        Some(Overlay::Why(..)) => why::draw(app, canvas, l.windows()),
        Some(Overlay::Palette { .. }) => return palette::draw(app, canvas, l.above_keys()),
        Some(Overlay::Confirm(..)) => confirm::draw(app, canvas, l.windows()),
        Some(
            Overlay::Sort(_)
            | Overlay::Columns(_)
            | Overlay::Cells(_)
            | Overlay::Saved(_)
            | Overlay::Act(_)
            | Overlay::Alerts(_)
            | Overlay::Write(..)
            | Overlay::Differences(..),
        ) => {
            if let Some(open) = open_list(app) {
                let rest = list::draw(app, canvas, l.windows(), &open);
                if let Some(Overlay::Alerts(at)) = app.overlay {
                    alerts::draw_advice(app, canvas, rest, at);
                }
            }
        }
    }
    None
}

/// The last line that can be selected or scrolled to.
fn extent(app: &App) -> usize {
    match &app.overlay {
        Some(Overlay::Help { .. }) => help::extent(app),
        Some(Overlay::Explain { .. }) => explain::extent(app),
        Some(Overlay::Why(..)) => why::extent(app),
        Some(Overlay::Confirm(..)) => confirm::extent(app),
        Some(Overlay::Palette { text, .. }) => palette::found(app, text).len().saturating_sub(1),
        _ => open_list(app).map_or(0, |l| l.entries.len().saturating_sub(1)),
    }
}

/// Moves the selection of the overlay or scrolls it; `false` if motion applies to the table.
pub(crate) fn go(app: &mut App, by: isize) -> bool {
    if matches!(app.overlay, Some(Overlay::States(_))) {
        states::go(app, by);
        return true;
    }
    let last = extent(app);
    match app.overlay.as_mut().and_then(Overlay::position) {
        Some(at) => {
            *at = at.saturating_add_signed(by).min(last);
            true
        }
        None => false,
    }
}

/// The line of a list or of the palette at a cell of the screen.
pub(crate) fn line_at(app: &App, x: u16, y: u16) -> Option<usize> {
    match app.overlay {
        Some(Overlay::Palette { .. }) => palette::line_at(app, app.layout().above_keys(), x, y),
        _ => list::line_at(app, &open_list(app)?, app.layout().windows(), x, y),
    }
}

/// Selects the line of a letter in the list of actions; false if there is none.
pub(crate) fn select(app: &mut App, letter: char) -> bool {
    actions::select(app, letter)
}

/// Handles Enter in the open overlay.
pub(crate) fn enter(app: &mut App) -> Chosen {
    match app.overlay {
        Some(Overlay::Sort(at)) => sort::enter(app, at),
        Some(Overlay::Columns(at)) => columns::enter(app, at),
        Some(Overlay::Cells(at)) => cells::enter(app, at),
        Some(Overlay::Saved(at)) => saved::enter(app, at),
        Some(Overlay::Act(at)) => return actions::enter(app, at),
        Some(Overlay::Alerts(at)) => alerts::enter(app, at),
        Some(Overlay::Write(at, ref differences)) => {
            let export = Some((at, differences.clone()));
            app.overlay = None;
            return Chosen { export, ..Chosen::default() };
        }
        Some(Overlay::Differences(at, ref comparison)) => {
            let comparison = Arc::clone(comparison);
            return differences::enter(app, at, &comparison);
        }
        Some(Overlay::Name { .. }) => return name::enter(app),
        Some(Overlay::States(state)) => states::enter(app, state),
        Some(Overlay::Palette { .. }) => return palette::enter(app),
        Some(Overlay::Help { ref mut typing, .. }) => *typing = None,
        Some(Overlay::Filter { .. } | Overlay::Explain { .. } | Overlay::Why(..) | Overlay::Confirm(..))
        | None => {}
    }
    Chosen::default()
}
