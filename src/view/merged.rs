//! Rows of several hosts in one order.

use super::View;
use super::sort;
use crate::model::Snapshot;
use crate::model::snapshot::Merged;

/// Rows of all hosts in the order of a view; those that match its filter, or all.
pub(super) fn sorted(view: &View, merged: &Merged, filtered: bool) -> Vec<u32> {
    let keys = view.keys();
    let rows_of = |snap: &Snapshot| -> Vec<u32> {
        let matcher = view.filter.over(snap);
        let is_shown = |r: &u32| !filtered || matcher.matches(*r as usize);
        let mut rows: Vec<u32> = (0..view.total(snap) as u32).filter(is_shown).collect();
        sort::sort(&mut rows, snap, &keys);
        rows
    };
    let sorted: Vec<Vec<u32>> = merged.hosts.iter().map(|h| rows_of(&h.snap)).collect();
    let parts: Vec<(&Snapshot, &[u32])> =
        merged.hosts.iter().zip(&sorted).map(|(h, rows)| (&*h.snap, rows.as_slice())).collect();
    let merge = sort::merge(&parts, &keys).into_iter();
    merge.filter_map(|(host, row)| merged.row(view.table.id, host as usize, row as usize)).collect()
}

/// Rows that match the filter of a view, in the same order.
pub(super) fn matching(view: &View, merged: &Merged, rows: &[u32]) -> Vec<u32> {
    let matchers: Vec<_> = merged.hosts.iter().map(|h| view.filter.over(&h.snap)).collect();
    let is_shown = |r: &u32| {
        let at = merged.at(view.table.id, *r as usize);
        at.is_some_and(|(host, row)| matchers.get(host).is_some_and(|m| m.matches(row)))
    };
    rows.iter().copied().filter(is_shown).collect()
}

#[cfg(test)]
mod tests {
    use crate::filter::Filter;
    use crate::model::snapshot::{Direction, HostLink, RemoteHost, Viewer};
    use crate::model::{Proto, Snapshot, Stamp, State, Wants};
    use crate::table::{PROCESSES, SOCKETS, Table};
    use crate::testing::{process, remote_host, row, snapshot};
    use crate::view::View;
    use crate::view::group::GroupBy;
    use std::sync::Arc;

    /// Host with the same private addresses, cookies, inodes, namespaces, pids and start times as every other one.
    fn host(name: &str, comm: &str, clients: u16) -> RemoteHost {
        let mut rows = vec![row(Proto::Tcp, State::Listen, "10.0.0.4:443", "*", &[0])];
        for i in 0..clients {
            let mut r =
                row(Proto::Tcp, State::Established, "10.0.0.4:443", &format!("10.0.0.9:{}", 5000 + i), &[0]);
            r.direction = Direction::In;
            rows.push(r);
        }
        let snap = snapshot(rows, vec![process(812, comm, 0, 1, 10)], &[]);
        remote_host(name, snap)
    }

    fn viewer() -> Viewer {
        Viewer {
            seq: 1,
            at: Stamp::default(),
            label: "2 hosts".into(),
            wants: Wants::default(),
            services: Arc::default(),
            names: Arc::default(),
            history: Arc::default(),
        }
    }

    fn two() -> Snapshot {
        Snapshot::merge(viewer(), vec![host("web-1", "nginx", 5), host("web-2", "api", 6)])
    }

    fn view(table: &'static Table, filter: &str, group: Option<&str>) -> View {
        View {
            filter: Filter::parse(filter, table).unwrap(),
            group: group.map(|g| GroupBy::parse(g, table).unwrap()),
            ..View::new(table)
        }
    }

    /// Values of a column in the order of the rows.
    fn values(view: &View, snap: &Snapshot, column: &str) -> Vec<String> {
        let column = view.table.column(column).unwrap();
        let value = |r: &u32| {
            let (snap, row) = snap.at(view.table.id, *r as usize);
            crate::format::exact(&column.value(snap, row))
        };
        view.arrange(snap).rows.iter().map(value).collect()
    }

    #[test]
    fn equal_sockets_of_two_hosts_are_two_rows() {
        let snap = two();
        let all = view(&SOCKETS, "", None).arrange(&snap);
        assert_eq!((all.total, all.rows.len()), (13, 13));
        let mut ids: Vec<_> = all.rows.iter().filter_map(|r| SOCKETS.row_id(&snap, *r as usize)).collect();
        assert_eq!((ids[0].host, ids[1].host), (0, 1), "the listeners, host after host");
        assert_eq!(ids[0].id, ids[1].id, "they have one cookie");
        ids.dedup();
        assert_eq!(ids.len(), 13);
        let sorted = view(&SOCKETS, "", None).sorted(&snap);
        assert_eq!(sorted, all.rows);
    }

    #[test]
    fn process_of_a_row_is_that_of_its_host() {
        let snap = two();
        assert_eq!(values(&view(&SOCKETS, "state:listen", None), &snap, "process"), ["nginx", "api"]);
        assert_eq!(values(&view(&SOCKETS, "proc:api state:listen", None), &snap, "hostname"), ["web-2"]);
        assert_eq!(values(&view(&PROCESSES, "pid:812", None), &snap, "hostname"), ["web-1", "web-2"]);
        let filtered = view(&SOCKETS, "hostname:web-1", None);
        assert_eq!(filtered.arrange(&snap).rows.len(), 6);
        let sorted = view(&SOCKETS, "", None).sorted(&snap);
        assert_eq!(filtered.arrange_sorted(&snap, &sorted).rows.len(), 6);
    }

    #[test]
    fn groups_of_what_is_one_thing_on_one_host_are_kept_apart() {
        let snap = two();
        for (by, want) in [
            ("hostname", &["web-2 7", "web-1 6"][..]),
            ("state", &["LISTEN 2", "ESTABLISHED 11", "web-2 10.0.0.4:443 6", "web-1 10.0.0.4:443 5"]),
            ("local", &["web-2 10.0.0.4:443 7", "web-1 10.0.0.4:443 6"]),
            ("process", &["web-2 api 812 7", "web-1 nginx 812 6"]),
            ("pid", &["web-2 812 7", "web-1 812 6"]),
            ("remote", &["10.0.0.9 11", "no peer 2"]),
        ] {
            let v = view(&SOCKETS, "", Some(by));
            let a = v.arrange(&snap);
            let titles: Vec<String> =
                a.groups.iter().map(|g| format!("{} {}", g.title(&snap), g.len)).collect();
            assert_eq!(titles, want, "{by}");
            let mut ids: Vec<u64> = a.groups.iter().map(|g| g.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), a.groups.len(), "{by}");
            // The filter of a group has its rows and no others.
            for g in &a.groups {
                let Some(filter) = g.filter(v.group.unwrap(), &snap) else { continue };
                let mut got = view(&SOCKETS, &filter, None).arrange(&snap).rows;
                let mut rows = a.members(g).to_vec();
                if g.depth > 0 {
                    rows.retain(|r| got.contains(r));
                    assert_eq!(rows.len(), g.len as usize, "{filter}");
                    continue;
                }
                got.sort_unstable();
                rows.sort_unstable();
                assert_eq!(got, rows, "{filter}");
            }
        }
    }

    #[test]
    fn other_end_on_another_host_is_a_column_a_filter_and_a_group() {
        let with = |name: &str, local: &str, remote: &str, comm: &str| {
            let rows = vec![
                row(Proto::Tcp, State::Listen, "0.0.0.0:80", "*", &[0]),
                row(Proto::Tcp, State::Established, local, remote, &[0]),
            ];
            remote_host(name, snapshot(rows, vec![process(812, comm, 0, 1, 10)], &[]))
        };
        let (a, b) = ("203.0.113.1:5000", "203.0.113.2:80");
        let hosts = vec![with("web", a, b, "api"), with("db", b, a, "postgres")];
        let weak: Arc<[_]> = hosts.iter().map(|h| Arc::downgrade(&h.snap)).collect();
        for (host, other, nat) in [(0, 1, None), (1, 0, Some(0))] {
            let link = HostLink { row: 1, host: other, peer: 1, certain: true, nat };
            hosts[host].snap.host_peers.set(vec![link], Arc::clone(&weak));
        }
        let snap = Snapshot::merge(viewer(), hosts);
        for (filter, column, want) in [
            ("peer_host:db", "hostname", &["web"][..]),
            ("peer_process:postgres", "peer_host", &["db"]),
            ("peer_nat:web", "peer_process", &["api 812"]),
            ("peer_certainty:certain", "peer_certainty", &["certain", "certain"]),
            ("peer_host:none", "hostname", &["web", "db"]),
        ] {
            assert_eq!(values(&view(&SOCKETS, filter, None), &snap, column), want, "{filter}");
        }
        let groups = view(&SOCKETS, "state:established", Some("peer_host")).arrange(&snap);
        let mut titles: Vec<String> = groups.groups.iter().map(|g| g.title(&snap)).collect();
        titles.sort();
        assert_eq!(titles, ["db", "web"]);
    }

    #[test]
    fn view_without_matches_has_the_reason_and_all_rows_as_its_total() {
        let snap = two();
        let a = view(&SOCKETS, "hostname:web-3", None).arrange(&snap);
        assert_eq!((a.total, a.rows.len()), (13, 0));
        assert!(a.no_match.is_some());
    }
}
