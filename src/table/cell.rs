//! Cell helpers that several tables share.

use crate::format::Tone;
use crate::model::limit::{Ceiling, Subject};
use crate::model::{Endpoint, Family, Proto, Scope, Snapshot};

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
