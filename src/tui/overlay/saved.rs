//! List of saved filters and views.

use super::list::{Entry, List};
use crate::model::lang::tr;
use crate::tui::app::App;

pub(super) fn list(app: &App, at: usize) -> List {
    let entries = app.options.saved_entries().into_iter().map(|(name, text)| Entry::new(name, text));
    List {
        empty: tr("none yet: ^S in the filter saves it under a name, V saves the view"),
        ..List::new(tr("saved filters and views"), at, entries.collect::<Vec<_>>())
    }
}

/// Applies the filter or opens the view.
pub(super) fn enter(app: &mut App, at: usize) {
    app.overlay = None;
    if let Some((name, _)) = app.options.saved_entries().into_iter().nth(at) {
        apply(app, name);
    }
}

/// Applies the saved filter (`@name`) or opens the saved view of that name.
pub(super) fn apply(app: &mut App, name: String) {
    if name.starts_with('@') {
        app.set_filter(name);
    } else {
        app.open_view(&name);
    }
}
