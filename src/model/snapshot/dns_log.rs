//! DNS questions of recent polls, with what was derived about them, and the resolvers that were asked.

use super::{ProcessBy, Snapshot, Unit, process_index};
use crate::model::addr::Endpoint;
use crate::model::sample::{DnsQuery, EventProcess};
use std::sync::Arc;

/// Length of the window over which a resolver is judged, seconds.
pub const DNS_WINDOW_S: u64 = 60;
/// Time from which an answer is slow, nanoseconds.
pub const DNS_SLOW_NS: u64 = 500_000_000;

/// Question with its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsRow {
    /// Sequence number, from 1: its identity.
    pub number: u64,
    /// Question as captured.
    pub query: DnsQuery,
    /// Time of the answer, or at which the question was given up, nanoseconds since 1970.
    pub unix_ns: u64,
    /// Process that asked.
    pub process: Option<Arc<EventProcess>>,
    /// Origin of the process.
    pub process_by: ProcessBy,
    /// Unit and container of the process: units of a poll and the index.
    pub unit: Option<(Arc<[Unit]>, u32)>,
    /// Inode of the network namespace; 0 if unknown.
    pub netns_inode: u64,
    /// Name of the network namespace.
    pub netns_name: Arc<str>,
}

impl DnsRow {
    /// Unit, slice and container of the process.
    pub fn unit(&self) -> Option<&Unit> {
        let (units, index) = self.unit.as_ref()?;
        units.get(*index as usize)
    }

    /// Time of the answer, or at which it was given up, nanoseconds after boot.
    pub const fn done_ns(&self) -> u64 {
        self.query.asked_ns.saturating_add(self.query.took_ns)
    }

    /// True if an answer came, but late.
    pub const fn is_slow(&self) -> bool {
        !self.query.outcome.is_failure() && self.query.took_ns >= DNS_SLOW_NS
    }
}

/// Questions of the last seconds to one resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Inode of the network namespace.
    pub netns_inode: u64,
    /// Its endpoint.
    pub server: Endpoint,
    /// Questions.
    pub asked: u64,
    /// Of these, without an answer in time.
    pub timeouts: u64,
    /// Of these, answered with `SERVFAIL`.
    pub servfail: u64,
    /// Of these, answered with `REFUSED`.
    pub refused: u64,
    /// Of these, answered with another failure.
    pub other_failed: u64,
    /// Answers after [`DNS_SLOW_NS`] or later.
    pub slow: u64,
    /// Median time to an answer, microseconds, within 2 %; `None` without one.
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
}

impl Resolver {
    /// Questions that failed.
    pub const fn failed(&self) -> u64 {
        self.timeouts + self.servfail + self.refused + self.other_failed
    }

    /// Questions that got a usable answer.
    pub const fn answered(&self) -> u64 {
        self.asked.saturating_sub(self.failed())
    }
}

/// DNS questions of recent polls.
#[derive(Clone, Debug, Default)]
pub struct DnsLog {
    /// Questions, in the order in which they were answered or given up: the last ones of earlier polls, then those of this poll.
    pub rows: Vec<Arc<DnsRow>>,
    /// Number of rows that are of this poll.
    pub new: usize,
    /// Questions seen since sockscope started.
    pub seen: u64,
    /// Packets and questions lost since then.
    pub lost: u64,
    /// Resolvers asked by this host within the last seconds, see [`DNS_WINDOW_S`].
    pub resolvers: Vec<Resolver>,
    /// Time that these counts cover, seconds.
    pub secs: f64,
}

impl DnsLog {
    /// The resolver of a question.
    pub fn resolver(&self, row: &DnsRow) -> Option<&Resolver> {
        let is_it = |r: &&Resolver| (r.netns_inode, r.server) == (row.netns_inode, row.query.server);
        self.resolvers.iter().find(is_it).filter(|_| !row.query.inbound)
    }
}

impl Snapshot {
    /// Index of the process of a question, if it is still running and was read.
    pub fn process_of_dns(&self, row: &DnsRow) -> Option<usize> {
        process_index(&self.sample.processes, row.process.as_deref()?)
    }
}
