//! List of columns to sort by.

use super::list::{Entry, List};
use crate::model::lang::tr;
use crate::tui::app::App;

/// The columns shown; the one that sorts is marked.
pub(super) fn list(app: &App, at: usize) -> List {
    let view_state = app.view_state();
    let first = view_state.view.sort.first();
    let mark = |name: &str| match first {
        Some(k) if k.column.name == name && k.descending => app.glyphs.descending,
        Some(k) if k.column.name == name => app.glyphs.ascending,
        _ => " ",
    };
    let entries =
        view_state.columns().map(|c| Entry { mark: mark(c.name), ..Entry::new(c.title, tr(c.help)) });
    List::new(tr("sort by"), at, entries.collect::<Vec<_>>())
}

/// Sorts by the column, or reverses the order.
pub(super) fn enter(app: &mut App, at: usize) {
    let column = app.view_state().columns().nth(at);
    if let Some(c) = column {
        app.view_state_mut().sort_by(c);
    }
    app.overlay = None;
}
