//! TIPC sockets: congestion, published names, groups.

use super::attrs::{AttrIter, Attrs};
use crate::model::bytes::read_u32;
use crate::model::diag_attr::tipc;
use crate::model::proto::Family;

/// State of a TIPC socket beyond its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tipc {
    /// The link to the other node is congested (`TIPC_NLA_SOCK_STAT_LINK_CONG`).
    pub link_congested: bool,
    /// The peer does not drain its queue (`TIPC_NLA_SOCK_STAT_CONN_CONG`).
    pub connection_congested: bool,
    /// Messages dropped on receive (`TIPC_NLA_SOCK_STAT_DROP`).
    pub drops: Option<u32>,
    /// Bound to a service name (`TIPC_NLA_SOCK_HAS_PUBL`).
    pub published: bool,
    /// Service type and instance through which it connected (`TIPC_NLA_CON_TYPE`, `TIPC_NLA_CON_INST`).
    pub via: Option<(u32, u32)>,
    /// Communication group (`TIPC_NLA_SOCK_GROUP_ID`).
    pub group: Option<u32>,
}

impl Attrs<'_> {
    /// State of a TIPC socket.
    pub fn tipc(&self) -> Option<Tipc> {
        if self.family != Family::Tipc {
            return None;
        }
        let nested = |n| self.get(n).unwrap_or(&[]);
        let part = |n: u16, numbers: &'static [u16]| {
            numbers.iter().map(move |p| AttrIter { rest: nested(n) }.find(|(m, _)| m == p).map(|(_, b)| b))
        };
        let [link, conn, drop] = array(part(tipc::STAT, &[3, 4, 5]));
        let [flag, kind, instance] = array(part(tipc::CON, &[1, 4, 5]));
        let [group] = array(part(tipc::GROUP, &[1]));
        let word = |b: Option<&[u8]>| read_u32(b?, 0);
        Some(Tipc {
            link_congested: link.is_some(),
            connection_congested: conn.is_some(),
            drops: word(drop),
            published: self.get(tipc::HAS_PUBL).is_some(),
            via: flag.and_then(|_| word(kind).zip(word(instance))),
            group: word(group),
        })
    }
}

fn array<'a, const N: usize>(mut all: impl Iterator<Item = Option<&'a [u8]>>) -> [Option<&'a [u8]>; N] {
    std::array::from_fn(|_| all.next().flatten())
}
