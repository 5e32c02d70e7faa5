//! Columns of security contexts.

use super::cell::{any_owner, first_owner, na};
use crate::format::{Column, Kind, Needs, Value};
use crate::model::{Missing, Reads, Snapshot};

/// The label of a process.
fn process_label(snap: &Snapshot, process: usize) -> Value<'_> {
    match snap.sample.contexts.processes.get(process) {
        Some(Ok(label)) => Value::text(label),
        Some(Err(why)) => Value::Missing(*why),
        None if snap.sample.wants.reads(Reads::PROC_CTX) => Value::Missing(Missing::NotReported),
        None => Value::Missing(Missing::NotRead),
    }
}

/// The label of a socket.
fn socket_label(snap: &Snapshot, row: usize) -> Value<'_> {
    let labels = match &snap.sample.contexts.sockets {
        Err(Missing::NotRead) if snap.sample.wants.reads(Reads::SOCK_CTX) => Err(Missing::NotReported),
        Err(why) => Err(*why),
        Ok(all) => Ok(all.get(&{ snap.socket(row).inode })),
    };
    match labels {
        _ if row >= snap.live => Value::Missing(Missing::Gone),
        Ok(Some(Ok(label))) => Value::text(label),
        Ok(Some(Err(why))) => Value::Missing(*why),
        Err(why) => Value::Missing(why),
        // Labels are read through a descriptor of an owner.
        Ok(None) => first_owner(snap, row, |_| na()),
    }
}

/// Of the first owner of a socket.
pub(crate) const OWNER: Column = Column::new(
    "proc_ctx",
    "PROCESS CONTEXT",
    Kind::Text,
    64,
    |s, r| first_owner(s, r, |o| process_label(s, o.process as usize)),
    "Security context of the process that owns the socket (SELinux, AppArmor, Smack). A filter tests all owners.",
)
.needs(Needs::PROC_CTX)
.wide(10, 24, 60)
.any(|s, r, t| any_owner(s, r, t, process_label));

/// Of a socket.
pub(crate) const SOCKET: Column = Column::new(
    "sock_ctx",
    "SOCKET CONTEXT",
    Kind::Text,
    64,
    socket_label,
    "SELinux security context of the socket inode, read through a file descriptor of an owner.",
)
.needs(Needs::SOCK_CTX)
.wide(10, 24, 60);

/// Of a process.
pub(crate) const PROCESS: Column = Column::new(
    "proc_ctx",
    "CONTEXT",
    Kind::Text,
    47,
    process_label,
    "Security context of the process (SELinux, AppArmor, Smack), from /proc/PID/attr/current.",
)
.called(&["context", "label"])
.needs(Needs::PROC_CTX)
.wide(10, 24, 60);
