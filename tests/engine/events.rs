//! Connections between two polls: figures of ports, processes and peers, and findings.

use super::{everything, samples};
use sockscope::derive::Engine;
use sockscope::diagnose::finding::{event_diagnoses, flow_diagnoses};
use sockscope::format::Value;
use sockscope::model::sample::EventSource;
use sockscope::model::{Level, Reads, Sample, Snapshot};
use sockscope::table::{EVENTS, PEERS, PORTS, PROCESSES, Table};
use std::sync::Arc;

const HOST: &str = "process 7 api\nprocess 8 nginx\n\
    tcp LISTEN 0.0.0.0:80 own=8:3\n\
    tcp ESTABLISHED 10.0.0.1:80 10.0.0.50:5000 own=8:4\n";

/// The last snapshot of these polls, a second each, of [`HOST`] with these lines.
fn after(polls: usize, lines: &str, change: &dyn Fn(&mut Sample)) -> Arc<Snapshot> {
    let mut engine = Engine::new();
    let mut last = None;
    for mut sample in samples(&format!("{HOST}{lines}\n"), polls, &everything().with(Reads::EVENTS)) {
        change(&mut sample);
        last = Some(engine.step(sample));
    }
    last.unwrap()
}

fn findings(s: &Snapshot) -> Vec<(&'static str, String)> {
    flow_diagnoses(s, &|_| true).into_iter().map(|d| (d.finding.name, d.evidence)).collect()
}

fn cell(s: &Snapshot, table: &'static Table, row: usize, column: &str) -> String {
    match table.column(column).unwrap().value(s, row) {
        Value::Float(x) => format!("{x:.1}"),
        Value::Missing(why) => why.reason().to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn figures_of_ports_processes_and_peers_count_connections_between_polls() {
    let lines = "event tcp 10.0.0.1:80 10.0.0.60:6000 pid=8 n=5 in took=20100 rtt=100\n\
                 event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=2 end=refused";
    let s = after(4, lines, &|_| {});
    let port = s.ports.iter().position(|p| p.local.port == 80).unwrap();
    let process = |pid| s.sample.processes.iter().position(|p| p.info.pid == pid).unwrap();
    let peer = |addr: &str| s.peers.iter().position(|p| p.addr.to_string() == addr).unwrap();
    assert_eq!(cell(&s, &PORTS, port, "opened_per_s"), "5.0");
    assert_eq!(cell(&s, &PORTS, port, "closed_per_s"), "5.0");
    assert_eq!(cell(&s, &PROCESSES, process(8), "opened_per_s"), "5.0");
    assert_eq!(cell(&s, &PROCESSES, process(8), "failed_per_s"), "0.0");
    assert_eq!(cell(&s, &PROCESSES, process(7), "failed_per_s"), "2.0");
    assert_eq!(cell(&s, &PROCESSES, process(7), "duration_p50_us"), "not applicable");
    // Neither has a socket.
    assert_eq!(cell(&s, &PEERS, peer("10.0.0.60"), "opened_per_s"), "5.0");
    assert_eq!(cell(&s, &PEERS, peer("10.0.0.9"), "failed_per_s"), "2.0");
    let median: f64 = cell(&s, &PEERS, peer("10.0.0.60"), "duration_p50_us").parse().unwrap();
    assert!((median / 20_000.0 - 1.0).abs() < 0.02, "{median}");
    // A source that reports only closes.
    let s = after(4, lines, &|sample| sample.events.source = Some(EventSource::SockDiag));
    assert_eq!(cell(&s, &PORTS, port, "closed_per_s"), "5.0");
    for column in ["opened_per_s", "duration_p50_us", "duration_p99_us"] {
        assert_eq!(cell(&s, &PORTS, port, column), "not reported", "{column}");
    }
}

#[test]
fn findings_name_process_service_and_number_above_their_thresholds_only() {
    for (line, below, want) in [
        (
            "event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=N end=refused",
            1,
            ("connects-refused", "api 7: 8 connects to 10.0.0.9:5432 refused (last 4s)"),
        ),
        (
            "event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=N end=timeout took=3000000",
            0,
            ("connects-unanswered", "api 7: 8 connects to 10.0.0.9:5432 not answered (last 4s)"),
        ),
        (
            "event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=N end=abandoned took=3000000",
            0,
            ("connects-unanswered", "api 7: 8 connects to 10.0.0.9:5432 not answered (last 4s)"),
        ),
        (
            "event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=N end=unsent",
            0,
            ("connects-failed", "api 7: 8 connects to 10.0.0.9:5432 failed (last 4s)"),
        ),
        (
            "event tcp 10.0.0.1:80 10.0.0.9:5432 pid=8 n=N abort in",
            1,
            ("resets-sent", "nginx 8: 8 of 8 connections on 10.0.0.1:80 reset by this host (last 4s)"),
        ),
        (
            "event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=N abort",
            1,
            ("resets-sent", "api 7: 8 of 8 connections to 10.0.0.9:5432 reset by this host (last 4s)"),
        ),
        (
            "event tcp 10.0.0.1:80 10.0.0.9:5432 n=N in end=reset took=1500000",
            0,
            (
                "never-accepted",
                "8 clients of 10.0.0.1:80 gave up before nginx 8 used their connection (last 4s)",
            ),
        ),
    ] {
        let s = after(4, &line.replace('N', "2"), &|_| {});
        assert_eq!(findings(&s), [(want.0, want.1.to_owned())], "{line}");
        // Each event of the flow has it.
        let found: Vec<_> = (0..s.events.rows.len())
            .filter(
                |r| matches!(EVENTS.column("finding").unwrap().value(&s, *r), Value::Text(t) if t == want.0),
            )
            .collect();
        assert_eq!(found.len(), 8, "{line}");
        assert_eq!(event_diagnoses(&s, &s.events.rows[found[0]])[0].evidence, want.1, "{line}");
        let few = after(4, &line.replace('N', &below.to_string()), &|_| {});
        assert_eq!(findings(&few), [], "{line}");
    }
}

#[test]
fn churn_is_a_remark_above_ten_short_connections_a_second() {
    let line = |n: u32, took: u32| format!("event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n={n} took={took}");
    let s = after(8, &line(20, 20_000), &|_| {});
    let want = "api 7: 20 connections a second to 10.0.0.9:5432, none longer than 1 s";
    assert_eq!(findings(&s), [("connection-churn", want.to_owned())]);
    assert!(flow_diagnoses(&s, &|_| true).iter().all(|d| d.severity == Level::Ok));
    // Fewer, longer, not watched for long, or incoming.
    assert_eq!(findings(&after(8, &line(5, 20_000), &|_| {})), []);
    assert_eq!(findings(&after(8, &line(20, 2_000_000), &|_| {})), []);
    assert_eq!(findings(&after(3, &line(20, 20_000), &|_| {})), []);
    let incoming = "event tcp 10.0.0.1:80 10.0.0.9:5432 pid=8 n=20 in took=20000";
    assert_eq!(findings(&after(8, incoming, &|_| {})), []);
}

#[test]
fn healthy_load_has_no_finding() {
    // Parallel attempts that are given up early, clients that reset at once (health checks), a reset now and then.
    let lines = "event tcp 10.0.0.1:7000 10.0.0.9:443 pid=7 n=20 end=abandoned took=300000\n\
                 event tcp 10.0.0.1:80 10.0.0.10:443 n=5 in end=reset took=1000\n\
                 event tcp 10.0.0.1:80 10.0.0.11:443 pid=8 n=40 in end=peer\n\
                 event tcp 10.0.0.1:80 10.0.0.11:443 pid=8 n=2 in abort";
    assert_eq!(findings(&after(10, lines, &|_| {})), []);
    // A source without accepts cannot know.
    let line = "event tcp 10.0.0.1:80 10.0.0.9:5432 n=5 in end=reset took=1500000";
    let blind = |s: &mut Sample| {
        s.events.source = Some(EventSource::Bpf);
        s.events.reason = "accepted connections have no process".into();
    };
    assert_eq!(findings(&after(10, line, &blind)), []);
    // Findings end with their events.
    let refused = "event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=5+-1 end=refused";
    assert!(!findings(&after(6, refused, &|_| {})).is_empty());
    assert_eq!(findings(&after(40, refused, &|_| {})), []);
}
