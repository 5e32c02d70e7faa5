//! A router with two client namespaces and a namespace of servers; probes are first packets of real connections, and
//! conntrack on the router reports where they were sent.

use crate::compare::check;
use crate::netns::{Program, sh};
use crate::wait::until;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The case itself runs on the router.
const NETWORK: &str = "set -e
    for n in cl1 cl2 sv; do
        ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv4.ip_forward=0
    done
    ip link add c1 type veth peer name e0 netns cl1; ip link add c2 type veth peer name e0 netns cl2
    ip link add s1 type veth peer name e0 netns sv
    ip addr add 192.0.2.1/24 dev c1; ip addr add 198.51.100.1/24 dev c2; ip addr add 10.77.0.1/24 dev s1
    ip addr add 203.0.113.1/32 dev lo
    for i in c1 c2 s1; do ip link set $i up; done; for n in cl1 cl2 sv; do ip -n $n link set e0 up; done
    ip -n cl1 addr add 192.0.2.5/24 dev e0; ip -n cl1 addr add 192.0.2.6/24 dev e0
    ip -n cl2 addr add 198.51.100.5/24 dev e0
    for a in 2 3 4 5 6 7 8 9; do ip -n sv addr add 10.77.0.$a/24 dev e0; done
    ip -n cl1 route add default via 192.0.2.1; ip -n cl2 route add default via 198.51.100.1
    ip -n sv route add default via 10.77.0.1; ip route add default via 10.77.0.2
    echo 1 > /proc/sys/net/ipv4/ip_forward
    sysctl -qw net.netfilter.nf_conntrack_events=1
    for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done";

/// Opens the connections it reads, from a source address and port, without waiting for an answer.
const PROBER: &str = r#"use strict; use Socket; use Fcntl; $| = 1; my @open;
    while (my $line = <STDIN>) {
        chomp $line;
        if ($line eq 'close') { close $_ for @open; @open = (); print "ok\n"; next }
        if ($line eq 'done') { print "ok\n"; next }
        my ($proto, $from, $sport, $to, $dport) = split / /, $line;
        socket(my $s, AF_INET, $proto eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM, 0) or die "socket: $!";
        setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
        bind($s, sockaddr_in($sport, inet_aton($from))) or die "bind $line: $!";
        fcntl($s, F_SETFL, O_NONBLOCK);
        connect($s, sockaddr_in($dport, inet_aton($to)));
        send($s, 'x', 0) if $proto eq 'udp';
        push @open, $s;
    }"#;

/// Time without a new entry after which the missing ones are taken to be dropped.
const QUIET: Duration = Duration::from_millis(150);

/// First packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Probe {
    pub(super) tcp: bool,
    pub(super) source: (Ipv4Addr, u16),
    pub(super) dest: (Ipv4Addr, u16),
}

impl Probe {
    pub(super) const fn proto(&self) -> &'static str {
        if self.tcp { "tcp" } else { "udp" }
    }

    /// Interface of the router on which it arrives, and the address of the router there.
    pub(super) fn arrives(&self) -> (&'static str, Ipv4Addr) {
        if self.source.0.octets()[0] == 192 {
            ("c1", Ipv4Addr::new(192, 0, 2, 1))
        } else {
            ("c2", Ipv4Addr::new(198, 51, 100, 1))
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, dest) = (self.source, self.dest);
        write!(f, "{} {}:{} -> {}:{}", self.proto(), source.0, source.1, dest.0, dest.1)
    }
}

/// Addresses of the router.
pub(super) const LOCAL: [Ipv4Addr; 4] = [
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(203, 0, 113, 1),
    Ipv4Addr::new(10, 77, 0, 1),
];

struct Prober {
    _program: Program,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Prober {
    fn start(space: &str) -> Result<Self, String> {
        let mut child = Command::new("ip")
            .args(["netns", "exec", space, "perl", "-e", PROBER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let (to, from) = (child.stdin.take().ok_or("stdin")?, child.stdout.take().ok_or("stdout")?);
        Ok(Self { _program: Program(child), to, from: BufReader::new(from) })
    }

    fn tell(&mut self, lines: &str) -> Result<(), String> {
        self.to.write_all(lines.as_bytes()).and_then(|()| self.to.flush()).map_err(|e| e.to_string())?;
        let mut answer = String::new();
        self.from.read_line(&mut answer).map_err(|e| e.to_string())?;
        check(answer == "ok\n", || format!("the prober ended: {answer}"))
    }
}

/// New destinations by the original ones, as conntrack reports its entries. A table read later lacks connections that
/// were refused.
type Sent = Arc<Mutex<HashMap<Probe, (Ipv4Addr, u16)>>>;

/// The namespaces with their probers.
pub(super) struct World {
    probers: [Prober; 2],
    _events: Program,
    sent: Sent,
}

impl World {
    pub(super) fn new() -> Result<Self, String> {
        sh(NETWORK)?;
        // Connections are tracked while there is a rule that translates.
        sh(
            "nft 'table ip t { chain p { type nat hook prerouting priority -100; tcp dport 1 redirect; }; }'",
        )?;
        let mut events = Command::new("conntrack")
            .args(["-E", "-e", "NEW", "-b", "8388608"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let lines = BufReader::new(events.stdout.take().ok_or("stdout")?);
        let sent = Sent::default();
        let to = Arc::clone(&sent);
        std::thread::spawn(move || {
            for (probe, landed) in lines.lines().map_while(Result::ok).filter_map(|l| entry(&l)) {
                to.lock().unwrap().insert(probe, landed);
            }
        });
        let probers = [Prober::start("cl1")?, Prober::start("cl2")?];
        let mut world = Self { probers, _events: Program(events), sent };
        // Until the first event is reported.
        let mut port = 20_000;
        until("an event", || {
            port += 1;
            let source = (Ipv4Addr::new(192, 0, 2, 5), port);
            let probe = Probe { tcp: false, source, dest: (Ipv4Addr::new(203, 0, 113, 7), 9) };
            world.send(&[probe]).ok()?[0]
        })?;
        Ok(world)
    }

    /// Sends the probes and returns the new destination of each; `None` without entry in conntrack: dropped.
    pub(super) fn send(&mut self, probes: &[Probe]) -> Result<Vec<Option<(Ipv4Addr, u16)>>, String> {
        let mut landed = self.send_once(probes)?;
        // An event can be lost; a packet that is dropped is dropped again, from the next thousand of ports.
        for attempt in 1..=2 {
            let missing: Vec<usize> = (0..probes.len()).filter(|i| landed[*i].is_none()).collect();
            if missing.is_empty() {
                break;
            }
            let shifted = |i: &usize| {
                let p = probes[*i];
                Probe { source: (p.source.0, p.source.1 + 1_000 * attempt), ..p }
            };
            let again = self.send_once(&missing.iter().map(shifted).collect::<Vec<_>>())?;
            for (i, found) in missing.into_iter().zip(again) {
                landed[i] = found;
            }
        }
        Ok(landed)
    }

    fn send_once(&mut self, probes: &[Probe]) -> Result<Vec<Option<(Ipv4Addr, u16)>>, String> {
        for p in &mut self.probers {
            p.tell("close\n")?;
        }
        sh("conntrack -F 2>/dev/null")?;
        self.sent.lock().unwrap().clear();
        for (i, prober) in self.probers.iter_mut().enumerate() {
            let own = probes.iter().filter(|p| (p.arrives().0 == "c1") == (i == 0));
            let line = |p: &Probe| {
                let (source, dest) = (p.source, p.dest);
                format!("{} {} {} {} {}\n", p.proto(), source.0, source.1, dest.0, dest.1)
            };
            let lines: String = own.map(line).collect();
            prober.tell(&(lines + "done\n"))?;
        }
        // Until none is missing, or no more come.
        let (mut known, mut since) = (0, Instant::now());
        loop {
            let sent = self.sent.lock().unwrap();
            let found: Vec<_> = probes.iter().map(|p| sent.get(p).copied()).collect();
            drop(sent);
            let count = found.iter().flatten().count();
            if count == probes.len() || since.elapsed() > QUIET {
                return Ok(found);
            }
            if count != known {
                (known, since) = (count, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// An entry of conntrack: original and new destination.
fn entry(line: &str) -> Option<(Probe, (Ipv4Addr, u16))> {
    let values = |key: &'static str| line.split_whitespace().filter_map(move |w| w.strip_prefix(key));
    let address = |key, n| values(key).nth(n)?.parse::<Ipv4Addr>().ok();
    let port = |key, n| values(key).nth(n)?.parse::<u16>().ok();
    let tcp = line.split_whitespace().any(|w| w == "tcp");
    let source = (address("src=", 0)?, port("sport=", 0)?);
    let probe = Probe { tcp, source, dest: (address("dst=", 0)?, port("dport=", 0)?) };
    Some((probe, (address("src=", 1)?, port("sport=", 1)?)))
}
