use super::*;
use crate::model::xtables::{Extension, Hook};

fn extension(name: &str, info: &[u8]) -> Extension {
    Extension { name: name.into(), revision: 0, info: info.into() }
}

fn verdict(v: i32) -> Extension {
    extension(XT_STANDARD_TARGET, &v.to_ne_bytes())
}

fn error(name: &str) -> Extension {
    let mut info = [0; 30];
    info[..name.len()].copy_from_slice(name.as_bytes());
    extension(XT_ERROR_TARGET, &info)
}

/// `struct nf_nat_ipv4_multi_range_compat` of one address and port.
fn dnat(to: [u8; 4], port: u16) -> Extension {
    let mut info = [0; 20];
    info[..8].copy_from_slice([1u32, 3].map(u32::to_ne_bytes).as_flattened());
    info[8..12].copy_from_slice(&to);
    info[12..16].copy_from_slice(&to);
    info[16..18].copy_from_slice(&port.to_be_bytes());
    info[18..20].copy_from_slice(&port.to_be_bytes());
    extension("DNAT", &info)
}

fn tcp(port: u16) -> Extension {
    let mut info = [0; 12];
    info[2..4].copy_from_slice(&u16::MAX.to_ne_bytes());
    info[4..6].copy_from_slice(&port.to_ne_bytes());
    info[6..8].copy_from_slice(&port.to_ne_bytes());
    extension("tcp", &info)
}

/// Entries have a length of 100 here.
const LEN: u32 = 100;

fn entry(proto: u16, matches: Vec<Extension>, target: Extension) -> Entry {
    Entry {
        offset: 0,
        len: LEN,
        src: [0; 16],
        src_mask: [0; 16],
        dst: [0; 16],
        dst_mask: [0; 16],
        iface: [0; 16],
        iface_mask: [0; 16],
        out_iface: [0; 16],
        out_iface_mask: [0; 16],
        proto,
        flags: 0,
        invflags: 0,
        matches,
        target,
    }
}

fn table(entries: Vec<Entry>, hooks: &[(u32, u32, u32)]) -> Table {
    let hook = |&(number, first, underflow): &(u32, u32, u32)| Hook {
        number,
        first: first * LEN,
        underflow: underflow * LEN,
    };
    let with_offset = |(i, e)| Entry { offset: i * LEN, ..e };
    Table {
        netns: 3,
        family: Family::Inet,
        name: "nat".into(),
        hooks: hooks.iter().map(hook).collect(),
        entries: (0..).zip(entries).map(with_offset).collect(),
    }
}

fn iface(e: Entry, name: &str, compared: usize) -> Entry {
    let mut e = e;
    e.iface[..name.len()].copy_from_slice(name.as_bytes());
    e.iface_mask[..compared].fill(0xff);
    e
}

#[test]
fn jumps_and_conditions_yield_nat_rules() {
    let mut to_net = iface(entry(6, vec![tcp(8080)], dnat([172, 17, 0, 2], 80)), "eth+", 3);
    to_net.dst[..4].copy_from_slice(&[203, 0, 113, 0]);
    to_net.dst_mask[..3].fill(0xff);
    to_net.invflags = IPT_INV_VIA_IN;
    let conntrack = extension("conntrack", &[0; 160]);
    let mut inverted = iface(entry(6, vec![tcp(81), conntrack], dnat([172, 17, 0, 3], 82)), "eth0", 5);
    inverted.invflags = IPT_INV_DSTIP;
    let t = table(
        vec![
            // PREROUTING
            entry(6, vec![], verdict(7 * LEN as i32)),
            to_net,
            inverted,
            // Without target: the next entry.
            entry(0, vec![], verdict(4 * LEN as i32)),
            entry(0, vec![], verdict(-2)),
            // OUTPUT: only its policy
            entry(0, vec![], verdict(-2)),
            entry(0, vec![], error("WEB")),
            entry(0, vec![tcp(443)], dnat([172, 17, 0, 4], 8443)),
            entry(0, vec![], verdict(-5)),
            entry(0, vec![], error("ERROR")),
        ],
        &[(0, 0, 4), (3, 5, 5)],
    );
    let found = evaluate(&t);
    let rule = |r: &crate::model::NatRule| {
        let to = r.dest.map_or_else(|| "any".to_owned(), |(a, n)| format!("{a}/{n}"));
        let (target, port) = (r.target.unwrap(), r.target_ports.unwrap().0);
        let iface = r.iface.as_deref().unwrap_or("-");
        let (proto, more) = (r.proto.unwrap().name(), r.conditions.join(" "));
        format!("{proto} {to} {} {iface} {target}:{port} [{more}] {}", r.ports.unwrap().0, r.location)
    };
    assert_eq!(
        found.rules.iter().map(rule).collect::<Vec<_>>(),
        [
            "tcp any 443 - 172.17.0.4:8443 [] iptables-legacy nat WEB rule 1",
            "tcp 203.0.113.0/24 8080 !eth+ 172.17.0.2:80 [] iptables-legacy nat PREROUTING rule 2",
            "tcp any 81 eth0 172.17.0.3:82 [destination conntrack] iptables-legacy nat PREROUTING rule 3",
        ]
    );
    assert!(!found.truncated);
    assert!(found.rules.iter().all(|r| r.netns == 3 && r.family == Some(Family::Inet)));
    assert!(found.rules[2].partial && !found.rules[1].partial);
}

#[test]
fn chain_that_jumps_to_itself_terminates() {
    let jump = || entry(0, vec![], verdict(LEN as i32));
    let t = table(vec![entry(0, vec![], error("LOOP")), jump(), jump()], &[(0, 1, 1000)]);
    assert_eq!(evaluate(&t).rules, []);
}
