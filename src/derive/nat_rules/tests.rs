//! Rulesets as the kernel reported them, in `tests/cases`: each beside the text that was loaded.

use super::*;
use crate::model::nft::{self, Chain, Data, Element, Expr, Hook, Rule, Ruleset, Set, Table};
use crate::model::{Addr, Backend, BackendInfo, FilterVerdict, Proto, Reads, Stamp, Wants};
use std::sync::Arc;

fn sample(netfilter: Netfilter) -> Sample {
    let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
    let mut sample = Sample::empty(Stamp::default(), "x".into(), info, Wants::default().with(Reads::NAT));
    sample.netfilter = Some(netfilter);
    sample
}

fn rules(netfilter: Netfilter) -> Vec<NatRule> {
    let sample = sample(netfilter);
    let (rules, faults) = evaluate(&sample, sample.netfilter.as_ref().unwrap());
    assert!(faults.iter().next().is_none(), "{faults:?}");
    rules
}

/// `proto host iface -> target [conditions] hooks`; with `!` before a rule that is never reached.
fn line(r: &NatRule) -> String {
    let host = match (r.host.addrs, r.host.bits) {
        (None, _) => if r.host.v6 { "[any]" } else { "any" }.to_owned(),
        (Some((a, _)), Some(bits)) => format!("{a}/{bits}"),
        (Some((a, b)), None) if a < b => format!("{a}-{b}"),
        (Some((a, _)), None) => a.to_string(),
    };
    let ports = match r.host.ports {
        None => "*".to_owned(),
        Some((a, b)) if a < b => format!("{a}-{b}"),
        Some((a, _)) => a.to_string(),
    };
    let target = r.target.map_or("?".to_owned(), |t| t.to_string());
    let last = r.target_last.map_or(String::new(), |t| format!("..{t}"));
    let conditions: Vec<&str> = r.conditions.iter().map(|c| &*c.text).collect();
    let conditions =
        if conditions.is_empty() { String::new() } else { format!(" [{}]", conditions.join("; ")) };
    let iface = r.iface.as_ref().map_or(String::new(), |i| format!(" {i}"));
    let hooks: Vec<&str> = r.hooks.names().filter(|n| *n != "prerouting").collect();
    format!(
        "{}{} {host}:{ports}{iface} {} {target}{last}{conditions} {}",
        if r.shadowed_by.is_some() { "!" } else { "" },
        r.proto.map_or("any", Proto::name),
        r.kind.name(),
        hooks.join(" "),
    )
    .trim_end()
    .to_owned()
}

fn lines(json: &str) -> Vec<String> {
    rules(serde_json::from_str(json).unwrap()).iter().map(line).collect()
}

macro_rules! cases {
    ($($name:ident $file:literal [$($line:literal),* $(,)?])*) => {$(
        #[test]
        fn $name() {
            // Elements of sets are in the order of a hash.
            let mut want = vec![$($line),*];
            want.sort_unstable();
            let mut found = lines(include_str!(concat!("tests/cases/", $file, ".json")));
            found.sort_unstable();
            assert_eq!(found, want);
        }
    )*};
}

cases! {
    random_goto_reaches_all_targets "min1.nft" [
        "tcp any:3004 dnat 10.0.0.4:80 [numgen random mod 2]",
        "tcp any:3004 dnat 10.0.0.5:80 [numgen random mod 2]",
    ]
    random_jumps_continue_after_chains "d1.nft" [
        "tcp any:9003 dnat 10.0.0.6:80 [ct state related]",
        "tcp any:9003 dnat 10.0.0.7:80",
        "tcp any:9000 dnat 10.0.0.2:80 [numgen random mod 2]",
        "tcp any:9000 dnat 10.0.0.3:80 [numgen random mod 2]",
        "tcp any:9001 dnat 10.0.0.21:1 [numgen random mod 2]",
        "tcp any:9001 dnat 10.0.0.22:1",
        "tcp any:9002 dnat 10.0.0.4:80 [jhash mod 2]",
        "tcp any:9002 dnat 10.0.0.5:80 [jhash mod 2]",
    ]
    source_type_is_a_condition "g2.ipt" [
        "tcp any:31965 dnat 10.244.0.4:8080 [source type local]",
        "tcp any:31965 dnat 10.244.0.5:8080 [source type not local]",
    ]
    empty_map_matches_nothing "e1.nft" ["tcp any:8080 dnat 10.0.0.2:80"]
    earlier_verdicts_end_the_path "a5.nft" [
        "!tcp any:8080 dnat 10.0.0.2:80",
        "tcp any:8081 !eth0 dnat 10.0.0.2:81",
        "tcp any:8082 dnat 10.0.0.2:82 [source not 10.0.0.0/8]",
        "!tcp any:443 dnat 10.0.0.2:443",
    ]
    concatenated_keys_stay_together "a1.nft" [
        "tcp 192.0.2.10:80 dnat 10.0.0.2:80",
        "tcp 192.0.2.11:443 dnat 10.0.0.2:443",
    ]
    conditions_on_the_way_intersect "g4.nft" [
        "tcp 192.0.2.10:79 dnat 10.0.0.3:9",
        "tcp 192.0.2.0/24:77 dnat 10.0.0.3:7 [destination not 192.0.2.11]",
        "tcp any:78 dnat 10.0.0.3:8 [mark & 0xff 0x10]",
        "tcp any:81 eth0 dnat 10.0.0.4:81",
    ]
    output_rules_have_their_hook "o1.nft" [
        "tcp any:80 redirect 0.0.0.0:8080 output",
        "tcp 203.0.113.5:443 dnat 10.0.0.2:8443 output",
    ]
    legacy_inversion_is_a_condition "min2.leg" [
        "tcp any:* dnat 10.0.0.2:* [destination port not 22]",
        "!tcp any:80 dnat 10.0.0.3:80 [source port 1]",
    ]
    sets_and_verdict_maps_narrow "f8.nft" [
        "tcp any:80 dnat 10.0.0.2:80 [source not 192.0.2.0/24,198.51.100.7]",
        "tcp any:81 dnat 10.0.0.3:81 [source 192.0.2.1]",
        "tcp any:82 dnat 10.0.0.3:82 [source 192.0.2.2]",
        "tcp any:445 dnat 10.0.0.4:445",
    ]
    map_of_ports_has_only_its_keys "g3.nft" [
        "tcp 192.0.2.10:8001 dnat 10.0.0.2:81",
        "tcp 192.0.2.10:8002 dnat 10.0.0.2:82",
    ]
    destination_ranges_stay_ranges "k1.nft" [
        "tcp 192.0.2.10-192.0.2.12:80 dnat 10.0.0.2:80",
        "tcp 192.0.2.10-192.0.2.12:81 dnat 10.0.0.2:81",
        "tcp 192.0.2.64-192.0.2.100:81 dnat 10.0.0.2:81",
        "tcp 192.0.2.10:82 dnat 10.0.0.2:82",
        "tcp 192.0.2.12:82 dnat 10.0.0.2:82",
    ]
    prefix_map_keeps_the_host_part "f9.nft" [
        "tcp any:5001-5003 dnat 10.0.0.2:*",
        "any 192.0.2.0/24:* dnat 10.1.0.0:*..10.1.0.255:* [except protocol tcp with destination port 5001-5003]",
        "any 203.0.113.1-203.0.113.9:* dnat 10.2.0.1:* [except protocol tcp with destination port 5001-5003]",
    ]
    shifted_range_of_nft_keeps_distance "f9.ipt" [
        "tcp any:8001-8011 dnat 10.0.0.2:5000..10.0.0.2:5010",
        "udp any:53 dnat 10.0.0.3:53..10.0.0.5:53",
    ]
    shifted_range_of_legacy_keeps_distance "f9.leg" [
        "tcp any:8001-8011 dnat 10.0.0.2:5000..10.0.0.2:5010",
        "udp any:53 dnat 10.0.0.3:53..10.0.0.5:53",
    ]
    wider_rule_to_the_same_target_has_no_condition "h1.nft" ["tcp any:443 dnat 10.0.0.2:443"]
    dormant_table_and_established_state_are_left_out "f11.nft" [
        "tcp any:8080 redirect 0.0.0.0:10275 [numgen inc mod 3]",
        "tcp any:8080 redirect 0.0.0.0:10531 [numgen inc mod 3]",
        "tcp any:8080 redirect 0.0.0.0:10787 [numgen inc mod 3]",
        "tcp any:8081 dnat 10.0.0.2:80",
    ]
    netmap_and_conntrack_of_iptables_are_read "f11.ipt" [
        "any 192.0.2.0/24:* dnat 10.1.2.0:*..10.1.2.255:*",
        "tcp any:8081 dnat 10.0.0.2:80 [destination not 192.0.2.0/24]",
        "tcp any:8083 dnat 10.0.0.2:83 [destination not 192.0.2.0/24; statistic probability 0.50]",
        "tcp any:8083 dnat 10.0.0.3:83 [destination not 192.0.2.0/24]",
    ]
    inet_rule_is_of_both_families "f12.nft" [
        "tcp any:80 redirect 0.0.0.0:8080",
        "tcp any:81 dnat 10.0.0.2:81",
        "tcp [any]:80 redirect [::]:8080",
        "tcp [any]:82 dnat [fd00::2]:82",
    ]
    map_of_a_mark_is_a_condition "f13.nft" [
        "tcp any:80 dnat 10.0.0.2:80 [ct mark 0x1]",
        "tcp any:80 dnat 10.0.0.3:80 [ct mark 0x2]",
        "tcp any:81 dnat 0.0.0.0:8000",
        "tcp 192.0.2.1:82 dnat 192.0.2.1:8000",
        "tcp any:83 dnat 10.0.0.2:83",
    ]
}

fn value(bytes: &[u8]) -> Data {
    Data::Value(bytes.into())
}

fn base(rules: Vec<Rule>) -> Chain {
    Chain {
        name: "p".into(),
        kind: Some("nat".into()),
        hook: Some(Hook { number: Some(NF_INET_PRE_ROUTING), priority: -100 }),
        rules,
        ..Chain::default()
    }
}

fn ruleset(chains: Vec<Chain>, sets: Vec<Set>) -> Netfilter {
    let table = Table { family: NFPROTO_IPV4, name: "t".into(), chains, sets, ..Table::default() };
    Netfilter { nft: vec![Ruleset { netns: 0, tables: vec![table] }], iptables: Vec::new() }
}

fn load_dport(set: &str, dreg: Option<u32>) -> Vec<Expr> {
    let port = Expr::Payload { dreg: Some(1), base: Some(2), offset: Some(2), len: Some(2), sreg: None };
    vec![port, Expr::Lookup { set: Some(set.into()), sreg: Some(1), dreg, flags: None }]
}

fn ports(name: &str, n: u16, data: impl Fn(u16) -> Option<Data>) -> Set {
    let element = |i: u16| Element { key: (i * 3).to_be_bytes().into(), data: data(i), ..Element::default() };
    Set {
        name: name.into(),
        key_len: 2,
        data_len: data(0).and(Some(4)),
        elements: (1..=n).map(element).collect(),
        ..Set::default()
    }
}

fn dnat(reg: u32) -> Expr {
    Expr::Nat {
        kind: Some(1),
        family: Some(2),
        addr_min: Some(reg),
        addr_max: None,
        proto_min: None,
        proto_max: None,
        flags: None,
    }
}

/// The figures are counted in the work of the walk, not in time: linear, whatever the machine.
#[test]
fn map_of_4000_elements_is_4000_rows() {
    let map = ports("m", 4000, |i| Some(value(&[10, 0, (i >> 8) as u8, i as u8])));
    let mut expressions = load_dport("m", Some(1));
    expressions.push(dnat(1));
    let found = rules(ruleset(vec![base(vec![Rule { handle: 1, expressions }])], vec![map]));
    assert_eq!(found.len(), 4000);
    assert_eq!(line(&found[3999]), "any any:12000 dnat 10.0.15.160:12000");
}

#[test]
fn lookups_in_a_large_set_cost_one_step_each() {
    let rule = |handle: u64| {
        let mut expressions = load_dport("s", None);
        let saddr =
            Expr::Payload { dreg: Some(1), base: Some(1), offset: Some(12), len: Some(4), sreg: None };
        let data = value(&[10, 1, (handle >> 8) as u8, handle as u8]);
        expressions.extend([saddr, Expr::Cmp { sreg: Some(1), op: Some(0), data: Some(data) }]);
        let to = value(&[10, 0, (handle >> 8) as u8, handle as u8]);
        expressions.extend([Expr::Immediate { dreg: Some(1), data: Some(to) }, dnat(1)]);
        Rule { handle, expressions }
    };
    let found = rules(ruleset(vec![base((0..1000).map(rule).collect())], vec![ports("s", 4000, |_| None)]));
    assert_eq!(found.len(), 1000, "one row for all ports of the set");
    assert_eq!(
        line(&found[999]),
        "any any:3-12000 dnat 10.0.3.231:* [source 10.1.3.231; destination port 4000 values]"
    );
}

/// The kernel calls the chain that was registered last, and does not report which that was.
#[test]
fn order_of_equal_priority_across_tables_is_unknown() {
    let to = |n: u8| [Expr::Immediate { dreg: Some(1), data: Some(value(&[10, 0, 0, n])) }, dnat(1)];
    let saddr = Expr::Payload { dreg: Some(1), base: Some(1), offset: Some(12), len: Some(4), sreg: None };
    let one = Expr::Cmp { sreg: Some(1), op: Some(0), data: Some(value(&[192, 0, 2, 1])) };
    let mut all = ruleset(vec![base(vec![Rule { handle: 1, expressions: to(1).into() }])], Vec::new());
    let narrow = Rule { handle: 2, expressions: [saddr, one].into_iter().chain(to(2)).collect() };
    let mut tied = ruleset(vec![base(vec![narrow])], Vec::new());
    tied.nft[0].tables[0].name = "u".into();
    all.nft[0].tables.append(&mut tied.nft[0].tables);
    let mut found: Vec<String> = rules(all.clone()).iter().map(line).collect();
    found.sort_unstable();
    let (first, second) = ("ip t p handle 1 has the same priority", "ip u p handle 2 has the same priority");
    let want = [
        format!("any any:* dnat 10.0.0.1:* [source 192.0.2.1; order unknown: {second}]"),
        "any any:* dnat 10.0.0.1:* [source not 192.0.2.1]".to_owned(),
        format!("any any:* dnat 10.0.0.2:* [source 192.0.2.1; order unknown: {first}]"),
    ];
    assert_eq!(found, want);
    // Within a table it is that of creation: the later chain comes first.
    let mut later = all.nft[0].tables.pop().unwrap().chains;
    later[0].name = "q".into();
    all.nft[0].tables[0].chains.append(&mut later);
    let mut found: Vec<String> = rules(all).iter().map(line).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        ["any any:* dnat 10.0.0.1:* [source not 192.0.2.1]", "any any:* dnat 10.0.0.2:* [source 192.0.2.1]"]
    );
}

/// A chain of type filter at a hook.
fn filter(number: u32, policy: u32, rules: Vec<Rule>) -> Chain {
    Chain {
        name: format!("f{number}").into(),
        kind: Some("filter".into()),
        hook: Some(Hook { number: Some(number), priority: 0 }),
        policy: Some(policy),
        rules,
        ..Chain::default()
    }
}

/// Packets are followed to `forward` or `input`; a rule there sees the new destination, and source and interface as they came.
#[test]
fn filter_rules_behind_the_translation_decide() {
    let to = |n: u8| [Expr::Immediate { dreg: Some(1), data: Some(value(&[10, 0, 0, n])) }, dnat(1)];
    let addr = |offset: u32, addr: [u8; 4]| {
        let load =
            Expr::Payload { dreg: Some(1), base: Some(1), offset: Some(offset), len: Some(4), sreg: None };
        [load, Expr::Cmp { sreg: Some(1), op: Some(0), data: Some(value(&addr)) }]
    };
    let verdict =
        |code: i32| Expr::Immediate { dreg: Some(0), data: Some(Data::Verdict { code, chain: None }) };
    let rule = |handle: u64, expressions: Vec<Expr>| Rule { handle, expressions };
    let nat = |from: u8, n: u8| addr(16, [192, 0, 2, from]).into_iter().chain(to(n)).collect();
    // To a container, to another one, to an address of this host.
    let translations = vec![rule(1, nat(1, 2)), rule(2, nat(2, 3)), rule(3, nat(3, 1)), rule(4, nat(4, 4))];
    let allowed = addr(16, [10, 0, 0, 2]).into_iter().chain([verdict(1)]).collect();
    let source =
        addr(12, [192, 0, 2, 9]).into_iter().chain(addr(16, [10, 0, 0, 4])).chain([verdict(1)]).collect();
    let chains = vec![
        base(translations),
        filter(2, 0, vec![rule(10, allowed), rule(11, source)]),
        filter(1, 1, vec![rule(20, addr(16, [10, 0, 0, 1]).into_iter().chain([verdict(0)]).collect())]),
    ];
    let mut sample = sample(ruleset(chains.clone(), Vec::new()));
    let evaluated = |sample: &Sample| -> Vec<(FilterVerdict, String)> {
        let (rules, _) = evaluate(sample, sample.netfilter.as_ref().unwrap());
        rules.into_iter().map(|r| r.filtered.unwrap()).map(|f| (f.verdict, f.detail.into())).collect()
    };
    assert!(evaluated(&sample).iter().all(|f| f.0 == FilterVerdict::NotEvaluated), "no addresses were read");
    sample.addresses.push((0, Addr::v4([10, 0, 0, 1])));
    let found = evaluated(&sample);
    assert_eq!(
        found,
        [
            (FilterVerdict::Accepted, String::new()),
            (FilterVerdict::Stopped, "dropped by ip t f2 policy".into()),
            (FilterVerdict::Stopped, "dropped by ip t f1 handle 20".into()),
            (FilterVerdict::Partly, "source=!192.0.2.9 dropped by ip t f2 policy".into()),
        ]
    );
    // Packets that leave pass the egress hook, which is not evaluated.
    let egress = filter(nft::NF_NETDEV_EGRESS, 0, Vec::new());
    let table = Table {
        family: nft::NFPROTO_NETDEV,
        name: "t".into(),
        chains: vec![Chain { devices: vec!["eth0".into()], ..egress }],
        ..Table::default()
    };
    sample.netfilter.as_mut().unwrap().nft[0].tables.push(table);
    let behind = evaluated(&sample);
    assert!(behind[0].0 == FilterVerdict::NotEvaluated && behind[0].1.contains("egress"), "{behind:?}");
    assert_eq!(behind[1..], found[1..], "stopped before, or for this host");
}

/// Every user can create a namespace: its rules neither cost more than a share nor hide the rules of others.
#[test]
fn other_namespaces_have_limits_of_their_own() {
    let keys = |i: u16| Element {
        key: [i.to_be_bytes(), [0; 2], i.to_be_bytes(), [0; 2]].concat().into(),
        ..Element::default()
    };
    let big =
        Set { name: "s".into(), key_len: 8, elements: (1..=4000).map(keys).collect(), ..Set::default() };
    let rule = |handle: u64| {
        let saddr =
            Expr::Payload { dreg: Some(8), base: Some(1), offset: Some(12), len: Some(4), sreg: None };
        let port = Expr::Payload { dreg: Some(9), base: Some(2), offset: Some(2), len: Some(2), sreg: None };
        let lookup = Expr::Lookup { set: Some("s".into()), sreg: Some(8), dreg: None, flags: None };
        let to = value(&[10, 0, (handle >> 8) as u8, handle as u8]);
        Rule {
            handle,
            expressions: vec![
                saddr,
                port,
                lookup,
                Expr::Immediate { dreg: Some(1), data: Some(to) },
                dnat(1),
            ],
        }
    };
    let mut all = ruleset(vec![base(vec![rule(1)])], vec![big.clone()]);
    for netns in 1..=4 {
        let other = ruleset(vec![base((0..1000).map(rule).collect())], vec![big.clone()]);
        all.nft.extend(other.nft.into_iter().map(|r| Ruleset { netns, ..r }));
    }
    let sample = sample(all);
    let (rules, faults) = evaluate(&sample, sample.netfilter.as_ref().unwrap());
    let of = |netns: u16| rules.iter().filter(|r| r.netns == netns).count();
    assert_eq!(of(0), 4000, "all of its own");
    assert!((1..=4).all(|n| of(n) <= OTHER_ROWS), "each");
    assert!(rules.len() <= 4000 + ALL_ROWS, "{}", rules.len());
    assert!(faults.iter().any(|f| f.detail.contains("not all were evaluated")));
}

#[test]
fn chain_that_jumps_to_itself_terminates() {
    let jump = |to: &str| Expr::Immediate {
        dreg: Some(0),
        data: Some(Data::Verdict { code: -3, chain: Some(to.into()) }),
    };
    let looped = || Rule { handle: 1, expressions: vec![jump("loop")] };
    let to = Rule {
        handle: 2,
        expressions: vec![Expr::Immediate { dreg: Some(1), data: Some(value(&[10, 0, 0, 1])) }, dnat(1)],
    };
    let chain = Chain { name: "loop".into(), rules: vec![looped(), looped(), to], ..Chain::default() };
    let found = rules(ruleset(vec![base(vec![looped()]), chain], Vec::new()));
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), ["any any:* dnat 10.0.0.1:*"]);
}
