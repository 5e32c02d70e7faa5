//! Identity of a row across polls. Selection, history and events follow it, never a row number.

use crate::model::{Addr, Endpoint, ForwardKind, LimitKind, Proto, Snapshot, SocketId};

/// The identity of one row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A socket: its namespace and cookie.
    Socket(SocketId),
    /// A listening endpoint: namespace index, protocol, endpoint, index of the interface it is bound to.
    Port(u16, Proto, Endpoint, u32),
    /// A process: pid and start, nanoseconds after boot.
    Process(u32, u64),
    /// A remote address, and namespace index and interface index of a link-local one.
    Peer(Addr, (u16, u32)),
    /// A forward: namespace index, protocol, endpoint, rule or proxy, and target.
    Forward(u16, Option<Proto>, Endpoint, ForwardKind, Option<Endpoint>),
    /// An edge of the map: protocol, port, and hash of its client and server.
    Edge(Proto, u16, u64),
    /// An event: its sequence number.
    Event(u64),
    /// A DNS question: its sequence number.
    Dns(u64),
    /// A limit: its kind, namespace index, and hash of its subject.
    Limit(LimitKind, u16, u64),
}

/// Identity of a row among those of several hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowId {
    /// Index of the host, 0 if there is one.
    pub host: usize,
    /// Identity on the host.
    pub id: Identity,
}

/// Of a row of the table of sockets.
pub(crate) fn socket(snap: &Snapshot, row: usize) -> Option<Identity> {
    Some(Identity::Socket(snap.get_socket(row)?.id))
}

/// Of a row of the table of ports.
pub(crate) fn port(snap: &Snapshot, row: usize) -> Option<Identity> {
    let p = snap.ports.get(row)?;
    Some(Identity::Port(p.netns, p.proto, p.local, p.iface))
}

/// Of a row of the table of processes.
pub(crate) fn process(snap: &Snapshot, row: usize) -> Option<Identity> {
    let p = &snap.sample.processes.get(row)?.info;
    Some(Identity::Process(p.pid, p.start_ns))
}

/// Of a row of the table of forwards.
pub(crate) fn forward(snap: &Snapshot, row: usize) -> Option<Identity> {
    let f = snap.forward_rows().get(row)?;
    Some(Identity::Forward(f.netns, f.proto, f.host, f.via.first()?.kind, f.target))
}

/// Of a row of the table of peers.
pub(crate) fn peer(snap: &Snapshot, row: usize) -> Option<Identity> {
    let p = snap.peers.get(row)?;
    Some(Identity::Peer(p.addr, p.zone))
}
