//! Prompt for the name of a saved filter or view, or of the file of an export.

use super::chosen::Chosen;
use crate::model::lang::tr;
use crate::model::text::is_hostile;
use crate::msg;
use crate::tui::app::{App, NamePrompt, Overlay};
use crate::tui::event::Effect;
use crate::tui::export::Export;

/// Saves the filter or the view under the name entered.
pub(super) fn enter(app: &mut App) -> Chosen {
    let Some(Overlay::Name { text, prompt, .. }) = &app.overlay else { return Chosen::default() };
    let prompt = prompt.clone();
    if let NamePrompt::Export(what) = prompt {
        return enter_file(app, text.trim().to_owned(), *what);
    }
    let name = text.trim().trim_start_matches('@').to_owned();
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
        // Above.
        NamePrompt::Export(_) => Chosen::default(),
    }
}

/// Writes the export to a file of the name entered, in the current directory.
fn enter_file(app: &mut App, name: String, what: Export) -> Chosen {
    let is_plain =
        !name.is_empty() && !name.starts_with('.') && !name.chars().any(|c| c == '/' || is_hostile(c));
    if !is_plain {
        app.status_message =
            Some(tr("invalid file name: expected a name without /, for the current directory").to_owned());
        return Chosen::default();
    }
    app.overlay = None;
    // Without an ending, that of the format.
    let name = if name.contains('.') { name } else { format!("{name}.{}", what.extension()) };
    Chosen { effects: vec![Effect::Write(name, what)], ..Chosen::default() }
}
