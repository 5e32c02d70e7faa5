//! Limits of scripted machines: what each ceiling counts.

use super::{everything, samples};
use sockscope::derive::Engine;
use sockscope::model::attr;
use sockscope::model::diag_attr::inet;
use sockscope::model::limit::{Level, Limit, LimitKind, LimitSubject};
use sockscope::model::{
    Counters, ListenQueue, Missing, NetCounters, Proto, Reads, Snapshot, Socket, State, Timer, TimerKind,
};
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

/// Polls of a scenario, one second apart, with counters of its namespace that this function changes.
fn watched(scenario: &str, polls: usize, change: impl Fn(usize, &mut Counters)) -> Vec<Arc<Snapshot>> {
    let mut engine = Engine::new();
    let all = samples(scenario, polls, &everything().with(Reads::LIMITS));
    let step = |(i, mut s): (usize, sockscope::model::Sample)| {
        let counters =
            s.counters.insert(Counters { nets: vec![NetCounters::default()], ..Counters::default() });
        change(i, counters);
        engine.step(s)
    };
    all.into_iter().enumerate().map(step).collect()
}

#[test]
fn limit_below_the_open_descriptors_is_pressure_unless_the_process_set_it_itself() {
    let level = |text: &str, soft: u64| {
        let mut sample = samples(text, 1, &everything().with(Reads::LIMITS)).remove(0);
        let fds = sample.processes.last_mut().unwrap().fds.as_mut().unwrap();
        (fds.open, fds.soft) = (7, Some(soft));
        let snap = Engine::new().step(sample);
        let pid = snap.sample.processes.last().unwrap().info.pid;
        let is_it = |l: &&&Limit| matches!(l.subject, LimitSubject::Process(p, _) if p == pid);
        rows(&snap, LimitKind::Fds).iter().find(is_it).map(|l| l.level)
    };
    let client = "tcp ESTABLISHED 10.0.0.1:22 10.0.0.2:5000 own=7:3\n";
    let server = "tcp LISTEN 10.0.0.1:80 own=7:3 q=0/8\n";
    // The child of OpenSSH before authentication, with and without its parent in sight.
    assert_eq!(level(&format!("process 7 sshd\n{client}"), 1), None);
    let child = format!("process 6 sshd\nprocess 7 sshd ppid=6\n{client}");
    assert_eq!((level(&child, 1), level(&child, 6), level(&child, 7)), (None, None, Some(Level::Critical)));
    // Descriptors above the limit that were inherited, and a server whose limit was lowered.
    assert_eq!(level(&format!("process 7 app\n{client}"), 6), Some(Level::Critical));
    assert_eq!(level(&format!("process 7 app\n{server}"), 1), Some(Level::Critical));
}

#[test]
fn drops_of_a_listener_count_as_far_as_the_namespace_confirms_them() {
    // Ten more at each poll: resets in place of the last ACK, or overflows.
    let scenario = "process 7 haproxy\ntcp LISTEN 10.0.0.1:80 own=7:3 q=0/8 drops=10+10\n";
    for (before, step, new) in [(0, 0, 0), (500, 0, 0), (500, 4, 4), (0, 10, 10), (0, 99, 10)] {
        let polls = watched(scenario, 2, |i, c| c.nets[0].listen_drops = Some(before + step * i as u64));
        let l = rows(&polls[1], LimitKind::Accept)[0];
        assert_eq!(l.drops_new, Some(new), "ListenDrops {before} + {step}");
        assert_eq!(l.level, if new > 0 { Level::Critical } else { Level::Ok });
        let total = before + step;
        assert_eq!(l.drops, Some(total.min(20)), "all of them, of {total}");
    }
    // A counter that cannot be read confirms nothing.
    let polls = watched(scenario, 2, |_, _| {});
    assert_eq!(rows(&polls[1], LimitKind::Accept)[0].drops_new, Some(0));
}

#[test]
fn close_wait_that_turns_over_is_no_leak_however_many_there_are() {
    // One more each second; each is closed after 12 s, or never.
    let scenario = |life: &str| {
        let one = |n: u32| {
            format!("tcp CLOSE_WAIT 10.0.0.1:80 10.0.0.2:{} own=7:9 from={} {life}\n", 5000 + n, n + 1)
        };
        format!("process 7 app\n{}", (0..60).map(one).collect::<String>())
    };
    let alarms = |life: &str| {
        let polls = watched(&scenario(life), 50, |_, _| {});
        polls
            .iter()
            .position(|p| p.alerts.iter().any(|a| p.limits[a.limit as usize].kind == LimitKind::CloseWait))
    };
    assert_eq!(alarms("life=12"), None);
    let named = alarms("").expect("a leak is named");
    assert!((15..20).contains(&named), "after {named} s");
}

#[test]
fn losses_since_the_alert_are_kept_while_it_lasts() {
    let drops = |i: usize| Some([0, 0, 70, 72, 72, 72, 72, 72][i]);
    let polls = watched("", 8, |i, c| c.nets[0].listen_overflows = drops(i));
    let lost: Vec<_> = polls.iter().map(|p| p.alerts.first().map(|a| a.lost)).collect();
    assert_eq!(lost, [None, None, Some(70), Some(72), Some(72), Some(72), None, None]);
}

#[test]
fn halted_process_with_waiting_clients_is_critical_at_once_or_when_it_lasts() {
    let clients =
        "tcp LISTEN 10.0.0.1:80 own=7:3 q=2/8\ntcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5000 own=7:4 q=9/0\n";
    let first = |halted: &str, clients: &str, polls: usize| {
        let polls = watched(&format!("process 7 app {halted}\n{clients}"), polls, |_, _| {});
        polls
            .iter()
            .position(|p| rows(p, LimitKind::Halted).first().is_some_and(|l| l.level == Level::Critical))
    };
    for state in ["stopped", "traced", "frozen"] {
        let named = first(&format!("halted={state}"), clients, 4);
        assert!(named.is_some_and(|n| n <= 1), "{state}: {named:?}");
    }
    // A moment of waiting for a disk is normal.
    let new = clients.replace('\n', " from=1\n");
    assert_eq!(first("halted=uninterruptible", &new, 9), Some(6));
    // At the first poll the kernel's own time counts.
    assert_eq!(first("halted=uninterruptible", clients, 1), Some(0));
    assert_eq!(first("", clients, 9), None, "it runs");
    let idle = "tcp LISTEN 10.0.0.1:80 own=7:3 q=0/8\ntcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5000 own=7:4\n";
    assert_eq!(first("halted=stopped", idle, 9), None, "no client waits");
    let snap = watched(&format!("process 7 app halted=stopped\n{clients}"), 3, |_, _| {}).remove(2);
    let row = snap.limits.iter().position(|l| l.kind == LimitKind::Halted).expect("a row");
    let found = sockscope::diagnose::finding::limit_diagnosis(&snap, row).expect("a finding");
    assert_eq!(
        (found.finding.name, found.evidence.as_str()),
        ("process-halted", "app 7 is stopped by a signal (state T): 3 clients waiting")
    );
    assert_eq!(found.steps(&snap), ["continue it:", "  kill -CONT 7"]);
    let names = |row| sockscope::diagnose::finding::socket_diagnoses(&snap, row).map(|d| d.finding.name);
    assert!((0..2).all(|row| names(row).any(|n| n == "owner-halted")));
}

#[test]
fn halted_unix_listener_is_found_by_its_inode() {
    let snap = limits("process 7 app halted=frozen\ntcp LISTEN 10.0.0.1:80 own=7:3\n", |_| {});
    let inode = snap.socket(0).inode;
    assert!(inode > 0 && rows(&snap, LimitKind::Halted).is_empty());
    let queue =
        ListenQueue { netns: 0, proto: Proto::Unix, name: "/run/a".into(), inode, waiting: 4, backlog: 8 };
    let snap = limits("process 7 app halted=frozen\ntcp LISTEN 10.0.0.1:80 own=7:3\n", |c| {
        c.listen_queues = vec![queue];
    });
    assert_eq!(rows(&snap, LimitKind::Halted)[0].used, 4);
}

#[test]
fn unowned_close_wait_is_unjudged_once_it_may_be_a_leak() {
    // Without owner: its process has exited meanwhile, or cannot be seen.
    let first = |socket: &str| {
        let polls = watched(&format!("process 7 app\n{socket}\n"), 30, |_, _| {});
        polls.iter().position(|p| p.unjudged.iter().any(|u| u.kind == LimitKind::CloseWait))
    };
    assert_eq!(first("tcp CLOSE_WAIT 10.0.0.1:80 10.0.0.2:5000 from=2 life=9"), None, "closed after 9 s");
    let named = first("tcp CLOSE_WAIT 10.0.0.1:80 10.0.0.2:5000 from=2").expect("it stays");
    assert!((16..20).contains(&named), "after {named} s");
    // Owned until the last poll but not at this one: closed since the sockets were read.
    let mut engine = Engine::new();
    let scenario = "process 7 app\ntcp CLOSE_WAIT 10.0.0.1:80 10.0.0.2:5000 own=7:3\n";
    let polls = samples(scenario, 25, &everything().with(Reads::LIMITS)).into_iter().enumerate();
    let unjudged: Vec<usize> = polls
        .filter_map(|(i, mut s)| {
            s.counters = Some(Counters { nets: vec![NetCounters::default()], ..Counters::default() });
            if i >= 20 {
                s.owners = Arc::from([]);
            }
            let snap = engine.step(s);
            let why = (i >= 20).then_some(if i == 20 { Missing::Gone } else { Missing::NoVisibleProcess });
            assert_eq!(snap.facts[0].owner_missing, why, "poll {i}");
            snap.unjudged.iter().any(|u| u.kind == LimitKind::CloseWait).then_some(i)
        })
        .collect();
    assert_eq!(unjudged, [21, 22, 23, 24], "it stays: passed on, to a process that cannot be seen");
    // The time of one that was there before, if the kernel reports it; none without `TCP_INFO`.
    let at_once = |ago_ms: Option<u32>| {
        let scenario = "process 7 app\ntcp CLOSE_WAIT 10.0.0.1:80 10.0.0.2:5000\n";
        let mut sample = samples(scenario, 1, &everything().with(Reads::LIMITS)).remove(0);
        sample.counters = Some(Counters { nets: vec![NetCounters::default()], ..Counters::default() });
        let mut s = sample.sockets[0];
        s.info_at = Socket::NO_INFO;
        let mut raw = Vec::new();
        if let Some(ms) = ago_ms {
            let mut info = vec![0u8; 60];
            info[56..60].copy_from_slice(&ms.to_ne_bytes());
            attr::push(&mut raw, inet::INFO, &info);
        }
        sample.push_attrs(&mut s, &raw);
        sample.sockets[0] = s;
        Engine::new().step(sample).unjudged.iter().any(|u| u.kind == LimitKind::CloseWait)
    };
    assert_eq!([None, Some(1_000), Some(16_000)].map(at_once), [true, false, true]);
}
