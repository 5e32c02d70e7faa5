//! Rows of several hosts in one snapshot.
//!
//! Cookies, inodes, process ids, user ids, namespace numbers and the time since boot are those of one kernel, and rows refer to
//! each other by them. Rows therefore stay in the snapshot of their host, and a merged snapshot has none of its own: it numbers
//! them, host after host, and has the sums over the hosts.

use super::Snapshot;
use crate::model::fault::Faults;
use crate::model::hosts::Hosts;
use crate::model::lang::noop;
use crate::model::limit::Alert;
use crate::model::process::Process;
use crate::model::sample::{Backend, BackendInfo, Sample, Stamp};
use crate::model::services::Services;
use crate::model::state::StateCounts;
use crate::model::wants::Wants;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kind of rows of a snapshot: the table that shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableId {
    /// Sockets, open and recently closed.
    Sockets,
    /// Served endpoints.
    Ports,
    /// Processes.
    Processes,
    /// Remote addresses.
    Peers,
    /// Resource limits.
    Limits,
    /// Port forwards.
    Forwards,
    /// Edges of the map.
    Map,
    /// Events.
    Events,
    /// DNS questions.
    Dns,
}

impl TableId {
    /// All, in the order of the screen.
    pub const ALL: [Self; 9] = [
        Self::Sockets,
        Self::Ports,
        Self::Processes,
        Self::Peers,
        Self::Limits,
        Self::Forwards,
        Self::Map,
        Self::Events,
        Self::Dns,
    ];
}

/// Connection state of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostState {
    /// Its answers arrive in time.
    Up,
    /// Its first answer is being waited for.
    Connecting,
    /// Its answer is late.
    Slow,
    /// It answered with an error.
    Refused,
    /// Its connection ended, or could not be made.
    Gone,
}

/// One host with its last snapshot.
#[derive(Clone, Debug)]
pub struct RemoteHost {
    /// Name under which it was given.
    pub name: Arc<str>,
    /// Connection state.
    pub state: HostState,
    /// Reason for the state; empty for [`HostState::Up`].
    pub reason: String,
    /// Seconds since its last answer, or since it was asked for the first one.
    pub age_s: u64,
    /// Offset of its clock to that of the viewer, seconds; 0 while unknown.
    pub clock_s: i64,
    /// True if it has answered since the merged snapshot before.
    pub is_new: bool,
    /// Its last snapshot, without rows before its first answer.
    pub snap: Arc<Snapshot>,
}

impl HostState {
    /// Name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => noop("live"),
            Self::Connecting => noop("connecting"),
            Self::Slow => noop("slow"),
            Self::Refused => noop("refused"),
            Self::Gone => noop("gone"),
        }
    }
}

impl RemoteHost {
    /// True if its rows are not those of now.
    pub fn is_late(&self) -> bool {
        self.state != HostState::Up
    }
}

/// Hosts of a merged snapshot, and the numbers of their rows.
///
/// Row numbers are those of all open sockets, host after host, and then those of all closed ones, so that closed rows come last
/// as in the snapshot of one host.
#[derive(Clone, Debug)]
pub struct Merged {
    /// Hosts, in the order of the command line.
    pub hosts: Vec<RemoteHost>,
    /// First row of each host by table, and the end of the last: open ones, closed ones.
    starts: [[Vec<u32>; 2]; TableId::ALL.len()],
}

/// Number of rows, and of those without closed sockets.
fn counts(snap: &Snapshot, table: TableId) -> (usize, usize) {
    let one = |n: usize| (n, n);
    match table {
        TableId::Sockets => (snap.socket_count(), snap.live.min(snap.socket_count())),
        TableId::Ports => one(snap.ports.len()),
        TableId::Processes => one(snap.sample.processes.len()),
        TableId::Peers => one(snap.peers.len()),
        TableId::Limits => one(snap.limits.len()),
        TableId::Forwards => one(snap.forward_rows().len()),
        TableId::Map => one(snap.map().edges.len()),
        TableId::Events => one(snap.events.rows.len()),
        TableId::Dns => one(snap.dns.rows.len()),
    }
}

impl Merged {
    /// Numbers the rows of the hosts.
    pub fn new(hosts: Vec<RemoteHost>) -> Self {
        let starts = TableId::ALL.map(|table| {
            let all: Vec<(usize, usize)> = hosts.iter().map(|h| counts(&h.snap, table)).collect();
            let live = sums(0, all.iter().map(|(_, live)| *live));
            let first_closed = live.last().copied().unwrap_or(0);
            [live, sums(first_closed, all.iter().map(|(len, live)| len.saturating_sub(*live)))]
        });
        Self { hosts, starts }
    }

    const fn starts(&self, table: TableId) -> &[Vec<u32>; 2] {
        &self.starts[table as usize]
    }

    /// Number of rows, and of those without closed sockets.
    pub fn counts(&self, table: TableId) -> (usize, usize) {
        let [live, all] = self.starts(table).each_ref().map(|s| s.last().map_or(0, |n| *n as usize));
        (all, live)
    }

    /// Index of the host of a row, and its row there.
    pub fn at(&self, table: TableId, row: usize) -> Option<(usize, usize)> {
        let [live, closed] = self.starts(table);
        let (len, open) = self.counts(table);
        let starts = match row {
            row if row < open => live,
            row if row < len => closed,
            _ => return None,
        };
        let host = starts.partition_point(|s| *s as usize <= row).checked_sub(1)?;
        let before = row - *starts.get(host)? as usize;
        if row < open {
            return Some((host, before));
        }
        Some((host, (live.get(host + 1)? - live.get(host)?) as usize + before))
    }

    /// Row by the index of its host and its row there.
    pub fn row(&self, table: TableId, host: usize, row: usize) -> Option<u32> {
        let [live, closed] = self.starts(table);
        let (start, end) = (*live.get(host)?, *live.get(host + 1)?);
        let open = (end - start) as usize;
        match row.checked_sub(open) {
            None => Some(start + row as u32),
            Some(row) => {
                let number = closed.get(host)? + row as u32;
                (number < *closed.get(host + 1)?).then_some(number)
            }
        }
    }
}

/// Running sums from a first one on, one more than there are numbers.
fn sums(first: u32, numbers: impl Iterator<Item = usize>) -> Vec<u32> {
    let next = |sum: &mut u32, n: usize| {
        *sum = sum.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        Some(*sum)
    };
    std::iter::once(first).chain(numbers.scan(first, next)).collect()
}

/// Parts of a merged snapshot that are not of its hosts.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Sequence number.
    pub seq: u64,
    /// Time, by the clock of the viewer.
    pub at: Stamp,
    /// Label in place of a host name.
    pub label: Arc<str>,
    /// Request.
    pub wants: Wants,
    /// Port names.
    pub services: Arc<Services>,
    /// Host names of addresses.
    pub names: Arc<Hosts>,
    /// Sums by state of recent polls, without this one.
    pub history: Arc<Vec<(Stamp, StateCounts)>>,
}

/// Most sums by state that are kept.
const HISTORY: usize = 120;

impl Snapshot {
    /// Snapshot without rows.
    pub fn empty(seq: u64, sample: Sample) -> Self {
        Self {
            seq,
            sample,
            merged: None,
            live_rows: None,
            closed_rows: Vec::new(),
            closed_names: Vec::new(),
            closed_ns: Vec::new(),
            live: 0,
            derive_faults: Faults::default(),
            facts: Vec::new(),
            rates: Vec::new(),
            counters: Vec::new(),
            local_peers: Vec::new(),
            host_peers: Arc::default(),
            last_owners: Vec::new(),
            sockets_of: Vec::new(),
            processes: Vec::new(),
            units: Arc::from([]),
            unit_of_cgroup: BTreeMap::new(),
            ports: Vec::new(),
            peers: Vec::new(),
            peer_sockets: Vec::new(),
            peer_processes: Vec::new(),
            forwards: None,
            map: super::Map::default(),
            limits: Vec::new(),
            unjudged: Vec::new(),
            alerts: Vec::new(),
            states: StateCounts::default(),
            history: Arc::default(),
            numbers: super::History::default(),
            hidden: Vec::new(),
            opened: 0,
            closed: 0,
            events: super::EventLog::default(),
            dns: super::DnsLog::default(),
        }
    }

    /// Snapshot without rows of a host that has not answered yet.
    pub fn unanswered(host: Arc<str>) -> Self {
        let backend = BackendInfo { backend: Backend::Netlink, reason: String::new() };
        Self::empty(0, Sample::empty(Stamp::default(), host, Arc::new(backend), Wants::default()))
    }

    /// Merges the last snapshots of several hosts. Sums are those of the rows, which are the last ones of a host that is late.
    pub fn merge(viewer: Viewer, hosts: Vec<RemoteHost>) -> Self {
        let merged = Merged::new(hosts);
        let newest = merged.hosts.iter().find(|h| !h.is_late()).or(merged.hosts.first());
        let backend = match newest {
            Some(h) => Arc::clone(&h.snap.sample.backend),
            None => Arc::new(BackendInfo { backend: Backend::Netlink, reason: String::new() }),
        };
        let mut out = Self::empty(viewer.seq, Sample::empty(viewer.at, viewer.label, backend, viewer.wants));
        (out.sample.services, out.sample.hosts) = (viewer.services, viewer.names);
        out.live = merged.counts(TableId::Sockets).1;
        for (i, host) in merged.hosts.iter().enumerate() {
            let s = &host.snap;
            let moved = |a: &Alert| {
                let limit = merged.row(TableId::Limits, i, a.limit as usize)?;
                // One snapshot is merged more than once.
                Some(Alert { limit, new: a.new && host.is_new, ..a.clone() })
            };
            out.alerts.extend(s.alerts.iter().filter_map(moved));
            out.states.merge(&s.states);
            out.events.lost = out.events.lost.saturating_add(s.events.lost);
            out.dns.lost = out.dns.lost.saturating_add(s.dns.lost);
            if !host.is_new {
                continue;
            }
            out.sample.duration_us = out.sample.duration_us.max(s.sample.duration_us);
            out.opened = out.opened.saturating_add(s.opened);
            out.closed = out.closed.saturating_add(s.closed);
        }
        // Most severe first, as those of one host.
        out.alerts.sort_by_key(|a| std::cmp::Reverse(a.level));
        let before = &viewer.history;
        let mut history = before.get(before.len().saturating_sub(HISTORY - 1)..).unwrap_or_default().to_vec();
        history.push((viewer.at, out.states));
        out.history = Arc::new(history);
        out.merged = Some(Arc::new(merged));
        out
    }

    /// Snapshot of the host of a row, and the row there: of a snapshot of one host itself.
    pub fn at(&self, table: TableId, row: usize) -> (&Self, usize) {
        let found = self.merged.as_ref().and_then(|m| {
            let (host, row) = m.at(table, row)?;
            Some((&*m.hosts.get(host)?.snap, row))
        });
        found.unwrap_or((self, row))
    }

    /// Index of the host of a row; 0 for a snapshot of one host.
    pub fn host_index(&self, table: TableId, row: usize) -> usize {
        self.merged.as_ref().and_then(|m| m.at(table, row)).map_or(0, |(host, _)| host)
    }

    /// Host of a row of a merged snapshot.
    pub fn host_of(&self, table: TableId, row: usize) -> Option<&RemoteHost> {
        let merged = self.merged.as_ref()?;
        merged.hosts.get(merged.at(table, row)?.0)
    }

    /// Snapshots with rows: those of the hosts, or this one.
    pub fn each_host(&self) -> impl Iterator<Item = &Self> {
        let hosts = self.merged.as_ref().map(|m| m.hosts.iter().map(|h| &*h.snap));
        let own = self.merged.is_none().then_some(self);
        hosts.into_iter().flatten().chain(own)
    }

    /// Number of a process of a host among those of all hosts.
    pub fn process_number(&self, host: usize, process: u32) -> u32 {
        let number = |m: &Arc<Merged>| m.row(TableId::Processes, host, process as usize);
        self.merged.as_ref().map_or(process, |m| number(m).unwrap_or(u32::MAX))
    }

    /// Process by its row.
    pub fn process_row(&self, row: usize) -> Option<&Process> {
        let (snap, row) = self.at(TableId::Processes, row);
        snap.sample.processes.get(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::proto::Proto;
    use crate::model::state::State;
    use crate::testing::{process, remote_host, row, snapshot};

    /// Host whose addresses, cookies, inodes and pids are those of every other one.
    fn host(name: &str, comm: &str, sockets: usize, closed: usize) -> RemoteHost {
        let rows = (0..sockets + closed)
            .map(|i| {
                row(Proto::Tcp, State::Established, &format!("10.0.0.4:{}", 80 + i), "10.0.0.9:5432", &[0])
            })
            .collect();
        let mut snap = snapshot(rows, vec![process(812, comm, 0, 1, 10)], &[]);
        let all = std::mem::take(&mut snap.sample.sockets);
        snap.sample.sockets = all[..sockets].to_vec();
        snap.closed_rows = all[sockets..].to_vec();
        snap.live = sockets;
        remote_host(name, snap)
    }

    fn viewer(seq: u64) -> Viewer {
        Viewer {
            seq,
            at: Stamp::default(),
            label: "3 hosts".into(),
            wants: Wants::default(),
            services: Arc::default(),
            names: Arc::default(),
            history: Arc::default(),
        }
    }

    #[test]
    fn row_of_a_merged_snapshot_is_a_row_of_one_host() {
        let hosts = [("a", 2, 1), ("b", 0, 2), ("c", 3, 0)].map(|(n, open, closed)| host(n, n, open, closed));
        let merged = Merged::new(hosts.into());
        assert_eq!(merged.counts(TableId::Sockets), (8, 5));
        let at: Vec<_> = (0..9).map(|r| merged.at(TableId::Sockets, r)).collect();
        let open = [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)];
        let closed = [(0, 2), (1, 0), (1, 1)];
        let want: Vec<_> = open.into_iter().chain(closed).map(Some).chain([None]).collect();
        assert_eq!(at, want, "closed rows come last");
        for (row, (host, local)) in at.iter().flatten().enumerate() {
            assert_eq!(merged.row(TableId::Sockets, *host, *local), Some(row as u32));
        }
        assert_eq!(merged.row(TableId::Sockets, 2, 3), None);
        assert_eq!(merged.row(TableId::Sockets, 3, 0), None);
        assert_eq!(merged.at(TableId::Processes, 2), Some((2, 0)));
        assert_eq!(Merged::new(Vec::new()).at(TableId::Sockets, 0), None);
    }

    #[test]
    fn equal_pids_of_two_hosts_are_two_processes() {
        let snap = Snapshot::merge(viewer(1), vec![host("a", "nginx", 1, 0), host("b", "api", 1, 0)]);
        let name = |row| snap.process_row(row).map(|p| (p.info.pid, p.info.name()));
        assert_eq!(name(0).unwrap(), (812, "nginx".into()));
        assert_eq!(name(1).unwrap(), (812, "api".into()));
        assert!(name(2).is_none());
        assert_eq!(snap.host_of(TableId::Sockets, 1).map(|h| &*h.name), Some("b"));
        assert_eq!(snap.states.get(State::Established), 2);
    }

    #[test]
    fn alert_is_new_in_the_first_snapshot_merged_with_it() {
        use crate::model::limit::{Level, Limit, LimitKind, LimitSubject};
        let mut with = host("a", "nginx", 1, 0);
        let mut snap = Snapshot::clone(&with.snap);
        let alert = |level| Alert { limit: 0, level, since_ns: 1, lost: 0, new: true };
        let subject = LimitSubject::System;
        snap.limits = vec![Limit::new(LimitKind::Fds, 0, subject, 9, Some(10))];
        snap.alerts = vec![alert(Level::Warning)];
        with.snap = Arc::new(snap.clone());
        snap.alerts = vec![alert(Level::Critical)];
        let other = RemoteHost { snap: Arc::new(snap), is_new: false, ..host("b", "api", 1, 0) };
        let merged = Snapshot::merge(viewer(1), vec![with, other]);
        let alerts: Vec<_> = merged.alerts.iter().map(|a| (a.limit, a.level, a.new)).collect();
        assert_eq!(alerts, [(1, Level::Critical, false), (0, Level::Warning, true)], "the worst first");
        assert_eq!(merged.host_of(TableId::Limits, 1).map(|h| &*h.name), Some("b"));
        assert_eq!(merged.at(TableId::Limits, 1).1, 0);
    }

    #[test]
    fn sums_are_those_of_the_rows() {
        let late = RemoteHost { state: HostState::Gone, ..host("b", "api", 3, 0) };
        let snap = Snapshot::merge(viewer(1), vec![host("a", "nginx", 1, 0), late]);
        assert_eq!((snap.live, snap.states.get(State::Established)), (4, 4));
        assert_eq!(snap.history.len(), 1);
    }
}
