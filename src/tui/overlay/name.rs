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

/// Writes the export to the file entered: a path, or a name in the current directory.
fn enter_file(app: &mut App, name: String, what: Export) -> Chosen {
    let file = name.rsplit('/').next().unwrap_or_default();
    let is_hidden = file.is_empty() || file.starts_with('.') || file == "~";
    if is_hidden || name.chars().any(is_hostile) {
        app.status_message = Some(
            tr("invalid file name: expected a name or a path such as ~/rows.csv, not hidden").to_owned(),
        );
        return Chosen::default();
    }
    app.overlay = None;
    // Without an ending, that of the format.
    let name = if file.contains('.') { name } else { format!("{name}.{}", what.extension()) };
    Chosen { effects: vec![Effect::Write(name, what)], ..Chosen::default() }
}
