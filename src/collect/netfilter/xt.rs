//! Matches and targets of iptables inside rules of `nf_tables` (`include/uapi/linux/netfilter/xt_tcpudp.h`,
//! `xt_multiport.h`, `nf_nat.h`).

use crate::model::Addr;

/// First and last port.
pub(crate) type Ports = (u16, u16);

/// Destination ports that a match lets through; `None` where it says nothing of them.
pub(crate) fn ports(name: &str, info: &[u8]) -> Option<Vec<Ports>> {
    match name {
        // spts[2], dpts[2], and the bits that invert at the end.
        "tcp" | "udp" | "udplite" => {
            let invert = *info.get(if name == "tcp" { 11 } else { 8 })?;
            let range = (host16(info, 4)?, host16(info, 6)?);
            (invert & 2 == 0 && range != (0, u16::MAX)).then(|| vec![range])
        }
        // flags, count, ports[15], pflags[15], invert.
        "multiport" => {
            let (flags, count) = (*info.first()?, usize::from(*info.get(1)?));
            if flags == 0 || info.get(47).is_some_and(|i| *i != 0) {
                return None;
            }
            let mut out: Vec<Ports> = Vec::new();
            let mut open = None;
            for i in 0..count.min(15) {
                let port = host16(info, 2 + 2 * i)?;
                match open.take() {
                    Some(first) => out.push((first, port)),
                    None if info.get(32 + i).is_some_and(|f| *f != 0) => open = Some(port),
                    None => out.push((port, port)),
                }
            }
            Some(out)
        }
        _ => None,
    }
}

/// Where a target sends to: an address and ports, each where it changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) to: Option<Addr>,
    /// The last address, where it chooses between several.
    pub(crate) last: Option<Addr>,
    pub(crate) ports: Option<Ports>,
}

/// `NF_NAT_RANGE_MAP_IPS` and `NF_NAT_RANGE_PROTO_SPECIFIED`.
const IPS: u32 = 1;
const PORTS: u32 = 2;

/// What `DNAT` and `REDIRECT` do; `None` for another target. `v6` says how addresses are to be read.
pub(crate) fn target(name: &str, info: &[u8], v6: bool) -> Option<Sent> {
    if !matches!(name, "DNAT" | "REDIRECT") {
        return None;
    }
    let word = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
    // struct nf_nat_range has sixteen bytes an address; the older form for IPv4 counts ranges and has four.
    let new = info.len() >= 40;
    let (flags, first) = if new { (word(0)?, 4) } else { (word(4)?, 8) };
    let address = |at: usize| {
        let bytes = info.get(at..)?;
        if new && v6 { Some(Addr::v6(*bytes.first_chunk()?)) } else { Some(Addr::v4(*bytes.first_chunk()?)) }
    };
    let (last, ports) = if new { (first + 16, 36) } else { (first + 4, 16) };
    let (addr, last) = (address(first)?, address(last)?);
    let mapped = name == "DNAT" && flags & IPS != 0;
    Some(Sent {
        to: mapped.then_some(addr),
        last: (mapped && last > addr).then_some(last),
        ports: if flags & PORTS != 0 { Some((net16(info, ports)?, net16(info, ports + 2)?)) } else { None },
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
    fn matches_of_ports() {
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
    fn targets() {
        let mut range = [0u8; 40];
        range[..4].copy_from_slice(&3u32.to_ne_bytes());
        range[4..8].copy_from_slice(&[172, 17, 0, 2]);
        range[36..40].copy_from_slice(&[0, 80, 0, 80]);
        let (web, last) = (Addr::v4([172, 17, 0, 2]), Addr::v4([172, 17, 0, 5]));
        let sent = Sent { to: Some(web), last: None, ports: Some((80, 80)) };
        assert_eq!(target("DNAT", &range, false), Some(sent));
        range[20..24].copy_from_slice(&[172, 17, 0, 5]);
        assert_eq!(target("DNAT", &range, false), Some(Sent { last: Some(last), ..sent }), "one of four");
        let mut old = [0u8; 20];
        old[..8].copy_from_slice([1u32, 2].map(u32::to_ne_bytes).as_flattened());
        old[16..20].copy_from_slice(&[0x1f, 0x90, 0x1f, 0x90]);
        assert_eq!(
            target("REDIRECT", &old, false),
            Some(Sent { ports: Some((8080, 8080)), ..Sent::default() })
        );
        assert_eq!(target("MASQUERADE", &old, false), None);
        for n in 0..40 {
            let _ = (target("DNAT", &range[..n], false), target("DNAT", &range[..n], true));
        }
    }
}
