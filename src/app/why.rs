//! `sockscope why`: why a connection does not work, by evidence.

mod text;
mod trace;

use super::exit_status::{ExitStatus, RunError};
use super::print::print;
use super::reader::Reader;
use crate::cli::why::{Target, WhyPlan};
use crate::cli::{Plan, UsageError};
use crate::collect::PathReader;
use crate::diagnose::why::{Answer, Client, Outgoing, Verdict, incoming, of_process, outgoing};
use crate::model::path::{FirstPacket, Stage};
use crate::model::{
    Addr, AttrSet, Endpoint, Needs, Netns, Proto, ProtoSet, Reads, Snapshot, State, StateSet, Wants,
};
use nix::unistd::User;
use std::sync::Arc;
use trace::{Tracer, from_neighbour};

/// Most processes of a name.
const MAX_PROCESSES: usize = 16;

/// Answers the question.
pub(super) fn run(plan: &Plan, why: &WhyPlan) -> Result<ExitStatus, RunError> {
    if !plan.is_live() {
        return Err(UsageError(
            "why: explains this machine as it is now, not a recording or demo data".into(),
        )
        .into());
    }
    let uid = why.user.as_deref().map(user).transpose()?;
    let snap = Reader::open_in(plan, Netns::All, wants(why))?.poll()?;
    let answers = answer(plan, why, uid, &snap)?;
    let code =
        answers.iter().map(|a| exit_code(a.verdict)).max_by_key(|code| [0, 2, 3, 1][usize::from(*code)]);
    if why.json {
        print(&text::json(&snap, &answers))?;
    } else {
        print(&text::text(&answers))?;
    }
    Ok(ExitStatus::Check(code.unwrap_or(3)))
}

/// Exit status of a verdict.
const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Reachable => 0,
        Verdict::Cause => 1,
        Verdict::Unknown => 3,
    }
}

/// Data that the answer needs beside the path. The connections of all namespaces are read for the sockets of a process only: the kernel
/// goes through its table of connections for each namespace.
fn wants(why: &WhyPlan) -> Wants {
    let reads = Reads::OWNERS | Reads::PROCESSES | Reads::LISTENERS | Reads::HALTED;
    let needs = Needs::reads(reads).or(Needs::attrs(AttrSet::SKMEM));
    let all = Wants::new(needs, ProtoSet::TCP_UDP.with(Proto::Mptcp));
    match why.target {
        Target::Pid(_) | Target::Name(_) => all,
        Target::Endpoint(_) | Target::Host(..) | Target::Port(_) => {
            Wants { states: StateSet::only(&[State::Listen, State::Unconn]), ..all }
        }
    }
}

/// Uid of a user by name or number.
fn user(text: &str) -> Result<u32, UsageError> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    let found = User::from_name(text).ok().flatten();
    found.map(|u| u.uid.as_raw()).ok_or_else(|| UsageError(format!("--as: unknown user {text:?}")))
}

/// The namespace of the question: that of the process, the one that is named, or that of this process.
fn start(plan: &Plan, why: &WhyPlan, snap: &Snapshot) -> Result<u16, UsageError> {
    if let Some(pid) = why.pid {
        return Ok(snap.sample.netns_of(pid));
    }
    match &plan.settings.netns {
        Netns::All | Netns::Here => Ok(0),
        named @ Netns::Named(name) => {
            let all = (0u16..).zip(snap.sample.namespaces.iter());
            let found = all.filter(|(i, n)| named.includes(n, *i == 0)).map(|(i, _)| i).next();
            found.ok_or_else(|| UsageError(format!("--netns: no network namespace {name:?}")))
        }
    }
}

fn answer(plan: &Plan, why: &WhyPlan, uid: Option<u32>, snap: &Snapshot) -> Result<Vec<Answer>, RunError> {
    let netns = start(plan, why, snap)?;
    let dest = match &why.target {
        Target::Endpoint(dest) => *dest,
        Target::Host(name, port) => Endpoint::new(from_hosts(name)?, *port),
        Target::Port(port) => {
            let mut tracer = Tracer::new(PathReader::new(), snap);
            let hops = tracer.addresses(netns, why.proto, *port, why.source);
            let translated = hops.iter().find(|h| h.translation.is_some());
            let path = translated.map(|h| tracer.follow(netns, from_neighbour(h), Stage::Input));
            return Ok(vec![incoming(snap, (why.proto, *port), netns, &hops, path.as_ref())]);
        }
        Target::Pid(pid) => {
            let found = of_process(snap, *pid);
            return Ok(vec![found.ok_or_else(|| UsageError(format!("why: no process {pid} is visible")))?]);
        }
        Target::Name(name) => return by_name(snap, name),
    };
    if let Some(pid) = why.pid.filter(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
        return Err(UsageError(format!("--pid: no process {pid}")).into());
    }
    let process = why.pid.and_then(|pid| snap.sample.processes.iter().find(|p| p.info.pid == pid));
    let own = rustix::process::geteuid().as_raw();
    let uid = uid.or_else(|| process.map(|p| p.info.uid)).unwrap_or(own);
    let client = Client { pid: why.pid, netns };
    let q = Outgoing { proto: why.proto, source: why.source, dest, client };
    let packet = FirstPacket {
        proto: why.proto,
        source: why.source,
        dest,
        mark: why.mark,
        uid: Some(uid),
        iif: None,
        translated: false,
    };
    let mut tracer = Tracer::new(PathReader::new(), snap);
    let (hops, end) = tracer.follow(netns, packet, Stage::Output);
    let pairs = connections(plan, snap, netns)?;
    let number = number_of(&pairs, snap.netns_inode(netns)).unwrap_or(netns);
    Ok(vec![outgoing(snap, (&pairs, number), &q, &hops, &end)])
}

/// Number of the namespace with this inode.
fn number_of(snap: &Snapshot, inode: u64) -> Option<u16> {
    snap.sample.namespaces.iter().position(|n| n.inode == inode).and_then(|n| u16::try_from(n).ok())
}

/// The connections of one namespace.
fn connections(plan: &Plan, snap: &Snapshot, netns: u16) -> Result<Arc<Snapshot>, RunError> {
    let inode = snap.netns_inode(netns);
    let which = if netns == 0 { Netns::Here } else { Netns::Named(inode.to_string().into()) };
    let wants = Wants::new(Needs::reads(Reads::AUTO_PORT), ProtoSet::TCP);
    Reader::open_in(plan, which, wants)?.poll()
}

/// Answers for the processes of a name.
fn by_name(snap: &Snapshot, name: &str) -> Result<Vec<Answer>, RunError> {
    let named = snap.sample.processes.iter().filter(|p| p.info.name() == name || *p.info.comm == *name);
    let all: Vec<Answer> = named.take(MAX_PROCESSES).filter_map(|p| of_process(snap, p.info.pid)).collect();
    if all.is_empty() {
        return Err(UsageError(format!("why: no process {name:?} is visible")).into());
    }
    Ok(all)
}

/// Address of a name in the hosts file (hosts(5)): a resolver would send a packet.
fn from_hosts(name: &str) -> Result<Addr, UsageError> {
    let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = text.lines().map(|l| l.split('#').next().unwrap_or(""));
    let mut found = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let addr: std::net::IpAddr = words.next()?.parse().ok()?;
        words.any(|w| w.eq_ignore_ascii_case(name)).then(|| Addr::from(addr))
    });
    found.next().ok_or_else(|| {
        UsageError(format!(
            "why: {name:?} is not in /etc/hosts, and asking a resolver sends packets: name the address"
        ))
    })
}
