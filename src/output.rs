//! Printed output: aligned tables, JSON, NDJSON and CSV.
//!
//! Every writer takes the same [`Listing`]. Text of the machine is escaped for its destination: control and bidirectional
//! characters never reach a terminal or a file raw, and JSON is valid for any name.

pub mod csv;
mod differences;
mod event;
mod graph;
mod grid;
pub mod json;
pub mod metrics;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod stored;
pub mod table;
mod timed;

use crate::model::map::Map;
pub use differences::Differences;
pub use event::Event;
pub use grid::{Grid, HostRows, JsonHead, JsonKeys, Listing, Rows};
use std::io::{self, Write};
pub use table::TableStream;
pub use timed::{TIME, TimedRows, time_text};

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
    /// A graph for Graphviz; the map only.
    Dot,
    /// A graph for Mermaid; the map only.
    Mermaid,
}

impl Format {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Table, "table"),
        (Self::Json, "json"),
        (Self::Ndjson, "ndjson"),
        (Self::Csv, "csv"),
        (Self::Dot, "dot"),
        (Self::Mermaid, "mermaid"),
    ];

    /// True for a graph, whose rows are edges of the map.
    pub const fn is_graph(self) -> bool {
        matches!(self, Self::Dot | Self::Mermaid)
    }
}

/// Writes a listing.
pub fn write(out: &mut dyn Write, format: Format, list: &Listing<'_>) -> io::Result<()> {
    match format {
        // A graph is written by [`write_graph`].
        Format::Table | Format::Dot | Format::Mermaid => table::write(out, list),
        Format::Json => json::write_array(out, list),
        Format::Ndjson => json::write_lines(out, list),
        Format::Csv => csv::write(out, list),
    }
}

/// Writes edges of the map as a graph.
pub fn write_graph(out: &mut dyn Write, format: Format, map: &Map, rows: &[u32]) -> io::Result<()> {
    if format == Format::Mermaid {
        graph::write_mermaid(out, map, rows)
    } else {
        graph::write_dot(out, map, rows)
    }
}
