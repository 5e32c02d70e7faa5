//! Containers of the real engines, started here and compared with what the engines say.
//!
//! This test is a program of its own (`harness = false`) and needs root (it asks `sudo -n` otherwise). Each [`World`] runs
//! in fresh network, mount and process-id namespaces with a `/run` of its own: what is started there ends with
//! it, and neither the machine's own engine nor its firewall is touched. Nothing is downloaded: the one image is made of
//! busybox. A machine that cannot run the engines fails here, since the program promises to show them.
//!
//! To add a case: write `pub(crate) fn name(docker: &Docker) -> Result<(), String>` and a line in [`DOCKER`] (with the
//! userland proxy) or [`DOCKER_KERNEL`] (without: DNAT only). See [`docker::Docker`] for what it offers.

// A test that cannot go on stops there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "containers/docker.rs"]
mod docker;
#[path = "containers/forwards.rs"]
mod forwards;
#[path = "containers/podman.rs"]
mod podman;
#[path = "containers/units.rs"]
mod units;
#[path = "containers/world.rs"]
mod world;

use docker::Docker;
use podman::Podman;
use std::process::{Command, ExitCode};

/// Set in the process inside the namespaces: the name of its world.
const INSIDE: &str = "SOCKSCOPE_TEST_WORLD";

type Case<W> = (&'static str, fn(&W) -> Result<(), String>);

/// With Docker Engine as it comes: a published port has a proxy process, and DNAT.
const DOCKER: &[Case<Docker>] = &[
    ("a container is named everywhere", units::named_everywhere),
    ("an ordinary user is told what is missing", units::as_ordinary_user),
    ("the unit of a hidden process", units::unit_of_hidden),
    ("a container that stops while it is watched", units::stops_while_watched),
    ("a namespace inside another", units::nested),
    ("namespaces that are mounted", units::mounted),
    ("a published port by rule and by proxy", forwards::with_proxy),
];

/// With Docker Engine without the proxy: only DNAT.
const DOCKER_KERNEL: &[Case<Docker>] = &[
    ("a container is named everywhere, without the proxy", units::named_everywhere),
    ("a published port by a rule alone", forwards::by_kernel),
];

/// With Podman of an ordinary user.
const PODMAN: &[Case<Podman>] = &[
    ("a container of an ordinary user", podman::rootless),
    ("a published port of an ordinary user", podman::published),
    ("a port that pasta forwards", podman::pasta),
];

/// One set of namespaces: its name and what runs in it; how many cases passed and failed.
type World = (&'static str, fn(&str) -> (u32, u32));

/// All of them, one after the other.
const WORLDS: &[World] = &[
    ("docker", |only| cases(DOCKER, only, || Docker::start(&[]))),
    ("docker-kernel", |only| cases(DOCKER_KERNEL, only, || Docker::start(&["--userland-proxy=false"]))),
    ("podman", |only| cases(PODMAN, only, Podman::start)),
];

fn names() -> Vec<&'static str> {
    let docker = DOCKER.iter().chain(DOCKER_KERNEL).map(|(name, _)| *name);
    docker.chain(PODMAN.iter().map(|(name, _)| *name)).collect()
}

fn main() -> ExitCode {
    if std::env::args().any(|a| a == "--list") {
        for name in names() {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    // A name on the command line chooses.
    let only = std::env::args().nth(1).filter(|a| !a.starts_with('-')).unwrap_or_default();
    if let Ok(inside) = std::env::var(INSIDE) {
        let Some((_, run)) = WORLDS.iter().find(|(name, _)| *name == inside) else {
            return ExitCode::FAILURE;
        };
        let (passed, failed) = run(&only);
        println!("{inside}: {passed} passed, {failed} failed");
        return ExitCode::from(u8::from(failed > 0));
    }
    let missing: Vec<&str> =
        ["unshare", "ip", "iptables", "dockerd", "docker", "busybox", "podman", "pasta", "setpriv"]
            .into_iter()
            .filter(|tool| !world::has(tool))
            .collect();
    if !missing.is_empty() {
        println!("{} missing: ./tests/run installs what the tests need", missing.join(", "));
        return ExitCode::FAILURE;
    }
    let failed = WORLDS.iter().filter(|(name, _)| !enter(name, &only)).count();
    ExitCode::from(u8::from(failed > 0))
}

/// Runs this program again in namespaces of its own; whether all went well there.
fn enter(world: &str, only: &str) -> bool {
    let Ok(exe) = std::env::current_exe() else { return false };
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { "unshare" } else { "sudo" });
    if !root {
        command.args(["-n", "--preserve-env", "unshare"]);
    }
    let status = command
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c"])
        .arg("mount --make-rprivate / && mount -t tmpfs none /run && ip link set lo up && exec \"$0\" \"$@\"")
        .arg(exe)
        .arg(only)
        .env(INSIDE, world)
        // The engines that may be asked for are those of this world.
        .env_remove("DOCKER_HOST")
        .env_remove("CONTAINER_HOST")
        .env_remove("XDG_RUNTIME_DIR")
        .status();
    match status {
        Ok(s) => s.success(),
        Err(e) => {
            println!("{world}: unshare: {e}");
            false
        }
    }
}

/// Starts what the cases share, runs those chosen, and tells how many passed and failed.
fn cases<W>(all: &[Case<W>], only: &str, start: impl FnOnce() -> Result<W, String>) -> (u32, u32) {
    let chosen: Vec<_> = all.iter().filter(|(name, _)| name.contains(only)).collect();
    if chosen.is_empty() {
        return (0, 0);
    }
    let world = match start() {
        Ok(world) => world,
        Err(why) => {
            println!("test {} ... FAILED\n{why}", chosen[0].0);
            return (0, chosen.len() as u32);
        }
    };
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in chosen {
        match case(&world) {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(why) => {
                failed += 1;
                println!("test {name} ... FAILED\n{why}");
            }
        }
    }
    (passed, failed)
}
