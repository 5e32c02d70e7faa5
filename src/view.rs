//! Views: the rows of a table by filter, sort order and grouping.

mod arranged;
pub mod diff;
pub mod group;
mod merged;
mod no_match;
pub mod preset;
pub mod sort;
pub mod summary;
pub mod wants;

use crate::filter::Filter;
use crate::format::Role;
use crate::model::Snapshot;
use crate::table::Table;
pub use arranged::{Arranged, Line};
use group::GroupBy;
pub use no_match::NoMatch;
use sort::SortKey;
use std::borrow::Cow;

/// A view of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The table.
    pub table: &'static Table,
    /// Filter.
    pub filter: Filter,
    /// Sort order; empty: the table's own.
    pub sort: Vec<SortKey>,
    /// Grouping.
    pub group: Option<GroupBy>,
    /// Include sockets that have just closed.
    pub closed: bool,
}

impl View {
    /// All rows of a table in its own order, without groups.
    pub fn new(table: &'static Table) -> Self {
        Self { table, filter: Filter::everything(table), sort: Vec::new(), group: None, closed: false }
    }

    /// The sort order in force.
    pub fn order(&self) -> Cow<'_, [SortKey]> {
        if self.sort.is_empty() { Cow::Owned(sort::default(self.table)) } else { Cow::Borrowed(&self.sort) }
    }

    /// Arranges the rows of one snapshot.
    pub fn arrange(&self, snap: &Snapshot) -> Arranged {
        if let Some(merged) = &snap.merged {
            return self.grouped(snap, merged::sorted(self, merged, true));
        }
        let total = self.total(snap);
        let matcher = self.filter.over(snap);
        let mut rows: Vec<u32> = (0..total as u32).filter(|r| matcher.matches(*r as usize)).collect();
        sort::sort(&mut rows, snap, &self.keys());
        self.grouped(snap, rows)
    }

    /// Arranges sorted rows, as returned by [`View::sorted`].
    pub fn arrange_sorted(&self, snap: &Snapshot, sorted: &[u32]) -> Arranged {
        let rows = if self.filter.is_everything() {
            sorted.to_vec()
        } else if let Some(merged) = &snap.merged {
            merged::matching(self, merged, sorted)
        } else {
            let matcher = self.filter.over(snap);
            sorted.iter().copied().filter(|r| matcher.matches(*r as usize)).collect()
        };
        self.grouped(snap, rows)
    }

    /// All rows of the table in order, unfiltered. Equal for views with equal [`View::keys`].
    pub fn sorted(&self, snap: &Snapshot) -> Vec<u32> {
        if let Some(merged) = &snap.merged {
            return merged::sorted(self, merged, false);
        }
        let mut rows: Vec<u32> = (0..self.total(snap) as u32).collect();
        sort::sort(&mut rows, snap, &self.keys());
        rows
    }

    /// Sort keys of rows. Grouping by state orders the states itself.
    pub fn keys(&self) -> Vec<SortKey> {
        let order = self.order();
        match (self.group, order.split_first()) {
            (Some(GroupBy::State), Some((first, rest))) if first.column.is(Role::State) => rest.to_vec(),
            _ => order.into_owned(),
        }
    }

    /// Number of rows before filtering.
    fn total(&self, snap: &Snapshot) -> usize {
        if self.closed { self.table.rows(snap) } else { self.table.live_rows(snap) }
    }

    fn grouped(&self, snap: &Snapshot, mut rows: Vec<u32>) -> Arranged {
        let groups = match self.group {
            Some(by) => group::arrange(&mut rows, snap, self.table, &self.sort, by),
            None => Vec::new(),
        };
        let total = self.total(snap);
        let no_match = rows.is_empty().then(|| {
            let of_host = |s: &Snapshot| NoMatch::new(&self.filter, s, self.total(s));
            Box::new(NoMatch::of_hosts(snap.each_host().map(of_host)))
        });
        Arranged { rows, groups, total, no_match }
    }
}

#[cfg(test)]
mod tests {
    use super::group::Group;
    use super::*;
    use crate::model::snapshot::{Direction, Port};
    use crate::model::{Proto, State};
    use crate::table::SOCKETS;
    use crate::testing::{machine, many, port, process, row, snapshot};

    fn view(filter: &str, group: Option<&str>) -> View {
        View {
            filter: Filter::parse(filter, &SOCKETS).unwrap(),
            group: group.map(|g| GroupBy::parse(g, &SOCKETS).unwrap()),
            ..View::new(&SOCKETS)
        }
    }

    /// Asserts the invariants of arranged rows.
    fn assert_consistent(a: &Arranged) {
        let mut rows = a.rows.clone();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), a.rows.len(), "no row twice");
        let top: Vec<&Group> = a.groups.iter().filter(|g| g.depth == 0).collect();
        if !a.groups.is_empty() {
            assert_eq!(top.iter().map(|g| g.len as usize).sum::<usize>(), a.rows.len());
        }
        let mut at = 0;
        for g in &top {
            assert_eq!(g.start, at, "{:?}", g.key);
            at += g.len;
        }
        let mut ids: Vec<u64> = a.groups.iter().map(|g| g.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), a.groups.len(), "every group has an identity of its own");
        let open = a.lines(&|_, _| false);
        assert_eq!(open.len(), a.rows.len() + a.groups.len());
        assert_eq!(a.lines(&|_, d| d == 0).len(), if top.is_empty() { a.rows.len() } else { top.len() });
        // Unfolded, the lines contain every row in order.
        let rows: Vec<u32> = open
            .iter()
            .filter_map(|l| match l {
                Line::Row(r) => Some(*r),
                Line::Group(_) => None,
            })
            .collect();
        assert_eq!(rows, a.rows);
    }

    #[test]
    fn rows_are_filtered_and_sorted() {
        let snap = machine();
        let a = view("proto:tcp", None).arrange(&snap);
        assert_consistent(&a);
        assert_eq!((a.total, a.rows.len()), (15, 11));
        assert_eq!(&a.rows[..2], &[1, 0], "listeners first, by address");
    }

    #[test]
    fn filter_of_a_group_matches_its_rows() {
        let snap = many(3000);
        for by in
            ["state", "local", "remote", "process", "user", "scope", "recv_q", "remote_port", "process,state"]
        {
            let v = view("not state:closed", Some(by));
            let a = v.arrange(&snap);
            assert_consistent(&a);
            for g in a.groups.iter().filter(|g| g.depth == 0).take(40) {
                let Some(filter) = g.filter(v.group.unwrap(), &snap) else { continue };
                let f = Filter::parse(&filter, &SOCKETS).unwrap_or_else(|e| panic!("{filter}: {e}"));
                let mut want: Vec<u32> = a.rows[g.start as usize..(g.start + g.len) as usize].to_vec();
                want.sort_unstable();
                let m = f.over(&snap);
                let mut got: Vec<u32> = a.rows.iter().copied().filter(|r| m.matches(*r as usize)).collect();
                got.sort_unstable();
                // Groups by endpoint distinguish the wildcard addresses of both families, as the filter does.
                assert_eq!(got, want, "{by} {}: {filter}", g.title(&snap));
            }
        }
    }

    #[test]
    fn clients_of_one_endpoint_are_grouped() {
        let mut rows = vec![row(Proto::Tcp, State::Listen, "0.0.0.0:443", "*", &[0])];
        for i in 0..6 {
            let mut r = row(
                Proto::Tcp,
                State::Established,
                "10.0.0.4:443",
                &format!("203.0.113.{}:{}", i / 2, 5000 + i),
                &[0],
            );
            r.direction = Direction::In;
            r.rates.rx = Some(10.0);
            rows.push(r);
        }
        rows.push(row(Proto::Tcp, State::Established, "10.0.0.4:40000", "10.0.0.9:5432", &[0]));
        let mut snap = snapshot(rows, vec![process(1, "nginx", 0, 1, 10)], &[]);
        let local = snap.socket(0).local;
        let port = port(local, &[0], &[0]);
        snap.ports.push(Port { clients: vec![1, 2, 3, 4, 5, 6], hosts: 3, backlog: 10, ..port });
        let a = view("", Some("state")).arrange(&snap);
        assert_consistent(&a);
        let heads: Vec<(u8, String, u32, u32)> =
            a.groups.iter().map(|g| (g.depth, g.title(&snap), g.len, g.hosts)).collect();
        let named = |d, t: &str, n, h| (d, t.to_owned(), n, h);
        assert_eq!(
            heads,
            [named(0, "LISTEN", 1, 0), named(0, "ESTABLISHED", 7, 4), named(1, "0.0.0.0:443", 6, 3)]
        );
        assert_eq!(a.groups[2].rx, Some(60.0));
        assert!(a.groups[1].note.is_some());
        let lines = a.lines(&|_, depth| depth == 1);
        assert_eq!(
            lines,
            [Line::Group(0), Line::Row(0), Line::Group(1), Line::Group(2), Line::Row(7)],
            "the folded clients are one line"
        );
        let again = view("", Some("state")).arrange(&snap);
        assert_eq!(a.groups[2].id, again.groups[2].id);
    }

    #[test]
    fn ipv4_and_ipv6_of_one_service_are_a_group_between_single_rows() {
        let listen = |local: &str, owners: &[u32]| row(Proto::Tcp, State::Listen, local, "*", owners);
        let udp = |local: &str| row(Proto::Udp, State::Unconn, local, "*", &[0]);
        let rows = vec![
            listen("0.0.0.0:22", &[1]),
            listen("[::]:80", &[0]),
            listen("0.0.0.0:80", &[0, 1]),
            listen("0.0.0.0:90", &[0]),
            listen("[::]:90", &[1]),
            listen("127.0.0.1:631", &[0]),
            listen("[::1]:631", &[0]),
            listen("10.0.0.4:700", &[0]),
            listen("[::]:700", &[0]),
            listen("0.0.0.0:800", &[]),
            listen("[::]:800", &[]),
            listen("[::]:900", &[0]),
            udp("0.0.0.0:53"),
            udp("0.0.0.0:67"),
            udp("[::]:53"),
        ];
        let owners = vec![process(1, "nginx", 0, 1, 10), process(2, "sshd", 0, 1, 10)];
        let snap = snapshot(rows, owners, &[]);
        for sort in ["", "local:desc", "pid"] {
            let v = View {
                sort: if sort.is_empty() { vec![] } else { sort::parse(sort, &SOCKETS).unwrap() },
                ..view("", Some("state"))
            };
            let a = v.arrange(&snap);
            assert_consistent(&a);
            let mut folded: Vec<(String, Vec<u32>)> = a
                .groups
                .iter()
                .filter(|g| g.depth == 1)
                .map(|g| {
                    let mut rows = a.members(g).to_vec();
                    rows.sort_unstable();
                    (g.title(&snap), rows)
                })
                .collect();
            folded.sort();
            let want = [("*:53", [12, 14]), ("*:80", [1, 2]), ("localhost:631", [5, 6])];
            assert_eq!(folded, want.map(|(t, r)| (t.to_owned(), r.to_vec())), "{sort}");
            for g in a.groups.iter().filter(|g| g.depth == 1) {
                let filter = g.filter(GroupBy::State, &snap).unwrap();
                let f = Filter::parse(&filter, &SOCKETS).unwrap_or_else(|e| panic!("{filter}: {e}"));
                let m = f.over(&snap);
                let got: Vec<u32> = a.rows.iter().copied().filter(|r| m.matches(*r as usize)).collect();
                assert_eq!(got, a.members(g), "{filter}");
            }
        }
        let a = view("proto:tcp", Some("state")).arrange(&snap);
        assert_eq!(
            a.lines(&|_, depth| depth == 1)[..5],
            [Line::Group(0), Line::Row(0), Line::Group(1), Line::Row(4), Line::Row(3)],
            "by port"
        );
    }
}
