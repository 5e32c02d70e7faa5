//! List of all metrics.

use super::limits::{LimitGroups, ephemeral_groups, limit_groups};
use super::listeners::{ForwardGroups, ListenerGroups, forward_groups, listener_groups};
use super::processes::{ProcessGroups, process_groups};
use super::series::{Point, counter_points};
use super::{Input, connections, limits, listeners, processes};

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Value that can fall.
    Gauge,
    /// Sum that never falls while the program runs; its samples end in `_total`.
    Counter,
    /// Distribution.
    Histogram,
    /// Labels with the value 1; its samples end in `_info`.
    Info,
}

impl Kind {
    /// Name in `# TYPE` of `OpenMetrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// End of the names of its samples.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Family {
    /// Name, without the suffix of its type.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Unit, empty for a number.
    pub unit: &'static str,
    /// Labels.
    pub labels: &'static [&'static str],
    /// Meaning, in one sentence.
    pub help: &'static str,
    source: fn(&Groups<'_>) -> Vec<Point>,
}

impl Family {
    /// Series of the metric.
    pub(super) fn points(&self, groups: &Groups<'_>) -> Vec<Point> {
        (self.source)(groups)
    }

    /// Name of its samples; of a histogram the common part of their names.
    pub fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }
}

/// Rows of a snapshot, grouped once for all metrics.
pub(super) struct Groups<'a> {
    pub(super) input: Input<'a>,
    pub(super) top: usize,
    pub(super) processes: ProcessGroups,
    pub(super) limits: LimitGroups,
    pub(super) ephemeral: LimitGroups,
    pub(super) listeners: ListenerGroups,
    pub(super) forwards: ForwardGroups,
}

impl<'a> Groups<'a> {
    pub(super) fn new(input: Input<'a>, top: usize) -> Self {
        let snap = input.snap;
        Self {
            input,
            top,
            processes: process_groups(snap, top),
            limits: limit_groups(snap, top),
            ephemeral: ephemeral_groups(snap, top),
            listeners: listener_groups(snap, top),
            forwards: forward_groups(snap, top),
        }
    }
}

const LIMIT: &[&str] = &["limit", "subject", "netns"];
const PROCESS: &[&str] = &["comm", "unit", "container"];
const LISTENER: &[&str] = &["proto", "local", "scope", "process", "netns"];
const EPHEMERAL: &[&str] = &["destination", "proto", "netns"];
const FORWARD: &[&str] = &["proto", "port", "via", "netns"];

macro_rules! families {
    ($($name:literal $kind:ident $unit:literal $labels:expr, $source:expr, $help:literal;)*) => {
        /// All metrics, in the order of the page.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: $name, kind: Kind::$kind, unit: $unit, labels: $labels, help: $help, source: $source,
        },)*];
    };
}

families! {
    "sockscope" Info "" &["version", "owners_by", "backend", "events"], |g| connections::info(g.input),
        "Version, and the interfaces that owners, sockets and events are read from.";
    "sockscope_last_poll_timestamp_seconds" Gauge "seconds" &[], |g| connections::poll_time(g.input),
        "Time of the poll that the page is from, since 1970.";
    "sockscope_poll_duration_seconds" Gauge "seconds" &[], |g| connections::poll_duration(g.input),
        "Time that this poll took.";
    "sockscope_polls" Counter "" &[], |g| connections::polls(g.input), "Polls since the program started.";
    "sockscope_poll_errors" Counter "" &[], |g| connections::poll_errors(g.input), "Polls that failed; the page is from the last that did not.";
    "sockscope_cpu_seconds" Counter "seconds" &[], |g| connections::cpu(g.input), "CPU time of this program.";
    "sockscope_owners_hidden" Gauge "" &["reason"], |g| connections::hidden(g.input), "Sockets without a known process, by reason.";
    "sockscope_limits_unjudged" Gauge "" &["limit"], |g| connections::unjudged(g.input),
        "Limits of which a part could not be read, so that they can be fuller than the page shows.";
    "sockscope_events_lost" Counter "" &[], |g| connections::events_lost(g.input), "Events of connections that were lost: the counters are too low by them.";
    "sockscope_sockets" Gauge "" &["proto", "state"], |g| connections::sockets(g.input), "Sockets by protocol and state.";
    "sockscope_alerts" Gauge "" &["level"], |g| connections::alerts(g.input), "Active alerts of limits.";
    "sockscope_findings" Gauge "" &["finding", "severity"], |g| connections::findings(g.input),
        "Rows to which a finding applies; sockscope explain FINDING prints its meaning.";
    "sockscope_limit_used" Gauge "" LIMIT, |g| limits::used(&g.limits),
        "Usage of the fullest limit of its kind; of a kind without a maximum the sum.";
    "sockscope_limit_max" Gauge "" LIMIT, |g| limits::max(&g.limits), "Maximum of that limit.";
    "sockscope_limit_full_seconds" Gauge "seconds" LIMIT, |g| limits::full_seconds(&g.limits),
        "Forecast of the time until the first of these limits is full; absent while none fills.";
    "sockscope_limit_lost" Counter "" LIMIT, |g| counter_points(&g.input.totals.lost),
        "Connections, packets or messages lost at a limit.";
    "sockscope_ephemeral_ports_used" Gauge "" EPHEMERAL, |g| limits::used(&g.ephemeral),
        "Local ports in use toward the destination, or at the local address (bind), that has the fewest left.";
    "sockscope_ephemeral_ports_max" Gauge "" EPHEMERAL, |g| limits::max(&g.ephemeral), "Local ports that the kernel chooses from.";
    "sockscope_processes" Gauge "" PROCESS, |g| processes::count(&g.processes), "Processes by command, unit and container.";
    "sockscope_process_fds" Gauge "" PROCESS, |g| processes::fds(&g.processes), "Open file descriptors of these processes.";
    "sockscope_process_fds_worst_used" Gauge "" PROCESS, |g| processes::worst_fds(&g.processes),
        "Open file descriptors of the process closest to its limit, those above it left out.";
    "sockscope_process_fds_worst_max" Gauge "" PROCESS, |g| processes::worst_max(&g.processes), "Soft limit of file descriptors of that process.";
    "sockscope_process_fds_worst_ratio" Gauge "ratio" PROCESS, |g| processes::worst_ratio(&g.processes),
        "Share of its soft limit that this process uses, 0 to 1.";
    "sockscope_process_fds_full_seconds" Gauge "seconds" PROCESS, |g| processes::full_seconds(&g.processes),
        "Forecast of the time until the first of these processes has no file descriptor left; absent while none fills.";
    "sockscope_process_sockets" Gauge "" &["comm", "unit", "container", "state"], |g| processes::sockets(&g.processes),
        "Sockets of these processes by state; a growing number in CLOSE_WAIT is a leak.";
    "sockscope_accept_queue" Gauge "" LISTENER, |g| listeners::queue(&g.listeners), "Connections that wait in the fullest accept queue of a listener.";
    "sockscope_accept_queue_max" Gauge "" LISTENER, |g| listeners::queue_max(g.input.snap, &g.listeners),
        "Connections that this queue admits: the backlog and one more.";
    "sockscope_listen_drops" Counter "" LISTENER, |g| counter_points(&g.input.totals.listen_drops), "Connections that the listener dropped.";
    "sockscope_listen_clients" Gauge "" LISTENER, |g| listeners::clients(&g.listeners), "Connections of a listener.";
    "sockscope_listeners" Gauge "" &["proto", "scope", "netns"], |g| listeners::exposure(g.input.snap, g.top),
        "Listeners and bound datagram sockets by reachability: any is every address of the host.";
    "sockscope_forward_dead" Gauge "" FORWARD, |g| listeners::forward_dead(&g.forwards),
        "Port forwards without a listener at their target; absent where that is not visible.";
    "sockscope_forward_clients" Gauge "" FORWARD, |g| listeners::forward_clients(&g.forwards), "Connections through a port forward.";
    "sockscope_connections_opened" Counter "" &["direction"], |g| connections::opened(g.input),
        "TCP connections opened; absent without BPF.";
    "sockscope_connections_closed" Counter "" &["cause"], |g| connections::closed(g.input),
        "TCP connections closed, by the end that closed or the error; the cause is unknown without BPF.";
    "sockscope_connections_failed" Counter "" &["cause"], |g| connections::failed(g.input),
        "TCP connects that failed; absent without BPF.";
    "sockscope_process_connects_failed" Counter "" PROCESS, |g| connections::failed_by(g.input),
        "TCP connects that failed, by process; absent without BPF.";
    "sockscope_connection_duration_seconds" Histogram "seconds" &[], |g| connections::durations(g.input),
        "Duration of TCP connections that closed, where it is exact.";
}
