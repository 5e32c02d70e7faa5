//! A view: its table, columns and groupings.

use super::identity::{Identity, RowId};
use crate::format::{Column, Needs, Role};
use crate::model::lang::noop;
pub use crate::model::snapshot::TableId;
use crate::model::{Addr, Fault, Snapshot};

/// A grouping that a view offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The word for it: `--group-by`; `None` without groups.
    pub name: Option<&'static str>,
    /// Its title on screen.
    pub title: &'static str,
    /// Groups that are collapsed at first.
    pub collapsed: Collapsed,
    /// True if groups are in the order of their first rows, false if the largest comes first.
    pub by_first_row: bool,
}

/// Groups that are collapsed at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collapsed {
    /// Every group.
    All,
    /// Groups within a group.
    Nested,
    /// The group of this value, unless it is the only one.
    Value(&'static str),
}

impl Grouping {
    /// Without groups.
    pub const FLAT: Self = Self::new("flat");

    /// By host, of rows of several hosts.
    pub const BY_HOST: Self = Self::by(super::HOSTNAME_COLUMN, noop("host")).collapsed(Collapsed::Nested);

    const fn new(title: &'static str) -> Self {
        Self { name: None, title, collapsed: Collapsed::All, by_first_row: false }
    }

    /// By a column.
    pub const fn by(name: &'static str, title: &'static str) -> Self {
        let mut g = Self::new(title);
        g.name = Some(name);
        g
    }

    /// Sets the groups that are collapsed at first.
    pub(super) const fn collapsed(mut self, which: Collapsed) -> Self {
        self.collapsed = which;
        self
    }

    /// Orders groups by their first rows.
    pub(super) const fn by_first_row(mut self) -> Self {
        self.by_first_row = true;
        self
    }
}

/// One table.
pub struct Table {
    /// Its identifier.
    pub id: TableId,
    /// Its name: the command that prints it (`list` for sockets), the view that shows it.
    pub name: &'static str,
    /// Its title on screen.
    pub title: &'static str,
    /// Name of its rows in the plural: `1,204 sockets`.
    pub noun: &'static str,
    /// Name of one row: `no socket matches`.
    pub singular: &'static str,
    /// One sentence about its content.
    pub help: &'static str,
    /// Every column, in the order of the reference.
    pub columns: &'static [Column],
    /// Default columns, in order.
    pub defaults: &'static [&'static str],
    /// Columns that a wide screen shows after the default ones.
    pub wide_columns: &'static [&'static str],
    /// Default columns whose values a gauge on screen shows instead.
    pub in_gauge: &'static [&'static str],
    /// The column after which the network namespace is shown if rows are of several.
    pub netns_after: Option<&'static str>,
    /// Columns that a bare word of a filter tests.
    pub words: &'static [&'static str],
    /// Default sort order: column, and whether descending.
    pub order: &'static [(&'static str, bool)],
    /// Groupings that the view offers, the initial one first.
    pub groupings: &'static [Grouping],
    /// Needed whatever the columns.
    pub always_needs: Needs,
    /// The topic that explains the table.
    pub topic: &'static str,
    /// Number of rows of a snapshot, sockets that have just closed included.
    pub len: fn(&Snapshot) -> usize,
    /// Number of rows of a snapshot without sockets that have just closed.
    pub live: fn(&Snapshot) -> usize,
    /// Identity of a row across polls.
    pub identity: fn(&Snapshot, usize) -> Option<Identity>,
    /// Processes that hold what the row stands for, by index; signals go to them.
    pub owners: fn(&Snapshot, usize) -> Vec<u32>,
    /// The process that the row is mainly about, by index.
    pub process_of: fn(&Snapshot, usize) -> Option<u32>,
    /// Rows of the sockets from which the processes in a row follow, local peers included.
    pub sockets: fn(&Snapshot, usize) -> Vec<u32>,
    /// The remote address of a row.
    pub remote_of: fn(&Snapshot, usize) -> Option<Addr>,
    /// Read errors that may be the reason for missing rows.
    pub unread: fn(&Snapshot) -> Vec<&Fault>,
}

impl std::fmt::Debug for Table {
    /// Its name: the registry behind it is long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({})", self.name)
    }
}

impl PartialEq for Table {
    /// There is one table of each identifier.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Table {}

impl Table {
    /// The default columns.
    pub fn default_columns(&self) -> Vec<&'static Column> {
        self.defaults.iter().filter_map(|name| self.column(name)).collect()
    }

    /// The column that plays this part.
    pub fn with_role(&self, role: Role) -> Option<&'static Column> {
        self.columns.iter().find(|c| c.is(role))
    }

    /// Returns whether its rows are sockets, which a filter can test without formatting cells.
    pub const fn is_sockets(&self) -> bool {
        matches!(self.id, TableId::Sockets)
    }

    /// Returns whether its rows happen at a time of their own and are printed as they do.
    pub const fn is_stream(&self) -> bool {
        matches!(self.id, TableId::Events | TableId::Dns)
    }

    /// Number of rows of a snapshot, of one host or of several, sockets that have just closed included.
    pub fn rows(&self, snap: &Snapshot) -> usize {
        snap.merged.as_ref().map_or_else(|| (self.len)(snap), |m| m.counts(self.id).0)
    }

    /// Number of rows without sockets that have just closed.
    pub fn live_rows(&self, snap: &Snapshot) -> usize {
        snap.merged.as_ref().map_or_else(|| (self.live)(snap), |m| m.counts(self.id).1)
    }

    /// Identity of a row across polls, with its host.
    pub fn row_id(&self, snap: &Snapshot, row: usize) -> Option<RowId> {
        let (on, at) = snap.at(self.id, row);
        Some(RowId { host: snap.host_index(self.id, row), id: (self.identity)(on, at)? })
    }

    /// The column of that name or alias.
    pub fn column(&self, word: &str) -> Option<&'static Column> {
        self.columns.iter().find(|c| c.is_called(word))
    }
}
