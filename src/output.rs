//! Printing rows once: a table for people; JSON, NDJSON and CSV for programs.
//!
//! Every writer takes the same [`Listing`]. What comes from outside is escaped for where it goes: control and
//! bidirectional characters never reach a terminal or a file raw, and JSON is valid for any name on the machine.

pub mod csv;
pub mod json;
pub mod table;

use crate::model::Snapshot;
use crate::query::format::Style;
use crate::query::view::Arranged;
use crate::query::{Column, Table};
use std::io::{self, Write};

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

/// What to print.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// Where the values come from.
    pub snap: &'a Snapshot,
    /// Which table.
    pub table: &'static Table,
    /// Which columns, in order.
    pub columns: &'a [&'static Column],
    /// Which rows, in order, and their groups.
    pub rows: &'a Arranged,
    /// Whether a table or CSV begins with titles.
    pub header: bool,
    /// How cells look in a table.
    pub style: &'a Style,
    /// Columns of the terminal; `None`: as wide as the content.
    pub width: Option<u16>,
    /// Whether the table may use colour.
    pub color: bool,
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
