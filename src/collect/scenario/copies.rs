//! Endpoints of the copies of a socket.

use crate::model::{Addr, Endpoint};

/// Endpoint of a copy: the hosts in turn, but unevenly, and increasing ports.
pub(super) fn nth_endpoint(first: Endpoint, copy: u32, hosts: u32) -> Endpoint {
    if copy == 0 {
        return first;
    }
    // Every third connection is from the first eighth of the hosts.
    let host =
        if copy < hosts || !copy.is_multiple_of(3) { copy % hosts } else { copy / 3 % (hosts / 8 + 1) };
    let mut o = *first.addr.octets();
    let tail = u32::from_be_bytes([o[12], o[13], o[14], o[15]]).wrapping_add(host);
    o[12..].copy_from_slice(&tail.to_be_bytes());
    let span = 60_999 - 1024;
    let port = (u32::from(first.port).saturating_sub(1024) + copy * 37) % span + 1024;
    Endpoint::new(Addr::v6(o), port as u16)
}
