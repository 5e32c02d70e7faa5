//! Owners by `bpf_iter` compared with those by a scan of `/proc`, and with the logs of the owners.

use super::compare::check;
use super::holders::{Holders, Span};
use crate::cases;
use crate::wait::{PATIENCE, until};
use sockscope::collect::{Choice, Engines, Source, open};
use sockscope::model::{FaultKind, Netns, OwnersBy, Reads, Sample, Wants};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub(crate) fn source(by: Option<OwnersBy>) -> Result<Box<dyn Source>, String> {
    open(Choice::Netlink, None, Netns::Here, by, sockscope::collect::EventMethod::Off, Engines::Off)
        .map_err(|e| e.to_string())
}

/// The owners of all these network namespaces.
pub(crate) fn source_of(netns: Netns) -> Result<Box<dyn Source>, String> {
    open(Choice::Netlink, None, netns, None, sockscope::collect::EventMethod::Off, Engines::Off)
        .map_err(|e| e.to_string())
}

pub(crate) fn read(source: &mut dyn Source) -> Result<Sample, String> {
    let wants = Wants::default().with(Reads::FD_KINDS);
    source.sample(&wants).map_err(|e| e.to_string())
}

/// Inode, pid and descriptor number of each socket of these processes.
fn claims(s: &Sample, pids: &BTreeSet<u32>) -> BTreeSet<(u64, u32, u32)> {
    let of = |o: &sockscope::model::Owner| (o.inode, s.processes[o.process as usize].info.pid, o.fd);
    s.owners.iter().map(of).filter(|(_, pid, _)| pids.contains(pid)).collect()
}

/// Descriptors of these processes by kind.
fn kinds(s: &Sample, pids: &BTreeSet<u32>) -> BTreeMap<u32, String> {
    let processes =
        |p: &sockscope::model::Process| (p.info.pid, format!("{:?}", p.fds.map(|f| (f.open, f.kinds))));
    s.processes.iter().filter(|p| pids.contains(&p.info.pid)).map(processes).collect()
}

fn fell_back(s: &Sample) -> Option<String> {
    s.faults.iter().find(|f| f.kind == FaultKind::NotUsed).map(|f| f.detail.clone())
}

/// While sockets are opened, closed, duplicated and passed and processes start and exit, every owner that is reported was
/// an owner at some time of the read, and every owner throughout the read is reported. At rest both methods agree.
pub(crate) fn bpf_owners_under_churn_are_true() -> Result<(), String> {
    let mut holders = Holders::start(8);
    let mut source = source(Some(OwnersBy::BpfIter))?;
    let mut readings = Vec::new();
    let (began, mut replace) = (Instant::now(), Instant::now());
    // Each takes long on a machine with many descriptors.
    let enough = |n: usize| n >= 150 || n > 20 && began.elapsed() > Duration::from_secs(20);
    while !enough(readings.len()) && began.elapsed() < PATIENCE {
        let s = read(source.as_mut())?;
        check(s.owners_by == Some(OwnersBy::BpfIter), || {
            format!("by {:?}: {:?}", s.owners_by, fell_back(&s))
        })?;
        let window = (s.at.boot_ns, s.at.boot_ns + s.duration_us * 1000 + 1000);
        readings.push((window, claims(&s, &holders.pids)));
        if replace.elapsed() > Duration::from_millis(150) {
            replace = Instant::now();
            holders.replace();
        }
    }
    holders.rest();
    at_rest(&holders)?;

    let spans = holders.spans();
    let mut by_claim: BTreeMap<_, Vec<&Span>> = BTreeMap::new();
    for s in &spans {
        by_claim.entry((s.inode, s.pid, s.fd)).or_default().push(s);
    }
    let mut certain = 0;
    for ((from, to), reads) in &readings {
        for claim @ (inode, pid, fd) in reads {
            let mut of = by_claim.get(claim).into_iter().flatten();
            check(of.any(|s| s.came.0 <= *to && s.went.1 >= *from), || {
                let all: Vec<&Span> = spans.iter().filter(|s| s.inode == *inode).collect();
                format!("wrong owner: {pid} did not hold {inode} as {fd} from {from} to {to}: {all:?}")
            })?;
        }
        for s in spans.iter().filter(|s| s.came.1 < *from && s.went.0 > *to) {
            certain += 1;
            check(reads.contains(&(s.inode, s.pid, s.fd)), || {
                format!("not seen from {from} to {to}: {s:?}")
            })?;
        }
    }
    check(readings.len() > 20 && certain > 200, || format!("{} readings, {certain} owners", readings.len()))
}

/// Holders at rest: the same owners and descriptor kinds by both methods, and the same rows.
fn at_rest(holders: &Holders) -> Result<(), String> {
    let mut reads = Vec::new();
    for by in [OwnersBy::BpfIter, OwnersBy::Walk] {
        let s = read(source(Some(by))?.as_mut())?;
        check(s.owners_by == Some(by), || format!("{by:?}, not {:?}: {:?}", s.owners_by, fell_back(&s)))?;
        reads.push((claims(&s, &holders.pids), kinds(&s, &holders.pids)));
    }
    check(reads[0].0.len() > 30, || format!("only {} owners", reads[0].0.len()))?;
    check(reads[0] == reads[1], || format!("iterator: {:?}\nwalk: {:?}", reads[0], reads[1]))?;
    let [a, b] = ["bpf", "walk"].map(|by| super::rows::ours(&["--owners", by]));
    let (a, b) = (a?, b?);
    check(a.len() > 5 && a == b, || format!("iterator: {a:?}\nwalk: {b:?}"))
}

/// In a nested pid namespace with its own `/proc`: pids of that namespace.
pub(crate) fn bpf_owners_in_a_pid_namespace_match_proc() -> Result<(), String> {
    let mut holders = Holders::start(4);
    let mut watch = source(Some(OwnersBy::Walk))?;
    until("sockets of the holders", || {
        let s = read(watch.as_mut()).ok()?;
        (claims(&s, &holders.pids).len() > 60).then_some(())
    })?;
    holders.rest();
    check(holders.pids.iter().all(|p| *p < 100), || {
        format!("numbers of another namespace: {:?}", holders.pids)
    })?;
    // The first read is parallel to the dumps, so it can predate the poll; missing processes are scanned later.
    let wants = Wants::default().with(Reads::FD_KINDS).without(Reads::OWNERS);
    let s = source(Some(OwnersBy::BpfIter))?.sample(&wants).map_err(|e| e.to_string())?;
    let mut processes = s.processes.iter().filter(|p| holders.pids.contains(&p.info.pid)).peekable();
    check(processes.peek().is_some(), || "no holder is seen".to_owned())?;
    let early = |p: &sockscope::model::Process| p.fds.is_ok_and(|f| f.kinds_at_ns < s.at.boot_ns);
    let late: Vec<u32> = processes.filter(|p| !early(p)).map(|p| p.info.pid).collect();
    check(late.is_empty(), || format!("the iterator left some out: {late:?}"))?;
    at_rest(&holders)
}

/// Falls back to scanning if `/proc` is that of another pid namespace.
pub(crate) fn bpf_with_another_proc_falls_back_to_proc() -> Result<(), String> {
    cases::nested(&["unshare", "--pid", "--fork"], "live::owners::with_the_proc_of_another_pid_namespace")
}

/// The nested case.
pub(crate) fn with_the_proc_of_another_pid_namespace() -> Result<(), String> {
    falls_back(&["another pid namespace"])
}

/// Without permission to load the iterator, /proc is scanned: silently, or with the reason if the iterator was requested.
pub(crate) fn bpf_without_permission_falls_back_to_proc() -> Result<(), String> {
    falls_back(&["initial user namespace", "CAP_BPF"])
}

fn falls_back(reasons: &[&str]) -> Result<(), String> {
    let _holds = std::net::UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    for by in [None, Some(OwnersBy::BpfIter), Some(OwnersBy::Walk)] {
        let s = read(source(by)?.as_mut())?;
        check(s.owners_by == Some(OwnersBy::Walk) && !s.owners.is_empty(), || {
            format!("by {:?}", s.owners_by)
        })?;
        let why = fell_back(&s);
        let fits = match by {
            Some(OwnersBy::BpfIter) => why.as_ref().is_some_and(|w| reasons.iter().any(|r| w.contains(r))),
            _ => why.is_none(),
        };
        check(fits, || format!("{by:?}: {why:?}"))?;
    }
    Ok(())
}
