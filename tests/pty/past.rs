//! The past of the dashboard: back to a moment over connections made here, and to what is live; and a recording that is moved in.

use super::namespaces::isolated;
use super::screen::Screen;
use std::net::{TcpListener, TcpStream};
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
            .args(["record", "--every", "100ms", "--for", "1500ms", "-o"])
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
