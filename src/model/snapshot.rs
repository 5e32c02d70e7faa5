//! Rows ready to show: what the deriving layer made of the samples so far.

use super::counter_window::{CounterHistory, CounterSnapshot};
use super::nat::Pair;
use super::{
    Addr, Alert, Attrs, Container, Endpoint, Fault, Faults, FdKind, FdUsage, Flow, Forward, Forwards, FullIn,
    Limit, Missing, Owner, Process, Proto, Sample, Scope, Socket, SocketId, Stamp, State, StateCounts,
    SystemLimits, Unit,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Everything one frame, one list or one check is made from. Immutable; shared, never cloned.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up by one from 1.
    pub seq: u64,
    /// The sample it was made from, unchanged.
    pub sample: Sample,
    /// The live rows, if they are not exactly the sockets of the sample: flows in state `FORWARDED` were appended, or a
    /// socket that was read twice was removed.
    pub live_rows: Option<Vec<Socket>>,
    /// Rows after the live ones: sockets that closed a moment ago. They have no attributes.
    pub closed_rows: Vec<Socket>,
    /// Names of closed rows: their indexes continue those of [`Sample::names`].
    pub closed_names: Vec<Box<str>>,
    /// Number of live rows.
    pub live: usize,
    /// Faults of the derivation, beside those of the sample; see [`Snapshot::faults`].
    pub derive_faults: Faults,
    /// Beside each socket: what the samples before add to it.
    pub facts: Vec<SocketFacts>,
    /// Beside each socket: rates; empty when `tcp_info` was not read.
    pub rates: Vec<Rates>,
    /// Counters of each live socket at earlier polls; empty if those fields of `tcp_info` were not read.
    pub counters: Vec<CounterHistory>,
    /// Beside each socket the row of its far end on this machine, `u32::MAX` where that is elsewhere; empty when it was
    /// not asked for.
    pub ends: Vec<u32>,
    /// The last known owner of sockets that have none any more, sorted by row.
    pub former: Vec<(u32, Former)>,
    /// Rows of the sockets of each process: `sockets_of[process_sockets[p].0..process_sockets[p].1]`.
    pub sockets_of: Vec<u32>,
    /// One row a process, beside [`Sample::processes`].
    pub processes: Vec<ProcessFacts>,
    /// What the control groups of the processes and sockets say, each once; see [`Snapshot::unit_of`].
    pub units: Arc<[Unit]>,
    /// Index in `units` of each control group that a socket names (`INET_DIAG_CGROUP_ID`).
    pub unit_of_cgroup: BTreeMap<u64, u32>,
    /// One row a served endpoint, in the order of proto, port, address.
    pub ports: Vec<Port>,
    /// One row a remote address, most connections first.
    pub peers: Vec<Peer>,
    /// Rows of the connections of each peer, see [`Peer::sockets`].
    pub peer_sockets: Vec<u32>,
    /// Processes that talk with each peer, see [`Peer::processes`].
    pub peer_processes: Vec<u32>,
    /// What is forwarded; `None` where that was not asked for.
    pub forwards: Option<Forwards>,
    /// What can run out; empty where that was not asked for.
    pub limits: Vec<Limit>,
    /// The alerts among them, the worst first.
    pub alerts: Vec<Alert>,
    /// Live sockets by state.
    pub states: StateCounts,
    /// The counts of the last polls, oldest first, this one last.
    pub history: Arc<Vec<(Stamp, StateCounts)>>,
    /// Live sockets whose owner is missing, by reason, in the order of [`Missing`].
    pub hidden: Vec<(Missing, u32)>,
    /// Opened since the poll before.
    pub opened: u32,
    /// Closed since the poll before.
    pub closed: u32,
}

/// What is known of a socket beyond what the last poll read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SocketFacts {
    /// Range of its owners in [`Sample::owners`].
    pub owners: (u32, u32),
    /// Why it has no owner; `None` when it has one.
    pub owner_missing: Option<Missing>,
    /// When this program first saw it, nanoseconds after boot.
    pub first_seen_ns: u64,
    /// Whether it was not seen to be opened: it was there at this program's first poll, or came into sight when more
    /// was read than before. Then it is older than `first_seen_ns` tells.
    pub older: bool,
    /// When this program first saw it in its present state, nanoseconds after boot.
    pub state_since_ns: u64,
    /// Since when its receive queue (of a listener: its accept queue) has held something and has not become shorter
    /// from poll to poll, nanoseconds after boot; 0 while it is empty.
    pub waiting_since_ns: u64,
    /// When it was found closed, nanoseconds after boot; 0 while it lives.
    pub closed_ns: u64,
    /// Which end began the connection.
    pub direction: Direction,
    /// Bytes a second both ways at the last polls, oldest first: 0 for none, else one more than the power of two.
    pub activity: [u8; 8],
}

/// Which end began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Not a connection, or not to be told.
    None,
    /// This end accepted it: a listener of this machine serves its local endpoint.
    In,
    /// This end connected.
    Out,
}

impl Direction {
    /// The word for it, `-` where there is none.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::In => Some("in"),
            Self::Out => Some("out"),
        }
    }
}

/// Speeds over the last interval, `None` without a reading before or when a counter went back.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Rates {
    /// Bytes received a second.
    pub rx: Option<f32>,
    /// Bytes sent and acknowledged a second.
    pub tx: Option<f32>,
    /// Segments retransmitted a second.
    pub retrans: Option<f32>,
}

/// Who held a socket last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Process id.
    pub pid: u32,
    /// Its command name.
    pub comm: Arc<str>,
    /// The descriptor it was.
    pub fd: u32,
}

/// What is derived for one process.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProcessFacts {
    /// Range of its rows in [`Snapshot::sockets_of`]; a socket it holds by two descriptors stands there once.
    pub sockets: (u32, u32),
    /// Its sockets by state.
    pub states: StateCounts,
    /// Sockets that serve an endpoint.
    pub listening: u32,
    /// Bytes received a second by its sockets.
    pub rx: Option<f64>,
    /// Bytes sent a second by its sockets.
    pub tx: Option<f64>,
    /// Open descriptors at the last polls, oldest first: nanoseconds after boot, and how many.
    pub fd_history: Vec<(u64, u64)>,
    /// Change of open descriptors a minute, over that history.
    pub fds_per_min: Option<f64>,
    /// When it can open no more; `None` while its number is steady, falls, or is not known long enough.
    pub fds_full_in: Option<FullIn>,
    /// The kind of descriptors that grows most, and its change a minute; `None` where none grows or none were told apart.
    pub fds_growing: Option<(FdKind, f64)>,
    /// Change of its connections in `CLOSE_WAIT` a minute.
    pub close_wait_per_min: Option<f64>,
    /// Whether these grow steadily: it does not close what the far ends have closed.
    pub close_wait_leak: bool,
    /// Nanoseconds after boot when this program first saw it.
    pub first_seen_ns: u64,
    /// Index of its unit in [`Snapshot::units`], one more; 0 where its control group is not known.
    pub unit: u32,
}

/// One served endpoint: a listener, or several that share it (`SO_REUSEPORT`), or a bound datagram socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Namespace index.
    pub netns: u16,
    /// Protocol.
    pub proto: Proto,
    /// State: `LISTEN` or `UNCONN`.
    pub state: State,
    /// The endpoint.
    pub local: Endpoint,
    /// Interface it is bound to, 0 for none.
    pub iface: u32,
    /// Rows of the serving sockets.
    pub sockets: Vec<u32>,
    /// Rows of its live connections.
    pub clients: Vec<u32>,
    /// Distinct remote addresses among them.
    pub hosts: u32,
    /// Its connections by state.
    pub states: StateCounts,
    /// Connections waiting to be accepted, over all its sockets; of a datagram socket, bytes unread.
    pub recv_q: u64,
    /// Limit of the accept queue over all its sockets, 0 for datagrams.
    pub backlog: u64,
    /// Packets dropped by its sockets, where that was read.
    pub drops: Option<u64>,
    /// Processes that hold it: indexes, by pid.
    pub processes: Vec<u32>,
    /// Who can reach it.
    pub scope: Scope,
    /// Bytes received a second by its connections.
    pub rx: Option<f64>,
    /// Bytes sent a second by its connections.
    pub tx: Option<f64>,
}

/// One remote address.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// The address.
    pub addr: Addr,
    /// Its scope.
    pub scope: Scope,
    /// Range of the rows of its connections in [`Snapshot::peer_sockets`].
    pub sockets: Range<u32>,
    /// Its connections by state.
    pub states: StateCounts,
    /// Local ports it uses (connections that it began) and remote ports used there (that this machine began).
    pub ports: u32,
    /// Range of the processes that talk with it in [`Snapshot::peer_processes`]: indexes, by pid.
    pub processes: Range<u32>,
    /// Bytes received a second.
    pub rx: Option<f64>,
    /// Bytes sent a second.
    pub tx: Option<f64>,
    /// When this program first saw it, nanoseconds after boot.
    pub first_seen_ns: u64,
    /// Whether that was at this program's first poll: it may have been there long before.
    pub older: bool,
}

/// Namespaces that one connection is translated in, at the most.
const MOST_FLOWS: usize = 8;

impl Snapshot {
    /// Live socket rows.
    pub fn live_sockets(&self) -> &[Socket] {
        self.live_rows.as_deref().unwrap_or(&self.sample.sockets)
    }
    /// All socket rows, live ones first, then those just closed.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.live_sockets().iter().chain(&self.closed_rows)
    }
    /// Number of socket rows.
    pub fn socket_count(&self) -> usize {
        self.live_sockets().len() + self.closed_rows.len()
    }
    /// One socket row, if there is one.
    pub fn get_socket(&self, row: usize) -> Option<&Socket> {
        let live = self.live_sockets();
        live.get(row).or_else(|| self.closed_rows.get(row.checked_sub(live.len())?))
    }
    /// One socket row.
    pub fn socket(&self, row: usize) -> &Socket {
        let live = self.live_sockets();
        if row < live.len() { &live[row] } else { &self.closed_rows[row - live.len()] }
    }
    /// Attributes of a socket row.
    pub fn attrs(&self, row: usize) -> Attrs<'_> {
        self.sample.attrs_of(self.socket(row))
    }
    /// A name of a socket row, by [`Socket::local_name`] or [`Socket::remote_name`].
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
    /// Owners of a socket row.
    pub fn owners(&self, row: usize) -> &[Owner] {
        let (a, b) = self.facts[row].owners;
        self.sample.owners.get(a as usize..b as usize).unwrap_or(&[])
    }
    /// The process of an owner.
    pub fn process(&self, o: &Owner) -> &Process {
        &self.sample.processes[o.process as usize]
    }
    /// The last owner of a socket row that has none any more.
    pub fn former(&self, row: usize) -> Option<&Former> {
        let i = self.former.binary_search_by_key(&(row as u32), |(r, _)| *r).ok()?;
        Some(&self.former[i].1)
    }
    /// The row of the far end of a socket, where it is on this machine and was looked for.
    pub fn other_end(&self, row: usize) -> Option<usize> {
        self.ends.get(row).filter(|o| **o != u32::MAX).map(|o| *o as usize)
    }
    /// The tracked connection behind a socket row, where it was looked for.
    pub fn flow(&self, row: usize) -> Option<&Flow> {
        let flows = &self.forwards.as_ref()?.flows;
        let i = flows.binary_search_by_key(&(row as u32), |(r, _)| *r).ok()?;
        self.sample.flows.get(flows[i].1 as usize)
    }
    /// The tracked connections that lead to that of a row, and it: from the client's on where several namespaces
    /// translate it one after the other.
    pub fn flows(&self, row: usize) -> Vec<&Flow> {
        let mut out = Vec::new();
        let Some(forwards) = self.forwards.as_ref() else { return out };
        let all = &self.sample.flows;
        let found = forwards.flows.binary_search_by_key(&(row as u32), |(r, _)| *r);
        let mut next = found.ok().map(|i| forwards.flows[i].1);
        while let Some(flow) = next.and_then(|i| all.get(i as usize)).filter(|_| out.len() < MOST_FLOWS) {
            out.push(flow);
            let before = forwards.earlier.binary_search_by_key(&next, |(f, _)| Some(*f));
            next = before.ok().map(|i| forwards.earlier[i].1);
        }
        out.reverse();
        out
    }
    /// The tracked connection that this one becomes in another namespace.
    pub fn flow_after(&self, flow: &Flow) -> Option<&Flow> {
        let all = &self.sample.flows;
        let at = |i: u32| all.get(i as usize);
        let (later, _) = self.forwards.as_ref()?.earlier.iter().find(|(_, e)| at(*e) == Some(flow))?;
        at(*later)
    }
    /// The connections of a user-space proxy that this one is of.
    pub fn pair_of(&self, row: usize) -> Option<&Pair> {
        let pairs = &self.forwards.as_ref()?.pairs;
        pairs.iter().find(|p| [p.accepted, p.connected].contains(&(row as u32)))
    }
    /// The other connection of the user-space proxy that holds this one.
    pub fn proxied(&self, row: usize) -> Option<(usize, bool)> {
        let p = self.pair_of(row)?;
        let other = if p.accepted == row as u32 { p.connected } else { p.accepted };
        Some((other as usize, p.certain))
    }
    /// The connection that a user-space proxy accepted and passes on to the socket of this row.
    pub fn accepted_for(&self, row: usize) -> Option<(usize, bool)> {
        let of = |row: usize, direct: bool| {
            self.pair_of(row).filter(|p| p.connected == row as u32 && p.direct == direct)
        };
        let p = of(row, true).or_else(|| of(self.other_end(row)?, false))?;
        Some((p.accepted as usize, p.certain))
    }
    /// Rows of what is forwarded.
    pub fn forward_rows(&self) -> &[Forward] {
        self.forwards.as_ref().map_or(&[], |f| &f.rows)
    }
    /// Rates of a socket row.
    pub fn rates(&self, row: usize) -> Rates {
        self.rates.get(row).copied().unwrap_or_default()
    }
    /// Recent increase of a connection's counters, with the length of the window as `at_ns`; `None` at the first reading.
    pub fn recent_delta(&self, row: usize) -> Option<CounterSnapshot> {
        let old = self.counters.get(row)?.older?;
        let now = CounterSnapshot::new(self.sample.at.boot_ns, &self.attrs(row).tcp_info()?)?;
        (now.at_ns > old.at_ns).then(|| now.since(&old))
    }
    /// Rows of the sockets of a process.
    pub fn sockets_of(&self, process: usize) -> &[u32] {
        let (a, b) = self.processes[process].sockets;
        &self.sockets_of[a as usize..b as usize]
    }
    /// Rows of the connections with a peer.
    pub fn sockets_with(&self, p: &Peer) -> &[u32] {
        &self.peer_sockets[p.sockets.start as usize..p.sockets.end as usize]
    }
    /// Processes that talk with a peer, by pid.
    pub fn processes_with(&self, p: &Peer) -> &[u32] {
        &self.peer_processes[p.processes.start as usize..p.processes.end as usize]
    }
    /// Descriptors of a process, where known.
    pub fn fds(&self, process: usize) -> Result<&FdUsage, Missing> {
        self.sample.processes[process].fds.as_ref().map_err(|m| *m)
    }
    /// Unit, slice and container of a process, by its control group.
    pub fn unit_of_process(&self, process: usize) -> Option<&Unit> {
        let i = self.processes.get(process)?.unit.checked_sub(1)?;
        self.units.get(i as usize)
    }
    /// Unit, slice and container of a socket: by its own control group, which an ordinary user sees of everybody's
    /// sockets; where that says nothing, of its first owner.
    pub fn unit_of(&self, row: usize) -> Option<&Unit> {
        let of_cgroup = |id| self.units.get(*self.unit_of_cgroup.get(&id)? as usize);
        let own = self.attrs(row).cgroup_id().and_then(of_cgroup).filter(|u| !u.is_empty());
        own.or_else(|| self.owners(row).first().and_then(|o| self.unit_of_process(o.process as usize)))
    }
    /// The container of a socket.
    pub fn container_of(&self, row: usize) -> Option<&Container> {
        self.unit_of(row)?.container.as_ref()
    }
    /// A user's name.
    pub fn user(&self, uid: u32) -> Option<&str> {
        self.sample.users.get(&uid).map(AsRef::as_ref)
    }
    /// System-wide ceilings.
    pub fn system(&self) -> &SystemLimits {
        &self.sample.system
    }
    /// An interface's name, by the namespace of a socket.
    pub fn iface(&self, netns: u16, index: u32) -> Option<&str> {
        self.sample.namespaces.get(usize::from(netns))?.interfaces.get(&index).map(String::as_str)
    }
    /// The row of a socket, by its identity. Linear: for a selection, not for joining.
    pub fn find(&self, id: SocketId) -> Option<usize> {
        self.sockets().position(|s| s.id == id)
    }
}
