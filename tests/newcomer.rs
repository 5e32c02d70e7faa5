//! Keys typed into the real program in real pseudo-terminals of every kind, including the first steps of a new user.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[allow(dead_code)]
#[path = "isolation/programs.rs"]
mod programs;

use programs::namespaces::isolated;
use programs::screen::Screen;
use programs::wait::until;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Query for the background color of the terminal.
const QUESTION: &str = "\x1b]11;?";

fn raw(s: &Screen) -> String {
    String::from_utf8_lossy(&s.raw()).into_owned()
}

#[test]
fn every_terminal_type_answers_the_same_keys() {
    for (term, asked) in [
        ("xterm-256color", true),
        ("screen", true),
        ("tmux-256color", true),
        ("linux", false),
        ("vt100", false),
    ] {
        let mut s = Screen::sockscope(100, 30, &["--demo"], &[("TERM", term)]);
        s.shows("LISTEN");
        s.keys("3");
        s.shows("FDS%");
        s.keys("/nginx\r");
        s.until("only nginx", |t| t.contains("nginx") && !t.contains("redis-server"));
        s.keys(":sockets\r");
        s.shows("LOCAL");
        s.keys("?");
        s.shows("Filter as you type");
        s.keys("/pause");
        s.until("the match", |t| t.contains("polling continues") && !t.contains("Poll less"));
        s.keys("\x1b");
        s.shows("Filter as you type");
        s.keys("\x1b");
        s.shows("LOCAL");
        s.keys(" ");
        s.shows("paused");
        s.keys("q");
        assert_eq!(s.ends(), 0, "{term}");
        s.is_restored();
        assert_eq!(raw(&s).contains(QUESTION), asked, "{term}");
        // Clicks and drags are reported, a mouse that only moves is not.
        assert!(raw(&s).contains("\x1b[?1002h") && raw(&s).contains("\x1b[?1006h"), "{term}");
        assert!(!raw(&s).contains("\x1b[?1003h"), "{term}");
        // Cleared at the start; at the end the prompt follows on the last line.
        let (start, end) =
            (raw(&s).find("\x1b[?1049h\x1b[m\x1b[2J"), raw(&s).find("\x1b[2J\x1b[30H\x1b[?1049l"));
        assert!(start.is_some() && end > start, "{term}");
    }
}

#[test]
fn background_colour_reply_is_no_key_press() {
    let mut s = Screen::sockscope(100, 30, &["--demo"], &[]);
    s.shows("LISTEN");
    let dark = s.color_of("ESTABLISHED").unwrap();
    // The reply has digits that would each be a key.
    s.keys("\x1b[0n3\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[B");
    s.shows("FDS%");
    s.until("the second line chosen", |t| t.lines().nth(5).is_some_and(|l| l.starts_with('▌')));
    until("other colours", || (s.color_of("ESTABLISHED") != Some(dark)).then_some(())).unwrap();
    // A theme set by name is kept, and the terminal is not queried.
    let mut s = Screen::sockscope(100, 30, &["--demo"], &[("NO_COLOR", "1")]);
    s.shows("LISTEN");
    s.keys("q");
    s.ends();
    assert!(!raw(&s).contains(QUESTION));
}

/// Bytes and frames sent until this screen line is selected, in a complete frame.
fn chosen(s: &Screen, line: usize) -> (usize, usize) {
    let mut sent = (0, 0);
    s.until("the line chosen, in a whole frame", |t| {
        let raw = raw(s);
        sent = (raw.len(), raw.matches("\x1b[?2026h").count());
        raw.ends_with("\x1b[?2026l") && t.lines().nth(line).is_some_and(|l| l.starts_with('▌'))
    });
    sent
}

#[test]
fn key_without_effect_sends_no_bytes() {
    let mut s = Screen::sockscope(100, 30, &["--demo", "-i", "1m"], &[]);
    s.shows("LISTEN");
    // The first screen is completed once.
    let bytes: Vec<usize> = (0..5)
        .map(|_| {
            s.keys("j");
            let before = chosen(&s, 5);
            for _ in 0..5 {
                // Scrolls details that are closed. Separate keys if the machine keeps up.
                s.keys("]");
                std::thread::sleep(Duration::from_millis(20));
            }
            s.keys("k");
            let after = chosen(&s, 4);
            (after.0 - before.0, after.1 - before.1)
        })
        .filter_map(|(bytes, frames)| (frames == 1).then_some(bytes))
        .collect();
    assert!(!bytes.is_empty(), "never one frame alone");
    assert!(bytes.iter().all(|n| *n < 2000), "two lines of thirty: {bytes:?} bytes");
}

/// Presses a key that the screen shows with this label.
fn press(s: &mut Screen, label: &str, key: &str) {
    s.shows(label);
    s.keys(key);
}

#[test]
fn new_user_finds_a_port_and_a_leak_from_the_key_bar() {
    isolated(|| {
        // A leak: the peer has closed, this process has not.
        let l = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = l.local_addr().unwrap();
        let far = TcpStream::connect(at).unwrap();
        let (near, _) = l.accept().unwrap();
        drop(far);

        let state = tempfile::tempdir().unwrap();
        let env = [("XDG_STATE_HOME", state.path().to_str().unwrap())];
        let mut s = Screen::sockscope(100, 30, &[], &env);
        s.shows("getting started");
        // The owner of the port.
        press(&mut s, "/ filter", "/");
        s.shows("apply");
        s.keys(&format!(":{}", at.port()));
        press(&mut s, "↵ apply", "\r");
        let me = std::fs::read_to_string("/proc/self/comm").unwrap();
        s.until("the owner", |t| {
            t.lines().any(|l| l.contains(&at.to_string()) && l.contains(me.trim().get(..8).unwrap()))
        });
        // The leaking process.
        press(&mut s, "/ filter", "/");
        press(&mut s, "^U clear", "\x15");
        s.shows("state:close-wait");
        s.keys("state:close-wait");
        press(&mut s, "↵ apply", "\r");
        s.shows("closed by the peer, still open here");
        // Details.
        press(&mut s, "? help", "?");
        press(&mut s, "Esc close", "\x1b");
        // The group is selected; an arrow key goes to the socket.
        s.until("the help is closed", |t| !t.contains("Esc close") && t.contains("↵ collapse"));
        s.keys("\x1b[B");
        press(&mut s, "↵ details", "\r");
        s.shows("cwd");
        press(&mut s, "q quit", "q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
        drop(near);
        // The next start does not show the welcome card.
        let mut s = Screen::sockscope(100, 30, &[], &env);
        s.shows("LISTEN");
        assert!(!s.text().contains("getting started"), "{}", s.text());
        s.keys("q");
        s.ends();
    });
}

/// Types a question with at most five other keys: those before it, and those after it.
fn ask(s: &mut Screen, before: &[&str], question: &str, after: &[&str]) {
    assert!(before.len() + after.len() <= 5, "{question}");
    for keys in before.iter().chain([&question]).chain(after) {
        s.keys(keys);
    }
}

#[test]
fn seven_questions_of_a_newcomer_take_at_most_five_keys_each() {
    isolated(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let (_served, _) = listener.accept().unwrap();
        // A leak on another port, and a process that runs out of descriptors.
        let leaky = TcpListener::bind("127.0.0.1:8090").unwrap();
        let far = TcpStream::connect("127.0.0.1:8090").unwrap();
        let (_leaked, _) = leaky.accept().unwrap();
        drop(far);
        let mut full = Command::new("prlimit").args(["--nofile=4:4", "sleep", "1000"]).spawn().unwrap();
        let forward = "add table ip t; add chain ip t c { type nat hook output priority -100; }; \
                       add rule ip t c ip daddr 127.0.0.1 tcp dport 9000 dnat to 127.0.0.1:8080";
        let has_forward = Command::new("nft").arg(forward).status().is_ok_and(|s| s.success());
        let dir = tempfile::tempdir().unwrap();
        let script = format!("cd '{}' && exec '{}'", dir.path().display(), env!("CARGO_BIN_EXE_sockscope"));
        let mut s = Screen::start(Path::new("sh"), 160, 48, &["-c", &script], &[]);
        s.shows("LISTEN");
        let me = std::fs::read_to_string("/proc/self/comm").unwrap();
        let me = me.trim().get(..8).unwrap();

        // Who holds 8080?
        ask(&mut s, &["/"], "sport:8080 state:listen", &["\r"]);
        s.until("the holder", |t| t.lines().any(|l| l.contains("127.0.0.1:8080") && l.contains(me)));
        // Who leaks?
        ask(&mut s, &["/", "\x15"], "state:close-wait", &["\r"]);
        s.until("the filter", |t| t.contains("1 of"));
        ask(&mut s, &["\x1b[F"], "", &[]);
        s.until("the leak", |t| t.lines().any(|l| l.contains("127.0.0.1:8090") && l.contains(me)));
        // Who runs out?
        ask(&mut s, &["3"], "", &[]);
        s.until("the fullest process first", |t| {
            t.lines().find(|l| l.contains('%') && !l.contains("FDS%")).is_some_and(|l| l.contains("sleep"))
        });
        // What is behind the forward?
        ask(&mut s, &["6"], "", &[]);
        if has_forward {
            s.until("the backend", |t| {
                t.lines().any(|l| l.contains(":9000") && l.contains("127.0.0.1:8080"))
            });
        } else {
            eprintln!("skipped: no NAT rule can be added");
        }
        // End one connection.
        s.keys("1");
        ask(&mut s, &["/", "\x15"], "sport:8080 state:established", &["\r"]);
        s.until("the connection", |t| t.contains("1 of") && !t.contains("state:close-wait"));
        ask(&mut s, &["\x1b[F", "K"], "", &[]);
        s.until("list of actions", |t| t.contains("s close this socket"));
        ask(&mut s, &["s"], "", &[]);
        s.until("question", |t| t.contains('?'));
        ask(&mut s, &["y"], "", &[]);
        s.shows("1 socket closed");
        assert_eq!(client.read(&mut [0]).map_err(|e| e.raw_os_error()), Err(Some(104)), "a RST");
        // Export: the format, and the name that is proposed.
        ask(&mut s, &["w", "\x1b[B", "\r", "\r"], "", &[]);
        s.shows("written to /");
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        let name = files.first().unwrap().to_str().unwrap();
        assert!(files.len() == 1 && name.starts_with("sockscope-") && name.contains("Z.csv"), "{files:?}");
        assert!(s.text().contains(name), "the whole path: {}", s.text());
        // A name of one's own replaces the one that is proposed; one that cannot be, and a path.
        ask(&mut s, &["w", "\r"], "../", &["\r"]);
        s.shows("invalid file name");
        ask(&mut s, &["\x15"], "mine", &["\r"]);
        s.shows("/mine.txt");
        assert!(dir.path().join("mine.txt").exists());
        // In a directory that the sandbox does not allow.
        let other = tempfile::tempdir().unwrap();
        let path = std::fs::canonicalize(other.path()).unwrap().join("path.csv");
        ask(&mut s, &["w", "\r"], path.to_str().unwrap(), &["\r"]);
        s.shows("/path.csv");
        assert!(path.exists());
        // Quit.
        ask(&mut s, &["q"], "", &[]);
        assert_eq!(s.ends(), 0);
        full.kill().unwrap();
        full.wait().unwrap();
    });
}
