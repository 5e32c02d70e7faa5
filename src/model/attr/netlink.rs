//! Netlink sockets: port id, protocol, multicast groups.

use super::attrs::Attrs;
use crate::model::bytes::{Endian, bitmap_bits, read_u32};
use crate::model::diag_attr::{netlink, own};
use crate::model::proto::Family;

impl<'a> Attrs<'a> {
    /// Protocol number of a netlink or packet socket.
    pub fn protocol(&self) -> Option<u16> {
        let raw = self.get(own::PROTOCOL)?;
        Some(u16::from_ne_bytes([*raw.first()?, *raw.get(1)?]))
    }

    /// Port id of a netlink socket; 0 is the kernel.
    pub fn port_id(&self) -> Option<u32> {
        read_u32(self.get(own::PORT_ID)?, 0)
    }

    /// `NDIAG_FLAG_*` of a netlink socket.
    pub fn netlink_flags(&self) -> Option<u32> {
        if self.family == Family::Netlink { read_u32(self.get(netlink::FLAGS)?, 0) } else { None }
    }

    /// Multicast groups that a netlink socket has joined, numbered from 1.
    pub fn netlink_group_numbers(&self) -> Option<impl Iterator<Item = u32> + 'a> {
        let raw = if self.family == Family::Netlink { self.get(netlink::GROUPS)? } else { return None };
        // `unsigned long` of the kernel, taken to be that of this program: it matters on big-endian machines only.
        Some(bitmap_bits(raw, size_of::<usize>(), Endian::NATIVE).map(|n| n + 1))
    }

    /// Bit mask of the first 64 multicast groups that a netlink socket has joined.
    pub fn netlink_groups(&self) -> Option<u64> {
        if self.family != Family::Netlink {
            return None;
        }
        let raw = self.get(netlink::GROUPS)?;
        Some(raw.iter().take(8).enumerate().fold(0, |all, (i, b)| all | u64::from(*b) << (8 * i)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Proto;
    use crate::model::attr::push;

    fn words(all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    #[test]
    fn multicast_groups_are_numbered_from_one() {
        // 32 bits each twice, or 64: the first and the seventh group and the second of the next 64.
        let longs = if cfg!(target_pointer_width = "64") {
            [0x41u64, 2].map(u64::to_ne_bytes).concat()
        } else {
            words(&[0x41, 0, 2, 0])
        };
        let mut b = Vec::new();
        push(&mut b, netlink::GROUPS, &longs);
        let a = Attrs::new(&b, Family::Netlink, Proto::Netlink);
        assert_eq!(a.netlink_group_numbers().unwrap().collect::<Vec<_>>(), [1, 7, 66]);
        let inet = Attrs::new(&b, Family::Inet, Proto::Tcp);
        assert!(inet.netlink_group_numbers().is_none());
    }
}
