//! List of columns to show, hide and move.

use super::list::{Entry, List};
use crate::model::lang::tr;
use crate::tui::app::{App, Overlay};

/// Every column; those shown are ticked and come first, in their order.
pub(super) fn list(app: &App, at: usize) -> List {
    let entry = |(c, shown): (&'static crate::format::Column, bool)| Entry {
        mark: if shown { app.glyphs.tick } else { " " },
        ..Entry::new(c.name, tr(c.help))
    };
    let entries: Vec<_> = app.view_state().choices().into_iter().map(entry).collect();
    List::new(tr("columns   space show/hide   / search   J K move   r reset"), at, entries)
}

/// Shows or hides the column.
pub(super) fn enter(app: &mut App, at: usize) {
    app.overlay = Some(Overlay::Columns(app.view_state_mut().toggle_column(at)));
}
