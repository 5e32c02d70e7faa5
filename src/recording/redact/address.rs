//! Addresses: each becomes another one of its family and scope, and no two become the same.

use super::Redactor;
use crate::model::Addr;

/// Rounds of the Feistel network: more than the four that make a permutation from a keyed hash.
const ROUNDS: u32 = 8;
const V4_BITS: u32 = 32;
const V6_BITS: u32 = 128;

/// Bits at the begin of an IPv4 address that stay, and its kind.
const V4_KEPT: [(u32, u32); 7] = [
    (0x0a00_0000, 8),
    (0xac10_0000, 12),
    (0xc0a8_0000, 16),
    (0x6440_0000, 10),
    (0xa9fe_0000, 16),
    (0xe000_0000, 4),
    (0xf000_0000, 4),
];

const fn low_bits(bits: u32) -> u128 {
    if bits >= V6_BITS { u128::MAX } else { (1 << bits) - 1 }
}

/// Bits at the begin of an IPv4 address that stay; 0 for a public one.
fn v4_kept(ip: u32) -> u32 {
    V4_KEPT.iter().find(|(net, len)| (ip ^ net) >> (V4_BITS - len) == 0).map_or(0, |(_, len)| *len)
}

/// True for addresses that mean the same everywhere: they stay.
const fn is_well_known_v4(ip: u32) -> bool {
    // 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/24, broadcast, and the metadata service of clouds.
    ip >> 24 == 0 || ip >> 24 == 127 || ip >> 8 == 0x00e0_0000 || ip == u32::MAX || ip == 0xa9fe_a9fe
}

/// Bits at the begin of an IPv6 address that stay.
const fn v6_kept(ip: u128) -> u32 {
    match (ip >> 120) as u8 {
        // Flags and scope of multicast.
        0xff => 16,
        0xfc | 0xfd => 8,
        0xfe if ip >> 64 == 0xfe80 << 48 => 64,
        0xfe => 10,
        // 64:ff9b::/96 has an IPv4 address behind it.
        0 if ip >> 32 == 0x0064_ff9b << 64 => 96,
        // 2000::/3 and the other eighths.
        _ => 3,
    }
}

/// `::`, `::1`, and multicast groups of fixed number such as `ff02::fb`.
const fn is_well_known_v6(ip: u128) -> bool {
    ip <= 1 || (ip >> 120 == 0xff && (ip << 16) >> 32 == 0)
}

impl Redactor {
    /// Address in place of another one. Wildcards, loopback and well-known groups stay.
    pub(super) fn addr(&self, addr: Addr) -> Addr {
        if let std::net::IpAddr::V4(v4) = addr.ip() {
            return Addr::v4(self.v4(v4.into()).to_be_bytes());
        }
        let ip = u128::from_be_bytes(*addr.octets());
        Addr::v6(self.v6(ip).to_be_bytes())
    }

    fn v4(&self, ip: u32) -> u32 {
        if is_well_known_v4(ip) {
            return ip;
        }
        let kept = v4_kept(ip);
        let mut next = ip;
        // A permutation that is applied until it is back in the set is one of the set.
        loop {
            next = self.permuted("v4", next.into(), V4_BITS - kept, kept) as u32;
            if v4_kept(next) == kept && !is_well_known_v4(next) {
                return next;
            }
        }
    }

    fn v6(&self, ip: u128) -> u128 {
        if is_well_known_v6(ip) {
            return ip;
        }
        let kept = v6_kept(ip);
        if kept == 96 {
            return (ip & !low_bits(V4_BITS)) | u128::from(self.v4(ip as u32));
        }
        let mut next = ip;
        loop {
            next = self.permuted("v6", next, V6_BITS - kept, kept);
            let mapped = next >> 32 == 0xffff;
            if v6_kept(next) == kept && !is_well_known_v6(next) && !mapped {
                return next;
            }
        }
    }

    /// The lowest bits permuted under the key (Feistel network), the others as they are.
    fn permuted(&self, kind: &str, value: u128, bits: u32, kept: u32) -> u128 {
        let (mut left_bits, mut right_bits) = (bits / 2, bits - bits / 2);
        let (mut left, mut right) = ((value & low_bits(bits)) >> right_bits, value & low_bits(right_bits));
        let class = value & !low_bits(bits);
        let mut input = [0; 40];
        for round in 0..ROUNDS {
            input[..16].copy_from_slice(&right.to_le_bytes());
            input[16..32].copy_from_slice(&class.to_le_bytes());
            input[32..36].copy_from_slice(&round.to_le_bytes());
            input[36..].copy_from_slice(&kept.to_le_bytes());
            let mixed = left ^ (u128::from(self.hash(kind, &input)) & low_bits(left_bits));
            (left, right) = (right, mixed);
            (left_bits, right_bits) = (right_bits, left_bits);
        }
        class | left << right_bits | right
    }

    /// Bytes of an address of 4 or 16, or the first of one: nft loads `10.1.2.0/24` as three bytes. `mask`: the bits that are
    /// compared.
    pub(super) fn addr_bytes(&self, bytes: &[u8], mask: Option<&[u8]>, v6: bool) -> Box<[u8]> {
        let addr = if v6 {
            let mut whole = [0; 16];
            let n = bytes.len().min(16);
            whole[..n].copy_from_slice(&bytes[..n]);
            self.addr(Addr::v6(whole)).octets().to_vec()
        } else {
            let mut whole = [0; 4];
            let n = bytes.len().min(4);
            whole[..n].copy_from_slice(&bytes[..n]);
            self.addr(Addr::v4(whole)).octets()[12..].to_vec()
        };
        let masked = |(i, b): (usize, u8)| b & mask.and_then(|m| m.get(i)).copied().unwrap_or(0xff);
        let mut out: Vec<u8> = addr.into_iter().enumerate().map(masked).take(bytes.len()).collect();
        out.resize(bytes.len(), 0);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    #[test]
    fn address_keeps_its_family_and_scope() {
        let r = Redactor::new().unwrap();
        for text in [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.254",
            "192.168.1.1",
            "100.64.3.4",
            "169.254.7.7",
            "8.8.8.8",
            "203.0.113.77",
            "239.1.2.3",
            "250.1.1.1",
            "2001:db8::1",
            "fd00::2",
            "fe80::1:2",
            "febf::1",
            "ff05::abcd:1",
            "64:ff9b::808:808",
            "::2",
            "4000::1",
        ] {
            let (old, new) = (addr(text), r.addr(addr(text)));
            assert_eq!((new.scope(), new.is_v4()), (old.scope(), old.is_v4()), "{old} {new}");
            assert_eq!(new.needs_zone(), old.needs_zone(), "{old} {new}");
            assert_eq!(r.addr(old), new);
            assert_ne!(new, old);
        }
        for text in ["0.0.0.0", "::", "127.0.0.53", "::1", "255.255.255.255", "224.0.0.251", "ff02::fb"] {
            assert_eq!(r.addr(addr(text)), addr(text));
        }
        assert_eq!(r.addr(addr("::ffff:10.0.0.1")), r.addr(addr("10.0.0.1")));
        let other = Redactor::new().unwrap();
        let some = ["10.1.2.3", "8.8.8.8", "2001:db8::1"].map(addr);
        assert_ne!(some.map(|a| r.addr(a)), some.map(|a| other.addr(a)), "another key");
    }

    #[test]
    fn different_addresses_stay_different() {
        let r = Redactor::new().unwrap();
        // All of a small scope: a permutation of it.
        let all: HashSet<u32> = (0..=u32::from(u16::MAX)).map(|n| r.v4(0xc0a8_0000 | n)).collect();
        assert_eq!(all.len(), 1 << 16);
        assert!(all.iter().all(|ip| ip >> 16 == 0xc0a8));
        let public: HashSet<u32> = (0..20_000).map(|n| r.v4(0x0801_0000 + n * 7919)).collect();
        assert_eq!(public.len(), 20_000);
        let v6: HashSet<u128> = (0..5_000).map(|n| r.v6((0x2001_0db8 << 96) + n)).collect();
        assert_eq!(v6.len(), 5_000);
    }

    #[test]
    fn compared_part_of_an_address_keeps_its_length() {
        let r = Redactor::new().unwrap();
        let whole = r.addr_bytes(&[10, 1, 2, 3], None, false);
        assert_eq!(*whole, r.addr(addr("10.1.2.3")).octets()[12..]);
        assert_eq!(r.addr_bytes(&[10, 1, 2, 0], Some(&[255, 255, 255, 0]), false)[3], 0);
        assert_eq!(r.addr_bytes(&[10, 1, 2], None, false).len(), 3);
        assert_eq!(r.addr_bytes(&[0x20, 1, 0xd, 0xb8], None, true).len(), 4);
    }
}
