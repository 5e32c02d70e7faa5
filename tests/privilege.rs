//! An ordinary user with a copy of the program that has file capabilities, as the README describes it: it sees the owners of
//! every socket, and gives that user no file and no connection of others.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "isolation/proc_status.rs"]
mod proc_status;
#[path = "pty/screen.rs"]
#[allow(dead_code)]
mod screen;

use clap::CommandFactory;
use proc_status::status;
use screen::Screen;
use sockscope::cli::Args;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The capabilities that the README gives to the file.
const CAPABILITIES: &str = "cap_sys_ptrace,cap_dac_read_search,cap_net_admin+ep";
/// A user without any privilege or file.
const USER: u32 = 61_234;
/// A word that is only in the file of root, in each form in which one of the readers could accept it.
const SECRET: &str = "qzwsecretqzw";

/// A folder of that user with the capped copy, and a file that only root may read.
struct World {
    dir: tempfile::TempDir,
    program: PathBuf,
    secret: PathBuf,
}

impl World {
    /// `None` where file capabilities cannot be given: without root, or on a file system without them.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("sockscope");
        fs::copy(env!("CARGO_BIN_EXE_sockscope"), &program).unwrap();
        let given = Command::new("setcap").args([CAPABILITIES, program.to_str().unwrap()]).output();
        if !rustix::process::geteuid().is_root() || !given.is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: it needs root and setcap (libcap2-bin)");
            return None;
        }
        let secret = dir.path().join("secret");
        // An unknown key of a configuration file, a theme and a scenario, and the first line of anything else.
        fs::write(&secret, format!("{SECRET} = 1\n")).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let world = Self { dir, program, secret };
        let home = world.home();
        for folder in [
            home.join("sockscope"),
            world.config().join("sockscope/themes"),
            world.tree().join("1/fd"),
            world.tree().join("net"),
        ] {
            fs::create_dir_all(folder).unwrap();
        }
        for file in ["history", "session.json"] {
            symlink(&world.secret, home.join("sockscope").join(file)).unwrap();
        }
        for file in ["config.toml", "themes/mine.toml"] {
            symlink(&world.secret, world.config().join("sockscope").join(file)).unwrap();
        }
        for file in ["cmdline", "comm", "stat", "status", "cgroup", "limits"] {
            symlink(&world.secret, world.tree().join("1").join(file)).unwrap();
        }
        for file in ["tcp", "tcp6", "udp", "udp6", "unix", "dev"] {
            symlink(&world.secret, world.tree().join("net").join(file)).unwrap();
        }
        symlink(&world.secret, world.link()).unwrap();
        let owned = Command::new("chown")
            .args(["-hR", &USER.to_string()])
            .args([home, world.config(), world.tree()])
            .status();
        assert!(owned.unwrap().success());
        Some(world)
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn link(&self) -> PathBuf {
        self.dir.path().join("link.toml")
    }

    /// Output of the program run by that user, or by root, within a few seconds.
    fn run(&self, program: &Path, user: Option<u32>, args: &[String]) -> String {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("HOME", self.home()).env("LANG", "C.UTF-8").current_dir(self.home());
        command.env("XDG_STATE_HOME", self.home());
        if args.iter().all(|a| a != "--config=/dev/null" && a != "config" && !a.contains("mine")) {
            // A broken configuration file would end the others at once.
            command.env("XDG_CONFIG_HOME", self.dir.path());
        } else {
            command.env("XDG_CONFIG_HOME", self.config());
        }
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().unwrap();
        // Some wait for a change that does not come.
        let waits = args.iter().any(|a| ["--wait-for", "--watch"].iter().any(|w| a.starts_with(w)));
        let deadline = Instant::now() + Duration::from_secs(if waits { 1 } else { 20 });
        let mut out = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = out.read_to_end(&mut text);
            text
        });
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let mut errors = Vec::new();
        let _ = child.stderr.take().unwrap().read_to_end(&mut errors);
        child.wait().unwrap();
        let out = reader.join().unwrap();
        format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&errors))
    }
}

/// Every option that takes a value, once with each command that has it of its own; from the definition of the command line, so
/// that a new option is among them. `PATH` stands for the value.
fn command_lines() -> Vec<Vec<String>> {
    let root = Args::command();
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    let all = std::iter::once((&root, None)).chain(root.get_subcommands().map(|c| (c, Some(c.get_name()))));
    for (command, name) in all {
        for arg in command.get_arguments().filter(|a| a.get_action().takes_values()) {
            let of = if arg.is_global_set() { None } else { name };
            if !seen.insert((of, arg.get_id().to_string())) {
                continue;
            }
            let command = name.unwrap_or("list").to_owned();
            match arg.get_long() {
                Some(long) => out.push(vec![command, format!("--{long}=PATH")]),
                None => out.push(vec![command, "PATH".to_owned()]),
            }
        }
    }
    out
}

#[test]
fn capped_program_reads_no_file_that_its_user_may_not() {
    let Some(world) = World::new() else { return };
    let lines = command_lines();
    let named = |option: &str| lines.iter().any(|l| l.iter().any(|a| a.starts_with(option)));
    for option in ["--config=", "--demo=", "--proc-root=", "--theme="] {
        assert!(named(option), "{option} is not among the options");
    }
    let mut cases = Vec::new();
    for path in [world.link(), world.tree()] {
        let path = path.to_str().unwrap();
        cases.extend(lines.iter().map(|l| l.iter().map(|a| a.replace("PATH", path)).collect::<Vec<_>>()));
    }
    // Commands that read a file which they name themselves.
    for line in [
        "config",
        "config --check",
        "screenshot --resume --keys=/<up>",
        "screenshot --demo --keys=/<up>",
        "list --config=/dev/null --theme=mine",
        "processes -c pid,comm,cmdline",
    ] {
        cases.push(line.split(' ').map(str::to_owned).collect());
        let tree = format!("{line} --proc-root={}", world.tree().display());
        cases.push(tree.split(' ').map(str::to_owned).collect());
    }
    // Root gets the word with some of them, so that the test would see it.
    let of_files = ["--config=", "--demo=", "--proc-root=", "--theme=", "--resume", "config"];
    let reads = |args: &&Vec<String>| args.iter().any(|a| of_files.iter().any(|o| a.starts_with(o)));
    let by_root = cases.iter().filter(reads);
    let by_root = by_root.filter(|args| world.run(&world.program, None, args).contains(SECRET)).count();
    assert!(by_root >= 5, "only {by_root} command lines show the word to root");
    // Some run until they are ended: several at a time.
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(args) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let out = world.run(&world.program, Some(USER), args);
                    assert!(!out.contains(SECRET), "{args:?} shows a file of root:\n{out}");
                }
            });
        }
    });
    assert!(next.into_inner() >= cases.len());
}

#[test]
fn capped_program_shows_the_owner_of_a_socket_of_root() {
    let Some(world) = World::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let args: Vec<String> =
        ["list", &format!("port:{port}"), "--format", "json", "--config=/dev/null"].map(str::to_owned).into();
    let pid = format!("\"pid\":{}", std::process::id());
    let out = |program: &Path| world.run(program, Some(USER), &args).replace(' ', "");
    let without = world.dir.path().join("without");
    fs::copy(&world.program, &without).unwrap();
    assert!(out(&world.program).contains(&pid), "{}", out(&world.program));
    assert!(!out(&without).contains(&pid), "{}", out(&without));
}

#[test]
fn capped_program_closes_no_connection_of_another_user() {
    let Some(world) = World::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let user = USER.to_string();
    let filter = format!("sport:{port} state:established");
    let args = [
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
        "--",
        world.program.to_str().unwrap(),
        &filter,
    ];
    let mut screen = Screen::start(Path::new("setpriv"), 120, 36, &args, &[]);
    screen.shows("1 of");
    screen.acts("s close this socket");
    screen.shows("requires root, or the user of the socket");
    near.write_all(b"x").unwrap();
    far.read_exact(&mut [0]).unwrap();
    screen.keys("q");
    screen.ends();
}

#[test]
fn capped_dashboard_has_no_capability_and_its_collector_those_of_the_file() {
    const NONE: &str = "0000000000000000";
    // CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_PTRACE.
    const FILE: &str = "0000000000081004";
    let Some(world) = World::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let filter = format!("sport:{}", listener.local_addr().unwrap().port());
    let user = USER.to_string();
    let program = world.program.to_str().unwrap();
    let args = ["--reuid", &user, "--regid", &user, "--clear-groups", "--", program, &filter];
    let mut screen = Screen::start(Path::new("setpriv"), 140, 36, &args, &[]);
    // A socket of root.
    screen.shows(&format!(" {} ", std::process::id()));
    let pid = screen.pid();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(pid, set), [NONE], "{set} of the screen");
    }
    assert_eq!(status(pid, "NoNewPrivs"), ["1"]);
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let collector: u32 = children.trim().parse().unwrap();
    assert_eq!(status(collector, "CapPrm"), [FILE]);
    // Raised around the read that needs them, by its thread alone.
    for set in ["CapEff", "CapInh", "CapAmb"] {
        assert_eq!(status(collector, set), [NONE], "{set} of the collector");
    }
    for process in [pid, collector] {
        let ids = status(process, "Uid");
        assert_eq!(ids, [&*user; 4], "{process}");
        // Another process of the user can neither read its memory nor take its descriptors.
        let by_user = ["--reuid", &user, "--regid", &user, "--clear-groups", "--", "ls"];
        let out = Command::new("setpriv").args(by_user).arg(format!("/proc/{process}/fd")).output().unwrap();
        assert!(!out.status.success(), "{process}: {out:?}");
    }
    screen.keys("q");
    assert_eq!(screen.ends(), 0);
}

#[test]
fn capped_program_kills_nothing_of_another_user() {
    let Some(world) = World::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // A process of root that holds the other end.
    let far: OwnedFd = listener.accept().unwrap().0.into();
    let mut holder = Command::new("sleep").arg("1000").stdin(far).spawn().unwrap();
    for action in [&["--close"][..], &["--signal", "TERM"]] {
        let filter = format!("sport:{port} state:established");
        let mut args = vec!["kill".to_owned(), "--config=/dev/null".to_owned(), "--yes".to_owned(), filter];
        args.extend(action.iter().map(|a| (*a).to_owned()));
        let out = world.run(&world.program, Some(USER), &args);
        assert!(out.contains("not permitted"), "{action:?}: {out}");
    }
    assert!(holder.try_wait().unwrap().is_none(), "still running");
    near.set_nonblocking(true).unwrap();
    assert_eq!(near.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "still connected");
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn setuid_program_does_not_start() {
    let Some(world) = World::new() else { return };
    let program = world.dir.path().join("setuid");
    fs::copy(&world.program, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let out = world.run(&program, Some(USER), &["list".to_owned()]);
    assert!(out.starts_with("sockscope: sockscope must not be setuid or setgid"), "{out}");
    assert_eq!(out.lines().count(), 1, "{out}");
}

/// Everything below a folder: path, owner, and the text of files.
fn contents(dir: &Path) -> Vec<(PathBuf, u32, String)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let meta = fs::symlink_metadata(entry.path()).unwrap();
        let text = if meta.is_file() { fs::read_to_string(entry.path()).unwrap() } else { String::new() };
        out.push((entry.path(), meta.uid(), text));
        if meta.is_dir() {
            out.extend(contents(&entry.path()));
        }
    }
    out.sort();
    out
}

#[test]
fn root_writes_nothing_in_the_home_of_another_user() {
    let Some(world) = World::new() else { return };
    let target = world.dir.path().join("of-root");
    fs::create_dir_all(&target).unwrap();
    for file in ["history", "session.json"] {
        fs::write(target.join(file), "").unwrap();
    }
    let setups =
        ["an empty home", "folders of that user", "links to files of root", "a link to a folder of root"];
    for setup in setups {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let folders = [home.join(".config/sockscope"), home.join(".local/state/sockscope")];
        if setup != "an empty home" {
            for folder in &folders {
                fs::create_dir_all(folder).unwrap();
            }
        }
        if setup == "links to files of root" {
            for file in ["history", "session.json"] {
                symlink(target.join(file), folders[1].join(file)).unwrap();
            }
        }
        if setup == "a link to a folder of root" {
            for folder in &folders {
                fs::remove_dir(folder).unwrap();
                symlink(&target, folder).unwrap();
            }
        }
        assert!(Command::new("chown").args(["-hR", &USER.to_string()]).arg(home).status().unwrap().success());
        let before = contents(home);
        let run = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sockscope"));
            command.args(args).env("HOME", home).env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
            command.output().unwrap()
        };
        let init = run(&["config", "--init"]);
        let errors = String::from_utf8_lossy(&init.stderr).into_owned();
        assert!(init.status.code() == Some(2) && errors.contains("belongs to another user"), "{errors}");
        // A filter for the history, a saved view, and a session.
        let home_text = home.to_str().unwrap();
        let env = [("HOME", home_text), ("XDG_CONFIG_HOME", ""), ("XDG_STATE_HOME", "")];
        let mut screen = Screen::sockscope(120, 36, &["--demo"], &env);
        screen.shows("LISTEN");
        screen.keys("/tcp\r");
        screen.shows("tcp");
        screen.keys("q");
        assert_eq!(screen.ends(), 0);
        assert_eq!(contents(home), before, "{setup}");
    }
    // What another user links does not lead root to a file of root's either.
    let texts: Vec<_> = contents(&target).into_iter().map(|(path, _, text)| (path, text)).collect();
    let empty = ["history", "session.json"].map(|file| (target.join(file), String::new()));
    assert_eq!(texts, empty);
}
