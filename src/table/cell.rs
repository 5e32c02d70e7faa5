//! Cell helpers that several tables share.

use crate::format::{Tone, Value};
use crate::model::addr::push_number;
use crate::model::limit::{LimitKind, LimitSubject};
use crate::model::{
    Endpoint, Family, HostName, Missing, Owner, ProcInfo, Proto, Reads, Scope, Snapshot, StateCounts,
};

/// Names of the protocols.
pub(super) fn protos() -> Vec<&'static str> {
    Proto::ALL.iter().map(|(_, n)| *n).collect()
}

/// Names of the address families.
pub(super) fn families() -> Vec<&'static str> {
    Family::ALL.iter().map(|(_, n)| *n).collect()
}

/// Names of the address scopes.
pub(super) fn scopes() -> Vec<&'static str> {
    Scope::ALL.iter().map(|s| s.name()).collect()
}

/// Warns of addresses that are reachable from outside.
pub(super) const fn scope_tone(scope: Scope) -> Tone {
    match scope {
        Scope::Any | Scope::Public => Tone::Warning,
        _ => Tone::Dim,
    }
}

/// Marks the addresses of other networks among peers: to be public is nothing unusual there.
pub(super) const fn peer_scope_tone(scope: Scope) -> Tone {
    if matches!(scope, Scope::Public) { Tone::Plain } else { Tone::Dim }
}

/// Plays down this program's own network namespace: it is the usual one.
pub(super) const fn netns_tone(netns: u16) -> Tone {
    if netns == 0 { Tone::Faint } else { Tone::Plain }
}

/// The row of the descriptor limit of a process, in the table of limits.
pub(super) fn fd_limit(snap: &Snapshot, process: u32) -> Option<usize> {
    snap.limits.iter().position(|l| l.kind == LimitKind::Fds && l.process == Some(process))
}

/// The row of the accept queue of a listener, in the table of limits.
pub(super) fn accept_limit(
    snap: &Snapshot,
    netns: u16,
    proto: Proto,
    local: Endpoint,
    iface: u32,
) -> Option<usize> {
    let listener = LimitSubject::Listener(proto, local, iface);
    snap.limits.iter().position(|l| l.kind == LimitKind::Accept && l.netns == netns && l.subject == listener)
}

/// The value, or not reported.
pub(crate) fn reported<'a, T: Into<Value<'a>>>(v: Option<T>) -> Value<'a> {
    Value::from_opt(v, Missing::NotReported)
}

/// The value, or not applicable.
pub(crate) fn applicable<'a, T: Into<Value<'a>>>(v: Option<T>) -> Value<'a> {
    Value::from_opt(v, Missing::NotApplicable)
}

/// A rate summed over sockets. Without a connection there is none to wait for.
pub(super) fn summed_rate<'a>(rate: Option<f64>, states: &StateCounts) -> Value<'a> {
    let why = if states.has_connections() { Missing::Pending } else { Missing::NotApplicable };
    Value::from_opt(rate, why)
}

/// Not applicable.
pub(crate) fn na<'a>() -> Value<'a> {
    Value::Missing(Missing::NotApplicable)
}

/// User name, or the number if the user has none.
pub(crate) fn user_value(snap: &Snapshot, uid: u32) -> Value<'_> {
    if uid == ProcInfo::NO_UID {
        return Value::Missing(Missing::NotReported);
    }
    snap.user(uid).map_or_else(|| Value::from(uid.to_string()), Value::text)
}

/// The reason why a socket has no known owner.
pub(crate) fn no_owner<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let why =
        if snap.sample.wants.reads(Reads::OWNERS) { Missing::NoVisibleProcess } else { Missing::NotRead };
    Value::Missing(snap.facts[row].owner_missing.unwrap_or(why))
}

/// The value of the first owner, or the reason why there is none.
pub(crate) fn first_owner<'a>(
    snap: &'a Snapshot,
    row: usize,
    get: impl FnOnce(&'a Owner) -> Value<'a>,
) -> Value<'a> {
    snap.owners(row).first().map_or_else(|| no_owner(snap, row), get)
}

/// Tests the value of each owner of a socket.
pub(crate) fn any_owner(
    snap: &Snapshot,
    row: usize,
    test: &mut dyn FnMut(&Value<'_>) -> bool,
    get: for<'a> fn(&'a Snapshot, usize) -> Value<'a>,
) -> bool {
    let owners = snap.owners(row);
    if owners.is_empty() {
        return test(&no_owner(snap, row));
    }
    owners.iter().any(|o| test(&get(snap, o.process as usize)))
}

/// The address of an endpoint.
pub(crate) fn without_port(v: Value<'_>) -> Value<'_> {
    match v {
        Value::Endpoint(e) => Value::Addr(e.addr),
        Value::Zoned { end, zone, .. } => Value::Zoned { end, with_port: false, zone },
        other => other,
    }
}

/// DNS name of an address, if resolved.
pub(crate) fn host_name<'a>(snap: &Snapshot, addr: Value<'a>) -> Value<'a> {
    let Some(Endpoint { addr, .. }) = addr.endpoint() else {
        // The name of a socket without an IP address is no host.
        return if matches!(addr, Value::Missing(_)) { addr } else { na() };
    };
    match snap.sample.hosts.get(&addr) {
        HostName::Name(name) => Value::from(name.to_string()),
        HostName::None => na(),
        HostName::Unknown => Value::Missing(Missing::NotRead),
    }
}

/// Static data of a process.
pub(crate) fn proc_info(snap: &Snapshot, row: usize) -> &ProcInfo {
    &snap.sample.processes[row].info
}

/// Command line of a process.
pub(crate) fn cmdline(snap: &Snapshot, row: usize) -> Value<'_> {
    match &*proc_info(snap, row).cmdline {
        "" => Value::Missing(Missing::NotApplicable),
        s => Value::text(s),
    }
}

/// Control group of a process.
pub(crate) fn cgroup(snap: &Snapshot, row: usize) -> Value<'_> {
    Value::from_opt(proc_info(snap, row).cgroup.as_deref(), Missing::NotReported)
}

/// First process and number of further ones: `nginx 812 +4`.
pub(crate) fn process_names<'a>(snap: &Snapshot, processes: &[u32], why: Missing) -> Value<'a> {
    match processes {
        [] => Value::Missing(why),
        [p, rest @ ..] => Value::from(process_name(proc_info(snap, *p as usize), rest.len())),
    }
}

/// A process and the number of further ones: `nginx 812 +4`. Not by `format!`, which takes as long as all other columns of a
/// socket together.
pub(crate) fn process_name(i: &ProcInfo, further: usize) -> String {
    let name = i.name();
    let mut out = String::with_capacity(name.len() + 16);
    out.push_str(&name);
    out.push(' ');
    push_number(&mut out, u64::from(i.pid));
    if further > 0 {
        out.push_str(" +");
        push_number(&mut out, further as u64);
    }
    out
}

/// Processes as records of pid and comm.
pub(crate) fn process_list<'a>(snap: &'a Snapshot, processes: &[u32]) -> Value<'a> {
    Value::List(
        processes
            .iter()
            .map(|p| {
                let i = proc_info(snap, *p as usize);
                Value::Record(vec![("pid", Value::from(i.pid)), ("comm", Value::text(&i.comm))])
            })
            .collect(),
    )
}

/// Tests the command name of each process.
pub(crate) fn any_comm(
    snap: &Snapshot,
    processes: &[u32],
    why: Missing,
    test: &mut dyn FnMut(&Value<'_>) -> bool,
) -> bool {
    if processes.is_empty() {
        return test(&Value::Missing(why));
    }
    processes.iter().any(|p| test(&Value::text(&proc_info(snap, *p as usize).comm)))
}

/// Tests the pid of each process.
pub(crate) fn any_pid(
    snap: &Snapshot,
    processes: &[u32],
    why: Missing,
    test: &mut dyn FnMut(&Value<'_>) -> bool,
) -> bool {
    if processes.is_empty() {
        return test(&Value::Missing(why));
    }
    processes.iter().any(|p| test(&Value::from(proc_info(snap, *p as usize).pid)))
}
