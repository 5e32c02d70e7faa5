//! The window against a count over all events, and its cost.

use super::*;
use crate::derive::Engine;
use crate::model::sample::{ClosedBy, Event, EventSource};
use crate::model::snapshot::{EventFigure, ProcessBy};
use crate::model::{
    Backend, BackendInfo, Family, Missing, Namespace, Needs, ProtoSet, Snapshot, Socket, SocketId, Stamp,
    State, Wants,
};
use crate::testing::{ep, process};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SEC: u64 = 1_000_000_000;

/// A poll at this second with a listener of nginx 812 on port 80.
fn poll(secs: u64, events: Vec<Event>) -> Sample {
    let info = BackendInfo { backend: Backend::Script, reason: String::new() };
    let at = Stamp { boot_ns: secs * SEC, unix_ns: (1_000_000 + secs) * SEC };
    let wants = Wants::new(Needs::OWNERS | Needs::EVENTS, ProtoSet::TCP_UDP);
    let mut out = Sample::empty(at, "t".into(), Arc::new(info), wants);
    out.namespaces =
        Arc::from([Namespace { inode: 7, name: "here".to_owned(), interfaces: BTreeMap::new() }]);
    out.processes = vec![process(812, "nginx", 33, 9, 1024)];
    let mut s = Socket::new(SocketId { netns: 0, cookie: 1 }, Family::Inet, Proto::Tcp, State::Listen);
    (s.local, s.inode) = (ep("0.0.0.0:80"), 101);
    out.sockets.push(s);
    out.owners = Arc::from([crate::model::Owner { inode: 101, process: 0, fd: 3 }]);
    out.events.source = Some(EventSource::Bpf);
    out.events.since_ns = 100 * SEC;
    out.events.list = events;
    out
}

fn event(kind: EventKind, at_ns: u64, local: &str, remote: &str) -> Event {
    let process = EventProcess { pid: 812, start_ns: 812 * SEC, comm: "nginx".into(), uid: 33, cgroup_id: 0 };
    Event {
        at_ns,
        kind,
        id: SocketId { netns: 0, cookie: at_ns },
        family: Family::Inet,
        proto: Proto::Tcp,
        local: ep(local),
        remote: Some(ep(remote)),
        iface: 0,
        process: Some(Arc::new(process)),
        uid: None,
        inbound: Some(local.ends_with(":80")),
        start_ns: 0,
        opened_ns: 0,
        tx: None,
        rx: None,
        retrans: None,
        rtt_us: None,
        closed_by: (kind == EventKind::Closed).then_some(ClosedBy::Here),
        errno: 0,
        from: None,
        state_us: None,
    }
}

fn refused(at_ns: u64) -> Event {
    Event {
        closed_by: Some(ClosedBy::Refused),
        errno: 111,
        start_ns: at_ns - 1000,
        ..event(EventKind::Failed, at_ns, "10.0.0.1:4000", "10.0.0.9:5432")
    }
}

fn figures(snap: &Snapshot, stats: &EventStats) -> [Result<f64, Missing>; 5] {
    use EventFigure::{Closed, Failed, Opened, P50, P99};
    [Opened, Failed, Closed, P50, P99].map(|f| snap.event_figure(stats, f))
}

#[test]
fn connections_are_counted_for_their_port_process_and_peer() {
    let mut engine = Engine::new();
    engine.step(poll(100, Vec::new()));
    let t = 105 * SEC;
    let closed = |ms: u64| Event {
        opened_ns: t - ms * 1_000_000,
        ..event(EventKind::Closed, t, "10.0.0.1:80", "10.0.0.7:9000")
    };
    let mut list: Vec<Event> = (1..=100).map(closed).collect();
    list.push(event(EventKind::Accepted, t, "10.0.0.1:80", "10.0.0.7:9000"));
    list.push(refused(t));
    list.push(refused(t));
    let snap = engine.step(poll(110, list));
    let w = &snap.events.window;
    assert!((w.secs - 10.0).abs() < 1e-9, "{}", w.secs);
    let near = |x: Result<f64, Missing>, want: f64| (x.unwrap() / want - 1.0).abs() < 0.02;
    let [opened, failed, closed, p50, p99] = figures(&snap, &w.ports[0]);
    assert_eq!((opened, failed, closed), (Ok(0.1), Ok(0.0), Ok(10.0)));
    assert!(near(p50, 50_000.0) && near(p99, 99_000.0), "{p50:?} {p99:?}");
    let [opened, failed, closed, ..] = figures(&snap, &w.processes[0]);
    assert_eq!((opened, failed, closed), (Ok(0.1), Ok(0.2), Ok(10.0)));
    // Neither has a socket now.
    let rows: Vec<_> =
        snap.peers.iter().map(|p| (p.addr.to_string(), p.sockets.len(), p.processes.len())).collect();
    assert_eq!(rows, [("10.0.0.7".to_owned(), 0, 0), ("10.0.0.9".to_owned(), 0, 1)]);
    assert_eq!(figures(&snap, &w.peers[1])[1], Ok(0.2));
    assert_eq!((w.peers[0].opened, w.peers[0].closed, w.peers[1].p50_us), (1, 100, None));
}

#[test]
fn figures_are_unknown_without_a_source_that_reports_them() {
    let unknown = |change: &dyn Fn(&mut Sample)| {
        let mut engine = Engine::new();
        let mut last = None;
        for secs in [100, 110] {
            let mut sample = poll(secs, Vec::new());
            change(&mut sample);
            last = Some(engine.step(sample));
        }
        let snap = last.unwrap();
        figures(&snap, &EventStats::default()).map(Result::err)
    };
    let (hidden, none) = (Some(Missing::NotReported), Some(Missing::NotApplicable));
    assert_eq!(unknown(&|_| {}), [None, None, None, none, none]);
    assert_eq!(unknown(&|s| s.events.source = None), [hidden; 5]);
    assert_eq!(
        unknown(&|s| s.events.source = Some(EventSource::SockDiag)),
        [hidden, hidden, None, hidden, hidden]
    );
    assert_eq!(unknown(&|s| s.wants = Wants::new(Needs::OWNERS, ProtoSet::TCP)), [Some(Missing::NotRead); 5]);
    // Watched for no time yet.
    let snap = Engine::new().step(poll(100, Vec::new()));
    assert_eq!(figures(&snap, &EventStats::default()), [Err(Missing::Pending); 5]);
}

#[test]
fn connect_that_was_given_up_failed_only_if_it_waited() {
    let mut engine = Engine::new();
    engine.step(poll(100, Vec::new()));
    let abandoned = |ms: u64| Event {
        closed_by: Some(ClosedBy::Abandoned),
        errno: 0,
        start_ns: 105 * SEC - ms * 1_000_000,
        ..refused(105 * SEC)
    };
    let snap = engine.step(poll(110, vec![abandoned(300), abandoned(3000)]));
    let counts: Vec<_> = snap.events.window.flows.iter().map(|f| f.counts).collect();
    assert_eq!(counts, [FlowCounts { unanswered: 1, ..FlowCounts::NONE }]);
    let failures: Vec<_> = snap.events.recent_failures(snap.sample.at.boot_ns, 10).map(|r| r.count).collect();
    assert_eq!(failures, [1]);
}

/// An event, its second, the port of its service, and its duration.
type Made = (u8, u64, u16, u32);

fn made(second: u64, (kind, _, port, us): Made) -> Event {
    let at = second * SEC + u64::from(us) % SEC;
    let kind = EventKind::ALL[usize::from(kind)].0;
    let (local, remote) = if port % 2 == 0 {
        ("10.0.0.1:80".to_owned(), format!("10.0.1.{port}:9"))
    } else {
        ("10.0.0.1:4000".to_owned(), format!("10.0.2.{port}:443"))
    };
    let opened_ns = if kind == EventKind::Closed { at - u64::from(us) * 1000 } else { 0 };
    Event { opened_ns, ..event(kind, at, &local, &remote) }
}

proptest! {
    /// After any number of polls the counts are those of all events that are not older than the window.
    #[test]
    fn counts_are_those_of_the_events_of_the_last_seconds(
        polls in prop::collection::vec(
            (1u64..20, prop::collection::vec((0u8..4, 0u64..1, 1u16..9, 1u32..5_000_000), 0..20)), 1..12),
    ) {
        let mut engine = Engine::new();
        let (mut now, mut all) = (1000, Vec::new());
        for (pause, events) in polls {
            let list: Vec<Event> = events.iter().map(|e| made(now, *e)).collect();
            all.extend(list.iter().cloned());
            now += pause;
            let snap = engine.step(poll(now, list));
            let recent: Vec<&Event> =
                all.iter().filter(|e| e.at_ns >= (now - EVENT_WINDOW_S) * SEC).collect();
            let number = |kind: EventKind, inbound: Option<bool>| {
                recent.iter().filter(|e| e.kind == kind && (inbound.is_none() || e.inbound == inbound)).count() as u64
            };
            let w = &snap.events.window;
            let process = w.processes.first().copied().unwrap_or_default();
            prop_assert_eq!(process.closed, number(EventKind::Closed, None));
            prop_assert_eq!(process.opened, number(EventKind::Opened, None) + number(EventKind::Accepted, None));
            let port = w.ports.first().copied().unwrap_or_default();
            prop_assert_eq!(port.closed, number(EventKind::Closed, Some(true)));
            let mut durations: Vec<u64> = recent.iter().filter(|e| e.kind == EventKind::Closed)
                .map(|e| (e.at_ns - e.opened_ns) / 1000).collect();
            durations.sort_unstable();
            for (percent, got) in [(50, process.p50_us), (99, process.p99_us)] {
                let rank = (durations.len() * percent).div_ceil(100).max(1);
                let want = durations.get(rank - 1).copied();
                prop_assert_eq!(got.is_some(), want.is_some());
                if let (Some(got), Some(want)) = (got, want) {
                    prop_assert!(got.abs_diff(want) * 50 <= want, "{} {}", got, want);
                }
            }
            for p in &snap.peers {
                let i = snap.peers.iter().position(|q| q.addr == p.addr).unwrap();
                let want = recent.iter().filter(|e| e.kind == EventKind::Closed && e.remote.unwrap().addr == p.addr);
                prop_assert_eq!(w.peers[i].closed, want.count() as u64);
            }
        }
    }

    #[test]
    fn class_is_within_one_in_sixty_four(us in any::<u64>()) {
        let us = us >> 1;
        let got = crate::model::durations::middle(class(us));
        prop_assert!(u128::from(got.abs_diff(us)) * 64 <= u128::from(us), "{} {}", us, got);
    }
}

/// 200,000 events of 1,000 flows and peers: more than the window holds.
#[test]
fn window_is_bounded_and_cheap_without_new_events() {
    let mut engine = WindowHistory::default();
    let sample = poll(200, Vec::new());
    let row = |i: u64| {
        let event = Event {
            opened_ns: 150 * SEC,
            ..event(EventKind::Closed, 190 * SEC + i, "10.0.0.1:80", &format!("10.1.{}.{}:7", i % 4, i % 250))
        };
        Arc::new(EventRow {
            number: i,
            count: 1,
            counted: false,
            unix_ns: 0,
            process: event.process.clone(),
            process_by: ProcessBy::Event,
            direction: Direction::In,
            duration_ns: Some(40 * SEC + i),
            is_lower_bound: false,
            unit: None,
            netns_inode: 7,
            netns_name: Arc::from(""),
            event,
        })
    };
    let rows: Vec<_> = (0..200_000).map(row).collect();
    engine.push(&sample, None, &rows);
    assert_eq!(engine.entries.len(), EVENTS_MAX);
    let window = engine.collect(&Rows { sample: &sample, ports: &[], peers: &[] });
    // The window begins where the events are complete.
    assert!((window.secs - (10.0 - 1e-4)).abs() < 1e-6, "{}", window.secs);
    assert_eq!(window.flows.len(), 1);
    let peers: u64 = engine.peers.used().map(|g| g.counts.closed).sum();
    assert_eq!(peers, EVENTS_MAX as u64);
    assert!(size_of::<Entry>() <= 32, "{}", size_of::<Entry>());
    // All of them leave.
    engine.push(&poll(300, Vec::new()), None, &[]);
    assert!(engine.entries.is_empty() && engine.flows.numbers.is_empty() && engine.peers.numbers.is_empty());
}
