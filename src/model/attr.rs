//! The attributes a kernel attaches to a socket, kept as it sent them.
//!
//! A poll keeps each socket's attributes as the raw type-length-value bytes of netlink (`struct nlattr`,
//! `include/uapi/linux/netlink.h`) in one arena per sample; a field is read when it is asked for, up to the bytes
//! that are there. An older kernel's shorter structure and a newer one's longer one are both normal.

mod kinds;
pub mod tipc;

pub use kinds::{Bbr, Md5Key, Subflow, Tls, Transfer, Vfs};
pub(crate) use kinds::{MD5SIG, MD5SIG_HEAD};
pub use tipc::Tipc;

use super::struct_layout::{Endian, one_bit_fields};
use super::{Family, Proto, TcpInfo};

/// `INET_DIAG_*` attribute numbers (`include/uapi/linux/inet_diag.h`).
pub mod inet {
    /// `INET_DIAG_MEMINFO`: `struct inet_diag_meminfo`.
    pub const MEMINFO: u16 = 1;
    /// `INET_DIAG_INFO`: `struct tcp_info` for TCP.
    pub const INFO: u16 = 2;
    /// `INET_DIAG_VEGASINFO`: `struct tcpvegas_info`.
    pub const VEGASINFO: u16 = 3;
    /// `INET_DIAG_CONG`: the congestion algorithm's name.
    pub const CONG: u16 = 4;
    /// `INET_DIAG_TOS`: one byte.
    pub const TOS: u16 = 5;
    /// `INET_DIAG_TCLASS`: one byte, IPv6.
    pub const TCLASS: u16 = 6;
    /// `INET_DIAG_SKMEMINFO`: an array of `u32` indexed by `SK_MEMINFO_*`.
    pub const SKMEMINFO: u16 = 7;
    /// `INET_DIAG_SHUTDOWN`: one byte, bit 0 receive, bit 1 send.
    pub const SHUTDOWN: u16 = 8;
    /// `INET_DIAG_DCTCPINFO`.
    pub const DCTCPINFO: u16 = 9;
    /// `INET_DIAG_PROTOCOL`: one byte, for raw sockets.
    pub const PROTOCOL: u16 = 10;
    /// `INET_DIAG_SKV6ONLY`: one byte.
    pub const SKV6ONLY: u16 = 11;
    /// `INET_DIAG_LOCALS` and `INET_DIAG_PEERS`: the addresses of an SCTP association, `struct sockaddr_storage` each.
    pub const LOCALS: u16 = 12;
    /// See [`LOCALS`].
    pub const PEERS: u16 = 13;
    /// `INET_DIAG_MARK`: `u32`, only with `CAP_NET_ADMIN`.
    pub const MARK: u16 = 15;
    /// `INET_DIAG_BBRINFO`.
    pub const BBRINFO: u16 = 16;
    /// `INET_DIAG_CLASS_ID`: `u32`.
    pub const CLASS_ID: u16 = 17;
    /// `INET_DIAG_MD5SIG`: `struct tcp_diag_md5sig` each, only with `CAP_NET_ADMIN`. The keys themselves are not kept.
    pub const MD5SIG: u16 = 18;
    /// `INET_DIAG_ULP_INFO`: nested.
    pub const ULP_INFO: u16 = 19;
    /// `INET_DIAG_SK_BPF_STORAGES`: nested, one `SK_DIAG_BPF_STORAGE` a map; what is kept of it is [`super::BPF_MAPS`].
    pub const SK_BPF_STORAGES: u16 = 20;
    /// `INET_DIAG_CGROUP_ID`: `u64`, the inode of the socket's cgroup v2 directory.
    pub const CGROUP_ID: u16 = 21;
    /// `INET_DIAG_SOCKOPT`: `struct inet_diag_sockopt`, two bytes of bits.
    pub const SOCKOPT: u16 = 22;
    /// Ours, not the kernel's: datagrams dropped, `u32`, from the last column of `/proc/net/udp`.
    pub const PROC_DROPS: u16 = 0x3f01;
    /// Ours, not the kernel's: the last five columns of `/proc/net/tcp`, `u32` each: retransmission and delayed-acknowledgement
    /// timeout in clock ticks, quick acknowledgements left above the bit of a conversation both ways, congestion window,
    /// slow-start threshold (-1 for none).
    pub const PROC_TCP: u16 = 0x3f07;
}

/// Ours, not the kernel's: the type of a socket that is not IP (`SOCK_STREAM` and so on, socket(2)), one byte.
pub const KIND: u16 = 0x3f02;

/// Ours, not the kernel's: the protocol of a netlink or packet socket, `u16`.
pub const PROTOCOL: u16 = 0x3f03;

/// Ours, not the kernel's: the port id of a netlink socket, `u32`.
pub const PORT_ID: u16 = 0x3f04;

/// Ours, not the kernel's: which halves of a vsock socket are shut down, one byte.
pub const VSOCK_SHUTDOWN: u16 = 0x3f05;

/// Ours, not the kernel's: the BPF maps that keep something beside the socket, for each two `u32`: the map's id and the size
/// of its value. The values are not kept.
pub const BPF_MAPS: u16 = 0x3f06;

/// `PACKET_DIAG_*` attribute numbers (`include/uapi/linux/packet_diag.h`).
pub mod packet {
    /// `PACKET_DIAG_INFO`: `struct packet_diag_info`, the interface first.
    pub const INFO: u16 = 0;
    /// `PACKET_DIAG_RX_RING` and `PACKET_DIAG_TX_RING`: `struct packet_diag_ring`.
    pub const RX_RING: u16 = 2;
    /// See [`RX_RING`].
    pub const TX_RING: u16 = 3;
    /// `PACKET_DIAG_FANOUT`: `u32`, group in the low half, type in the high one.
    pub const FANOUT: u16 = 4;
    /// `PACKET_DIAG_UID`: `u32`.
    pub const UID: u16 = 5;
    /// `PACKET_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 6;
    /// `PACKET_DIAG_FILTER`: `struct sock_filter` each; empty for who may not see it.
    pub const FILTER: u16 = 7;
}

/// `NETLINK_DIAG_*` attribute numbers (`include/uapi/linux/netlink_diag.h`).
pub mod netlink {
    /// `NETLINK_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 0;
    /// `NETLINK_DIAG_GROUPS`: bits of the multicast groups joined.
    pub const GROUPS: u16 = 1;
    /// `NETLINK_DIAG_FLAGS`: `u32`, `NDIAG_FLAG_*`.
    pub const FLAGS: u16 = 4;
}

/// `XDP_DIAG_*` attribute numbers (`include/uapi/linux/xdp_diag.h`).
pub mod xdp {
    /// `XDP_DIAG_INFO`: interface and queue.
    pub const INFO: u16 = 1;
    /// `XDP_DIAG_UID`: `u32`.
    pub const UID: u16 = 2;
    /// `XDP_DIAG_RX_RING` and its three kin: `u32` entries.
    pub const RX_RING: u16 = 3;
    /// See [`RX_RING`].
    pub const TX_RING: u16 = 4;
    /// `XDP_DIAG_UMEM`: `struct xdp_diag_umem`.
    pub const UMEM: u16 = 5;
    /// See [`RX_RING`].
    pub const FILL_RING: u16 = 6;
    /// See [`RX_RING`].
    pub const COMPLETION_RING: u16 = 7;
    /// `XDP_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 8;
    /// `XDP_DIAG_STATS`: `struct xdp_diag_stats`.
    pub const STATS: u16 = 9;
}

/// `UNIX_DIAG_*` attribute numbers (`include/uapi/linux/unix_diag.h`).
pub mod unix {
    /// `UNIX_DIAG_NAME`: the address as bound.
    pub const NAME: u16 = 0;
    /// `UNIX_DIAG_VFS`: `struct unix_diag_vfs`, inode and device of the path.
    pub const VFS: u16 = 1;
    /// `UNIX_DIAG_PEER`: `u32`, inode of the far end.
    pub const PEER: u16 = 2;
    /// `UNIX_DIAG_ICONS`: `u32` each, inodes of connections not accepted yet.
    pub const ICONS: u16 = 3;
    /// `UNIX_DIAG_RQLEN`: `struct unix_diag_rqlen`.
    pub const RQLEN: u16 = 4;
    /// `UNIX_DIAG_UID`: `u32`.
    pub const UID: u16 = 7;
    /// `UNIX_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 5;
    /// `UNIX_DIAG_SHUTDOWN`: one byte.
    pub const SHUTDOWN: u16 = 6;
}

/// A view of one socket's attributes.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a> {
    bytes: &'a [u8],
    family: Family,
    proto: Proto,
    /// Where `tcp_info` is not among the bytes.
    info: Option<TcpInfo<'a>>,
}

impl<'a> Attrs<'a> {
    /// Over raw type-length-value bytes of a socket of this family and protocol.
    pub const fn new(bytes: &'a [u8], family: Family, proto: Proto) -> Self {
        Self { bytes, family, proto, info: None }
    }

    /// With `tcp_info` from elsewhere.
    #[must_use]
    pub const fn with_info(self, info: TcpInfo<'a>) -> Self {
        Self { info: Some(info), ..self }
    }

    /// Every attribute: its number (flag bits removed) and its payload. Stops at the first malformed one.
    #[expect(clippy::iter_without_into_iter, reason = "a view that is walked in one place")]
    pub fn iter(&self) -> AttrIter<'a> {
        AttrIter { rest: self.bytes }
    }

    /// The payload of the first attribute of that number.
    pub fn get(&self, number: u16) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| *n == number).map(|(_, b)| b)
    }

    fn u8(&self, number: u16) -> Option<u8> {
        self.get(number)?.first().copied()
    }

    fn is_inet(&self) -> bool {
        matches!(self.family, Family::Inet | Family::Inet6)
    }

    fn inet_u8(&self, number: u16) -> Option<u8> {
        if self.is_inet() { self.u8(number) } else { None }
    }

    fn inet_u32(&self, number: u16) -> Option<u32> {
        if self.is_inet() { read_u32(self.get(number)?, 0) } else { None }
    }

    /// `tcp_info`, where the kernel attached it. Other protocols have other structures under the same number.
    pub fn tcp_info(&self) -> Option<TcpInfo<'a>> {
        if self.info.is_some() || self.proto != Proto::Tcp {
            return self.info;
        }
        self.get(inet::INFO).map(TcpInfo::new)
    }

    /// Socket memory (`SKMEMINFO`).
    pub fn skmem(&self) -> Option<SkMem<'a>> {
        let number = match self.family {
            Family::Inet | Family::Inet6 => inet::SKMEMINFO,
            Family::Unix => unix::MEMINFO,
            Family::Packet => packet::MEMINFO,
            Family::Netlink => netlink::MEMINFO,
            Family::Xdp => xdp::MEMINFO,
            _ => return None,
        };
        self.get(number).map(SkMem)
    }

    /// Packets dropped on receive: from `SKMEMINFO`, or from `/proc/net/udp` where that is the source; of TIPC, messages.
    pub fn drops(&self) -> Option<u32> {
        match self.family {
            Family::Tipc => self.tipc()?.drops,
            _ => self.skmem().and_then(|m| m.drops()).or_else(|| self.inet_u32(inet::PROC_DROPS)),
        }
    }

    /// The congestion algorithm, `cubic`.
    pub fn congestion(&self) -> Option<&'a str> {
        if !self.is_inet() {
            return None;
        }
        let raw = self.get(inet::CONG)?;
        let end = raw.iter().position(|b| *b == 0).unwrap_or(raw.len());
        std::str::from_utf8(&raw[..end]).ok().filter(|s| !s.is_empty())
    }

    /// The IPv4 type-of-service byte.
    pub fn tos(&self) -> Option<u8> {
        self.inet_u8(inet::TOS)
    }
    /// The IPv6 traffic class byte.
    pub fn tclass(&self) -> Option<u8> {
        self.inet_u8(inet::TCLASS)
    }
    /// Whether an IPv6 socket refuses IPv4 peers.
    pub fn v6only(&self) -> Option<bool> {
        self.inet_u8(inet::SKV6ONLY).map(|b| b != 0)
    }
    /// The firewall mark (`SO_MARK`); the kernel tells it only with `CAP_NET_ADMIN`.
    pub fn mark(&self) -> Option<u32> {
        self.inet_u32(inet::MARK)
    }
    /// The traffic-control class or priority.
    pub fn class_id(&self) -> Option<u32> {
        self.inet_u32(inet::CLASS_ID)
    }
    /// The inode of the socket's cgroup v2 directory.
    pub fn cgroup_id(&self) -> Option<u64> {
        if self.is_inet() { read_u64(self.get(inet::CGROUP_ID)?, 0) } else { None }
    }
    /// The bits of `struct inet_diag_sockopt`: bit n is the field declared n-th, counted from 0.
    pub fn sockopt(&self) -> Option<u16> {
        if !self.is_inet() {
            return None;
        }
        let raw = self.get(inet::SOCKOPT)?;
        Some(one_bit_fields([*raw.first()?, *raw.get(1).unwrap_or(&0)], Endian::NATIVE))
    }
    /// The type of a socket (socket(2)): 1 stream, 2 datagram, 3 raw, 5 seqpacket.
    pub fn kind(&self) -> Option<u8> {
        self.u8(KIND)
    }
    /// Which halves are shut down: bit 0 receive, bit 1 send.
    pub fn shutdown(&self) -> Option<u8> {
        match self.family {
            Family::Inet | Family::Inet6 => self.u8(inet::SHUTDOWN),
            Family::Unix => self.u8(unix::SHUTDOWN),
            Family::Vsock => self.u8(VSOCK_SHUTDOWN),
            _ => None,
        }
    }
}

/// Walks `struct nlattr` after `struct nlattr`.
#[derive(Clone, Debug)]
pub struct AttrIter<'a> {
    rest: &'a [u8],
}

impl AttrIter<'_> {
    /// How many bytes are left that make no whole attribute: 0 after a well-formed list.
    pub const fn leftover(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for AttrIter<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.rest.get(..4)?;
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        // The two top bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER.
        let number = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        let payload = self.rest.get(4..len)?;
        let next = len.next_multiple_of(4).min(self.rest.len());
        self.rest = &self.rest[next..];
        Some((number, payload))
    }
}

/// Socket memory, an array of `u32` indexed by `SK_MEMINFO_*` (`include/uapi/linux/sock_diag.h`); all in bytes but
/// the drops.
#[derive(Clone, Copy, Debug)]
pub struct SkMem<'a>(pub &'a [u8]);

impl SkMem<'_> {
    fn at(&self, i: usize) -> Option<u32> {
        read_u32(self.0, i * 4)
    }
    /// Receive buffer in use (`RMEM_ALLOC`), bytes.
    pub fn rmem_alloc(&self) -> Option<u32> {
        self.at(0)
    }
    /// Receive buffer limit (`RCVBUF`), bytes.
    pub fn rcvbuf(&self) -> Option<u32> {
        self.at(1)
    }
    /// Handed to the device, not freed yet (`WMEM_ALLOC`), bytes.
    pub fn wmem_alloc(&self) -> Option<u32> {
        self.at(2)
    }
    /// Send buffer limit (`SNDBUF`), bytes.
    pub fn sndbuf(&self) -> Option<u32> {
        self.at(3)
    }
    /// Reserved for this socket, unused (`FWD_ALLOC`), bytes.
    pub fn fwd_alloc(&self) -> Option<u32> {
        self.at(4)
    }
    /// Queued for sending (`WMEM_QUEUED`), bytes.
    pub fn wmem_queued(&self) -> Option<u32> {
        self.at(5)
    }
    /// Options and filters (`OPTMEM`), bytes.
    pub fn optmem(&self) -> Option<u32> {
        self.at(6)
    }
    /// Waiting in the backlog while the socket is locked (`BACKLOG`), bytes.
    pub fn backlog(&self) -> Option<u32> {
        self.at(7)
    }
    /// Packets dropped on receive (`DROPS`), since Linux 4.6.
    pub fn drops(&self) -> Option<u32> {
        self.at(8)
    }
}

/// A native-endian `u32` at this offset, where all four bytes are there.
pub fn read_u32(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// A native-endian `u64` at this offset, where all eight bytes are there.
pub fn read_u64(b: &[u8], at: usize) -> Option<u64> {
    b.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// Appends one attribute as the kernel would send it, padded to four bytes. For tests, scenes and sources that are
/// not netlink. Payloads over 64 KiB are cut.
pub fn push(out: &mut Vec<u8>, number: u16, payload: &[u8]) {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX) - 4)];
    out.extend_from_slice(&(payload.len() as u16 + 4).to_ne_bytes());
    out.extend_from_slice(&number.to_ne_bytes());
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there_and_no_more() {
        let mut b = Vec::new();
        push(&mut b, inet::CONG, b"cubic\0");
        push(&mut b, inet::SHUTDOWN, &[2]);
        push(&mut b, inet::SKMEMINFO, &[7, 0, 0, 0, 9, 0, 0, 0, 1]);
        push(&mut b, inet::CGROUP_ID, &42u64.to_ne_bytes());
        let a = Attrs::new(&b, Family::Inet, Proto::Tcp);
        assert_eq!(a.congestion(), Some("cubic"));
        assert_eq!(a.shutdown(), Some(2));
        let m = a.skmem().unwrap();
        assert_eq!(m.rmem_alloc(), u32::from_ne_bytes([7, 0, 0, 0]).into());
        assert_eq!(m.rcvbuf(), Some(u32::from_ne_bytes([9, 0, 0, 0])));
        assert_eq!(m.wmem_alloc(), None, "a field cut short is missing, not zero");
        assert_eq!(m.drops(), None);
        assert_eq!(a.cgroup_id(), Some(42));
        assert_eq!(a.mark(), None);
        assert!(a.tcp_info().is_none());
    }

    #[test]
    fn garbage_ends_the_list() {
        for junk in [&[][..], &[1], &[0, 0, 0, 0], &[3, 0, 1, 0], &[255, 255, 1, 0, 0]] {
            assert_eq!(Attrs::new(junk, Family::Inet, Proto::Tcp).iter().count(), 0, "{junk:?}");
        }
        let mut b = Vec::new();
        push(&mut b, inet::TOS, &[4]);
        b.extend_from_slice(&[200, 0, 9, 0, 1]);
        let a = Attrs::new(&b, Family::Inet, Proto::Tcp);
        assert_eq!(a.tos(), Some(4));
        let mut it = a.iter();
        while it.next().is_some() {}
        assert_eq!(it.leftover(), 5);
    }
}
