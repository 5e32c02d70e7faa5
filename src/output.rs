//! Printed output: aligned tables, JSON, NDJSON and CSV.
//!
//! Every writer takes the same [`Listing`]. Text of the machine is escaped for its destination: control and bidirectional
//! characters never reach a terminal or a file raw, and JSON is valid for any name.

pub mod csv;
mod event;
mod grid;
pub mod json;
pub mod table;

pub use event::Event;
pub use grid::{Grid, JsonHead, JsonKeys, Listing, Rows};
use std::io::{self, Write};
pub use table::TableStream;

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

/// Writes a listing.
pub fn write(out: &mut dyn Write, format: Format, list: &Listing<'_>) -> io::Result<()> {
    match format {
        Format::Table => table::write(out, list),
        Format::Json => json::write_array(out, list),
        Format::Ndjson => json::write_lines(out, list),
        Format::Csv => csv::write(out, list),
    }
}
