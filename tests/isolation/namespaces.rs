//! Private namespaces of a test. Inside, a test sees what it started and nothing else of the machine: no other process, socket,
//! port, network namespace or container engine, and no settings of the current user.

use rustix::net::{AddressFamily, SocketType, recv, send, socket};
use std::env;
use std::process::Command;
use std::sync::OnceLock;

/// Environment variable of a process that runs inside: the name of its test.
pub(crate) const INSIDE: &str = "SOCKSCOPE_TEST_INSIDE";

/// Environment variable set by `tests/run --light`: tests that need more than Rust are listed as ignored, with the reason.
const LIGHT: &str = "SOCKSCOPE_TEST_LIGHT";

/// Mounts over the directories of the machine, then runs the program, without the user who called `sudo`: a dashboard would become that
/// user. The shell stays: as process 1 it reaps orphans.
const SETUP: &str = "grep ' - nsfs ' /proc/self/mountinfo | cut -d ' ' -f 5 | \
     while read -r at; do umount -l \"$at\" 2> /dev/null; done; \
     mount -t tmpfs none /run && mkdir /run/home && export HOME=/run/home && unset SUDO_UID SUDO_GID && \"$0\" \"$@\"; exit $?";

/// Sockets and files of the machine in these directories would lead outside.
const LEADS_OUTSIDE: &[&str] = &[
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
];

/// Namespaces to create, and the privileges inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Network, mount and pid namespaces in a user namespace: available to a non-root user.
    User,
    /// Network, mount and pid namespaces, as the machine's root.
    Root,
    /// Network and mount namespaces, as the machine's root, in the machine's pid namespace.
    RootHostPids,
}

pub(crate) fn light() -> bool {
    env::var_os(LIGHT).is_some()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The command prefix that runs a program in new namespaces.
pub(crate) fn enter(scope: Scope) -> Command {
    let mut command = if scope == Scope::User || is_root() {
        Command::new("unshare")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "--preserve-env", "unshare"]);
        sudo
    };
    if scope == Scope::User {
        // The user is mapped before the network namespace is created: its files in /proc belong to that root.
        command.args(["--user", "--map-root-user", "--", "unshare"]);
    }
    if scope != Scope::RootHostPids {
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    }
    command.args(["--net", "--mount", "--", "sh", "-c", SETUP]);
    // nft, iptables and dockerd are there, which the PATH of a non-root user lacks.
    command.env("PATH", format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default()));
    for name in LEADS_OUTSIDE {
        command.env_remove(name);
    }
    command
}

/// Reason that such namespaces cannot be created here. Tried once.
pub(crate) fn refused(scope: Scope) -> Option<String> {
    static ANSWERS: [OnceLock<Option<String>>; 3] = [const { OnceLock::new() }; 3];
    let ask = || {
        let mut command = enter(scope);
        let why = match command.arg("true").output() {
            Ok(out) if out.status.success() => return None,
            Ok(out) => String::from_utf8_lossy(&out.stderr).trim().to_owned(),
            Err(e) => format!("{}: {e}", command.get_program().display()),
        };
        let rights = match scope {
            Scope::User => "user namespaces (or root)",
            Scope::Root | Scope::RootHostPids => "root (or sudo without a password)",
        };
        Some(format!("needs {rights}: {why}"))
    };
    ANSWERS[scope as usize].get_or_init(ask).clone()
}

/// Brings the loopback interface of a new network namespace up.
pub(crate) fn loopback_up() -> rustix::io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    // The first protocol of netlink.
    let route = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    let mut request = [0; 32];
    request[0..4].copy_from_slice(&32_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_ACK.to_ne_bytes());
    // Interface 1; the flags, and the mask of those to change.
    request[20..24].copy_from_slice(&1_i32.to_ne_bytes());
    request[24..28].copy_from_slice(&IFF_UP.to_ne_bytes());
    request[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    send(&route, &request, rustix::net::SendFlags::empty())?;
    let mut answer = [0; 128];
    recv(&route, &mut answer, rustix::net::RecvFlags::empty())?;
    let errno = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if errno == 0 { Ok(()) } else { Err(rustix::io::Errno::from_raw_os_error(-errno)) }
}

/// Runs the body of a libtest test in private namespaces: in this program, started again there for this test only.
/// In a light run on a machine that refuses the namespaces the body runs directly.
pub(crate) fn isolated<F: FnOnce()>(body: F) {
    if env::var_os(INSIDE).is_some() {
        loopback_up().expect("the loopback interface");
        return body();
    }
    let scope = if is_root() { Scope::Root } else { Scope::User };
    match refused(scope) {
        Some(_) if light() => return body(),
        Some(why) => panic!("{why}; SOCKSCOPE_TEST_LIGHT=1 runs it without namespaces of its own"),
        None => {}
    }
    // The closure is named `program::test::{{closure}}`.
    let name = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    let name = name.split_once("::").map_or(name, |(_, test)| test);
    let exe = env::current_exe().expect("this program");
    let mut again = enter(scope);
    again.arg(exe).args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, name);
    let out = again.output().expect("unshare");
    let output = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && output.contains("1 passed"),
        "inside its namespaces:\n{output}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
