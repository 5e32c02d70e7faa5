//! Layout of netlink messages (`include/uapi/linux/{netlink,inet_diag,sock_diag}.h`).

use crate::model::{Endpoint, Socket, attr};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `NLMSG_NOOP`, `NLMSG_ERROR`, `NLMSG_DONE`, `NLMSG_OVERRUN`.
pub(crate) const NOOP: u16 = 1;
pub(crate) const ERROR: u16 = 2;
pub(crate) const DONE: u16 = 3;
pub(crate) const OVERRUN: u16 = 4;
/// `SOCK_DIAG_BY_FAMILY`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `TCPDIAG_GETSOCK`.
const TCPDIAG_GETSOCK: u16 = 18;
/// `SOCK_DESTROY`.
const SOCK_DESTROY: u16 = 21;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST_ACK: u16 = 5;
/// `INET_DIAG_REQ_BYTECODE`.
const REQ_BYTECODE: u16 = 1;
/// `INET_DIAG_REQ_SK_BPF_STORAGES`.
const REQ_SK_BPF_STORAGES: u16 = 2;
/// `INET_DIAG_REQ_PROTOCOL`.
const REQ_PROTOCOL: u16 = 3;
/// `RTM_GETADDR`.
const RTM_GETADDR: u16 = 22;
/// `RTM_GETLINK`.
const RTM_GETLINK: u16 = 18;
/// `RTM_GETROUTE`.
const RTM_GETROUTE: u16 = 26;
/// Flag of `rtm_flags`: the table of the route is asked for.
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;
/// `RTM_GETNEIGH`.
const RTM_GETNEIGH: u16 = 30;
/// `RTM_GETRULE`.
const RTM_GETRULE: u16 = 34;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: the table changed while it was dumped.
pub(crate) const DUMP_INTR: u16 = 0x10;

/// `struct nlmsghdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) len: u32,
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) pid: u32,
}

/// `struct inet_diag_sockid`: ports and addresses in network order.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct SockId {
    pub(crate) sport: [u8; 2],
    pub(crate) dport: [u8; 2],
    pub(crate) src: [u8; 16],
    pub(crate) dst: [u8; 16],
    pub(crate) iface: u32,
    pub(crate) cookie: [u32; 2],
}

/// Any socket; no cookie (`INET_DIAG_NOCOOKIE`).
const ANY: SockId =
    SockId { sport: [0; 2], dport: [0; 2], src: [0; 16], dst: [0; 16], iface: 0, cookie: [u32::MAX; 2] };

/// `struct inet_diag_req_v2`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct InetReq {
    family: u8,
    protocol: u8,
    ext: u8,
    pad: u8,
    states: u32,
    id: SockId,
}

/// `struct inet_diag_req`, the form before Linux 3.3.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct TcpReq {
    family: u8,
    src_len: u8,
    dst_len: u8,
    ext: u8,
    id: SockId,
    states: u32,
    dbs: u32,
}

/// `struct inet_diag_msg`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct InetMsg {
    pub(crate) family: u8,
    pub(crate) state: u8,
    pub(crate) timer: u8,
    pub(crate) retrans: u8,
    pub(crate) id: SockId,
    pub(crate) expires: u32,
    pub(crate) rqueue: u32,
    pub(crate) wqueue: u32,
    pub(crate) uid: u32,
    pub(crate) inode: u32,
}

/// A request, complete except for its sequence number.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Dump of an `inet_diag` table: address family, `IPPROTO_*`, attribute bits, state mask. A protocol number above 255 is
    /// an attribute.
    pub(crate) fn inet(family: u8, protocol: u16, ext: u8, states: u32) -> Self {
        let id = ANY;
        let short = protocol as u8;
        let body = InetReq { family, protocol: short, ext, pad: 0, states, id };
        let mut out = Self::new(SOCK_DIAG_BY_FAMILY, body.as_bytes());
        if u16::from(short) != protocol {
            out.attribute(REQ_PROTOCOL, &u32::from(protocol).to_ne_bytes());
        }
        out
    }

    /// Dump of the sockets of such a table with these ports, 0 for any: the kernel skips the others early
    /// (`inet_diag_dump_icsk`, `udp_dump`).
    pub(crate) fn inet_ports(family: u8, protocol: u16, states: u32, local: u16, remote: u16) -> Self {
        let mut out = Self::inet(family, protocol, 0, states);
        let at = size_of::<Header>() + std::mem::offset_of!(InetReq, id);
        let ports = [local.to_be_bytes(), remote.to_be_bytes()].concat();
        out.bytes[at..at + ports.len()].copy_from_slice(&ports);
        out
    }

    /// Dump of TCP sockets of IPv4 and IPv6: attribute bits, state mask. Only the request of Linux before 3.3 accepts no address
    /// family (`inet_diag_dump_compat`); the kernel iterates over its table once for both.
    pub(crate) fn tcp(ext: u8, states: u32) -> Self {
        let body = TcpReq { family: 0, src_len: 0, dst_len: 0, ext, id: ANY, states, dbs: 0 };
        Self::new(TCPDIAG_GETSOCK, body.as_bytes())
    }

    /// Closes a socket (`SOCK_DESTROY`): endpoints, interface and cookie must match.
    pub(crate) fn destroy(family: u8, protocol: u16, v4: bool, s: &Socket) -> Self {
        Self::one_socket(SOCK_DESTROY, family, protocol, v4, s)
    }

    /// Asks for one socket by endpoints, interface and cookie, with an acknowledgement: the kernel looks it up
    /// (`inet_diag_dump_one_icsk`).
    pub(crate) fn socket(family: u8, protocol: u16, v4: bool, s: &Socket) -> Self {
        Self::one_socket(SOCK_DIAG_BY_FAMILY, family, protocol, v4, s)
    }

    fn one_socket(kind: u16, family: u8, protocol: u16, v4: bool, s: &Socket) -> Self {
        let addr = |e: &Endpoint| {
            let mut out = [0; 16];
            let all = e.addr.octets();
            if v4 {
                out[..4].copy_from_slice(&all[12..]);
            } else {
                out = *all;
            }
            out
        };
        let id = SockId {
            sport: s.local.port.to_be_bytes(),
            dport: s.remote.port.to_be_bytes(),
            src: addr(&s.local),
            dst: addr(&s.remote),
            iface: s.iface,
            cookie: [s.id.cookie as u32, (s.id.cookie >> 32) as u32],
        };
        let short = protocol as u8;
        let body = InetReq { family, protocol: short, ext: 0, pad: 0, states: u32::MAX, id };
        let mut out = Self::new(kind, body.as_bytes());
        if u16::from(short) != protocol {
            out.attribute(REQ_PROTOCOL, &u32::from(protocol).to_ne_bytes());
        }
        out.bytes[6..8].copy_from_slice(&REQUEST_ACK.to_ne_bytes());
        out
    }

    /// Dump of interfaces: `RTM_GETLINK` with an empty `struct ifinfomsg`.
    pub(crate) fn links() -> Self {
        Self::new(RTM_GETLINK, &[0; 16])
    }

    /// Dump of interface addresses: `RTM_GETADDR` with an empty `struct ifaddrmsg`.
    pub(crate) fn addresses() -> Self {
        Self::new(RTM_GETADDR, &[0; 8])
    }

    /// Lookup of the route to a destination: `RTM_GETROUTE` with this `struct rtmsg`, acknowledged. Attributes follow. Without
    /// `RTM_F_LOOKUP_TABLE` the answer names the main table whichever table has the route (`inet_rtm_getroute`).
    pub(crate) fn route_to(family: u8, dest_len: u8, source_len: u8) -> Self {
        let [a, b, c, d] = RTM_F_LOOKUP_TABLE.to_ne_bytes();
        let mut out = Self::new(RTM_GETROUTE, &[family, dest_len, source_len, 0, 0, 0, 0, 0, a, b, c, d]);
        out.bytes[6..8].copy_from_slice(&REQUEST_ACK.to_ne_bytes());
        out
    }

    /// Dump of neighbours: `RTM_GETNEIGH` with an empty `struct ndmsg`.
    pub(crate) fn neighbours(family: u8) -> Self {
        Self::new(RTM_GETNEIGH, &[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Dump of policy routing rules: `RTM_GETRULE` with an empty `struct fib_rule_hdr`.
    pub(crate) fn policy_rules(family: u8) -> Self {
        Self::new(RTM_GETRULE, &[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Dump of one kind of object of a netfilter subsystem (`struct nfgenmsg`).
    pub(crate) fn netfilter(subsystem: u8, message: u8, family: u8) -> Self {
        Self::new(u16::from(subsystem) << 8 | u16::from(message), &[family, 0, 0, 0])
    }

    /// Adds a zero-terminated string.
    pub(crate) fn text_attribute(&mut self, number: u16, text: &str) {
        self.attribute(number, &[text.as_bytes(), &[0]].concat());
    }

    fn new(kind: u16, body: &[u8]) -> Self {
        let len = (size_of::<Header>() + body.len()) as u32;
        let head = Header { len, kind, flags: REQUEST_DUMP, seq: 0, pid: 0 };
        Self { bytes: [head.as_bytes(), body].concat() }
    }

    /// Adds a filter (`INET_DIAG_REQ_BYTECODE`).
    pub(crate) fn filter(&mut self, bytecode: &[u8]) {
        self.attribute(REQ_BYTECODE, bytecode);
    }

    /// Requests BPF socket storage of all maps: without a list of maps, none is excluded.
    pub(crate) fn bpf_maps(&mut self) {
        self.attribute(REQ_SK_BPF_STORAGES, &[]);
    }

    /// Dump of UNIX sockets (`struct unix_diag_req`) in these states: name, file, peer, pending connections, queues, memory,
    /// user.
    pub(crate) fn unix(states: u32) -> Self {
        Self::family(1, 0, Some(states), 1 | 2 | 4 | 8 | 16 | 32 | 64)
    }

    /// Dump of netlink sockets (`struct netlink_diag_req`): memory, groups and flags.
    pub(crate) fn netlink() -> Self {
        Self::family(16, u8::MAX, None, 1 | 2 | 8)
    }

    /// Dump of XDP sockets (`struct xdp_diag_req`) with all attributes.
    pub(crate) fn xdp() -> Self {
        Self::family(44, 0, None, 1 | 2 | 4 | 8 | 16)
    }

    /// Dump of TIPC sockets (`struct tipc_sock_diag_req`) in these states.
    pub(crate) fn tipc(states: u32) -> Self {
        let head = u32::from_ne_bytes([30, 0, 0, 0]).to_ne_bytes();
        Self::new(SOCK_DIAG_BY_FAMILY, &[head, states.to_ne_bytes()].concat())
    }

    /// Dump of packet sockets (`struct packet_diag_req`): all attributes except multicast lists, and the filter if requested.
    pub(crate) fn packet(filter: bool) -> Self {
        Self::family(17, 0, None, 1 | 4 | 8 | 16 | if filter { 32 } else { 0 })
    }

    /// Dump of vsock sockets (`struct vsock_diag_req`) in these states.
    pub(crate) fn vsock(states: u32) -> Self {
        Self::family(40, 0, Some(states), 0)
    }

    /// The common layout of these requests: family, protocol, states if any, inode, attributes to show, cookie.
    fn family(family: u8, protocol: u8, states: Option<u32>, show: u32) -> Self {
        let mut body = vec![family, protocol, 0, 0];
        for word in states.into_iter().chain([0, show, u32::MAX, u32::MAX]) {
            body.extend(word.to_ne_bytes());
        }
        Self::new(SOCK_DIAG_BY_FAMILY, &body)
    }

    /// Adds an attribute.
    pub(crate) fn attribute(&mut self, number: u16, payload: &[u8]) {
        attr::push(&mut self.bytes, number, payload);
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
    }

    /// The message with this sequence number.
    pub(crate) fn with_seq(&self, seq: u32) -> Vec<u8> {
        let mut out = self.bytes.clone();
        out[8..12].copy_from_slice(&seq.to_ne_bytes());
        out
    }
}
