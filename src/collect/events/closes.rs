//! Closes of TCP and UDP sockets as the kernel announces them to `NETLINK_SOCK_DIAG` groups (`ss -E`, Linux ≥ 4.3).
//!
//! It takes no privilege. A socket hears the network namespace it was opened in. The message has the last `tcp_info` but no
//! inode; of a failed connect the kernel has cleared the remote port. A connection counts as closed when it turns into
//! `TIME_WAIT`. When the receive buffer is full the kernel drops messages and counts them for the socket (`Drops` in
//! `/proc/net/netlink`).

use crate::collect::netlink::socket::{DumpError, DumpStats, Malformed, read_messages};
use crate::collect::netlink::wire::InetMsg;
use crate::model::sample::{ClosedBy, Event, EventKind};
use crate::model::tcp_info::TcpInfo;
use crate::model::{Addr, Attrs, Endpoint, Family, Proto, SocketId, diag_attr};
use crate::privilege::{NETWORK, raise};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{self, AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};
use std::io;
use zerocopy::FromBytes;

/// Groups as bits: `SKNLGRP_INET_TCP_DESTROY`, `_INET_UDP_`, `_INET6_TCP_`, `_INET6_UDP_` (`include/uapi/linux/sock_diag.h`).
const TCP_GROUPS: u32 = 1 | 1 << 2;
const UDP_GROUPS: u32 = 1 << 1 | 1 << 3;
/// Receive buffer asked for, bytes; without `CAP_NET_ADMIN` the system grants at most `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 8 << 20;
/// `AF_INET`, `IPPROTO_UDP`.
const AF_INET: u8 = 2;
const IPPROTO_UDP: u8 = 17;

/// Socket that hears the closes of one network namespace.
pub(super) struct CloseListener {
    socket: OwnedFd,
    /// Number of the namespace.
    netns: u16,
    /// Its address, by which `/proc/net/netlink` names it.
    port: u32,
    /// Messages dropped as of the last look.
    drops: u64,
    /// True if messages were dropped since then.
    overrun: bool,
}

impl CloseListener {
    /// Opens one in the network namespace of the calling thread, with this number.
    pub(super) fn open(netns: u16, with_tcp: bool) -> io::Result<Self> {
        let _raised = raise(NETWORK);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(SOCK_DIAG))?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        }
        let groups = if with_tcp { TCP_GROUPS | UDP_GROUPS } else { UDP_GROUPS };
        net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        let address = SocketAddrNetlink::try_from(net::getsockname(&socket)?)?;
        Ok(Self { socket, netns, port: address.pid(), drops: 0, overrun: false })
    }

    /// Number of its namespace.
    pub(super) const fn netns(&self) -> u16 {
        self.netns
    }

    /// Readable when a socket closed.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes the closes that are there; the number of bytes read.
    pub(super) fn drain(&mut self, now: u64, buffer: &mut [u8], out: &mut Vec<Event>) -> usize {
        let mut total = 0;
        loop {
            match net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((n, _)) => {
                    total += n;
                    let netns = self.netns;
                    let each = &mut |message: &[u8]| decode(message, netns, now).map(|e| out.push(e));
                    let _ended: Result<bool, DumpError> =
                        read_messages(&buffer[..n], 0, &mut DumpStats::default(), each);
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => self.overrun = true,
                Err(_) => return total,
            }
        }
    }

    /// Closes dropped since the last call; to be called in a thread that is in the namespace.
    pub(super) fn take_drops(&mut self) -> u64 {
        if !std::mem::take(&mut self.overrun) {
            return 0;
        }
        let table = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap_or_default();
        let Some(drops) = drops_of(&table, self.port) else { return 0 };
        drops.saturating_sub(std::mem::replace(&mut self.drops, drops))
    }
}

/// The `Drops` column of the `sock_diag` socket with this address in `/proc/net/netlink`.
fn drops_of(table: &str, port: u32) -> Option<u64> {
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (protocol, pid) = (fields.next()?, fields.next()?);
        (protocol == "4" && pid.parse() == Ok(port)).then(|| fields.nth(5)?.parse().ok()).flatten()
    })
}

/// The event of one message: `struct inet_diag_msg` and attributes.
pub(super) fn decode(message: &[u8], netns: u16, now: u64) -> Result<Event, Malformed> {
    let (m, rest) = InetMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let family = if m.family == AF_INET { Family::Inet } else { Family::Inet6 };
    let attrs = Attrs::new(rest, family, Proto::Tcp);
    let udp = attrs.get(diag_attr::inet::PROTOCOL).and_then(<[u8]>::first) == Some(&IPPROTO_UDP);
    let proto = if udp { Proto::Udp } else { Proto::Tcp };
    let info = attrs.get(diag_attr::inet::INFO).filter(|_| !udp).map(TcpInfo::new);
    let addr = |b: [u8; 16]| match family {
        Family::Inet => Addr::v4([b[0], b[1], b[2], b[3]]),
        _ => Addr::v6(b),
    };
    let remote = Endpoint::new(addr(m.id.dst), u16::from_be_bytes(m.id.dport));
    let info = info.as_ref();
    let tx = info
        .and_then(TcpInfo::bytes_sent)
        .map(|sent| sent.saturating_sub(info.and_then(TcpInfo::bytes_retrans).unwrap_or(0)))
        .or_else(|| info.and_then(TcpInfo::bytes_acked));
    Ok(Event {
        at_ns: now,
        kind: EventKind::Closed,
        id: SocketId { netns, cookie: u64::from(m.id.cookie[0]) | u64::from(m.id.cookie[1]) << 32 },
        family,
        proto,
        local: Endpoint::new(addr(m.id.src), u16::from_be_bytes(m.id.sport)),
        remote: (remote.port != 0).then_some(remote),
        iface: m.id.iface,
        process: None,
        uid: None,
        inbound: None,
        start_ns: 0,
        opened_ns: 0,
        tx,
        rx: info.and_then(TcpInfo::bytes_received),
        retrans: info.and_then(TcpInfo::total_retrans).and_then(|n| u32::try_from(n).ok()),
        rtt_us: info.and_then(TcpInfo::rtt_us).and_then(|n| u32::try_from(n).ok()).filter(|n| *n != 0),
        closed_by: None::<ClosedBy>,
        errno: 0,
        from: None,
        state_us: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_the_socket_with_the_address() {
        let table = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
                     00000000aa 0   77 00000000 0        0        0     2        3        9\n\
                     00000000ab 4   77 0000000f 1280     0        0     2        11418    10\n\
                     00000000ac 4   78 0000000f 0        0        0     2        5        11\n";
        assert_eq!(
            (drops_of(table, 77), drops_of(table, 78), drops_of(table, 79)),
            (Some(11418), Some(5), None)
        );
        assert_eq!(drops_of("", 1), None);
    }
}
