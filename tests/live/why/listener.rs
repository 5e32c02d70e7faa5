//! Causes at the listener and its process.

use super::world::{Case, Errno, REFUSED, TIMEOUT, accepts, run};

/// Perl of a listener on a device, which accepts nothing.
const ON_DEVICE: &str =
    "use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; setsockopt($s, 1, 25, \"lo\\0\") or die $!;
    bind($s, pack_sockaddr_in(80, INADDR_ANY)) or die; listen($s, 5) or die; # LocalPort => 80,
    sleep 600";
/// Perl of a listener of one pending connection, which accepts nothing.
const LAZY: &str = "use IO::Socket::IP; my $l = IO::Socket::IP->new(Listen => 1, LocalHost => '10.7.0.2', \
    LocalPort => 80, ReuseAddr => 1) or die; sleep 600";
/// Perl of a server whose descriptors are all in use.
const FULL: &str = "use IO::Socket::IP; my $l = IO::Socket::IP->new(Listen => 5, LocalHost => '10.7.0.2', \
    LocalPort => 80, ReuseAddr => 1) or die; my @f; while (open(my $f, '<', '/dev/null')) { push @f, $f } sleep 600";
const UDP: &str = "use IO::Socket::IP; my $l = IO::Socket::IP->new(Type => 2, LocalHost => '10.7.0.2', LocalPort => 53, \
    Proto => 'udp') or die; sleep 600";
const TWO_CLIENTS: &str = "use IO::Socket::IP; my @k; for (1..2) { my $c; \
    $c = IO::Socket::IP->new(PeerHost => '10.7.0.2', PeerPort => 80) until $c; push @k, $c } \
    open(my $f, '>', '/run/connected'); close $f; sleep 600";

pub(crate) fn listeners_that_do_not_serve_are_named() -> Result<(), String> {
    let on = |addr: &str, port| accepts(addr, port);
    let (loopback, any, six, other) =
        (on("127.0.0.1", 80), on("0.0.0.0", 80), on(":: only", 80), on("10.8.0.1", 80));
    let local = on("127.0.0.1", 80);
    run(&[
        Case {
            name: "nothing",
            induce: "",
            programs: &[],
            ask: "10.7.0.2:80",
            cause: "nothing-listens",
            errno: REFUSED,
        },
        Case {
            name: "nothing here",
            induce: "",
            programs: &[],
            ask: "127.0.0.1:80",
            cause: "nothing-listens",
            errno: REFUSED,
        },
        Case {
            name: "nothing v6",
            induce: "",
            programs: &[],
            ask: "[fd07::2]:80",
            cause: "nothing-listens",
            errno: REFUSED,
        },
        Case {
            name: "loopback",
            induce: "",
            programs: &[("sv", &loopback)],
            ask: "10.7.0.2:80",
            cause: "loopback-only",
            errno: REFUSED,
        },
        Case {
            name: "loopback, port",
            induce: "",
            programs: &[("cl", &local)],
            ask: ":80",
            cause: "loopback-only",
            errno: Errno::Any,
        },
        Case {
            name: "nothing, port",
            induce: "",
            programs: &[],
            ask: ":80",
            cause: "nothing-listens",
            errno: Errno::Any,
        },
        Case {
            name: "other address",
            induce: "",
            programs: &[("sv", &other)],
            ask: "10.7.0.2:80",
            cause: "other-address",
            errno: REFUSED,
        },
        Case {
            name: "IPv4 only",
            induce: "",
            programs: &[("sv", &any)],
            ask: "[fd07::2]:80",
            cause: "other-family",
            errno: REFUSED,
        },
        Case {
            name: "IPv6 only",
            induce: "",
            programs: &[("sv", &six)],
            ask: "10.7.0.2:80",
            cause: "other-family",
            errno: REFUSED,
        },
        Case {
            name: "other device",
            induce: "",
            programs: &[("sv", ON_DEVICE)],
            ask: "10.7.0.2:80",
            cause: "other-device",
            errno: REFUSED,
        },
        Case {
            name: "UDP only",
            induce: "",
            programs: &[("sv", UDP)],
            ask: "10.7.0.2:53",
            cause: "other-protocol",
            errno: REFUSED,
        },
        Case {
            name: "TCP only",
            induce: "",
            programs: &[("sv", &any)],
            ask: "10.7.0.2:80 --proto udp",
            cause: "other-protocol",
            errno: Errno::Any,
        },
        Case {
            name: "nothing by UDP",
            induce: "",
            programs: &[],
            ask: "10.7.0.2:53 --proto udp",
            cause: "nothing-listens",
            errno: Errno::Any,
        },
        Case {
            name: "other namespace",
            induce: "",
            programs: &[("sv", &any)],
            ask: "127.0.0.1:80",
            cause: "other-namespace",
            errno: REFUSED,
        },
    ])
}

pub(crate) fn processes_that_cannot_serve_are_named() -> Result<(), String> {
    let any = accepts("0.0.0.0", 80);
    let full = format!("system('prlimit', '--pid', $$, '--nofile=20') == 0 or die; {FULL}");
    let open = "my @f; while (open(my $f, '<', '/dev/null')) { push @f, $f }";
    let client = format!(
        "system('prlimit', '--pid', $$, '--nofile=20') == 0 or die; {open} unlink '/run/full'; rename '/run/wait', '/run/full'; sleep 600"
    );
    let until_full = "i=0; while [ $(ls /proc/PID0/fd | wc -l) -lt 20 ]; do sleep 0.05; i=$((i+1)); [ $i -lt 1000 ] || exit 1; done";
    let connected = "rm -f /run/connected; i=0; while [ $(ip netns exec sv ss -Hnt state established sport = :80 | wc -l) -lt 2 ]; \
        do sleep 0.05; i=$((i+1)); [ $i -lt 1000 ] || exit 1; done";
    let ports =
        "ip netns exec cl sysctl -qw net.ipv4.ip_local_port_range='40000 40001'; rm -f /run/connected";
    let fill = "use IO::Socket::IP; my @k; for my $p (40000, 40001) { my $c; $c = IO::Socket::IP->new(PeerHost => '10.7.0.2', \
        PeerPort => 80, LocalHost => '10.7.0.1', LocalPort => $p) until $c; push @k, $c } sleep 600";
    let ports = format!("{ports}; {connected}");
    let flood = "ip netns exec cl perl -e 'use IO::Socket::IP; my $s = IO::Socket::IP->new(PeerHost => \"10.7.0.2\", PeerPort => 53, \
        Proto => \"udp\"); for (1..200) { $s->send(\"x\" x 1000) }'";
    run(&[
        Case {
            name: "backlog full",
            induce: connected,
            programs: &[("sv", LAZY), ("cl", TWO_CLIENTS)],
            ask: "10.7.0.2:80",
            cause: "backlog-full",
            errno: TIMEOUT,
        },
        Case {
            name: "stopped",
            induce: "kill -STOP PID0",
            programs: &[("sv", &any)],
            ask: "10.7.0.2:80",
            cause: "server-stopped",
            errno: Errno::Connects,
        },
        Case {
            name: "descriptors of the server",
            induce: until_full,
            programs: &[("sv", &full)],
            ask: "10.7.0.2:80",
            cause: "server-fds",
            errno: Errno::Connects,
        },
        Case {
            name: "descriptors of the client",
            induce: until_full,
            programs: &[("cl", &client), ("sv", &any)],
            ask: "10.7.0.2:80 --pid PID0",
            cause: "client-fds",
            errno: Errno::Any,
        },
        Case {
            name: "ephemeral ports",
            induce: &ports,
            programs: &[("sv", &any), ("cl", fill)],
            ask: "10.7.0.2:80",
            cause: "ports-out",
            errno: Errno::Is(99),
        },
        Case {
            name: "UDP buffer",
            induce: flood,
            programs: &[("sv", UDP_SMALL)],
            ask: "10.7.0.2:53 --proto udp",
            cause: "udp-buffer-full",
            errno: Errno::Any,
        },
        Case {
            name: "stopped, by pid",
            induce: "kill -STOP PID0",
            programs: &[("sv", &any)],
            ask: "PID0",
            cause: "client-halted",
            errno: Errno::Any,
        },
    ])
}

const UDP_SMALL: &str = "use IO::Socket::IP; my $l = IO::Socket::IP->new(Type => 2, LocalHost => '10.7.0.2', LocalPort => 53, \
    Proto => 'udp') or die; setsockopt($l, 1, 8, pack('I', 4096)); sleep 600";
