//! Causes that only open or waiting connections show, and a server whose cgroup is frozen.

use super::world::{Case, Errno, TIMEOUT, World, accepts, perl, run};
use crate::compare::check;
use crate::netns::sh;
use crate::wait::until;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Perl of a listener of three pending connections, which accepts nothing.
const SLOW: &str = "use IO::Socket::IP; my $l = IO::Socket::IP->new(Listen => 3, LocalHost => '10.7.0.2', \
    LocalPort => 80, ReuseAddr => 1) or die; sleep 600";
const TWO_CLIENTS: &str = "use IO::Socket::IP; my @k; for (1..2) { my $c; \
    $c = IO::Socket::IP->new(PeerHost => '10.7.0.2', PeerPort => 80) until $c; push @k, $c } sleep 600";
/// Perl of a client that writes a byte again and again.
const WRITES: &str = "use IO::Socket::IP; my $c; \
    $c = IO::Socket::IP->new(PeerHost => '10.7.0.2', PeerPort => 80) until $c; $c->blocking(0); \
    while (1) { syswrite($c, 'x'); select(undef, undef, undef, 0.05) }";
/// Perl of a client that writes as much as fits.
const FILLS: &str = "use IO::Socket::IP; my $c; \
    $c = IO::Socket::IP->new(PeerHost => '10.7.0.2', PeerPort => 80) until $c; $c->blocking(0); \
    while (1) { 1 while syswrite($c, 'x' x 65536); select(undef, undef, undef, 0.05) }";
/// Perl that waits until the network has its MTU.
const NARROW: &str = "my $c; select(undef, undef, undef, 0.05) until -e '/run/narrow';";
/// Perl of a client whose SYN waits for an answer.
const CONNECTS: &str = "use Socket; use Fcntl; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; fcntl($s, F_SETFL, O_NONBLOCK); \
    connect($s, pack_sockaddr_in(80, inet_aton('10.7.0.99'))); sleep 600";

/// Shell that waits until `ss` in `cl` prints a line that matches.
fn wait(filter: &str, pattern: &str) -> String {
    format!(
        "i=0; until ip netns exec cl ss -Hnto {filter} | grep -Eq '{pattern}'; \
         do sleep 0.05; i=$((i+1)); [ $i -lt 1000 ] || exit 1; done"
    )
}

/// Shell that gives an address in `cl` a neighbour that no host has: frames to it are lost.
fn lose(addr: &str) -> String {
    format!("ip -n cl neigh replace {addr} lladdr 02:00:00:00:00:99 dev c0 nud permanent")
}

pub(crate) fn connections_that_do_not_move_are_named() -> Result<(), String> {
    let any = accepts("0.0.0.0", 80);
    let queued = "i=0; while [ $(ip netns exec sv ss -Hnt state established sport = :80 | wc -l) -lt 2 ]; \
        do sleep 0.05; i=$((i+1)); [ $i -lt 1000 ] || exit 1; done";
    let established = wait("state established", "10[.]7[.]0[.]2:80");
    let stuck = format!(
        "{established}; {}; {}",
        lose("10.7.0.2"),
        wait("state established", "timer:[(]on,[^,]*,([3-9]|1[0-9])[)]")
    );
    // The router behind the first hop sends less, and its ICMP errors are lost.
    let (behind, fills_behind) =
        (accepts("10.8.0.2", 80), FILLS.replace("10.7.0.2", "10.8.0.2").replace("my $c;", NARROW));
    let black_hole = format!(
        "ip -n sv link set s1 mtu 1300; ip netns exec sv nft 'add table ip f; \
         add chain ip f o {{ type filter hook output priority 0; }}; add rule ip f o ip protocol icmp drop'; touch /run/narrow; {}; rm -f /run/narrow",
        wait("state established", "timer:[(]on,[^,]*,([3-9]|1[0-9])[)]")
    );
    let closed = wait("state established", "timer:[(]persist");
    let unanswered = format!("{}; {}", lose("10.7.0.99"), wait("state syn-sent", "timer:[(]on,[^,]*,[1-9]"));
    run(&[
        Case {
            name: "not accepted",
            induce: queued,
            programs: &[("sv", SLOW), ("cl", TWO_CLIENTS)],
            ask: "10.7.0.2:80",
            cause: "not-accepted",
            errno: Errno::Any,
        },
        Case {
            name: "retransmits",
            induce: &stuck,
            programs: &[("sv", &any), ("cl", WRITES)],
            ask: "10.7.0.2:80",
            cause: "retransmits",
            errno: TIMEOUT,
        },
        Case {
            name: "MTU",
            induce: &black_hole,
            programs: &[("bk", &behind), ("cl", &fills_behind)],
            ask: "10.8.0.2:80",
            cause: "mtu-black-hole",
            errno: Errno::Connects,
        },
        Case {
            name: "zero window",
            induce: &closed,
            programs: &[("sv", &any), ("cl", FILLS)],
            ask: "10.7.0.2:80",
            cause: "zero-window",
            errno: Errno::Connects,
        },
        Case {
            name: "no answer",
            induce: &unanswered,
            programs: &[("cl", CONNECTS)],
            ask: "10.7.0.99:80",
            cause: "no-answer",
            errno: TIMEOUT,
        },
        Case {
            name: "no answer, by pid",
            induce: &unanswered,
            programs: &[("cl", CONNECTS)],
            ask: "PID0",
            cause: "no-answer",
            errno: Errno::Any,
        },
        Case {
            name: "martian",
            induce: "ip -n cl addr add 10.8.0.1/32 dev c0",
            programs: &[("sv", &any)],
            ask: "10.7.0.2:80 --source 10.8.0.1",
            cause: "martian-source",
            errno: TIMEOUT,
        },
    ])
}

/// A cgroup (v2) of this test, removed when dropped.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self, String> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
        let line = mounts.lines().find(|l| l.contains(" - cgroup2 ")).ok_or("no cgroup2")?;
        let root = line.split(' ').nth(4).ok_or("no mount point")?;
        let dir = PathBuf::from(root).join(format!("sockscope-frozen-{}", std::process::id()));
        std::fs::create_dir(&dir).map_err(|e| e.to_string())?;
        Ok(Self(dir))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.0.join(file), text).map_err(|e| format!("{file}: {e}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.write("cgroup.freeze", "0");
        let _ = until("the cgroup to be empty", || std::fs::remove_dir(&self.0).ok());
    }
}

pub(crate) fn server_in_a_frozen_cgroup_is_named() -> Result<(), String> {
    let _world = World::new()?;
    let group = Group::new()?;
    let server = perl("sv", &accepts("0.0.0.0", 80))?;
    until("the listener", || {
        sh("ip netns exec sv ss -Hlnt sport = :80").ok().filter(|t| !t.trim().is_empty())
    })?;
    group.write("cgroup.procs", &server.0.id().to_string())?;
    group.write("cgroup.freeze", "1")?;
    let events = group.0.join("cgroup.events");
    until("the freezer", || std::fs::read_to_string(&events).ok().filter(|t| t.contains("frozen 1")))?;
    // `ip netns exec` mounts a `/sys` without cgroups.
    let out = Command::new("nsenter")
        .args(["--net=/run/netns/cl", env!("CARGO_BIN_EXE_sockscope"), "why", "-j", "10.7.0.2:80"])
        .output()
        .map_err(|e| e.to_string())?;
    let answer: Value = serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())?;
    let answer = &answer["answers"][0];
    check(answer["cause"] == "server-frozen" && answer["certainty"] == "certain", || format!("{answer:#}"))?;
    group.write("cgroup.freeze", "0")?;
    drop(server);
    Ok(())
}
