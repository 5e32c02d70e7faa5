//! What is on the screen, to be written to a file: its rows, or the screen itself.

use super::app::App;
use super::screenshot::{self, Form};
use crate::format::Column;
use crate::model::Snapshot;
use std::sync::Arc;

/// The rows that are shown, or those that are marked.
#[derive(Clone, Debug)]
pub struct ExportRows {
    /// Where their values come from.
    pub snap: Arc<Snapshot>,
    /// The columns, in order.
    pub columns: Vec<&'static Column>,
    /// The rows, in order.
    pub rows: Vec<u32>,
}

impl PartialEq for ExportRows {
    /// The same rows of the same snapshot.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snap, &other.snap) && self.columns == other.columns && self.rows == other.rows
    }
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    /// Rows, in the form of this name: `table`, `json`, `ndjson`, `csv`.
    Rows(&'static str, ExportRows),
    /// A text, with the ending of the file's name.
    Text(&'static str, String),
}

/// The forms of rows, by their names on the command line, and what they are.
const ROWS: [(&str, &str); 4] = [
    ("table", "the rows, aligned"),
    ("csv", "the rows, comma-separated"),
    ("json", "the rows, one array of objects"),
    ("ndjson", "the rows, an object a line"),
];

/// What can be written: names, and what they are.
pub(crate) fn forms() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.into_iter().chain(Form::ALL.map(|(_, name, what)| (name, what)))
}

/// What is to be written for a line of [`forms`]; `None` where nothing was read yet.
pub(crate) fn take(app: &App, at: usize) -> Option<Export> {
    if let Some((_, name, _)) = at.checked_sub(ROWS.len()).and_then(|i| Form::ALL.get(i)) {
        let form = Form::ALL.iter().find(|(_, n, _)| n == name)?.0;
        return Some(Export::Text(name, screenshot::render(app, form)));
    }
    let (form, _) = ROWS.get(at)?;
    let snap = Arc::clone(app.snapshot.as_ref()?);
    let view_state = app.view_state();
    let marked: Vec<u32> = view_state.marked(&snap).into_iter().map(|r| r as u32).collect();
    let rows = if marked.is_empty() { view_state.arranged.rows.clone() } else { marked };
    Some(Export::Rows(form, ExportRows { columns: view_state.columns().collect(), rows, snap }))
}
