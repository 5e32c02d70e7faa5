//! The tables: each a list of columns over the rows of a snapshot.

use super::{Column, Value};
use crate::model::{Missing, Proto, Snapshot, State, tcp_info::TcpField};

mod peers;
mod ports;
mod processes;
mod sockets;
mod tcp;

pub use peers::PEERS;
pub use ports::PORTS;
pub use processes::PROCESSES;
pub use sockets::SOCKETS;
pub(super) use sockets::end_name;

/// Every table, in the order of the screen.
pub static TABLES: [&Table; 4] = [&SOCKETS, &PORTS, &PROCESSES, &PEERS];

/// The table of that name; `sockets` is `list`.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|t| t.name == name || t.noun == name)
}

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

impl PartialEq for Table {
    /// Tables are what they are called: there is one of each.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Table {}

impl Table {
    /// The columns shown when nobody chose.
    pub fn default_columns(&self) -> Vec<&'static Column> {
        self.defaults.iter().filter_map(|name| self.column(name)).collect()
    }

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
