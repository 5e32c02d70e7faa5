//! TIPC and SCTP sockets: what only they have.

use super::{AttrIter, Attrs, inet, read_u32};
use crate::model::{Addr, Family, Proto};

/// `TIPC_NLA_SOCK_*` (`include/uapi/linux/tipc_netlink.h`), as they lie in `TIPC_NLA_SOCK`.
pub mod number {
    /// `TIPC_NLA_SOCK_ADDR`: `u32`, this node.
    pub const ADDR: u16 = 1;
    /// `TIPC_NLA_SOCK_REF`: `u32`, the number of the socket there.
    pub const REF: u16 = 2;
    /// `TIPC_NLA_SOCK_CON`: nested, the far end.
    pub const CON: u16 = 3;
    /// `TIPC_NLA_SOCK_HAS_PUBL`: a flag.
    pub const HAS_PUBL: u16 = 4;
    /// `TIPC_NLA_SOCK_STAT`: nested, queues and congestion.
    pub const STAT: u16 = 5;
    /// `TIPC_NLA_SOCK_TYPE`: `u32`.
    pub const TYPE: u16 = 6;
    /// `TIPC_NLA_SOCK_INO`: `u32`.
    pub const INO: u16 = 7;
    /// `TIPC_NLA_SOCK_UID`: `u32`.
    pub const UID: u16 = 8;
    /// `TIPC_NLA_SOCK_TIPC_STATE`: `u32`.
    pub const STATE: u16 = 9;
    /// `TIPC_NLA_SOCK_COOKIE`: `u64`.
    pub const COOKIE: u16 = 10;
    /// `TIPC_NLA_SOCK_GROUP`: nested, the communication group.
    pub const GROUP: u16 = 12;
}

/// What a TIPC socket says of itself beside its ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tipc {
    /// The link to the other node is congested (`TIPC_NLA_SOCK_STAT_LINK_CONG`).
    pub link_congested: bool,
    /// The far end does not take what is sent (`TIPC_NLA_SOCK_STAT_CONN_CONG`).
    pub connection_congested: bool,
    /// Messages dropped on receive (`TIPC_NLA_SOCK_STAT_DROP`).
    pub drops: Option<u32>,
    /// Whether it serves a name (`TIPC_NLA_SOCK_HAS_PUBL`).
    pub published: bool,
    /// Type and instance of the name by which it came to its far end (`TIPC_NLA_CON_TYPE`, `TIPC_NLA_CON_INST`).
    pub via: Option<(u32, u32)>,
    /// The communication group it is in (`TIPC_NLA_SOCK_GROUP_ID`).
    pub group: Option<u32>,
}

impl Attrs<'_> {
    /// What a TIPC socket says of itself.
    pub fn tipc(&self) -> Option<Tipc> {
        if self.family != Family::Tipc {
            return None;
        }
        let nested = |n| self.get(n).unwrap_or(&[]);
        let part = |n: u16, of: &'static [u16]| {
            of.iter().map(move |p| AttrIter { rest: nested(n) }.find(|(m, _)| m == p).map(|(_, b)| b))
        };
        let [link, conn, drop] = array(part(number::STAT, &[3, 4, 5]));
        let [flag, kind, instance] = array(part(number::CON, &[1, 4, 5]));
        let [group] = array(part(number::GROUP, &[1]));
        let word = |b: Option<&[u8]>| read_u32(b?, 0);
        Some(Tipc {
            link_congested: link.is_some(),
            connection_congested: conn.is_some(),
            drops: word(drop),
            published: self.get(number::HAS_PUBL).is_some(),
            via: flag.and_then(|_| word(kind).zip(word(instance))),
            group: word(group),
        })
    }

    /// Addresses of an SCTP association: its own ([`inet::LOCALS`]) or the far end's ([`inet::PEERS`]).
    pub fn addresses(&self, number: u16) -> Option<Vec<Addr>> {
        let raw = if self.proto == Proto::Sctp { self.get(number)? } else { return None };
        Some(raw.chunks_exact(STORAGE).filter_map(address).collect())
    }

    /// Address of the far end that an SCTP association sends to (`sctpi_p_address` of `struct sctp_info`).
    pub fn sctp_primary(&self) -> Option<Addr> {
        let raw = if self.proto == Proto::Sctp { self.get(inet::INFO)? } else { return None };
        address(raw.get(168..)?)
    }
}

fn array<'a, const N: usize>(mut all: impl Iterator<Item = Option<&'a [u8]>>) -> [Option<&'a [u8]>; N] {
    std::array::from_fn(|_| all.next().flatten())
}

/// Bytes of a `struct sockaddr_storage`.
const STORAGE: usize = 128;

/// The address in a `struct sockaddr_in` or `sockaddr_in6`.
fn address(b: &[u8]) -> Option<Addr> {
    match u16::from_ne_bytes([*b.first()?, *b.get(1)?]) {
        2 => Some(Addr::v4(b.get(4..8)?.try_into().ok()?)),
        10 => Some(Addr::v6(b.get(8..24)?.try_into().ok()?)),
        _ => None,
    }
}
