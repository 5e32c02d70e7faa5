//! Ceilings of the whole machine: each is lowered to just above what is in use, driven, one call after the other, until the call fails,
//! and restored. Runs alone, on demand, since every program of the machine is below them meanwhile.
//!
//! ```text
//! ./tests/run --daemons                              after the daemons
//! cargo test --test machine_ceilings -- --ignored    by itself
//! ```
//!
//! A ceiling is at 100 % when the call fails: exactly where the kernel counts exactly (conntrack entries, orphans), otherwise within
//! the part that it counts in advance, or for each CPU by itself ([`Ceiling::slack`]).

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "isolation/cases.rs"]
#[allow(dead_code)]
mod cases;
#[allow(dead_code)]
#[path = "isolation/namespaces.rs"]
mod namespaces;

use cases::Case;
use namespaces::Scope;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};

const CASES: &[Case] = &[Case {
    name: "machine_ceilings::ceiling_of_the_machine_is_full_when_the_call_fails",
    tools: &["perl", "nsenter", "nft", "ip", "setpriv"],
    scope: Scope::RootHostPids,
    run: ceiling_of_the_machine_is_full_when_the_call_fails,
}];

fn main() -> ExitCode {
    cases::on_demand(CASES)
}

/// One ceiling and what makes the call that it limits.
struct Ceiling {
    /// Name in `limits`, and the subject of its row.
    limit: &'static str,
    subject: &'static str,
    /// Below `/proc/sys`.
    sysctl: &'static str,
    /// Room above what is in use, in the unit of the sysctl.
    room: u64,
    /// Bytes of that unit.
    unit: u64,
    /// Value of the sysctl for a maximum.
    value: fn(u64) -> String,
    /// Difference between the row and the kernel's decision, in the unit of the sysctl, for each CPU.
    slack: u64,
    /// A Perl program that makes one call for each line of its input and prints 0, or the errno of a failure (1: a drop, by the
    /// kernel's counter).
    script: &'static str,
    errno: i32,
}

fn one(n: u64) -> String {
    n.to_string()
}

const PAGE: u64 = 4096;

/// The initial network namespace and what all share, seen from another one.
const HOST: &str = "this host|netns host";

const CEILINGS: &[Ceiling] = &[
    // Root is not limited. The kernel compares an estimate that lags behind by up to 32 files a CPU, and never fails below the maximum.
    Ceiling {
        limit: "files",
        subject: HOST,
        sysctl: "fs/file-max",
        room: 150,
        unit: 1,
        value: one,
        slack: 256,
        script: r#"($(, $)) = (64321, "64321 64321"); ($<, $>) = (64321, 64321);
            while (<STDIN>) { if (open my $f, '<', '/dev/null') { push @h, $f; print "0\n" } else { print $! + 0, "\n" } }"#,
        errno: 23,
    },
    // Established connections: others are dropped early to make room.
    Ceiling {
        limit: "conntrack",
        subject: "this namespace",
        sysctl: "net/netfilter/nf_conntrack_max",
        room: 40,
        unit: 1,
        value: one,
        slack: 0,
        script: r#"use Socket; use Fcntl; socket(L, 2, 1, 0); bind(L, sockaddr_in(7963, inet_aton('127.0.0.1'))) or die; listen(L, 99);
            while (<STDIN>) { socket(my $c, 2, 1, 0); fcntl($c, F_SETFL, O_NONBLOCK);
            connect($c, sockaddr_in(7963, inet_aton('127.0.0.1'))); push @h, $c; my $w = ''; vec($w, fileno($c), 1) = 1;
            print select(undef, $w, undef, 2) ? "0\n" : "110\n" }"#,
        errno: 110,
    },
    // Closed with data that its peer does not read. The kernel sums over the CPUs ten times a second, and
    // resets one of those beyond the maximum when its timer for a probe of the window expires.
    Ceiling {
        limit: "orphans",
        subject: HOST,
        sysctl: "net/ipv4/tcp_max_orphans",
        room: 12,
        unit: 1,
        value: one,
        slack: 0,
        script: r#"use Socket; use Fcntl;
            sub aborts { open my $f, '<', '/proc/net/netstat'; my @n = split ' ', <$f>; my @v = split ' ', <$f>; my %h; @h{@n} = @v;
            $h{TCPAbortOnMemory} }
            sub orphans { open my $f, '<', '/proc/net/sockstat'; (join '', <$f>) =~ /orphan (\d+)/; $1 }
            socket(L, 2, 1, 0); bind(L, sockaddr_in(7964, inet_aton('127.0.0.1'))) or die; listen(L, 99);
            while (<STDIN>) { my ($a, $o) = (aborts(), orphans()); socket(my $c, 2, 1, 0);
            connect($c, sockaddr_in(7964, inet_aton('127.0.0.1'))) or die; fcntl($c, F_SETFL, O_NONBLOCK);
            1 while syswrite($c, 'x' x 65536); accept(my $s, L); push @h, $s; close $c;
            select undef, undef, undef, .05 until orphans() > $o or aborts() > $a;
            select undef, undef, undef, .5; print aborts() > $a ? "1\n" : "0\n" }"#,
        errno: 1,
    },
    // Incomplete entries of a link without another host; one whose requests have all been sent could be
    // removed. At the maximum the kernel removes stale entries of other links first.
    Ceiling {
        limit: "neighbours",
        subject: "IPv4|IPv4 netns host",
        sysctl: "net/ipv4/neigh/default/gc_thresh3",
        room: 60,
        unit: 1,
        value: one,
        slack: 8,
        script: r#"use Socket; system('ip link add s0 type veth peer name s1 && ip link set s1 up && ip link set s0 up && \
            ip addr add 10.99.0.1/16 dev s0 && echo 600000 > /proc/sys/net/ipv4/neigh/s0/retrans_time_ms') and die;
            while (<STDIN>) { $n++; socket(my $s, 2, 2, 0); setsockopt($s, 0, 11, pack('i', 1)); push @h, $s;
            print defined send($s, 'x', 0, sockaddr_in(9, inet_aton('10.99.1.' . $n))) ? "0\n" : $! + 0 . "\n" }"#,
        errno: 105,
    },
    // A CPU takes memory in advance, 1 MiB at a time.
    Ceiling {
        limit: "udp-mem",
        subject: HOST,
        sysctl: "net/ipv4/udp_mem",
        room: 1200,
        unit: PAGE,
        value: |n| format!("{n} {} {}", 2 * n, 3 * n),
        slack: 256,
        script: r#"use Socket; socket(L, 2, 2, 0); setsockopt(L, 1, 33, pack('i', 100_000_000)) or die;
            bind(L, sockaddr_in(7965, inet_aton('127.0.0.1'))) or die; socket(C, 2, 2, 0);
            sub drops { open my $f, '<', '/proc/net/udp'; for (<$f>) { my @c = split; return $c[12] if $c[1] =~ /:1F1D$/ } }
            while (<STDIN>) { my $d = drops(); send(C, 'x' x 32000, 0, sockaddr_in(7965, inet_aton('127.0.0.1'))) or die;
            print drops() > $d ? "1\n" : "0\n" }"#,
        errno: 1,
    },
    // The share of a socket is the third value by the number of sockets: many idle ones make it small.
    Ceiling {
        limit: "tcp-mem",
        subject: HOST,
        sysctl: "net/ipv4/tcp_mem",
        room: 4000,
        unit: PAGE,
        value: |n| format!("{} {n} {}", n - n / 8, n + n / 8),
        slack: 384,
        script: r#"use Socket; use Fcntl;
            sub drops { open my $f, '<', '/proc/net/netstat'; my @n = split ' ', <$f>; my @v = split ' ', <$f>; my %h; @h{@n} = @v;
            $h{TCPRcvQDrop} }
            socket(L, 2, 1, 0); bind(L, sockaddr_in(7966, inet_aton('127.0.0.1'))) or die; listen(L, 99); my $c;
            for (1 .. 200) { socket(my $i, 2, 1, 0); connect($i, sockaddr_in(7966, inet_aton('127.0.0.1'))) or die;
            accept(my $j, L); push @h, $i, $j }
            sub one { my $n = 0; until ($n) { if (!$c) { socket($c, 2, 1, 0); connect($c, sockaddr_in(7966, inet_aton('127.0.0.1'))) or die;
            fcntl($c, F_SETFL, O_NONBLOCK); accept(my $s, L); push @h, $c, $s }
            $n = syswrite($c, 'x' x 65536) or undef $c; last if drops() > $d } }
            while (<STDIN>) { $d = drops(); one(); print drops() > $d ? "1\n" : "0\n" }"#,
        errno: 1,
    },
];

/// A process that is ended at the end.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A setting that is restored at the end.
struct Lowered {
    path: String,
    before: String,
}

/// The nearest ancestor in another network namespace than this process: the test program itself, which stays outside.
fn outside() -> Result<u32, String> {
    let netns = |pid: &str| {
        std::fs::read_link(format!("/proc/{pid}/ns/net")).map_err(|e| format!("process {pid}: {e}"))
    };
    let here = netns("self")?;
    let mut pid = "self".to_owned();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
        let parent =
            status.lines().find_map(|l| l.strip_prefix("PPid:")).map(str::trim).ok_or("no parent")?;
        if netns(parent)? != here {
            return parent.parse().map_err(|e| format!("{parent}: {e}"));
        }
        parent.clone_into(&mut pid);
    }
}

/// Runs a shell command in the network namespace that the test was started in.
fn in_host(command: &str) -> Result<String, String> {
    let netns = format!("--net=/proc/{}/ns/net", outside()?);
    let out = Command::new("nsenter").args([&netns, "sh", "-c", command]).output();
    let out = out.map_err(|e| format!("nsenter: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if out.status.success() {
        Ok(text)
    } else {
        Err(format!("{command}: {}", String::from_utf8_lossy(&out.stderr)))
    }
}

impl Lowered {
    fn to(sysctl: &str, value: &str) -> Result<Self, String> {
        let path = format!("/proc/sys/{sysctl}");
        let before = in_host(&format!("cat {path}"))?;
        let lowered = Self { path, before };
        in_host(&format!("echo {value} > {}", lowered.path))?;
        Ok(lowered)
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        _ = in_host(&format!("echo {} > {}", self.before, self.path));
    }
}

/// The row of a ceiling, read by the program: used, maximum, level.
fn row(c: &Ceiling) -> Result<(u64, u64, String), String> {
    let netns = if c.subject == "this namespace" { "here" } else { "all" };
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockscope"));
    command.args(["limits", "--netns", netns, "--format", "json", &format!("limit:{}", c.limit)]);
    let out = command.output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    let rows: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    let is_mine = |r: &&Value| {
        netns == "here" || r["subject"].as_str().is_some_and(|s| c.subject.split('|').any(|is| is == s))
    };
    let found =
        rows.as_array().into_iter().flatten().find(is_mine).ok_or_else(|| format!("no row: {text}"))?;
    let number = |key: &str| found[key].as_u64().ok_or_else(|| format!("{key} of {found}"));
    Ok((number("used")?, number("max")?, found["level"].as_str().unwrap_or_default().to_owned()))
}

fn ceiling_of_the_machine_is_full_when_the_call_fails() -> Result<(), String> {
    // Connection tracking is off in a namespace without a rule that needs it.
    let rules = "nft add table ip t && nft 'add chain ip t c { type filter hook output priority 0; }' && nft add rule ip t c ct state new counter";
    let out = Command::new("sh").args(["-c", rules]).output().map_err(|e| e.to_string())?;
    if !out.status.success() {
        return Err(format!("nft: {}", String::from_utf8_lossy(&out.stderr)));
    }
    for c in CEILINGS {
        let (used, failed_at) = drive(c).map_err(|e| format!("{}: {e}", c.limit))?;
        eprintln!("{:<12} lowered to {} above {used}: the call failed at {failed_at}", c.limit, c.room);
    }
    Ok(())
}

/// Drives a ceiling. Returns the number in use at the start, and the row before the call that failed.
fn drive(c: &Ceiling) -> Result<(u64, String), String> {
    let mut sh = Command::new("perl");
    sh.args(["-e", &format!("$| = 1; {}", c.script)]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut driver = Driver(sh.spawn().map_err(|e| e.to_string())?);
    let (Some(mut orders), Some(answers)) = (driver.0.stdin.take(), driver.0.stdout.take()) else {
        return Err("no pipes".to_owned());
    };
    let mut answers = BufReader::new(answers);
    let mut call = || -> Result<i32, String> {
        let mut answer = String::new();
        writeln!(orders, "go").and_then(|()| answers.read_line(&mut answer)).map_err(|e| e.to_string())?;
        answer.trim().parse().map_err(|e| format!("{e}: {answer:?}"))
    };
    let got = call()?;
    if got != 0 {
        return Err(format!("errno {got} at the first call"));
    }
    let (before, _, _) = row(c)?;
    let max = before / c.unit + c.room;
    let _lowered = Lowered::to(c.sysctl, &(c.value)(max))?;
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let slack = c.slack * cpus * c.unit;
    // Where the kernel is not exact, the row is read less often.
    let step = if c.slack == 0 { 1 } else { 8 };
    for _ in 0..(c.room + 2 * c.slack * cpus) / step + 10 {
        let (used, most, level) = row(c)?;
        if most != max * c.unit {
            return Err(format!("the maximum is {most}, not {max} of {} bytes", c.unit));
        }
        let seen = format!("{used} of {most} ({level})");
        for _ in 0..step {
            match call()? {
                0 if used >= most + slack => return Err(format!("{seen}, and the call did not fail")),
                0 => {}
                got if got != c.errno => return Err(format!("errno {got} at {seen}")),
                _ if used + slack < most => return Err(format!("the call failed at {seen}")),
                _ if level == "ok" || slack == 0 && level != "critical" => {
                    return Err(format!("the call failed at {seen}"));
                }
                _ => return Ok((before, seen)),
            }
        }
    }
    Err("the call never fails".to_owned())
}
