//! Findings of TCP connections with induced faults, and of none without.

use super::compare::check;
use super::world::{World, addr, listen};
use crate::wait::{PATIENCE, until_ok};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::diagnose::finding::socket_diagnoses;
use sockscope::format::Needs;
use sockscope::model::{ProtoSet, Socket, State, Wants};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

fn findings(filter: &str) -> Result<Vec<(String, String)>, String> {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args([
            "list",
            "--netns",
            "here",
            "--format",
            "json",
            "-n",
            "-c",
            "state,local,remote,finding",
            filter,
        ])
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    let word = |r: &serde_json::Value, k: &str| r[k].as_str().unwrap_or("").to_owned();
    Ok(rows.iter().map(|r| (word(r, "local"), word(r, "finding"))).collect())
}

fn is(what: &str, found: &str, wanted: &[&str]) -> Result<(), String> {
    check(wanted.contains(&found), || format!("{what}: found {found:?}, not {wanted:?}"))
}

fn local(s: &TcpStream) -> SocketAddr {
    s.local_addr().unwrap()
}

/// A connection that the peer closed and the application did not.
fn left_open(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (near, far) = World::pair(listener, None);
    far.shutdown(Shutdown::Write).unwrap();
    (near, far)
}

/// A connection closed by the peer a moment ago: no leak yet.
fn just_closed(listener: &TcpListener) -> Result<(), String> {
    let began = Instant::now();
    let (near, _far) = left_open(listener);
    let found = end_of(&near, "close-wait")?;
    check(began.elapsed() < STUCK, || "asked too late".to_owned())?;
    is("closed there a moment ago", &found, &[""])
}

/// Age at which a connection that the peer closed counts as leaked.
const STUCK: Duration = Duration::new(60, 0);

/// All at the same time, so that the minute until a leak is waited for once.
pub(crate) fn tcp_under_trouble_has_its_findings_and_no_other() -> Result<(), String> {
    let quiet = listen("127.0.0.1:7911", 16, false);
    let (mut good, mut good_far) = World::pair(&quiet, None);
    let began = Instant::now();
    let (leaked, half) = left_open(&quiet);

    // One end does not read.
    let (unread, mut writer) = World::pair(&quiet, None);
    writer.set_nonblocking(true).unwrap();
    let block = vec![7u8; 1 << 16];
    let mut refused = 0;
    while refused < 20 {
        match writer.write(&block) {
            Ok(n) => refused = usize::from(n == 0),
            Err(_) => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    // A listener that never accepts: its queue fills, and further clients get no reply.
    let deaf = listen("127.0.0.1:7912", 1, false);
    let waiting: Vec<OwnedFd> = (0..6).map(|_| connecting("127.0.0.1:7912")).collect();

    // A healthy connection has none, however much it transferred.
    for _ in 0..100 {
        good.write_all(&block[..1000]).unwrap();
        good_far.read_exact(&mut [0; 1000]).unwrap();
    }
    until_ok(|| is("what is not read", &far_of(&writer)?, &["not-reading"]))?;
    until_ok(|| {
        is("who writes to it", &near_of(&writer)?, &["peer-not-reading", "peer-not-reading,receiver-limited"])
    })?;
    until_ok(|| is("a listener that does not accept", &listener_of(7912)?, &["accept-queue-full"]))?;
    until_ok(|| {
        let asking = findings("tcp state:syn-sent rport:7912")?;
        check(!asking.is_empty() && asking.iter().all(|(_, f)| f == "no-answer-to-connect"), || {
            format!("clients without an answer: {asking:?}")
        })
    })?;
    is("a connection that works", &near_of(&good)?, &[""])?;
    is("its peer", &far_of(&good)?, &[""])?;
    is("a listener that accepts", &listener_of(7911)?, &[""])?;
    until_ok(|| just_closed(&quiet))?;

    drop((waiting, deaf));
    over_time(&quiet, &mut good, &mut good_far)?;
    // Continuous polling would take the CPU from others.
    std::thread::sleep(STUCK.saturating_sub(began.elapsed()));
    until_ok(|| is("closed there and never here", &end_of(&leaked, "close-wait")?, &["close-wait-leak"]))?;
    until_ok(|| is("half closed", &end_of(&half, "fin-wait2")?, &["half-closed"]))?;
    drop(unread);
    Ok(())
}

/// A next hop that nothing answers for: the destination itself on a link, and a gateway for a destination behind it. A destination
/// that only drops, behind a gateway that answers, has the finding of a connect without an answer alone.
pub(crate) fn next_hop_without_an_answer_is_named() -> Result<(), String> {
    let script = "ip link add hop0 type veth peer name hop1 && ip addr add 10.99.0.1/24 dev hop0 && \
        ip link set hop0 up && ip link set hop1 up && ip route add 10.98.0.0/24 via 10.99.0.7 && \
        ip neigh replace 10.99.0.8 dev hop0 lladdr 02:00:00:00:00:08 && ip route add 10.97.0.0/24 via 10.99.0.8";
    let done = Command::new("sh").args(["-ec", script]).status().map_err(|e| e.to_string())?;
    check(done.success(), || "no veth pair".to_owned())?;
    let mut open: Vec<OwnedFd> = Vec::new();
    for (dest, wanted) in [
        ("10.99.0.9", "neighbour-failed,no-answer-to-connect"),
        ("10.98.0.1", "neighbour-failed,no-answer-to-connect"),
        ("10.97.0.1", "no-answer-to-connect"),
    ] {
        until_ok(|| {
            let rows = findings(&format!("tcp state:syn-sent rhost:{dest}"))?;
            // Resolving ends with EHOSTUNREACH after three seconds.
            if rows.is_empty() {
                open.push(connecting(&format!("{dest}:80")));
            }
            check(rows.iter().any(|(_, f)| f == wanted), || format!("{dest}: {rows:?}"))
        })?;
    }
    let del = Command::new("ip").args(["link", "del", "hop0"]).status().map_err(|e| e.to_string())?;
    check(del.success(), || "the veth pair stays".to_owned())
}

/// A client that does not wait for the handshake.
fn connecting(to: &str) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    let _ = net::connect(&fd, &addr(to));
    fd
}

/// Findings that need several polls: a few unread bytes, and an accept queue that is neither full nor emptied. During all
/// of it a healthy connection never has a finding.
fn over_time(quiet: &TcpListener, good: &mut TcpStream, good_far: &mut TcpStream) -> Result<(), String> {
    // Neither is reported before ten seconds.
    const TOO_EARLY: Duration = Duration::from_secs(9);
    let began = Instant::now();
    let (mut little, deaf_far) = World::pair(quiet, None);
    little.write_all(b"hello").map_err(|e| e.to_string())?;
    let _slow = listen("127.0.0.1:7913", 16, false);
    let _waits = TcpStream::connect("127.0.0.1:7913").map_err(|e| e.to_string())?;
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let mut engine = Engine::new();
    let wants = Wants::new(Needs::FINDINGS, ProtoSet::TCP_UDP);
    loop {
        good.write_all(&[1; 1000]).map_err(|e| e.to_string())?;
        // Sometimes bytes are unread for a moment.
        let sample = source.sample(&wants).map_err(|e| e.to_string())?;
        good_far.read_exact(&mut [0; 1000]).map_err(|e| e.to_string())?;
        let snap = engine.step(sample);
        let found = |at: &dyn Fn(&Socket) -> bool| -> Vec<(&str, String)> {
            let row = snap.sockets().position(at);
            row.map_or_else(Vec::new, |r| {
                socket_diagnoses(&snap, r).map(|d| (d.finding.name, d.evidence)).collect()
            })
        };
        let far = deaf_far.local_addr().map_err(|e| e.to_string())?.to_string();
        let near = local(&little).to_string();
        let unread = found(&|s| s.local.to_string() == far && s.remote.to_string() == near);
        let unaccepted = found(&|s| s.local.to_string() == "127.0.0.1:7913" && s.state == State::Listen);
        let working = found(&|s| s.remote.to_string() == local(good).to_string());
        let after = began.elapsed();
        check(working.is_empty(), || format!("a connection that works, after {after:?}: {working:?}"))?;
        let me = format!("{} (fd ", std::process::id());
        let unread_told = matches!(unread.as_slice(), [("not-reading", seen)]
            if seen.starts_with("no reads for ") && seen.contains(&me));
        let unaccepted_told = matches!(unaccepted.as_slice(), [("not-accepting", seen)]
            if seen.starts_with("1 connection waiting for ") && seen.contains(&me));
        if unread_told && unaccepted_told {
            return check(after > TOO_EARLY, || format!("reported after {after:?}"));
        }
        let nothing = unread.is_empty() && unaccepted.is_empty();
        check(nothing || after > TOO_EARLY, || {
            format!("reported after {after:?}: {unread:?} {unaccepted:?}")
        })?;
        check(after < PATIENCE, || format!("a little unread: {unread:?}; one not accepted: {unaccepted:?}"))?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn by(filter: &str) -> Result<String, String> {
    match findings(filter)?.as_slice() {
        [(_, f)] => Ok(f.clone()),
        other => Err(format!("{filter}: {other:?}")),
    }
}

fn listener_of(port: u16) -> Result<String, String> {
    by(&format!("tcp state:listen lport:{port}"))
}

fn near_of(s: &TcpStream) -> Result<String, String> {
    by(&format!("tcp lport:{} rport:{}", local(s).port(), s.peer_addr().unwrap().port()))
}

fn far_of(s: &TcpStream) -> Result<String, String> {
    by(&format!("tcp lport:{} rport:{}", s.peer_addr().unwrap().port(), local(s).port()))
}

fn end_of(s: &TcpStream, state: &str) -> Result<String, String> {
    by(&format!("tcp state:{state} lport:{} rport:{}", local(s).port(), s.peer_addr().unwrap().port()))
}
