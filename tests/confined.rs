//! The sandbox (Landlock): every feature of the dashboard works inside it, and recorded data leads nowhere else.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[allow(dead_code)]
#[path = "isolation/programs.rs"]
mod programs;

use programs::namespaces::isolated;
use programs::screen::Screen;
use programs::wait::until;
use sockscope::sandbox::available;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockscope");

/// Returns false, and reports it, on a kernel without Landlock.
fn has_landlock() -> bool {
    let state = available();
    if !state.starts_with("Landlock") {
        eprintln!("skipped: {state}");
    }
    state.starts_with("Landlock")
}

/// `NoNewPrivs` of each thread by name, which a restriction sets: whether it is in the sandbox.
fn confined(pid: u32) -> BTreeMap<String, bool> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter_map(|t| {
            let name = fs::read_to_string(t.path().join("comm")).ok()?.trim().to_owned();
            let status = fs::read_to_string(t.path().join("status")).ok()?;
            Some((name, status.contains("NoNewPrivs:\t1")))
        })
        .collect()
}

/// The dashboard, started in a directory.
fn start(dir: &Path, args: &str, env: &[(&str, &str)]) -> Screen {
    let script = format!("cd '{}' && exec '{PROGRAM}' {args}", dir.display());
    Screen::start(Path::new("sh"), 160, 48, &["-c", &script], env)
}

/// A process with three of four descriptors open.
fn near_its_limit() -> Child {
    Command::new("prlimit").args(["--nofile=4:4", "sleep", "1000"]).spawn().unwrap()
}

#[test]
fn confined_dashboard_keeps_its_features() {
    isolated(|| {
        if !has_landlock() {
            return;
        }
        let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (config, work) = (home.path().join("config/sockscope"), home.path().join("work"));
        fs::create_dir_all(&config).unwrap();
        fs::create_dir_all(&work).unwrap();
        let alert = outside.path().join("alert");
        let command = format!("[alerts]\ncommand = [\"tee\", \"{}\"]\n", alert.display());
        fs::write(config.join("config.toml"), command).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let config_home = home.path().join("config").display().to_string();
        let state_home = home.path().join("state").display().to_string();
        let env = [("XDG_CONFIG_HOME", &*config_home), ("XDG_STATE_HOME", &state_home)];
        let args = format!("--resolve 'sport:{port} state:established'");
        let mut s = start(&work, &args, &env);
        // The owner of a socket is another process: this one.
        s.shows(&format!(" {}", std::process::id()));
        s.shows("1 of");
        // The name of the remote address, from /etc/hosts.
        s.shows("localhost:");
        // The working directory, which only the details read.
        s.keys("\x1b[F\r");
        s.shows("cwd");
        let cwd = std::env::current_dir().unwrap();
        let name = cwd.file_name().unwrap().to_str().unwrap().to_owned();
        s.until("the working directory", |t| t.lines().any(|l| l.contains("cwd") && l.contains(&name)));
        s.keys("\x1b");
        // An alert command writes where the dashboard may not.
        let mut full = near_its_limit();
        until("the alert", || fs::read_to_string(&alert).ok().filter(|t| t.contains("fds"))).unwrap();
        full.kill().unwrap();
        full.wait().unwrap();
        // Close the socket.
        s.acts("s close this socket");
        s.shows("1 socket closed");
        assert_eq!(near.read(&mut [0]).map_err(|e| e.raw_os_error()), Err(Some(104)), "a RST");
        assert_eq!(far.write(b"x").map_err(|e| e.raw_os_error()), Err(Some(103)), "closed");
        // The help shows how it is confined.
        s.keys("?");
        s.keys("/Sandbox");
        s.shows("Landlock ABI");
        s.signal(rustix::process::Signal::TERM);
        assert_eq!(s.ends(), 0);
        s.is_restored();
        assert!(Path::new(&state_home).join("sockscope/session.json").exists(), "session saved");
    });
}

/// Without capabilities, and so without a collector process: with one, every thread has `no_new_privs`, confined or not.
#[test]
fn threads_that_draw_are_confined_and_those_that_read_are_not() {
    isolated(|| {
        if !has_landlock() {
            return;
        }
        let args = ["--bounding-set=-all", PROGRAM];
        let mut s = Screen::start(Path::new("setpriv"), 120, 30, &args, &[]);
        s.shows(" live ");
        let threads = confined(s.pid());
        for (thread, is_confined) in
            [("sockscope", true), ("input", true), ("arranger", true), ("poller", false), ("outside", false)]
        {
            assert_eq!(threads.get(thread), Some(&is_confined), "{thread}: {threads:?}");
        }
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", s.pid())).unwrap();
        assert_eq!(children, "", "no collector process");
        s.keys("q");
        assert_eq!(s.ends(), 0);
    });
}

#[test]
fn no_sandbox_confines_no_thread() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        for args in ["--no-sandbox", "--no-sandbox --demo"] {
            let mut s = start(dir.path(), args, &[]);
            s.shows("Sockets");
            let threads = confined(s.pid());
            assert!(threads.len() > 3 && threads.values().all(|c| !c), "{threads:?}");
            s.keys("q");
            assert_eq!(s.ends(), 0);
        }
    });
}

/// A captured tree with links that lead out of it, and the word that is only there.
fn tree(dir: &Path) {
    const SECRET: &str = "qzwsecretqzw";
    fs::write(dir.join("outside"), SECRET).unwrap();
    let tree = dir.join("tree");
    fs::create_dir_all(tree.join("1/fd")).unwrap();
    fs::create_dir_all(tree.join("net")).unwrap();
    for file in ["stat", "status"] {
        fs::copy(format!("/proc/self/{file}"), tree.join("1").join(file)).unwrap();
    }
    fs::copy("/proc/net/tcp", tree.join("net/tcp")).unwrap();
    symlink(dir.join("outside"), tree.join("1/cmdline")).unwrap();
    symlink(dir.join("outside"), tree.join("net/udp")).unwrap();
    symlink("/dev/zero", tree.join("net/tcp6")).unwrap();
}

#[test]
fn links_of_a_captured_tree_lead_nowhere_else() {
    isolated(|| {
        if !has_landlock() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        let root = format!("--proc-root={}", dir.path().join("tree").display());
        let run = |args: &str| {
            let mut command = Command::new(PROGRAM);
            command.args(args.split(' ')).arg(&root).env("XDG_CONFIG_HOME", "/nonexistent");
            let out = command.output().unwrap();
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
        };
        for args in
            ["processes -c pid,cmdline", "list", "check", "limits", "ports", "screenshot --keys 3<enter>"]
        {
            let out = run(args);
            assert!(!out.contains("qzwsecret"), "{args}: {out}");
        }
        // The link is one that would be followed.
        fs::remove_file(dir.path().join("tree/net/tcp6")).unwrap();
        assert!(run("processes -c pid,cmdline --no-sandbox").contains("qzwsecret"));
        let mut s = start(dir.path(), &format!("{root} --view processes"), &[]);
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        // The process of the tree, twice: in the table and in the details.
        s.shows(comm.trim());
        s.keys("\x1b[F\r");
        s.until("the details", |t| t.matches(comm.trim()).count() > 1);
        let threads = confined(s.pid());
        let inside = threads.iter().filter(|(name, _)| *name != "outside" && *name != "signals");
        assert!(inside.clone().count() > 3 && inside.clone().all(|(_, c)| *c), "{threads:?}\n{}", s.text());
        assert!(!s.text().contains("qzwsecret"));
        s.keys("q");
    });
}

#[test]
fn version_names_the_sandbox_of_the_running_kernel() {
    let text = |arg: &str| {
        let out = Command::new(PROGRAM).arg(arg).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    for version in ["--version", "version"] {
        assert!(text(version).contains(&format!("\nsandbox: {} (--no-sandbox)\n", available())), "{version}");
    }
    assert_eq!(text("-V").lines().count(), 1);
}
