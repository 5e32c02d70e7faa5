use super::*;
use crate::model::xtables::IPT_INV_VIA_IN;

/// `struct xt_entry_match` or `xt_entry_target`, padded to a multiple of eight.
fn part(name: &str, info: &[u8]) -> Vec<u8> {
    let size = (EXTENSION_HEADER + info.len()).next_multiple_of(8);
    let mut out = vec![0; size];
    out[..2].copy_from_slice(&(size as u16).to_ne_bytes());
    out[2..2 + name.len()].copy_from_slice(name.as_bytes());
    out[EXTENSION_HEADER..EXTENSION_HEADER + info.len()].copy_from_slice(info);
    out
}

/// `struct ipt_entry`: destination and prefix length, interface and the number of bytes compared, protocol, inverting flags.
/// The offsets are those of machines that align 64-bit numbers to eight bytes.
fn entry(to: ([u8; 4], u8), iface: (&str, usize), proto: u8, inverted: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![0; 112];
    out[4..8].copy_from_slice(&to.0);
    let mask = u32::MAX.checked_shl(32 - u32::from(to.1)).unwrap_or(0);
    out[12..16].copy_from_slice(&mask.to_be_bytes());
    out[16..16 + iface.0.len()].copy_from_slice(iface.0.as_bytes());
    out[48..48 + iface.1].fill(0xff);
    out[80..82].copy_from_slice(&u16::from(proto).to_ne_bytes());
    out[83] = inverted;
    let target_at = 112 + parts[..parts.len() - 1].iter().map(Vec::len).sum::<usize>();
    out[88..90].copy_from_slice(&(target_at as u16).to_ne_bytes());
    out.extend(parts.concat());
    let next = out.len() as u16;
    out[90..92].copy_from_slice(&next.to_ne_bytes());
    out
}

const ANY: ([u8; 4], u8) = ([0; 4], 0);

fn verdict(v: i32) -> Vec<u8> {
    part("", &v.to_ne_bytes())
}

/// `struct nf_nat_ipv4_multi_range_compat` for one address and port.
fn dnat(to: [u8; 4], port: u16) -> Vec<u8> {
    let mut info = [0; 20];
    info[..8].copy_from_slice([1u32, 3].map(u32::to_ne_bytes).as_flattened());
    info[8..12].copy_from_slice(&to);
    info[12..16].copy_from_slice(&to);
    info[16..18].copy_from_slice(&port.to_be_bytes());
    info[18..20].copy_from_slice(&port.to_be_bytes());
    part("DNAT", &info)
}

fn tcp(port: u16) -> Vec<u8> {
    let mut info = [0; 12];
    info[2..4].copy_from_slice(&u16::MAX.to_ne_bytes());
    info[4..6].copy_from_slice(&port.to_ne_bytes());
    info[6..8].copy_from_slice(&port.to_ne_bytes());
    part("tcp", &info)
}

fn error(name: &str) -> Vec<u8> {
    let mut info = [0; 30];
    info[..name.len()].copy_from_slice(name.as_bytes());
    entry(ANY, ("", 0), 0, 0, &[part("ERROR", &info)])
}

/// A rule with a match, and the end of the table.
fn raw() -> Vec<u8> {
    let rule = entry(
        ([203, 0, 113, 0], 24),
        ("eth+", 3),
        6,
        IPT_INV_VIA_IN,
        &[tcp(8080), dnat([172, 17, 0, 2], 80)],
    );
    let policy = entry(ANY, ("", 0), 0, 0, &[verdict(-2)]);
    [rule, policy, error("ERROR")].concat()
}

#[test]
fn entries_keep_addresses_interfaces_matches_and_target() {
    let (entries, complete) = parse::<4, 2>(&raw());
    assert!(complete);
    let rule = &entries[0];
    assert_eq!((rule.offset, entries[1].offset, entries.len()), (0, rule.len, 3));
    assert_eq!((&rule.dst[..5], &rule.dst_mask[..5]), (&[203, 0, 113, 0, 0][..], &[255, 255, 255, 0, 0][..]));
    assert_eq!((&rule.iface[..5], &rule.iface_mask[..5]), (&b"eth+\0"[..], &[255, 255, 255, 0, 0][..]));
    assert_eq!((rule.proto, rule.flags, rule.invflags), (6, 0, IPT_INV_VIA_IN));
    assert_eq!((&*rule.matches[0].name, rule.matches.len(), &*rule.target.name), ("tcp", 1, "DNAT"));
    assert_eq!((&*entries[1].target.name, &entries[1].target.info[..4]), ("", &(-2i32).to_ne_bytes()[..]));
    assert_eq!(text::from_c_str(&entries[2].target.info), "ERROR");
}

#[test]
fn malformed_entry_ends_the_table() {
    let whole = raw();
    for len in 0..whole.len() {
        let _ = (parse::<4, 2>(&whole[..len]), parse::<16, 3>(&whole[..len]));
    }
    for at in 0..whole.len() {
        for byte in [0, 1, 0xff] {
            let mut broken = whole.clone();
            broken[at] = byte;
            let _ = (parse::<4, 2>(&broken), parse::<16, 3>(&broken));
        }
    }
    let mut broken = whole;
    // An offset of the next entry before the end of this one.
    broken[90..92].copy_from_slice(&8u16.to_ne_bytes());
    assert_eq!(parse::<4, 2>(&broken), (vec![], false));
}

#[test]
fn struct_sizes_match_the_kernel() {
    // 32-bit x86 aligns 64-bit numbers to four bytes: no padding before them.
    let aligned = |size: usize| size.next_multiple_of(align_of::<u64>());
    assert_eq!((size_of::<GetInfo>(), size_of::<GetEntries>()), (84, aligned(36)));
    assert_eq!((size_of::<RawEntry<4, 2>>(), size_of::<RawEntry<16, 3>>()), (112, aligned(148) + 16));
    assert_eq!(
        (offset_of!(RawEntry<4, 2>, target_offset), offset_of!(RawEntry<16, 3>, target_offset)),
        (88, 140)
    );
}
