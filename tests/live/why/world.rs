//! Two hosts on a network, and a third behind the second as router: `cl` 10.7.0.1, `sv` 10.7.0.2 and 10.8.0.1, `bk` 10.8.0.2.

use crate::compare::check;
use crate::netns::{Program, sh};
use crate::wait::until;
use serde_json::Value;
use std::process::{Command, Stdio};

const UP: &str = "set -e; for n in cl sv bk; do ip netns add $n; ip -n $n link set lo up; done
    ip link add c0 netns cl type veth peer name s0 netns sv; ip link add s1 netns sv type veth peer name b0 netns bk
    ip -n cl addr add 10.7.0.1/24 dev c0; ip -n sv addr add 10.7.0.2/24 dev s0
    ip -n sv addr add 10.8.0.1/24 dev s1; ip -n bk addr add 10.8.0.2/24 dev b0
    ip -n cl addr add fd07::1/64 dev c0 nodad; ip -n sv addr add fd07::2/64 dev s0 nodad
    for l in 'cl c0' 'sv s0' 'sv s1' 'bk b0'; do set -- $l; ip -n $1 link set $2 up; done
    ip -n cl route add default via 10.7.0.2; ip -n bk route add default via 10.8.0.1
    ip netns exec sv sysctl -qw net.ipv4.ip_forward=1";

const DOWN: &str = "for n in cl sv bk; do ip netns del $n; done";

/// The hosts; deleted when dropped.
pub(super) struct World;

impl World {
    pub(super) fn new() -> Result<Self, String> {
        sh(UP)?;
        Ok(Self)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = sh(DOWN);
    }
}

/// Outcome of the oracle: `errno` of a real connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errno {
    /// The connect is not made: its outcome is not an error of `connect()`.
    Any,
    Connects,
    Is(i32),
}

pub(super) const REFUSED: Errno = Errno::Is(111);
pub(super) const TIMEOUT: Errno = Errno::Is(110);

/// One induced cause.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    /// Shell commands that induce it, in the world.
    pub(super) induce: &'a str,
    /// Perl programs by namespace.
    pub(super) programs: &'a [(&'a str, &'a str)],
    /// Arguments of `why`, run in `cl`; `PID0` is the pid of the first program.
    pub(super) ask: &'a str,
    /// Name of the cause; empty for reachable.
    pub(super) cause: &'a str,
    pub(super) errno: Errno,
}

/// Perl of a server that accepts.
pub(super) const ACCEPTS: &str = "use IO::Socket::IP; my $l = IO::Socket::IP->new(Listen => 5, LocalHost => 'ADDR', \
    LocalPort => PORT, V6Only => ONLY, ReuseAddr => 1) or die; my @k; while (my $c = $l->accept) { push @k, $c }";

pub(super) fn accepts(addr: &str, port: u16) -> String {
    let only = u8::from(addr.contains("only"));
    let addr = addr.trim_end_matches(" only");
    ACCEPTS.replace("ADDR", addr).replace("PORT", &port.to_string()).replace("ONLY", &only.to_string())
}

/// Starts a perl program in a namespace.
pub(super) fn perl(space: &str, script: &str) -> Result<Program, String> {
    let started = Command::new("ip")
        .args(["netns", "exec", space, "perl", "-e", &format!("$SIG{{PIPE}} = 'IGNORE'; {script}")])
        .stdin(Stdio::null())
        .spawn();
    started.map(Program).map_err(|e| e.to_string())
}

/// The answer in `cl`.
pub(super) fn ask(args: &str) -> Result<Value, String> {
    ask_as(&[], args)
}

/// The answer in `cl`, with a command before the program.
pub(super) fn ask_as(before: &[&str], args: &str) -> Result<Value, String> {
    let out = Command::new("ip")
        .args(["netns", "exec", "cl"])
        .args(before)
        .args([env!("CARGO_BIN_EXE_sockscope"), "why", "--format", "json"])
        .args(args.split(' '))
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    let all: Value = serde_json::from_str(&text)
        .map_err(|e| format!("why {args}: {e}: {text} {}", String::from_utf8_lossy(&out.stderr)))?;
    let answer = all["answers"][0].clone();
    let code = match answer["verdict"].as_str() {
        Some("reachable") => 0,
        Some("cause") => 1,
        _ => 3,
    };
    check(out.status.code() == Some(code), || format!("why {args}: exit {:?}: {answer:#}", out.status))?;
    Ok(answer)
}

/// `errno` of a connect from `cl`, 0 if it is established; 110 if nothing answers. `options` are Perl statements after the socket is
/// made.
fn connect(ask: &str, is_refusal: bool) -> Result<i32, String> {
    let word = |flag: &str| ask.split(' ').skip_while(|w| *w != flag).nth(1);
    let (host, port) = ask.split(' ').next().and_then(|t| t.rsplit_once(':')).ok_or("a target")?;
    let mark = word("--mark").map_or(String::new(), |m| format!("setsockopt($s, 1, 36, pack('I', {m}));"));
    let source = word("--source").map_or(String::new(), |a| {
        format!("bind($s, pack_sockaddr_in(0, inet_aton('{a}'))) or (print $!+0), exit;")
    });
    let user = word("--as").map_or(String::new(), |u| format!("$> = {u};"));
    // The kernel gives up on a neighbour after three seconds; nothing else is waited for.
    let wait = if is_refusal { 30 } else { 1 };
    let script = format!(
        "use Socket qw(:DEFAULT inet_pton); use Errno; {user} my $h = '{host}'; my $six = $h =~ s/[\\[\\]]//g;
         socket(my $s, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or die; {mark} {source}
         my $a = $six ? Socket::pack_sockaddr_in6({port}, inet_pton(AF_INET6, $h)) : pack_sockaddr_in({port}, inet_aton($h));
         use Fcntl; fcntl($s, F_SETFL, O_NONBLOCK);
         if (!connect($s, $a)) {{ if (!$!{{EINPROGRESS}}) {{ print $!+0; exit }}
           my $w = ''; vec($w, fileno($s), 1) = 1;
           if (!select(undef, $w, undef, {wait})) {{ print 110; exit }}
           print unpack('I', getsockopt($s, SOL_SOCKET, SO_ERROR)); exit }}
         print 0;"
    );
    let out = Command::new("ip")
        .args(["netns", "exec", "cl", "perl", "-e", &script])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    text.trim()
        .parse()
        .map_err(|e| format!("connect {ask}: {e}: {text} {}", String::from_utf8_lossy(&out.stderr)))
}

/// Induces each cause alone and compares the answer with the real connect.
pub(super) fn run(cases: &[Case<'_>]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for case in cases {
        if let Err(why) = one(case) {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    check(wrong.is_empty(), || wrong.join("\n"))
}

fn one(case: &Case<'_>) -> Result<(), String> {
    let _world = World::new()?;
    let programs: Vec<Program> =
        case.programs.iter().map(|(space, script)| perl(space, script)).collect::<Result<_, _>>()?;
    for (space, script) in case.programs {
        // Each server binds one port.
        let port = script.split("LocalPort => ").nth(1).and_then(|r| r.split([',', ')', ' ']).next());
        let Some(port) = port.filter(|p| p.parse::<u16>().is_ok()) else { continue };
        let is_up = || sh(&format!("ip netns exec {space} ss -Hlntu sport = :{port}")).ok();
        until(case.name, || is_up().filter(|t| !t.trim().is_empty()))?;
    }
    let pid = programs.first().map_or(0, |p| p.0.id()).to_string();
    sh(&case.induce.replace("PID0", &pid))?;
    let ask_text = case.ask.replace("PID0", &pid);
    match case.errno {
        Errno::Any => {}
        Errno::Connects => {
            let got = connect(&ask_text, true)?;
            check(got == 0, || format!("the real connect: errno {got}"))?;
        }
        Errno::Is(want) => {
            let got = connect(&ask_text, want != 110)?;
            check(got == want, || format!("the real connect: errno {got}, not {want}"))?;
        }
    }
    let answer = ask(&ask_text)?;
    let cause = answer["cause"].as_str().unwrap_or("");
    let certain = matches!(answer["certainty"].as_str(), Some("certain" | "likely"));
    check(cause == case.cause && certain, || format!("{cause:?}, not {:?}: {answer:#}", case.cause))
}
