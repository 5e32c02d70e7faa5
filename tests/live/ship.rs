//! `sockscope ship` to receivers that fail, cut connections, and are down: every event arrives, and once after rows with the same
//! id are counted as one.

use super::events::serve;
use super::netns::Program;
use crate::wait::until_ok;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Rows that a receiver has taken, by id, and how often each.
type Taken = Arc<Mutex<BTreeMap<String, (serde_json::Value, usize)>>>;

/// Answer to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// Takes the rows.
    Take,
    /// An error of this status, with a header.
    Status(u16, &'static str),
    /// Reads the request and closes the connection, having taken the rows or not.
    Cut(bool),
    /// 413 if there are more rows than this.
    AtMost(usize),
}

/// A receiver of NDJSON at an address; answers come from the list, one after the other and again from its start.
fn receive(listener: TcpListener, answers: &'static [Answer]) -> Taken {
    let taken = Taken::default();
    let rows = Arc::clone(&taken);
    std::thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            // Errors are those of a shipper that is killed.
            let _ = requests(&stream, answers, &mut number, &rows);
        }
    });
    taken
}

fn requests(stream: &TcpStream, answers: &[Answer], number: &mut usize, taken: &Taken) -> Result<(), String> {
    let mut reader = BufReader::new(stream.try_clone().map_err(|e| e.to_string())?);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).map_err(|e| e.to_string())? == 0 {
                return Ok(());
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().map_err(|e| format!("{line}: {e}"))?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).map_err(|e| e.to_string())?;
        let text = zstd::decode_all(&body[..]).map_err(|e| e.to_string())?;
        let text = String::from_utf8(text).map_err(|e| e.to_string())?;
        let answer = answers[*number % answers.len()];
        *number += 1;
        let take = || {
            let mut taken = taken.lock().unwrap();
            for line in text.lines() {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                taken.entry(row["id"].as_str().unwrap().to_owned()).or_insert((row, 0)).1 += 1;
            }
        };
        let (status, header) = match answer {
            Answer::Status(status, header) => (status, header),
            Answer::AtMost(n) if text.lines().count() > n => (413, ""),
            Answer::Take | Answer::AtMost(_) => {
                take();
                (204, "")
            }
            Answer::Cut(taken) => {
                if taken {
                    take();
                }
                return Ok(());
            }
        };
        let head = format!("HTTP/1.1 {status} x\r\n{header}Content-Length: 0\r\n\r\n");
        (&mut &*stream).write_all(head.as_bytes()).map_err(|e| e.to_string())?;
    }
}

/// The shipper, once its source of events is known, and its lines on standard error from then on.
fn ship(port: u16, spool: &Path) -> Result<(Program, impl Iterator<Item = String>), String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["ship", "--only", "events", "--flush", "200ms", "--rows", "400", "--netns", "here", "--spool"])
        .arg(spool)
        .args(["--to", &format!("http://127.0.0.1:{port}/in?batch={{batch}}"), "--interval", "200ms"])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let stderr = child.stderr.take().ok_or("stderr")?;
    let program = Program(child);
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let source = lines.by_ref().find(|l| l.contains(" events")).ok_or("no source")?;
    if !source.contains("events by bpf") {
        return Err(source);
    }
    Ok((program, lines))
}

fn terminate(program: &mut Program) -> Result<(), String> {
    let pid = rustix::process::Pid::from_child(&program.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(|e| e.to_string())?;
    let status = program.0.wait().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{status}")) }
}

/// Ends of connections to this port as their clients reported them, each once.
fn closes(taken: &Taken, port: u16) -> usize {
    let is_one =
        |r: &serde_json::Value| r["event"] == "closed" && r["port"] == port && r["direction"] == "out";
    taken.lock().unwrap().values().filter(|(r, _)| is_one(r)).count()
}

fn wait_for(taken: &Taken, port: u16, n: usize) -> Result<(), String> {
    until_ok(|| match closes(taken, port) {
        found if found == n => Ok(()),
        found => Err(format!("{found} of {n} closes arrived")),
    })
}

/// A receiver that fails in every way: all events arrive, and nothing is there under two ids.
pub(crate) fn failing_receiver_loses_nothing() -> Result<(), String> {
    const N: usize = 500;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:7331").map_err(|e| e.to_string())?;
    let taken = receive(
        listener,
        &[
            Answer::Status(500, ""),
            Answer::Take,
            Answer::Status(429, "Retry-After: 0\r\n"),
            Answer::Cut(true),
            Answer::Cut(false),
            Answer::AtMost(250),
            Answer::Status(503, ""),
            Answer::Take,
        ],
    );
    let (mut program, lines) = ship(7331, dir.path())?;
    serve(N, 7332)?;
    wait_for(&taken, 7332, N)?;
    terminate(&mut program)?;
    let text: Vec<String> = lines.collect();
    assert!(text.iter().any(|l| l.contains("not taken: ")), "{text:?}");
    let taken = taken.lock().unwrap();
    assert!(taken.values().any(|(_, n)| *n > 1), "a batch that was cut after it was taken came twice");
    // Without the end of the listener.
    let ours = taken
        .values()
        .filter(|(r, _)| r["port"] == 7332 && (r["direction"] == "in" || r["direction"] == "out"));
    let mut seen: Vec<u64> = ours.filter_map(|(r, _)| r["seq"].as_u64()).collect();
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), all), (4 * N, 4 * N), "opened, accepted and both closes, each under one id");
    assert!(!taken.values().any(|(r, _)| r["kind"] == "loss"));
    Ok(())
}

/// Without a receiver batches wait in the directory; the next run sends them first.
pub(crate) fn batches_wait_for_the_receiver_across_runs() -> Result<(), String> {
    const N: usize = 300;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (mut program, lines) = ship(7341, dir.path())?;
    serve(N, 7342)?;
    terminate(&mut program)?;
    let text: Vec<String> = lines.collect();
    assert!(text.iter().any(|l| l.contains("the next run sends them")), "{text:?}");
    let taken = receive(TcpListener::bind("127.0.0.1:7341").map_err(|e| e.to_string())?, &[Answer::Take]);
    let (mut program, _) = ship(7341, dir.path())?;
    wait_for(&taken, 7342, N)?;
    terminate(&mut program)?;
    let waiting = std::fs::read_dir(dir.path()).map_err(|e| e.to_string())?;
    let names: Vec<_> = waiting.filter_map(|f| Some(f.ok()?.file_name())).collect();
    assert!(names.iter().all(|n| n == "id" || n == "lock"), "{names:?}");
    Ok(())
}
