//! Ephemeral ports: each way in which the kernel chooses one is driven until the system call fails, and `limits` is at 100 %
//! exactly then.

use super::compare::check;
use super::limits::{Program, Watch};
use crate::wait::until;
use sockscope::model::limit::{Level, Limit, LimitKind, LimitSubject};
use sockscope::model::{Proto, Snapshot};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Opens one socket per line of its input, as its arguments want: `4` or `6`, `tcp` or `udp`, steps in order (`b` bind to
/// port 0, `n` `IP_BIND_ADDRESS_NO_PORT`, `c` connect, `s` send), and destination ports in turn. Prints 0 or the errno. Its
/// connections end without `TIME_WAIT`.
const OPENER: &str = r#"
use Socket qw(:all); $| = 1; my ($six, $proto, $steps, @to) = @ARGV; $six = $six == 6;
my $type = $proto eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM; my $fam = $six ? AF_INET6 : AF_INET; my (@held, $i);
sub addr { my $p = shift; $six ? pack_sockaddr_in6($p, inet_pton(AF_INET6, '::1')) : pack_sockaddr_in($p, inet_aton('127.0.0.1')) }
while (<STDIN>) {
  socket(my $s, $fam, $type, 0) or die; setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)); my $ok = 1; my $to = addr($to[$i++ % @to]);
  for my $step (split //, $steps) {
    setsockopt($s, 0, 24, 1) if $step eq 'n';
    $ok &&= bind($s, addr(0)) if $step eq 'b';
    $ok &&= connect($s, $to) if $step eq 'c';
    $ok &&= defined send($s, 'x', 0, $to) if $step eq 's';
  }
  print $ok ? 0 : $! + 0, "\n"; push @held, $s if $ok;
}"#;

/// Ways to get an ephemeral port: family, protocol, steps, destinations, errno of the failure.
const WAYS: &[(&str, &str, &str, usize, i32)] = &[
    ("4", "tcp", "c", 1, EADDRNOTAVAIL),
    ("4", "tcp", "c", 3, EADDRNOTAVAIL),
    ("4", "tcp", "bc", 3, EADDRINUSE),
    ("4", "tcp", "bc", 1, EADDRINUSE),
    ("4", "tcp", "nbc", 1, EADDRNOTAVAIL),
    ("6", "tcp", "c", 1, EADDRNOTAVAIL),
    ("6", "tcp", "bc", 3, EADDRINUSE),
    ("6", "tcp", "nbc", 1, EADDRNOTAVAIL),
    ("4", "udp", "c", 1, EAGAIN),
    ("4", "udp", "s", 1, EAGAIN),
    ("4", "udp", "b", 1, EADDRINUSE),
    ("4", "udp", "bc", 1, EADDRINUSE),
    ("6", "udp", "c", 1, EAGAIN),
    ("6", "udp", "b", 1, EADDRINUSE),
    ("6", "udp", "bc", 1, EADDRINUSE),
];
const EADDRINUSE: i32 = 98;
const EADDRNOTAVAIL: i32 = 99;
const EAGAIN: i32 = 11;

/// First and last ephemeral port, reserved ones, and how many are left: of an odd number TCP may leave out the last.
const RANGES: &[(u16, u16, &str)] =
    &[(50_000, 50_015, ""), (50_000, 50_016, ""), (50_000, 50_019, "50003,50010-50012")];

fn set(name: &str, value: &str) -> Result<(), String> {
    let path = format!("/proc/sys/net/ipv4/{name}");
    std::fs::write(&path, value).map_err(|e| format!("{path}: {e}"))
}

/// The row that is fullest, of those about the next call: without bind only that of its destination.
fn fullest<'a>(snap: &'a Snapshot, proto: &str, binds: bool, next: u16) -> Option<&'a Limit> {
    let fits = |l: &&Limit| {
        l.kind == LimitKind::Ports
            && match &l.subject {
                LimitSubject::Route(_, to) => proto == "tcp" && (binds || to.port == next),
                LimitSubject::LocalPorts(p, _) => (*p == Proto::Tcp) == (proto == "tcp"),
                _ => false,
            }
    };
    let share = |l: &Limit| l.share().unwrap_or(0.0);
    snap.limits.iter().filter(fits).max_by(|a, b| share(a).total_cmp(&share(b)))
}

/// The listener of each destination.
fn listeners(six: bool) -> Vec<std::net::TcpListener> {
    let host = if six { "[::1]" } else { "127.0.0.1" };
    (7951..7954).filter_map(|p| std::net::TcpListener::bind(format!("{host}:{p}")).ok()).collect()
}

/// True if a socket of the namespace has a local port of this range, in whatever state.
fn any_between(low: u16, high: u16) -> bool {
    let tables = ["tcp", "tcp6", "udp", "udp6"].map(|t| format!("/proc/thread-self/net/{t}"));
    let text: String = tables.iter().filter_map(|t| std::fs::read_to_string(t).ok()).collect();
    let local = text.lines().filter_map(|l| l.split_whitespace().nth(1)?.rsplit(':').next());
    local.filter_map(|port| u16::from_str_radix(port, 16).ok()).any(|p| (low..=high).contains(&p))
}

/// Before every call `limits` has reported whether it fails: at 100 % it does, below it does not.
pub(crate) fn port_ceiling_is_full_exactly_when_the_call_fails() -> Result<(), String> {
    for (low, high, reserved) in RANGES {
        set("ip_local_port_range", &format!("{low} {high}"))?;
        set("ip_local_reserved_ports", &format!("{reserved}\n"))?;
        let exact = (high - low) % 2 == 1;
        for way @ (family, proto, steps, destinations, errno) in WAYS {
            let what = format!("{low}-{high} without {reserved:?}, {way:?}");
            // A port that the previous sockets were bound to is not free for any destination until the last of them is gone.
            until("the end of the previous sockets", || (!any_between(*low, *high)).then_some(()))?;
            let held = listeners(*family == "6");
            check(held.len() == 3, || format!("{what}: {} listeners", held.len()))?;
            let ports: Vec<String> = (0..*destinations).map(|i| (7951 + i).to_string()).collect();
            let mut perl = Command::new("perl");
            perl.args(["-e", OPENER, family, proto, steps])
                .args(&ports)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut opener = Program(perl.spawn().map_err(|e| e.to_string())?);
            let (Some(mut orders), Some(answers)) = (opener.stdin.take(), opener.stdout.take()) else {
                return Err("no pipes".to_owned());
            };
            let mut answers = BufReader::new(answers);
            let mut watch = Watch::new();
            let mut opened = 0_u16;
            loop {
                let snap = watch.poll();
                let next = 7951 + opened % (*destinations as u16);
                let row = fullest(&snap, proto, steps.starts_with('b'), next).cloned();
                let full = row.as_ref().and_then(Limit::share).is_some_and(|s| s >= 1.0);
                let mut answer = String::new();
                writeln!(orders, "go")
                    .and_then(|()| answers.read_line(&mut answer))
                    .map_err(|e| e.to_string())?;
                let got: i32 = answer.trim().parse().map_err(|e| format!("{what}: {e}: {answer:?}"))?;
                if got == 0 {
                    opened += 1;
                    // The last port of an odd range: TCP finds it or not.
                    check(!full || !exact && *proto == "tcp", || {
                        format!("{what}: the call did not fail at 100 % ({opened} open): {row:?}")
                    })?;
                    check(opened < 200, || format!("{what}: never fails"))?;
                    continue;
                }
                check(got == *errno, || format!("{what}: errno {got} after {opened}"))?;
                check(full, || format!("{what}: the call failed after {opened} below 100 %: {row:?}"))?;
                let level = row.map(|l| l.level);
                check(level == Some(Level::Critical), || format!("{what}: {level:?}"))?;
                break;
            }
        }
    }
    Ok(())
}
