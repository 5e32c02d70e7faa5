use super::http::{Reply, reply};
use super::*;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};

fn page() -> Arc<Published> {
    let args = crate::cli::Args::try_parse_from(["sockscope", "--demo", "serve", "--once"]).unwrap();
    let plan =
        Plan::new(args, crate::model::Services::well_known(), crate::cli::Settings::default()).unwrap();
    let source = open_source::open_live(&plan, Engines::Off).unwrap();
    let published = Arc::new(Published::default());
    published.put(Collector::new(&plan, source, 50).poll().unwrap());
    published
}

use clap::Parser;

#[test]
fn requests_are_answered_by_method_path_and_accept_header() {
    use Reply::{Error, Page};
    let of = |text: &str| reply(text.as_bytes());
    let get = |head: &str| of(&format!("{head} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(get("GET /metrics"), Some(Page(Form::Text, false)));
    assert_eq!(get("HEAD /metrics"), Some(Page(Form::Text, true)));
    assert_eq!(get("GET /metrics?collect[]=x"), Some(Page(Form::Text, false)));
    assert_eq!(get("GET /"), Some(Error(404, "Not Found")));
    assert_eq!(get("GET /metrics/../etc/passwd"), Some(Error(404, "Not Found")));
    assert_eq!(get("POST /metrics"), Some(Error(405, "Method Not Allowed")));
    assert_eq!(of("\x16\x03\x01\x02hello"), Some(Error(400, "Bad Request")));
    assert_eq!(of("GET /metrics HTTP/1.1\r\nHost: x\r\n"), None);
    let accept = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    assert_eq!(of(accept), Some(Page(Form::OpenMetrics, false)));
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(16 * 1024));
    assert!(matches!(of(&long), Some(Error(431, _))));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert!(matches!(of(&many), Some(Error(431, _))));
}

/// Answer to a request.
fn ask(mut stream: impl Read + std::io::Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut out = String::new();
    stream.read_to_string(&mut out).unwrap();
    out
}

#[test]
fn slow_clients_do_not_block_others_and_one_too_many_is_refused() {
    let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
    let Listener::Tcp(_, addr) = &listener else { panic!("TCP") };
    listener.start(&page()).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let slow: Vec<TcpStream> = (0..31)
        .map(|_| {
            let mut s = TcpStream::connect(addr).unwrap();
            s.write_all(b"GET /met").unwrap();
            s
        })
        .collect();
    let answer = ask(TcpStream::connect(addr).unwrap(), request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(body.starts_with("# HELP sockscope_info "), "{body}");
    // Each connects as soon as the previous one is closed.
    for _ in 0..20 {
        let head = ask(TcpStream::connect(addr).unwrap(), "HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }
    let last = TcpStream::connect(addr).unwrap();
    let refused = ask(TcpStream::connect(addr).unwrap(), "");
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    drop((slow, last));
}

#[test]
fn unix_socket_has_its_mode_and_replaces_only_a_stale_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.sock");
    let at = Listen::Unix(path.clone());
    // Left behind by a process that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&at).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    listener.start(&page()).unwrap();
    let answer = ask(UnixStream::connect(&path).unwrap(), "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(answer.contains("\nsockscope_sockets{"), "{answer}");
    let e = Listener::bind(&at).unwrap_err().to_string();
    assert!(e.contains("another process listens there"), "{e}");
    listener.remove();
    assert!(!path.exists());
    std::fs::write(&path, "mine").unwrap();
    let e = Listener::bind(&at).unwrap_err().to_string();
    assert!(e.contains("not a socket"), "{e}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn textfile_is_replaced_whole_and_readable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sockscope.prom");
    for text in ["one\n", "two\n"] {
        write_file(&file, text).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(write_file(&dir.path().join("no/x.prom"), "x").is_err());
}
