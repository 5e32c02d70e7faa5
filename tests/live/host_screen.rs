//! The dashboard of several hosts, in a terminal: hosts that stall, end, return and misbehave.

use super::compare::check;
use super::hosts::{Hosts, server};
use super::netns::sh;
use crate::screen::Screen;
use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Dashboard of these hosts.
fn dashboard(hosts: &Hosts, names: &str) -> Screen {
    let config = hosts.dir.path().join("config.toml").display().to_string();
    Screen::sockscope(140, 40, &["--config", &config, "--host", names, "--interval", "300ms"], &[])
}

/// Pid of the agent in a namespace.
fn agent(host: &str) -> Result<Pid, String> {
    until("the agent", || {
        let inside = fs::metadata(format!("/run/netns/{host}")).ok()?.ino();
        let is_agent = |pid: &i32| {
            let of = |what: &str| format!("/proc/{pid}/{what}");
            let line = fs::read(of("cmdline")).unwrap_or_default();
            let netns = fs::metadata(of("ns/net")).map_or(0, |m| m.ino());
            String::from_utf8_lossy(&line).contains("agent\0--stdio") && netns == inside
        };
        let all = fs::read_dir("/proc").ok()?.flatten();
        all.filter_map(|e| e.file_name().to_str()?.parse().ok()).find(is_agent).and_then(Pid::from_raw)
    })
}

/// Lines of the table with this text.
fn lines<'a>(screen: &'a str, text: &str) -> Vec<&'a str> {
    screen.lines().filter(|l| l.contains(text)).collect()
}

/// One agent that is stopped and one that is killed keep their rows, marked, with the reason; the others and the keys go on, and
/// both return.
pub(crate) fn stalled_and_killed_hosts_disturb_no_other() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let mut screen = dashboard(&hosts, "h1,h2,h3");
    screen.shows("3 live");
    screen.until("rows of three hosts", |s| (1..=3).all(|n| s.contains(&format!("127.0.0.1:800{n}"))));
    let stopped = agent("h2")?;
    kill_process(stopped, Signal::STOP).map_err(|e| e.to_string())?;
    let shown = screen.until("a late host", |s| s.contains("1 slow") && s.contains("h2: slow"));
    let row = lines(&shown, "127.0.0.1:8002");
    check(row.iter().any(|l| l.contains('◐')), || shown.clone())?;
    check(lines(&shown, "127.0.0.1:8001").iter().all(|l| !l.contains('◐')), || shown.clone())?;

    // Connecting again fails until the file is gone.
    let down = hosts.dir.path().join("h3.down");
    fs::write(&down, "").map_err(|e| e.to_string())?;
    kill_process(agent("h3")?, Signal::KILL).map_err(|e| e.to_string())?;
    let shown =
        screen.until("the reason of the other", |s| s.contains("h3: gone") && s.contains("No route to host"));
    check(lines(&shown, "127.0.0.1:8003").iter().any(|l| l.contains('◐')), || shown.clone())?;
    check(shown.contains("1 live") && shown.contains("1 slow") && shown.contains("1 gone"), || {
        shown.clone()
    })?;

    // What is opened on the host that answers is shown meanwhile, and keys work.
    let _more = server(&["ip", "netns", "exec", "h1"], 8005)?;
    screen.shows("127.0.0.1:8005");
    screen.keys("/hostname:h2\r");
    screen.until("rows of one host", |s| s.contains("127.0.0.1:8002") && !s.contains("127.0.0.1:8001"));
    screen.keys("K");
    screen.shows("h2: actions are disabled on other hosts");
    screen.keys("\x1b\x1b");
    screen.until("no filter", |s| s.contains("127.0.0.1:8001"));

    kill_process(stopped, Signal::CONT).map_err(|e| e.to_string())?;
    screen.until("the host again", |s| s.contains("2 live") && !s.contains("slow"));
    fs::remove_file(&down).map_err(|e| e.to_string())?;
    let shown = screen.shows("3 live");
    check(!shown.contains('◐'), || shown.clone())?;
    screen.keys("q");
    screen.ends();
    Ok(())
}

/// Hosts that end, that have no agent and that send endless garbage are named; the rows of the others are shown.
pub(crate) fn hostile_hosts_are_named_and_bounded() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let mut screen = dashboard(&hosts, "h1,gone,none,dies,endless,h2");
    screen.until("rows of two hosts", |s| s.contains("127.0.0.1:8001") && s.contains("127.0.0.1:8002"));
    screen.until("four hosts that fail", |s| {
        s.contains("2 live") && s.contains("1 refused") && s.contains("3 gone")
    });
    screen.keys("3");
    screen.shows("perl");
    screen.keys("q");
    screen.ends();
    Ok(())
}

/// Selects the listener of a host, and opens its details.
fn open_details(screen: &mut Screen, host: &str) {
    screen.keys(&format!("/\x15hostname:{host} state:listen\r"));
    screen.until("rows of one host", |s| s.contains(&format!("hostname:{host} state:listen")));
    screen.keys("\x1b[B\r");
    screen.until("details", |s| s.lines().any(|l| l.contains("cwd ")));
}

/// Closes the page of an answer, and the details.
fn close_all(screen: &mut Screen) {
    screen.keys("q");
    screen.until("no page", |s| !s.contains("why on"));
    screen.keys("\r");
    screen.until("no details", |s| !s.contains("close details"));
}

/// Details and answers are those of the host of the row. A host that is stopped, killed or older is named in their place, and disturbs no
/// other.
pub(crate) fn details_and_why_are_read_on_the_host_of_the_row() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let there = std::env::current_dir().map_err(|e| e.to_string())?;
    let cwd = there.file_name().and_then(|n| n.to_str()).ok_or("no directory")?.to_owned();
    let is_read = |s: &str| s.lines().any(|l| l.contains("cwd ") && l.contains(&cwd));
    let mut screen = dashboard(&hosts, "h1,h2,h3,old");
    screen.until("rows of three hosts", |s| (1..=3).all(|n| s.contains(&format!("127.0.0.1:800{n}"))));
    for (host, port) in [("h1", 8001), ("h2", 8002)] {
        open_details(&mut screen, host);
        screen.until("details of the host", is_read);
        screen.keys("W");
        screen.until("the answer of the host", |s| {
            s.contains(&format!("why on {host}"))
                && s.contains("read at")
                && s.contains(&format!("perl listens on 127.0.0.1:{port} only"))
        });
        close_all(&mut screen);
    }

    // So are those to an event, whose process has exited, and to an alert: the server closes nothing.
    let connect = || {
        let connect = "use IO::Socket::INET; IO::Socket::INET->new('127.0.0.1:8001') or die";
        let _ = sh(&format!("ip netns exec h1 perl -e \"{connect}\""));
    };
    screen.keys("8/\x15hostname:h1 event:closed\r");
    screen.until("an event of the host", |s| {
        connect();
        s.contains("hostname:h1 event:closed")
            && s.lines().any(|l| l.contains("closed ") && l.contains("127.0.0.1:8001"))
    });
    screen.keys("\x1b[B\x1b[BW");
    screen.until("the answer to an event", |s| s.contains("why on h1") && s.contains("read at"));
    screen.keys("q");
    screen.until("an alert", |s| {
        connect();
        !s.contains("why on") && s.contains("▲ 1  h1 perl")
    });
    screen.keys("!");
    screen.shows("close-wait");
    screen.keys("W");
    screen.until("the answer to an alert", |s| s.contains("why on h1") && s.contains("read at"));
    screen.keys("q");
    screen.until("no page", |s| !s.contains("why on"));
    screen.keys("1");
    screen.shows("RECV-Q");

    // One that is stopped is waited for, while rows of the others are new and keys work.
    let stopped = agent("h2")?;
    kill_process(stopped, Signal::STOP).map_err(|e| e.to_string())?;
    open_details(&mut screen, "h2");
    screen.shows("h2 has not answered for");
    screen.keys("W");
    screen.until("the page", |s| s.contains("why on h2") && s.contains("h2 has not answered for"));
    close_all(&mut screen);
    let _more = server(&["ip", "netns", "exec", "h1"], 8005)?;
    open_details(&mut screen, "h1");
    screen.until("a new row and details of another host", |s| s.contains("127.0.0.1:8005") && is_read(s));
    screen.keys("\r");
    screen.until("no details", |s| !s.contains("close details"));
    open_details(&mut screen, "h2");
    kill_process(stopped, Signal::CONT).map_err(|e| e.to_string())?;
    screen.until("details after all", is_read);

    // One that ends has its reason in the place of the answer; details that are opened then are read once it is back.
    let down = hosts.dir.path().join("h2.down");
    fs::write(&down, "").map_err(|e| e.to_string())?;
    screen.keys("\r");
    kill_process(agent("h2")?, Signal::KILL).map_err(|e| e.to_string())?;
    screen.shows("h2: gone");
    screen.keys("\r");
    screen.until("the reason", |s| s.contains("not read: h2 is gone") && !is_read(s));
    screen.keys("W");
    screen.until("the reason of the answer", |s| s.contains("why on h2") && s.contains("not read on h2: "));
    screen.keys("q");
    fs::remove_file(&down).map_err(|e| e.to_string())?;
    screen.until("details again", is_read);
    screen.keys("\r");
    screen.until("no details", |s| !s.contains("close details"));

    // The agent of the first protocol answers no questions.
    screen.keys("/\x15hostname:old lport:8080 state:listen\r");
    screen.until("rows of the older one", |s| s.contains("hostname:old lport:8080"));
    screen.keys("\x1b[B\r");
    screen.until("details", |s| s.contains("not read on old: sockscope 0.1.0 there"));
    screen.keys("W");
    screen.until("an older agent", |s| {
        s.contains("why on old") && s.contains("sockscope 0.1.0 there does not answer")
    });
    screen.keys("q");
    screen.until("no page", |s| !s.contains("why on"));
    screen.keys("q");
    screen.ends();
    Ok(())
}
