//! Rows and columns to print.

use crate::format::Style;
use crate::format::column::SharedKey;
use crate::format::{Column, Value};
use crate::model::{Proto, Snapshot, Stamp};
use crate::view::summary::Summary;
use std::sync::Arc;

/// Rows formatted as one piece of work: a few milliseconds on one core.
pub(super) const BLOCK: usize = 8192;

/// Rows and columns of values.
pub trait Grid: Sync {
    /// The columns, in order.
    fn columns(&self) -> &[&'static Column];
    /// Number of rows.
    fn len(&self) -> usize;
    /// The value in a row and a column, both by their number.
    fn value(&self, row: usize, column: usize) -> Value<'_>;
    /// Key of the rows with the same values in the columns that have [`shared`](field@Column::shared).
    fn shared_key(&self, _row: usize) -> Option<SharedKey<'_>> {
        None
    }
    /// Protocol of a row, if its table declares columns by protocol.
    fn proto(&self, _row: usize) -> Option<Proto> {
        None
    }
    /// Time and host name of a row, if they are not those of all rows.
    fn head(&self, _row: usize) -> Option<JsonHead<'_>> {
        None
    }
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
    fn shared_key(&self, row: usize) -> Option<SharedKey<'_>> {
        let key = self.columns.iter().find_map(|c| c.shared)?;
        key(self.snap, self.rows[row] as usize)
    }
    fn proto(&self, row: usize) -> Option<Proto> {
        let protos = self.columns.iter().find_map(|c| c.protos)?;
        Some((protos.proto_of)(self.snap, self.rows[row] as usize))
    }
}

/// Rows of a table of several hosts, each in a snapshot of its own.
#[derive(Clone, Copy, Debug)]
pub struct HostRows<'a> {
    /// Snapshots of the hosts.
    pub snaps: &'a [Arc<Snapshot>],
    /// Columns, in order.
    pub columns: &'a [&'static Column],
    /// Snapshot and row, in order.
    pub rows: &'a [(u32, u32)],
}

impl HostRows<'_> {
    /// The row alone.
    fn one<'b>(&'b self, row: usize, of: &'b mut [u32; 1]) -> Rows<'b> {
        let (host, row) = self.rows[row];
        of[0] = row;
        Rows { snap: &self.snaps[host as usize], columns: self.columns, rows: of }
    }
}

impl Grid for HostRows<'_> {
    fn columns(&self) -> &[&'static Column] {
        self.columns
    }
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let (host, row) = self.rows[row];
        self.columns[column].value(&self.snaps[host as usize], row as usize)
    }
    fn proto(&self, row: usize) -> Option<Proto> {
        self.one(row, &mut [0]).proto(0)
    }
    fn head(&self, row: usize) -> Option<JsonHead<'_>> {
        Some(JsonHead::new(&self.snaps[self.rows[row].0 as usize]))
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

/// Keys of the JSON objects of a listing.
#[derive(Clone, Copy, Debug)]
pub enum JsonKeys<'a> {
    /// Exactly the columns, in every object.
    Columns,
    /// Time and host name, then the columns that the protocol of the row can have.
    PerProtocol(JsonHead<'a>),
    /// Time and host name, then every column.
    All(JsonHead<'a>),
}

/// Time and host name of a listing.
#[derive(Clone, Copy, Debug)]
pub struct JsonHead<'a> {
    /// Time of the poll.
    pub at: Stamp,
    /// Host name.
    pub hostname: &'a str,
}

impl<'a> JsonHead<'a> {
    /// Those of a snapshot.
    pub fn new(snap: &'a Snapshot) -> Self {
        Self { at: snap.sample.at, hostname: &snap.sample.host }
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
    /// Number of last columns that a table shows only if all the others have their full width.
    pub optional: usize,
    /// Columns that the user named besides the default ones; they are dropped late.
    pub named: &'a [&'static Column],
    /// Keys of JSON objects.
    pub keys: JsonKeys<'a>,
    /// Use color in a table.
    pub color: bool,
}
