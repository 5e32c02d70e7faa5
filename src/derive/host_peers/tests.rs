use super::*;
use crate::model::attr;
use crate::model::diag_attr::inet;
use crate::testing::{ep, row, snapshot};
use proptest::prelude::*;

const ESTABLISHED: State = State::Established;

/// Host with addresses and connections: protocol, local, remote.
fn host(addresses: &[&str], sockets: &[(&str, &str)]) -> Snapshot {
    let rows = sockets.iter().map(|(l, r)| row(Proto::Tcp, ESTABLISHED, l, r, &[])).collect();
    let mut snap = snapshot(rows, vec![], &[]);
    snap.sample.addresses = addresses.iter().map(|a| (0, a.parse().unwrap())).collect();
    snap
}

/// Sets the bytes that were acknowledged and received at a socket.
fn transfer(snap: &mut Snapshot, row: usize, acked: u64, received: u64) {
    let mut info = vec![0; 136];
    info[120..128].copy_from_slice(&acked.to_ne_bytes());
    info[128..136].copy_from_slice(&received.to_ne_bytes());
    let mut raw = Vec::new();
    attr::push(&mut raw, inet::INFO, &info);
    let mut s = snap.sample.sockets[row];
    snap.sample.push_attrs(&mut s, &raw);
    snap.sample.sockets[row] = s;
}

/// Conntrack entry: source and destination of the original direction, and of the reply.
fn flow(orig: (&str, &str), reply: (&str, &str)) -> Flow {
    Flow {
        netns: 0,
        proto: Proto::Tcp,
        orig: (ep(orig.0), ep(orig.1)),
        reply: (ep(reply.0), ep(reply.1)),
        status: 0,
        tcp_state: Some(3),
        timeout_s: None,
        bytes: None,
        mark: 0,
        zone: 0,
        id: 1,
    }
}

fn joined(hosts: Vec<Snapshot>) -> Vec<JoinedHost> {
    hosts.into_iter().map(|snap| JoinedHost { snap: Arc::new(snap), late_s: 0 }).collect()
}

/// `host/row - host/row certainty nat` of each pair.
fn pairs_of(hosts: &[JoinedHost]) -> Vec<String> {
    let mut out = Vec::new();
    for (host, links) in links(hosts).iter().enumerate() {
        for l in links.iter().filter(|l| (host as u32, l.row) < (l.host, l.peer)) {
            let nat = l.nat.map_or_else(String::new, |n| format!(" nat {n}"));
            let certainty = crate::model::snapshot::certainty(l.certain);
            out.push(format!("{host}/{} - {}/{} {certainty}{nat}", l.row, l.host, l.peer));
        }
    }
    out
}

fn pairs(hosts: Vec<Snapshot>) -> Vec<String> {
    pairs_of(&joined(hosts))
}

#[test]
fn public_addresses_are_certain_and_private_ones_likely_without_proof() {
    let public = || {
        vec![
            host(&["203.0.113.1"], &[("203.0.113.1:5000", "203.0.113.2:80")]),
            host(&["203.0.113.2"], &[("203.0.113.2:80", "203.0.113.1:5000")]),
        ]
    };
    assert_eq!(pairs(public()), ["0/0 - 1/0 certain"]);
    let private = || {
        vec![
            host(&["10.0.0.1"], &[("10.0.0.1:5000", "10.0.0.2:80"), ("127.0.0.1:5000", "127.0.0.1:80")]),
            host(&["10.0.0.2"], &[("10.0.0.2:80", "10.0.0.1:5000"), ("127.0.0.1:80", "127.0.0.1:5000")]),
        ]
    };
    assert_eq!(pairs(private()), ["0/0 - 1/0 likely"], "loopback is another on each host");
    let with = |client: (u64, u64), server: (u64, u64)| {
        let mut hosts = private();
        transfer(&mut hosts[0], 0, client.0, client.1);
        transfer(&mut hosts[1], 0, server.0, server.1);
        pairs(hosts)
    };
    assert_eq!(with((9001, 700), (700, 9000)), ["0/0 - 1/0 certain"]);
    assert_eq!(with((9001, 700), (700, 4000)), ["0/0 - 1/0 likely"]);
    assert_eq!(with((9001, 700), (7000, 4000)), [""; 0], "no order of two polls makes these one connection");
    // Without the addresses of interfaces those of sockets are known.
    let mut hosts = public();
    for h in &mut hosts {
        h.sample.addresses.clear();
    }
    assert_eq!(pairs(hosts), ["0/0 - 1/0 certain"]);
}

#[test]
fn mapped_address_of_a_dual_stack_socket_is_its_ipv4_address() {
    let hosts = vec![
        host(&["203.0.113.1"], &[("203.0.113.1:5000", "203.0.113.2:80")]),
        host(&["203.0.113.2"], &[("[::ffff:203.0.113.2]:80", "[::ffff:203.0.113.1]:5000")]),
    ];
    assert_eq!(pairs(hosts), ["0/0 - 1/0 certain"]);
}

#[test]
fn equal_addresses_of_two_hosts_join_nothing_without_proof() {
    let server = || host(&["10.0.0.2"], &[("10.0.0.2:80", "10.0.0.1:5000")]);
    let client = || host(&["10.0.0.1"], &[("10.0.0.1:5000", "10.0.0.2:80")]);
    assert_eq!(pairs(vec![client(), client(), server()]), [""; 0], "two candidates are none");
    let twin = || host(&["10.0.0.1"], &[]);
    assert_eq!(pairs(vec![client(), twin(), server()]), [""; 0]);
    let (mut with, mut to) = (client(), server());
    transfer(&mut with, 0, 9001, 700);
    transfer(&mut to, 0, 700, 9000);
    assert_eq!(pairs(vec![with, twin(), to]), ["0/0 - 2/0 likely"]);
    // The other end is on the same host.
    let both = host(&["10.0.0.1"], &[("10.0.0.1:5000", "10.0.0.2:80"), ("10.0.0.2:80", "10.0.0.1:5000")]);
    assert_eq!(pairs(vec![both, server()]), [""; 0]);
}

#[test]
fn ends_that_cannot_be_of_one_connection_are_not_joined() {
    let client = || host(&["203.0.113.1"], &[("203.0.113.1:5000", "203.0.113.2:80")]);
    let absent = host(&["203.0.113.9"], &[("203.0.113.2:80", "203.0.113.1:5000")]);
    assert_eq!(pairs(vec![client(), absent]), [""; 0], "an address that its namespace has not");
    let server = || host(&["203.0.113.2"], &[("203.0.113.2:80", "203.0.113.1:5000")]);
    let mut udp = server();
    udp.sample.sockets[0].proto = Proto::Udp;
    assert_eq!(pairs(vec![client(), udp]), [""; 0]);
    let late = |late_s| {
        let mut hosts = joined(vec![client(), server()]);
        hosts[1].late_s = late_s;
        pairs_of(&hosts)
    };
    assert_eq!(late(100), ["0/0 - 1/0 certain"]);
    assert_eq!(late(3600), [""; 0], "opened 100 s ago, when the other was long not seen any more");
}

#[test]
fn translated_connection_is_joined_by_the_entry_of_the_host_that_translates() {
    let client = || host(&["192.0.2.1"], &[("192.0.2.1:5000", "203.0.113.9:8080")]);
    let server = || host(&["203.0.113.2"], &[("203.0.113.2:80", "192.0.2.1:5000")]);
    let balancer = || {
        let mut nat = host(&["203.0.113.9"], &[]);
        let entry = flow(("192.0.2.1:5000", "203.0.113.9:8080"), ("203.0.113.2:80", "192.0.2.1:5000"));
        nat.sample.flows = vec![entry];
        nat
    };
    assert_eq!(pairs(vec![client(), server()]), [""; 0]);
    assert_eq!(pairs(vec![client(), balancer(), server()]), ["0/0 - 2/0 certain nat 1"]);
    let mut over = balancer();
    over.sample.flows[0].tcp_state = Some(7);
    assert_eq!(pairs(vec![client(), over, server()]), [""; 0]);
    assert_eq!(pairs(vec![client(), balancer(), balancer(), server()]), [""; 0], "two entries are none");
}

#[test]
fn containers_with_equal_addresses_are_joined_by_the_entries_of_their_hosts() {
    // Masquerade at each client, DNAT at the server; two of them have the same container address and port.
    let client = |addr: &str| {
        let mut h = host(&[addr, "172.17.0.2"], &[("172.17.0.2:5000", "203.0.113.9:8080")]);
        let reply = format!("{addr}:5000");
        h.sample.flows = vec![flow(("172.17.0.2:5000", "203.0.113.9:8080"), ("203.0.113.9:8080", &reply))];
        h
    };
    let mut server = host(
        &["203.0.113.9", "172.17.0.2"],
        &[("172.17.0.2:80", "192.0.2.1:5000"), ("172.17.0.2:80", "192.0.2.2:5000")],
    );
    let entry = |client: &str| flow((client, "203.0.113.9:8080"), ("172.17.0.2:80", client));
    server.sample.flows = vec![entry("192.0.2.1:5000"), entry("192.0.2.2:5000")];
    assert_eq!(
        pairs(vec![client("192.0.2.1"), client("192.0.2.2"), server]),
        ["0/0 - 2/0 certain nat 0", "1/0 - 2/1 certain nat 1"]
    );
}

#[test]
fn address_that_is_translated_on_the_host_of_the_client_need_not_be_unique() {
    // A service address that every host has, replaced by that of a server before packets leave.
    let service = "10.96.0.1";
    let mut client = host(&["203.0.113.1", service], &[("203.0.113.1:5000", "10.96.0.1:80")]);
    client.sample.flows =
        vec![flow(("203.0.113.1:5000", "10.96.0.1:80"), ("203.0.113.2:8080", "203.0.113.1:5000"))];
    let server = host(&["203.0.113.2", service], &[("203.0.113.2:8080", "203.0.113.1:5000")]);
    assert_eq!(pairs(vec![client, server]), ["0/0 - 1/0 certain nat 0"]);
}

#[test]
fn hundred_thousand_equal_tuples_cost_no_more_than_others() {
    let many = |n: usize| {
        let one = ("10.0.0.1:5000", "10.0.0.2:80");
        let mut snap = host(&["10.0.0.1"], &vec![one; n]);
        let entry = || flow((one.0, one.1), ("10.0.0.3:80", "10.0.0.1:5000"));
        snap.sample.flows = (0..n).map(|_| entry()).collect();
        snap
    };
    assert_eq!(pairs(vec![many(100_000), many(100_000)]), [""; 0]);
}

/// Snapshot of sockets by numbers of addresses and ports.
fn random_host(addresses: &[u8], sockets: &[(u8, u16, u8, u16, bool)]) -> Snapshot {
    let text = |n: u8| match n {
        0 => "127.0.0.1".to_owned(),
        1..=3 => format!("10.0.0.{n}"),
        n => format!("203.0.113.{n}"),
    };
    let end = |n: u8, port: u16| format!("{}:{port}", text(n));
    let all: Vec<_> = sockets.iter().map(|(a, p, b, q, _)| (end(*a, *p), end(*b, *q))).collect();
    let all: Vec<_> = all.iter().map(|(l, r)| (l.as_str(), r.as_str())).collect();
    let addresses: Vec<String> = addresses.iter().map(|n| text(*n)).collect();
    let mut snap = host(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), &all);
    for (i, (.., udp)) in sockets.iter().enumerate() {
        if *udp {
            snap.sample.sockets[i].proto = Proto::Udp;
        }
    }
    snap
}

proptest! {
    #[test]
    fn join_is_symmetric_unique_and_never_ambiguous(
        fleet in prop::collection::vec(
            (
                prop::collection::vec(1u8..6, 0..3),
                prop::collection::vec((0u8..6, 1u16..4, 0u8..6, 1u16..4, any::<bool>()), 0..6),
            ),
            2..5,
        ),
        flows in prop::collection::vec((0usize..5, 1u8..6, 1u16..4, 1u8..6, 1u16..4, 1u8..6), 0..4),
    ) {
        let mut snaps: Vec<Snapshot> = fleet.iter().map(|(a, s)| random_host(a, s)).collect();
        for (on, a, p, b, q, c) in flows {
            let n = on % snaps.len();
            let of = |a: u8, p: u16, b: u8, q: u16| {
                let s = &random_host(&[], &[(a, p, b, q, false)]).sample.sockets[0];
                (s.local, s.remote)
            };
            let mut entry = flow(("10.0.0.1:1", "10.0.0.1:1"), ("10.0.0.1:1", "10.0.0.1:1"));
            (entry.orig, entry.reply) = (of(a, p, b, q), of(c, q, a, p));
            snaps[n].sample.flows.push(entry);
        }
        let hosts = joined(snaps);
        let links = links(&hosts);
        let socket = |host: usize, row: u32| *hosts[host].snap.socket(row as usize);
        let mut partners = FxHashMap::default();
        for (host, of) in links.iter().enumerate() {
            for l in of {
                prop_assert_ne!(host, l.host as usize);
                prop_assert!(partners.insert((host, l.row), (l.host as usize, l.peer)).is_none());
            }
        }
        for ((host, row), (other, peer)) in &partners {
            let back = (*host, *row);
            prop_assert_eq!(partners.get(&(*other, *peer)), Some(&back));
            let (a, b) = (socket(*host, *row), socket(*other, *peer));
            prop_assert_eq!(a.proto, b.proto);
            for addr in [a.local.addr, a.remote.addr] {
                prop_assert_ne!(addr.scope(), Scope::Loopback);
            }
            let link = links[*host].iter().find(|l| l.row == *row).unwrap();
            if link.nat.is_some() {
                continue;
            }
            prop_assert_eq!((a.local, a.remote), (b.remote, b.local));
            let all = hosts.iter().flat_map(|h| h.snap.live_sockets());
            let equal = |s: &Socket| local_remote(s) == local_remote(&a) || local_remote(s) == local_remote(&b);
            prop_assert_eq!(all.filter(|s| equal(s)).count(), 2);
            // Without byte counters no other host has either address.
            for (at, addr) in [(*host, a.local.addr), (*other, b.local.addr)] {
                let elsewhere = |(n, h): (usize, &JoinedHost)| {
                    n != at && h.snap.sample.addresses.iter().any(|(_, held)| *held == addr)
                };
                prop_assert!(!hosts.iter().enumerate().any(elsewhere));
            }
            if link.certain {
                prop_assert!([a.local, b.local].iter().all(|e| e.addr.scope() == Scope::Public));
            }
        }
    }
}
