//! The columns of security contexts.

use super::cell::{each, first, na};
use crate::format::{Column, Kind, Needs, Value};
use crate::model::{Missing, Reads, Snapshot};

/// The label of a process.
fn of_process(snap: &Snapshot, process: usize) -> Value<'_> {
    match snap.sample.contexts.processes.get(process) {
        Some(Ok(label)) => Value::text(label),
        Some(Err(why)) => Value::Missing(*why),
        None if snap.sample.wants.reads(Reads::PROC_CTX) => Value::Missing(Missing::NotReported),
        None => Value::Missing(Missing::NotRead),
    }
}

/// The label of a socket.
fn of_socket(snap: &Snapshot, row: usize) -> Value<'_> {
    let told = match &snap.sample.contexts.sockets {
        Err(Missing::NotRead) if snap.sample.wants.reads(Reads::SOCK_CTX) => Err(Missing::NotReported),
        Err(why) => Err(*why),
        Ok(all) => Ok(all.get(&snap.socket(row).inode)),
    };
    match told {
        _ if row >= snap.live => Value::Missing(Missing::Gone),
        Ok(Some(Ok(label))) => Value::text(label),
        Ok(Some(Err(why))) => Value::Missing(*why),
        Err(why) => Value::Missing(why),
        // It is read through a descriptor.
        Ok(None) => first(snap, row, |_| na()),
    }
}

/// Of the process that holds a socket.
pub(crate) const OF_OWNER: Column = Column::new(
    "proc_ctx",
    "PROCESS CONTEXT",
    Kind::Text,
    64,
    |s, r| first(s, r, |o| of_process(s, o.process as usize)),
    "Security context of the process that owns the socket (SELinux, AppArmor, Smack). A filter tests all owners.",
)
.needs(Needs::PROC_CTX)
.wide(10, 24, 60)
.any(|s, r, t| each(s, r, t, of_process));

/// Of a socket.
pub(crate) const OF_SOCKET: Column = Column::new(
    "sock_ctx",
    "SOCKET CONTEXT",
    Kind::Text,
    64,
    of_socket,
    "SELinux security context of the socket inode, read through a file descriptor of an owner.",
)
.needs(Needs::SOCK_CTX)
.wide(10, 24, 60);

/// Of a process.
pub(crate) const OF_PROCESS: Column = Column::new(
    "proc_ctx",
    "CONTEXT",
    Kind::Text,
    47,
    of_process,
    "Security context of the process (SELinux, AppArmor, Smack), from /proc/PID/attr/current.",
)
.called(&["context", "label"])
.needs(Needs::PROC_CTX)
.wide(10, 24, 60);
