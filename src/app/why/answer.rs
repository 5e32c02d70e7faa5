//! Answers a question: reads the sockets of all namespaces and follows the path of the packet.

use super::proxied::{self, Found};
use super::read::read;
use super::trace::{Tracer, from_neighbour};
use crate::actions;
use crate::app::exit_status::RunError;
use crate::app::reader::Reader;
use crate::cli::{Plan, UsageError};
use crate::collect::{PathReader, cgroup_programs};
use crate::diagnose::why::{
    Answer, Client, Connection, Outgoing, Programs, Question, incoming, of_process, outgoing,
};
use crate::model::cgroup_bpf::CgroupPrograms;
use crate::model::path::{Attempt, ConnectResult, FirstPacket, Hop, Stage};
use crate::model::text::strip_os_error;
use crate::model::{Addr, Needs, Netns, Proto, ProtoSet, Reads, Snapshot, Wants};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Reads this machine and answers; the time of the answer, nanoseconds since 1970.
pub(in crate::app) fn answer_now(plan: &Plan, q: &Question) -> Result<(u64, Answer), RunError> {
    let snap = read(plan, matches!(q, Question::Process(_)))?;
    Ok((snap.sample.at.unix_ns, answer(plan, &snap, q)?))
}

/// The same with one real connect, for a connection.
pub(in crate::app) fn answer_with_connect(
    plan: &Plan,
    q: &Question,
    timeout: Duration,
) -> Result<(u64, Answer), RunError> {
    let snap = read(plan, matches!(q, Question::Process(_)))?;
    let answer = answer(plan, &snap, q)?;
    let answer = match q {
        Question::Connection(c) => answer.with_probe(c.proto, &probe(&snap, c, timeout)),
        Question::Port { .. } | Question::Process(_) => answer,
    };
    Ok((snap.sample.at.unix_ns, answer))
}

/// Answers by what was read.
pub(super) fn answer(plan: &Plan, snap: &Snapshot, q: &Question) -> Result<Answer, RunError> {
    match q {
        Question::Connection(c) => connection(plan, snap, c),
        Question::Port { proto, port, source, netns } => {
            let netns = number_of(snap, *netns)?;
            clients(plan, snap, (*proto, *port), netns, *source)
        }
        Question::Process(pid) => of_process(snap, *pid)
            .ok_or_else(|| UsageError(format!("why: no process {pid} is visible")).into()),
    }
}

/// Answers for clients of a port.
fn clients(
    plan: &Plan,
    snap: &Snapshot,
    (proto, port): (Proto, u16),
    netns: u16,
    source: Option<Addr>,
) -> Result<Answer, RunError> {
    let mut tracer = Tracer::new(PathReader::new(), snap);
    let hops = tracer.addresses(netns, proto, port, source);
    let translated = hops.iter().find(|h| h.translation.is_some());
    let path = translated.map(|h| tracer.follow(netns, from_neighbour(h), Stage::Input));
    let end = path.as_ref().and_then(|(hops, _)| hops.last());
    let (at, listens) = end.map_or((netns, port), |h| (h.netns, h.dest().port));
    let programs = Programs { client: None, server: server_programs(snap, at, listens) };
    let dest = end.map(Hop::dest);
    let found = proxied::find(plan, snap, (at, proto, listens), dest)?;
    let proxied = found.as_ref().map(Found::proxied);
    Ok(incoming(snap, (proto, port), netns, (&hops, path.as_ref()), &programs, proxied.as_ref()))
}

fn connection(plan: &Plan, snap: &Snapshot, c: &Connection) -> Result<Answer, RunError> {
    let ended = c.pid.filter(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    if let Some(pid) = ended.filter(|_| c.netns == 0) {
        return Err(UsageError(format!("why: no process {pid}")).into());
    }
    // The process of an event ended: its network namespace and user are known all the same.
    let c = &Connection { pid: c.pid.filter(|_| ended.is_none()), ..c.clone() };
    let (netns, uid) = client_of(snap, c)?;
    let pairs = connections(plan, snap, netns)?;
    let number = position(&pairs, snap.netns_inode(netns)).unwrap_or(netns);
    let client = Client { pid: c.pid, netns };
    let q = Outgoing { proto: c.proto, source: c.source, dest: c.dest, client };
    let packet = FirstPacket {
        proto: c.proto,
        source: c.source,
        dest: c.dest,
        mark: if c.mark == 0 { mark_of(&pairs, number, c).unwrap_or(0) } else { c.mark },
        uid: Some(uid),
        iif: None,
        translated: false,
    };
    let mut tracer = Tracer::new(PathReader::new(), snap);
    let (hops, end) = tracer.follow(netns, packet, Stage::Output);
    let server = hops.last().filter(|h| h.is_delivered());
    let programs = Programs {
        client: cgroup_programs(c.pid.unwrap_or_else(std::process::id)),
        server: server.and_then(|h| server_programs(snap, h.netns, h.dest().port)),
    };
    let found = match server {
        Some(h) => proxied::find(plan, snap, (h.netns, c.proto, h.dest().port), Some(h.dest()))?,
        None => None,
    };
    let proxied = found.as_ref().map(Found::proxied);
    Ok(outgoing(snap, (&pairs, number), &programs, &q, (&hops, &end), proxied.as_ref()))
}

/// BPF programs of the cgroup of the process that serves a port.
fn server_programs(snap: &Snapshot, netns: u16, port: u16) -> Option<CgroupPrograms> {
    let serves = |row: &usize| {
        let s = snap.socket(*row);
        s.serves() && s.local.port == port && s.id.netns == netns
    };
    let row = (0..snap.live).find(serves)?;
    cgroup_programs(snap.process(snap.owners(row).first()?).info.pid)
}

/// Network namespace and user of the client.
fn client_of(snap: &Snapshot, c: &Connection) -> Result<(u16, u32), UsageError> {
    let netns = match (c.netns, c.pid) {
        (0, Some(pid)) => snap.sample.netns_of(pid).ok_or_else(|| super::not_read(pid))?,
        (inode, _) => number_of(snap, inode)?,
    };
    let process = c.pid.and_then(|pid| snap.sample.processes.iter().find(|p| p.info.pid == pid));
    let own = rustix::process::geteuid().as_raw();
    Ok((netns, c.uid.or_else(|| process.map(|p| p.info.uid)).unwrap_or(own)))
}

/// Makes the real connect of a question; the reason if none could be made.
pub(super) fn probe(snap: &Snapshot, c: &Connection, timeout: Duration) -> Result<ConnectResult, String> {
    let (netns, uid) = client_of(snap, c).map_err(|e| e.to_string())?;
    let attempt = Attempt {
        proto: c.proto,
        source: c.source,
        dest: c.dest,
        mark: c.mark,
        uid,
        netns: (netns != 0).then(|| snap.netns_inode(netns)),
    };
    actions::attempt(&attempt, timeout).map_err(|e| strip_os_error(&e.to_string()).into_owned())
}

/// Mark of the socket that the question is about.
fn mark_of(pairs: &Snapshot, netns: u16, c: &Connection) -> Option<u32> {
    let local = c.local?;
    let is_it = |s: &crate::model::Socket| {
        s.id.netns == netns && s.proto == c.proto && s.local == local && s.remote == c.dest
    };
    pairs.attrs(pairs.live_sockets().iter().position(is_it)?).mark()
}

/// Number of the namespace with this inode; 0, that of this process, if it is 0.
fn number_of(snap: &Snapshot, inode: u64) -> Result<u16, UsageError> {
    if inode == 0 {
        return Ok(0);
    }
    position(snap, inode)
        .ok_or_else(|| UsageError("why: the network namespace does not exist any more".into()))
}

fn position(snap: &Snapshot, inode: u64) -> Option<u16> {
    snap.sample.namespaces.iter().position(|n| n.inode == inode).and_then(|n| u16::try_from(n).ok())
}

/// The connections of one namespace.
fn connections(plan: &Plan, snap: &Snapshot, netns: u16) -> Result<Arc<Snapshot>, RunError> {
    let inode = snap.netns_inode(netns);
    let which = if netns == 0 { Netns::Here } else { Netns::Named(inode.to_string().into()) };
    let needs = Needs::reads(Reads::AUTO_PORT);
    Reader::open_in(plan, which, Wants::new(needs, ProtoSet::TCP))?.poll()
}
