//! Real programs in the dashboard: nginx with clients, a process out of descriptors, hostile names.

// The type of a case.
#![allow(clippy::unnecessary_wraps)]

use crate::screen::Screen;
use crate::wait::{PATIENCE, until_ok};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A process that is killed by its pid when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: a master process stops its workers.
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn list(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).args(args).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// nginx with two workers on this port, with its files in `dir`.
fn nginx(dir: &Path, port: u16) -> Running {
    let config = format!(
        "user root root;\ndaemon off;\nworker_processes 2;\npid {d}/nginx.pid;\nerror_log {d}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {d}/a; proxy_temp_path {d}/b; fastcgi_temp_path {d}/c;\n\
         uwsgi_temp_path {d}/d; scgi_temp_path {d}/e; keepalive_timeout 300;\n\
         server {{ listen 127.0.0.1:{port} backlog=77; location / {{ return 200 \"hello\\n\"; }} }} }}\n",
        d = dir.display()
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let child = Command::new("nginx")
        .args(["-p".as_ref(), dir.as_os_str(), "-c".as_ref(), file.as_os_str()])
        .args(["-e".as_ref(), dir.join("error.log").as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx");
    Running(child)
}

/// Connections that received a response and stay open.
fn clients(port: u16, n: usize) -> Vec<TcpStream> {
    let connect = || {
        let once =
            || TcpStream::connect(("127.0.0.1", port)).map_err(|e| format!("nginx does not answer: {e}"));
        until_ok(once).unwrap()
    };
    (0..n)
        .map(|_| {
            let mut c = connect();
            c.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut status = String::new();
            BufReader::new(&c).read_line(&mut status).unwrap();
            assert!(status.contains("200"), "{status}");
            c
        })
        .collect()
}

/// The listener with all its owners, its clients as one group, in every view.
pub(crate) fn nginx_has_its_workers_and_clients_in_every_view() -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = nginx(dir.path(), port);
    let kept = clients(port, 20);
    let at = format!("127.0.0.1:{port}");
    let mut s = Screen::sockscope(140, 40, &[], &[]);
    s.shows("LISTEN");

    // By port: the listener with all its owners, and its clients as one group.
    s.keys(&format!("/lport:{port}\r"));
    let text = s.until("listener, owners, clients", |t| {
        t.lines().any(|l| l.contains(&at) && l.contains("nginx") && l.contains("+2"))
            && t.contains("20 clients")
    });
    // Both ends of each.
    let counted = text
        .split("ESTABLISHED ")
        .nth(1)
        .and_then(|t| t.split_whitespace().next()?.replace(',', "").parse().ok());
    assert!(counted >= Some(40), "both ends in the strip:\n{text}");

    // By process.
    s.keys("/\x15nginx\r");
    s.shows("20 clients");

    // The group unfolds; a row has details.
    s.keys("}}");
    s.keys("\x1b[C\x1b[C");
    s.until("a client's row", |t| {
        t.lines().filter(|l| l.contains("ESTABLISHED") || l.contains("tcp ")).count() > 10
    });
    s.keys("\r");
    s.shows("worker process");

    // The row of the port, with its accept queue and backlog.
    s.keys("\x1b");
    s.until("the details closed", |t| !t.contains("worker process"));
    s.keys("2");
    s.keys(&format!("/port:{port}\r"));
    s.until("accept queue", |t| t.contains("0/77"));
    s.keys("q");
    assert_eq!(s.ends(), 0);
    s.is_restored();
    drop(kept);
    drop(server);
    Ok(())
}

/// The gauge of a process two descriptors below its limit is red.
pub(crate) fn process_near_its_fd_limit_is_red_before_open_fails() -> Result<(), String> {
    // 62 of 64: the next socket pair is the last.
    let script = "ulimit -S -n 64; for i in $(seq 3 61); do eval \"exec $i</dev/null\"; done; echo ready; read x; \
                  n=0; while exec {a}</dev/null && [ $n -lt 99 ]; do n=$((n+1)); done 2>/dev/null; echo end $n";
    let mut child = Command::new("bash")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let mut child = Running(child);

    let found = list(&["processes", "fds>=90%", &format!("pid:{pid}"), "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&found).unwrap();
    // The shell uses three itself.
    assert!(rows[0]["fds_open"].as_u64() >= Some(62) && rows[0]["fds_soft"] == 64, "{found}");
    let pct = format!("{:.0}%", rows[0]["fds_pct"].as_f64().unwrap());

    let mut s = Screen::sockscope(120, 30, &[], &[]);
    s.keys("3");
    s.shows("FDS%");
    s.keys(&format!("/pid:{pid}\r"));
    let text = s.shows(&pct);
    assert!(text.lines().any(|l| l.contains(&pid.to_string()) && l.contains(&pct)), "{text}");
    // Red of the bright, plain or 256-color palette.
    let red = s.color_of(&pct).unwrap();
    let amber_free = match red {
        vt100::Color::Idx(n) => matches!(n, 1 | 9 | 124 | 160 | 167 | 196 | 197 | 203 | 204 | 210 | 168),
        vt100::Color::Rgb(r, g, b) => r > 180 && g < 130 && b < 140,
        vt100::Color::Default => false,
    };
    assert!(amber_free, "{red:?}\n{text}");

    // Then open fails.
    child.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let more: u32 = rest.trim().strip_prefix("end ").expect(&rest).parse().unwrap();
    assert!(more <= 2, "{more} more could be opened");
    Ok(())
}

/// Escape sequences, newlines, bidi overrides and broken UTF-8 in names reach no terminal.
pub(crate) fn hostile_names_are_escaped() -> Result<(), String> {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = l.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    // A name of at most 15 bytes with an escape sequence, a newline, a bidi override and invalid UTF-8.
    let name = OsStr::from_bytes(b"\x1b[2J\n\xe2\x80\xaex\xff");
    let program = dir.path().join(name);
    let bash = ["/bin/bash", "/usr/bin/bash"].into_iter().find(|p| Path::new(p).exists()).unwrap();
    std::fs::copy(bash, &program).unwrap();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo ready; read x");
    let mut long = b"\x1b]0;owned\x07\x1b[31m\n\xff\xfe\xe2\x80\xae".to_vec();
    long.extend(std::iter::repeat_n(b'A', 4096));
    let mut child = Command::new(&program)
        .arg0(OsStr::from_bytes(&long))
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let child = Running(child);
    let harm = |text: &str| {
        text.chars().any(|c| {
            c.is_control() && c != '\n' && c != '\r'
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
    };
    let filter = format!("rport:{port}");
    for format in ["table", "json", "ndjson", "csv"] {
        let text = list(&["list", &filter, "-c", "process,cmdline,remote", "--format", format]);
        assert!(text.contains("2J") && !harm(&text), "{format}: {text:?}");
        let rows = match format {
            "csv" | "table" => text.lines().count() - 1,
            "json" => serde_json::from_str::<serde_json::Value>(&text).unwrap().as_array().unwrap().len(),
            _ => text.lines().count(),
        };
        assert_eq!(rows, 1, "{format}: {text:?}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&list(&["list", &filter, "--format", "json"])).unwrap();
    assert_eq!(json[0]["process"], "\u{1b}[2J\n\u{202e}x\\xff", "the name itself, in JSON's own escapes");
    assert_eq!(json[0]["pid"], child.0.id());

    let mut s = Screen::sockscope(120, 40, &[&filter], &[]);
    s.shows("\\e[2J");
    s.keys("\x1b[B\r");
    s.shows("owned");
    s.keys("q");
    s.ends();
    let raw = s.raw();
    let all = String::from_utf8_lossy(&raw).into_owned();
    assert!(!all.contains("\x1b]0;owned") && !all.contains('\u{202e}') && !all.contains('\x07'));
    Ok(())
}
