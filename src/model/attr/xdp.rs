//! XDP sockets: queue and rings.

use super::attrs::Attrs;
use crate::model::bytes::read_u32;
use crate::model::diag_attr::xdp;
use crate::model::proto::Family;

impl Attrs<'_> {
    /// Interface and queue of an XDP socket.
    pub fn xdp_queue(&self) -> Option<(u32, u32)> {
        let raw = if self.family == Family::Xdp { self.get(xdp::INFO)? } else { return None };
        read_u32(raw, 0).zip(read_u32(raw, 4))
    }

    /// Entries of a ring of an XDP socket ([`xdp::RX_RING`] and its kin).
    pub fn xdp_ring(&self, number: u16) -> Option<u32> {
        if self.family == Family::Xdp { read_u32(self.get(number)?, 0) } else { None }
    }
}
