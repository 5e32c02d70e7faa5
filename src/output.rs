//! Printed output: aligned tables, JSON, NDJSON and CSV.
//!
//! Every writer takes the same [`Listing`]. Text of the machine is escaped for its destination: control and bidirectional
//! characters never reach a terminal or a file raw, and JSON is valid for any name.

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

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// A JSON array of objects.
    Json,
    /// One JSON object per line.
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
    /// Number of rows.
    fn len(&self) -> usize;
    /// The value in a row and a column, both by their number.
    fn value(&self, row: usize, column: usize) -> Value<'_>;
    /// True without rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows of a table of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Snapshot of the values.
    pub snap: &'a Snapshot,
    /// Columns, in order.
    pub columns: &'a [&'static Column],
    /// Rows, in order.
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

/// A listing to print.
#[derive(Clone, Copy)]
pub struct Listing<'a> {
    /// Rows and columns.
    pub grid: &'a dyn Grid,
    /// Print a header line in a table or CSV.
    pub header: bool,
    /// Style of table cells.
    pub style: &'a Style,
    /// Width of the terminal; `None`: as wide as the content.
    pub width: Option<u16>,
    /// Use color in a table.
    pub color: bool,
}

/// Event of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Present at the first poll.
    Present,
    /// New since the previous poll.
    Opened,
    /// Its state changed, or it started or stopped matching.
    Changed,
    /// Gone since the previous poll.
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

    /// Name of the event.
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
