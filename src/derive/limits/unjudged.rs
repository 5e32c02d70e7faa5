//! Limits that a poll could not judge, because what they count or their maximum could not be read. A limit that does not
//! exist here, such as conntrack without its module, is none of them.

use super::context::Context;
use crate::derive::processes::LEAK_S;
use crate::model::limit::{LIMIT_KINDS, LimitKind, NetCounters, Unjudged, UnjudgedPart};
use crate::model::snapshot::SocketFacts;
use crate::model::state_age::in_state;
use crate::model::{Backend, FaultKind, FaultSubject, Missing, Proto, Reads, Socket, State};
use std::collections::BTreeMap;

/// Kinds counted over sockets.
const SOCKETS: &[LimitKind] = &[
    LimitKind::CloseWait,
    LimitKind::Halted,
    LimitKind::Accept,
    LimitKind::Syn,
    LimitKind::Ports,
    LimitKind::Rcvbuf,
];
/// Kinds counted over processes and their descriptors.
const PROCESSES: &[LimitKind] = &[
    LimitKind::Fds,
    LimitKind::CloseWait,
    LimitKind::Halted,
    LimitKind::InotifyInstances,
    LimitKind::InotifyWatches,
];
/// Kinds that the portable backend can judge.
const PORTABLE: &[LimitKind] = &[LimitKind::Fds, LimitKind::CloseWait];
/// Kinds that each network namespace has.
const NAMESPACES: &[LimitKind] = &[
    LimitKind::Accept,
    LimitKind::Syn,
    LimitKind::Ports,
    LimitKind::TimeWait,
    LimitKind::Orphans,
    LimitKind::Conntrack,
    LimitKind::TcpMem,
    LimitKind::UdpMem,
    LimitKind::Rcvbuf,
    LimitKind::Netlink,
];

/// All of them, by kind in the order of the table.
pub(super) fn unjudged(c: &Context<'_>) -> Vec<Unjudged> {
    let is_portable = c.sample.backend.backend == Backend::Portable && c.sample.wants.reads(Reads::LIMITS);
    if c.sample.counters.is_none() && !is_portable {
        return Vec::new();
    }
    let mut out: Vec<Unjudged> = Vec::new();
    let mut add = |kinds: &[LimitKind], part: UnjudgedPart, reason: &str| {
        for kind in kinds {
            let row = Unjudged { kind: *kind, part, reason: reason.into() };
            if !out.contains(&row) {
                out.push(row);
            }
        }
    };
    socket_faults(c, &mut add);
    processes(c, &mut add);
    let Some(counters) = &c.sample.counters else {
        let reason = format!("{} does not report it", c.sample.backend.backend.interface());
        let unread = LIMIT_KINDS.iter().map(|info| info.kind).filter(|kind| !PORTABLE.contains(kind));
        add(&unread.collect::<Vec<_>>(), UnjudgedPart::All, &reason);
        out.retain(|u| u.part != UnjudgedPart::All || PORTABLE.contains(&u.kind) || *u.reason == *reason);
        out.sort_by_key(|u| u.kind);
        return out;
    };
    for n in &counters.nets {
        namespace(n, &mut add);
    }
    let s = &c.sample.system;
    let threads_max = counters.pid_max.or(counters.threads_max);
    for (kind, value, file) in [
        (LimitKind::Files, s.files_open, "fs/file-nr"),
        (LimitKind::Files, s.files_max, "fs/file-max"),
        (LimitKind::Threads, counters.threads, "../loadavg"),
        (LimitKind::Threads, threads_max, "kernel/pid_max"),
        (LimitKind::InotifyInstances, counters.inotify_instances_max, "fs/inotify/max_user_instances"),
        (LimitKind::InotifyWatches, counters.inotify_watches_max, "fs/inotify/max_user_watches"),
    ] {
        match &counters.sysctl_unread {
            _ if value.is_some() => {}
            Some(why) => add(&[kind], UnjudgedPart::All, why),
            // One file of a captured tree.
            None => {
                let file = file.strip_prefix("../").map_or_else(|| format!("sys/{file}"), str::to_owned);
                add(&[kind], UnjudgedPart::All, &format!("/proc/{file} could not be read"));
            }
        }
    }
    if let Some(why) = &counters.cgroups_unread {
        add(&[LimitKind::CgroupPids], UnjudgedPart::All, why);
    }
    out.sort_by_key(|u| u.kind);
    out
}

type Add<'a> = dyn FnMut(&[LimitKind], UnjudgedPart, &str) + 'a;

/// Socket tables and namespaces that could not be read, and backends that report less.
fn socket_faults(c: &Context<'_>, add: &mut Add<'_>) {
    let backend = c.sample.backend.backend;
    if !backend.reports_backlogs() {
        add(&[LimitKind::Accept], UnjudgedPart::All, &format!("{} reports no backlogs", backend.interface()));
    }
    if backend == Backend::Portable {
        let reason = format!("{} reports no drops", backend.interface());
        add(&[LimitKind::Rcvbuf], UnjudgedPart::All, &reason);
    }
    for f in c.sample.faults.iter() {
        match &f.subject {
            FaultSubject::Namespaces if f.kind == FaultKind::Namespace => {
                add(NAMESPACES, UnjudgedPart::Namespaces(f.count), &f.detail);
            }
            // Protocols that this kernel lacks have no sockets; TCP and UDP are never missing.
            FaultSubject::Dump { proto: Proto::Unix, .. } if f.kind.hides_data() => {
                add(&[LimitKind::Accept], UnjudgedPart::All, &f.to_string());
            }
            FaultSubject::Captured(_) if f.subject.is_sockets() => {
                add(SOCKETS, UnjudgedPart::All, &f.to_string());
            }
            FaultSubject::Dump { proto: Proto::Tcp | Proto::Udp, .. }
            | FaultSubject::ProcNet(_)
            | FaultSubject::PortableSockets
                if f.kind.hides_data() || f.kind == FaultKind::Unsupported =>
            {
                add(SOCKETS, UnjudgedPart::All, &f.to_string());
            }
            FaultSubject::ProcessList if f.kind.hides_data() => {
                add(PROCESSES, UnjudgedPart::All, &f.to_string());
            }
            _ => {}
        }
    }
}

/// Processes that are hidden, or whose descriptors or limit could not be read.
fn processes(c: &Context<'_>, add: &mut Add<'_>) {
    if c.sample.privileges.hidepid {
        add(
            PROCESSES,
            UnjudgedPart::All,
            "processes of other users are hidden: /proc is mounted with hidepid",
        );
        add(
            &[LimitKind::CgroupPids],
            UnjudgedPart::All,
            "processes of other users are hidden: /proc is mounted with hidepid",
        );
    }
    let (mut counts, mut contents): (BTreeMap<Missing, u32>, BTreeMap<Missing, u32>) = Default::default();
    for p in &c.sample.processes {
        match &p.fds {
            // It has exited.
            Err(Missing::Gone | Missing::NotApplicable) => {}
            Err(why) => *counts.entry(*why).or_default() += 1,
            Ok(u) if u.soft.is_none() => {
                let captured = c.sample.faults.count(FaultKind::NotCaptured) > 0;
                let why = if captured { Missing::NotReported } else { Missing::NotPermitted };
                *counts.entry(why).or_default() += 1;
            }
            Ok(_) => {}
        }
        if let Some(why) = p.fds_hidden.filter(|w| *w != Missing::Gone) {
            *contents.entry(why).or_default() += 1;
        }
    }
    for (why, n) in counts {
        add(&[LimitKind::Fds], UnjudgedPart::Processes(n), why.reason());
    }
    for (why, n) in contents {
        add(
            &[LimitKind::InotifyInstances, LimitKind::InotifyWatches],
            UnjudgedPart::Processes(n),
            why.reason(),
        );
    }
    let is_hidden = |(s, f): &(&Socket, &SocketFacts)| {
        s.state == State::CloseWait
            && match f.owner_missing {
                Some(Missing::NotPermitted) => true,
                // The process of a young one has exited since the sockets were read, or is in the middle of an exec.
                Some(Missing::NoVisibleProcess) => may_leak(c, s, f),
                _ => false,
            }
    };
    let hidden = c.sockets.iter().zip(c.facts).filter(is_hidden).count();
    if hidden > 0 {
        let n = u32::try_from(hidden).unwrap_or(u32::MAX);
        add(&[LimitKind::CloseWait], UnjudgedPart::Sockets(n), "their process is hidden");
    }
}

/// True unless a connection is known to be in `CLOSE_WAIT` for less time than a leak takes.
fn may_leak(c: &Context<'_>, s: &Socket, f: &SocketFacts) -> bool {
    let attrs = c.sample.attrs_of(s);
    let (secs, is_least) = in_state(f, s, attrs, c.sample.at.boot_ns);
    let is_reported = attrs.tcp_info().is_some_and(|t| t.last_ack_recv_ms().is_some());
    secs >= LEAK_S || is_least && !is_reported
}

/// Counters and sysctls of one network namespace.
fn namespace(n: &NetCounters, add: &mut Add<'_>) {
    // Those of the files that every kernel has.
    for (kind, missing, file) in [
        (LimitKind::TimeWait, n.time_wait.is_none(), "sockstat"),
        (LimitKind::Orphans, n.orphans.is_none(), "sockstat"),
        (LimitKind::TcpMem, n.tcp_mem.is_none(), "sockstat"),
        (LimitKind::UdpMem, n.udp_mem.is_none(), "sockstat"),
        (LimitKind::Accept, n.listen_overflows.is_none(), "netstat"),
        (LimitKind::Syn, n.syn_cookies.is_none(), "netstat"),
        (LimitKind::Rcvbuf, n.udp_rcvbuf_errors.is_none(), "snmp"),
        (LimitKind::Netlink, n.netlink_drops.is_none(), "netlink"),
    ] {
        if missing {
            add(&[kind], UnjudgedPart::All, &format!("/proc/net/{file} could not be read"));
        }
    }
    let Some(why) = &n.sysctl_unread else { return };
    for (kind, missing) in [
        (LimitKind::TimeWait, n.time_wait_max.is_none()),
        (LimitKind::Orphans, n.orphans_max.is_none()),
        (LimitKind::TcpMem, n.tcp_mem_max.is_none()),
        (LimitKind::UdpMem, n.udp_mem_max.is_none()),
        (LimitKind::Ports, n.ports.is_none()),
        (LimitKind::Conntrack, n.conntrack_max.is_none()),
        (LimitKind::Neighbours, n.neighbours_max.is_none()),
    ] {
        if missing {
            add(&[kind], UnjudgedPart::All, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_unjudged() {
        let tables = [SOCKETS, PROCESSES, NAMESPACES].concat();
        let others = [LimitKind::Files, LimitKind::Threads, LimitKind::CgroupPids, LimitKind::Neighbours];
        for info in LIMIT_KINDS {
            assert!(tables.contains(&info.kind) || others.contains(&info.kind), "{}", info.name);
        }
    }
}
