//! Exports: rows or the screen, to be written to a file.

use crate::format::Column;
use crate::model::Snapshot;
use crate::model::lang::noop;
use crate::table::TableId;
use crate::view::diff::Difference;
use std::sync::Arc;
use std::time::SystemTime;

/// Format of a screenshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Plain text.
    Text,
    /// SVG 1.1.
    Svg,
}

impl Form {
    /// Every format: file name extension and description.
    pub const ALL: [(Self, &'static str, &'static str); 2] =
        [(Self::Text, "txt", noop("screen as plain text")), (Self::Svg, "svg", noop("screen as SVG image"))];
}

/// Rows to export: those shown or those marked.
#[derive(Clone, Debug)]
pub struct ExportRows {
    /// The table.
    pub table: TableId,
    /// The snapshot.
    pub snap: Arc<Snapshot>,
    /// The columns, in order.
    pub columns: Vec<&'static Column>,
    /// The rows, in order.
    pub rows: Vec<u32>,
}

impl PartialEq for ExportRows {
    /// Equal if the rows are of the same snapshot.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snap, &other.snap) && self.columns == other.columns && self.rows == other.rows
    }
}

/// An export.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    /// Rows, in the format of this name: `table`, `json`, `ndjson`, `csv`.
    Rows(&'static str, ExportRows),
    /// Differences, in one of these formats.
    Differences(&'static str, Vec<Difference>),
    /// A text, with its file name extension.
    Text(&'static str, String),
}

impl Export {
    /// File name extension.
    pub const fn extension(&self) -> &'static str {
        match self {
            Self::Rows(form, _) | Self::Differences(form, _) if matches!(form.as_bytes(), b"table") => "txt",
            Self::Rows(form, _) | Self::Differences(form, _) => form,
            Self::Text(extension, _) => extension,
        }
    }

    /// File name that is proposed, which sorts by time: `sockscope-20261124T221503Z.csv`.
    pub fn file_name(&self, at: SystemTime) -> String {
        let time = humantime::format_rfc3339_seconds(at).to_string();
        let stamp: String = time.chars().filter(|c| !"-:".contains(*c)).collect();
        format!("sockscope-{stamp}.{}", self.extension())
    }
}

/// Formats of rows: name on the command line and description.
pub(crate) const ROWS: [(&str, &str); 4] = [
    ("table", noop("rows as an aligned table")),
    ("csv", noop("rows as comma-separated values")),
    ("json", noop("rows as one JSON array")),
    ("ndjson", noop("rows as one JSON object per line")),
];

/// Every export format: name and description.
pub(crate) fn forms() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.into_iter().chain(Form::ALL.map(|(_, name, what)| (name, what)))
}
