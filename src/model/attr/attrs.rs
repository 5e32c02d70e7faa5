//! The attributes of one socket.

use super::super::bytes::{Endian, one_bit_fields, read_u32, read_u64};
use super::super::diag_attr;
use super::super::diag_attr::{inet, own};
use super::super::proto::{Family, Proto};
use super::super::struct_layout::Structure;
use super::super::tcp_info::TcpInfo;
use super::skmem::SkMem;

/// View of the attributes of one socket.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a> {
    bytes: &'a [u8],
    pub(super) family: Family,
    pub(super) proto: Proto,
    /// `tcp_info` kept outside `bytes`, if any.
    pub(super) info: Option<TcpInfo<'a>>,
}

impl<'a> Attrs<'a> {
    /// View of raw `struct nlattr` bytes of a socket of this family and protocol.
    pub const fn new(bytes: &'a [u8], family: Family, proto: Proto) -> Self {
        Self { bytes, family, proto, info: None }
    }

    /// Sets the `tcp_info` that is kept outside these bytes.
    #[must_use]
    pub const fn with_info(self, info: TcpInfo<'a>) -> Self {
        Self { info: Some(info), ..self }
    }

    /// All attributes: number (flag bits removed) and payload. Stops at the first malformed one.
    #[expect(clippy::iter_without_into_iter, reason = "iterated in one place only")]
    pub fn iter(&self) -> AttrIter<'a> {
        AttrIter { rest: self.bytes }
    }

    /// Payload of the first attribute with this number.
    pub fn get(&self, number: u16) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| *n == number).map(|(_, b)| b)
    }

    /// Bytes of a structure; `None` for another protocol.
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

    pub(super) fn is_inet(&self) -> bool {
        matches!(self.family, Family::Inet | Family::Inet6)
    }

    fn inet_u8(&self, number: u16) -> Option<u8> {
        if self.is_inet() { self.u8(number) } else { None }
    }

    fn inet_u32(&self, number: u16) -> Option<u32> {
        if self.is_inet() { read_u32(self.get(number)?, 0) } else { None }
    }

    /// `tcp_info`, if the kernel sent it (`INET_DIAG_INFO`). Other protocols use the same number for other structures.
    pub fn tcp_info(&self) -> Option<TcpInfo<'a>> {
        if self.info.is_some() || self.proto != Proto::Tcp {
            return self.info;
        }
        self.get(inet::INFO).map(TcpInfo::new)
    }

    /// Socket memory (`INET_DIAG_SKMEMINFO` and its counterparts).
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

    /// Packets dropped on receive, from `SK_MEMINFO_DROPS` or the `drops` column of `/proc/net/udp`; messages for TIPC.
    pub fn drops(&self) -> Option<u32> {
        match self.family {
            Family::Tipc => self.tipc()?.drops,
            _ => self.skmem().and_then(|m| m.drops()).or_else(|| self.inet_u32(own::PROC_DROPS)),
        }
    }

    /// Name of the congestion control algorithm (`INET_DIAG_CONG`): `cubic`.
    pub fn congestion(&self) -> Option<&'a str> {
        if !self.is_inet() {
            return None;
        }
        let raw = self.get(inet::CONG)?;
        let end = raw.iter().position(|b| *b == 0).unwrap_or(raw.len());
        std::str::from_utf8(&raw[..end]).ok().filter(|s| !s.is_empty())
    }

    /// IPv4 type-of-service byte (`INET_DIAG_TOS`).
    pub fn tos(&self) -> Option<u8> {
        self.inet_u8(inet::TOS)
    }
    /// IPv6 traffic class byte (`INET_DIAG_TCLASS`).
    pub fn tclass(&self) -> Option<u8> {
        self.inet_u8(inet::TCLASS)
    }
    /// True for an IPv6-only socket (`IPV6_V6ONLY`).
    pub fn v6only(&self) -> Option<bool> {
        self.inet_u8(inet::SKV6ONLY).map(|b| b != 0)
    }
    /// Firewall mark (`SO_MARK`); reported only with `CAP_NET_ADMIN`.
    pub fn mark(&self) -> Option<u32> {
        self.inet_u32(inet::MARK)
    }
    /// Traffic control class or socket priority (`INET_DIAG_CLASS_ID`).
    pub fn class_id(&self) -> Option<u32> {
        self.inet_u32(inet::CLASS_ID)
    }
    /// Inode of the cgroup v2 directory of the socket (`INET_DIAG_CGROUP_ID`).
    pub fn cgroup_id(&self) -> Option<u64> {
        if self.is_inet() { read_u64(self.get(inet::CGROUP_ID)?, 0) } else { None }
    }
    /// Bits of `struct inet_diag_sockopt`: bit n is the field declared n-th, counted from 0.
    pub fn sockopt(&self) -> Option<u16> {
        if !self.is_inet() {
            return None;
        }
        let raw = self.get(inet::SOCKOPT)?;
        Some(one_bit_fields([*raw.first()?, *raw.get(1).unwrap_or(&0)], Endian::NATIVE))
    }
    /// Socket type (socket(2)): 1 stream, 2 datagram, 3 raw, 5 seqpacket.
    pub fn kind(&self) -> Option<u8> {
        self.u8(own::KIND)
    }
    /// Directions shut down: bit 0 receive, bit 1 send.
    pub fn shutdown(&self) -> Option<u8> {
        match self.family {
            Family::Inet | Family::Inet6 => self.u8(inet::SHUTDOWN),
            Family::Unix => self.u8(diag_attr::unix::SHUTDOWN),
            Family::Vsock => self.u8(own::VSOCK_SHUTDOWN),
            _ => None,
        }
    }
}

/// Payload of a nested attribute.
pub(super) fn nested_attr(nested: &[u8], number: u16) -> Option<&[u8]> {
    AttrIter { rest: nested }.find(|(n, _)| *n == number).map(|(_, b)| b)
}

/// Iterator over consecutive `struct nlattr`.
#[derive(Clone, Debug)]
pub struct AttrIter<'a> {
    pub(super) rest: &'a [u8],
}

impl AttrIter<'_> {
    /// Number of trailing bytes that form no whole attribute; 0 after a well-formed list.
    pub const fn leftover(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for AttrIter<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.rest.get(..4)?;
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        // Top two bits: NLA_F_NESTED and NLA_F_NET_BYTEORDER.
        let number = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        let payload = self.rest.get(4..len)?;
        let next = len.next_multiple_of(4).min(self.rest.len());
        self.rest = &self.rest[next..];
        Some((number, payload))
    }
}
