//! List of cells of the selected row to filter by.

use super::list::{Entry, List};
use crate::filter::from_cell::filter_from_cell;
use crate::format::{Value, cell};
use crate::model::lang::{in_english, tr};
use crate::tui::app::App;

/// The columns of the row with their values.
pub(super) fn list(app: &App, at: usize) -> Option<List> {
    let view_state = app.view_state();
    let (snap, row) = app.snapshot.as_ref()?.at(view_state.id(), view_state.row()?);
    let form = app.options.format();
    let entry = |c: &'static crate::format::Column| {
        let text = match c.value(snap, row) {
            Value::Missing(m) => tr(m.reason()).to_owned(),
            v => cell(&v, c.kind, &form).into_owned(),
        };
        Entry::new(c.title, text)
    };
    Some(List::new(tr("filter by"), at, view_state.columns().map(entry).collect::<Vec<_>>()))
}

/// Adds the value of the cell to the filter.
pub(super) fn enter(app: &mut App, at: usize) {
    app.overlay = None;
    let view_state = app.view_state();
    let found = view_state.columns().nth(at).zip(view_state.row()).zip(app.snapshot.as_ref());
    let more = found
        .and_then(|((c, row), snap)| in_english(|| filter_from_cell(view_state.view.table, c, snap, row)));
    if let Some(more) = more {
        app.add_filter(&more, true, false);
    }
}
