//! Matches and targets of xtables, in rules of iptables-legacy and iptables-nft
//! (`include/uapi/linux/netfilter/xt_tcpudp.h`, `xt_multiport.h`, `nf_nat.h`).

use crate::model::Addr;
use crate::model::xtables::{
    NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_SPECIFIED, XT_MULTI_PORTS, XT_MULTIPORT_SOURCE, XT_TCP_INV_DSTPT,
};

/// First and last port.
pub(super) type PortRange = (u16, u16);

/// Destination ports of a match; `None` if it does not match destination ports.
pub(super) fn ports(name: &str, info: &[u8]) -> Option<Vec<PortRange>> {
    match name {
        // struct xt_tcp, struct xt_udp: spts[2], dpts[2] … invflags.
        "tcp" | "udp" | "udplite" => {
            let invert = *info.get(if name == "tcp" { 11 } else { 8 })?;
            let range = (host16(info, 4)?, host16(info, 6)?);
            (invert & XT_TCP_INV_DSTPT == 0 && range != (0, u16::MAX)).then(|| vec![range])
        }
        // struct xt_multiport_v1: flags, count, ports[15], pflags[15], invert.
        "multiport" => {
            let (flags, count) = (*info.first()?, usize::from(*info.get(1)?));
            if flags == XT_MULTIPORT_SOURCE || info.get(47).is_some_and(|i| *i != 0) {
                return None;
            }
            let mut out: Vec<PortRange> = Vec::new();
            let mut range_start = None;
            for i in 0..count.min(XT_MULTI_PORTS) {
                let port = host16(info, 2 + 2 * i)?;
                match range_start.take() {
                    Some(first) => out.push((first, port)),
                    None if info.get(32 + i).is_some_and(|f| *f != 0) => range_start = Some(port),
                    None => out.push((port, port)),
                }
            }
            Some(out)
        }
        _ => None,
    }
}

/// The destination that a target sets; `None` where it stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NewDestination {
    pub(super) addr: Option<Addr>,
    /// The last address of a range.
    pub(super) last_addr: Option<Addr>,
    pub(super) ports: Option<PortRange>,
}

/// The new destination of `DNAT` and `REDIRECT`; `None` for other targets. `v6`: addresses are IPv6.
pub(super) fn target(name: &str, info: &[u8], v6: bool) -> Option<NewDestination> {
    if !matches!(name, "DNAT" | "REDIRECT") {
        return None;
    }
    let word = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
    // struct nf_nat_range has addresses of sixteen bytes; struct nf_nat_ipv4_multi_range_compat has four, after a count.
    let wide = info.len() >= 40;
    let (flags, first) = if wide { (word(0)?, 4) } else { (word(4)?, 8) };
    let address = |at: usize| {
        let bytes = info.get(at..)?;
        if wide && v6 { Some(Addr::v6(*bytes.first_chunk()?)) } else { Some(Addr::v4(*bytes.first_chunk()?)) }
    };
    let (last, ports) = if wide { (first + 16, 36) } else { (first + 4, 16) };
    let (addr, last) = (address(first)?, address(last)?);
    let mapped = name == "DNAT" && flags & NF_NAT_RANGE_MAP_IPS != 0;
    Some(NewDestination {
        addr: mapped.then_some(addr),
        last_addr: (mapped && last > addr).then_some(last),
        ports: if flags & NF_NAT_RANGE_PROTO_SPECIFIED != 0 {
            Some((net16(info, ports)?, net16(info, ports + 2)?))
        } else {
            None
        },
    })
}

fn host16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn net16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_matches_yield_ranges() {
        let mut tcp = [0u8; 12];
        tcp[2..4].copy_from_slice(&u16::MAX.to_ne_bytes());
        tcp[4..6].copy_from_slice(&8080u16.to_ne_bytes());
        tcp[6..8].copy_from_slice(&8090u16.to_ne_bytes());
        assert_eq!(ports("tcp", &tcp), Some(vec![(8080, 8090)]));
        tcp[11] = 2;
        assert_eq!(ports("tcp", &tcp), None, "all but these");
        let mut multi = [0u8; 48];
        (multi[0], multi[1]) = (1, 3);
        for (i, p) in [80u16, 8000, 8010].iter().enumerate() {
            multi[2 + 2 * i..4 + 2 * i].copy_from_slice(&p.to_ne_bytes());
        }
        multi[33] = 1;
        assert_eq!(ports("multiport", &multi), Some(vec![(80, 80), (8000, 8010)]));
        for n in 0..48 {
            let _ = (ports("multiport", &multi[..n]), ports("tcp", &tcp[..n.min(12)]));
        }
        assert_eq!(ports("addrtype", &multi), None);
    }

    #[test]
    fn dnat_and_redirect_yield_new_destination() {
        let mut range = [0u8; 40];
        range[..4].copy_from_slice(&3u32.to_ne_bytes());
        range[4..8].copy_from_slice(&[172, 17, 0, 2]);
        range[36..40].copy_from_slice(&[0, 80, 0, 80]);
        let (web, last) = (Addr::v4([172, 17, 0, 2]), Addr::v4([172, 17, 0, 5]));
        let sent = NewDestination { addr: Some(web), last_addr: None, ports: Some((80, 80)) };
        assert_eq!(target("DNAT", &range, false), Some(sent));
        range[20..24].copy_from_slice(&[172, 17, 0, 5]);
        assert_eq!(
            target("DNAT", &range, false),
            Some(NewDestination { last_addr: Some(last), ..sent }),
            "one of four"
        );
        let mut old = [0u8; 20];
        old[..8].copy_from_slice([1u32, 2].map(u32::to_ne_bytes).as_flattened());
        old[16..20].copy_from_slice(&[0x1f, 0x90, 0x1f, 0x90]);
        assert_eq!(
            target("REDIRECT", &old, false),
            Some(NewDestination { ports: Some((8080, 8080)), ..NewDestination::default() })
        );
        assert_eq!(target("MASQUERADE", &old, false), None);
        for n in 0..40 {
            let _ = (target("DNAT", &range[..n], false), target("DNAT", &range[..n], true));
        }
    }
}
