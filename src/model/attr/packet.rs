//! Packet sockets: filter, flags, fanout.

use super::attrs::Attrs;
use crate::model::bytes::read_u32;
use crate::model::diag_attr::packet;
use crate::model::proto::Family;

impl<'a> Attrs<'a> {
    /// Filter program of a packet socket; empty without permission.
    pub fn packet_filter(&self) -> Option<&'a [u8]> {
        if self.family == Family::Packet { self.get(packet::FILTER) } else { None }
    }

    /// `PDI_*` flags of a packet socket.
    pub fn packet_flags(&self) -> Option<u32> {
        if self.family == Family::Packet { read_u32(self.get(packet::INFO)?, 20) } else { None }
    }

    /// Fanout group and type of a packet socket.
    pub fn packet_fanout(&self) -> Option<(u16, u16)> {
        if self.family != Family::Packet {
            return None;
        }
        let n = read_u32(self.get(packet::FANOUT)?, 0)?;
        Some((n as u16, (n >> 16) as u16))
    }
}
