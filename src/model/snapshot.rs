//! Display rows derived from the samples so far.

mod dns_log;
mod event_log;
mod event_window;
mod host_peers;
mod merged;

pub use dns_log::{DNS_SLOW_NS, DNS_WINDOW_S, DnsLog, DnsRow, Resolver};
pub(crate) use event_log::process_index;
pub use event_log::{EventLog, EventRow, ProcessBy};
pub use event_window::{
    EVENT_WINDOW_S, EventFigure, EventFlow, EventStats, EventWindow, FlowCounts, FlowKey, GAVE_UP_NS,
    PeerAddr, SHORT_NS, UNACCEPTED_NS,
};
pub use host_peers::{HostLink, HostPeer, HostPeers, certainty};
pub use merged::{HostState, Merged, RemoteHost, TableId, Viewer};

use super::addr::{Addr, Endpoint, Scope};
use super::attr::Attrs;
use super::container::Container;
use super::counter_window::{CounterHistory, CounterSnapshot};
use super::fault::{Fault, Faults, Missing};
use super::history::{History, Subject};
use super::limit::{Alert, FullIn, Limit, SystemLimits, Unjudged};
use super::map::Map;
use super::nat::Pair;
use super::nat::{Filtered, Forward, Forwards};
use super::process::{FdKind, FdUsage, Owner, Process};
use super::proto::Proto;
use super::sample::{Flow, Sample, Stamp};
use super::socket::{Socket, SocketId};
use super::state::{State, StateCounts};
use super::unit::Unit;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Input of one frame, list or check. Immutable and shared, never cloned.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Sequence number, from 1.
    pub seq: u64,
    /// Sample it was derived from, unchanged.
    pub sample: Sample,
    /// Hosts whose rows it has instead of its own.
    pub merged: Option<Arc<Merged>>,
    /// Live rows, if they differ from the sockets of the sample: flows in state `FORWARDED` were appended, or a socket
    /// that was read twice was removed.
    pub live_rows: Option<Vec<Socket>>,
    /// Closed rows, after the live ones: sockets closed recently. They have no attributes.
    pub closed_rows: Vec<Socket>,
    /// Names of closed rows; their indexes follow those of [`Sample::names`].
    pub closed_names: Vec<Box<str>>,
    /// Times at which the last rows, as a rule the closed ones, were found closed, nanoseconds after boot.
    pub closed_ns: Vec<u64>,
    /// Number of live rows.
    pub live: usize,
    /// Faults of the derivation; those of the sample are in the sample, see [`Snapshot::faults`].
    pub derive_faults: Faults,
    /// Derived facts, parallel to the socket rows.
    pub facts: Vec<SocketFacts>,
    /// Rates, parallel to the socket rows; empty if `tcp_info` was not read.
    pub rates: Vec<PackedRates>,
    /// Counters of each live socket at earlier polls; empty if the fields of `tcp_info` were not read.
    pub counters: Vec<CounterHistory>,
    /// Row of the local peer, parallel to the socket rows; `u32::MAX` for a remote peer. Empty if not requested.
    pub local_peers: Vec<u32>,
    /// Other ends of connections on other hosts that are shown with this one.
    pub host_peers: Arc<HostPeers>,
    /// Last known owner of sockets that no longer have one, sorted by row.
    pub last_owners: Vec<(u32, LastOwner)>,
    /// Socket rows by process: `sockets_of[process_sockets[p].0..process_sockets[p].1]`.
    pub sockets_of: Vec<u32>,
    /// Derived facts, parallel to [`Sample::processes`].
    pub processes: Vec<ProcessFacts>,
    /// Distinct units of the cgroups of processes and sockets; see [`Snapshot::unit_of`].
    pub units: Arc<[Unit]>,
    /// Index in `units` by cgroup id of a socket (`INET_DIAG_CGROUP_ID`).
    pub unit_of_cgroup: BTreeMap<u64, u32>,
    /// One row per served endpoint, ordered by protocol, port and address.
    pub ports: Vec<Port>,
    /// One row per remote address, most connections first.
    pub peers: Vec<Peer>,
    /// Socket rows by peer, see [`Peer::sockets`].
    pub peer_sockets: Vec<u32>,
    /// Processes by peer, see [`Peer::processes`].
    pub peer_processes: Vec<u32>,
    /// Port forwards; `None` if not requested.
    pub forwards: Option<Forwards>,
    /// Map of this host alone; empty if owners, units and local peers were not requested. See [`Snapshot::map`].
    pub map: Map,
    /// Resource limits; empty if not requested.
    pub limits: Vec<Limit>,
    /// Kinds of limits that could not be judged, at least in part; empty if limits were not requested.
    pub unjudged: Vec<Unjudged>,
    /// Active alerts, most severe first.
    pub alerts: Vec<Alert>,
    /// Live sockets by state.
    pub states: StateCounts,
    /// State counts of recent polls, oldest first, the current one last.
    pub history: Arc<Vec<(Stamp, StateCounts)>>,
    /// Numbers over the last hour, for charts.
    pub numbers: History,
    /// Live sockets without owner, by reason, in the order of [`Missing`].
    pub hidden: Vec<(Missing, u32)>,
    /// Sockets opened since the previous poll.
    pub opened: u32,
    /// Sockets closed since the previous poll.
    pub closed: u32,
    /// Events of this poll and before it.
    pub events: EventLog,
    /// DNS questions of this poll and before it.
    pub dns: DnsLog,
}

/// Facts about a socket derived from several samples. Packed, see [`Socket`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(Rust, packed(4))]
pub struct SocketFacts {
    /// Range of its owners in [`Sample::owners`].
    pub owners: (u32, u32),
    /// Reason why it has no owner; `None` if it has one.
    pub owner_missing: Option<Missing>,
    /// First seen by sockscope, nanoseconds after boot.
    pub first_seen_ns: u64,
    /// True if it was not seen opening: it existed at the first poll, or became visible when more was read. Its age is
    /// then a lower bound.
    pub preexisting: bool,
    /// First seen in its current state, nanoseconds after boot.
    pub state_since_ns: u64,
    /// Time since its receive queue (accept queue for a listener) was last empty or draining, as nanoseconds after
    /// boot; 0 while empty.
    pub waiting_since_ns: u64,
    /// Direction of the connection.
    pub direction: Direction,
    /// Throughput of recent polls in both directions, oldest first: 0 for none, else 1 + log2 of the bytes per second.
    pub activity: [u8; 8],
}

/// Direction in which a connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Not a connection, or unknown.
    None,
    /// Incoming: a local listener serves its local endpoint.
    In,
    /// Outgoing.
    Out,
}

impl Direction {
    /// Name, `None` if there is no direction.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::In => Some("in"),
            Self::Out => Some("out"),
        }
    }
}

/// [`Rates`] as they are stored, one for each row: half as long.
#[derive(Clone, Copy, Debug)]
pub struct PackedRates {
    /// Not a number for `None`.
    rx: f32,
    tx: f32,
    retrans: f32,
}

impl PackedRates {
    /// The rates.
    pub fn unpack(self) -> Rates {
        let known = |n: f32| (!n.is_nan()).then_some(n);
        Rates { rx: known(self.rx), tx: known(self.tx), retrans: known(self.retrans) }
    }
}

impl From<Rates> for PackedRates {
    fn from(r: Rates) -> Self {
        let packed = |n: Option<f32>| n.unwrap_or(f32::NAN);
        Self { rx: packed(r.rx), tx: packed(r.tx), retrans: packed(r.retrans) }
    }
}

impl PartialEq for PackedRates {
    fn eq(&self, other: &Self) -> bool {
        self.unpack() == other.unpack()
    }
}

impl Default for PackedRates {
    fn default() -> Self {
        Rates::default().into()
    }
}

/// Rates over the last interval; `None` without a previous reading, or if a counter decreased.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Rates {
    /// Bytes received per second.
    pub rx: Option<f32>,
    /// Bytes sent and acknowledged per second.
    pub tx: Option<f32>,
    /// Segments retransmitted per second.
    pub retrans: Option<f32>,
}

/// Last owner of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastOwner {
    /// Process id.
    pub pid: u32,
    /// Command name.
    pub comm: Arc<str>,
    /// Descriptor number.
    pub fd: u32,
}

/// Derived facts of one process.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProcessFacts {
    /// Range of its socket rows in [`Snapshot::sockets_of`]; a socket with two descriptors is listed once.
    pub sockets: (u32, u32),
    /// Sockets by state.
    pub states: StateCounts,
    /// Sockets that serve an endpoint.
    pub listening: u32,
    /// Bytes received per second by its sockets.
    pub rx: Option<f64>,
    /// Bytes sent per second by its sockets.
    pub tx: Option<f64>,
    /// Open descriptors at recent polls, oldest first: nanoseconds after boot, count.
    pub fd_history: Vec<(u64, u64)>,
    /// Growth of open descriptors per minute, over that history.
    pub fds_per_min: Option<f64>,
    /// Forecast of reaching the descriptor limit; `None` if the count is stable or falling, or was not observed long
    /// enough.
    pub fds_full_in: Option<FullIn>,
    /// Kind of descriptor that grows most, and its growth per minute; `None` if none grows or kinds are unknown.
    pub fds_growing: Option<(FdKind, f64)>,
    /// Growth of its `CLOSE_WAIT` connections per minute.
    pub close_wait_per_min: Option<f64>,
    /// True if they grow steadily: the application does not close connections that peers have closed.
    pub close_wait_leak: bool,
    /// CPU time since the previous poll that read it, as a share of one core: 2.0 is two cores. `None` before the second.
    pub cpu: Option<f64>,
    /// First seen by sockscope, nanoseconds after boot.
    pub first_seen_ns: u64,
    /// Index of its unit in [`Snapshot::units`] plus one; 0 if its cgroup is unknown.
    pub unit: u32,
}

/// Served endpoint: a listener, several that share it (`SO_REUSEPORT`), or a bound datagram socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Namespace index.
    pub netns: u16,
    /// Protocol.
    pub proto: Proto,
    /// State: `LISTEN` or `UNCONN`.
    pub state: State,
    /// Endpoint.
    pub local: Endpoint,
    /// Index of the interface it is bound to, 0 for none.
    pub iface: u32,
    /// Rows of the serving sockets.
    pub sockets: Vec<u32>,
    /// Rows of its live connections.
    pub clients: Vec<u32>,
    /// Distinct remote addresses among them.
    pub hosts: u32,
    /// Connections by state.
    pub states: StateCounts,
    /// Length of the accept queues of all its sockets together; unread bytes for a datagram socket.
    pub recv_q: u64,
    /// Limit of the accept queues of all its sockets together; 0 for a datagram socket.
    pub backlog: u64,
    /// The listener whose accept queue is fullest; `None` for a datagram socket. The sockets of a `SO_REUSEPORT` group
    /// have a queue each, and a connection that the kernel assigns to a full one is dropped.
    pub fullest: Option<AcceptQueue>,
    /// Packets dropped by its sockets, if read; of a TCP listener at most what its namespace counted (`ListenDrops`), if that was
    /// read.
    pub drops: Option<u64>,
    /// Sum of `sk_drops`, if read: of a TCP listener it includes resets in place of the last ACK of the handshake.
    pub sk_drops: Option<u64>,
    /// Owning processes: indexes, ordered by pid.
    pub processes: Vec<u32>,
    /// Reachability.
    pub scope: Scope,
    /// Bytes received per second by its connections.
    pub rx: Option<f64>,
    /// Bytes sent per second by its connections.
    pub tx: Option<f64>,
    /// Result of the filter rules of its namespace for connections of other hosts; `None` if they were not read, or on loopback.
    pub filtered: Option<Filtered>,
}

/// Accept queue of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptQueue {
    /// Row of the listener.
    pub row: u32,
    /// Connections in it.
    pub waiting: u64,
    /// Its limit, as in listen(2) and at most `somaxconn`.
    pub backlog: u64,
}

impl AcceptQueue {
    /// Usage, 0 to 1.
    pub fn share(self) -> f64 {
        accept_share(self.waiting, self.backlog)
    }
}

/// Usage of an accept queue, 0 to 1. The kernel admits one connection more than the backlog (`sk_acceptq_is_full`,
/// `unix_recvq_full`): the queue is full at `backlog + 1`, and `listen(fd, 0)` admits one.
pub fn accept_share(waiting: u64, backlog: u64) -> f64 {
    (waiting as f64 / backlog.saturating_add(1) as f64).min(1.0)
}

/// Remote address with its connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Address.
    pub addr: Addr,
    /// Namespace and index of the interface of a link-local address, which is one peer per link; zero for others.
    pub zone: (u16, u32),
    /// Reachability.
    pub scope: Scope,
    /// Range of its socket rows in [`Snapshot::peer_sockets`].
    pub sockets: Range<u32>,
    /// Connections by state.
    pub states: StateCounts,
    /// Distinct local ports of incoming connections plus distinct remote ports of outgoing ones.
    pub ports: u32,
    /// Range of the processes connected to it in [`Snapshot::peer_processes`]: indexes, ordered by pid.
    pub processes: Range<u32>,
    /// Bytes received per second.
    pub rx: Option<f64>,
    /// Bytes sent per second.
    pub tx: Option<f64>,
    /// First seen by sockscope, nanoseconds after boot.
    pub first_seen_ns: u64,
    /// True if it was seen at the first poll, so its age is a lower bound.
    pub preexisting: bool,
}

/// Maximum number of namespaces in which one connection is followed.
const MAX_FLOWS: usize = 8;

impl Snapshot {
    /// True if an alert was raised at this poll.
    pub fn has_new_alert(&self) -> bool {
        self.alerts.iter().any(|a| a.since_ns == self.sample.at.boot_ns)
    }

    /// Live socket rows.
    pub fn live_sockets(&self) -> &[Socket] {
        self.live_rows.as_deref().unwrap_or(&self.sample.sockets)
    }
    /// All socket rows: live, then closed.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.live_sockets().iter().chain(&self.closed_rows)
    }
    /// Number of socket rows.
    pub fn socket_count(&self) -> usize {
        self.live_sockets().len() + self.closed_rows.len()
    }
    /// Socket row, `None` if out of range.
    pub fn get_socket(&self, row: usize) -> Option<&Socket> {
        let live = self.live_sockets();
        live.get(row).or_else(|| self.closed_rows.get(row.checked_sub(live.len())?))
    }
    /// Socket row.
    pub fn socket(&self, row: usize) -> &Socket {
        let live = self.live_sockets();
        if row < live.len() { &live[row] } else { &self.closed_rows[row - live.len()] }
    }
    /// Time at which a socket row was found closed, nanoseconds after boot; `None` while it is open.
    pub fn closed_ns(&self, row: usize) -> Option<u64> {
        let open = self.facts.len().checked_sub(self.closed_ns.len())?;
        self.closed_ns.get(row.checked_sub(open)?).copied()
    }
    /// Attributes of a socket row.
    pub fn attrs(&self, row: usize) -> Attrs<'_> {
        self.sample.attrs_of(self.socket(row))
    }
    /// Name by index [`Socket::local_name`] or [`Socket::remote_name`].
    pub fn name(&self, index: u32) -> Option<&str> {
        let index = index as usize;
        let names = &self.sample.names;
        let closed = || self.closed_names.get(index.checked_sub(names.len())?);
        names.get(index).or_else(closed).map(AsRef::as_ref)
    }
    /// Faults of the sample and of the derivation.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.sample.faults.iter().chain(self.derive_faults.iter())
    }
    /// Inode of a network namespace; 0 if unknown.
    pub fn netns_inode(&self, netns: u16) -> u64 {
        self.sample.namespaces.get(usize::from(netns)).map_or(0, |n| n.inode)
    }
    /// The subject of the history of a limit.
    pub fn limit_subject(&self, limit: &Limit) -> Subject {
        Subject::Limit(limit.kind, self.netns_inode(limit.netns), limit.subject.clone())
    }
    /// The subject of the history of a process row.
    pub fn process_subject(&self, process: usize) -> Option<Subject> {
        let p = &self.sample.processes.get(process)?.info;
        Some(Subject::Process(p.pid, p.start_ns))
    }
    /// Owners of a socket row.
    pub fn owners(&self, row: usize) -> &[Owner] {
        let (a, b) = self.facts[row].owners;
        self.sample.owners.get(a as usize..b as usize).unwrap_or(&[])
    }
    /// Process of an owner.
    pub fn process(&self, o: &Owner) -> &Process {
        &self.sample.processes[o.process as usize]
    }
    /// Last owner of a socket row that no longer has one.
    pub fn last_owner(&self, row: usize) -> Option<&LastOwner> {
        let i = self.last_owners.binary_search_by_key(&(row as u32), |(r, _)| *r).ok()?;
        Some(&self.last_owners[i].1)
    }
    /// Row of the local peer of a socket, if requested and found.
    pub fn local_peer(&self, row: usize) -> Option<usize> {
        self.local_peers.get(row).filter(|o| **o != u32::MAX).map(|o| *o as usize)
    }
    /// Map of who talks to whom, with the services of other hosts that are shown with this one.
    pub fn map(&self) -> &Map {
        self.host_peers.map().unwrap_or(&self.map)
    }
    /// Conntrack entry of a socket row, if requested.
    pub fn flow(&self, row: usize) -> Option<&Flow> {
        let flows = &self.forwards.as_ref()?.flows;
        let i = flows.binary_search_by_key(&(row as u32), |(r, _)| *r).ok()?;
        self.sample.flows.get(flows[i].1 as usize)
    }
    /// Conntrack entries of a socket row: several if it is translated in several namespaces, starting at the client.
    pub fn flows(&self, row: usize) -> Vec<&Flow> {
        let mut out = Vec::new();
        let Some(forwards) = self.forwards.as_ref() else { return out };
        let all = &self.sample.flows;
        let found = forwards.flows.binary_search_by_key(&(row as u32), |(r, _)| *r);
        let mut next = found.ok().map(|i| forwards.flows[i].1);
        while let Some(flow) = next.and_then(|i| all.get(i as usize)).filter(|_| out.len() < MAX_FLOWS) {
            out.push(flow);
            let before = forwards.earlier.binary_search_by_key(&next, |(f, _)| Some(*f));
            next = before.ok().map(|i| forwards.earlier[i].1);
        }
        out.reverse();
        out
    }
    /// Conntrack entry of the same connection in the next namespace.
    pub fn flow_after(&self, flow: &Flow) -> Option<&Flow> {
        let all = &self.sample.flows;
        let flow_at = |i: u32| all.get(i as usize);
        let (later, _) = self.forwards.as_ref()?.earlier.iter().find(|(_, e)| flow_at(*e) == Some(flow))?;
        flow_at(*later)
    }
    /// Connection pair of a user-space proxy that this row belongs to.
    pub fn pair_of(&self, row: usize) -> Option<&Pair> {
        let pairs = &self.forwards.as_ref()?.pairs;
        pairs.iter().find(|p| [p.accepted, p.connected].contains(&(row as u32)))
    }
    /// Other row of the proxied pair, and whether the pair is certain.
    pub fn proxied(&self, row: usize) -> Option<(usize, bool)> {
        let p = self.pair_of(row)?;
        let other = if p.accepted == row as u32 { p.connected } else { p.accepted };
        Some((other as usize, p.certain))
    }
    /// Row accepted by the user-space proxy that connects to the socket of this row, and whether the pair is certain.
    pub fn accepted_for(&self, row: usize) -> Option<(usize, bool)> {
        let pair = |row: usize, direct: bool| {
            self.pair_of(row).filter(|p| p.connected == row as u32 && p.direct == direct)
        };
        let p = pair(row, true).or_else(|| pair(self.local_peer(row)?, false))?;
        Some((p.accepted as usize, p.certain))
    }
    /// Port forward rows.
    pub fn forward_rows(&self) -> &[Forward] {
        self.forwards.as_ref().map_or(&[], |f| &f.rows)
    }
    /// Rates of a socket row.
    pub fn rates(&self, row: usize) -> Rates {
        self.rates.get(row).copied().unwrap_or_default().unpack()
    }
    /// Increase of the counters of a connection or datagram socket over the recent window, with the window length as `at_ns`; `None` at the
    /// first poll.
    pub fn recent_delta(&self, row: usize) -> Option<CounterSnapshot> {
        let old = self.counters.get(row)?.older?;
        let (at, attrs) = (self.sample.at.boot_ns, self.attrs(row));
        let now = if self.socket(row).proto.is_datagram() {
            CounterSnapshot::of_drops(at, attrs.drops()?)
        } else {
            CounterSnapshot::new(at, &attrs.tcp_info()?)?
        };
        (now.at_ns > old.at_ns).then(|| now.since(&old))
    }
    /// Socket rows of a process.
    pub fn sockets_of(&self, process: usize) -> &[u32] {
        let (a, b) = self.processes[process].sockets;
        &self.sockets_of[a as usize..b as usize]
    }
    /// Socket rows of a peer.
    pub fn sockets_with(&self, p: &Peer) -> &[u32] {
        &self.peer_sockets[p.sockets.start as usize..p.sockets.end as usize]
    }
    /// Processes connected to a peer, ordered by pid.
    pub fn processes_with(&self, p: &Peer) -> &[u32] {
        &self.peer_processes[p.processes.start as usize..p.processes.end as usize]
    }
    /// Descriptors of a process, or the reason they are missing.
    pub fn fds(&self, process: usize) -> Result<&FdUsage, Missing> {
        self.sample.processes[process].fds.as_ref().map_err(|m| *m)
    }
    /// Unit, slice and container of a process, from its cgroup.
    pub fn unit_of_process(&self, process: usize) -> Option<&Unit> {
        let i = self.processes.get(process)?.unit.checked_sub(1)?;
        self.units.get(i as usize)
    }
    /// Unit, slice and container of a socket: from its own cgroup, which is readable without privilege for all sockets,
    /// else from that of its first owner.
    pub fn unit_of(&self, row: usize) -> Option<&Unit> {
        let cgroup_unit = |id| self.units.get(*self.unit_of_cgroup.get(&id)? as usize);
        let own = self.attrs(row).cgroup_id().and_then(cgroup_unit).filter(|u| !u.is_empty());
        own.or_else(|| self.owners(row).first().and_then(|o| self.unit_of_process(o.process as usize)))
    }
    /// Container of a socket.
    pub fn container_of(&self, row: usize) -> Option<&Container> {
        self.unit_of(row)?.container.as_ref()
    }
    /// User name.
    pub fn user(&self, uid: u32) -> Option<&str> {
        self.sample.users.get(&uid).map(AsRef::as_ref)
    }
    /// System-wide limits.
    pub fn system(&self) -> &SystemLimits {
        &self.sample.system
    }
    /// Interface name by namespace and interface index.
    pub fn iface(&self, netns: u16, index: u32) -> Option<&str> {
        self.sample.namespaces.get(usize::from(netns))?.interfaces.get(&index).map(String::as_str)
    }
    /// Name of an interface, or its index if it has none.
    pub fn iface_or_index(&self, netns: u16, index: u32) -> Cow<'_, str> {
        self.iface(netns, index).map_or_else(|| Cow::Owned(index.to_string()), Cow::Borrowed)
    }
    /// Interface of a link-local end of a socket.
    pub fn zone(&self, s: &Socket, addr: &Addr) -> Option<Cow<'_, str>> {
        match s.zone_index(addr) {
            0 => None,
            i => Some(self.iface_or_index(s.id.netns, i)),
        }
    }
    /// Text of an address, with the interface if it has one: its namespace and index.
    pub fn addr_text(&self, addr: Addr, (netns, iface): (u16, u32)) -> String {
        match iface {
            0 => addr.to_string(),
            i => format!("{addr}%{}", self.iface_or_index(netns, i)),
        }
    }
    /// Text of an end of an IP socket, with the interface of a link-local address.
    pub fn end_text(&self, s: &Socket, end: &Endpoint) -> String {
        let mut out = String::new();
        end.push_zoned(&mut out, self.zone(s, &end.addr).as_deref());
        out
    }
    /// Row of a socket by identity. Linear search: for a selection, not for joins.
    pub fn find(&self, id: SocketId) -> Option<usize> {
        self.sockets().position(|s| s.id == id)
    }
}
