//! Rulesets made of expressions, for packets with known fields.

use super::*;
use crate::model::nft::{
    Chain, Data, Expr, Hook, NFPROTO_INET, NFT_CMP_EQ, NFT_META_L4PROTO, NFT_META_MARK,
    NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_1, Rule, Ruleset, Table,
};
use crate::model::path::{Link, LinkAddr, Route, RuleHit, Stop};

const CLIENT: Addr = Addr::v4([10, 0, 0, 1]);
const SERVER: Addr = Addr::v4([10, 0, 0, 2]);

fn cmp(bytes: &[u8]) -> Expr {
    Expr::Cmp { sreg: Some(NFT_REG_1), op: Some(NFT_CMP_EQ), data: Some(Data::Value(bytes.into())) }
}

fn meta(key: u32) -> Expr {
    Expr::Meta { dreg: Some(NFT_REG_1), key: Some(key), sreg: None }
}

fn transport(offset: u32, len: u32) -> Expr {
    Expr::Payload {
        dreg: Some(NFT_REG_1),
        base: Some(NFT_PAYLOAD_TRANSPORT_HEADER),
        offset: Some(offset),
        len: Some(len),
        sreg: None,
    }
}

fn dport(port: u16) -> Vec<Expr> {
    vec![meta(NFT_META_L4PROTO), cmp(&[6]), transport(2, 2), cmp(&port.to_be_bytes())]
}

fn verdict(code: i32) -> Expr {
    Expr::Immediate { dreg: Some(0), data: Some(Data::Verdict { code, chain: None }) }
}

fn other(name: &str, data: &[u8]) -> Expr {
    Expr::Other { name: name.into(), data: data.into() }
}

/// A namespace with one chain of these rules at a hook.
fn net(hook: u32, drops: bool, rules: Vec<Vec<Expr>>) -> NetState {
    let rules = rules.into_iter().zip(1..).map(|(expressions, handle)| Rule { handle, expressions });
    let chain = Chain {
        name: "c".into(),
        kind: Some("filter".into()),
        hook: Some(Hook { number: Some(hook), priority: 0 }),
        policy: Some(u32::from(!drops)),
        rules: rules.collect(),
        ..Chain::default()
    };
    let table = Table { family: NFPROTO_INET, name: "f".into(), chains: vec![chain], ..Table::default() };
    let link = |index, name: &str| Link { index, name: name.into(), flags: 1, ..Link::default() };
    let addr = LinkAddr { link: 2, addr: CLIENT, prefix: 24, flags: 0 };
    NetState {
        links: vec![link(1, "lo"), link(2, "eth0")],
        addrs: vec![addr],
        netfilter: Some(Netfilter { nft: vec![Ruleset { netns: 0, tables: vec![table] }], iptables: vec![] }),
        ..NetState::default()
    }
}

fn packet() -> FirstPacket {
    FirstPacket {
        proto: Proto::Tcp,
        source: None,
        dest: Endpoint::new(SERVER, 80),
        mark: 0,
        uid: Some(1000),
        iif: None,
        translated: false,
    }
}

fn lookup() -> Lookup {
    let route = Route { kind: RTN_UNICAST, oif: 2, source: Some(CLIENT), ..Route::default() };
    Lookup { route: RouteAnswer::Found(route), neighbour: None }
}

fn judged(net: &NetState, packet: &FirstPacket) -> HookVerdict {
    Rules::new(net).unwrap().verdict(packet, None, Stage::Output, &lookup())
}

fn stopped(verdict: HookVerdict) -> RuleHit {
    match verdict {
        HookVerdict::Stopped(hit) => hit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_that_matches_stops_and_the_next_port_passes() {
    let net = net(NF_INET_LOCAL_OUT, false, vec![[dport(80), vec![verdict(0)]].concat()]);
    let hit = stopped(judged(&net, &packet()));
    assert_eq!((&*hit.location, hit.stop, &*hit.conditions), ("inet f c handle 1", Stop::Drop, ""));
    let next = FirstPacket { dest: Endpoint::new(SERVER, 81), ..packet() };
    assert_eq!(judged(&net, &next), HookVerdict::Passes);
    let udp = FirstPacket { proto: Proto::Udp, ..packet() };
    assert_eq!(judged(&net, &udp), HookVerdict::Passes);
}

#[test]
fn earlier_accept_wins_over_the_policy() {
    let accept = [dport(80), vec![verdict(1)]].concat();
    let with = net(NF_INET_LOCAL_OUT, true, vec![accept]);
    assert_eq!(judged(&with, &packet()), HookVerdict::Passes);
    let without = net(NF_INET_LOCAL_OUT, true, vec![]);
    assert_eq!(&*stopped(judged(&without, &packet())).location, "inet f c policy");
}

#[test]
fn reject_has_its_kind_and_the_counter_its_packets() {
    let mut counter = Vec::new();
    crate::model::attr::push(&mut counter, 2, &7u64.to_be_bytes());
    let mut reset = Vec::new();
    crate::model::attr::push(&mut reset, 1, &1u32.to_be_bytes());
    let mut icmp = Vec::new();
    crate::model::attr::push(&mut icmp, 1, &0u32.to_be_bytes());
    crate::model::attr::push(&mut icmp, 2, &[13]);
    for (data, want) in [(reset, Stop::Reset), (icmp, Stop::Icmp(13))] {
        let rule = [dport(80), vec![other("counter", &counter), other("reject", &data)]].concat();
        let hit = stopped(judged(&net(NF_INET_LOCAL_OUT, false, vec![rule]), &packet()));
        assert_eq!((hit.stop, hit.packets), (want, Some(7)));
    }
}

#[test]
fn known_user_mark_and_flags_decide_and_unknown_conditions_leave_it_open() {
    let by =
        |conditions: Vec<Expr>| net(NF_INET_LOCAL_OUT, false, vec![[conditions, vec![verdict(0)]].concat()]);
    let skuid = by(vec![meta(10), cmp(&1000u32.to_ne_bytes())]);
    assert!(matches!(judged(&skuid, &packet()), HookVerdict::Stopped(_)));
    assert_eq!(judged(&skuid, &FirstPacket { uid: Some(0), ..packet() }), HookVerdict::Passes);
    assert!(matches!(judged(&skuid, &FirstPacket { uid: None, ..packet() }), HookVerdict::Maybe(_)));
    let masked = Expr::Bitwise {
        sreg: Some(NFT_REG_1),
        dreg: Some(NFT_REG_1),
        len: Some(4),
        mask: Some(Data::Value(0xffu32.to_ne_bytes().into())),
        xor: Some(Data::Value([0; 4].into())),
    };
    let mark = by(vec![meta(NFT_META_MARK), masked, cmp(&7u32.to_ne_bytes())]);
    assert_eq!(judged(&mark, &packet()), HookVerdict::Passes);
    assert!(matches!(judged(&mark, &FirstPacket { mark: 0x107, ..packet() }), HookVerdict::Stopped(_)));
    let flags = Expr::Bitwise {
        sreg: Some(NFT_REG_1),
        dreg: Some(NFT_REG_1),
        len: Some(1),
        mask: Some(Data::Value([0x12].into())),
        xor: Some(Data::Value([0].into())),
    };
    let syn = by(vec![meta(NFT_META_L4PROTO), cmp(&[6]), transport(13, 1), flags, cmp(&[2])]);
    assert!(matches!(judged(&syn, &packet()), HookVerdict::Stopped(_)));
    let length = by(vec![meta(0), cmp(&60u32.to_ne_bytes())]);
    let HookVerdict::Maybe(hits) = judged(&length, &packet()) else { panic!() };
    assert_eq!((hits.len(), &*hits[0].conditions), (1, "length=60"));
    let limit = by(vec![other("limit", &[1])]);
    let HookVerdict::Maybe(hits) = judged(&limit, &packet()) else { panic!() };
    assert!(hits[0].by_chance, "not every packet: {hits:?}");
}

#[test]
fn answer_is_judged_as_established_at_the_input() {
    let only_new = net(
        NF_INET_LOCAL_IN,
        true,
        vec![vec![
            Expr::Ct { dreg: Some(NFT_REG_1), key: Some(0), direction: None, sreg: None },
            cmp(&8u32.to_ne_bytes()),
            verdict(1),
        ]],
    );
    let reply = |net: &NetState| Rules::new(net).unwrap().reply(&packet(), None, Stage::Output, &lookup());
    assert_eq!(&*stopped(reply(&only_new)).location, "inet f c policy");
    assert_eq!(judged(&only_new, &packet()), HookVerdict::Passes, "another hook");
    let established = net(
        NF_INET_LOCAL_IN,
        true,
        vec![vec![
            Expr::Ct { dreg: Some(NFT_REG_1), key: Some(0), direction: None, sreg: None },
            cmp(&2u32.to_ne_bytes()),
            verdict(1),
        ]],
    );
    assert_eq!(reply(&established), HookVerdict::Passes);
}

#[test]
fn translation_of_the_kernel_is_found_for_its_packet_only() {
    let mut rules = Ruleset::default();
    let rule = crate::model::nft::builder::DnatRule {
        location: "ip nat PREROUTING handle 3".into(),
        iface: Some("eth0".into()),
        proto: Proto::Tcp,
        port: 8080,
        target: Endpoint::new(Addr::v4([172, 17, 0, 2]), 80),
    };
    rules.add_dnat(&rule).unwrap();
    let mut state = net(NF_INET_FORWARD, false, vec![]);
    state.netfilter = Some(Netfilter { nft: vec![rules], iptables: vec![] });
    let rules = Rules::new(&state).unwrap();
    let received = |port, iif: &str| FirstPacket {
        dest: Endpoint::new(CLIENT, port),
        source: Some(SERVER),
        uid: None,
        iif: Some((2, iif.into())),
        ..packet()
    };
    let found = rules.translation(&received(8080, "eth0"), Stage::Input).unwrap();
    assert_eq!(found.to, Some(Endpoint::new(Addr::v4([172, 17, 0, 2]), 80)));
    assert_eq!((&*found.location, &*found.conditions), ("ip nat PREROUTING handle 3", ""));
    assert_eq!(rules.translation(&received(8081, "eth0"), Stage::Input), None);
    assert_eq!(rules.translation(&received(8080, "eth1"), Stage::Input), None);
    assert_eq!(rules.translation(&packet(), Stage::Output), None);
}

#[test]
fn rules_that_were_not_read_are_an_error_with_the_reason() {
    let mut state = NetState::default();
    state.unread.push((Unread::Firewall, "not permitted".into()));
    assert_eq!(Rules::new(&state).err().as_deref(), Some("not permitted"));
}
