//! Actions on the filter: editing, history, completion, cells.

use crate::filter::complete::complete;
use crate::filter::from_cell::filter_from_cell;
use crate::model::lang::{in_english, tr};
use crate::tui::app::{App, Overlay};
use crate::tui::completion_menu::Menu;
use crate::tui::event::{Edit, Effect};
use crate::tui::input;
use crate::tui::layout::slots::slots;
use crate::view::Line;

pub(super) fn edit(app: &mut App, e: Edit) {
    match &mut app.overlay {
        Some(Overlay::Name { text, cursor, proposed, .. }) => {
            if std::mem::take(proposed) && matches!(e, Edit::Insert(_)) {
                text.clear();
            }
            input::edit(text, cursor, e);
        }
        Some(Overlay::Palette { text, cursor, at }) => {
            input::edit(text, cursor, e);
            *at = 0;
        }
        Some(Overlay::Help { find, typing: Some(cursor), top }) => {
            input::edit(find, cursor, e);
            *top = 0;
        }
        Some(Overlay::Filter { cursor, menu, .. }) => {
            *menu = Menu::default();
            app.history.stop_recalling();
            let mut text = app.view_states[app.active].text.clone();
            input::edit(&mut text, cursor, e);
            if text != app.view_state().text {
                app.set_filter(text);
            }
        }
        _ => {}
    }
}

/// Applies the filter and leaves the filter bar, unless the filter has an error.
pub(super) fn accept(app: &mut App) -> Vec<Effect> {
    if app.view_state().error.is_some() {
        return vec![];
    }
    app.overlay = None;
    let text = app.view_state().text.clone();
    if app.history.push(&text) { vec![Effect::Remember(text.trim().to_owned())] } else { vec![] }
}

/// Recalls the previous (-1) or next filter of the history.
pub(super) fn from_history(app: &mut App, by: i8) {
    let now = app.view_state().text.clone();
    let Some(text) = app.history.cycle(&now, by) else { return };
    if let Some(Overlay::Filter { cursor, menu, .. }) = &mut app.overlay {
        *menu = Menu::default();
        *cursor = text.len();
        app.set_filter(text);
    }
}

/// Completes the word at the cursor, or cycles through the completions.
pub(super) fn complete_word(app: &mut App, by: i8) {
    let snapshot = app.snapshot.clone();
    let view_state = &app.view_states[app.active];
    let (table, mut text) = (view_state.view.table, view_state.text.clone());
    let Some(Overlay::Filter { cursor, menu, .. }) = &mut app.overlay else { return };
    if menu.at.is_none() {
        menu.found = in_english(|| complete(&text, *cursor, table, snapshot.as_deref(), &app.options.saved));
    }
    if let Some(to) = menu.cycle(&mut text, by) {
        *cursor = to;
        // The only match is accepted, so that the next word can be completed at once.
        if menu.found.items.len() == 1 {
            *menu = Menu::default();
        }
        app.history.stop_recalling();
        app.set_filter(text);
    }
}

/// Selects the next (1) or previous cell of the row.
pub(super) fn move_cell(app: &mut App, by: i8) {
    let slots = slots(app, app.layout().body);
    let now = slots.iter().position(|s| Some(s.column.name) == app.view_state().selected_column);
    let next = match now {
        None if by > 0 => 0,
        None => slots.len().saturating_sub(1),
        Some(i) => i.saturating_add_signed(isize::from(by)).min(slots.len().saturating_sub(1)),
    };
    app.view_state_mut().selected_column = slots.get(next).map(|s| s.column.name);
}

/// Filters by the selected cell, by one from a list if none is selected, or by the common term of a group.
pub(super) fn by_cell(app: &mut App, same: bool) {
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state();
    let more = match view_state.lines.get(view_state.cursor) {
        Some(Line::Group(g)) => {
            let group = view_state.view.group.zip(view_state.arranged.groups.get(*g as usize));
            group.and_then(|(by, g)| g.filter(by, &snap)).map(|f| (f, true))
        }
        Some(Line::Row(r)) => {
            match view_state.selected_column.and_then(|name| view_state.view.table.column(name)) {
                Some(c) => in_english(|| filter_from_cell(view_state.view.table, c, &snap, *r as usize))
                    .map(|f| (f, false)),
                None if same => {
                    app.overlay = Some(Overlay::Cells(0));
                    return;
                }
                None => None,
            }
        }
        None => None,
    };
    match more {
        Some((more, several)) => app.add_filter(&more, same, several),
        None => app.status_message = Some(tr("select a cell first (, and . or a click)").to_owned()),
    }
}
