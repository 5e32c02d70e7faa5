//! Limits of scripted machines: what each ceiling counts.

use super::{everything, samples};
use sockscope::derive::Engine;
use sockscope::model::limit::{Level, Limit, LimitKind, LimitSubject};
use sockscope::model::{Counters, ListenQueue, NetCounters, Proto, Reads, Snapshot, State, Timer, TimerKind};
use std::sync::Arc;

/// The first poll of a scenario, with these counters of its namespace.
fn limits(scenario: &str, change: impl FnOnce(&mut Counters)) -> Arc<Snapshot> {
    let mut sample = samples(scenario, 1, &everything().with(Reads::LIMITS)).remove(0);
    let net = NetCounters { ports: Some((50_000, 50_009, 0)), ..NetCounters::default() };
    let counters = sample.counters.insert(Counters { nets: vec![net], ..Counters::default() });
    change(counters);
    // Ten seconds in the state: the timer runs for 60 s.
    for s in &mut sample.sockets {
        if s.state == State::TimeWait {
            s.timer = Timer { kind: TimerKind::Timewait, retrans: 0, expires_ms: 50_000 };
        }
    }
    Engine::new().step(sample)
}

fn rows(snap: &Snapshot, kind: LimitKind) -> Vec<&Limit> {
    snap.limits.iter().filter(|l| l.kind == kind).collect()
}

#[test]
fn fullest_listener_of_a_reuseport_group_is_judged() {
    let group = |full: u32| {
        format!(
            "process 7 a\nprocess 8 b\ntcp LISTEN 10.0.0.1:80 own=7:3 q=0/8\n\
             tcp LISTEN 10.0.0.1:80 own=8:3 q={full}/8\ntcp LISTEN 10.0.0.1:80 own=7:4 q=1/8\n"
        )
    };
    for (full, share, level) in
        [(9, 1.0, Level::Critical), (8, 8.0 / 9.0, Level::Warning), (2, 2.0 / 9.0, Level::Ok)]
    {
        let snap = limits(&group(full), |_| {});
        let rows = rows(&snap, LimitKind::Accept);
        assert_eq!(rows.len(), 1, "{rows:?}");
        let l = rows[0];
        assert_eq!((l.used, l.max, l.level), (full.into(), Some(8), level), "{l:?}");
        assert_eq!(l.share(), Some(share));
        assert_eq!(snap.sample.processes[l.process.unwrap() as usize].info.pid, 8, "who holds the full one");
        let port = &snap.ports[0];
        assert_eq!((port.recv_q, port.backlog), (u64::from(full) + 1, 24), "shown: the sum");
    }
}

#[test]
fn backlog_of_zero_admits_one_connection() {
    for (waiting, share) in [(0, 0.0), (1, 1.0)] {
        let snap = limits(&format!("tcp LISTEN 10.0.0.1:80 q={waiting}/0\n"), |_| {});
        let rows = rows(&snap, LimitKind::Accept);
        assert_eq!((rows.len(), rows[0].share(), rows[0].capacity()), (1, Some(share), Some(1)));
    }
}

#[test]
fn full_unix_or_sctp_listener_is_judged_under_its_name() {
    let snap = limits("", |c| {
        let queue = |proto, name: &str, waiting| ListenQueue {
            netns: 0,
            proto,
            name: name.into(),
            inode: 0,
            waiting,
            backlog: 8,
        };
        let unix = |name: &str, waiting| queue(Proto::Unix, name, waiting);
        c.listen_queues = vec![unix("/run/a", 0), unix("@app", 9), unix("@app", 0)];
        c.listen_queues.push(queue(Proto::Sctp, "10.0.0.1:3868", 8));
    });
    let rows = rows(&snap, LimitKind::Accept);
    assert!(
        matches!(&rows[0].subject, LimitSubject::NamedListener(_, n) if **n == *"@app"),
        "the fullest first: {rows:?}"
    );
    assert_eq!((rows[0].used, rows[0].share(), rows[0].level), (9, Some(1.0), Level::Critical));
    assert_eq!(rows.len(), 3, "a path that was bound again has one row");
    let sctp = LimitSubject::NamedListener(Proto::Sctp, "10.0.0.1:3868".into());
    assert_eq!((&rows[1].subject, rows[1].level), (&sctp, Level::Warning));
}

#[test]
fn time_wait_counts_unless_connect_takes_it_over() {
    // Reuse for loopback only (2, the default), never, always; of loopback and of another destination.
    let scenario = |addr: &str| {
        let tw = |port| format!("tcp TIME_WAIT {addr}:{port} {addr}:80\n");
        format!("{}{}tcp ESTABLISHED {addr}:50004 {addr}:80\n", tw(50_000), tw(50_002))
    };
    for (addr, reuse, used) in [
        ("127.0.0.1", Some(2), 1),
        ("127.0.0.1", Some(0), 3),
        ("127.0.0.1", Some(1), 1),
        ("127.0.0.1", None, 1),
        ("10.0.0.1", Some(2), 3),
        ("10.0.0.1", Some(1), 1),
    ] {
        let snap = limits(&scenario(addr), |c| c.nets[0].tw_reuse = reuse);
        let rows = rows(&snap, LimitKind::Ports);
        assert_eq!(
            (rows.len(), rows[0].used, rows[0].max),
            (1, used, Some(10)),
            "{addr} {reuse:?}: {rows:?}"
        );
    }
}

#[test]
fn port_of_a_listener_is_taken_for_every_destination() {
    let scenario = "tcp LISTEN 10.0.0.9:50001\ntcp ESTABLISHED 10.0.0.1:50002 10.0.0.2:80\n";
    let snap = limits(scenario, |_| {});
    assert_eq!(rows(&snap, LimitKind::Ports)[0].used, 2);
    // Reserved: neither free nor used.
    let snap = limits(scenario, |c| c.nets[0].reserved_ports = vec![(50_001, 50_001)]);
    let row = rows(&snap, LimitKind::Ports)[0];
    assert_eq!((row.used, row.max), (1, Some(9)));
}

#[test]
fn udp_ports_count_for_every_address_they_are_taken_at() {
    let scenario = "udp UNCONN 10.0.0.1:50000\nudp UNCONN 10.0.0.2:50001\nudp UNCONN 0.0.0.0:50002\n\
        udp ESTABLISHED 10.0.0.1:50003 10.0.0.7:53\nudp UNCONN 10.0.0.1:53\n";
    let snap = limits(scenario, |_| {});
    let used = |addr: &str| {
        let is = |l: &&&Limit| matches!(&l.subject, LimitSubject::LocalPorts(_, a) if a.to_string() == addr);
        rows(&snap, LimitKind::Ports).iter().find(is).map(|l| l.used)
    };
    assert_eq!((used("0.0.0.0"), used("10.0.0.1"), used("10.0.0.2")), (Some(4), Some(3), Some(2)));
}
