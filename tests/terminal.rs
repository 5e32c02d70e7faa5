//! The dashboard in a real pseudo-terminal: start, keys, signals, and restoring the terminal.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[path = "pty/events.rs"]
mod events;
#[allow(dead_code)]
#[path = "isolation/namespaces.rs"]
mod namespaces;
#[path = "pty/past.rs"]
mod past;
#[path = "pty/record.rs"]
mod record;
#[allow(dead_code)]
#[path = "pty/screen.rs"]
mod screen;
#[path = "pty/slow.rs"]
mod slow;
#[path = "pty/unread.rs"]
mod unread;
#[allow(dead_code)]
#[path = "isolation/wait.rs"]
mod wait;

use namespaces::isolated;
use rustix::process::Signal;
use screen::Screen;
use slow::SlowLine;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use unread::Unread;
use wait::until;

/// A listener opened by the test, and its port as on the screen.
fn listener() -> (TcpListener, String) {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = l.local_addr().unwrap().to_string();
    (l, at)
}

/// The dashboard, filtered to a listener opened by the test.
fn shown(cols: u16, rows: u16, env: &[(&str, &str)]) -> (Screen, TcpListener, String) {
    let (l, at) = listener();
    let port = format!("port:{}", l.local_addr().unwrap().port());
    let s = Screen::sockscope(cols, rows, &[&port], env);
    s.shows(&at);
    (s, l, at)
}

#[test]
fn quit_key_restores_the_terminal() {
    isolated(|| {
        let (mut s, _l, _) = shown(80, 24, &[]);
        s.shows("LISTEN");
        s.keys("q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
    });
}

#[test]
fn termination_signals_restore_the_terminal() {
    isolated(|| {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let (mut s, _l, _) = shown(80, 24, &[]);
            s.signal(signal);
            assert_eq!(s.ends(), 0, "{signal:?}");
            s.is_restored();
        }
    });
}

/// Thread of a process with this name.
fn thread(pid: u32, name: &str) -> Option<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let is_it = |t: &std::fs::DirEntry| {
        std::fs::read_to_string(t.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    tasks.into_iter().find(is_it)?.file_name().to_str()?.parse().ok()
}

#[test]
fn late_poll_is_shown_with_its_age_and_never_as_live() {
    use nix::sys::ptrace;
    use nix::sys::wait::{WaitPidFlag, waitpid};
    isolated(|| {
        let (mut s, _l, _) = shown(120, 24, &[]);
        s.shows("live");
        // The thread that reads the machine stops, as it does in a read that takes long.
        let poller = nix::unistd::Pid::from_raw(thread(s.pid(), "poller").unwrap());
        ptrace::seize(poller, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(poller).unwrap();
        waitpid(poller, Some(WaitPidFlag::__WALL)).unwrap();
        let age = |text: &str| -> Option<u32> {
            let (before, _) = text.lines().next()?.split_once(" s old")?;
            before.rsplit_once("◐ ")?.1.parse().ok()
        };
        s.until("the age of the data", |t| age(t).is_some());
        let first = age(&s.text()).unwrap();
        assert!(first >= 4, "late only after twice the interval and a grace: {first}");
        // It grows, keys work, and nothing claims to be live.
        s.keys("2");
        s.until("a greater age in the other view", |t| {
            assert!(!t.lines().next().unwrap().contains("live"), "{t}");
            age(t).is_some_and(|a| a >= first + 2) && t.contains("LISTEN")
        });
        ptrace::detach(poller, None).unwrap();
        s.until("live data again", |t| t.lines().next().unwrap().contains("live"));
        s.keys("q");
        assert_eq!(s.ends(), 0);
    });
}

/// Environment variable of the process whose terminal is closed.
const CLOSES: &str = "SOCKSCOPE_TEST_CLOSES";

#[test]
fn closed_terminal_ends_the_dashboard() {
    isolated(|| {
        if std::env::var_os(CLOSES).is_some() {
            // The other end of the terminal stays open until this process exits.
            let (s, _l, _) = shown(80, 24, &[]);
            println!("pid {}", s.pid());
            std::process::exit(0);
        }
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "closed_terminal_ends_the_dashboard", "--nocapture"])
            .env(CLOSES, "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&out.stdout).into_owned();
        let pid: u32 = output.lines().find_map(|l| l.split_once("pid ")?.1.parse().ok()).expect(&output);
        let comm = || std::fs::read_to_string(format!("/proc/{pid}/comm"));
        let is_there = || comm().is_ok_and(|c| c.trim() == "sockscope") && !is_zombie(pid);
        until("its end", || (!is_there()).then_some(())).unwrap();
    });
}

/// The dashboard filtered to a listener that is opened here, with other sockets that are not shown.
fn unread(cols: u16, rows: u16) -> (Unread, TcpListener, String) {
    let (l, at) = listener();
    (Unread::start(cols, rows, &[&format!("port:{}", l.local_addr().unwrap().port())]), l, at)
}

#[test]
fn signal_ends_a_dashboard_whose_terminal_is_not_read_within_a_second() {
    isolated(|| {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let (mut t, _l, _) = unread(200, 60);
            // Another screen each time, until the terminal takes no more.
            let mut views = ["5", "6"].iter().cycle();
            until("a blocked write", || {
                t.keys(views.next().unwrap());
                t.blocks_in_write().then_some(())
            })
            .unwrap();
            let start = Instant::now();
            t.signal(signal);
            assert_eq!(t.ends(), 0, "{signal:?}");
            // Half a second more for a busy machine.
            let took = start.elapsed();
            assert!(took < Duration::from_millis(1500), "{signal:?} took {took:?}");
            assert!(t.has_session(), "{signal:?}: session saved");
        }
    });
}

#[test]
fn closed_terminal_is_exit_0_with_the_session_saved() {
    isolated(|| {
        let (mut t, _l, at) = unread(120, 36);
        t.reads_until(&at);
        t.close();
        assert_eq!(t.ends(), 0);
        assert!(t.has_session());
    });
}

#[test]
fn largest_terminal_size_is_survived() {
    isolated(|| {
        let (mut t, _l, at) = unread(u16::MAX, u16::MAX);
        t.reads_until(&at);
        t.keys("q");
        t.reads_until("\x1b[?1049l");
        assert_eq!(t.ends(), 0);
    });
}

/// True if the process is a zombie that its parent has not reaped.
fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") Z "))
}

/// Environment variable of the process that panics.
const PANICS: &str = "SOCKSCOPE_TEST_PANICS";

#[test]
fn panic_restores_the_terminal() {
    if std::env::var_os(PANICS).is_some() {
        let _guard = sockscope::tui::terminal::Guard::enter().unwrap();
        panic!("on purpose");
    }
    let me = std::env::current_exe().unwrap();
    let args = ["--exact", "panic_restores_the_terminal", "--nocapture"];
    let mut s = Screen::start(&me, 80, 24, &args, &[(PANICS, "1")]);
    assert_ne!(s.ends(), 0);
    s.is_restored();
    let raw = || String::from_utf8_lossy(&s.raw()).into_owned();
    s.until("the message", |_| raw().contains("on purpose"));
    let raw = raw();
    assert!(raw.find("on purpose") > raw.find("\x1b[?1049l"), "the message is on the first screen: {raw}");
}

#[test]
fn every_terminal_size_is_survived() {
    isolated(|| {
        let (mut s, _l, at) = shown(80, 24, &[]);
        for (cols, rows) in [(1, 1), (2, 50), (200, 1), (10, 3), (200, 60), (60, 15)] {
            s.resize(cols, rows);
            s.keys("r");
            if cols >= 60 && rows >= 15 {
                s.shows(&at);
            }
            assert!(s.is_running(), "{cols}x{rows}");
        }
        s.resize(80, 24);
        s.shows(&at);
        s.keys("q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
    });
}

#[test]
fn resized_dashboard_is_drawn_whole() {
    let mut s = Screen::sockscope(80, 24, &["--demo"], &[]);
    s.shows("LISTEN");
    // A selected row, open details and a filter are restored.
    s.keys("/nginx\rjlj\r");
    s.shows("close details");
    let whole = |cols: u16, rows: u16| {
        move |t: &str| {
            let lines: Vec<&str> = t.lines().collect();
            let last = lines.get(usize::from(rows) - 1).is_some_and(|l| l.contains("q quit"));
            let bars = lines.iter().filter(|l| l.contains("q quit")).count();
            let tabs = lines.iter().filter(|l| l.contains("1 Sockets")).count();
            let fits = lines.iter().all(|l| l.chars().count() <= usize::from(cols));
            last && bars == 1 && tabs == 1 && fits && t.contains("/ nginx") && t.contains("close details")
        }
    };
    for (cols, rows) in [(200, 50), (12, 3), (140, 40), (1, 1), (60, 24), (200, 60), (80, 24)] {
        s.resize(cols, rows);
        if cols < 20 {
            if cols >= 10 {
                s.shows("too small");
            }
            continue;
        }
        s.until("all of it, once", whole(cols, rows));
        // Beside the table or below it, depending on the width.
        let text = s.text();
        let border = text.lines().filter(|l| l.contains('│')).count() > usize::from(rows) / 2;
        assert_eq!(border, cols >= 150, "{cols}x{rows}:\n{text}");
    }
    s.keys("q");
    assert_eq!(s.ends(), 0);
    s.is_restored();
}

#[test]
fn terminal_without_a_screen_is_an_error_that_names_list() {
    for term in ["dumb", ""] {
        let mut s = Screen::sockscope(80, 24, &["--demo"], &[("TERM", term)]);
        assert_eq!(s.ends(), 2, "{term:?}");
        let line = "the dashboard cannot be drawn: TERM is dumb or not set; use: sockscope list";
        s.until("the error", |t| t.contains(line));
        assert!(!String::from_utf8_lossy(&s.raw()).contains('\x1b'), "{term:?}");
    }
}

/// SGR sequences that set a colour.
fn color_codes(raw: &str) -> Vec<&str> {
    raw.split("\x1b[")
        .skip(1)
        .filter_map(|code| code.split_once('m').map(|(n, _)| n))
        .filter(|n| n.bytes().all(|b| b.is_ascii_digit() || b == b';'))
        .filter(|n| n.split(';').any(|n| matches!(n.parse(), Ok(30..=38 | 40..=48 | 90..=107))))
        .collect()
}

#[test]
fn sixteen_colours_have_their_own_codes() {
    let mut s = Screen::sockscope(100, 30, &["--demo"], &[("TERM", "linux")]);
    s.shows("LISTEN");
    s.keys("q");
    s.ends();
    let raw = String::from_utf8_lossy(&s.raw()).into_owned();
    assert!(!raw.contains("38;5;") && !raw.contains("48;5;") && raw.contains("\x1b[9"), "{raw}");
    // With an unknown background none is readable.
    let mut s = Screen::sockscope(100, 30, &["--demo"], &[("TERM", "screen")]);
    s.shows("LISTEN");
    s.keys("q");
    s.ends();
    let raw = String::from_utf8_lossy(&s.raw()).into_owned();
    assert_eq!(color_codes(&raw), [""; 0]);
}

#[test]
fn keys_of_other_terminals_and_layouts_act() {
    isolated(|| {
        // Enter, the keypad's Enter as line feed or application key, Ctrl-J.
        for enter in ["\r", "\n", "\x1bOM"] {
            let mut s = Screen::sockscope(80, 24, &["--demo=small"], &[]);
            s.shows("▾ LISTEN");
            s.keys(enter);
            s.shows("▸ LISTEN");
            // Delete of xterm and of st in the filter, after Left.
            for delete in ["\x1b[3~", "\x1b[P"] {
                s.keys("/nginxy");
                s.shows("/ nginxy");
                s.keys("\x1b[D");
                s.keys(delete);
                s.until("one letter less", |t| !t.contains("nginxy") && t.contains("/ nginx"));
                s.keys("\x1b");
                s.until("no filter", |t| t.contains("by state") && t.contains("q quit"));
            }
            // q on a Cyrillic and on a Korean keyboard.
            s.keys(match enter {
                "\r" => "q",
                "\n" => "й",
                _ => "ㅂ",
            });
            assert_eq!(s.ends(), 0, "{enter:?}");
            s.is_restored();
        }
    });
}

#[test]
fn modified_arrows_of_urxvt_act() {
    isolated(|| {
        let mut s = Screen::sockscope(80, 24, &["--demo=small"], &[("TERM", "rxvt-unicode-256color")]);
        s.shows("▾ LISTEN");
        s.keys("3");
        s.shows("COMMAND");
        // Alt-Left: back, Alt-Right: forward.
        s.keys("\x1b\x1b[D");
        s.shows("▾ LISTEN");
        s.keys("\x1b\x1b[C");
        s.shows("COMMAND");
        s.keys("1/nginx foo");
        s.shows("/ nginx foo");
        // Ctrl-Left and Ctrl-Right: by words.
        s.keys("\x1bOdx");
        s.shows("/ nginx xfoo");
        s.keys("\x1bOd\x1bOdy\x1bOc\x1bOcz");
        s.shows("/ ynginx xfooz");
        s.keys("\x1b");
        s.shows("▾ LISTEN");
        // Shift-Right: the next cell, whose column `f` takes into the filter.
        s.keys("jj\x1b[cf");
        s.until("a condition", |t| t.lines().any(|l| l.starts_with(" / ") && l.contains(':')));
        s.keys("q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
    });
}

#[test]
fn unknown_background_is_painted() {
    let s = Screen::sockscope(100, 30, &["--demo"], &[]);
    s.until("a background everywhere", |t| t.contains("LISTEN") && s.has_ground());
    for known in ["15;0", "0;15"] {
        let s = Screen::sockscope(100, 30, &["--demo"], &[("COLORFGBG", known)]);
        s.shows("q quit");
        assert!(!s.has_ground(), "{known}");
    }
}

#[test]
fn reply_after_quitting_is_not_typed_into_the_shell() {
    // The shell reads what is left in the terminal when the program has ended.
    let program = env!("CARGO_BIN_EXE_sockscope");
    let script =
        format!("{program} --demo; stty -icanon -echo min 0 time 5; echo \"left:[$(cat | od -An -c)]\"");
    let mut s = Screen::start(Path::new("/bin/sh"), 80, 24, &["-c", &script], &[]);
    until("the query", || String::from_utf8_lossy(&s.raw()).contains("]11;?").then_some(())).unwrap();
    s.keys("q");
    s.until("the end", |_| String::from_utf8_lossy(&s.raw()).contains("[?1049l"));
    s.keys("\x1b]11;rgb:1a1a/1b1b/2626\x1b\\\x1b[0n");
    s.shows("left:");
    assert!(s.text().contains("left:[]"), "{}", s.text());
}

#[test]
fn slow_line_gets_rest_and_never_more_than_a_frame() {
    let mut line = SlowLine::start(&["--demo"], 960);
    line.runs_until("the first picture", |l| l.text().contains("LISTEN"));
    let first = line.bytes;
    // Ten seconds of the line: it is silent for part of them, though the demo changes every second.
    let (from, start) = (line.bytes, Instant::now());
    line.runs_until("ten seconds", |_| start.elapsed() > Duration::from_secs(10));
    let used = (line.bytes - from) as f64 / (start.elapsed().as_secs_f64() * 960.0);
    assert!(used < 0.75, "{used:.2} of the line is used");
    // A key is answered after at most the frame under way.
    let before = line.bytes;
    line.keys("?");
    line.runs_until("the help", |l| l.text().contains("Filter as you type"));
    let after = line.bytes - before;
    assert!(after < 2 * first + 2000, "{after} bytes until the help, {first} in the first picture");
    println!("9600 baud: first picture {first} bytes, {used:.2} of the line used, help after {after} bytes");
}

#[test]
fn no_color_and_vt100_get_no_colours() {
    isolated(|| {
        for env in [&[("NO_COLOR", "1")][..], &[("TERM", "vt100")]] {
            let (mut s, _l, _) = shown(100, 30, env);
            s.keys("3");
            s.shows("COMMAND");
            s.keys("q");
            s.ends();
            let raw = String::from_utf8_lossy(&s.raw()).into_owned();
            assert_eq!(color_codes(&raw), [""; 0], "{env:?}");
        }
    });
}

#[test]
fn terminals_without_utf8_get_ascii() {
    isolated(|| {
        for env in [&[("LANG", "C")][..], &[("TERM", "linux")]] {
            let (mut s, _l, _) = shown(100, 30, env);
            s.keys("?");
            s.shows("Filter and sort");
            s.keys("\x1b");
            s.until("the table again", |t| !t.contains("Filter and sort"));
            s.keys("3");
            s.shows("COMMAND");
            s.keys("q");
            s.ends();
            let raw = s.raw();
            let odd: Vec<u8> = raw.iter().copied().filter(|b| !b.is_ascii()).collect();
            assert!(odd.is_empty(), "{env:?}: {}", String::from_utf8_lossy(&odd));
        }
    });
}

#[test]
fn invalid_filter_leaves_the_last_one_in_force() {
    isolated(|| {
        let (l, at) = listener();
        let (other, other_at) = listener();
        let mut s = Screen::sockscope(120, 30, &[], &[]);
        s.shows("LISTEN");
        s.keys(&format!("/lport:{}", l.local_addr().unwrap().port()));
        s.until("only one listener", |t| t.contains(&at) && !t.contains(&other_at));
        s.keys(" (");
        let text = s.shows("^");
        assert!(text.contains(&at) && !text.contains(&other_at), "{text}");
        s.keys("\x15prt:1");
        s.shows("did you mean port?");
        s.keys("\x15\r");
        drop(other);
        // Unfiltered: connections are counted either way.
        let _client = std::net::TcpStream::connect(l.local_addr().unwrap()).unwrap();
        s.until("no filter", |t| t.contains("/ nginx") && t.contains("ESTABLISHED"));
    });
}

#[test]
fn interval_keys_change_the_pace() {
    isolated(|| {
        let (mut s, _l, _) = shown(100, 40, &[]);
        s.shows("live 1s");
        s.keys("+");
        s.shows("live 500ms");
        s.keys("--");
        s.shows("live 2s");
        s.keys(" ");
        s.shows("paused");
        s.keys(" ?");
        s.until("the help", |t| t.contains("Filter as you type") && t.contains("Group by"));
    });
}

#[test]
fn mouse_click_on_a_tab_opens_it() {
    isolated(|| {
        let (mut s, _l, _) = shown(100, 30, &[]);
        let text = s.text();
        let at = text.lines().next().unwrap().find("2 Ports").unwrap() + 2;
        s.keys(&format!("\x1b[<0;{};1M\x1b[<0;{};1m", at + 1, at + 1));
        s.shows("EXPOSURE");
    });
}

#[test]
fn output_into_a_pipe_is_the_list() {
    isolated(|| {
        let (l, at) = listener();
        let port = format!("lport:{} pid:{}", l.local_addr().unwrap().port(), std::process::id());
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).arg(&port).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.contains(&at) && text.lines().count() == 2 && !text.contains('\x1b'), "{text}");
        assert!(Path::new("/proc").exists() && text.contains("terminal"), "the owner: {text}");
    });
}

/// Checks that the process is stopped.
fn is_stopped(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") T "))
}

/// Query for the cursor position. This terminal, like some others, does not reply.
const WHERE: &str = "\x1b[6n";

#[test]
fn stopped_dashboard_continues_on_sigcont() {
    isolated(|| {
        let (mut s, _l, at) = shown(80, 24, &[]);
        s.keys("\x0c");
        s.keys("?");
        s.shows("Filter as you type");
        s.keys("\x1b");
        s.shows(&at);
        // Stopped by its key and by a signal: meanwhile the terminal belongs to the shell.
        for from_outside in [false, true] {
            if from_outside {
                s.signal(Signal::TSTP);
            } else {
                s.keys("\x1a");
            }
            until("its stop", || is_stopped(s.pid()).then_some(())).unwrap();
            s.is_restored();
            s.signal(Signal::CONT);
            s.shows(&at);
            s.keys("?");
            s.shows("Filter as you type");
            s.keys("\x1b");
            s.shows(&at);
        }
        s.keys("q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
        assert!(!String::from_utf8_lossy(&s.raw()).contains(WHERE));
    });
}

#[test]
fn single_namespace_is_noted_on_the_screen() {
    isolated(|| {
        let _listens = listener();
        for (args, reported) in [(&["--netns", "here"][..], true), (&[], false)] {
            let mut s = Screen::sockscope(160, 30, args, &[]);
            s.shows("LISTEN");
            assert_eq!(s.shows("q quit").contains("other network namespaces are not read"), reported);
            s.keys("q");
            s.ends();
        }
    });
}

/// Flags of a listing are those of the dashboard too: columns, order and groups.
#[test]
fn flags_of_a_listing_apply_to_the_dashboard() {
    let on = |args: &[&str], shown: &dyn Fn(&str) -> bool| {
        let mut s = Screen::sockscope(140, 30, &[&["--demo"], args].concat(), &[]);
        s.until(&format!("{args:?}"), |t| t.contains("live") && shown(t));
        s.keys("q");
        assert_eq!(s.ends(), 0);
    };
    let titles = |t: &str| {
        let line = t.lines().find(|l| l.contains("LOCAL")).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    on(&["-c", "proto,local,user", "-g", "none"], &|t| titles(t) == ["PROTO", "LOCAL", "USER"]);
    on(&["-c", "+inode"], &|t| {
        titles(t).contains(&"INODE".to_owned()) && titles(t).contains(&"AGE".to_owned())
    });
    on(&["-c=-netns"], &|t| !titles(t).is_empty() && !titles(t).contains(&"NETNS".to_owned()));
    on(&["-g", "remote"], &|t| t.contains("by remote"));
    on(&["-g", "user"], &|t| t.contains("by user"));
    on(&["-g", "none", "-s", "recv_q:desc"], &|t| t.contains("↓RECV-Q") && t.contains("not grouped"));
    on(&["top", "-c", "pid,fds_open", "-s", "pid"], &|t| t.contains("FDS") && !t.contains("FDS LIMIT"));
    on(&["-g", "process,state"], &|t| t.contains("by process,state") && t.contains("nginx 812 ESTABLISHED"));
    let ports = ["--view", "ports", "-c", "local,user,clients", "-s", "clients:desc"];
    on(&ports, &|t| t.lines().any(|l| l.split_whitespace().eq(["ENDPOINT", "USER", "↓CLIENTS"])));
}
