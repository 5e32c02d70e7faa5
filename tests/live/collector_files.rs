//! Files of the dashboard that `sudo` starts: they are those of the user who called it.

use super::collector_process::{CALLER, by_sudo_with, collector};
use super::compare::check;
use super::netns::sh;
use crate::proc_status::status;
use crate::screen::Screen;
use crate::wait::until;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

/// Home directory of the caller, in the mount namespace of the test.
const HOME: &str = "/run/caller";
/// A group of the caller.
const GROUP: u32 = 61_236;
/// Variables by which the directories are those below the home directory.
const NO_XDG: [(&str, &str); 2] = [("XDG_CONFIG_HOME", ""), ("XDG_STATE_HOME", "")];

/// Gives the caller a name, a group and a home directory.
fn make_caller() -> Result<(), String> {
    let id = CALLER;
    sh(&format!(
        "mkdir -p {HOME}/.config/sockscope && cp /etc/passwd /run/passwd && cp /etc/group /run/group &&
         echo 'caller:x:{id}:{id}::{HOME}:/bin/sh' >> /run/passwd &&
         echo 'readers:x:{GROUP}:caller' >> /run/group &&
         mount --bind /run/passwd /etc/passwd && mount --bind /run/group /etc/group"
    ))
    .map(drop)
}

fn give(path: &str) -> Result<(), String> {
    sh(&format!("chown -R {CALLER}:{CALLER} {path}")).map(drop)
}

/// Fails unless the file is the caller's and no other user may read it.
fn is_private(file: &Path) -> Result<(), String> {
    let meta = fs::metadata(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let (owner, mode) = ((meta.uid(), meta.gid()), meta.permissions().mode() & 0o777);
    let right = owner == (CALLER, CALLER) && (meta.is_dir() || mode == 0o600);
    check(right, || format!("{}: {owner:?} {mode:o}", file.display()))
}

/// The configuration that is read, the history and the session that are written, and the alert command are the caller's; those of root
/// are not looked at.
pub(crate) fn configuration_and_history_are_those_of_the_caller_of_sudo() -> Result<(), String> {
    make_caller()?;
    let alert = format!("{HOME}/alert");
    let command = format!(
        "[alerts]\ncommand = [\"sh\", \"-c\", \"{{ id; env; }} > {alert}.new; mv {alert}.new {alert}\"]\n"
    );
    let config = format!("{HOME}/.config/sockscope/config.toml");
    fs::write(&config, command).map_err(|e| e.to_string())?;
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).map_err(|e| e.to_string())?;
    give(HOME)?;
    let of_root = std::env::var("HOME").map_err(|e| e.to_string())?;
    sh(&format!(
        "mkdir -p {of_root}/.config/sockscope && echo 'theme = \"nowhere\"' > {of_root}/.config/sockscope/config.toml"
    ))?;
    let listener = TcpListener::bind("127.0.0.1:7931").map_err(|e| e.to_string())?;
    let mut screen = by_sudo_with(&[], &NO_XDG);
    screen.shows("127.0.0.1:7931");
    let groups = status(screen.pid(), "Groups");
    check(groups == [CALLER.to_string(), GROUP.to_string()], || format!("{groups:?}"))?;
    let mut full =
        Command::new("prlimit").args(["--nofile=4:4", "sleep", "1000"]).spawn().map_err(|e| e.to_string())?;
    let ran = until("the alert command", || fs::read_to_string(&alert).ok());
    let _ = full.kill().and_then(|()| full.wait().map(drop));
    let ran = ran?;
    for line in [
        format!("uid={CALLER}(caller)"),
        format!("HOME={HOME}"),
        "USER=caller".into(),
        "LOGNAME=caller".into(),
    ] {
        check(ran.contains(&line), || format!("{line} is not in\n{ran}"))?;
    }
    screen.keys("/lport:7931\r");
    screen.shows("1 of");
    screen.keys("q");
    check(screen.ends() == 0, || "exit status".to_owned())?;
    for file in ["history", "session.json"] {
        is_private(&Path::new(HOME).join(".local/state/sockscope").join(file))?;
    }
    check(!Path::new(&of_root).join(".local").exists(), || "root has a state directory".to_owned())?;
    drop(listener);
    Ok(())
}

/// A recording belongs to the caller, and is not made where the caller may not write; its samples are those that the collector reads.
pub(crate) fn recording_is_that_of_the_caller_of_sudo() -> Result<(), String> {
    make_caller()?;
    give(HOME)?;
    let listener = TcpListener::bind("127.0.0.1:7932").map_err(|e| e.to_string())?;
    let dir = format!("{HOME}/kept");
    let mut screen = by_sudo_with(&[&format!("--record={dir}")], &NO_XDG);
    screen.shows(" rec ");
    let written = |dir: &str| {
        let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        files
            .filter(|f| f.extension().is_some_and(|e| e == "sscope"))
            .find(|f| fs::metadata(f).is_ok_and(|m| m.len() > 0))
    };
    let file = until("a recording", || written(&dir))?;
    is_private(Path::new(&dir))?;
    is_private(&file)?;
    // Owners of sockets of others, which the screen itself cannot read.
    let pid = std::process::id().to_string();
    until("the owner in the recording", || {
        let args = ["list", "--from", &dir, "lport:7932", "-f", "csv", "-c", "pid"];
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).args(args).output().ok()?;
        String::from_utf8_lossy(&out.stdout).contains(&pid).then_some(())
    })?;
    screen.keys("q");
    check(screen.ends() == 0, || "exit status".to_owned())?;

    sh("mkdir -m 700 /run/closed")?;
    let mut screen = by_sudo_with(&["--record=/run/closed/kept"], &NO_XDG);
    screen.shows("not recorded: ");
    collector(screen.pid())?;
    check(!Path::new("/run/closed/kept").exists(), || "it was made by root".to_owned())?;
    screen.keys("q");
    screen.ends();
    drop(listener);
    Ok(())
}

/// Root without sudo keeps its history where its home directory can be written with a capability only, as `/root` of the mode 0550.
pub(crate) fn root_keeps_its_history_in_a_home_that_is_read_only() -> Result<(), String> {
    sh("mkdir -m 550 /run/root")?;
    let env = [&NO_XDG[..], &[("HOME", "/run/root"), ("SUDO_UID", "0")]].concat();
    let listener = TcpListener::bind("127.0.0.1:7933").map_err(|e| e.to_string())?;
    let mut screen = Screen::sockscope(160, 40, &["--interval", "300ms"], &env);
    screen.shows("127.0.0.1:7933");
    collector(screen.pid())?;
    screen.keys("/lport:7933\r");
    screen.shows("1 of");
    screen.keys("q");
    check(screen.ends() == 0, || "exit status".to_owned())?;
    let history =
        fs::read_to_string("/run/root/.local/state/sockscope/history").map_err(|e| e.to_string())?;
    check(history.contains("lport:7933"), || history)?;
    drop(listener);
    Ok(())
}
