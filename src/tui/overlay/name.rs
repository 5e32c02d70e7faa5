//! Prompt for the name of a saved filter or view.

use super::chosen::Chosen;
use crate::model::lang::tr;
use crate::msg;
use crate::tui::app::{App, NamePrompt, Overlay};
use crate::tui::event::Effect;

/// Saves the filter or the view under the name entered.
pub(super) fn enter(app: &mut App) -> Chosen {
    let Some(Overlay::Name { text, prompt, .. }) = &app.overlay else { return Chosen::default() };
    let (name, prompt) = (text.trim().trim_start_matches('@').to_owned(), *prompt);
    if !crate::filter::is_name(&name) {
        app.status_message =
            Some(tr("invalid name: expected one word of letters, digits, - _ and .").to_owned());
        return Chosen::default();
    }
    app.overlay = None;
    match prompt {
        NamePrompt::Filter => {
            let filter = app.view_state().text.trim().to_owned();
            app.options.saved.insert(name.clone(), filter.clone());
            Chosen { effects: vec![Effect::Save { name, filter }], ..Chosen::default() }
        }
        // Names of tables are reserved.
        NamePrompt::View if crate::table::table(&name).is_some() => {
            app.status_message = Some(msg!("{} is reserved: it is the name of a table", name));
            Chosen::default()
        }
        NamePrompt::View => {
            let view = app.view_state().preset();
            app.options.views.insert(name.clone(), view.clone());
            Chosen { effects: vec![Effect::SaveView { name, view }], ..Chosen::default() }
        }
    }
}
