//! Dumps of `sock_diag` from any bytes.

use super::request::decode;
use super::tables::{DUMPS, DumpTable};
use super::{TCP, non_ip};
use crate::collect::fuzz_sample::sample;
use crate::collect::netlink::socket::NetlinkSocket;
use crate::collect::netlink::wire::Request;
use crate::model::{Proto, Sample};
use std::collections::BTreeMap;

/// The sockets of these messages, as the dump of the table of a protocol. Of `inet_diag` the first byte chooses the table.
pub(crate) fn sock_diag(proto: Proto, bytes: &[u8]) -> Sample {
    let mut sample = sample();
    let interfaces = BTreeMap::from([(1, "lo".to_owned())]);
    let inet: Vec<&DumpTable> = DUMPS.iter().filter(|t| t.proto.is_inet()).chain([&TCP]).collect();
    let (table, messages) = match (proto.is_inet(), bytes.split_first()) {
        (true, Some((n, rest))) => (Some(inet[usize::from(*n) % inet.len()]), rest),
        _ => (DUMPS.iter().find(|t| t.proto == proto), bytes),
    };
    let (Some(table), Ok((mut socket, _kernel))) = (table, NetlinkSocket::replay(messages)) else {
        return sample;
    };
    // An error ends the dump with what was read before.
    let _ = socket.dump(&Request::links(), |m| decode(table, m, &interfaces, &mut sample));
    if proto == Proto::Unix {
        non_ip::name_unix_peers(&mut sample, 0);
    }
    sample
}
