//! The collector as a process of its own, in a terminal: the screen has no privilege, and everything works as with it.

use super::compare::check;
use crate::proc_status::status;
use crate::screen::Screen;
use crate::wait::until;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid as NixPid;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

/// User and group who called `sudo(8)`: without an entry in passwd(5).
pub(crate) const CALLER: u32 = 61_234;

/// The collector process of a screen.
pub(crate) fn collector(screen: u32) -> Result<u32, String> {
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
pub(crate) fn by_sudo(args: &[&str]) -> Screen {
    by_sudo_with(args, &[])
}

/// The same with more variables.
pub(crate) fn by_sudo_with(args: &[&str], env: &[(&str, &str)]) -> Screen {
    let id = CALLER.to_string();
    let args: Vec<&str> = ["--interval", "300ms"].into_iter().chain(args.iter().copied()).collect();
    let env = [&[("SUDO_UID", &*id), ("SUDO_GID", &id)], env].concat();
    Screen::sockscope(160, 40, &args, &env)
}

/// The dashboard as `sudo` starts it, after this command of a shell.
fn by_sudo_after(command: &str) -> Screen {
    let id = CALLER.to_string();
    let script = format!("{command}; exec '{}' --interval 300ms", env!("CARGO_BIN_EXE_sockscope"));
    Screen::start(Path::new("sh"), 160, 40, &["-c", &script], &[("SUDO_UID", &id), ("SUDO_GID", &id)])
}

/// Sends a signal.
fn send(pid: u32, signal: Signal) -> Result<(), String> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no pid")?;
    kill_process(pid, signal).map_err(|e| e.to_string())
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
        check(status(pid, "Groups") == [caller.clone()], || format!("{:?}", status(pid, "Groups")))?;
        // Of each thread: all of it belongs to a thread.
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| e.to_string())?.flatten();
        let threads: Vec<u32> = tasks.filter_map(|t| t.file_name().to_str()?.parse().ok()).collect();
        check(threads.len() > 3, || format!("{threads:?}"))?;
        for thread in threads {
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                let got = status(thread, set);
                check(got.is_empty() || got == ["0000000000000000"], || format!("{thread} {set}: {got:?}"))?;
            }
            let got = [status(thread, "NoNewPrivs"), status(thread, "Uid")];
            let is_bound = got[0].is_empty() || (got[0] == ["1"] && got[1].iter().all(|id| *id == caller));
            check(is_bound, || format!("{thread}: {got:?}"))?;
        }
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
    screen.acts("s close this socket");
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
    screen.acts("t SIGTERM");
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
    send(collector(screen.pid())?, Signal::KILL)?;
    screen.shows("collector process: ended; only what");
    // The help has it, with what to do.
    screen.keys("?");
    screen.keys("/Now: collector");
    screen.shows("Now: collector process: ended; ");
    screen.shows("was killed, failed or did");
    screen.keys("\x1b\x1b");
    screen.shows("sleep");
    screen.acts("t SIGTERM");
    screen.shows("start sockscope again to act");
    check(process.try_wait().is_ok_and(|s| s.is_none()), || "it got the signal".to_owned())?;
    screen.keys("q");
    check(screen.ends() == 0, || "exit status".to_owned())?;
    let _ = process.kill().and_then(|()| process.wait().map(drop));
    drop(listener);
    Ok(())
}

/// A collector that is stopped is shown by the age of the data; keys work, and it is live again when it continues. Quitting does not
/// wait for it.
pub(crate) fn stopped_collector_process_is_shown_by_the_age_of_its_data() -> Result<(), String> {
    let mut screen = by_sudo(&[]);
    screen.shows(" live ");
    let pid = collector(screen.pid())?;
    send(pid, Signal::STOP)?;
    screen.until("the age of the data", |t| t.lines().next().is_some_and(|l| l.contains(" s old")));
    screen.keys("3");
    screen.until("another view", |t| t.contains("FDS"));
    send(pid, Signal::CONT)?;
    screen.until("live data again", |t| t.lines().next().is_some_and(|l| l.contains(" live ")));
    send(pid, Signal::STOP)?;
    screen.keys("q");
    check(screen.ends() == 0, || "exit status".to_owned())?;
    // The user it became may not kill it. It ends when it continues.
    send(pid, Signal::CONT)?;
    until("the end of the collector", || status(pid, "State").first().is_none_or(|s| s == "Z").then_some(()))
}

/// Waits for the next stop of a traced process.
fn stop_of(pid: NixPid) -> Result<WaitStatus, String> {
    waitpid(pid, Some(WaitPidFlag::__WALL)).map_err(|e| format!("wait for {pid}: {e}"))
}

/// Stops the collector of this screen, which waits to be started, before its first instruction.
fn stop_at_start(screen: u32) -> Result<u32, String> {
    let text = |e: nix::Error| e.to_string();
    let raw = i32::try_from(screen).map_err(|e| e.to_string())?;
    let parent = NixPid::from_raw(raw);
    until("the start", || status(screen, "State").first().filter(|s| *s == "T").map(drop))?;
    let options = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(parent, options).map_err(text)?;
    send(screen, Signal::CONT)?;
    let child = loop {
        match stop_of(parent)? {
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) => {
                let child = ptrace::getevent(parent).map_err(text)?;
                // A C long, whose width is that of the target.
                let pid: i32 = child.to_string().parse().map_err(|_| "no pid")?;
                break NixPid::from_raw(pid);
            }
            WaitStatus::Stopped(_, signal) => ptrace::cont(parent, signal).map_err(text)?,
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err("it ended".to_owned()),
            _ => ptrace::cont(parent, None).map_err(text)?,
        }
    };
    stop_of(child)?;
    loop {
        ptrace::cont(child, None).map_err(text)?;
        match stop_of(child)? {
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC) => break,
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err("the collector ended".to_owned()),
            _ => {}
        }
    }
    let pid = u32::try_from(child.as_raw()).map_err(|e| e.to_string())?;
    send(pid, Signal::STOP)?;
    ptrace::detach(child, None).map_err(text)?;
    ptrace::detach(parent, None).map_err(text)?;
    Ok(pid)
}

/// A collector that is stopped before its hello is named on the screen, which reads without privilege.
pub(crate) fn collector_process_that_never_answers_is_left() -> Result<(), String> {
    let mut screen = by_sudo_after("kill -STOP $$");
    let pid = stop_at_start(screen.pid())?;
    check(collector(screen.pid())? == pid, || "another process is the collector".to_owned())?;
    screen.shows("collector process: no answer within 15 s; only what");
    screen.keys("q");
    check(screen.ends() == 0, || "exit status".to_owned())?;
    send(pid, Signal::CONT)?;
    until("the end of the collector", || status(pid, "State").first().is_none_or(|s| s == "Z").then_some(()))
}

/// A file that the shell left open is not open in the collector, be it the terminal.
pub(crate) fn collector_process_has_no_file_of_the_dashboard() -> Result<(), String> {
    let mut screen = by_sudo_after("exec 9<> /dev/tty");
    screen.shows(" live ");
    let links = |pid: u32| -> Vec<String> {
        let all = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let links = all.filter_map(|f| fs::read_link(f.path()).ok());
        links.map(|l| l.display().to_string()).collect()
    };
    check(links(screen.pid()).iter().any(|l| l == "/dev/tty"), || "it is not open here".to_owned())?;
    let there = links(collector(screen.pid())?);
    let is_tty = |l: &String| l.starts_with("/dev/") && l != "/dev/null";
    check(there.len() > 4 && !there.iter().any(is_tty), || format!("{there:?}"))?;
    // It ends with the screen also if that is killed.
    let pid = collector(screen.pid())?;
    screen.signal(Signal::KILL);
    screen.ends();
    until("the end of the collector", || status(pid, "State").first().is_none_or(|s| s == "Z").then_some(()))
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
