//! TCP under induced trouble has the findings it should, and no other.

use super::compare::check;
use super::world::{World, listen};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::diagnose::finding::findings;
use sockscope::format::Needs;
use sockscope::model::{ProtoSet, Socket, State, Wants};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

fn told(filter: &str) -> Result<Vec<(String, String)>, String> {
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

/// A far end that closed first, and a program that did not: left to grow old.
fn left_open(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (near, far) = World::pair(listener, None);
    far.shutdown(Shutdown::Write).unwrap();
    (near, far)
}

/// Everything at the same time, so that the minute until a leak is one is waited for once.
pub(crate) fn under_trouble() -> Result<(), String> {
    let quiet = listen("127.0.0.1:7911", 16, false);
    let (mut good, mut good_far) = World::pair(&quiet, None);
    let (leaked, half) = left_open(&quiet);

    // Nobody reads at one end.
    let (unread, mut writer) = World::pair(&quiet, None);
    writer.set_nonblocking(true).unwrap();
    let block = vec![7u8; 1 << 16];
    let mut full = 0;
    while full < 20 {
        match writer.write(&block) {
            Ok(n) => full = usize::from(n == 0),
            Err(_) => {
                full += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    // A listener that never accepts: its queue fills, and the next client gets no answer.
    let deaf = listen("127.0.0.1:7912", 1, false);
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(std::thread::spawn(|| {
            let to: SocketAddr = "127.0.0.1:7912".parse().unwrap();
            TcpStream::connect_timeout(&to, Duration::from_secs(15))
        }));
    }

    // What works has none, however much went over it.
    for _ in 0..100 {
        good.write_all(&block[..1000]).unwrap();
        good_far.read_exact(&mut [0; 1000]).unwrap();
    }
    std::thread::sleep(Duration::from_secs(4));
    is("a connection that works", &near_of(&good)?, &[""])?;
    is("its far end", &far_of(&good)?, &[""])?;
    is("a listener that accepts", &listener_of(7911)?, &[""])?;
    is("what is not read", &far_of(&writer)?, &["not-reading"])?;
    is(
        "who writes to it",
        &near_of(&writer)?,
        &["far-end-not-reading", "far-end-not-reading,receiver-limited"],
    )?;
    is("a listener that does not accept", &listener_of(7912)?, &["accept-queue-full"])?;
    let asking = told("tcp state:syn-sent rport:7912")?;
    check(!asking.is_empty() && asking.iter().all(|(_, f)| f == "no-answer-to-connect"), || {
        format!("clients without an answer: {asking:?}")
    })?;
    // A moment in CLOSE_WAIT is no leak.
    is("closed there a moment ago", &end_of(&leaked, "close-wait")?, &[""])?;

    let _accepted: Vec<_> = waiting.into_iter().filter_map(|t| t.join().ok()?.ok()).collect();
    drop(deaf);
    over_time(&quiet, &mut good, &mut good_far)?;
    std::thread::sleep(Duration::from_secs(30));
    is("closed there and never here", &end_of(&leaked, "close-wait")?, &["close-wait-leak"])?;
    is("half closed", &end_of(&half, "fin-wait2")?, &["half-closed"])?;
    drop(unread);
    Ok(())
}

/// What only shows over several polls: a little that nobody reads, a queue that is not full and not emptied. The whole
/// time a connection beside them works, and never has a finding.
fn over_time(quiet: &TcpListener, good: &mut TcpStream, good_far: &mut TcpStream) -> Result<(), String> {
    let (mut little, deaf_far) = World::pair(quiet, None);
    little.write_all(b"hello").map_err(|e| e.to_string())?;
    let _slow = listen("127.0.0.1:7913", 16, false);
    let _waits = TcpStream::connect("127.0.0.1:7913").map_err(|e| e.to_string())?;
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let mut engine = Engine::new();
    let wants = Wants::new(Needs::FINDINGS, ProtoSet::TCP_UDP);
    for poll in 0..12 {
        good.write_all(&[1; 1000]).map_err(|e| e.to_string())?;
        // Now and then something waits for a moment, and is read.
        let sample = source.sample(&wants).map_err(|e| e.to_string())?;
        good_far.read_exact(&mut [0; 1000]).map_err(|e| e.to_string())?;
        let snap = engine.step(sample);
        let said = |at: &dyn Fn(&Socket) -> bool| -> Vec<(&str, String)> {
            let row = snap.sockets().iter().position(at);
            row.map_or_else(Vec::new, |r| findings(&snap, r).map(|(f, seen)| (f.name, seen)).collect())
        };
        let far = deaf_far.local_addr().map_err(|e| e.to_string())?.to_string();
        let near = local(&little).to_string();
        let unread = said(&|s| s.local.to_string() == far && s.remote.to_string() == near);
        let unaccepted = said(&|s| s.local.to_string() == "127.0.0.1:7913" && s.state == State::Listen);
        let working = said(&|s| s.remote.to_string() == local(good).to_string());
        check(working.is_empty(), || format!("a connection that works, poll {poll}: {working:?}"))?;
        let late = poll * 2 >= 12;
        if late {
            let me = format!("{} (descriptor ", std::process::id());
            check(
                matches!(unread.as_slice(), [("not-reading", seen)]
                    if seen.starts_with("nothing read for ") && seen.contains(&me)),
                || format!("a little unread: {unread:?}"),
            )?;
            check(
                matches!(unaccepted.as_slice(), [("not-accepting", seen)]
                    if seen.starts_with("1 client has waited ") && seen.contains(&me)),
                || format!("one not accepted: {unaccepted:?}"),
            )?;
        } else if poll * 2 < 8 {
            check(unread.is_empty() && unaccepted.is_empty(), || {
                format!("a moment is nothing, poll {poll}: {unread:?} {unaccepted:?}")
            })?;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    Ok(())
}

fn by(filter: &str) -> Result<String, String> {
    match told(filter)?.as_slice() {
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
