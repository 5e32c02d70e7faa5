//! Matches of xtables, in entries of iptables-legacy and in rules of iptables-nft
//! (`include/uapi/linux/netfilter/xt_*.h`).

use super::fields::{Fields, Form, Key};
use super::interval::Intervals;
use super::packets::{Field, PacketBox, narrow_all};
use crate::model::nft::NFT_CT_STATUS;
use crate::model::xtables::{
    Entry, IPT_F_FRAG, IPT_INV_DSTIP, IPT_INV_FRAG, IPT_INV_SRCIP, IPT_INV_VIA_IN, IPT_INV_VIA_OUT,
    XT_INV_PROTO, XT_MULTI_PORTS, XT_MULTIPORT_EITHER, XT_MULTIPORT_SOURCE, XT_TCP_INV_DSTPT,
    XT_TCP_INV_SRCPT,
};

/// `TH_SYN`: the flag of the packet that opens a connection.
const SYN: u8 = 0x02;
/// `XT_TCP_INV_FLAGS`.
const XT_TCP_INV_FLAGS: u8 = 0x04;
/// `XT_CONNTRACK_STATE`.
const XT_CONNTRACK_STATE: u16 = 1;
/// Bits of `XT_CONNTRACK_STATE_BIT`: invalid, established, related, new.
const XT_STATE_BITS: u32 = 0xf;
/// `XT_CONNTRACK_STATE_UNTRACKED`, and the bit of `nf_tables`.
const XT_STATE_UNTRACKED: (u32, u128) = (1 << 8, 0x40);

/// `XT_CONNTRACK_STATE_DNAT`.
const XT_CONNTRACK_STATE_DNAT: u32 = 1 << 7;
/// `IPS_DST_NAT`.
pub(super) const IPS_DST_NAT: u128 = 1 << 5;

/// The bit of the status of a connection whose destination was translated.
pub(super) fn dnat_status(fields: &mut Fields) -> Field {
    let status = fields.known(Key::Ct(NFT_CT_STATUS, 0), "ct status", Form::Number, u32::MAX.into());
    masked(fields, status, IPS_DST_NAT, 0)
}

fn host16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn host32(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn inverted(values: Intervals, field: Field, invert: bool) -> Intervals {
    if invert { values.complement(field.highest()) } else { values }
}

/// Keeps the packets that a match accepts. `v6`: addresses are IPv6.
pub(super) fn narrow(boxes: &mut Vec<PacketBox>, fields: &mut Fields, name: &str, info: &[u8], v6: bool) {
    if known_match(boxes, fields, name, info, v6).is_none() {
        condition(boxes, fields, name, info);
    }
}

/// Keeps the packets under a condition that has only a name.
pub(super) fn condition(boxes: &mut Vec<PacketBox>, fields: &mut Fields, name: &str, info: &[u8]) {
    let random = matches!(
        name,
        "limit"
            | "hashlimit"
            | "statistic"
            | "quota"
            | "connlimit"
            | "recent"
            | "rateest"
            | "dynset"
            | "connbytes"
    );
    let field = if random {
        let text = probability(name, info).unwrap_or_else(|| name.to_owned());
        fields.random(&text, 1)
    } else {
        fields.known(Key::Condition(name.into(), info.into()), name, Form::Flag, 1)
    };
    narrow_all(boxes, field, &Intervals::value(1));
}

/// `statistic` with its probability (`struct xt_statistic_info`: mode, flags, probability of 2^31).
fn probability(name: &str, info: &[u8]) -> Option<String> {
    let p = host32(info, 4).filter(|_| name == "statistic" && host16(info, 0) == Some(0))?;
    Some(format!("statistic probability {:.2}", f64::from(p) / f64::from(1u32 << 31)))
}

/// `None`: not a match that is read.
fn known_match(
    boxes: &mut Vec<PacketBox>,
    fields: &mut Fields,
    name: &str,
    info: &[u8],
    v6: bool,
) -> Option<()> {
    let (daddr, dport, daddr_type) =
        (fields.now(Field::DADDR), fields.now(Field::DPORT), fields.now(Field::DADDR_TYPE));
    let mut keep = |field, values: Intervals| narrow_all(boxes, field, &values);
    match name {
        "comment" => {}
        // struct xt_tcp, struct xt_udp: spts[2], dpts[2] …, invflags.
        "tcp" | "udp" | "udplite" => {
            let invert = *info.get(if name == "tcp" { 11 } else { 8 })?;
            let span = |at| Some(Intervals::span(host16(info, at)?.into(), host16(info, at + 2)?.into()));
            let (source, dest) = (span(0)?, span(4)?);
            keep(Field::SPORT, inverted(source, Field::SPORT, invert & XT_TCP_INV_SRCPT != 0));
            keep(dport, inverted(dest, dport, invert & XT_TCP_INV_DSTPT != 0));
            if name == "tcp" {
                let (option, mask, want) = (info[8], info[9], info[10]);
                let is_syn = (SYN & mask == want) != (invert & XT_TCP_INV_FLAGS != 0);
                if option != 0 || mask != 0 && !is_syn {
                    condition(boxes, fields, "tcp flags", &info[8..]);
                }
            }
        }
        "multiport" => {
            let (kind, ports) = multiport(info)?;
            match kind {
                XT_MULTIPORT_SOURCE => keep(Field::SPORT, ports),
                XT_MULTIPORT_EITHER => {
                    let mut by_dest = boxes.clone();
                    narrow_all(&mut by_dest, dport, &ports.complement(0xffff));
                    narrow_all(&mut by_dest, Field::SPORT, &ports);
                    narrow_all(boxes, dport, &ports);
                    boxes.append(&mut by_dest);
                }
                _ => keep(dport, ports),
            }
        }
        // struct xt_mark_mtinfo1: mark, mask, invert; connmark has the same.
        "mark" | "connmark" => {
            let (value, mask, invert) = (host32(info, 0)?, host32(info, 4)?, *info.get(8)? != 0);
            let field = if name == "mark" { mark(fields) } else { connmark(fields) };
            let field = masked(fields, field, mask.into(), 0);
            keep(field, inverted(Intervals::value(value.into()), field, invert));
        }
        "addrtype" => {
            // struct xt_addrtype_info_v1: source, dest, flags; v0 has two words of inversion instead of flags.
            let (source, dest) = (host16(info, 0)?, host16(info, 2)?);
            let (not_source, not_dest, limited) = if info.len() >= 12 {
                (host32(info, 4)? != 0, host32(info, 8)? != 0, false)
            } else {
                let flags = host32(info, 4)?;
                (flags & 1 != 0, flags & 2 != 0, flags & 0xc != 0)
            };
            if limited {
                return None;
            }
            for (field, mask, not) in [(Field::SADDR_TYPE, source, not_source), (daddr_type, dest, not_dest)]
            {
                if mask != 0 {
                    let types = (0..=11).filter(|t| mask >> t & 1 != 0).map(|t| (t, t)).collect();
                    keep(field, inverted(Intervals::union_of(types), field, not));
                }
            }
        }
        // struct xt_iprange_mtinfo: four addresses, flags.
        "iprange" => {
            let address = |at: usize| {
                let bytes = info.get(at..at + 16)?;
                let v4 = u32::from_be_bytes(*bytes.first_chunk()?);
                if v6 { Some(u128::from_be_bytes(*bytes.first_chunk()?)) } else { Some(v4.into()) }
            };
            let flags = *info.get(64)?;
            for (field, at, has, not) in [(Field::SADDR, 0, 1, 0x10), (daddr, 32, 2, 0x20)] {
                if flags & has != 0 {
                    let range = Intervals::span(address(at)?, address(at + 16)?);
                    keep(field, inverted(range, field, flags & not != 0));
                }
            }
        }
        // struct xt_state_info: statemask.
        "state" => keep(Field::CT_STATE, ct_states(host32(info, 0)?)?),
        // struct xt_conntrack_mtinfo2 and 3: match_flags, invert_flags, state_mask; mtinfo1 has a state_mask of one byte.
        "conntrack" => {
            if host16(info, 146)? != XT_CONNTRACK_STATE {
                return None;
            }
            let mask = if info.len() >= 160 { host16(info, 150)?.into() } else { u32::from(*info.get(150)?) };
            let states = ct_states(mask & !XT_CONNTRACK_STATE_DNAT)?;
            let invert = host16(info, 148)? & XT_CONNTRACK_STATE != 0;
            if mask & XT_CONNTRACK_STATE_DNAT == 0 {
                keep(Field::CT_STATE, inverted(states, Field::CT_STATE, invert));
                return Some(());
            }
            // Beside the state: the destination was translated.
            let status = dnat_status(fields);
            let others = states.complement(Field::CT_STATE.highest());
            if invert {
                narrow_all(boxes, Field::CT_STATE, &others);
                narrow_all(boxes, status, &Intervals::value(0));
            } else {
                let mut translated = boxes.clone();
                narrow_all(&mut translated, Field::CT_STATE, &others);
                narrow_all(&mut translated, status, &Intervals::value(IPS_DST_NAT));
                narrow_all(boxes, Field::CT_STATE, &states);
                boxes.append(&mut translated);
            }
        }
        _ => return None,
    }
    Some(())
}

/// The states of a mask; `None` if it has one that is not a state of `nf_tables` (SNAT, DNAT).
fn ct_states(mask: u32) -> Option<Intervals> {
    if mask & !(XT_STATE_BITS | XT_STATE_UNTRACKED.0) != 0 {
        return None;
    }
    let untracked = (mask & XT_STATE_UNTRACKED.0 != 0).then_some(XT_STATE_UNTRACKED.1);
    let bits = (0..4).map(|b| 1 << b).filter(|b| u128::from(mask) & b != 0);
    Some(Intervals::union_of(bits.chain(untracked).map(|b| (b, b)).collect()))
}

/// Kind and ports of `struct xt_multiport_v1`: `flags`, `count`, `ports`, `pflags`, `invert`.
fn multiport(info: &[u8]) -> Option<(u8, Intervals)> {
    let (flags, count) = (*info.first()?, usize::from(*info.get(1)?));
    let (mut out, mut range_start) = (Vec::new(), None);
    for i in 0..count.min(XT_MULTI_PORTS) {
        let port = u128::from(host16(info, 2 + 2 * i)?);
        match range_start.take() {
            Some(first) => out.push((first, port)),
            None if info.get(32 + i).is_some_and(|f| *f != 0) => range_start = Some(port),
            None => out.push((port, port)),
        }
    }
    let invert = info.get(47).is_some_and(|i| *i != 0);
    // With inversion, `EITHER` means that neither port is in the list.
    (!invert || flags != XT_MULTIPORT_EITHER).then_some(())?;
    Some((flags, inverted(Intervals::union_of(out), Field::DPORT, invert)))
}

/// The mark of the packet.
pub(super) fn mark(fields: &mut Fields) -> Field {
    fields.known(Key::Meta(crate::model::nft::NFT_META_MARK), "mark", Form::Hex, u32::MAX.into())
}

/// The mark of the connection.
pub(super) fn connmark(fields: &mut Fields) -> Field {
    let key = Key::Ct(crate::model::nft::NFT_CT_MARK, 0);
    fields.known(key, "ct mark", Form::Hex, u32::MAX.into())
}

/// A field with a mask and xor as a field of its own.
pub(super) fn masked(fields: &mut Fields, field: Field, mask: u128, xor: u128) -> Field {
    if mask == field.highest() && xor == 0 {
        return field;
    }
    let form = fields.form(field);
    let xor_text = if xor == 0 { String::new() } else { format!(" ^ {xor:#x}") };
    let name = format!("{} & {mask:#x}{xor_text}", fields.name(field));
    let max = if xor == 0 && field.max != u64::MAX { mask as u64 } else { field.max };
    let new = fields.known(Key::Masked(field.id, mask, xor), &name, form, max);
    fields.marks.add_masked(field, new, mask, xor);
    new
}

/// Keeps the packets that the header of an entry accepts, and its matches.
pub(super) fn narrow_entry(boxes: &mut Vec<PacketBox>, fields: &mut Fields, e: &Entry, v6: bool) {
    let address = |b: &[u8; 16]| {
        let v4 = b.first_chunk().map_or(0, |b| u32::from_be_bytes(*b));
        if v6 { u128::from_be_bytes(*b) } else { v4.into() }
    };
    let all = if v6 { u128::MAX } else { u32::MAX.into() };
    for (field, addr, mask, not) in [
        (Field::SADDR, &e.src, &e.src_mask, IPT_INV_SRCIP),
        (fields.now(Field::DADDR), &e.dst, &e.dst_mask, IPT_INV_DSTIP),
    ] {
        let (addr, mask, invert) = (address(addr), address(mask), e.invflags & not != 0);
        if mask == 0 && !invert {
            continue;
        }
        let host_part = all & !mask;
        if (host_part & host_part.wrapping_add(1)) == 0 {
            let net = Intervals::span(addr & mask, addr & mask | host_part);
            narrow_all(boxes, field, &inverted(net, field, invert));
        } else {
            let field = masked(fields, field, mask, 0);
            narrow_all(boxes, field, &inverted(Intervals::value(addr & mask), field, invert));
        }
    }
    for (field, name, mask, not) in [
        (fields.now(Field::IIF), &e.iface, &e.iface_mask, IPT_INV_VIA_IN),
        (fields.now(Field::OIF), &e.out_iface, &e.out_iface_mask, IPT_INV_VIA_OUT),
    ] {
        let (name, mask) = (u128::from_be_bytes(*name), u128::from_be_bytes(*mask));
        if mask != 0 {
            // The mask covers the zero byte after the name, unless the name is a prefix: then only what it covers counts.
            let rest =
                if name & mask & 0xff_u128.wrapping_shl(mask.trailing_zeros()) == 0 { 0 } else { !mask };
            let names = Intervals::span(name & mask, name & mask | rest);
            narrow_all(boxes, field, &inverted(names, field, e.invflags & not != 0));
        }
    }
    // Of a mask for `IP6T_F_PROTO` the same bit has another meaning.
    if !v6 && (e.flags & IPT_F_FRAG != 0) {
        condition(boxes, fields, "fragment", &[e.invflags & IPT_INV_FRAG]);
    }
    if e.proto != 0 {
        let proto = Intervals::value((e.proto & 0xff).into());
        narrow_all(boxes, Field::PROTO, &inverted(proto, Field::PROTO, e.invflags & XT_INV_PROTO != 0));
    }
    for m in &e.matches {
        narrow(boxes, fields, &m.name, &m.info, v6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(name: &str, info: &[u8]) -> Vec<PacketBox> {
        let mut boxes = vec![PacketBox::default()];
        narrow(&mut boxes, &mut Fields::default(), name, info, false);
        boxes
    }

    #[test]
    fn port_matches_narrow_ports() {
        let mut tcp = [0u8; 12];
        tcp[2..4].copy_from_slice(&u16::MAX.to_ne_bytes());
        tcp[4..6].copy_from_slice(&8080u16.to_ne_bytes());
        tcp[6..8].copy_from_slice(&8090u16.to_ne_bytes());
        assert_eq!(matched("tcp", &tcp)[0].values(Field::DPORT), Intervals::span(8080, 8090));
        tcp[11] = XT_TCP_INV_DSTPT;
        let others = matched("tcp", &tcp)[0].values(Field::DPORT);
        assert_eq!(others.spans(), [(0, 8079), (8091, 65535)]);
        let mut multi = [0u8; 48];
        (multi[0], multi[1]) = (1, 3);
        for (i, p) in [80u16, 8000, 8010].iter().enumerate() {
            multi[2 + 2 * i..4 + 2 * i].copy_from_slice(&p.to_ne_bytes());
        }
        multi[33] = 1;
        let ports = Intervals::union_of(vec![(80, 80), (8000, 8010)]);
        assert_eq!(matched("multiport", &multi)[0].values(Field::DPORT), ports);
        multi[0] = XT_MULTIPORT_EITHER;
        assert_eq!(matched("multiport", &multi).len(), 2, "source or destination");
        for n in 0..48 {
            let _ = (matched("multiport", &multi[..n]), matched("tcp", &tcp[..n.min(12)]));
        }
    }

    #[test]
    fn other_matches_are_conditions() {
        let mut info = [0u8; 8];
        info[..2].copy_from_slice(&4u16.to_ne_bytes());
        assert_eq!(matched("addrtype", &info)[0].values(Field::SADDR_TYPE), Intervals::value(2), "local");
        info[4] = 1;
        assert!(!matched("addrtype", &info)[0].values(Field::SADDR_TYPE).contains(2), "inverted");
        let physdev = matched("physdev", &[1, 2]);
        assert_eq!(physdev[0].fields().len(), 1);
        assert!(!physdev[0].fields()[0].0.is_random());
        assert!(matched("limit", &[1, 2])[0].fields()[0].0.is_random());
    }
}
