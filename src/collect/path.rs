//! Path of a connection: what the kernel answers to routing lookups, and the state of the namespaces it goes through.

mod cgroup;
mod decode;
mod next_hop;
mod state;

use super::netlink::socket::NetlinkSocket;
use super::netlink::wire::Request;
use super::netns::NetnsTable;
use super::source::stamp;
use crate::model::path::{FirstPacket, Lookup, NetState, RouteAnswer};
use crate::model::{Addr, Endpoint, Faults, Netns, Proto};
pub use cgroup::programs as cgroup_programs;
pub(crate) use next_hop::read_failed as read_failed_hops;
use std::io;

/// `AF_INET` and `AF_INET6`.
const AF: [u8; 2] = [2, 10];
/// `rtattr_type_t` of a request (`include/uapi/linux/rtnetlink.h`).
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_MARK: u16 = 16;
const RTA_UID: u16 = 25;
const RTA_IP_PROTO: u16 = 27;
const RTA_DPORT: u16 = 29;

/// Reader of namespaces.
#[derive(Debug)]
pub struct PathReader {
    table: NetnsTable,
    own: u64,
}

impl PathReader {
    /// A reader of the namespaces that exist now.
    pub fn new() -> Self {
        let mut table = NetnsTable::new(Netns::All);
        table.refresh(stamp().boot_ns, &mut Faults::default());
        let own = table.get(0).map_or(0, |e| e.namespace.inode);
        Self { table, own }
    }

    /// Inode of the namespace of this process.
    pub const fn own(&self) -> u64 {
        self.own
    }

    /// Inodes and names of the namespaces.
    pub fn namespaces(&self) -> Vec<(u64, String)> {
        let all = self.table.wanted().into_iter().filter_map(|n| self.table.get(n));
        all.map(|e| (e.namespace.inode, e.namespace.name.clone())).collect()
    }

    /// Reads a namespace.
    pub fn state(&self, inode: u64) -> io::Result<NetState> {
        let name = self.table.by_inode(inode).map_or("", |e| &e.namespace.name);
        self.inside(inode, || Ok(state::read(inode, name)))
    }

    /// Addresses of a namespace, without those of loopback.
    pub fn addresses(&self, inode: u64) -> io::Result<Vec<Addr>> {
        self.inside(inode, || {
            let mut out = Vec::new();
            super::netlink::links::read_addresses(&mut NetlinkSocket::open(None)?, &mut out)
                .map_err(|e| io::Error::other(e.to_string()))?;
            Ok(out)
        })
    }

    /// Asks the kernel for the route of a packet in a namespace, and looks up the neighbour of its next hop.
    pub fn lookup(&self, inode: u64, packet: &FirstPacket, dest: Endpoint) -> Lookup {
        let read = self.inside(inode, || Ok(lookup(packet, dest)));
        read.unwrap_or_else(|e| Lookup { route: RouteAnswer::NotRead(e.to_string().into()), neighbour: None })
    }

    /// Calls `f` in a namespace.
    fn inside<T: Send>(&self, inode: u64, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        if inode == self.own {
            return f();
        }
        let entry = self.table.by_inode(inode).ok_or(io::ErrorKind::NotFound)?;
        entry.inside(f)
    }
}

impl Default for PathReader {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes of an address in its family.
fn bytes(addr: &Addr) -> &[u8] {
    if addr.is_v4() { &addr.octets()[12..] } else { addr.octets() }
}

fn lookup(packet: &FirstPacket, dest: Endpoint) -> Lookup {
    let mut socket = match NetlinkSocket::open(None) {
        Ok(socket) => socket,
        Err(e) => {
            return Lookup { route: RouteAnswer::NotRead(e.to_string().into()), neighbour: None };
        }
    };
    let route = route(&mut socket, packet, dest);
    let neighbour = match &route {
        RouteAnswer::Found(r) => decode::neighbour(&mut socket, r.oif, r.gateway.unwrap_or(dest.addr)),
        RouteAnswer::Refused(_) | RouteAnswer::NotRead(_) => None,
    };
    Lookup { route, neighbour }
}

fn route(socket: &mut NetlinkSocket, packet: &FirstPacket, dest: Endpoint) -> RouteAnswer {
    match socket.get(&request(packet, dest)) {
        Ok(answer) => answer
            .and_then(|m| decode::route(&m))
            .map_or_else(|| RouteAnswer::NotRead("malformed answer".into()), RouteAnswer::Found),
        Err(e) => match e.raw_os_error() {
            Some(errno) => RouteAnswer::Refused(errno),
            None => RouteAnswer::NotRead(e.to_string().into()),
        },
    }
}

/// The request of a lookup as `ip route get` makes it.
fn request(packet: &FirstPacket, dest: Endpoint) -> Request {
    let v6 = !dest.addr.is_v4();
    let bits = if v6 { 128 } else { 32 };
    let source = packet.source.filter(|s| s.is_v4() == dest.addr.is_v4());
    let mut out = Request::route_to(AF[usize::from(v6)], bits, if source.is_some() { bits } else { 0 });
    out.attribute(RTA_DST, bytes(&dest.addr));
    if let Some(source) = &source {
        out.attribute(RTA_SRC, bytes(source));
    }
    if let Some((index, _)) = packet.iif {
        out.attribute(RTA_IIF, &index.to_ne_bytes());
    }
    if packet.mark != 0 {
        out.attribute(RTA_MARK, &packet.mark.to_ne_bytes());
    }
    if let Some(uid) = packet.uid {
        out.attribute(RTA_UID, &uid.to_ne_bytes());
    }
    out.attribute(RTA_IP_PROTO, &[if packet.proto == Proto::Udp { 17 } else { 6 }]);
    out.attribute(RTA_DPORT, &dest.port.to_be_bytes());
    out
}
