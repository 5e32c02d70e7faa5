//! The collector as a process of its own, in a terminal: the screen has no privilege, and everything works as with it.

use super::compare::check;
use crate::screen::Screen;
use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

/// User and group who called `sudo(8)`: without an entry in passwd(5).
const CALLER: u32 = 61_234;

/// Values of a line of `/proc/PID/status`.
fn status(pid: u32, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

/// The collector process of a screen.
fn collector(screen: u32) -> Result<u32, String> {
    until("the collector process", || collectors(screen).first().copied())
}

fn collectors(screen: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("agent\0--collector-process")
            && status(*pid, "PPid") == [screen.to_string()]
    };
    pids.filter(is_it).collect()
}

/// The dashboard as `sudo` starts it.
fn by_sudo(args: &[&str]) -> Screen {
    let id = CALLER.to_string();
    let args: Vec<&str> = ["--interval", "300ms"].into_iter().chain(args.iter().copied()).collect();
    Screen::sockscope(160, 40, &args, &[("SUDO_UID", &id), ("SUDO_GID", &id)])
}

/// A process with a soft fd limit of 64, not of the caller.
fn limited() -> Result<Child, String> {
    Command::new("prlimit").args(["--nofile=64:1024", "sleep", "1000"]).spawn().map_err(|e| e.to_string())
}

/// The screen is the caller of sudo without capabilities, its collector keeps them, and none is left at the end.
pub(crate) fn screen_has_no_privilege_and_shows_owners_of_others() -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:7911").map_err(|e| e.to_string())?;
    for read_only in [false, true] {
        let more = if read_only { &["--read-only", "sport:7911"][..] } else { &["sport:7911"] };
        let mut screen = by_sudo(more);
        screen.shows(&format!(" {} ", std::process::id()));
        let (pid, collector) = (screen.pid(), collector(screen.pid())?);
        let caller = CALLER.to_string();
        for ids in ["Uid", "Gid"] {
            let got = status(pid, ids);
            check(got.len() == 4 && got.iter().all(|id| *id == caller), || format!("{ids}: {got:?}"))?;
        }
        check(status(pid, "Groups") == [caller], || format!("{:?}", status(pid, "Groups")))?;
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| e.to_string())?.count();
        check(threads > 3, || format!("{threads} threads"))?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            check(status(pid, set) == ["0000000000000000"], || format!("{set}: {:?}", status(pid, set)))?;
        }
        check(status(pid, "NoNewPrivs") == ["1"], || "the screen may gain privileges".to_owned())?;
        check(status(collector, "Uid") == ["0"; 4], || "the collector is not root".to_owned())?;
        let environment = fs::read(format!("/proc/{collector}/environ")).map_err(|e| e.to_string())?;
        check(environment.is_empty(), || format!("{} bytes of environment", environment.len()))?;
        let terminal = fs::read_dir(format!("/proc/{collector}/fd")).map_err(|e| e.to_string())?.flatten();
        let links: Vec<_> = terminal.filter_map(|f| fs::read_link(f.path()).ok()).collect();
        check(links.iter().all(|l| !l.starts_with("/dev/pts")), || format!("{links:?}"))?;
        let args = fs::read(format!("/proc/{collector}/cmdline")).map_err(|e| e.to_string())?;
        check(args.ends_with(b"--read-only\0") == read_only, || format!("{args:?}"))?;
        screen.keys("?");
        screen.keys("/Sandbox");
        screen.shows(&format!("user {CALLER}, no capabilities"));
        screen.keys("\x1b\x1b");
        screen.signal(Signal::TERM);
        check(screen.ends() == 0, || "exit status".to_owned())?;
        until("the end of the collector", || {
            let state = status(collector, "State");
            state.first().is_none_or(|s| s == "Z").then_some(())
        })?;
    }
    drop(listener);
    Ok(())
}

/// A connection of another user is closed and a process of another user gets another limit, by the collector.
pub(crate) fn acts_are_carried_out_by_the_collector_process() -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:7912").map_err(|e| e.to_string())?;
    let near = TcpStream::connect("127.0.0.1:7912").map_err(|e| e.to_string())?;
    let (far, _) = listener.accept().map_err(|e| e.to_string())?;
    let mut screen = by_sudo(&["sport:7912 state:established"]);
    screen.shows("1 of");
    screen.keys("\x1b[FK");
    screen.until("list of actions", |t| t.contains("s close this socket"));
    screen.keys("s");
    screen.until("question", |t| t.contains('?'));
    screen.keys("y");
    screen.shows("1 socket closed");
    screen.keys("q");
    screen.ends();
    drop((near, far));

    let mut process = limited()?;
    let mut screen = by_sudo(&["top", &format!("pid:{}", process.id())]);
    screen.shows("sleep");
    screen.keys("\x1b[FL");
    screen.until("question", |t| t.contains('?') && t.contains("64"));
    screen.keys("y");
    screen.shows("fd limit is now");
    screen.keys("\x1b[FK");
    screen.until("list of actions", |t| t.contains("t SIGTERM"));
    screen.keys("t");
    screen.until("question", |t| t.contains('?') && t.contains("SIGTERM"));
    screen.keys("y");
    screen.shows("SIGTERM sent to");
    check(!process.wait().map_err(|e| e.to_string())?.success(), || "it was not signalled".to_owned())?;
    screen.keys("q");
    screen.ends();
    Ok(())
}

/// A collector that is killed is named, and the screen continues without privilege: it takes no act.
pub(crate) fn killed_collector_process_is_shown() -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:7913").map_err(|e| e.to_string())?;
    let mut process = limited()?;
    let mut screen = by_sudo(&["top", &format!("pid:{}", process.id())]);
    screen.shows("sleep");
    let pid = i32::try_from(collector(screen.pid())?).ok().and_then(Pid::from_raw);
    kill_process(pid.ok_or("no pid")?, Signal::KILL).map_err(|e| e.to_string())?;
    screen.shows("collector process ended");
    screen.shows("sleep");
    screen.keys("\x1b[FK");
    screen.until("list of actions", |t| t.contains("t SIGTERM"));
    screen.keys("t");
    screen.until("question", |t| t.contains('?') && t.contains("SIGTERM"));
    screen.keys("y");
    screen.shows("start sockscope again to act");
    check(process.try_wait().is_ok_and(|s| s.is_none()), || "it got the signal".to_owned())?;
    screen.keys("q");
    check(screen.ends() == 0, || "exit status".to_owned())?;
    let _ = process.kill().and_then(|()| process.wait().map(drop));
    drop(listener);
    Ok(())
}

/// Recorded and demo data, and a dashboard with `--no-sandbox`, have no collector process.
pub(crate) fn recorded_data_has_no_collector_process() -> Result<(), String> {
    for args in [&["--demo=small"][..], &["--no-sandbox"]] {
        let mut screen = Screen::sockscope(120, 30, args, &[]);
        // It would have been started before the terminal was taken.
        screen.shows("Sockets");
        check(collectors(screen.pid()).is_empty(), || format!("{args:?}"))?;
        screen.keys("q");
        screen.ends();
    }
    Ok(())
}
