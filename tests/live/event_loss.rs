//! More events than fit: each of them is listed, counted, or counted as lost.

use super::netns::Program;
use super::world::{World, listen};
use crate::wait::until_ok;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Bytes that a client sends on each connection.
const BYTES: usize = 100;

/// Connections one after the other: the client sends [`BYTES`] and closes, the server reads them and closes.
fn connect(n: usize, port: u16) -> Result<(), String> {
    let listener = listen(&format!("127.0.0.1:{port}"), 16, false);
    for _ in 0..n {
        let (mut client, mut server) = World::pair(&listener, None);
        client.write_all(&[b'x'; BYTES]).map_err(|e| e.to_string())?;
        drop(client);
        let mut got = Vec::new();
        server.read_to_end(&mut got).map_err(|e| e.to_string())?;
        assert_eq!(got.len(), BYTES);
    }
    Ok(())
}

/// Rows and lines on standard error of `sockscope events` that was stopped while all connections were made.
fn stopped_meanwhile(
    before: &[&str],
    method: &str,
    n: usize,
    port: u16,
) -> Result<(Vec<Value>, Vec<String>), String> {
    let own = [env!("CARGO_BIN_EXE_sockscope"), "events", "--events", method, "-f", "ndjson"];
    let command = [before, &own].concat();
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (mut stdout, stderr) = (child.stdout.take().ok_or("stdout")?, child.stderr.take().ok_or("stderr")?);
    let program = Program(child);
    let mut lines = BufReader::new(stderr).lines();
    let source = lines.next().ok_or("no line about the source")?.map_err(|e| e.to_string())?;
    assert!(source.contains(&format!("events by {method}: ")), "{source}");
    let pid = i32::try_from(program.0.id()).ok().and_then(Pid::from_raw).ok_or("a pid")?;
    let send = |signal| kill_process(pid, signal).map_err(|e| e.to_string());
    send(Signal::STOP)?;
    connect(n, port)?;
    if method == "sock_diag" {
        closes_were_sent()?;
    }
    send(Signal::TERM)?;
    send(Signal::CONT)?;
    let mut text = String::new();
    stdout.read_to_string(&mut text).map_err(|e| e.to_string())?;
    let rows: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    Ok((rows.map_err(|e| e.to_string())?, lines.map_while(Result::ok).collect()))
}

/// Waits until the kernel has sent the closes, which it does from a work queue: on a busy machine some time after the sockets are
/// closed. The buffer of the stopped reader is full, and what comes is dropped until nothing comes any more.
fn closes_were_sent() -> Result<(), String> {
    let drops = || -> Result<u64, String> {
        let text = std::fs::read_to_string("/proc/net/netlink").map_err(|e| e.to_string())?;
        Ok(text.lines().skip(1).filter_map(|l| l.split_whitespace().nth(8)?.parse::<u64>().ok()).sum())
    };
    let mut last = 0;
    let mut same = 0;
    until_ok(|| {
        std::thread::sleep(Duration::from_millis(100));
        let now = drops()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        if now > 0 && same >= 10 { Ok(()) } else { Err(format!("{now} drops")) }
    })
}

/// Number in the line that ends so.
fn number(lines: &[String], end: &str) -> u64 {
    let line = lines.iter().find_map(|l| l.strip_prefix("sockscope: ")?.strip_suffix(end));
    line.map_or(0, |n| n.trim().replace(',', "").parse().expect("a number"))
}

fn sum(rows: &[Value], kind: &str, of: &str) -> u64 {
    let found = rows.iter().filter(|r| r["event"] == kind && r["direction"] != Value::Null);
    found.filter_map(|r| r[of].as_u64()).sum()
}

/// The ring of the program is full: it counts, by process, remote endpoint and kind.
pub(crate) fn events_beyond_the_ring_are_counted_with_their_bytes() -> Result<(), String> {
    const N: usize = 6000;
    let (rows, notes) = stopped_meanwhile(&[], "bpf", N, 7321)?;
    let n = N as u64;
    let counts = ["opened", "accepted", "closed", "failed"].map(|kind| sum(&rows, kind, "events"));
    assert_eq!((counts, number(&notes, "events were lost")), ([n, n, 2 * n, 0], 0), "{notes:?}");
    for direction in ["tx_bytes", "rx_bytes"] {
        assert_eq!(sum(&rows, "closed", direction), n * BYTES as u64, "{direction}");
    }
    let counted: Vec<_> = rows.iter().filter(|r| r["proto"].is_null()).collect();
    let total: u64 = counted.iter().filter_map(|r| r["events"].as_u64()).sum();
    assert!(total > 1000 && counted.len() < 100, "{} rows: {total}", counted.len());
    assert_eq!(number(&notes, "events were counted, not listed: too many at once"), total, "{notes:?}");
    let own = u64::from(std::process::id());
    for r in counted.iter().filter(|r| r["remote"] != "*") {
        assert_eq!(r["port"], 7321, "{r}");
        assert!(r["pid"].as_u64() == Some(own) || r["event"] == "closed", "{r}");
    }
    Ok(())
}

/// The receive buffer is full: the kernel drops closes, and counts them.
pub(crate) fn closes_beyond_the_receive_buffer_are_counted_as_lost() -> Result<(), String> {
    // Without CAP_NET_ADMIN the buffer is at most twice net.core.rmem_max, and a message takes 512 bytes or more.
    let max = std::fs::read_to_string("/proc/sys/net/core/rmem_max").map_err(|e| e.to_string())?;
    let n = max.trim().parse::<usize>().map_err(|e| e.to_string())? / 256;
    if n > 20_000 {
        return Err(format!("net.core.rmem_max {max}: more connections than local ports"));
    }
    let before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let (rows, notes) = stopped_meanwhile(&before, "sock_diag", n, 7322)?;
    let (listed, lost) = (rows.len() as u64, number(&notes, "events were lost"));
    // Both ends and the listener.
    assert_eq!(listed + lost, 2 * n as u64 + 1, "{listed} listed, {lost} lost: {notes:?}");
    assert!(listed > 0 && lost > 0 && rows.iter().all(|r| r["event"] == "closed"), "{listed}, {lost}");
    Ok(())
}
