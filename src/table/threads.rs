//! Columns of threads.

use super::cell::{any_owner, first_owner};
use crate::format::{Column, Kind, Needs, Value};
use crate::model::{Missing, Reads, Snapshot};

/// Threads of a process, or the reason why they are unknown.
fn thread_ids(snap: &Snapshot, process: usize) -> Result<&[u32], Missing> {
    match snap.sample.tids.get(process).map(Vec::as_slice) {
        Some([]) => Err(Missing::NotReported),
        Some(all) => Ok(all),
        None if snap.sample.wants.reads(Reads::THREADS) => Err(Missing::NotReported),
        None => Err(Missing::NotRead),
    }
}

fn tids(snap: &Snapshot, process: usize) -> Value<'_> {
    let list = |all: &[u32]| Value::List(all.iter().copied().map(Value::from).collect());
    thread_ids(snap, process).map_or_else(Value::Missing, list)
}

fn any(snap: &Snapshot, process: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    match thread_ids(snap, process) {
        Ok(all) => all.iter().any(|t| test(&Value::from(*t))),
        Err(why) => test(&Value::Missing(why)),
    }
}

/// Of the first owner of a socket.
pub(crate) const OWNER: Column = Column::new(
    "tids",
    "THREAD IDS",
    Kind::List,
    64,
    |s, r| first_owner(s, r, |o| tids(s, o.process as usize)),
    "Thread IDs of the process that owns the socket. A filter tests all of them.",
)
.called(&["tid"])
.needs(Needs::THREADS)
.wide(8, 24, 60)
.any(|s, r, t| match s.owners(r) {
    [] => any_owner(s, r, t, tids),
    owners => owners.iter().any(|o| any(s, o.process as usize, t)),
});

/// Of a process.
pub(crate) const PROCESS: Column = Column::new(
    "tids",
    "THREAD IDS",
    Kind::List,
    47,
    tids,
    "Thread IDs of the process, from /proc/PID/task.",
)
.called(&["tid"])
.needs(Needs::THREADS)
.wide(8, 24, 60)
.any(any);
