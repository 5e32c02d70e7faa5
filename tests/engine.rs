//! The engine over scenarios, rule by rule.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "engine/between_polls.rs"]
mod between_polls;
#[path = "engine/dns.rs"]
mod dns;
#[path = "engine/events.rs"]
mod events;
#[path = "engine/limits.rs"]
mod limits;

use proptest::prelude::*;
use sockscope::collect::Source;
use sockscope::collect::scenario::{SCENARIOS, Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::model::snapshot::Direction;
use sockscope::model::wants::{Prefilter, ProtoSet, Side};
use sockscope::model::{
    Addr, AttrSet, Family, FaultKind, FaultSubject, Missing, Namespace, Proto, Reads, Sample, Snapshot,
    SocketId, Stamp, State, StateSet, Wants,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn everything() -> Wants {
    Wants::default().with_attrs(AttrSet::ALL)
}

/// Samples of the first polls of a scenario.
fn samples(scenario: &str, polls: usize, wants: &Wants) -> Vec<Sample> {
    let mut source = ScenarioSource::new(Scenario::parse(scenario).unwrap());
    (0..polls).map(|_| source.sample(wants).unwrap()).collect()
}

fn derive(samples: Vec<Sample>) -> Vec<Arc<Snapshot>> {
    let mut engine = Engine::new();
    samples.into_iter().map(|s| engine.step(s)).collect()
}

fn run(scenario: &str, polls: usize) -> Vec<Arc<Snapshot>> {
    derive(samples(scenario, polls, &everything()))
}

/// The row with this local or remote port.
fn row(s: &Snapshot, port: u16) -> usize {
    let found = s.sockets().position(|x| x.remote.port == port);
    found.or_else(|| s.sockets().position(|x| x.local.port == port)).unwrap()
}

fn pids(s: &Snapshot, row: usize) -> Vec<u32> {
    s.owners(row).iter().map(|o| s.process(o).info.pid).collect()
}

#[test]
fn owners_and_why_there_are_none() {
    let scenario = "process 7 a\nprocess 8 b\n\
        tcp LISTEN 10.0.0.1:80 own=7:3,8:3\n\
        tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001 own=8:4\n\
        tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5002 detached\n\
        tcp CLOSE_WAIT 10.0.0.1:80 10.0.0.2:5003 detached\n\
        tcp FIN_WAIT1 10.0.0.1:80 10.0.0.2:5004\n\
        tcp FIN_WAIT2 10.0.0.1:80 10.0.0.2:5005\n\
        tcp LAST_ACK 10.0.0.1:80 10.0.0.2:5006\n\
        tcp CLOSING 10.0.0.1:80 10.0.0.2:5007\n\
        tcp TIME_WAIT 10.0.0.1:80 10.0.0.2:5008\n\
        tcp SYN_RECV 10.0.0.1:80 10.0.0.2:5009\n\
        tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5010\n";
    let mut want = vec![
        (5001, None),
        (5002, Some(Missing::AcceptQueue)),
        (5003, Some(Missing::AcceptQueue)),
        (5004, Some(Missing::Orphan)),
        (5005, Some(Missing::Orphan)),
        (5006, Some(Missing::Orphan)),
        (5007, Some(Missing::Orphan)),
        (5008, Some(Missing::TimeWait)),
        (5009, Some(Missing::Handshake)),
        (5010, Some(Missing::NoVisibleProcess)),
    ];
    let s = &run(scenario, 1)[0];
    assert_eq!(pids(s, 0), [7, 8], "all owners of a shared socket");
    for (port, why) in &want {
        assert_eq!(s.facts[row(s, *port)].owner_missing, *why, "{port}");
    }
    assert_eq!(
        s.hidden,
        [
            (Missing::AcceptQueue, 2),
            (Missing::Orphan, 4),
            (Missing::TimeWait, 1),
            (Missing::Handshake, 1),
            (Missing::NoVisibleProcess, 1)
        ]
    );

    let s = &run(&format!("{scenario}process 9 secret hidden\n"), 1)[0];
    want[9].1 = Some(Missing::NotPermitted);
    for (port, why) in &want {
        assert_eq!(s.facts[row(s, *port)].owner_missing, *why, "with a process that hides: {port}");
    }

    // Only what concerns owners: more namespaces than a poll has time for leave no owner of this socket out.
    let dump = FaultSubject::Dump { proto: Proto::Udp, family: None, netns: None };
    for (subject, want) in [
        (FaultSubject::NewOwners, Missing::Pending),
        (FaultSubject::Descriptors, Missing::Pending),
        (FaultSubject::Namespaces, Missing::NoVisibleProcess),
        (dump, Missing::NoVisibleProcess),
    ] {
        let mut late = samples(scenario, 1, &everything());
        late[0].faults.add(FaultKind::Deferred, subject.clone(), "");
        let s = &derive(late)[0];
        assert_eq!(s.facts[row(s, 5010)].owner_missing, Some(want), "deferred: {subject:?}");
    }
}

#[test]
fn owners_not_read_yet_and_not_read_at_all() {
    let scenario = "process 7 a\ntcp LISTEN 10.0.0.1:80 own=7:3\ntcp TIME_WAIT 10.0.0.1:80 10.0.0.2:5001";
    let quick = everything().without(Reads::OWNERS);
    let mut source = ScenarioSource::new(Scenario::parse(scenario).unwrap());
    let mut waits = Engine::new().with_first_owners_pending();
    let why = |s: &Snapshot| s.facts[0].owner_missing;
    let first = waits.step(source.sample(&quick).unwrap());
    assert_eq!(why(&first), Some(Missing::Pending));
    assert_eq!(first.facts[1].owner_missing, Some(Missing::TimeWait), "that needs no reading");
    assert_eq!(why(&waits.step(source.sample(&everything()).unwrap())), None);
    let third = waits.step(source.sample(&quick).unwrap());
    assert_eq!(why(&third), Some(Missing::NotRead));
    assert!(third.last_owner(0).is_none(), "an owner that was not read is not lost");
    assert_eq!(why(&Engine::new().step(source.sample(&quick).unwrap())), Some(Missing::NotRead));
}

#[test]
fn last_owners_are_remembered() {
    // nginx closes the connection, which enters TIME_WAIT; then it is closed and shown for a moment.
    let scenario = "process 7 nginx\ntcp LISTEN 10.0.0.1:80 own=7:3\n\
        tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001 own=7:4 then=TIME_WAIT@2 life=4\n\
        tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5002 own=7:5 life=2";
    let s = run(scenario, 5);
    assert!(s[1].last_owner(row(&s[1], 5001)).is_none());
    for k in [2, 3] {
        let r = row(&s[k], 5001);
        let f = s[k].last_owner(r).unwrap();
        assert_eq!((f.pid, &*f.comm, f.fd), (7, "nginx", 4), "poll {k}");
        assert_eq!(s[k].facts[r].owner_missing, Some(Missing::TimeWait));
    }
    let ghost = row(&s[3], 5002);
    assert!(ghost >= s[3].live);
    assert_eq!(s[3].last_owner(ghost).map(|f| f.fd), Some(5));
    assert_eq!(s[3].facts[ghost].owner_missing, Some(Missing::Gone));
    assert!(s[3].last_owners.is_sorted_by_key(|f| f.0));

    // Also after a poll that did not read owners.
    let mut source = ScenarioSource::new(Scenario::parse(scenario).unwrap());
    let mut engine = Engine::new();
    engine.step(source.sample(&everything()).unwrap());
    engine.step(source.sample(&everything().without(Reads::OWNERS)).unwrap());
    let third = engine.step(source.sample(&everything()).unwrap());
    assert_eq!(third.last_owner(row(&third, 5001)).map(|f| f.pid), Some(7));
}

#[test]
fn the_life_of_a_socket() {
    let s = run(
        "tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001\n\
         tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5002 from=1 life=3 then=CLOSE_WAIT@1",
        10,
    );
    let at = |k: usize| s[k].sample.at.boot_ns;
    assert_eq!(s.iter().map(|s| s.seq).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert_eq!(s.iter().map(|s| s.opened).collect::<Vec<_>>(), [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(s.iter().map(|s| s.closed).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(
        s.iter().map(|s| s.socket_count() - s.live).collect::<Vec<_>>(),
        [0, 0, 0, 0, 1, 1, 1, 1, 1, 0]
    );
    let (old, new) = (&s[3].facts[0], &s[3].facts[row(&s[3], 5002)]);
    assert!(old.preexisting && old.first_seen_ns == at(0) && old.state_since_ns == at(0));
    assert!(!new.preexisting && new.first_seen_ns == at(1) && new.state_since_ns == at(2));
    let ghost = row(&s[6], 5002);
    assert_eq!((s[6].closed_ns(ghost), { s[6].facts[ghost].first_seen_ns }), (Some(at(4)), at(1)));
    assert_eq!(s[6].socket(row(&s[6], 5002)).state, State::CloseWait, "it shows what it was last");
    assert_eq!(s[9].states.total(), 1);
    assert_eq!(s[9].history.len(), 10);
    assert_eq!(s[9].history[2].1.get(State::CloseWait), 1);
}

#[test]
fn many_that_close_at_once_do_not_crowd_the_view() {
    let s = run("tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001 x=2500 hosts=7 life=1", 2);
    assert_eq!((s[1].closed, s[1].live, s[1].socket_count()), (2500, 0, 2000));
}

#[test]
fn a_socket_that_comes_back_was_never_gone() {
    let mut all =
        samples("tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001\ntcp LISTEN 10.0.0.1:80", 4, &everything());
    all[1].sockets.remove(0);
    let s = derive(all);
    assert_eq!((s[1].closed, s[1].socket_count()), (1, 2));
    assert_eq!((s[2].opened, s[2].socket_count(), s[2].live), (0, 2, 2));
    assert_eq!({ s[2].facts[0].first_seen_ns }, s[0].sample.at.boot_ns);
    assert_eq!(s[2].closed_ns(0), None);
}

#[test]
fn a_socket_told_twice_is_one() {
    let mut all =
        samples("tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001\ntcp LISTEN 10.0.0.1:80", 3, &everything());
    for s in &mut all[..2] {
        let twin = s.sockets[0];
        s.sockets.push(twin);
    }
    // Synthetic ids can collide; both sockets stay.
    for s in &mut all {
        for _ in 0..3 {
            let mut synthetic = s.sockets[0];
            synthetic.id.cookie = SocketId::SYNTHETIC | 5;
            s.sockets.push(synthetic);
        }
    }
    let s = derive(all);
    for s in &s {
        assert_eq!((s.live, s.opened, s.closed), (5, 0, 0), "poll {}", s.seq);
        assert_eq!(s.sockets().map(|s| s.id).collect::<BTreeSet<_>>().len(), 5);
    }
}

#[test]
fn rates_follow_the_counters() {
    let scenario = "process 7 a\ntcp LISTEN 10.0.0.1:80 own=7:3\n\
        tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001 own=7:4 rx=1000 tx=4000 retrans=2\n\
        tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5002 own=7:5 rx=500 from=1";
    let s = run(scenario, 3);
    let r = |k: usize, port| s[k].rates(row(&s[k], port));
    assert_eq!(r(0, 5001).rx, None, "nothing to compare with");
    assert_eq!((r(1, 5001).rx, r(1, 5001).tx, r(1, 5001).retrans), (Some(1000.0), Some(4000.0), Some(2.0)));
    assert_eq!(r(1, 5002).rx, None, "it is new");
    assert_eq!(r(2, 5002).rx, Some(500.0));
    assert_eq!(s[2].processes[0].rx, Some(1500.0));
    assert_eq!(s[2].ports[0].rx, Some(1500.0));
    assert_eq!(s[2].peers[0].tx, Some(4000.0));
    assert_eq!(s[0].processes[0].rx, None, "missing is not zero");

    let quick = everything().with_attrs(AttrSet::NONE);
    assert!(derive(samples(scenario, 2, &quick))[1].rates.is_empty());

    // Decreasing counters, or no time between two polls: no rate.
    let mut back = samples(scenario, 3, &everything());
    back.swap(1, 2);
    back[1].at = Stamp { boot_ns: back[0].at.boot_ns + 1_000_000_000, ..back[1].at };
    back[2].at = Stamp { boot_ns: back[0].at.boot_ns + 2_000_000_000, ..back[2].at };
    let s = derive(back);
    assert_eq!(s[2].rates(row(&s[2], 5001)).rx, None);
    let mut still = samples(scenario, 2, &everything());
    still[1].at = still[0].at;
    let s = derive(still);
    assert_eq!(s[1].rates(row(&s[1], 5001)).rx, None);
    assert_eq!(s[1].rates(row(&s[1], 5001)).tx, None);
}

/// A listener, a connection, and true if the listener accepted it.
const WHO_BEGAN: [(&str, &str, Direction); 19] = [
    ("tcp LISTEN 10.0.0.1:80", "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000", Direction::In),
    ("tcp LISTEN 10.0.0.2:80", "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000", Direction::Out),
    ("tcp LISTEN 0.0.0.0:80", "tcp CLOSE_WAIT 10.0.0.1:80 1.2.3.4:5000", Direction::In),
    ("tcp LISTEN 0.0.0.0:80", "tcp TIME_WAIT 10.0.0.1:80 1.2.3.4:5000", Direction::In),
    ("tcp LISTEN 0.0.0.0:80", "tcp SYN_RECV 10.0.0.1:80 1.2.3.4:5000", Direction::In),
    ("tcp LISTEN 0.0.0.0:81", "tcp SYN_RECV 10.0.0.1:80 1.2.3.4:5000", Direction::In),
    ("tcp LISTEN 0.0.0.0:80", "tcp SYN_SENT 10.0.0.1:80 1.2.3.4:5000", Direction::Out),
    ("tcp LISTEN 0.0.0.0:81", "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000", Direction::Out),
    ("udp UNCONN 0.0.0.0:80", "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000", Direction::Out),
    ("udp UNCONN 0.0.0.0:53", "udp ESTABLISHED 10.0.0.1:53 1.2.3.4:5000", Direction::In),
    ("udp UNCONN 0.0.0.0:53", "udp ESTABLISHED 10.0.0.1:5353 1.2.3.4:53", Direction::Out),
    ("tcp LISTEN [::]:80", "tcp ESTABLISHED [2001:db8::1]:80 [2001:db8::2]:5000", Direction::In),
    ("tcp LISTEN [::]:80", "tcp ESTABLISHED [::ffff:10.0.0.1]:80 [::ffff:1.2.3.4]:5000", Direction::In),
    ("tcp LISTEN [::]:80 v6only", "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000", Direction::Out),
    ("tcp LISTEN 0.0.0.0:80", "tcp ESTABLISHED [2001:db8::1]:80 [2001:db8::2]:5000", Direction::Out),
    ("tcp LISTEN 0.0.0.0:80 iface=eth0", "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000", Direction::Out),
    (
        "tcp LISTEN 0.0.0.0:80 iface=eth0",
        "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000 iface=eth0",
        Direction::In,
    ),
    ("tcp LISTEN 0.0.0.0:80", "tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000 iface=eth0", Direction::In),
    ("tcp LISTEN 0.0.0.0:80", "udp UNCONN 10.0.0.1:80", Direction::None),
];

#[test]
fn who_began() {
    for (listener, connection, want) in WHO_BEGAN {
        let s = &run(&format!("{listener}\n{connection}"), 1)[0];
        assert_eq!(s.facts[1].direction, want, "{listener} | {connection}");
        assert_eq!(s.facts[0].direction, Direction::None);
        let served = s.ports.iter().any(|p| p.clients == [1]);
        let connected = ["ESTABLISHED", "CLOSE_WAIT"].iter().any(|state| connection.contains(state));
        let accepted = want == Direction::In && connected && !listener.contains(":81");
        assert_eq!(served, accepted, "{listener} | {connection}");
    }
}

#[test]
fn who_began_is_not_guessed_from_half_the_sockets() {
    let scenario = "tcp LISTEN 0.0.0.0:80 life=2\ntcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5000";
    let some = Wants { states: StateSet::only(&[State::Established]), ..everything() };
    let s = derive(samples(scenario, 1, &some));
    assert_eq!(s[0].facts[0].direction, Direction::None, "no listener could be seen");
    let s = run(scenario, 4);
    assert_eq!(
        s[3].facts[row(&s[3], 5000)].direction,
        Direction::In,
        "its listener is gone, it stays accepted"
    );
    assert!(s[3].ports.is_empty());
}

#[test]
fn the_most_specific_listener_gets_the_connection() {
    let s = &run(
        "process 7 a\nprocess 8 b\n\
         tcp LISTEN 0.0.0.0:80 q=1/511 own=7:3\n\
         tcp LISTEN 0.0.0.0:80 q=2/511 own=8:3\n\
         tcp LISTEN 10.0.0.1:80 q=0/128 own=7:4\n\
         tcp LISTEN [::]:80 q=0/128 own=7:5 v6only\n\
         tcp LISTEN 0.0.0.0:80 q=0/16 own=7:6 iface=eth0\n\
         udp UNCONN 0.0.0.0:80 q=77/0 own=7:7 drops=9\n\
         tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5001\n\
         tcp ESTABLISHED 10.0.0.2:80 1.2.3.4:5002\n\
         tcp ESTABLISHED 10.0.0.2:80 1.2.3.4:5003\n\
         tcp TIME_WAIT 10.0.0.2:80 1.2.3.5:5004\n\
         tcp FIN_WAIT2 10.0.0.2:80 1.2.3.6:5004\n\
         tcp ESTABLISHED [2001:db8::1]:80 [2001:db8::2]:5005\n\
         tcp ESTABLISHED 10.0.0.2:80 1.2.3.4:5006 iface=eth0\n",
        1,
    )[0];
    let got: Vec<_> = s
        .ports
        .iter()
        .map(|p| (p.proto, p.local.to_string(), p.iface, p.clients.len(), p.hosts, p.recv_q, p.backlog))
        .collect();
    assert_eq!(
        got,
        [
            (Proto::Tcp, "[::]:80".into(), 0, 1, 1, 0, 128),
            (Proto::Tcp, "0.0.0.0:80".into(), 0, 2, 1, 3, 1022),
            (Proto::Tcp, "0.0.0.0:80".into(), 2, 1, 1, 0, 16),
            (Proto::Tcp, "10.0.0.1:80".into(), 0, 1, 1, 0, 128),
            (Proto::Udp, "0.0.0.0:80".into(), 0, 0, 0, 77, 0),
        ]
    );
    assert_eq!(s.ports[1].processes, [0, 1], "listeners that share an endpoint are one row");
    assert_eq!(s.ports[1].sockets.len(), 2);
    let closed = [State::TimeWait, State::FinWait2].map(|state| s.ports[1].states.get(state));
    assert_eq!(closed, [1, 1], "counted by state, but not as clients");
    assert_eq!(s.ports[4].drops, Some(9));
}

#[test]
fn processes_count_what_they_hold() {
    let s = run(
        "process 7 a fds=10+5/64/128\nprocess 8 b fds=9\nprocess 9 c hidden\n\
         tcp LISTEN 0.0.0.0:80 own=7:3,8:3\n\
         tcp LISTEN 0.0.0.0:80 own=7:20,7:21\n\
         tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5001 own=8:4",
        8,
    );
    let s = &s[7];
    assert_eq!((s.sockets_of(0), s.sockets_of(1), s.sockets_of(2)), (&[0, 1][..], &[0, 2][..], &[][..]));
    assert_eq!((s.processes[0].listening, s.processes[1].listening), (2, 1));
    assert_eq!(s.processes[1].states.get(State::Established), 1);
    let open: Vec<u64> = s.processes[0].fd_history.iter().map(|h| h.1).collect();
    assert_eq!(open, [10, 15, 20, 25, 30, 35, 40, 45]);
    assert_eq!(s.processes[0].fds_per_min, Some(300.0));
    assert_eq!(s.processes[1].fds_per_min, Some(0.0));
    let early = &run("process 7 a fds=10+5", 2)[1];
    assert_eq!(early.processes[0].fds_per_min, None, "two readings are too few");
}

#[test]
fn a_pid_given_out_again_is_another_process() {
    let s = run("process 7 a fds=500 until=3\nprocess 7 b fds=4 from=3\ntcp LISTEN 0.0.0.0:80 own=7:3", 5);
    assert_eq!(s[2].processes[0].fd_history.len(), 3);
    assert_eq!(s[4].processes[0].fd_history.iter().map(|h| h.1).collect::<Vec<_>>(), [4, 4]);
    assert_eq!(s[4].processes[0].first_seen_ns, s[3].sample.at.boot_ns);
    // After a poll that did not read processes they are not new.
    let mut source = ScenarioSource::new(Scenario::parse("process 7 a fds=5").unwrap());
    let mut engine = Engine::new();
    engine.step(source.sample(&everything()).unwrap());
    engine.step(source.sample(&everything().without(Reads::OWNERS | Reads::PROCESSES)).unwrap());
    assert_eq!(engine.step(source.sample(&everything()).unwrap()).processes[0].fd_history.len(), 2);
}

#[test]
fn peers_are_counted_by_address() {
    let s = &run(
        "process 7 a\nprocess 8 b\ntcp LISTEN 0.0.0.0:80 own=7:3\n\
         tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5001 own=7:4\n\
         tcp ESTABLISHED [::ffff:10.0.0.1]:80 [::ffff:1.2.3.4]:5002 own=7:5\n\
         tcp ESTABLISHED 10.0.0.1:40001 1.2.3.4:443 own=8:5\n\
         tcp ESTABLISHED 10.0.0.1:40002 1.2.3.4:443 own=8:6\n\
         udp ESTABLISHED 10.0.0.1:40003 8.8.8.8:53 own=8:7\n\
         udp UNCONN 0.0.0.0:68 own=8:8",
        1,
    )[0];
    let got: Vec<_> = s
        .peers
        .iter()
        .map(|p| (p.addr.to_string(), s.sockets_with(p).to_vec(), p.ports, s.processes_with(p).to_vec()))
        .collect();
    assert_eq!(
        got,
        [
            ("1.2.3.4".to_owned(), vec![1, 2, 3, 4], 2, vec![0, 1]),
            ("8.8.8.8".to_owned(), vec![5], 1, vec![1])
        ]
    );
}

#[test]
fn other_questions_open_and_close_nothing() {
    let scenario = "tcp LISTEN 0.0.0.0:80\ntcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5001\n\
        tcp ESTABLISHED 10.0.0.1:22 1.2.3.4:5002\ntcp CLOSE_WAIT 10.0.0.1:80 1.2.3.4:5003\nudp UNCONN 0.0.0.0:53\n\
        tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5004 life=1\n\
        tcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5005 from=1";
    let narrow = [
        Wants { protos: ProtoSet::empty().with(Proto::Tcp), ..everything() },
        Wants { states: StateSet::only(&[State::Listen, State::Unconn]), ..everything() },
        Wants { prefilter: Some(Prefilter::Ports { side: Side::Local, low: 80, high: 80 }), ..everything() },
    ];
    for (i, few) in narrow.into_iter().enumerate() {
        let mut source = ScenarioSource::new(Scenario::parse(scenario).unwrap());
        let mut engine = Engine::new();
        let mut step = |w: &Wants| engine.step(source.sample(w).unwrap());
        let a = step(&everything());
        let b = step(&few);
        let c = step(&few);
        let d = step(&everything());
        // Of the sockets opened or closed in the meantime only visible ones are counted.
        assert_eq!((b.opened, b.closed), if i == 1 { (0, 0) } else { (1, u32::from(i == 0)) }, "narrow {i}");
        assert_eq!((c.opened, c.closed), (0, 0), "narrow {i}");
        assert_eq!((d.opened, d.closed), (0, 0), "narrow {i}");
        for port in [5001, 5002, 5003, 53] {
            assert_eq!(
                { d.facts[row(&d, port)].first_seen_ns },
                a.sample.at.boot_ns,
                "narrow {i}: {port} is remembered"
            );
        }
        assert_eq!((a.history.len(), b.history.len(), c.history.len(), d.history.len()), (1, 1, 2, 1));
    }
}

#[test]
fn tables_that_could_not_be_read_close_nothing() {
    let scenario = "tcp LISTEN 0.0.0.0:80\ntcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5001";
    for kind in [FaultKind::Failed, FaultKind::Lost] {
        let mut all = samples(scenario, 3, &everything());
        all[1].sockets.pop();
        let dump = FaultSubject::Dump { proto: Proto::Tcp, family: Some(Family::Inet), netns: None };
        all[1].faults.add(kind, dump, "");
        let s = derive(all);
        assert_eq!(s.iter().map(|s| (s.opened, s.closed)).collect::<Vec<_>>(), [(0, 0); 3]);
        assert_eq!({ s[2].facts[1].first_seen_ns }, s[0].sample.at.boot_ns);
    }
    // A table that is never readable does not hide closes in others; neither do errors about processes.
    let udp6 = FaultSubject::Dump { proto: Proto::Udp, family: Some(Family::Inet6), netns: None };
    for (kind, subject) in [(FaultKind::Failed, udp6), (FaultKind::Malformed, FaultSubject::Processes)] {
        let mut all = samples(&format!("{scenario} life=1"), 2, &everything());
        for s in &mut all {
            s.faults.add(kind, subject.clone(), "");
        }
        assert_eq!(derive(all)[1].closed, 1, "{subject}");
    }
}

#[test]
fn cookies_count_within_their_namespace() {
    let ns = |inode, name: &str| Namespace { inode, name: name.into(), interfaces: BTreeMap::new() };
    let mut all =
        samples("tcp LISTEN 0.0.0.0:80\ntcp ESTABLISHED 10.0.0.1:80 1.2.3.4:5001", 4, &everything());
    for s in &mut all {
        // The same two sockets again, in another namespace, with the same cookies.
        for mut twin in s.sockets.clone() {
            twin.id.netns = 1;
            s.sockets.push(twin);
        }
        s.namespaces = Arc::from([ns(1, "host"), ns(2, "box")]);
    }
    // Then the first namespace is deleted and the second renumbered.
    for s in &mut all[2..] {
        s.sockets.drain(..2);
        s.sockets.iter_mut().for_each(|x| x.id.netns = 0);
        s.namespaces = Arc::from([ns(2, "box")]);
    }
    let s = derive(all);
    assert_eq!(
        s.iter().map(|s| (s.live, s.opened, s.closed)).collect::<Vec<_>>(),
        [(4, 0, 0), (4, 0, 0), (2, 0, 2), (2, 0, 0)]
    );
    assert_eq!(s[0].ports.len(), 2);
    assert!(s[0].ports.iter().all(|p| p.clients.len() == 1), "a listener serves its own namespace");
    assert_eq!({ s[3].facts[0].first_seen_ns }, s[0].sample.at.boot_ns);
}

#[test]
fn what_closed_with_its_namespace_keeps_its_name_when_the_inode_is_used_again() {
    let ns = |inode, name: &str| Namespace { inode, name: name.into(), interfaces: BTreeMap::new() };
    let mut all = samples("tcp LISTEN 0.0.0.0:80\ntcp LISTEN 0.0.0.0:81", 4, &everything());
    // The namespace of the second socket is deleted; the next one reuses its inode under another number, and then one
    // reuses the number of a namespace deleted long before.
    let spaces = [
        vec![ns(1, "host"), ns(9, "old"), ns(7, "red")],
        vec![ns(1, "host"), ns(9, "old"), ns(7, "red"), ns(7, "blue")],
        vec![ns(1, "host"), ns(9, "old"), ns(7, "red"), ns(7, "blue")],
        vec![ns(1, "host"), ns(5, "new"), ns(7, "red"), ns(7, "blue")],
    ];
    for (i, (s, spaces)) in all.iter_mut().zip(spaces).enumerate() {
        s.namespaces = spaces.into();
        s.sockets[1].id.netns = if i == 0 { 2 } else { 3 };
        s.sockets[1].id.cookie = if i == 0 { 50 } else { 60 };
    }
    let s = derive(all);
    let name =
        |s: &Snapshot, row: usize| s.sample.namespaces[usize::from(s.socket(row).id.netns)].name.clone();
    for s in &s[1..] {
        assert_eq!((s.live, s.socket_count()), (2, 3));
        assert_eq!((name(s, 1), name(s, 2)), ("blue".to_owned(), "red".to_owned()));
    }
    let counts: Vec<_> = s.iter().map(|s| (s.opened, s.closed)).collect();
    assert_eq!(counts, [(0, 0), (1, 1), (0, 0), (0, 0)]);
    assert_eq!({ s[3].facts[1].first_seen_ns }, s[1].sample.at.boot_ns, "its age continues");
}

#[test]
fn an_inode_used_again_is_not_the_same_socket() {
    let mut all = samples("process 7 a\nprocess 8 b\ntcp LISTEN 0.0.0.0:80 own=7:3", 2, &everything());
    all[1].sockets[0].id.cookie = 99;
    let s = derive(all);
    assert_eq!((s[1].opened, s[1].closed), (1, 1));
    assert_eq!({ s[1].facts[0].first_seen_ns }, s[1].sample.at.boot_ns);
}

#[test]
fn another_boot_is_another_machine() {
    let mut all = samples("process 7 a\ntcp LISTEN 0.0.0.0:80 own=7:3", 3, &everything());
    all[2].at.boot_ns = 5;
    let s = derive(all);
    assert_eq!((s[2].seq, s[2].opened, s[2].closed), (3, 0, 0));
    assert!(s[2].facts[0].preexisting && s[2].history.len() == 1);
    assert_eq!({ s[2].facts[0].first_seen_ns }, 5);
}

/// Asserts the invariants of every snapshot.
fn holds(s: &Snapshot) {
    assert_eq!(s.facts.len(), s.socket_count());
    assert!(s.rates.is_empty() || s.rates.len() == s.socket_count());
    assert_eq!(s.processes.len(), s.sample.processes.len());
    assert_eq!(s.states.total() as usize, s.live, "every live socket counts once");
    let without = s.facts[..s.live].iter().filter(|f| f.owner_missing.is_some()).count();
    assert_eq!(s.hidden.iter().map(|(_, n)| *n as usize).sum::<usize>(), without);
    assert_eq!(s.sockets().map(|s| s.id).collect::<BTreeSet<_>>().len(), s.socket_count());
    let mut of: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for row in 0..s.socket_count() {
        let f = &s.facts[row];
        assert_eq!(s.closed_ns(row).is_some(), row >= s.live);
        assert_eq!(f.owner_missing.is_none(), !s.owners(row).is_empty());
        assert!(f.first_seen_ns <= f.state_since_ns && f.state_since_ns <= s.sample.at.boot_ns);
        for o in s.owners(row) {
            assert_eq!(o.inode, { s.socket(row).inode });
            of.entry(o.process).or_default().insert(row as u32);
        }
    }
    let joined: BTreeSet<u64> = (0..s.live).flat_map(|r| s.owners(r)).map(|o| o.inode).collect();
    for o in s.sample.owners.iter() {
        let there = s.live_sockets().iter().any(|x| x.inode == o.inode);
        assert_eq!(there, joined.contains(&o.inode), "no owner is left out");
    }
    for p in 0..s.processes.len() {
        let want: Vec<u32> = of.remove(&(p as u32)).unwrap_or_default().into_iter().collect();
        assert_eq!(s.sockets_of(p), want);
        assert_eq!(s.processes[p].states.total() as usize, want.len());
    }
    let clients: Vec<u32> = s.ports.iter().flat_map(|p| p.clients.iter().copied()).collect();
    assert_eq!(clients.iter().collect::<BTreeSet<_>>().len(), clients.len(), "a connection has one listener");
    for p in &s.ports {
        assert!(p.clients.iter().all(|r| s.facts[*r as usize].direction == Direction::In));
        assert!(p.clients.iter().all(|r| s.socket(*r as usize).local.port == p.local.port));
        let hosts: BTreeSet<Addr> = p.clients.iter().map(|r| s.socket(*r as usize).remote.addr).collect();
        assert_eq!(p.hosts as usize, hosts.len());
        // One that this end has closed is counted by its state only.
        let connected = p.states.get(State::Established) + p.states.get(State::CloseWait);
        assert_eq!(connected as usize, p.clients.len());
    }
    let serving: usize = s.ports.iter().map(|p| p.sockets.len()).sum();
    assert_eq!(serving, s.live_sockets().iter().filter(|x| x.serves() && x.proto.is_inet()).count());
    assert_eq!(s.peers.iter().map(|p| s.sockets_with(p).len()).sum::<usize>(), s.peer_sockets.len());
    for p in &s.peers {
        assert!(s.sockets_with(p).iter().all(|r| s.socket(*r as usize).remote.addr == p.addr));
        assert_eq!(p.states.total() as usize, s.sockets_with(p).len());
    }
    assert!(s.peers.is_sorted_by_key(|p| std::cmp::Reverse(p.sockets.len())));
    assert!(s.last_owners.is_sorted_by_key(|f| f.0));
    assert_eq!(s.history.last().map(|h| h.1), Some(s.states));
}

#[test]
fn every_scene_holds_together() {
    for (name, text) in SCENARIOS {
        let polls = Scenario::parse(text).unwrap().polls as usize + 3;
        let all = run(text, polls.min(50));
        for s in &all {
            holds(s);
        }
        assert_eq!(all[1].sample.backend.backend, sockscope::model::Backend::Script, "{name}");
    }
}

/// A random line of a scenario.
fn any_line() -> impl Strategy<Value = String> {
    let state = prop::sample::select(vec![
        "LISTEN",
        "ESTABLISHED",
        "CLOSE_WAIT",
        "TIME_WAIT",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT2",
        "LAST_ACK",
        "UNCONN",
    ]);
    let local = prop::sample::select(vec![
        "0.0.0.0:80",
        "[::]:80",
        "10.0.0.1:80",
        "[::ffff:10.0.0.1]:80",
        "[2001:db8::1]:80",
        "10.0.0.1:81",
        "127.0.0.1:80",
    ]);
    let owners =
        prop::sample::select(vec!["", "own=7:3", "own=7:3,8:4", "own=8:5,8:6", "detached", "own=9:1"]);
    (state, local, 1u16..5, owners, 0u32..4, 1u32..6, 1u32..4).prop_map(
        |(state, local, host, own, from, life, x)| {
            let proto = if state == "UNCONN" { "udp" } else { "tcp" };
            let remote = match state {
                "LISTEN" | "UNCONN" => String::new(),
                _ if local.starts_with("[2") => format!("[2001:db8::{host}]:5000"),
                _ => format!("10.9.0.{host}:5000"),
            };
            let then = if remote.is_empty() { "" } else { "then=TIME_WAIT@2" };
            format!(
                "{proto} {state} {local} {remote} {own} from={from} life={life} x={x} hosts=2 rx=100 {then}"
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_machine_holds_together(lines in prop::collection::vec(any_line(), 0..24), mix in prop::collection::vec(0u8..6, 8)) {
        let scenario = format!("polls 6\nprocess 7 a fds=9+1\nprocess 8 b until=4\nprocess 9 c hidden\n{}", lines.join("\n"));
        let mut source = ScenarioSource::new(Scenario::parse(&scenario).unwrap());
        let mut engine = Engine::new();
        let mut live = None;
        for m in mix {
            let wants = match m {
                0 => everything().without(Reads::OWNERS | Reads::PROCESSES),
                1 => everything().with_attrs(AttrSet::NONE),
                2 => Wants { states: StateSet::only(&[State::Established, State::Listen]), ..everything() },
                _ => everything(),
            };
            let mut sample = source.sample(&wants).unwrap();
            if m == 5 {
                sample.sockets.reverse();
            }
            let s = engine.step(sample);
            holds(&s);
            if m == 2 {
                live = None;
            } else {
                // Between two complete polls opened minus closed is the difference.
                if let Some(before) = live {
                    prop_assert_eq!(before + i64::from(s.opened) - i64::from(s.closed), s.live as i64);
                }
                live = Some(s.live as i64);
            }
        }
    }
}
