//! The tables: each a list of columns over the rows of a snapshot.

use super::{Column, Value};
use crate::model::{Missing, Proto, Snapshot, State, tcp_info::TcpField};

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name: the command that prints it (`list` for sockets), the view that shows it.
    pub name: &'static str,
    /// Its title on screen.
    pub title: &'static str,
    /// What one row is, in the plural: `1,204 sockets`.
    pub noun: &'static str,
    /// One sentence on what it shows.
    pub help: &'static str,
    /// Every column, in the order of the reference.
    pub columns: &'static [Column],
    /// Columns shown when nobody chose, in order.
    pub defaults: &'static [&'static str],
    /// Columns that a bare word of a filter looks into.
    pub words: &'static [&'static str],
    /// Columns it sorts by when nobody chose: name, and whether descending.
    pub order: &'static [(&'static str, bool)],
    /// How many rows a snapshot has. For sockets with those just closed.
    pub len: fn(&Snapshot) -> usize,
}

impl Table {
    /// The column of that name or alias.
    pub fn column(&self, word: &str) -> Option<&'static Column> {
        self.columns.iter().find(|c| c.is_called(word))
    }
}

/// A field of `tcp_info` of a socket row.
pub(super) fn tcp_value<'a>(snap: &'a Snapshot, row: usize, field: &TcpField) -> Value<'a> {
    let s = snap.socket(row);
    match snap.attrs(row).tcp_info() {
        Some(info) => Value::from_opt(info.field(field), Missing::NotReported),
        None if !matches!(s.proto, Proto::Tcp | Proto::Mptcp) || s.state == State::TimeWait => {
            Value::Missing(Missing::NotApplicable)
        }
        None => Value::Missing(Missing::NotRead),
    }
}
