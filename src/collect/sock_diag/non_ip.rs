//! Decodes sockets other than IP: UNIX, netlink, packet, vsock and XDP (`net/unix/diag.c`, `net/netlink/diag.c`,
//! `net/packet/diag.c`, `net/vmw_vsock/diag.c`, `net/xdp/xsk_diag.c`). TIPC is in [`super::tipc`].

use crate::collect::netlink::links;
use crate::collect::netlink::socket::Malformed;
use crate::model::attr;
use crate::model::bytes::read_u32;
use crate::model::{Attrs, Family, Proto, Sample, Socket, SocketId, State, diag_attr, names, text};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// `struct unix_diag_msg`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct UnixMsg {
    family: u8,
    kind: u8,
    state: u8,
    pad: u8,
    inode: u32,
    cookie: [u32; 2],
}

/// `struct netlink_diag_msg`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct NetlinkMsg {
    family: u8,
    kind: u8,
    protocol: u8,
    state: u8,
    port: u32,
    dst_port: u32,
    dst_group: u32,
    inode: u32,
    cookie: [u32; 2],
}

/// `struct packet_diag_msg`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct PacketMsg {
    family: u8,
    kind: u8,
    number: u16,
    inode: u32,
    cookie: [u32; 2],
}

/// `struct vsock_diag_msg`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct VsockMsg {
    family: u8,
    kind: u8,
    state: u8,
    shutdown: u8,
    src_cid: u32,
    src_port: u32,
    dst_cid: u32,
    dst_port: u32,
    inode: u32,
    cookie: [u32; 2],
}

/// `struct xdp_diag_msg`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct XdpMsg {
    family: u8,
    kind: u8,
    pad: u16,
    inode: u32,
    cookie: [u32; 2],
}

pub(crate) fn id(cookie: [u32; 2]) -> SocketId {
    SocketId { netns: 0, cookie: u64::from(cookie[0]) | u64::from(cookie[1]) << 32 }
}

/// Stores a name in the sample and returns its index, 0 for an empty one.
pub(crate) fn store_name(sample: &mut Sample, name: String) -> u32 {
    if name.is_empty() {
        return 0;
    }
    sample.names.push(name.into());
    sample.names.len() as u32 - 1
}

/// Adds the socket to the sample with its attributes, its type (`SOCK_STREAM` and so on) and more fields of its header.
pub(crate) fn add(
    sample: &mut Sample,
    mut s: Socket,
    kind: u8,
    attrs: &[u8],
    more: &[(u16, &[u8])],
) -> Result<(), Malformed> {
    let mut walk = Attrs::new(attrs, s.family, s.proto).iter();
    while walk.next().is_some() {}
    let whole = &attrs[..attrs.len() - walk.leftover()];
    s.attr_at = u32::try_from(sample.attrs.len()).map_err(|_| Malformed)?;
    sample.attrs.extend_from_slice(whole);
    attr::push(&mut sample.attrs, diag_attr::own::KIND, &[kind]);
    for (number, payload) in more {
        attr::push(&mut sample.attrs, *number, payload);
    }
    s.attr_len = u16::try_from(sample.attrs.len() - s.attr_at as usize).map_err(|_| Malformed)?;
    sample.sockets.push(s);
    if walk.leftover() > 0 { Err(Malformed) } else { Ok(()) }
}

/// State of UNIX, vsock and TIPC sockets by its kernel number.
pub(crate) fn state(n: u8) -> State {
    match n {
        7 => State::Unconn,
        n => State::from_kernel_tcp(n),
    }
}

/// Adds a UNIX socket, named by its path; zero bytes of an abstract name are shown as `@`, as `ss` does.
pub(crate) fn unix(message: &[u8], sample: &mut Sample) -> Result<(), Malformed> {
    let (m, rest) = UnixMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let attrs = Attrs::new(rest, Family::Unix, Proto::Unix);
    let mut s = Socket::new(id(m.cookie), Family::Unix, Proto::Unix, state(m.state));
    s.inode = u64::from(m.inode);
    if let Some(raw) = attrs.get(diag_attr::unix::NAME) {
        let shown = if raw.first() == Some(&0) {
            let bytes: Vec<u8> = raw.iter().map(|b| if *b == 0 { b'@' } else { *b }).collect();
            text::from_bytes(&bytes).into_owned()
        } else {
            let end = raw.iter().position(|b| *b == 0).unwrap_or(raw.len());
            text::from_bytes(&raw[..end]).into_owned()
        };
        s.local_name = store_name(sample, shown);
    }
    if let Some(queues) = attrs.get(diag_attr::unix::RQLEN) {
        s.recv_q = read_u32(queues, 0).unwrap_or(0);
        s.send_q = read_u32(queues, 4).unwrap_or(0);
    }
    s.uid = attrs.get(diag_attr::unix::UID).and_then(|b| read_u32(b, 0)).unwrap_or(0);
    add(sample, s, m.kind, rest, &[])
}

/// Sets the remote names of the UNIX sockets from index `begin` on: the paths that their peers are bound to.
pub(crate) fn name_unix_peers(sample: &mut Sample, begin: usize) {
    let named: FxHashMap<u64, u32> = sample.sockets[begin..]
        .iter()
        .filter(|s| s.local_name != 0)
        .map(|s| (s.inode, s.local_name))
        .collect();
    for i in begin..sample.sockets.len() {
        let peer = sample.attrs_of(&sample.sockets[i]).unix_peer();
        if let Some(name) = peer.and_then(|p| named.get(&u64::from(p))) {
            sample.sockets[i].remote_name = *name;
        }
    }
}

/// Adds a netlink socket, named by protocol and port id.
pub(crate) fn netlink(message: &[u8], sample: &mut Sample) -> Result<(), Malformed> {
    let (m, rest) = NetlinkMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let connected = m.dst_port != 0 || m.dst_group != 0;
    let mut s = Socket::new(
        id(m.cookie),
        Family::Netlink,
        Proto::Netlink,
        if connected { State::Established } else { State::Unconn },
    );
    s.inode = u64::from(m.inode);
    let attrs = Attrs::new(rest, Family::Netlink, Proto::Netlink);
    if let Some(mem) = attrs.skmem() {
        s.recv_q = mem.rmem_alloc().unwrap_or(0);
        s.send_q = mem.wmem_alloc().unwrap_or(0);
    }
    let protocol = names::netlink_protocol(u16::from(m.protocol));
    s.local_name = store_name(
        sample,
        format!("{protocol}:{}", if m.port == 0 { "kernel".to_owned() } else { m.port.to_string() }),
    );
    if connected {
        let group = if m.dst_group == 0 { String::new() } else { format!(" group {}", m.dst_group) };
        s.remote_name = store_name(sample, format!("{protocol}:{}{group}", m.dst_port));
    }
    let more: [(u16, &[u8]); 2] = [
        (diag_attr::own::PROTOCOL, &u16::from(m.protocol).to_ne_bytes()),
        (diag_attr::own::PORT_ID, &m.port.to_ne_bytes()),
    ];
    add(sample, s, m.kind, rest, &more)
}

/// Adds a packet socket, named by protocol and interface.
pub(crate) fn packet(
    message: &[u8],
    interfaces: &BTreeMap<u32, String>,
    sample: &mut Sample,
) -> Result<(), Malformed> {
    let (m, rest) = PacketMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let attrs = Attrs::new(rest, Family::Packet, Proto::Packet);
    let mut s = Socket::new(id(m.cookie), Family::Packet, Proto::Packet, State::Unconn);
    s.inode = u64::from(m.inode);
    s.iface = attrs.get(diag_attr::packet::INFO).and_then(|b| read_u32(b, 0)).unwrap_or(0);
    s.uid = attrs.get(diag_attr::packet::UID).and_then(|b| read_u32(b, 0)).unwrap_or(0);
    if let Some(mem) = attrs.skmem() {
        s.recv_q = mem.rmem_alloc().unwrap_or(0);
        s.send_q = mem.wmem_alloc().unwrap_or(0);
    }
    let on = match s.iface {
        0 => "*".to_owned(),
        i => links::interface_name(interfaces, i),
    };
    s.local_name = store_name(sample, format!("{}:{on}", names::ether_type(m.number)));
    add(sample, s, m.kind, rest, &[(diag_attr::own::PROTOCOL, &m.number.to_ne_bytes())])
}

/// Adds a vsock socket, named by context ids and ports.
pub(crate) fn vsock(message: &[u8], sample: &mut Sample) -> Result<(), Malformed> {
    let (m, rest) = VsockMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let end = |cid: u32, port: u32| {
        let part = |n: u32| if n == u32::MAX { "*".to_owned() } else { n.to_string() };
        format!("{}:{}", part(cid), part(port))
    };
    let mut s = Socket::new(id(m.cookie), Family::Vsock, Proto::Vsock, state(m.state));
    s.inode = u64::from(m.inode);
    s.local_name = store_name(sample, end(m.src_cid, m.src_port));
    if s.state == State::Established {
        s.remote_name = store_name(sample, end(m.dst_cid, m.dst_port));
    }
    add(sample, s, m.kind, rest, &[(diag_attr::own::VSOCK_SHUTDOWN, &[m.shutdown])])
}

/// Adds an XDP socket, named by interface and queue.
pub(crate) fn xdp(
    message: &[u8],
    interfaces: &BTreeMap<u32, String>,
    sample: &mut Sample,
) -> Result<(), Malformed> {
    let (m, rest) = XdpMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let attrs = Attrs::new(rest, Family::Xdp, Proto::Xdp);
    let mut s = Socket::new(id(m.cookie), Family::Xdp, Proto::Xdp, State::Unconn);
    s.inode = u64::from(m.inode);
    s.uid = attrs.get(diag_attr::xdp::UID).and_then(|b| read_u32(b, 0)).unwrap_or(0);
    if let Some((iface, queue)) = attrs.xdp_queue() {
        s.iface = iface;
        if iface != 0 {
            s.local_name =
                store_name(sample, format!("{}:q{queue}", links::interface_name(interfaces, iface)));
        }
    }
    if let Some(mem) = attrs.skmem() {
        s.recv_q = mem.rmem_alloc().unwrap_or(0);
        s.send_q = mem.wmem_alloc().unwrap_or(0);
    }
    add(sample, s, m.kind, rest, &[])
}
