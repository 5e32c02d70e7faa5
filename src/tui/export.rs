//! What is on the screen, to be written to a file: its rows, or the screen itself.

use crate::format::Column;
use crate::model::Snapshot;
use std::sync::Arc;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its characters.
    Text,
    /// A picture (SVG 1.1).
    Svg,
}

impl Form {
    /// All of them: the ending of a file's name, and what it is.
    pub const ALL: [(Self, &'static str, &'static str); 2] =
        [(Self::Text, "txt", "screen as plain text"), (Self::Svg, "svg", "screen as SVG image")];
}

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
pub(crate) const ROWS: [(&str, &str); 4] = [
    ("table", "rows as an aligned table"),
    ("csv", "rows as comma-separated values"),
    ("json", "rows as one JSON array"),
    ("ndjson", "rows as one JSON object per line"),
];

/// What can be written: names, and what they are.
pub(crate) fn forms() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.into_iter().chain(Form::ALL.map(|(_, name, what)| (name, what)))
}
