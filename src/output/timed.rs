//! Rows of several moments: their time is the first column.

use super::grid::Grid;
use crate::format::column::SharedKey;
use crate::format::{Column, Kind, Value};
use crate::model::{Missing, Snapshot};
use crate::table::Table;
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// Column of the time of a row, before those of its table.
pub static TIME: Column = Column::new(
    "time",
    "TIME (UTC)",
    Kind::Text,
    0,
    |_, _| Value::Missing(Missing::NotApplicable),
    "Time of the sample; of an event its own.",
);

/// Time as text with microseconds, RFC 3339 in UTC: it sorts by time.
pub fn time_text(unix_ns: u64) -> String {
    humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}

/// Rows of a table of a snapshot, with their time.
#[derive(Clone, Debug)]
pub struct TimedRows<'a> {
    /// Snapshot of the values.
    pub snap: &'a Snapshot,
    /// Table of the rows.
    pub table: &'static Table,
    /// [`TIME`] and the columns, in order.
    pub columns: &'a [&'static Column],
    /// Rows, in order.
    pub rows: &'a [u32],
}

impl TimedRows<'_> {
    /// Time of a row, nanoseconds since 1970.
    pub fn unix_ns(&self, row: usize) -> u64 {
        self.table.unix_ns(self.snap, self.rows[row] as usize)
    }
}

impl Grid for TimedRows<'_> {
    fn columns(&self) -> &[&'static Column] {
        self.columns
    }
    fn len(&self) -> usize {
        self.rows.len()
    }
    fn value(&self, row: usize, column: usize) -> Value<'_> {
        match column {
            0 => Value::Text(Cow::Owned(time_text(self.unix_ns(row)))),
            _ => self.columns[column].value(self.snap, self.rows[row] as usize),
        }
    }
    fn shared_key(&self, row: usize) -> Option<SharedKey<'_>> {
        let key = self.columns.iter().find_map(|c| c.shared)?;
        key(self.snap, self.rows[row] as usize)
    }
}
