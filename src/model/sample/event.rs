//! Events: changes in the life of sockets between two polls.

use crate::model::addr::Endpoint;
use crate::model::lang::noop;
use crate::model::proto::{Family, Proto};
use crate::model::socket::SocketId;
use crate::model::state::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A connect succeeded, or a UDP socket was used for the first time.
    Opened,
    /// An incoming connection was read or written for the first time, by the process that accepted it; one that never was
    /// when it closed.
    Accepted,
    /// A socket closed; a connection that turned into `TIME_WAIT` is closed.
    Closed,
    /// A connect failed or was given up.
    Failed,
    /// A segment was sent again.
    Retransmit,
    /// `listen(2)` was called.
    Listening,
}

impl EventKind {
    /// All with their names, in the order of `enum kind` in `events.bpf.c`.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Opened, "opened"),
        (Self::Accepted, "accepted"),
        (Self::Closed, "closed"),
        (Self::Failed, "failed"),
        (Self::Retransmit, "retransmit"),
        (Self::Listening, "listening"),
    ];

    /// Name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Cause of the end of a connection, or of a failed connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClosedBy {
    /// This end closed or aborted it first.
    Here,
    /// The peer sent the first FIN.
    Peer,
    /// The peer sent a RST (`ECONNRESET`, `EPIPE`).
    Reset,
    /// No answer within the retransmissions or keepalive probes (`ETIMEDOUT`).
    Timeout,
    /// The peer answered the SYN with a RST (`ECONNREFUSED`).
    Refused,
    /// The program gave up its connect.
    Abandoned,
    /// The connect sent no SYN: no local port, no route.
    Unsent,
    /// Another error of the network, such as `EHOSTUNREACH`, or the administrator (`ECONNABORTED`).
    Error,
}

impl ClosedBy {
    /// All with their names.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Here, "here"),
        (Self::Peer, "peer"),
        (Self::Reset, "reset"),
        (Self::Timeout, "timeout"),
        (Self::Refused, "refused"),
        (Self::Abandoned, "abandoned"),
        (Self::Unsent, "unsent"),
        (Self::Error, "error"),
    ];

    /// Name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Process of an event, as it was at that time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventProcess {
    /// Process id in the pid namespace of sockscope.
    pub pid: u32,
    /// Start time, nanoseconds after boot; 0 if unknown.
    pub start_ns: u64,
    /// Command name of the main thread, as [`super::super::ProcInfo::comm`].
    pub comm: Box<str>,
    /// Real user id.
    pub uid: u32,
    /// Cgroup v2 id; 0 if unknown.
    pub cgroup_id: u64,
}

/// One event. Times are nanoseconds after boot (`CLOCK_BOOTTIME`); 0 stands for a time before the events were watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Time of the event; of its receipt where the kernel sends no time.
    pub at_ns: u64,
    /// Kind.
    pub kind: EventKind,
    /// Socket.
    pub id: SocketId,
    /// Address family of the socket.
    pub family: Family,
    /// Protocol.
    pub proto: Proto,
    /// Local endpoint.
    pub local: Endpoint,
    /// Remote endpoint; `None` if unknown: the kernel clears the port before it reports a failed connect.
    pub remote: Option<Endpoint>,
    /// Index of the interface the socket is bound to, 0 for none.
    pub iface: u32,
    /// Process: for a connect the one that called it, for an accepted connection the first that used it, else the one that
    /// closed it. `None` if unknown.
    pub process: Option<Arc<EventProcess>>,
    /// User id of the socket (`sk_uid`).
    pub uid: Option<u32>,
    /// True for a connection to a listener of this host; `None` if unknown.
    pub inbound: Option<bool>,
    /// Time of the SYN, of the first use of a UDP socket, or of `listen`.
    pub start_ns: u64,
    /// Time the connection was established.
    pub opened_ns: u64,
    /// Bytes of data sent, without retransmissions (`bytes_sent - bytes_retrans` of `tcp_info`).
    pub tx: Option<u64>,
    /// Bytes of data received (`bytes_received` of `tcp_info`).
    pub rx: Option<u64>,
    /// Retransmitted segments so far (`tcpi_total_retrans`).
    pub retrans: Option<u32>,
    /// Smoothed round-trip time, microseconds; `None` if not measured.
    pub rtt_us: Option<u32>,
    /// Cause of the end.
    pub closed_by: Option<ClosedBy>,
    /// Error of the socket (`sk_err`), 0 for none.
    pub errno: u16,
    /// State before the event.
    pub from: Option<State>,
    /// Time in each state, microseconds, by the kernel's number (`include/net/tcp_states.h`); only at the end.
    pub state_us: Option<Arc<[u32; 13]>>,
}

/// Events that were counted and not listed, because there were more than the budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCount {
    /// Network namespace: an index of [`super::Sample::namespaces`].
    pub netns: u16,
    /// Kind.
    pub kind: EventKind,
    /// Remote address.
    pub remote: Endpoint,
    /// Local port instead of the remote one, for incoming connections.
    pub inbound: bool,
    /// Process id, 0 if unknown, and command name.
    pub pid: u32,
    /// Command name.
    pub comm: Box<str>,
    /// Error of the socket.
    pub errno: u16,
    /// Number of events.
    pub events: u64,
    /// Bytes of data sent by the connections that closed.
    pub tx: u64,
    /// Bytes of data received by the connections that closed.
    pub rx: u64,
}

/// Source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// Closes as reported by `NETLINK_SOCK_DIAG` (`ss -E`): no privilege, no process, nothing but closes.
    SockDiag,
    /// BPF tracepoints: connects, accepts, closes, failures, retransmissions with their process; closes of UDP sockets by
    /// `sock_diag`.
    Bpf,
    /// Scenario.
    Script,
}

impl EventSource {
    /// Interface it reads, as shown in the status line.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::SockDiag => "sock_diag",
            Self::Bpf => "bpf",
            Self::Script => noop("demo data"),
        }
    }

    /// Events it reports, and what it does not.
    pub const fn sees(self) -> &'static str {
        match self {
            Self::SockDiag => noop(
                "only closes, without cause; no process for connections shorter than a poll, no remote port of failed connects",
            ),
            Self::Bpf => noop(
                "connects, accepts, closes, failures and retransmissions of TCP; first use and closes of UDP",
            ),
            Self::Script => noop("of a simulated host"),
        }
    }
}

/// Events since the previous poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Source; `None` if there is none.
    pub source: Option<EventSource>,
    /// Reason for this source and not a better one, or for none; empty for the best.
    pub reason: Arc<str>,
    /// Time since which events are seen, nanoseconds after boot.
    pub since_ns: u64,
    /// Events, in the order of their times.
    pub list: Vec<Event>,
    /// Events above the budget, counted.
    pub counts: Vec<EventCount>,
    /// Events that were neither listed nor counted.
    pub lost: u64,
}
