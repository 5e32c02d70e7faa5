use super::*;

/// `struct xt_entry_match` or `xt_entry_target`, at multiples of eight.
fn part(name: &str, info: &[u8]) -> Vec<u8> {
    let size = (MATCH + info.len()).next_multiple_of(8);
    let mut out = vec![0; size];
    out[..2].copy_from_slice(&(size as u16).to_ne_bytes());
    out[2..2 + name.len()].copy_from_slice(name.as_bytes());
    out[MATCH..MATCH + info.len()].copy_from_slice(info);
    out
}

/// What a rule of IPv4 asks for: destination and its length, interface and how many bytes of it count, protocol, inverting
/// flags. The offsets are those of `struct ipt_entry` on every machine whose 64-bit numbers stand at multiples of eight.
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

/// PREROUTING with a jump and rules of its own, OUTPUT with its policy alone, and the chain WEB.
fn table() -> Table {
    let rules = |web: i32| {
        let conntrack = part("conntrack", &[0; 160]);
        vec![
            entry(ANY, ("", 0), 6, 0, &[verdict(web)]),
            entry(([203, 0, 113, 0], 24), ("eth+", 3), 6, INV_IN, &[tcp(8080), dnat([172, 17, 0, 2], 80)]),
            entry(ANY, ("eth0", 5), 6, INV_DST, &[tcp(81), conntrack, dnat([172, 17, 0, 3], 82)]),
            // Without a target: on to the next.
            entry(ANY, ("", 0), 0, 0, &[verdict(0)]),
            entry(ANY, ("", 0), 0, 0, &[verdict(-2)]),
            entry(ANY, ("", 0), 0, 0, &[verdict(-2)]),
            error("WEB"),
            entry(ANY, ("", 0), 0, 0, &[tcp(443), dnat([172, 17, 0, 4], 8443)]),
            entry(ANY, ("", 0), 0, 0, &[verdict(-5)]),
            error("ERROR"),
        ]
    };
    let offset = |n: usize| rules(0)[..n].iter().map(Vec::len).sum::<usize>();
    let mut all = rules(offset(7) as i32);
    let at = all[3].len() - 8;
    all[3][at..at + 4].copy_from_slice(&(offset(4) as u32).to_ne_bytes());
    let hooks = vec![(0, (0, offset(4))), (3, (offset(5), offset(5)))];
    Table { v6: false, hooks, entries: all.concat() }
}

#[test]
fn a_table_as_the_kernel_hands_it_out() {
    let found = run(&table(), 3);
    let told: Vec<String> = found
        .rules
        .iter()
        .map(|r| {
            let to = r.to.map_or_else(|| "any".to_owned(), |(a, n)| format!("{a}/{n}"));
            let (target, port) = (r.target.unwrap(), r.target_ports.unwrap().0);
            let iface = r.iface.as_deref().unwrap_or("-");
            let (proto, more) = (r.proto.unwrap().name(), r.conditions.join(" "));
            format!("{proto} {to} {} {iface} {target}:{port} [{more}] {}", r.ports.unwrap().0, r.location)
        })
        .collect();
    assert_eq!(
        told,
        [
            "tcp any 443 - 172.17.0.4:8443 [] iptables-legacy nat WEB rule 1",
            "tcp 203.0.113.0/24 8080 !eth+ 172.17.0.2:80 [] iptables-legacy nat PREROUTING rule 2",
            "tcp any 81 eth0 172.17.0.3:82 [destination conntrack] iptables-legacy nat PREROUTING rule 3",
        ]
    );
    assert_eq!((found.cut, found.malformed), (false, 0));
    assert!(found.rules.iter().all(|r| r.netns == 3 && r.family == Some(Family::Inet)));
    assert!(found.rules[2].partial && !found.rules[1].partial);
}

#[test]
fn what_makes_no_sense_is_counted_and_ends() {
    let whole = table();
    for cut in 0..whole.entries.len() {
        let entries = whole.entries[..cut].to_vec();
        let _ = run(&Table { v6: false, hooks: whole.hooks.clone(), entries: entries.clone() }, 0);
        let _ = run(&Table { v6: true, hooks: whole.hooks.clone(), entries }, 0);
    }
    for at in 0..whole.entries.len() {
        for byte in [0, 1, 0xff] {
            let mut entries = whole.entries.clone();
            entries[at] = byte;
            let _ = run(&Table { v6: false, hooks: whole.hooks.clone(), entries }, 0);
        }
    }
    let mut broken = table();
    // The first says that the next begins before itself.
    broken.entries[90..92].copy_from_slice(&8u16.to_ne_bytes());
    assert_eq!(run(&broken, 0).malformed, 1);
    // A chain that jumps to itself ends.
    let jump = entry(ANY, ("", 0), 0, 0, &[verdict(0)]);
    let head = error("LOOP");
    let mut entries = [head.clone(), jump.clone(), jump].concat();
    let at = entries.len() - 8;
    entries[at..at + 4].copy_from_slice(&(head.len() as u32).to_ne_bytes());
    let looped = Table { v6: false, hooks: vec![(0, (head.len(), usize::MAX))], entries };
    assert_eq!(run(&looped, 0).rules, []);
}

#[test]
fn the_headers_are_as_long_as_the_kernels() {
    // 32-bit x86 has 64-bit numbers at multiples of four: no padding before them there.
    let aligned = |size: usize| size.next_multiple_of(align_of::<u64>());
    assert_eq!((size_of::<Info>(), size_of::<Head>()), (84, aligned(36)));
    assert_eq!((size_of::<Entry<4, 2>>(), size_of::<Entry<16, 3>>()), (112, aligned(148) + 16));
    assert_eq!((offset_of!(Entry<4, 2>, target_offset), offset_of!(Entry<16, 3>, target_offset)), (88, 140));
}
