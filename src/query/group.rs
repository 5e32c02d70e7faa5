//! Groups of rows.

use super::{Column, QueryError, Table, error};
use crate::model::StateCounts;

/// By what rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By state and, inside a state, by served endpoint.
    State,
    /// By local endpoint.
    Local,
    /// By remote address.
    Remote,
    /// By owning process.
    Process,
    /// By what a column says.
    Column(&'static Column),
}

impl GroupBy {
    /// From a word: `state`, `local`, `remote`, `process` or the name of a column.
    pub fn parse(word: &str, table: &'static Table) -> Result<Self, QueryError> {
        if table.name == "list" {
            for (name, by) in [
                ("state", Self::State),
                ("local", Self::Local),
                ("remote", Self::Remote),
                ("process", Self::Process),
            ] {
                if word.eq_ignore_ascii_case(name) {
                    return Ok(by);
                }
            }
        }
        error::column(word, table).map(Self::Column)
    }

    /// The word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Process => "process",
            Self::Column(c) => c.name,
        }
    }
}

/// One group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its identity from poll to poll: a hash of what it is grouped by.
    pub id: u64,
    /// 0 for a group, 1 for a group within one.
    pub depth: u8,
    /// What it is called: `CLOSE_WAIT`, `0.0.0.0:443`. Raw: whoever shows it escapes it.
    pub title: String,
    /// A filter that lets through just its rows, within the group around it: `state:close-wait`.
    pub filter: Option<String>,
    /// Where its rows begin in [`super::view::Arranged::rows`].
    pub start: u32,
    /// How many they are.
    pub len: u32,
    /// Its rows by state; of sockets only.
    pub states: StateCounts,
    /// Bytes received and not read, listeners apart.
    pub recv_q: u64,
    /// Bytes not acknowledged, listeners apart.
    pub send_q: u64,
    /// Bytes received a second.
    pub rx: Option<f64>,
    /// Bytes sent a second.
    pub tx: Option<f64>,
    /// Different remote addresses.
    pub hosts: u32,
    /// A line on what it means.
    pub note: Option<&'static str>,
}
