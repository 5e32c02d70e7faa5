//! The past of the dashboard: back to a moment over connections made here, and to what is live; and a recording that is moved in.

use super::namespaces::isolated;
use super::screen::Screen;
use super::wait::until;
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use rustix::process::{Pid, Signal, kill_process};
use sockscope::recording::{Moments, Recording};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

#[test]
fn dashboard_goes_back_to_before_a_connection_and_returns() {
    isolated(|| {
        let l = TcpListener::bind("127.0.0.1:7601").unwrap();
        let mut s = Screen::sockscope(120, 30, &["proto:tcp", "--interval", "200ms"], &[]);
        s.shows("live");
        s.until("the listener", |t| t.contains("127.0.0.1:7601"));
        // Moments without the connection.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let client = TcpStream::connect(l.local_addr().unwrap()).unwrap();
        let server = l.accept().unwrap();
        s.until("the connection", |t| t.contains("ESTABLISHED  2"));
        s.keys("<");
        let past =
            s.until("the past without it", |t| t.contains("the past, ") && !t.contains("ESTABLISHED  2"));
        assert!(past.contains("127.0.0.1:7601") && !past.contains("live 200ms"), "{past}");
        // Everything works there: a filter, and no action.
        s.keys("K");
        s.until("no action on the past", |t| !t.contains("close this socket"));
        s.keys("q");
        s.keys(".R");
        s.until("live again", |t| t.contains("live 200ms") && t.contains("ESTABLISHED  2"));
        drop((client, server));
        s.keys("q");
        assert_eq!(s.ends(), 0);
    });
}

#[test]
fn replay_is_moved_in_and_played_on() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let l = TcpListener::bind("127.0.0.1:7602").unwrap();
        let recorded = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["record", "--every", "100ms", "--for", "1500ms", "--min-free", "0%", "-o"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(recorded.success());
        drop(l);
        let path = dir.path().to_str().unwrap();
        let mut s = Screen::sockscope(120, 30, &["replay", path, "proto:tcp", "--speed", "10x"], &[]);
        s.until("the end", |t| t.contains("end of the recording") && t.contains("127.0.0.1:7602"));
        s.keys(",,,");
        s.until("a moment before", |t| t.contains("the past, ") && t.contains("127.0.0.1:7602"));
        s.keys("R");
        s.until("the end again", |t| t.contains("end of the recording"));
        s.keys("q");
        assert_eq!(s.ends(), 0);
    });
}

#[test]
fn leak_is_found_in_the_past_compared_and_exported() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let l = TcpListener::bind("127.0.0.1:7603").unwrap();
        let program = env!("CARGO_BIN_EXE_sockscope");
        let script = format!("cd {} && exec {program} --interval 200ms", dir.path().display());
        let mut s = Screen::start(Path::new("/bin/sh"), 140, 30, &["-c", &script], &[]);
        s.until("the listener", |t| t.contains("127.0.0.1:7603"));
        std::thread::sleep(std::time::Duration::from_millis(1200));
        // Closed by the client and never by the server.
        let leaked: Vec<_> = (0..3)
            .map(|_| {
                drop(TcpStream::connect(l.local_addr().unwrap()).unwrap());
                l.accept().unwrap()
            })
            .collect();
        s.until("the leak", |t| t.contains("CLOSE_WAIT 3"));
        std::thread::sleep(std::time::Duration::from_millis(1200));
        s.keys("/state:close-wait\r");
        s.until("the filter", |t| t.contains("/ state:close-wait") && !t.contains("apply"));
        s.keys("#");
        // A poll may come between the three.
        s.until("the moment at which it began", |t| t.contains("the past, ") && t.contains("CLOSE_WAIT "));
        s.keys(",");
        s.until("the moment before", |t| t.contains("none match state:close-wait"));
        s.keys("D");
        s.until("the mark", |t| t.contains(" marked: D at another moment"));
        s.keys("R");
        s.until("live", |t| t.contains("live 200ms"));
        s.keys("D");
        s.until("the differences", |t| t.contains("clients of 127.0.0.1:7603") && t.contains("CLOSE_WAIT 3"));
        s.keys("w");
        s.until("the formats", |t| t.contains("rows as one JSON array"));
        s.keys("jj\r");
        s.until("the name", |t| t.contains(".json"));
        s.keys("\x15leak.json\r");
        s.until("written", |t| t.contains("rows written to"));
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("leak.json")).unwrap()).unwrap();
        let rows = json.as_array().unwrap();
        let leak = rows.iter().find(|r| r["name"] == "tcp clients of 127.0.0.1:7603").unwrap();
        assert_eq!((&leak["change"], &leak["after"]), (&"new".into(), &"CLOSE_WAIT 3".into()));
        // A time that was typed: everything that is kept is after it.
        s.keys(":-1h\r");
        s.until("the first moment", |t| t.contains("the first moment that is kept"));
        drop(leaked);
        s.keys("q");
        assert_eq!(s.ends(), 0);
    });
}

#[test]
fn alert_is_found_in_a_recording_without_one_that_is_written() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let l = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&l, &SocketAddr::from(([127, 0, 0, 1], 7604))).unwrap();
        listen(&l, 1).unwrap();
        let recorder = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["record", "--every", "100ms", "--min-free", "0%", "-o"])
            .arg(dir.path())
            .spawn()
            .unwrap();
        let recorded = || Recording::open(dir.path()).map_or(0, |r| r.len());
        let samples = |n: usize| until("samples", || (recorded() >= n).then_some(())).unwrap();
        samples(4);
        // Never accepted: the queue is over its limit of one.
        let before = recorded();
        let clients: Vec<_> = (0..2).map(|_| TcpStream::connect("127.0.0.1:7604").unwrap()).collect();
        samples(before + 8);
        kill_process(Pid::from_child(&recorder), Signal::INT).unwrap();
        assert!(recorder.wait_with_output().unwrap().status.success());
        let path = dir.path().to_str().unwrap();
        let mut s = Screen::sockscope(120, 30, &["replay", path, "--speed", "10x"], &[]);
        s.until("the end", |t| t.contains("end of the recording") && t.contains("7604 accept"));
        s.keys("A");
        s.until("the alert", |t| t.contains("the past, ") && t.contains("7604 accept"));
        s.keys(",");
        s.until("no alert before it", |t| t.contains("the past, ") && !t.contains("7604 accept"));
        s.keys("A");
        s.until("no alert was before", |t| t.contains("nothing like it in the past"));
        drop((clients, l));
        s.keys("q");
        assert_eq!(s.ends(), 0);
    });
}
