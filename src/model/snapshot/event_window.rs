//! Connections opened, failed and closed within the last seconds, by port, process, peer and flow.

use super::{Direction, EventRow, Snapshot};
use crate::model::addr::{Addr, Endpoint};
use crate::model::fault::Missing;
use crate::model::sample::{ClosedBy, EventKind, EventProcess, EventSource};
use crate::model::state::State;
use crate::model::wants::Reads;
use std::sync::Arc;

/// Length of the window, seconds. It is shorter while fewer were observed, and with more events than are kept.
pub const EVENT_WINDOW_S: u64 = 30;
/// Duration below which a connection is short, nanoseconds.
pub const SHORT_NS: u64 = 1_000_000_000;
/// Time without an answer after which a connect that the program gave up counts as failed, nanoseconds. Programs that
/// try several addresses in parallel give up the slower ones sooner (RFC 8305).
pub const GAVE_UP_NS: u64 = 1_000_000_000;
/// Time for which a process can be late to accept a connection, nanoseconds.
pub const UNACCEPTED_NS: u64 = 1_000_000_000;

/// Number of connections in the window, and percentiles of their durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventStats {
    /// Connects that succeeded, and connections accepted.
    pub opened: u64,
    /// Connects that failed, see [`EventRow::is_failed_connect`].
    pub failed: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Median duration of those, microseconds; within 2 %. `None` if none has an exact duration.
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
}

/// Connections between a process and a service: outgoing ones to a remote endpoint, or incoming ones to a local one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFlow {
    /// Key.
    pub key: FlowKey,
    /// Process.
    pub process: Option<Arc<EventProcess>>,
    /// Number of connections.
    pub counts: FlowCounts,
}

/// Identity of an [`EventFlow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Inode of the network namespace.
    pub netns_inode: u64,
    /// Process id, 0 if unknown, and start time, nanoseconds after boot.
    pub process: (u32, u64),
    /// Direction.
    pub direction: Direction,
    /// Remote endpoint of outgoing connections, local one of incoming ones; `None` if unknown.
    pub service: Option<Endpoint>,
}

/// Number of connections in the window by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Connects that succeeded, and connections accepted.
    pub opened: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Of these, within [`SHORT_NS`].
    pub short: u64,
    /// Of these, aborted by this end with a RST instead of a FIN: closed with unread data, or `SO_LINGER` 0.
    pub aborted: u64,
    /// Of these, incoming and ended by the peer after [`UNACCEPTED_NS`] or later without any use by a process.
    pub unaccepted: u64,
    /// Connects that were refused.
    pub refused: u64,
    /// Connects without an answer: timed out, or given up after [`GAVE_UP_NS`] or later.
    pub unanswered: u64,
    /// Connects that failed by another error.
    pub other_failed: u64,
}

impl FlowCounts {
    /// No connections.
    pub const NONE: Self = Self {
        opened: 0,
        closed: 0,
        short: 0,
        aborted: 0,
        unaccepted: 0,
        refused: 0,
        unanswered: 0,
        other_failed: 0,
    };

    /// Counts of one row; zero for an event that is no connection.
    pub fn of_row(row: &EventRow) -> Self {
        let (e, n) = (&row.event, row.count);
        let mut out = Self::default();
        match e.kind {
            EventKind::Opened | EventKind::Accepted => out.opened = n,
            EventKind::Failed if !row.is_failed_connect() => {}
            EventKind::Failed => match row.cause() {
                Some(ClosedBy::Refused) => out.refused = n,
                Some(ClosedBy::Timeout | ClosedBy::Abandoned) => out.unanswered = n,
                _ => out.other_failed = n,
            },
            EventKind::Closed if e.from != Some(State::Listen) => {
                out.closed = n;
                if row.duration_ns.is_some_and(|d| d < SHORT_NS) && !row.is_lower_bound {
                    out.short = n;
                }
                let aborted = matches!(e.from, Some(State::Established | State::CloseWait));
                if aborted && e.closed_by == Some(ClosedBy::Here) {
                    out.aborted = n;
                }
                if row.is_unaccepted() && row.duration_ns.is_some_and(|d| d >= UNACCEPTED_NS) {
                    out.unaccepted = n;
                }
            }
            EventKind::Closed | EventKind::Retransmit | EventKind::Listening => {}
        }
        out
    }

    /// Connects that failed.
    pub const fn failed(&self) -> u64 {
        self.refused + self.unanswered + self.other_failed
    }

    /// Every count.
    const fn fields(&mut self) -> [&mut u64; 8] {
        [
            &mut self.opened,
            &mut self.closed,
            &mut self.short,
            &mut self.aborted,
            &mut self.unaccepted,
            &mut self.refused,
            &mut self.unanswered,
            &mut self.other_failed,
        ]
    }

    /// Counts that are not zero, as bits in the order of the fields.
    pub fn bits(mut self) -> u8 {
        self.fields().into_iter().enumerate().fold(0, |bits, (i, n)| bits | u8::from(*n > 0) << i)
    }

    /// This number for each bit.
    pub fn from_bits(bits: u8, n: u64) -> Self {
        let mut out = Self::default();
        for (i, field) in out.fields().into_iter().enumerate() {
            *field = if bits >> i & 1 == 0 { 0 } else { n };
        }
        out
    }

    /// Adds counts.
    pub fn add(&mut self, mut more: Self) {
        for (sum, n) in self.fields().into_iter().zip(more.fields()) {
            *sum += *n;
        }
    }

    /// Subtracts counts that were added before.
    pub fn subtract(&mut self, mut less: Self) {
        for (sum, n) in self.fields().into_iter().zip(less.fields()) {
            *sum = sum.saturating_sub(*n);
        }
    }
}

impl FlowKey {
    /// Key of the flow of a row; `None` if it is no connection.
    pub fn of_row(row: &EventRow) -> Option<Self> {
        let e = &row.event;
        let is_connection = e.proto == crate::model::Proto::Tcp
            && e.from != Some(State::Listen)
            && !matches!(e.kind, EventKind::Listening | EventKind::Retransmit);
        is_connection.then(|| Self {
            netns_inode: row.netns_inode,
            process: row.process.as_deref().map_or((0, 0), |p| (p.pid, p.start_ns)),
            direction: row.direction,
            service: if row.direction == Direction::In { Some(e.local) } else { e.remote },
        })
    }
}

impl EventRow {
    /// Cause of the end or of the failure; of counted events by their error.
    pub fn cause(&self) -> Option<ClosedBy> {
        self.event.closed_by.or(match self.event.errno {
            0 => None,
            32 | 104 => Some(ClosedBy::Reset),
            110 => Some(ClosedBy::Timeout),
            111 => Some(ClosedBy::Refused),
            _ => Some(ClosedBy::Error),
        })
    }

    /// Returns whether a connect failed: an error, or given up by the program after [`GAVE_UP_NS`] or later.
    pub fn is_failed_connect(&self) -> bool {
        self.event.kind == EventKind::Failed
            && match self.cause() {
                Some(ClosedBy::Abandoned) => self.duration_ns.is_some_and(|d| d >= GAVE_UP_NS),
                // Counted events have no other cause than the error.
                cause => cause.is_some(),
            }
    }

    /// Returns whether an incoming connection was ended by its peer before any process used it.
    pub fn is_unaccepted(&self) -> bool {
        self.event.kind == EventKind::Closed
            && self.direction == Direction::In
            && self.event.process.is_none()
            && self.event.opened_ns != 0
            && matches!(self.event.closed_by, Some(ClosedBy::Peer | ClosedBy::Reset | ClosedBy::Timeout))
    }
}

/// Connections within the window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventWindow {
    /// Length, seconds.
    pub secs: f64,
    /// Parallel to [`Snapshot::ports`]; empty without events.
    pub ports: Vec<EventStats>,
    /// Parallel to the processes of the sample; empty without events.
    pub processes: Vec<EventStats>,
    /// Parallel to [`Snapshot::peers`]; empty without events.
    pub peers: Vec<EventStats>,
    /// Flows, ordered by key.
    pub flows: Vec<EventFlow>,
}

/// Least length of a window that has rates, seconds.
const LEAST_S: f64 = 0.5;

/// Figure of [`EventStats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFigure {
    /// Connections opened per second.
    Opened,
    /// Failed connects per second.
    Failed,
    /// Connections that ended per second.
    Closed,
    /// Median duration, microseconds.
    P50,
    /// 99th percentile of the durations.
    P99,
}

impl EventWindow {
    /// Flow of a row.
    pub fn flow(&self, row: &EventRow) -> Option<&EventFlow> {
        let key = FlowKey::of_row(row)?;
        let i = self.flows.binary_search_by_key(&key, |f| f.key).ok()?;
        self.flows.get(i)
    }
}

impl Snapshot {
    /// Reason why a figure about events is unknown; `None` if the source reports it.
    pub fn event_figure_missing(&self, figure: EventFigure) -> Option<Missing> {
        let events = &self.sample.events;
        match events.source {
            _ if !self.sample.wants.reads(Reads::EVENTS) => Some(Missing::NotRead),
            None => Some(Missing::NotReported),
            Some(EventSource::SockDiag) if figure != EventFigure::Closed => Some(Missing::NotReported),
            Some(_) if self.events.window.secs < LEAST_S => Some(Missing::Pending),
            Some(_) => None,
        }
    }

    /// A figure of these.
    pub fn event_figure(&self, stats: &EventStats, figure: EventFigure) -> Result<f64, Missing> {
        if let Some(why) = self.event_figure_missing(figure) {
            return Err(why);
        }
        let rate = |n: u64| Ok(n as f64 / self.events.window.secs);
        let time = |us: Option<u64>| us.map(|us| us as f64).ok_or(Missing::NotApplicable);
        match figure {
            EventFigure::Opened => rate(stats.opened),
            EventFigure::Failed => rate(stats.failed),
            EventFigure::Closed => rate(stats.closed),
            EventFigure::P50 => time(stats.p50_us),
            EventFigure::P99 => time(stats.p99_us),
        }
    }

    /// Returns whether the source reports which connections were accepted.
    pub fn sees_accepts(&self) -> bool {
        let events = &self.sample.events;
        match events.source {
            Some(EventSource::Script) => true,
            // The reason names what it does not see.
            Some(EventSource::Bpf) => events.reason.is_empty(),
            Some(EventSource::SockDiag) | None => false,
        }
    }
}

/// Address of a peer, and inode of the network namespace and interface of a link-local one.
pub type PeerAddr = (Addr, u64, u32);

impl EventRow {
    /// Peer of the connection; `None` if unknown.
    pub fn peer(&self) -> Option<PeerAddr> {
        let addr = self.event.remote?.addr;
        let zoned = self.event.iface != 0 && addr.needs_zone();
        Some(if zoned { (addr, self.netns_inode, self.event.iface) } else { (addr, 0, 0) })
    }
}
