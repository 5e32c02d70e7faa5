//! Completion of hostile names in real, interactive shells: what is inserted is the name, and nothing in it runs.

// The type of a case.
#![allow(clippy::unnecessary_wraps)]

use crate::screen::Screen;
use crate::wait::until;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sockscope");
/// Names of processes, at most 15 bytes each. The third letter makes each one the only candidate.
const PROCESSES: &[&str] = &[
    "qza$(id>pwn)",
    "qzb`id>pwn`",
    "qzc;id>pwn",
    "qzd'$(id>pwn)'",
    "qze\"$(id>pwn)\"",
    "qzf|id>pwn",
    "qzg&id>pwn&",
    "qzh *",
    "qzi\\$(id>pwn)",
    "qzj{a,b}~",
    "qzk!!",
    "qzl>pwn",
    "qzm$HOME",
    "qzn(id>pwn)",
    "qzo\nid>pwn",
];
const UNIT: &str = "qzu$(id>pwn).service";
const CONTAINER: &str = "qzt$(id>pwn)";
const CONTAINER_ID: &str = "446601bac6874bb39e77dcc826df656476489b8c40c3cf416f7a272ca9989c35";

/// Names of network namespaces.
const NAMESPACES: &[&str] =
    &["qza$(id>pwn)", "qzb`id>pwn`", "qzc;id>pwn", "qzd'$(id>pwn)'", "qze\"x|id>pwn", "qzh *", "qzj{a}~!"];

/// Processes, a unit, a container and network namespaces with such names.
struct World {
    dir: tempfile::TempDir,
    children: Vec<Child>,
    cgroups: Vec<PathBuf>,
}

impl Drop for World {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for cgroup in self.cgroups.iter().rev() {
            let _ = until("an empty cgroup", || fs::remove_dir(cgroup).ok());
        }
    }
}

fn run(program: &str, args: &[&OsStr]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["bin", "work", "programs", "cgroup"] {
            fs::create_dir(path(folder)).unwrap();
        }
        // Completes like the program, and writes down with what it is called.
        let wrapper = path("bin/sockscope");
        let called = path("called");
        let script = format!(
            "#!/bin/sh\n[ -n \"$COMPLETE\" ] || [ \"$1\" = completions ] && exec {PROGRAM} \"$@\"\n\
             printf '%s\\n' \"$@\" >{0}.new; mv {0}.new {0}\n",
            called.display()
        );
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let mut children: Vec<Child> = PROCESSES
            .iter()
            .map(|name| {
                let program = path("programs").join(name);
                fs::copy("/bin/sleep", &program).unwrap();
                Command::new(program).arg("1000").spawn().unwrap()
            })
            .collect();
        run(
            "mount",
            &["-t", "cgroup2", "none"]
                .map(OsStr::new)
                .into_iter()
                .chain([path("cgroup").as_os_str()])
                .collect::<Vec<_>>(),
        );
        let top =
            path("cgroup").join(format!("sockscope{}.slice", dir.path().file_name().unwrap().display()));
        let cgroups = vec![top.clone(), top.join(UNIT), top.join(format!("docker-{CONTAINER_ID}.scope"))];
        for cgroup in &cgroups {
            fs::create_dir(cgroup).unwrap();
        }
        for cgroup in &cgroups[1..] {
            let child = Command::new("sleep").arg("1000").spawn().unwrap();
            fs::write(cgroup.join("cgroup.procs"), child.id().to_string()).unwrap();
            children.push(child);
        }
        fs::create_dir_all("/run/netns").unwrap();
        for name in NAMESPACES {
            // Completion reads the names, not the namespaces.
            fs::write(Path::new("/run/netns").join(name), "").unwrap();
        }
        engine();
        Self { dir, children, cgroups }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Docker with a container of that name.
fn engine() {
    let socket = UnixListener::bind("/run/docker.sock").unwrap();
    let body =
        serde_json::json!([{"Id": CONTAINER_ID, "Names": [format!("/{CONTAINER}")], "State": "running"}]);
    std::thread::spawn(move || {
        for mut client in socket.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = client.read(&mut request);
            let _ = write!(client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
        }
    });
}

/// Field of [`typed`] for an option: the whole word must be this name.
const OPTION: &str = "--netns=";

/// Text to type before Tab for each name, the field that must have it, and the name.
fn typed() -> Vec<(String, &'static str, &'static str)> {
    let prefix = |name: &str| name[..3].to_owned();
    let mut out: Vec<_> =
        PROCESSES.iter().map(|name| (format!("processes process={}", prefix(name)), "comm", *name)).collect();
    for (command, field, name) in [("processes", "unit", UNIT), ("processes", "container", CONTAINER)] {
        out.push((format!("{command} {field}={}", prefix(name)), field, name));
    }
    for name in NAMESPACES {
        out.push((format!("list {OPTION}{}", prefix(name)), OPTION, *name));
    }
    out
}

fn completes(shell: &str, args: &[&str], setup: &str) {
    let world = World::new();
    let path = format!("{}:{}", world.path("bin").display(), std::env::var("PATH").unwrap());
    let home = world.path("work").display().to_string();
    let env = [("PATH", &*path), ("HOME", &home), ("PS1", "ready> "), ("PROMPT", "ready> ")];
    let mut screen = Screen::start(Path::new(shell), 120, 36, args, &env);
    screen.keys(&format!("cd {home}; {setup}; clear; echo set\"\"up\r"));
    screen.shows("setup");
    for (line, field, name) in typed() {
        let called = world.path("called");
        let _ = fs::remove_file(&called);
        let word = line.split(' ').next_back().unwrap();
        screen.keys(&format!("clear\rsockscope {line}\t"));
        screen.until(&format!("{shell}: completion of {name:?}"), |text| {
            // It was inserted as the only candidate: more than the letters, and a space or a quote after it.
            text.rsplit_once(&format!("sockscope {line}")).is_some_and(|(_, more)| more.trim().len() > 2)
                || text.contains(&word.replacen('=', "=\\\"", 1))
                || text.contains(&word.replacen('=', "='\"", 1))
        });
        screen.keys("\r");
        let args = until("the call", || fs::read_to_string(&called).ok()).unwrap();
        let args: Vec<&str> = args.lines().collect();
        let command = line.split(' ').next().unwrap();
        assert_eq!(
            (args.len(), args.first()),
            (2, Some(&command)),
            "{shell}: {name:?} is one word: {args:?}"
        );
        if field == OPTION {
            assert_eq!(args[1], format!("{OPTION}{name}"), "{shell}");
            continue;
        }
        // The filter that was inserted finds exactly this name.
        let out = Command::new(PROGRAM).args(&args).args(["--format", "json"]).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        if name.contains('\n') {
            // Written as it is shown, with \n: one word, but no filter for it.
            continue;
        }
        assert!(!rows.is_empty() && rows.iter().all(|r| r[field] == name), "{shell}: {args:?}: {text}");
    }
    let made: Vec<_> = fs::read_dir(&home).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!made.iter().any(|f| f == "pwn"), "{shell}: {made:?}");
}

pub(crate) fn bash_inserts_hostile_names_as_one_word() -> Result<(), String> {
    completes("bash", &["--norc", "--noprofile", "-i"], "source <(sockscope completions bash)");
    Ok(())
}

pub(crate) fn zsh_inserts_hostile_names_as_one_word() -> Result<(), String> {
    let setup = "autoload -U compinit && compinit -u -D && source <(sockscope completions zsh)";
    completes("zsh", &["-f", "-i"], setup);
    Ok(())
}

pub(crate) fn fish_inserts_hostile_names_as_one_word() -> Result<(), String> {
    completes("fish", &["--no-config", "-i"], "sockscope completions fish | source");
    Ok(())
}
