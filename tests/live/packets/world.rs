//! A router with two client namespaces and a namespace of servers; probes are first packets of real connections, and
//! conntrack on the router reports where they were sent.

use super::six;
use crate::compare::check;
use crate::netns::{Program, sh};
use crate::wait::until;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The case itself runs on the router.
const NETWORK: &str = "set -e
    for n in cl1 cl2 sv; do
        ip netns add $n; ip -n $n link set lo up
        ip netns exec $n sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.default.accept_dad=0
    done
    sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.forwarding=1
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
    ip addr add 2001:db8::c000:201/120 dev c1 nodad; ip addr add 2001:db8::c633:6401/120 dev c2 nodad
    ip addr add 2001:db8::a4d:1/120 dev s1 nodad; ip addr add 2001:db8::cb00:7101/128 dev lo nodad
    ip -n cl1 addr add 2001:db8::c000:205/120 dev e0 nodad; ip -n cl1 addr add 2001:db8::c000:206/120 dev e0 nodad
    ip -n cl2 addr add 2001:db8::c633:6405/120 dev e0 nodad
    for a in 2 3 4 5 6 7 8 9; do ip -n sv addr add 2001:db8::a4d:$a/120 dev e0 nodad; done
    ip -n cl1 route add default via 2001:db8::c000:201; ip -n cl2 route add default via 2001:db8::c633:6401
    ip -n sv route add default via 2001:db8::a4d:1; ip route add default via 2001:db8::a4d:2
    echo 1 > /proc/sys/net/ipv4/ip_forward
    sysctl -qw net.netfilter.nf_conntrack_events=1
    for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done";

/// Tracks the connections of both families, whatever rules there are.
pub(super) const TRACKING: &str = "nft 'table inet tracking { chain c { type filter hook forward priority 0; ct state invalid counter; }; }'";

/// Opens the connections it reads, from a source address and port, without waiting for an answer.
const PROBER: &str = r#"use strict; use Socket qw(:all); use Fcntl; $| = 1; my @open;
    while (my $line = <STDIN>) {
        chomp $line;
        if ($line eq 'close') { close $_ for @open; @open = (); print "ok\n"; next }
        if ($line eq 'done') { print "ok\n"; next }
        my ($proto, $from, $sport, $to, $dport) = split / /, $line;
        my $v6 = $to =~ /:/; my $family = $v6 ? AF_INET6 : AF_INET;
        my $addr = sub { my ($port, $ip) = @_; $ip = inet_pton($family, $ip);
            $v6 ? pack_sockaddr_in6($port, $ip) : sockaddr_in($port, $ip) };
        socket(my $s, $family, $proto eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM, 0) or die "socket: $!";
        setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
        bind($s, $addr->($sport, $from)) or die "bind $line: $!";
        fcntl($s, F_SETFL, O_NONBLOCK);
        connect($s, $addr->($dport, $to));
        send($s, 'x', 0) if $proto eq 'udp';
        push @open, $s;
    }"#;

/// Forgets the tracked connections of both families.
pub(super) const FLUSH: &str = "conntrack -F 2>/dev/null; conntrack -f ipv6 -F 2>/dev/null; true";

/// Time without a new entry after which the missing ones are taken to be dropped.
const QUIET: Duration = Duration::from_millis(150);

/// First packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Probe {
    pub(super) tcp: bool,
    pub(super) source: (IpAddr, u16),
    pub(super) dest: (IpAddr, u16),
}

impl Probe {
    pub(super) const fn is_v6(&self) -> bool {
        self.source.0.is_ipv6()
    }

    pub(super) const fn proto(&self) -> &'static str {
        if self.tcp { "tcp" } else { "udp" }
    }

    /// Interface of the router on which it arrives, and the address of the router there.
    pub(super) fn arrives(&self) -> (&'static str, IpAddr) {
        let v6 = self.is_v6();
        let first = [[192, 0, 2, 5], [192, 0, 2, 6]].map(|a| six::in_family(a, v6)).contains(&self.source.0);
        if first {
            ("c1", six::in_family([192, 0, 2, 1], v6))
        } else {
            ("c2", six::in_family([198, 51, 100, 1], v6))
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, dest) = (self.source, self.dest);
        let socket = |e: (IpAddr, u16)| SocketAddr::new(e.0, e.1);
        write!(f, "{} {} -> {}", self.proto(), socket(source), socket(dest))
    }
}

/// True for an address of the router.
pub(super) fn is_local(addr: IpAddr) -> bool {
    let local = [[192, 0, 2, 1], [198, 51, 100, 1], [203, 0, 113, 1], [10, 77, 0, 1]];
    local.iter().any(|a| [six::in_family(*a, false), six::in_family(*a, true)].contains(&addr))
}

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
type Sent = Arc<Mutex<HashMap<Probe, (IpAddr, u16)>>>;

/// The namespaces with their probers.
pub(super) struct World {
    probers: [Prober; 2],
    _events: Program,
    sent: Sent,
}

impl World {
    pub(super) fn new() -> Result<Self, String> {
        sh(NETWORK)?;
        sh(TRACKING)?;
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
            let probe = |v6| Probe {
                tcp: false,
                source: (six::in_family([192, 0, 2, 5], v6), port),
                dest: (six::in_family([203, 0, 113, 7], v6), 9),
            };
            let landed = world.send(&[probe(false), probe(true)]).ok()?;
            landed.iter().all(Option::is_some).then_some(())
        })?;
        Ok(world)
    }

    /// Sends the probes and returns the new destination of each; `None` without entry in conntrack: dropped.
    pub(super) fn send(&mut self, probes: &[Probe]) -> Result<Vec<Option<(IpAddr, u16)>>, String> {
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

    fn send_once(&mut self, probes: &[Probe]) -> Result<Vec<Option<(IpAddr, u16)>>, String> {
        for p in &mut self.probers {
            p.tell("close\n")?;
        }
        sh(FLUSH)?;
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
fn entry(line: &str) -> Option<(Probe, (IpAddr, u16))> {
    let values = |key: &'static str| line.split_whitespace().filter_map(move |w| w.strip_prefix(key));
    let address = |key, n| values(key).nth(n)?.parse::<IpAddr>().ok();
    let port = |key, n| values(key).nth(n)?.parse::<u16>().ok();
    let tcp = line.split_whitespace().any(|w| w == "tcp");
    let source = (address("src=", 0)?, port("sport=", 0)?);
    let probe = Probe { tcp, source, dest: (address("dst=", 0)?, port("dport=", 0)?) };
    Some((probe, (address("src=", 1)?, port("sport=", 1)?)))
}
