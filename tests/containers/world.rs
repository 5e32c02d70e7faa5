//! Helpers of the cases: commands, output of sockscope, an outside client.

use std::process::{Child, Command, Stdio};

pub(crate) fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// Runs a shell script; returns its output, or its error output.
pub(crate) fn sh(script: &str) -> Result<String, String> {
    run(Command::new("sh").args(["-c", script]))
}

/// Runs a command; returns its output, or its error output.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    check(out.status.success(), || format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr)))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The sockscope binary.
pub(crate) fn sockscope() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockscope"));
    command.stdin(Stdio::null());
    command
}

/// JSON rows of sockscope with these arguments.
pub(crate) fn rows(args: &[&str]) -> Result<Vec<serde_json::Value>, String> {
    rows_of(sockscope().args(args))
}

/// JSON rows of a command, such as sockscope run as another user. No match gives no rows.
pub(crate) fn rows_of(command: &mut Command) -> Result<Vec<serde_json::Value>, String> {
    let out = command.args(["--format", "json"]).output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout);
    if out.status.code() == Some(1) && text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text)
        .map_err(|e| format!("{command:?}: {e}: {text} {}", String::from_utf8_lossy(&out.stderr)))
}

/// A process that is killed when dropped.
pub(crate) struct Program(pub(crate) Child);

impl Program {
    /// Starts it without input, its output discarded.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        started.map(Self).map_err(|e| format!("{command:?}: {e}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An outside host: the network namespace `outside` with address 203.0.113.5, connected by a veth pair with
/// 203.0.113.1 on this side. Deleted when dropped.
pub(crate) struct Outside {
    /// Name of the network namespace.
    pub(crate) netns: &'static str,
}

impl Outside {
    pub(crate) fn new() -> Result<Self, String> {
        sh("ip netns add outside && ip -n outside link set lo up
            ip link add out0 type veth peer name eth0 netns outside
            ip addr add 203.0.113.1/24 dev out0 && ip link set out0 up
            ip -n outside addr add 203.0.113.5/24 dev eth0 && ip -n outside link set eth0 up
            ip -n outside route add default via 203.0.113.1")?;
        Ok(Self { netns: "outside" })
    }

    /// Connects from there (from this port unless 0), sends nothing, and stays until dropped.
    pub(crate) fn connect(&self, addr: &str, port: u16, from: u16) -> Result<Program, String> {
        let from = if from == 0 { String::new() } else { format!(", LocalPort => {from}") };
        let script = format!(
            "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => '{addr}', PeerPort => {port}{from}) \
             or die; sleep 600"
        );
        let args = ["netns", "exec", self.netns, "perl", "-e", &script];
        Program::start(Command::new("ip").args(args))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = sh("ip netns del outside; ip link del out0");
    }
}
