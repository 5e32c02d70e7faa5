//! Findings from the difference between polls: recent counters of a connection, and clients that stay in the accept queue.

use super::{everything, samples};
use sockscope::derive::Engine;
use sockscope::diagnose::finding::socket_diagnoses;
use sockscope::model::attr;
use sockscope::model::diag_attr::{inet, unix};
use sockscope::model::{Family, Proto, Sample, Socket};

/// A machine with one socket with these attributes, at this number of seconds.
fn at(secs: u64, scenario: &str, change: impl FnOnce(&mut Socket), attrs: &[(u16, Vec<u8>)]) -> Sample {
    let mut s = samples(scenario, 1, &everything()).remove(0);
    s.at.boot_ns += secs * 1_000_000_000;
    let mut raw = Vec::new();
    for (number, payload) in attrs {
        attr::push(&mut raw, *number, payload);
    }
    let mut k = s.sockets[0];
    k.info_at = Socket::NO_INFO;
    s.push_attrs(&mut k, &raw);
    change(&mut k);
    s.sockets[0] = k;
    s
}

/// Counters of a connection: data segments, retransmissions, milliseconds busy and receiver-limited.
#[derive(Clone, Copy, Default)]
struct Counted {
    sent: u32,
    again: u32,
    busy_ms: u64,
    rwnd_ms: u64,
    /// Retransmissions of segments that had arrived.
    spurious: u32,
}

fn connection(secs: u64, c: Counted) -> Sample {
    let mut info = vec![0; 232];
    info[216..220].copy_from_slice(&c.spurious.to_ne_bytes());
    info[100..104].copy_from_slice(&c.again.to_ne_bytes());
    info[156..160].copy_from_slice(&c.sent.to_ne_bytes());
    info[168..176].copy_from_slice(&(c.busy_ms * 1000).to_ne_bytes());
    info[176..184].copy_from_slice(&(c.rwnd_ms * 1000).to_ne_bytes());
    at(secs, "tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5001", |_| {}, &[(inet::INFO, info)])
}

/// Findings after each poll, at these seconds.
fn after(polls: impl Iterator<Item = Sample>) -> Vec<Vec<String>> {
    let mut engine = Engine::new();
    let one = |s| {
        let snap = engine.step(s);
        socket_diagnoses(&snap, 0).map(|d| format!("{}: {}", d.finding.name, d.evidence)).collect()
    };
    polls.map(one).collect()
}

fn connections(polls: &[(u64, Counted)]) -> Vec<Vec<String>> {
    after(polls.iter().map(|(secs, c)| connection(*secs, *c)))
}

#[test]
fn loss_is_that_of_late() {
    let c = |sent, again| Counted { sent, again, ..Counted::default() };
    // A single reading uses the counters since connect.
    let ever = "loss: 5.0% of segments retransmitted (since connect)";
    assert_eq!(connections(&[(0, c(1000, 50))]), [[ever]]);
    // Old retransmissions do not count.
    let healed = connections(&[(0, c(1000, 500)), (2, c(1200, 500)), (40, c(5000, 500))]);
    assert_eq!(healed[0].len(), 1);
    assert!(healed[1].is_empty() && healed[2].is_empty(), "{healed:?}");
    // New retransmissions count, however many segments were sent before.
    let begins = connections(&[(0, c(1_000_000, 10)), (10, c(1_000_400, 30)), (20, c(1_000_800, 50))]);
    assert!(begins[0].is_empty());
    assert_eq!(begins[1], ["loss: 5.0% of segments retransmitted (last 10s), now 2.0/s"]);
    assert_eq!(begins[2], ["loss: 5.0% of segments retransmitted (last 20s), now 2.0/s"]);
    // A minute later the finding is gone.
    let over: Vec<_> = (0..12).map(|n| (n * 10, c(1000 + n as u32 * 100, 100))).collect();
    let over = connections(&over);
    assert!(!over[0].is_empty() && over[11].is_empty());
    // After some observation an idle connection has no finding for its past.
    let idle = connections(&[(0, c(1000, 50)), (5, c(1000, 50)), (15, c(1000, 50))]);
    assert_eq!(idle, [vec![ever], vec![ever], vec![]]);
}

#[test]
fn segments_that_arrived_twice_were_not_lost() {
    let c = |spurious| Counted { sent: 1000, again: 50, spurious, ..Counted::default() };
    assert!(connections(&[(0, c(40))])[0].is_empty());
    assert_eq!(connections(&[(0, c(25))]), [["loss: 2.5% of segments retransmitted (since connect)"]]);
}

#[test]
fn drops_are_those_of_late() {
    // Nine words of `sk_meminfo`, the last one is the drops.
    let socket = |secs, drops: u32| {
        let mut words = vec![0u8; 36];
        words[32..36].copy_from_slice(&drops.to_ne_bytes());
        at(secs, "udp UNCONN 10.0.0.1:53", |_| {}, &[(inet::SKMEMINFO, words)])
    };
    let polls = (0..12).map(|n| socket(n * 10, [500, 500, 520, 520][(n as usize).min(3)]));
    let found = after(polls);
    assert!(found[0].is_empty() && found[1].is_empty(), "of a load that is over: {found:?}");
    assert_eq!(found[2], ["drops: 20 packets dropped (last 20s)"]);
    assert!(found[3..6].iter().all(|f| f.len() == 1), "{found:?}");
    assert!(found[9..].iter().all(Vec::is_empty), "a minute later: {found:?}");
}

#[test]
fn busy_reader_with_a_full_queue_has_no_finding() {
    // As while a COPY runs: always 200 KB unread, never the same.
    let scenario =
        "process 7 postgres\ntcp ESTABLISHED 10.0.0.1:5432 10.0.0.2:5001 own=7:9 q=200000/0 rx=10M\n";
    let mut engine = Engine::new();
    for s in samples(scenario, 30, &everything()) {
        let snap = engine.step(s);
        let found: Vec<_> = socket_diagnoses(&snap, 0).map(|d| d.evidence).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn what_holds_it_back_is_that_of_late() {
    let c = |busy_ms, rwnd_ms| Counted { busy_ms, rwnd_ms, ..Counted::default() };
    let ever = "receiver-limited: receiver-limited for 90% of busy time (since connect)";
    assert_eq!(connections(&[(0, c(10_000, 9000))]), [[ever]]);
    let healed = connections(&[(0, c(10_000, 9000)), (20, c(30_000, 9100))]);
    assert!(healed[1].is_empty(), "{healed:?}");
    let begins = connections(&[(0, c(500_000, 0)), (20, c(520_000, 16_000))]);
    let lately = "receiver-limited: receiver-limited for 80% of busy time (last 20s)";
    assert_eq!(begins, [vec![], vec![lately]]);
    // Half a second of sending is too short.
    assert!(connections(&[(0, c(500_000, 0)), (20, c(500_500, 500))])[1].is_empty());
}

/// A UNIX listener with these clients waiting, by inode.
fn listener(secs: u64, waiting: &[u32]) -> Sample {
    let icons: Vec<u8> = waiting.iter().flat_map(|n| n.to_ne_bytes()).collect();
    let unix_one = |k: &mut Socket| {
        (k.family, k.proto) = (Family::Unix, Proto::Unix);
        (k.recv_q, k.send_q) = (waiting.len() as u32, 128);
    };
    at(secs, "tcp LISTEN 10.0.0.1:80", unix_one, &[(unix::ICONS, icons)])
}

#[test]
fn a_busy_unix_listener_is_not_a_deaf_one() {
    // Always one in the queue, never the same.
    let busy = after((0..30).map(|n| listener(n, &[100 + n as u32])));
    assert!(busy.iter().all(Vec::is_empty), "{busy:?}");
    // The same one in front, others behind it.
    let deaf = after((0..30).map(|n| listener(n, &[100, 200][..if n < 29 { 1 } else { 2 }])));
    assert!(deaf[5].is_empty());
    assert_eq!(
        deaf[28],
        ["not-accepting: 1 connection waiting for at least 28s, not accept()ed by the application"]
    );
    assert_eq!(
        deaf[29],
        ["not-accepting: 2 connections waiting for at least 29s, not accept()ed by the application"]
    );
    // The application accepts again.
    let woken = after((0..30).map(|n| listener(n, &[if n < 20 { 7 } else { 8 }])));
    assert!(woken[19].len() == 1 && woken[20].is_empty() && woken[29].is_empty());
}
