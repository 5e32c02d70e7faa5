//! Every form of `ss` expression, evaluated by `ss` and by sockscope over the same sockets; and filtering in the
//! kernel compared with filtering in user space.

use super::compare::check;
use super::rows;
use super::world::{World, addr, listen};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::filter::Filter;
use sockscope::model::{ProtoSet, Reads, StateSet, Wants};
use sockscope::table::SOCKETS;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Expressions of `ss`, in words as passed by a shell.
const EXPRESSIONS: &[&str] = &[
    "state established",
    "state listening",
    "state time-wait state close-wait",
    "exclude listening",
    "exclude established exclude listening",
    "state connected",
    "state synchronized",
    "state bucket",
    "state big",
    "state all",
    "state fin-wait-2",
    "state syn-sent",
    "state unconnected",
    "sport = :7400",
    "dport = :7400",
    "sport = 7400",
    "sport eq 7401",
    "sport == 7401",
    "sport != :7400",
    "sport ne 7400",
    "sport gt 7400",
    "sport > 7401",
    "sport lt 7401",
    "sport < :7401",
    "sport ge 7401",
    "sport >= 7401",
    "sport le 7400",
    "sport geq 7401",
    "dport leq 7401",
    "dport > 40000",
    "src 127.0.0.1",
    "src = 127.0.0.1",
    "src 127.0.0.0/8",
    "src 127.0.0.1:7400",
    "dst 127.0.0.0/8",
    "dst 127.0.0.2",
    "dst [::1]",
    "src [::1]:7401",
    "dst 127.0.0.1:7400",
    "src *:7402",
    "not sport = :7400",
    "! sport = :7400",
    "not dst 127.0.0.1",
    "not ( sport = :7400 or dport = :7400 )",
    "( sport = :7400 )",
    "( sport = :7400 or dport = :7400 )",
    "( sport = :7400 | dport = :7400 )",
    "( sport = :7400 || dport = :7400 )",
    "sport = :7400 and dst 127.0.0.1",
    "sport = :7400 & dst 127.0.0.1",
    "sport = :7400 && dst 127.0.0.1",
    "sport = :7400 dst 127.0.0.1",
    "state established ( dport = :7400 or sport = :7400 ) dst 127.0.0.0/8",
    "state established ( sport = :7400 or sport = :7401 ) and not dst [::1]",
    "exclude time-wait sport gt 1024",
    "dst inet:127.0.0.1",
    "src inet6:[::1]",
    "dport = :http",
    "sport = :ssh",
    "dev lo",
    "dev = lo",
    "dev != lo",
    "autobound",
    "not autobound",
    "autobound and sport > 0",
    "not ( autobound or sport = :7400 )",
    "cgroup CGROUP",
    "not cgroup CGROUP",
    "( cgroup CGROUP and sport = :7400 )",
    "fwmark = 0",
    "fwmark 0x1/0xff",
    "( ( sport = :7400 ) )",
    "sport = :7400 or sport = :7401 or sport = :7402",
    "state syn-recv",
    "state close-wait",
    "state last-ack",
    "state closing",
    "state closed",
    "state close",
    "state fin-wait-1",
    "state established exclude time-wait",
    "exclude bucket",
    "exclude big",
    "exclude synchronized",
    "exclude connected",
    "sport neq :7400",
    "dport != 7400",
    "sport <= :7401",
    "sport ge :7401",
    "sport gt :7400",
    "dport < 40000",
    "dport lt 40000",
    "dport geq 1",
    "dport = 0",
    "dport eq :7400",
    "sport > 65534",
    "dst = [::1]",
    "src == 127.0.0.1",
    "src 127/8",
    "src 0.0.0.0/0",
    "src *",
    "src *:*",
    "dst *",
    "dst 127.0.0.0/31:7400",
    "src localhost:7400",
    "dst inet:127.0.0.1:7400",
    "dst inet6:*",
    "fwmark 0",
    "fwmark != 0",
    "fwmark != 1/1",
    "cgroup = CGROUP",
    "cgroup != CGROUP",
    "dev == lo",
    "not ( not sport = :7400 )",
    "! dst 127.0.0.1 & sport = :7400",
    "sport = :7400 and dst 127.0.0.1 or sport = :7401",
    "sport gt 7400 and not dport lt 1",
    "state all sport = 7400",
    "state listening autobound",
    "sport = 0x1ce8",
    "sport = :016350",
    "sport != 0x1ce8",
    "sport ge 0x1ce8 and sport le 016352",
    "src 127.0.0.1:0x1ce8",
    "sport = *",
    "dport = *",
    "sport = :*",
    "dev 0",
    "not dev lo",
];

/// Sockets to select from.
#[derive(Default)]
struct Sockets {
    world: World,
    made: Option<Instant>,
}

impl Sockets {
    /// Reopens expired sockets: `TIME_WAIT`, and `FIN_WAIT2` without a process, last for a minute.
    fn renew(&mut self) {
        if self.made.is_none_or(|made| made.elapsed() > Duration::from_secs(20)) {
            self.world = World::default();
            open(&mut self.world);
            self.made = Some(Instant::now());
        }
    }
}

fn open(w: &mut World) {
    let l4 = listen("127.0.0.1:7400", 16, false);
    let l6 = listen("[::1]:7401", 16, true);
    let dual = listen("[::]:7402", 16, false);
    w.established(&l4, None);
    w.established(&l4, None);
    w.established(&l6, None);
    w.established(&dual, Some(addr("127.0.0.2:7402")));
    w.established(&dual, Some(addr("[::1]:7402")));
    w.close_wait(&l4);
    w.fin_wait2(&l4);
    World::time_wait(&l4);
    w.syn_sent(7403);
    w.datagram("127.0.0.1:7404", None);
    w.datagram("127.0.0.1:7405", Some("127.0.0.1:7404"));
    w.datagram("[::1]:7406", None);
    w.listeners.extend([l4, l6, dual]);
}

/// Path of the test's cgroup.
fn cgroup_mount() -> Result<String, String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("mountinfo: {e}"))?;
    let own = std::fs::read_to_string("/proc/self/cgroup").map_err(|e| format!("cgroup: {e}"))?;
    let below = own.lines().find_map(|l| l.strip_prefix("0::")).ok_or("no cgroup v2")?.trim_end_matches('/');
    let point = mounts
        .lines()
        .find(|l| l.contains(" - cgroup2 "))
        .and_then(|l| l.split(' ').nth(4))
        .ok_or("cgroup v2 is not mounted")?;
    Ok(format!("{point}{below}"))
}

type Short = (String, String, String, String);

/// Rows of an expression in `ss` and sockscope; fails with the differences.
fn both(expression: &str) -> Result<BTreeSet<Short>, String> {
    let words: Vec<&str> = expression.split(' ').collect();
    let short = |r: rows::Row| -> Short { (r.proto, r.state, r.local, r.remote) };
    let theirs: BTreeSet<Short> = rows::ss_with(&words)?.into_iter().map(short).collect();
    let stateless = theirs.iter().all(|r| r.1.is_empty());
    let ours = rows::ours(&words)?.into_iter().map(short);
    let ours: BTreeSet<Short> =
        ours.map(|r| if stateless { (r.0, String::new(), r.2, r.3) } else { r }).collect();
    check(ours == theirs, || {
        let only = |a: &BTreeSet<Short>, b: &BTreeSet<Short>| a.difference(b).cloned().collect::<Vec<_>>();
        format!("only sockscope: {:?}\n  only ss: {:?}", only(&ours, &theirs), only(&theirs, &ours))
    })?;
    Ok(theirs)
}

/// Every expression selects the same rows as in `ss`.
pub(crate) fn expressions_of_ss_select_the_rows_of_ss() -> Result<(), String> {
    let cgroup = cgroup_mount()?;
    let mut bad = String::new();
    let mut told_apart = 0;
    let mut sockets = Sockets::default();
    for e in EXPRESSIONS {
        sockets.renew();
        let e = &e.replace("CGROUP", &cgroup);
        // A socket that expires between the two is in only one of them.
        match (0..5).map(|_| both(e)).find(Result::is_ok).unwrap_or_else(|| both(e)) {
            Ok(rows) => told_apart += usize::from(!rows.is_empty()),
            Err(why) => {
                let _ = writeln!(bad, "{e}\n  {why}");
            }
        }
    }
    check(told_apart > 85, || format!("only {told_apart} expressions match anything"))?;
    check(bad.is_empty(), || bad)
}

/// Random expressions: pushdown followed by evaluation gives the same rows as evaluation of
/// the full dump.
pub(crate) fn filter_in_the_kernel_loses_no_row() -> Result<(), String> {
    let mut sockets = Sockets::default();
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |n: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x % n as u64) as usize
    };
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let mut wants = Wants::default().without(Reads::OWNERS | Reads::PROCESSES);
    let (mut pushed, mut saved) = (0, 0usize);
    let began = Instant::now();
    for round in 0..4000 {
        // The kernel's hash tables are machine-wide: with many sockets each dump takes long.
        if pushed > 1000 && saved > 1000 && began.elapsed() > Duration::from_secs(20) {
            break;
        }
        sockets.renew();
        let text = expression(&mut random, 3);
        let filter = Filter::parse(&text, &SOCKETS).map_err(|e| format!("{text}: {e}"))?;
        let push = filter.pushdown();
        wants.states = StateSet::ALL;
        wants.prefilter = None;
        wants.protos = ProtoSet::TCP_UDP | filter.protos();
        let mut read = |wants: &Wants| -> Result<(BTreeSet<u64>, usize), String> {
            let snap = Engine::new().step(source.sample(wants).map_err(|e| e.to_string())?);
            let rows = (0..snap.live).filter(|r| filter.matches(&snap, *r)).map(|r| snap.socket(r).id.cookie);
            Ok((rows.collect(), snap.live))
        };
        let whole = wants.clone();
        wants.states = push.states;
        wants.protos &= push.protos;
        wants.prefilter.clone_from(&push.prefilter);
        let ((mut all, total), (mut some, dumped)) = (read(&whole)?, read(&wants)?);
        // A TIME_WAIT may have expired between the two: a row that the kernel filters is filtered again.
        for _ in 0..3 {
            if all == some {
                break;
            }
            (all, some) = (read(&whole)?.0, read(&wants)?.0);
        }
        pushed += usize::from(push.prefilter.is_some());
        saved += total - dumped.min(total);
        check(all == some, || {
            format!(
                "round {round}: {text}\n  as {:?}\n  all {all:?}\n  from the kernel {some:?}",
                push.prefilter
            )
        })?;
    }
    check(pushed > 1000 && saved > 1000, || format!("pushed {pushed}, saved {saved} rows"))
}

/// Every field that is pushed down, with and without a value, for every protocol: what the kernel returns for it has every row of
/// a full dump that matches.
pub(crate) fn field_pushed_down_loses_no_row_of_any_protocol() -> Result<(), String> {
    let _others = others()?;
    let mut sockets = Sockets::default();
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let whole = Wants { protos: ProtoSet::ALL, ..Wants::default().without(Reads::OWNERS | Reads::PROCESSES) };
    let mut read = |wants: &Wants| -> Result<std::sync::Arc<sockscope::model::Snapshot>, String> {
        Ok(Engine::new().step(source.sample(wants).map_err(|e| e.to_string())?))
    };
    for texts in pushed_fields().chunks(40) {
        sockets.renew();
        let before = read(&whole)?;
        for proto in FOUND {
            let found = (0..before.live).any(|r| before.socket(r).proto.name() == *proto);
            check(found, || format!("no {proto} socket"))?;
        }
        let mut lost = Vec::new();
        for text in texts {
            let filter = Filter::parse(text, &SOCKETS).map_err(|e| format!("{text}: {e}"))?;
            let push = filter.pushdown();
            let wants = Wants {
                states: push.states,
                protos: push.protos,
                prefilter: push.prefilter,
                ..whole.clone()
            };
            let some = read(&wants)?;
            let matching = |snap: &sockscope::model::Snapshot| -> BTreeSet<u64> {
                (0..snap.live)
                    .filter(|r| filter.matches(snap, *r))
                    .map(|r| snap.socket(r).id.cookie)
                    .collect()
            };
            let some = matching(&some);
            lost.push((text, matching(&before).difference(&some).copied().collect::<Vec<_>>()));
        }
        // A TIME_WAIT may have expired meanwhile.
        let after = read(&whole)?;
        for (text, lost) in lost {
            let lost = lost.iter().filter(|c| (0..after.live).any(|r| after.socket(r).id.cookie == **c));
            check(lost.count() == 0, || format!("{text} loses rows"))?;
        }
    }
    Ok(())
}

/// Sockets of the other protocols, bound and not.
fn others() -> Result<super::netns::Program, String> {
    let script = "
import socket as s, time
K = [s.socket(s.AF_UNIX), s.socket(s.AF_UNIX, s.SOCK_DGRAM), s.socket(s.AF_NETLINK, s.SOCK_RAW, 0)]
K[0].bind('\\0pushed'); K[0].listen(); K[1].bind('\\0pushed-too'); K[2].bind((0, 0)); K += s.socketpair()
for family in s.AF_INET, s.AF_INET6:
    for kind, proto in (s.SOCK_RAW, 99), (s.SOCK_DGRAM, 136), (s.SOCK_DGRAM, 1 if family == s.AF_INET else 58):
        try:
            k = s.socket(family, kind, proto); k.bind(('127.0.0.1' if family == s.AF_INET else '::1', 0)); K.append(k)
            k = s.socket(family, kind, proto); k.setsockopt(s.SOL_SOCKET, 25, b'lo'); k.setsockopt(s.SOL_SOCKET, 36, 1); K.append(k)
        except OSError as e: print(family, kind, proto, e)
K.append(s.socket(s.AF_PACKET, s.SOCK_RAW, 0)); p = s.socket(s.AF_PACKET, s.SOCK_DGRAM, 0x300); p.bind(('lo', 3)); K.append(p)
open('/run/others', 'w'); time.sleep(999)";
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").map_err(|e| e.to_string())?;
    let p = super::netns::background(&["python3", "-c", script])?;
    crate::wait::until("the sockets", || std::path::Path::new("/run/others").exists().then_some(()))?;
    Ok(p)
}

/// Protocols of which there are sockets.
const FOUND: &[&str] = &["tcp", "udp", "udplite", "raw", "icmp", "unix", "packet", "netlink"];

/// Every field that is pushed down, without a value and with one, for every protocol, alone, negated, and as an alternative.
fn pushed_fields() -> Vec<String> {
    const FIELDS: &[(&str, &[&str])] = &[
        ("state", &["listen", "established", "unconn"]),
        ("family", &["inet6", "unix", "netlink"]),
        ("iface", &["none", "lo"]),
        ("cgroup", &["none", "/"]),
        ("mark", &["none", "0", "1"]),
        ("lport", &["none", "0", "7400"]),
        ("rport", &["none", "0", "7400"]),
        ("port", &["none", "0", "7400-7402"]),
        ("local", &["none", "127.0.0.0/8", "::/0"]),
        ("remote", &["none", "0.0.0.0/8", "::1"]),
        ("addr", &["none", "127.0.0.1"]),
    ];
    let mut out = Vec::new();
    for proto in FOUND {
        for (field, values) in FIELDS {
            // Every socket has a state and a family.
            if values.contains(&"none") {
                out.push(format!("proto:{proto} {field}!=none"));
            }
            out.push(format!("not ({field}:{}) and (proto:{proto} or lport:7400)", values[0]));
            out.extend(values.iter().map(|value| {
                let op = if *field == "cgroup" { "=" } else { ":" };
                format!("proto:{proto} {field}{op}{value}")
            }));
        }
    }
    out
}

fn expression(random: &mut dyn FnMut(usize) -> usize, depth: usize) -> String {
    const LEAVES: &[&str] = &[
        "sport = 7400",
        "dport = 7400",
        "sport gt 7401",
        "dport lt 7403",
        "port:7400-7402",
        "lport:7404",
        "rport>50000",
        "src 127.0.0.0/8",
        "dst 127.0.0.2",
        "dst ::1",
        "addr:127.0.0.0/31",
        "remote:::/0",
        "local:0.0.0.0/0",
        "state:established",
        "state:listen,time-wait",
        "not-a-word",
        "dev lo",
        "fwmark = 1",
        "port!=7400",
        "lport:0-7401",
        "dport >= 0",
        "src ::/0",
        "proto:udp",
        "rport:7400,7402",
        "mark:none",
        "iface:none",
        "cgroup:none",
        "cgroup=/",
        "remote:none",
        "rport:none",
        "remote:0.0.0.0/8",
        "sport = *",
        "dev 0",
        "sport = 0x1ce8",
        "proto:unix",
        "proto:netlink",
        "proto:raw",
    ];
    match (depth, random(6)) {
        (0, _) | (_, 0..=1) => LEAVES[random(LEAVES.len())].to_owned(),
        (_, 2) => format!("not ({})", expression(random, depth - 1)),
        (_, 3) => format!("({} or {})", expression(random, depth - 1), expression(random, depth - 1)),
        _ => format!("({} and {})", expression(random, depth - 1), expression(random, depth - 1)),
    }
}
