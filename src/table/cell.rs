//! Cell helpers that several tables share.

use crate::format::{Tone, Value};
use crate::model::limit::{Ceiling, Subject};
use crate::model::{Endpoint, Family, HostName, Missing, Owner, ProcInfo, Proto, Reads, Scope, Snapshot};

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

/// Plays down this program's own network namespace: it is the usual one.
pub(super) const fn netns_tone(netns: u16) -> Tone {
    if netns == 0 { Tone::Faint } else { Tone::Plain }
}

/// The row of the descriptor limit of a process, in the table of limits.
pub(super) fn fd_limit(snap: &Snapshot, process: u32) -> Option<usize> {
    snap.limits.iter().position(|l| l.ceiling == Ceiling::Fds && l.process == Some(process))
}

/// The row of the accept queue of a listener, in the table of limits.
pub(super) fn accept_limit(
    snap: &Snapshot,
    netns: u16,
    proto: Proto,
    local: Endpoint,
    iface: u32,
) -> Option<usize> {
    let listener = Subject::Listener(proto, local, iface);
    snap.limits.iter().position(|l| l.ceiling == Ceiling::Accept && l.netns == netns && l.subject == listener)
}

pub(crate) fn opt<'a, T: Into<Value<'a>>>(v: Option<T>) -> Value<'a> {
    Value::from_opt(v, Missing::NotReported)
}

pub(crate) fn opt_na<'a, T: Into<Value<'a>>>(v: Option<T>) -> Value<'a> {
    Value::from_opt(v, Missing::NotApplicable)
}

pub(crate) fn na<'a>() -> Value<'a> {
    Value::Missing(Missing::NotApplicable)
}

/// A user's name, or the number where it has none.
pub(crate) fn user_value(snap: &Snapshot, uid: u32) -> Value<'_> {
    snap.user(uid).map_or_else(|| Value::from(uid.to_string()), Value::text)
}

pub(crate) fn no_owner<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let why =
        if snap.sample.wants.reads(Reads::OWNERS) { Missing::NoVisibleProcess } else { Missing::NotRead };
    Value::Missing(snap.facts[row].owner_missing.unwrap_or(why))
}

/// What the first owner says, or why there is none.
pub(crate) fn first<'a>(
    snap: &'a Snapshot,
    row: usize,
    get: impl FnOnce(&'a Owner) -> Value<'a>,
) -> Value<'a> {
    snap.owners(row).first().map_or_else(|| no_owner(snap, row), get)
}

pub(crate) fn each(
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

/// The name of an address, as far as the resolver has told.
pub(crate) fn host<'a>(snap: &Snapshot, addr: Value<'a>) -> Value<'a> {
    let Value::Addr(a) = addr else { return addr };
    match snap.sample.hosts.get(&a) {
        HostName::Name(name) => Value::from(name.to_string()),
        HostName::None => na(),
        HostName::Unknown => Value::Missing(Missing::NotRead),
    }
}

pub(crate) fn info(snap: &Snapshot, row: usize) -> &ProcInfo {
    &snap.sample.processes[row].info
}

pub(crate) fn cmdline(snap: &Snapshot, row: usize) -> Value<'_> {
    match &*info(snap, row).cmdline {
        "" => Value::Missing(Missing::NotApplicable),
        s => Value::text(s),
    }
}

pub(crate) fn cgroup(snap: &Snapshot, row: usize) -> Value<'_> {
    Value::from_opt(info(snap, row).cgroup.as_deref(), Missing::NotReported)
}

/// The names and pids of processes: `nginx 812 +4`.
pub(crate) fn holders<'a>(snap: &Snapshot, of: &[u32], why: Missing) -> Value<'a> {
    match of {
        [] => Value::Missing(why),
        [p, rest @ ..] => {
            let i = info(snap, *p as usize);
            Value::from(match rest.len() {
                0 => format!("{} {}", i.name(), i.pid),
                n => format!("{} {} +{n}", i.name(), i.pid),
            })
        }
    }
}

/// Processes as records of pid and comm.
pub(crate) fn list<'a>(snap: &'a Snapshot, of: &[u32]) -> Value<'a> {
    Value::List(
        of.iter()
            .map(|p| {
                let i = info(snap, *p as usize);
                Value::Record(vec![("pid", Value::from(i.pid)), ("comm", Value::text(&i.comm))])
            })
            .collect(),
    )
}

pub(crate) fn any_comm(
    snap: &Snapshot,
    of: &[u32],
    why: Missing,
    test: &mut dyn FnMut(&Value<'_>) -> bool,
) -> bool {
    if of.is_empty() {
        return test(&Value::Missing(why));
    }
    of.iter().any(|p| test(&Value::text(&info(snap, *p as usize).comm)))
}

pub(crate) fn any_pid(
    snap: &Snapshot,
    of: &[u32],
    why: Missing,
    test: &mut dyn FnMut(&Value<'_>) -> bool,
) -> bool {
    if of.is_empty() {
        return test(&Value::Missing(why));
    }
    of.iter().any(|p| test(&Value::from(info(snap, *p as usize).pid)))
}
