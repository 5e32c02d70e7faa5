//! Requests for one table, and the decoding of their answers.

use super::tables::{DumpMethod, DumpTable};
use super::{inet, non_ip, tipc};
use crate::model::{AttrSet, Reads, Sample, StateSet, Wants};
use std::collections::BTreeMap;

/// The state mask of a request, in the numbering of this table.
pub(super) fn mask(table: &DumpTable, states: StateSet) -> u32 {
    match table.method {
        // These tables have no states.
        DumpMethod::Netlink | DumpMethod::Packet | DumpMethod::Xdp => u32::MAX,
        DumpMethod::Unix | DumpMethod::Vsock | DumpMethod::Tipc => {
            states.kernel_tcp_mask() | states.kernel_datagram_mask()
        }
        _ if table.proto.has_tcp_states() => states.kernel_tcp_mask(),
        _ => states.kernel_datagram_mask(),
    }
}

pub(super) fn request(
    table: &DumpTable,
    states: u32,
    wants: &Wants,
) -> crate::collect::netlink::wire::Request {
    match table.method {
        DumpMethod::Tcp => crate::collect::netlink::wire::Request::tcp(wants.needs.attrs.bits(), states),
        DumpMethod::Inet(family, protocol, _) => {
            crate::collect::netlink::wire::Request::inet(family, protocol, wants.needs.attrs.bits(), states)
        }
        DumpMethod::Unix => crate::collect::netlink::wire::Request::unix(states),
        DumpMethod::Netlink => crate::collect::netlink::wire::Request::netlink(),
        // Packet sockets are few: a request for all attributes includes their filters.
        DumpMethod::Packet => crate::collect::netlink::wire::Request::packet(
            wants.reads(Reads::BPF) || wants.needs.attrs == AttrSet::ALL,
        ),
        DumpMethod::Xdp => crate::collect::netlink::wire::Request::xdp(),
        DumpMethod::Tipc => crate::collect::netlink::wire::Request::tipc(states),
        DumpMethod::Vsock | DumpMethod::Proc(..) => crate::collect::netlink::wire::Request::vsock(states),
    }
}

pub(super) fn decode(
    table: &DumpTable,
    message: &[u8],
    interfaces: &BTreeMap<u32, String>,
    sample: &mut Sample,
) -> Result<(), crate::collect::netlink::socket::Malformed> {
    match table.method {
        DumpMethod::Tcp | DumpMethod::Inet(..) => inet::decode(message, table.proto, sample),
        DumpMethod::Unix => non_ip::unix(message, sample),
        DumpMethod::Netlink => non_ip::netlink(message, sample),
        DumpMethod::Packet => non_ip::packet(message, interfaces, sample),
        DumpMethod::Xdp => non_ip::xdp(message, interfaces, sample),
        DumpMethod::Tipc => tipc::tipc(message, sample),
        DumpMethod::Vsock | DumpMethod::Proc(..) => non_ip::vsock(message, sample),
    }
}
