//! Differences between two snapshots: listeners, connections, processes and limits.
//!
//! Of one boot rows are compared by the identity of the kernel: a connection that was closed and opened again is one closed and
//! one opened. Across a restart there is none, and rows are compared by what they are called: process name and endpoint.

use crate::diagnose::limit::stable_label;
use crate::filter::from_cell::address_filter;
use crate::filter::quote;
use crate::format::percent;
use crate::model::lang::noop;
use crate::model::limit::{Level, Limit};
use crate::model::snapshot::Direction;
use crate::model::{ProtoSet, Reads, Snapshot, Socket, State, StateCounts};
use crate::table::TableId;
use std::collections::{BTreeMap, BTreeSet};

/// Thing that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Endpoint that a process serves.
    Listener,
    /// Connections of a process to one service, or of its clients.
    Connections,
    /// Process with sockets.
    Process,
    /// Resource limit.
    Limit,
}

impl Subject {
    /// All with their names, in the order of the output.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Listener, "listener"),
        (Self::Connections, "connections"),
        (Self::Process, "process"),
        (Self::Limit, "limit"),
    ];

    /// Name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Name of several.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Listener => noop("listeners"),
            Self::Connections => noop("connections"),
            Self::Process => noop("processes"),
            Self::Limit => noop("limits"),
        }
    }
}

/// Kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Not there before.
    New,
    /// Not there any more.
    Gone,
    /// Different.
    Changed,
}

impl Change {
    /// Name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
            Self::Changed => "changed",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Thing that differs.
    pub subject: Subject,
    /// Kind of the difference.
    pub change: Change,
    /// Name of the thing: endpoint, process, owner of a limit.
    pub name: String,
    /// Processes; empty if unknown or none.
    pub process: String,
    /// Network namespace.
    pub netns: String,
    /// State before; empty for a new thing.
    pub before: String,
    /// State after; empty for one that is gone.
    pub after: String,
    /// Connections opened and closed in between; `None` across a restart.
    pub turnover: Option<(u64, u64)>,
    /// Filter for its rows, in the table of its subject.
    filter: String,
}

impl Difference {
    /// Table in which the thing has rows, and the filter for them.
    pub fn rows(&self) -> (TableId, &str) {
        let table = match self.subject {
            Subject::Listener => TableId::Ports,
            Subject::Connections => TableId::Sockets,
            Subject::Process => TableId::Processes,
            Subject::Limit => TableId::Limits,
        };
        (table, &self.filter)
    }
}

/// Largest difference of the time of boot, as computed from the clocks of two samples, within one boot: the clock may be set.
const SAME_BOOT_NS: u64 = 30_000_000_000;

/// True if both are of one boot of one host, so that the identities of the kernel can be compared.
pub fn is_same_boot(before: &Snapshot, after: &Snapshot) -> bool {
    let boot = |s: &Snapshot| s.sample.at.unix_ns.saturating_sub(s.sample.at.boot_ns);
    before.sample.host == after.sample.host && boot(before).abs_diff(boot(after)) <= SAME_BOOT_NS
}

/// Differences from one snapshot to the other in what both have read, by subject, kind and name.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let both = |reads| before.sample.wants.reads(reads) && after.sample.wants.reads(reads);
    let mut out = listeners(before, after);
    out.extend(connections(before, after));
    if both(Reads::PROCESSES) {
        out.extend(processes(before, after));
    }
    if both(Reads::LIMITS) {
        out.extend(limits(before, after));
    }
    out.sort();
    out
}

fn netns_name(snap: &Snapshot, netns: u16) -> String {
    snap.sample
        .namespaces
        .get(usize::from(netns))
        .map_or_else(String::new, |n| n.name_without_pid().to_owned())
}

/// Names of processes, each once.
fn process_names(snap: &Snapshot, processes: impl Iterator<Item = u32>) -> String {
    let names: BTreeSet<String> = processes
        .filter_map(|p| snap.sample.processes.get(p as usize))
        .map(|p| p.info.name().into_owned())
        .collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Protocols that both snapshots have read, and whether both know the owners.
fn both_read(before: &Snapshot, after: &Snapshot) -> (ProtoSet, bool) {
    let (a, b) = (&before.sample.wants, &after.sample.wants);
    (a.protos & b.protos, a.reads(Reads::OWNERS) && b.reads(Reads::OWNERS))
}

/// Namespace, protocol and endpoint.
type ServiceKey = (String, &'static str, String);

/// Listening endpoints with their processes and their state in words.
fn services(snap: &Snapshot, (protos, owners): (ProtoSet, bool)) -> BTreeMap<ServiceKey, (String, String)> {
    let row = |p: &crate::model::snapshot::Port| {
        let mut end = String::new();
        let iface = (p.iface != 0).then(|| snap.iface_or_index(p.netns, p.iface));
        p.local.push_zoned(&mut end, iface.as_deref());
        let key = (netns_name(snap, p.netns), p.proto.name(), end);
        let queue = if p.backlog > 0 { format!(", backlog {}", p.backlog) } else { String::new() };
        (
            key,
            (
                process_names(snap, p.processes.iter().copied().filter(|_| owners)),
                format!("{}{queue}", p.scope.name()),
            ),
        )
    };
    snap.ports.iter().filter(|p| protos.has(p.proto)).map(row).collect()
}

fn listeners(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let read = both_read(before, after);
    let (old, new) = (services(before, read), services(after, read));
    let difference = |key: &ServiceKey, change, process: &str, before: &str, after: &str| Difference {
        subject: Subject::Listener,
        change,
        name: format!("{} {}", key.1, key.2),
        process: process.to_owned(),
        netns: key.0.clone(),
        before: before.to_owned(),
        after: after.to_owned(),
        turnover: None,
        filter: format!("proto:{} {}", key.1, address_filter("local", &key.2)),
    };
    let mut out = Vec::new();
    for (key, (process, state)) in &new {
        match old.get(key) {
            None => out.push(difference(key, Change::New, process, "", state)),
            Some((was, state_before)) if was != process || state_before != state => {
                let with = |process: &str, state: &str| {
                    if was == process || process.is_empty() {
                        state.to_owned()
                    } else {
                        format!("{process}, {state}")
                    }
                };
                let before =
                    if was == process { state_before.clone() } else { format!("{was}, {state_before}") };
                out.push(difference(key, Change::Changed, process, &before, &with(process, state)));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|(key, _)| !new.contains_key(key));
    out.extend(gone.map(|(key, (process, state))| difference(key, Change::Gone, process, state, "")));
    out
}

/// Namespace, name and processes of connections that belong together, and the filter for them.
type GroupKey = (String, String, String, String);

/// Connections of one group.
#[derive(Default)]
struct Group {
    states: StateCounts,
    /// Namespace inode, cookie and state of each.
    sockets: BTreeMap<(u64, u64), State>,
}

fn is_connection(s: &Socket, protos: ProtoSet) -> bool {
    s.proto.is_inet() && s.has_peer() && !s.is_listener() && protos.has(s.proto)
}

fn groups(snap: &Snapshot, (protos, owners): (ProtoSet, bool)) -> BTreeMap<GroupKey, Group> {
    let mut out: BTreeMap<GroupKey, Group> = BTreeMap::new();
    for (row, s) in snap.live_sockets().iter().enumerate().filter(|(_, s)| is_connection(s, protos)) {
        let proto = s.proto.name();
        let (name, filter) = match snap.facts[row].direction {
            Direction::In => {
                let end = snap.end_text(s, &s.local);
                (format!("{proto} clients of {end}"), address_filter("local", &end))
            }
            _ => {
                let end = snap.end_text(s, &s.remote);
                (format!("{proto} to {end}"), address_filter("remote", &end))
            }
        };
        let owners = snap.owners(row).iter().map(|o| o.process).filter(|_| owners);
        let filter = format!("proto:{proto} {filter}");
        let key = (netns_name(snap, s.id.netns), name, process_names(snap, owners), filter);
        let group = out.entry(key).or_default();
        group.states.add(s.state);
        group.sockets.insert((snap.netns_inode(s.id.netns), s.id.cookie), s.state);
    }
    out
}

fn states_text(states: &StateCounts) -> String {
    let text = |(state, n): (State, u32)| format!("{} {n}", state.name());
    states.present().map(text).collect::<Vec<_>>().join(", ")
}

fn connections(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let read = both_read(before, after);
    let (old, new) = (groups(before, read), groups(after, read));
    let same_boot = is_same_boot(before, after);
    let none = Group::default();
    let keys: BTreeSet<&GroupKey> = old.keys().chain(new.keys()).collect();
    let difference = |key: &GroupKey| {
        let (was, is) = (old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
        let turnover = same_boot.then(|| {
            let opened = is.sockets.keys().filter(|id| !was.sockets.contains_key(id)).count();
            let closed = was.sockets.keys().filter(|id| !is.sockets.contains_key(id)).count();
            (opened as u64, closed as u64)
        });
        let differs = match turnover {
            Some(_) => was.sockets != is.sockets,
            None => was.states != is.states,
        };
        differs.then(|| Difference {
            subject: Subject::Connections,
            change: match (was.sockets.is_empty(), is.sockets.is_empty()) {
                (true, _) => Change::New,
                (_, true) => Change::Gone,
                _ => Change::Changed,
            },
            name: key.1.clone(),
            process: key.2.clone(),
            netns: key.0.clone(),
            before: states_text(&was.states),
            after: states_text(&is.states),
            turnover,
            filter: key.3.clone(),
        })
    };
    keys.into_iter().filter_map(difference).collect()
}

/// Growth of open descriptors that counts as a difference: this many, and a tenth.
const FDS_MOVED: u32 = 10;

fn processes(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let same_boot = is_same_boot(before, after);
    // Several of one name are one across a restart: none of them is the one that was.
    let rows = |snap: &Snapshot| {
        let mut out: BTreeMap<(String, u32, u64), (u64, u32)> = BTreeMap::new();
        for (p, process) in snap.sample.processes.iter().enumerate() {
            let sockets = snap.sockets_of(p).len() as u64;
            if sockets == 0 {
                continue;
            }
            let info = &process.info;
            let (pid, start) = if same_boot { (info.pid, info.start_ns) } else { (0, 0) };
            let entry = out.entry((info.name().into_owned(), pid, start)).or_default();
            entry.0 += sockets;
            entry.1 += process.fds.as_ref().map_or(0, |f| f.open);
        }
        out
    };
    let (old, new) = (rows(before), rows(after));
    let text = |(sockets, fds): &(u64, u32)| format!("{sockets} sockets, {fds} descriptors");
    let difference = |key: &(String, u32, u64), change, before: String, after: String| Difference {
        subject: Subject::Process,
        change,
        name: if key.1 == 0 { key.0.clone() } else { format!("{} {}", key.0, key.1) },
        process: key.0.clone(),
        netns: String::new(),
        before,
        after,
        turnover: None,
        filter: if key.1 == 0 { format!("comm={}", quote(&key.0)) } else { format!("pid={}", key.1) },
    };
    let mut out = Vec::new();
    for (key, row) in &new {
        match old.get(key) {
            None => out.push(difference(key, Change::New, String::new(), text(row))),
            Some(was) if was.1.abs_diff(row.1) >= FDS_MOVED.max(was.1 / 10) => {
                out.push(difference(key, Change::Changed, text(was), text(row)));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|(key, _)| !new.contains_key(key));
    out.extend(gone.map(|(key, row)| difference(key, Change::Gone, text(row), String::new())));
    out
}

/// Change of the usage of a limit that counts as a difference, as a share of the limit.
const USAGE_MOVED: f64 = 0.1;

fn limits(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let share = |l: &Limit| l.max.filter(|m| *m > 0).map_or(0.0, |m| l.used as f64 / m as f64);
    // Of processes of one name the fullest.
    let rows = |snap: &Snapshot| {
        let mut out: BTreeMap<(&'static str, String, &'static str), Limit> = BTreeMap::new();
        for (row, l) in snap.limits.iter().enumerate() {
            let key = (l.kind.info().title, stable_label(snap, row), l.kind.info().name);
            let fuller = out.get(&key).is_none_or(|other| share(l) > share(other));
            if fuller {
                out.insert(key, l.clone());
            }
        }
        out
    };
    let text = |l: &Limit| match l.max {
        Some(max) => format!("{} of {max} ({}), {}", l.used, percent(share(l) * 100.0), l.level.name()),
        None => format!("{}, {}", l.used, l.level.name()),
    };
    let (old, new) = (rows(before), rows(after));
    let difference =
        |key: &(&'static str, String, &'static str), change, before: String, after: String| Difference {
            subject: Subject::Limit,
            change,
            name: format!("{} {}", key.0, key.1),
            process: String::new(),
            netns: String::new(),
            before,
            after,
            turnover: None,
            filter: format!("limit={}", quote(key.2)),
        };
    let mut out = Vec::new();
    for (key, l) in &new {
        match old.get(key) {
            // A limit comes with its process or listener, which are differences of their own.
            None if l.level > Level::Ok => out.push(difference(key, Change::New, String::new(), text(l))),
            Some(was)
                if was.level != l.level
                    || was.max != l.max
                    || (share(was) - share(l)).abs() >= USAGE_MOVED
                    || (l.max.is_none() && was.used != l.used) =>
            {
                out.push(difference(key, Change::Changed, text(was), text(l)));
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::sync::Arc;

    fn machine() -> Snapshot {
        let mut snap = testing::machine();
        let web = testing::port(testing::ep("0.0.0.0:443"), &[0], &[0, 1]);
        snap.ports = vec![web];
        // Socket 1 of process 2.
        snap.sockets_of = vec![1];
        snap.processes[2].sockets = (0, 1);
        snap
    }

    fn texts(before: &Snapshot, after: &Snapshot) -> Vec<String> {
        let text = |d: Difference| {
            let turnover = d.turnover.map_or_else(String::new, |(o, c)| format!(" +{o} -{c}"));
            format!(
                "{} {} {}: {} > {}{turnover}",
                d.change.name(),
                d.subject.name(),
                d.name,
                d.before,
                d.after
            )
        };
        differences(before, after).into_iter().map(text).collect()
    }

    #[test]
    fn equal_snapshots_do_not_differ() {
        assert_eq!(texts(&machine(), &machine()), Vec::<String>::new());
    }

    #[test]
    fn listener_is_new_gone_or_changed() {
        let (before, mut after) = (machine(), machine());
        after.ports[0].processes = vec![2];
        let ssh = testing::port(testing::ep("127.0.0.1:22"), &[1], &[2]);
        after.ports.push(ssh);
        assert_eq!(
            texts(&before, &after),
            [
                "new listener tcp 127.0.0.1:22:  > loopback",
                "changed listener tcp 0.0.0.0:443: nginx, any > sshd, any"
            ]
        );
        after.ports.clear();
        assert_eq!(texts(&before, &after), ["gone listener tcp 0.0.0.0:443: any > "]);
    }

    #[test]
    fn connections_are_told_apart_within_one_boot_only() {
        let (before, mut after) = (machine(), machine());
        // Another connection to the same service: one is closed and one opened.
        after.sample.sockets[6].id.cookie += 1_000;
        let changed = "changed connections tcp to 10.0.0.9:5432: ESTABLISHED 1 > ESTABLISHED 1";
        assert_eq!(texts(&before, &after), [format!("{changed} +1 -1")]);
        after.sample.at.boot_ns = 0;
        after.sample.at.unix_ns += 3_600_000_000_000;
        assert_eq!(texts(&before, &after), Vec::<String>::new(), "by name nothing differs");
        after.sample.sockets[6].state = State::CloseWait;
        assert_eq!(
            texts(&before, &after),
            ["changed connections tcp to 10.0.0.9:5432: ESTABLISHED 1 > CLOSE_WAIT 1"]
        );
    }

    #[test]
    fn process_is_the_same_by_start_time_and_across_a_restart_by_name() {
        let (before, mut after) = (machine(), machine());
        let restarted = |info: &crate::model::ProcInfo| crate::model::ProcInfo {
            start_ns: info.start_ns + 5,
            ..info.clone()
        };
        after.sample.processes[2].info = Arc::new(restarted(&after.sample.processes[2].info));
        let rows = texts(&before, &after);
        assert!(rows.iter().any(|r| r.starts_with("new process sshd 700")), "{rows:?}");
        assert!(rows.iter().any(|r| r.starts_with("gone process sshd 700")), "{rows:?}");
        after.sample.host = "other".into();
        assert_eq!(texts(&before, &after), Vec::<String>::new());
        if let Ok(fds) = &mut after.sample.processes[2].fds {
            fds.open += 50;
        }
        let rows = texts(&before, &after);
        assert!(rows.len() == 1 && rows[0].starts_with("changed process sshd:"), "{rows:?}");
    }
}
