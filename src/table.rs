//! Registry of the tables: each a list of columns over the rows of a snapshot.

mod cell;
mod contexts;
mod definition;
mod dns;
pub mod error;
mod event_columns;
mod events;
pub mod forwards;
mod host;
pub mod identity;
pub mod limits;
mod map;
mod peers;
mod ports;
pub mod processes;
mod sockets;
mod threads;
mod units;
mod usage;

use crate::format::{Column, Role};
use crate::model::{Fault, FaultKind, Snapshot};
pub use definition::{Collapsed, Grouping, Table, TableId};
pub use dns::DNS;
pub use error::{QueryError, changes_columns, columns, columns_from};
pub use events::EVENTS;
pub use forwards::FORWARDS;
pub use host::HOSTNAME_COLUMN;
pub use identity::{Identity, RowId};
pub use limits::LIMITS;
pub use map::MAP_TABLE;
pub use peers::PEERS;
pub use ports::PORTS;
pub use processes::PROCESSES;
pub use sockets::SOCKETS;
pub use sockets::bpf::map_list as bpf_maps;
pub(crate) use sockets::{end_name, ip_end};

/// Every table, in the order of the screen.
pub static TABLES: [&Table; 9] =
    [&SOCKETS, &PORTS, &PROCESSES, &PEERS, &LIMITS, &FORWARDS, &MAP_TABLE, &EVENTS, &DNS];

impl TableId {
    /// The table.
    pub const fn table(self) -> &'static Table {
        match self {
            Self::Sockets => &SOCKETS,
            Self::Ports => &PORTS,
            Self::Processes => &PROCESSES,
            Self::Peers => &PEERS,
            Self::Limits => &LIMITS,
            Self::Forwards => &FORWARDS,
            Self::Map => &MAP_TABLE,
            Self::Events => &EVENTS,
            Self::Dns => &DNS,
        }
    }
}

/// The table of that name; `sockets` is `list`.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|t| t.name == name || t.noun == name)
}

impl Table {
    /// Time of a row, nanoseconds since 1970: of its sample, of an event or a DNS question its own.
    pub fn unix_ns(&self, snap: &Snapshot, row: usize) -> u64 {
        match self.id {
            TableId::Events => snap.events.rows.get(row).map_or(snap.sample.at.unix_ns, |e| e.unix_ns),
            TableId::Dns => snap.dns.rows.get(row).map_or(snap.sample.at.unix_ns, |q| q.unix_ns),
            _ => snap.sample.at.unix_ns,
        }
    }
}

/// Returns whether the network namespace must be shown: not all sockets are in namespace 0, that of sockscope. With a filter
/// the kernel may report only port 80 of a container, which must not look like port 80 of the host.
pub fn spans_namespaces(snap: &Snapshot) -> bool {
    snap.each_host().any(|snap| snap.sockets().any(|s| s.id.netns != 0))
}

/// Read errors that may be the reason for missing sockets.
fn unread_sockets(snap: &Snapshot) -> Vec<&Fault> {
    let hides = |f: &&Fault| f.kind.hides_data() || f.kind == FaultKind::Unsupported;
    snap.sample.faults.iter().filter(|f| f.subject.is_sockets()).filter(hides).collect()
}

/// The columns, with that of the network namespace if needed.
pub fn with_namespaces(
    table: &'static Table,
    columns: &[&'static Column],
    snap: &Snapshot,
) -> Vec<&'static Column> {
    let mut out = columns.to_vec();
    if let (Some(place), Some(netns), true) =
        (table.netns_after, table.with_role(Role::Netns), spans_namespaces(snap))
        && !out.contains(&netns)
    {
        let index = out.iter().position(|c| c.name == place).map_or(out.len(), |i| i + 1);
        out.insert(index, netns);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_list_that_begins_with_a_sign_changes_the_default_columns() {
        let names = |text: &str| -> Vec<&str> {
            columns(text, &SOCKETS).unwrap().into_iter().map(|c| c.name).collect()
        };
        let defaults: Vec<&str> = SOCKETS.default_columns().into_iter().map(|c| c.name).collect();
        let more = [&defaults[..], &["client", "asked_for"]].concat();
        assert_eq!(names("+client,asked_for"), more);
        assert_eq!(names("+client,+asked_for"), more);
        assert_eq!(names("client,asked_for"), ["client", "asked_for"]);
        assert_eq!(names("-rx,-tx").len(), defaults.len() - 2);
        assert_eq!(names("-rx,tx"), names("-rx,-tx"));
        assert_eq!(names("-rx,+client").len(), defaults.len());
    }
    use crate::model::text::is_hostile;
    use crate::testing::machine;
    use std::collections::HashMap;

    #[test]
    fn word_names_one_column() {
        for table in TABLES {
            let mut seen: HashMap<String, &str> = HashMap::new();
            for c in table.columns {
                for word in std::iter::once(c.name).chain(c.aliases.iter().copied()) {
                    let folded = word.to_ascii_lowercase().replace('-', "_");
                    assert_eq!(folded, word, "{}: words are written with _ in lower case", table.name);
                    assert_eq!(seen.insert(folded, c.name), None, "{}: {word} of {}", table.name, c.name);
                    assert!(word.starts_with(|c: char| c.is_ascii_lowercase()), "{word}");
                }
            }
            let mut titles: Vec<_> = table.columns.iter().map(|c| c.title).collect();
            titles.sort_unstable();
            assert!(titles.windows(2).all(|w| w[0] != w[1]), "{}: {titles:?}", table.name);
        }
    }

    #[test]
    fn every_column_has_help_title_and_width() {
        for table in TABLES {
            assert!(table.help.ends_with('.'));
            for c in table.columns {
                assert!(c.help.ends_with('.') && c.help.len() > 5, "{}.{}: {}", table.name, c.name, c.help);
                assert!(!c.title.is_empty() && !c.help.chars().any(is_hostile), "{}", c.name);
                let w = c.width;
                assert!(
                    w.min > 0 && w.min <= w.normal && w.normal <= w.max,
                    "{}.{}: {w:?}",
                    table.name,
                    c.name
                );
                assert!(usize::from(w.normal) >= c.title.len(), "{}.{}: {w:?}", table.name, c.name);
            }
        }
    }

    #[test]
    fn columns_named_by_a_table_exist() {
        for t in TABLES {
            assert!(std::ptr::eq(table(t.name).unwrap(), t));
            assert!(std::ptr::eq(t.id.table(), t));
            assert!(std::ptr::eq(TABLES[t.id as usize], t));
            let more = t.wide_columns.iter().chain(t.in_gauge).chain(&t.netns_after);
            for name in t.defaults.iter().chain(more).chain(t.words).chain(t.order.iter().map(|(n, _)| n)) {
                assert!(t.columns.iter().any(|c| c.name == *name), "{}: {name}", t.name);
            }
        }
        for (t, keys) in [
            (
                &SOCKETS,
                "proto family state local_addr local_port remote_addr remote_port recv_q send_q uid user inode \
                cookie netns iface owners owner_missing process pid",
            ),
            (
                &PROCESSES,
                "pid comm cmdline user fds_open fds_soft fds_hard fds_pct fds_sockets sockets_by_state",
            ),
        ] {
            for key in keys.split_whitespace() {
                assert!(t.columns.iter().any(|c| c.name == key), "{}: {key}", t.name);
            }
        }
    }

    #[test]
    fn roles_and_linked_columns_name_one_column_of_a_table() {
        for t in TABLES {
            for c in t.columns {
                let role = c.role.map(|r| t.columns.iter().filter(|c| c.is(r)).count());
                assert!(role.is_none_or(|n| n == 1), "{}.{}", t.name, c.name);
                assert!(c.process_column.is_none_or(|n| PROCESSES.column(n).is_some()), "{}", c.name);
                let percent = c.percent_column.map(|n| t.column(n).map(|c| c.kind));
                assert!(percent.is_none_or(|k| k == Some(crate::format::Kind::Percent)), "{}", c.name);
            }
        }
    }

    #[test]
    fn netns_column_is_added_for_another_namespace() {
        let has_netns =
            |snap: &Snapshot| with_namespaces(&SOCKETS, &[], snap).iter().any(|c| c.name == "netns");
        let mut snap = machine();
        snap.sample.sockets.truncate(1);
        assert!(!has_netns(&snap));
        snap.sample.sockets[0].id.netns = 1;
        assert!(has_netns(&snap));
    }

    #[test]
    fn every_cell_has_text() {
        let snap = machine();
        for t in TABLES {
            for c in t.columns {
                for row in 0..(t.len)(&snap) {
                    let v = c.value(&snap, row);
                    let shown = crate::format::cell(&v, c.kind, &crate::format::Style::default());
                    assert!(!shown.is_empty(), "{}.{} {row}", t.name, c.name);
                    c.any_value(&snap, row, &mut |_| false);
                }
            }
        }
    }
}
