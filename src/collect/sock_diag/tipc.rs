//! Decodes TIPC sockets (`net/tipc/diag.c`): every field is a nested attribute.

use super::non_ip::{add, id, state, store_name};
use crate::collect::netlink::socket::Malformed;
use crate::model::bytes::{read_u32, read_u64};
use crate::model::diag_attr::tipc::{ADDR, CON, COOKIE, INO, REF, STAT, STATE, TYPE, UID};
use crate::model::{Attrs, Family, Proto, Sample, Socket};

/// `TIPC_NLA_SOCK` (`include/uapi/linux/tipc_netlink.h`).
const SOCK: u16 = 2;

/// Adds a TIPC socket, named by node and socket reference.
pub(crate) fn tipc(message: &[u8], sample: &mut Sample) -> Result<(), Malformed> {
    let over = |b| Attrs::new(b, Family::Tipc, Proto::Tipc);
    let nested = over(message).get(SOCK).ok_or(Malformed)?;
    let all = over(nested);
    let word = |n| all.get(n).and_then(|b| read_u32(b, 0));
    let cookie = all.get(COOKIE).and_then(|b| read_u64(b, 0)).unwrap_or(0);
    let id = id([cookie as u32, (cookie >> 32) as u32]);
    let mut s = Socket::new(id, Family::Tipc, Proto::Tipc, state(word(STATE).map_or(7, |n| n as u8)));
    s.inode = u64::from(word(INO).unwrap_or(0));
    s.uid = word(UID).unwrap_or(0);
    let end = |node: u32, socket: u32| format!("{node:x}:{socket}");
    if let (Some(node), Some(socket)) = (word(ADDR), word(REF)) {
        s.local_name = store_name(sample, end(node, socket));
    }
    if let Some(con) = all.get(CON).map(over) {
        let part = |n| con.get(n).and_then(|b| read_u32(b, 0));
        if let (Some(node), Some(socket)) = (part(2), part(3)) {
            s.remote_name = store_name(sample, end(node, socket));
        }
    }
    if let Some(stat) = all.get(STAT).map(over) {
        let part = |n| stat.get(n).and_then(|b| read_u32(b, 0)).unwrap_or(0);
        (s.recv_q, s.send_q) = (part(1), part(2));
    }
    add(sample, s, word(TYPE).unwrap_or(0) as u8, nested, &[])
}
