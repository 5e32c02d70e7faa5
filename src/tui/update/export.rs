//! The export of the rows or of the screen.

use crate::tui::app::{App, NamePrompt, Overlay};
use crate::tui::compare::Comparison;
use crate::tui::export::{Export, ExportRows, Form, ROWS};
use crate::tui::screenshot;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Asks for the file name of an export in this format; a name with the time of the poll is proposed.
pub(super) fn ask_name(app: &mut App, format: usize, differences: Option<&Comparison>) {
    let what = match differences {
        Some(c) => ROWS.get(format).map(|(form, _)| Export::Differences(form, c.rows.clone())),
        None => export(app, format),
    };
    let Some(what) = what else { return };
    let unix_ns = app.snapshot.as_ref().map_or(0, |s| s.sample.at.unix_ns);
    let text = what.file_name(SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns));
    let prompt = NamePrompt::Export(Box::new(what));
    app.overlay = Some(Overlay::Name { cursor: text.len(), text, proposed: true, prompt });
}

/// The export in the format of this index of [`crate::tui::export::forms`]; `None` before the first snapshot.
fn export(app: &App, format: usize) -> Option<Export> {
    if let Some((form, name, _)) = format.checked_sub(ROWS.len()).and_then(|i| Form::ALL.get(i)) {
        return Some(Export::Text(name, screenshot::render(app, *form)));
    }
    let (form, _) = ROWS.get(format)?;
    let snap = Arc::clone(app.snapshot.as_ref()?);
    let view_state = app.view_state();
    let marked: Vec<u32> = view_state.marked(&snap).into_iter().map(|r| r as u32).collect();
    let rows = if marked.is_empty() { view_state.arranged.rows.clone() } else { marked };
    let (table, columns) = (view_state.id(), view_state.columns().collect());
    Some(Export::Rows(form, ExportRows { table, snap, columns, rows }))
}
