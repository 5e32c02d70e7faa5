//! The attributes a kernel attaches to a socket, kept as it sent them.
//!
//! A poll keeps each socket's attributes as the raw type-length-value bytes of netlink (`struct nlattr`,
//! `include/uapi/linux/netlink.h`) in one arena per sample; a field is read when it is asked for, up to the bytes
//! that are there. An older kernel's shorter structure and a newer one's longer one are both normal.

mod mptcp;
mod netlink;
mod packet;
mod sctp;
mod tcp;
mod tipc;
mod ulp;
mod unix;
mod xdp;

pub use mptcp::Subflow;
pub use tcp::{Bbr, Md5Key, Transfer};
pub(crate) use tcp::{MD5SIG, MD5SIG_HEAD};
pub use tipc::Tipc;
pub use ulp::Tls;
pub use unix::Vfs;

use super::bytes::{Endian, one_bit_fields, read_u32, read_u64};
use super::diag_attr::{inet, own};
use super::struct_layout::Structure;
use super::{Family, Proto, TcpInfo, diag_attr};

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

    /// Bytes of a structure; `None` for other protocols.
    pub fn structure(&self, s: &Structure) -> Option<&'a [u8]> {
        if self.proto == s.proto { self.get(s.attr) } else { None }
    }

    /// Field of a structure by name.
    pub fn field(&self, s: &Structure, name: &str) -> Option<u64> {
        s.fields.iter().find(|f| f.name == name)?.read(self.structure(s)?)
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
            Family::Unix => diag_attr::unix::MEMINFO,
            Family::Packet => diag_attr::packet::MEMINFO,
            Family::Netlink => diag_attr::netlink::MEMINFO,
            Family::Xdp => diag_attr::xdp::MEMINFO,
            _ => return None,
        };
        self.get(number).map(SkMem)
    }

    /// Packets dropped on receive: from `SKMEMINFO`, or from `/proc/net/udp` where that is the source; of TIPC, messages.
    pub fn drops(&self) -> Option<u32> {
        match self.family {
            Family::Tipc => self.tipc()?.drops,
            _ => self.skmem().and_then(|m| m.drops()).or_else(|| self.inet_u32(own::PROC_DROPS)),
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
        self.u8(own::KIND)
    }
    /// Which halves are shut down: bit 0 receive, bit 1 send.
    pub fn shutdown(&self) -> Option<u8> {
        match self.family {
            Family::Inet | Family::Inet6 => self.u8(inet::SHUTDOWN),
            Family::Unix => self.u8(diag_attr::unix::SHUTDOWN),
            Family::Vsock => self.u8(own::VSOCK_SHUTDOWN),
            _ => None,
        }
    }
}

/// Payload of an attribute nested in another.
fn nested_attr(nested: &[u8], number: u16) -> Option<&[u8]> {
    AttrIter { rest: nested }.find(|(n, _)| *n == number).map(|(_, b)| b)
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
