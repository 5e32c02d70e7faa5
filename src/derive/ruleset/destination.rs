//! New destinations of NAT statements and targets.

use crate::model::nft::NF_NAT_RANGE_NETMAP;
use crate::model::xtables::{NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_OFFSET, NF_NAT_RANGE_PROTO_SPECIFIED};

/// `XT_CT_NOTRACK`.
const XT_CT_NOTRACK: u8 = 1;
/// `XT_CONNMARK_SET`.
const XT_CONNMARK_SET: u8 = 0;
/// `XT_CONNMARK_SAVE`.
const XT_CONNMARK_SAVE: u8 = 1;
/// `XT_CONNMARK_RESTORE`.
const XT_CONNMARK_RESTORE: u8 = 2;

/// New destination of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::derive) struct NewDestination {
    pub(in crate::derive) addr: NewAddr,
    pub(in crate::derive) ports: NewPorts,
}

/// New destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::derive) enum NewAddr {
    /// Unchanged.
    Keep,
    /// An address of this host.
    Local,
    /// Not evaluated.
    Unknown,
    /// One of these, first and last.
    Among(u128, u128),
    /// The network is replaced by that of these addresses, first and last; the rest stays (`NETMAP`).
    Prefix(u128, u128),
}

/// New destination ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::derive) enum NewPorts {
    /// Unchanged.
    Keep,
    /// One of these, first and last.
    Among(u16, u16),
    /// From the first, at the distance from the base port.
    Shifted(u16, u16, u16),
}

impl NewAddr {
    /// From a range of addresses; with `NETMAP` semantics if `prefix`.
    pub(super) fn range(first: u128, last: u128, prefix: bool) -> Self {
        if prefix { Self::Prefix(first, last) } else { Self::Among(first, last) }
    }

    /// The new address of one.
    pub(in crate::derive) const fn translate(self, addr: u128) -> Option<u128> {
        match self {
            Self::Keep => Some(addr),
            Self::Local | Self::Unknown => None,
            Self::Among(first, _) => Some(first),
            // The bits in which the range varies are those of the host.
            Self::Prefix(first, last) => Some(first & !(first ^ last) | addr & (first ^ last)),
        }
    }
}

/// Effect of a target of xtables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetEffect {
    Nat(NewDestination),
    Accept,
    Reject,
    Queue,
    /// The packet continues without connection tracking.
    Untracked,
    /// The packet continues, with the mark `& .0 ^ .1`; `None`: not evaluated.
    Mark(Option<(u32, u32)>),
    /// The same for the mark of the connection.
    Connmark(Option<(u32, u32)>),
    /// The mark of the connection becomes that of the packet under this mask.
    SaveMark(u32),
    /// The mark of the packet becomes that of the connection under this mask.
    RestoreMark(u32),
    /// The packet continues with the next rule.
    Continue,
}

/// Reads a target of iptables. `v6`: addresses are IPv6.
pub(super) fn target_effect(name: &str, revision: u32, info: &[u8], v6: bool) -> TargetEffect {
    match name {
        "DNAT" | "REDIRECT" | "NETMAP" => {
            nat_range(name, info, v6).map_or(TargetEffect::Continue, TargetEffect::Nat)
        }
        "SNAT" | "MASQUERADE" => TargetEffect::Accept,
        "REJECT" => TargetEffect::Reject,
        "NFQUEUE" | "QUEUE" => TargetEffect::Queue,
        "NOTRACK" => TargetEffect::Untracked,
        // struct xt_ct_target_info begins with its flags.
        "CT" if info.first().is_some_and(|flags| flags & XT_CT_NOTRACK != 0) => TargetEffect::Untracked,
        // struct xt_mark_tginfo2: mark, mask.
        "MARK" => {
            let read = || Some((!word(info, 4)?, word(info, 0)?));
            TargetEffect::Mark(if revision == 2 { read() } else { None })
        }
        "CONNMARK" => connmark(revision, info),
        _ => TargetEffect::Continue,
    }
}

/// `struct xt_connmark_tginfo1`: mark, mask, mask of the packet's mark, mode; revision 2 has a shift before the mode.
fn connmark(revision: u32, info: &[u8]) -> TargetEffect {
    let all = u32::MAX;
    let (mark, ct_mask, packet_mask) = match (word(info, 0), word(info, 4), word(info, 8)) {
        (Some(mark), Some(ct), Some(packet)) if revision == 1 || info.get(13) == Some(&0) => {
            (mark, ct, packet)
        }
        _ => return TargetEffect::Connmark(None),
    };
    match info.get(if revision == 1 { 12 } else { 14 }) {
        Some(&XT_CONNMARK_SET) => TargetEffect::Connmark(Some((!ct_mask, mark))),
        Some(&XT_CONNMARK_SAVE) if ct_mask == all => TargetEffect::SaveMark(packet_mask),
        Some(&XT_CONNMARK_RESTORE) if packet_mask == all => TargetEffect::RestoreMark(ct_mask),
        Some(&XT_CONNMARK_RESTORE) => TargetEffect::Mark(None),
        _ => TargetEffect::Connmark(None),
    }
}

fn word(info: &[u8], at: usize) -> Option<u32> {
    info.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn nat_range(name: &str, info: &[u8], v6: bool) -> Option<NewDestination> {
    // struct nf_nat_range has addresses of sixteen bytes; struct nf_nat_ipv4_multi_range_compat has four, after a count.
    let wide = info.len() >= 40;
    let (flags, first) = if wide { (word(info, 0)?, 4) } else { (word(info, 4)?, 8) };
    let address = |at: usize| {
        let bytes = info.get(at..)?;
        if wide && v6 {
            Some(u128::from_be_bytes(*bytes.first_chunk()?))
        } else {
            Some(u128::from(u32::from_be_bytes(*bytes.first_chunk()?)))
        }
    };
    let (last, ports) = if wide { (first + 16, 36) } else { (first + 4, 16) };
    let (first, last) = (address(first)?, address(last)?);
    let mapped = flags & NF_NAT_RANGE_MAP_IPS != 0;
    let addr = match name {
        "REDIRECT" => NewAddr::Local,
        "NETMAP" => NewAddr::Prefix(first, last),
        _ if mapped => NewAddr::range(first, last, flags & NF_NAT_RANGE_NETMAP != 0),
        _ => NewAddr::Keep,
    };
    let port = |at: usize| Some(u16::from_be_bytes(info.get(at..at + 2)?.try_into().ok()?));
    let ports = if flags & NF_NAT_RANGE_PROTO_SPECIFIED == 0 || name == "NETMAP" {
        NewPorts::Keep
    } else if flags & NF_NAT_RANGE_PROTO_OFFSET != 0 && info.len() >= 42 {
        NewPorts::Shifted(port(ports)?, port(ports + 2)?, port(ports + 4)?)
    } else {
        NewPorts::Among(port(ports)?, port(ports + 2)?)
    };
    Some(NewDestination { addr, ports })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ip(a: u8, b: u8, c: u8, d: u8) -> u128 {
        u32::from_be_bytes([a, b, c, d]) as u128
    }

    #[test]
    fn dnat_and_redirect_yield_new_destination() {
        let mut range = [0u8; 44];
        range[..4].copy_from_slice(&3u32.to_ne_bytes());
        range[4..8].copy_from_slice(&[172, 17, 0, 2]);
        range[20..24].copy_from_slice(&[172, 17, 0, 5]);
        range[36..42].copy_from_slice(&[0, 80, 0, 90, 0x1f, 0x90]);
        let addr = NewAddr::Among(ip(172, 17, 0, 2), ip(172, 17, 0, 5));
        let nat = |ports| TargetEffect::Nat(NewDestination { addr, ports });
        assert_eq!(target_effect("DNAT", 0, &range[..40], false), nat(NewPorts::Among(80, 90)));
        range[0] |= 1 << 5;
        assert_eq!(target_effect("DNAT", 0, &range, false), nat(NewPorts::Shifted(80, 90, 8080)));
        range[..4].copy_from_slice(&2u32.to_ne_bytes());
        let keep = NewDestination { addr: NewAddr::Keep, ports: NewPorts::Among(80, 90) };
        assert_eq!(target_effect("DNAT", 0, &range, false), TargetEffect::Nat(keep), "only the port");
        let mut old = [0u8; 20];
        old[..8].copy_from_slice([1u32, 2].map(u32::to_ne_bytes).as_flattened());
        old[16..20].copy_from_slice(&[0x1f, 0x90, 0x1f, 0x90]);
        let local = NewDestination { addr: NewAddr::Local, ports: NewPorts::Among(8080, 8080) };
        assert_eq!(target_effect("REDIRECT", 0, &old, false), TargetEffect::Nat(local));
        assert_eq!(target_effect("MASQUERADE", 0, &old, false), TargetEffect::Accept);
        for n in 0..44 {
            let _ =
                (target_effect("DNAT", 0, &range[..n], false), target_effect("DNAT", 0, &range[..n], true));
        }
    }

    #[test]
    fn mark_targets_yield_their_arithmetic() {
        let words = |all: &[u32], rest: &[u8]| {
            [all.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>(), rest.to_vec()].concat()
        };
        let set = words(&[0x4000, 0x4000], &[]);
        assert_eq!(target_effect("MARK", 2, &set, false), TargetEffect::Mark(Some((!0x4000, 0x4000))));
        assert_eq!(target_effect("MARK", 1, &set, false), TargetEffect::Mark(None));
        let restore = words(&[0, 0xff, u32::MAX], &[2, 0, 0, 0]);
        assert_eq!(target_effect("CONNMARK", 1, &restore, false), TargetEffect::RestoreMark(0xff));
        let save = words(&[0, u32::MAX, 0xff], &[0, 0, 1, 0]);
        assert_eq!(target_effect("CONNMARK", 2, &save, false), TargetEffect::SaveMark(0xff));
        let shifted = words(&[0, u32::MAX, 0xff], &[0, 8, 1, 0]);
        assert_eq!(target_effect("CONNMARK", 2, &shifted, false), TargetEffect::Connmark(None));
        assert_eq!(target_effect("CT", 2, &[1, 0], false), TargetEffect::Untracked);
        assert_eq!(target_effect("CT", 2, &[0, 0], false), TargetEffect::Continue);
        for n in 0..set.len() {
            let _ = (
                target_effect("MARK", 2, &set[..n], false),
                target_effect("CONNMARK", 1, &restore[..n], false),
            );
        }
    }

    #[test]
    fn netmap_keeps_the_host_part() {
        let map = NewAddr::Prefix(ip(192, 168, 7, 0), ip(192, 168, 7, 255));
        assert_eq!(map.translate(ip(10, 1, 2, 3)), Some(ip(192, 168, 7, 3)));
    }
}
