//! Printing rows once: a table for people; JSON, NDJSON and CSV for programs.
//!
//! Every writer takes the same [`Listing`]. What comes from outside is escaped for where it goes: control and
//! bidirectional characters never reach a terminal or a file raw, and JSON is valid for any name on the machine.

pub mod csv;
pub mod json;
pub mod table;

use crate::format::Style;
use crate::format::{Column, Value};
use crate::model::Snapshot;
use crate::view::summary::Summary;
use std::io::{self, Write};

/// Rows formatted as one piece of work: a few milliseconds on one core.
const BLOCK: usize = 8192;

/// In which form rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// Comma-separated values (RFC 4180).
    Csv,
}

impl Format {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Table, "table"), (Self::Json, "json"), (Self::Ndjson, "ndjson"), (Self::Csv, "csv")];
}

/// Rows and columns of values.
pub trait Grid: Sync {
    /// The columns, in order.
    fn columns(&self) -> &[&'static Column];
    /// How many rows.
    fn len(&self) -> usize;
    /// The value in a row and a column, both by their number.
    fn value(&self, row: usize, column: usize) -> Value<'_>;
    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows of a table of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Where the values come from.
    pub snap: &'a Snapshot,
    /// Which columns, in order.
    pub columns: &'a [&'static Column],
    /// Which rows, in order.
    pub rows: &'a [u32],
}

impl Grid for Rows<'_> {
    fn columns(&self) -> &[&'static Column] {
        self.columns
    }
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn value(&self, row: usize, column: usize) -> Value<'_> {
        self.columns[column].value(self.snap, self.rows[row] as usize)
    }
}

impl Grid for Summary<'_> {
    fn columns(&self) -> &[&'static Column] {
        &self.columns
    }
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn value(&self, row: usize, column: usize) -> Value<'_> {
        self.rows[row][column].clone()
    }
}

/// What to print, and how.
#[derive(Clone, Copy)]
pub struct Listing<'a> {
    /// What.
    pub grid: &'a dyn Grid,
    /// Whether a table or CSV begins with titles.
    pub header: bool,
    /// How cells look in a table.
    pub style: &'a Style,
    /// Columns of the terminal; `None`: as wide as the content.
    pub width: Option<u16>,
    /// Whether the table may use colour.
    pub color: bool,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was there when the watch began.
    Present,
    /// It was not there at the poll before.
    Opened,
    /// Its state changed, or it came to match, or does not any more.
    Changed,
    /// It is gone.
    Closed,
}

impl Event {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Present, "present"),
        (Self::Opened, "opened"),
        (Self::Changed, "changed"),
        (Self::Closed, "closed"),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Writes a listing.
pub fn write(out: &mut dyn Write, format: Format, list: &Listing<'_>) -> io::Result<()> {
    match format {
        Format::Table => table::write(out, list),
        Format::Json => json::write_array(out, list),
        Format::Ndjson => json::write_lines(out, list),
        Format::Csv => csv::write(out, list),
    }
}
