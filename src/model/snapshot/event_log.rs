//! Events of recent polls, with what was derived about them.

use super::{Direction, EventWindow, Process, Snapshot, Unit};
use crate::model::sample::{Event, EventProcess};
use std::sync::Arc;

/// Event, or events that were only counted.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Sequence number, from 1: its identity.
    pub number: u64,
    /// Event as reported. Of counted events it has only the kind, the remote address, the local port of incoming ones, the
    /// error, and the sums of bytes.
    pub event: Event,
    /// Number of events: 1, or those counted together.
    pub count: u64,
    /// True if they were counted, not listed.
    pub counted: bool,
    /// Time of the event, nanoseconds since 1970.
    pub unix_ns: u64,
    /// Process.
    pub process: Option<Arc<EventProcess>>,
    /// Origin of the process.
    pub process_by: ProcessBy,
    /// Direction of the connection.
    pub direction: Direction,
    /// Time from the establishment, or the first use, to the close; from the first SYN to the failure. Nanoseconds.
    pub duration_ns: Option<u64>,
    /// True if the duration is a lower bound: the socket was open before sockscope saw it.
    pub is_lower_bound: bool,
    /// Unit and container of the process: units of a poll and the index.
    pub unit: Option<(Arc<[Unit]>, u32)>,
    /// Inode of the network namespace; 0 if unknown.
    pub netns_inode: u64,
    /// Name of the network namespace.
    pub netns_name: Arc<str>,
}

/// Origin of the process of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessBy {
    /// Reported with the event.
    Event,
    /// Owner of the socket in a poll.
    Poll,
    /// Owner of the listener: no process has used the connection.
    Listener,
    /// Unknown.
    None,
}

impl ProcessBy {
    /// All with their names; an unknown process has none.
    pub const ALL: [(Self, Option<&'static str>); 4] = [
        (Self::Event, Some("event")),
        (Self::Poll, Some("poll")),
        (Self::Listener, Some("listener")),
        (Self::None, None),
    ];

    /// Name.
    pub fn name(self) -> Option<&'static str> {
        Self::ALL[self as usize].1
    }
}

impl EventRow {
    /// Unit, slice and container of the process.
    pub fn unit(&self) -> Option<&Unit> {
        let (units, index) = self.unit.as_ref()?;
        units.get(*index as usize)
    }
    /// Time from the first SYN to the established connection, nanoseconds; of connects only.
    pub fn connect_ns(&self) -> Option<u64> {
        let e = &self.event;
        let known = self.direction == Direction::Out && e.start_ns != 0 && e.opened_ns != 0;
        known.then(|| e.opened_ns.saturating_sub(e.start_ns))
    }
}

/// Events of recent polls.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// Events, oldest first: the last ones of earlier polls, then those of this poll.
    pub rows: Vec<Arc<EventRow>>,
    /// Number of rows that are of this poll.
    pub new: usize,
    /// Events seen since sockscope started.
    pub seen: u64,
    /// Events lost since then: neither listed nor counted.
    pub lost: u64,
    /// Connections within the last seconds.
    pub window: EventWindow,
}

impl EventLog {
    /// Connects that failed within the last seconds before `now_ns`, newest first.
    pub fn recent_failures(&self, now_ns: u64, secs: u64) -> impl Iterator<Item = &EventRow> {
        let from = now_ns.saturating_sub(secs * 1_000_000_000);
        let recent = self.rows.iter().rev().take_while(move |r| r.event.at_ns >= from);
        recent.map(|r| &**r).filter(|r| r.is_failed_connect())
    }

    /// Rows of this poll.
    pub fn new_rows(&self) -> &[Arc<EventRow>] {
        &self.rows[self.rows.len().saturating_sub(self.new)..]
    }
}

impl Snapshot {
    /// Index of the process of an event, if it is still running and was read.
    pub fn process_of_event(&self, row: &EventRow) -> Option<usize> {
        process_index(&self.sample.processes, row.process.as_deref()?)
    }
}

/// Index of this process.
pub(crate) fn process_index(processes: &[Process], p: &EventProcess) -> Option<usize> {
    /// The start time in `/proc/PID/stat` is rounded down to ticks.
    const TICK_NS: u64 = 10_000_000;
    let i = processes.binary_search_by_key(&p.pid, |p| p.info.pid).ok()?;
    let same = p.start_ns == 0 || processes[i].info.start_ns.abs_diff(p.start_ns) <= TICK_NS;
    same.then_some(i)
}
