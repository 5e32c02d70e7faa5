//! Events joined with hand-made polls.

use super::super::Engine;
use crate::model::sample::{ClosedBy, Event, EventCount, EventKind, EventProcess, EventSource};
use crate::model::snapshot::{Direction, EventRow, ProcessBy};
use crate::model::{
    Backend, BackendInfo, Family, Namespace, Needs, Owner, Proto, ProtoSet, Sample, Socket, SocketId, Stamp,
    State, Wants,
};
use crate::testing::{ep, process};
use std::collections::BTreeMap;
use std::sync::Arc;

const SEC: u64 = 1_000_000_000;

/// A poll at this second with nginx 812, which listens on port 80 and, if `open`, has a connection with cookie 2.
fn poll(secs: u64, open: bool, events: Vec<Event>) -> Sample {
    let info = BackendInfo { backend: Backend::Script, reason: String::new() };
    let at = Stamp { boot_ns: secs * SEC, unix_ns: (1_000_000 + secs) * SEC };
    let wants = Wants::new(Needs::OWNERS, ProtoSet::TCP_UDP);
    let mut out = Sample::empty(at, "t".into(), Arc::new(info), wants);
    out.namespaces =
        Arc::from([Namespace { inode: 7, name: "here".to_owned(), interfaces: BTreeMap::new() }]);
    out.processes = vec![process(812, "nginx", 33, 9, 1024)];
    let mut add = |cookie: u64, state: State, local: &str, remote: &str| {
        let mut s = Socket::new(SocketId { netns: 0, cookie }, Family::Inet, Proto::Tcp, state);
        (s.local, s.remote, s.inode) = (ep(local), ep(remote), 100 + cookie);
        out.sockets.push(s);
    };
    add(1, State::Listen, "0.0.0.0:80", "0.0.0.0:0");
    if open {
        add(2, State::Established, "10.0.0.1:80", "10.0.0.9:5000");
    }
    let owner = |inode: u64| Owner { inode, process: 0, fd: inode as u32 };
    out.owners = if open { Arc::from([owner(101), owner(102)]) } else { Arc::from([owner(101)]) };
    out.events.source = Some(EventSource::SockDiag);
    out.events.list = events;
    out
}

fn close(cookie: u64, at_ns: u64, local: &str, remote: &str) -> Event {
    Event {
        at_ns,
        kind: EventKind::Closed,
        id: SocketId { netns: 0, cookie },
        family: Family::Inet,
        proto: Proto::Tcp,
        local: ep(local),
        remote: Some(ep(remote)),
        iface: 0,
        process: None,
        uid: None,
        inbound: None,
        start_ns: 0,
        opened_ns: 0,
        tx: Some(200),
        rx: Some(100),
        retrans: Some(0),
        rtt_us: None,
        closed_by: Some(ClosedBy::Peer),
        errno: 0,
        from: None,
        state_us: None,
    }
}

fn pid(row: &EventRow) -> Option<u32> {
    row.process.as_ref().map(|p| p.pid)
}

#[test]
fn close_without_process_has_the_owner_and_first_sight_of_the_last_poll() {
    let mut engine = Engine::new();
    engine.step(poll(10, true, Vec::new()));
    let at = 12 * SEC + SEC / 2;
    let snap = engine.step(poll(13, false, vec![close(2, at, "10.0.0.1:80", "10.0.0.9:5000")]));
    let [row] = snap.events.new_rows() else { panic!("{:?}", snap.events) };
    assert_eq!((pid(row), row.process_by, row.direction), (Some(812), ProcessBy::Poll, Direction::In));
    assert_eq!((row.duration_ns, row.is_lower_bound), (Some(5 * SEC / 2), true));
    assert_eq!(row.unix_ns, 1_000_012 * SEC + SEC / 2);
    assert_eq!((row.netns_inode, &*row.netns_name), (7, "here"));
    assert_eq!(snap.process_of_event(row), Some(0));
    assert_eq!(row.unit().and_then(|u| u.name.as_deref()), Some("nginx.service"));
}

#[test]
fn connection_that_no_poll_saw_has_the_owner_of_its_listener() {
    let mut engine = Engine::new();
    engine.step(poll(10, false, Vec::new()));
    let short = [
        close(3, 11 * SEC, "10.0.0.1:80", "10.0.0.9:5001"),
        close(4, 11 * SEC, "10.0.0.1:40000", "10.0.0.9:443"),
    ];
    let snap = engine.step(poll(12, false, short.into()));
    let found: Vec<_> =
        snap.events.new_rows().iter().map(|r| (pid(r), r.process_by, r.direction, r.duration_ns)).collect();
    assert_eq!(
        found,
        [
            (Some(812), ProcessBy::Listener, Direction::In, None),
            (None, ProcessBy::None, Direction::Out, None),
        ]
    );
}

#[test]
fn reported_process_and_times_precede_those_of_the_polls() {
    let mut engine = Engine::new();
    engine.step(poll(10, true, Vec::new()));
    let reported = EventProcess { pid: 5, start_ns: 1, comm: "curl".into(), uid: 0, cgroup_id: 0 };
    let event = Event {
        process: Some(Arc::new(reported)),
        inbound: Some(false),
        start_ns: 11 * SEC,
        opened_ns: 11 * SEC + 300,
        ..close(2, 12 * SEC, "10.0.0.1:80", "10.0.0.9:5000")
    };
    let failed = Event { kind: EventKind::Failed, opened_ns: 0, ..event.clone() };
    let snap = engine.step(poll(13, true, vec![event, failed]));
    let [closed, failed] = snap.events.new_rows() else { panic!() };
    assert_eq!(
        (pid(closed), closed.process_by, closed.direction),
        (Some(5), ProcessBy::Event, Direction::Out)
    );
    assert_eq!((closed.duration_ns, closed.is_lower_bound), (Some(SEC - 300), false));
    assert_eq!((closed.connect_ns(), failed.connect_ns()), (Some(300), None));
    assert_eq!((failed.duration_ns, snap.process_of_event(failed)), (Some(SEC), None));
}

#[test]
fn log_keeps_the_last_rows_and_all_of_this_poll() {
    let mut engine = Engine::new().with_events_kept(3);
    let events = |range: std::ops::Range<u64>| -> Vec<Event> {
        range.map(|c| close(c, 10 * SEC, "10.0.0.1:1", "10.0.0.9:2")).collect()
    };
    let mut numbers = |secs: u64, range: std::ops::Range<u64>, lost: u64| {
        let mut sample = poll(secs, false, events(range));
        sample.events.lost = lost;
        let snap = engine.step(sample);
        let log = &snap.events;
        (log.rows.iter().map(|r| r.number).collect::<Vec<_>>(), log.new, log.seen, log.lost)
    };
    assert_eq!(numbers(10, 10..12, 0), (vec![1, 2], 2, 2, 0));
    assert_eq!(numbers(11, 12..14, 5), (vec![2, 3, 4], 2, 4, 5));
    assert_eq!(numbers(12, 0..0, 0), (vec![2, 3, 4], 0, 4, 5));
    assert_eq!(numbers(13, 14..19, 1), ((5..10).collect(), 5, 9, 6));
    assert_eq!(numbers(14, 0..0, 0), ((7..10).collect(), 0, 9, 6));
    // Another boot: the rows go, the numbers go on.
    assert_eq!(numbers(1, 14..15, 0), (vec![10], 1, 10, 6));
}

#[test]
fn counted_events_are_one_row_with_their_number() {
    let mut sample = poll(10, false, Vec::new());
    sample.events.counts = vec![EventCount {
        netns: 0,
        kind: EventKind::Closed,
        remote: ep("10.0.0.9:80"),
        inbound: true,
        pid: 812,
        comm: "nginx".into(),
        errno: 104,
        events: 700,
        tx: 7,
        rx: 8,
    }];
    let snap = Engine::new().step(sample);
    let [row] = snap.events.new_rows() else { panic!() };
    assert_eq!((row.count, row.counted, pid(row), snap.events.seen), (700, true, Some(812), 700));
    let e = &row.event;
    assert_eq!((e.local.port, e.remote, e.errno), (80, Some(ep("10.0.0.9:0")), 104));
    assert_eq!((e.tx, e.rx, row.direction), (Some(7), Some(8), Direction::In));
}
