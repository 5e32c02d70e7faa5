//! Plays a scene: the samples of its polls, one after the other.

use super::{Actor, Course, Line, Scene};
use crate::collect::{CollectError, Source};
use crate::model::attr::{inet, push};
use crate::model::tcp_info::TCP_FIELDS;
use crate::model::wants::{Prefilter, Side};
use crate::model::{
    Addr, AttrSet, Backend, BackendInfo, Endpoint, Family, FaultKind, FaultSubject, FdKind, FdKinds, FdUsage,
    Flow, Missing, Namespace, Nat, Owner, ProcInfo, Process, Proto, Reads, Sample, Socket, SocketId, Stamp,
    State, Timer, TimerKind, Wants,
};
use std::sync::Arc;

/// When every scene begins: eleven and a half days after boot, on 2026-05-04 at 09:00 UTC.
const START: Stamp = Stamp { boot_ns: 1_000_000_000_000_000, unix_ns: 1_777_885_200_000_000_000 };
/// Bytes of `tcp_info` that a kernel of these days sends.
const INFO_LEN: usize = 248;
/// Cookies of the sockets of one line lie within this many of each other.
const PER_LINE: u64 = 1 << 20;

/// A source that plays a scene, and when it is over, plays it again: time goes on, what came and went comes anew.
#[derive(Debug)]
pub struct ScriptSource {
    scene: Scene,
    host: Arc<str>,
    backend: Arc<BackendInfo>,
    namespaces: Arc<[Namespace]>,
    next: u32,
}

impl ScriptSource {
    /// At the first poll of a scene.
    pub fn new(scene: Scene) -> Self {
        let interfaces = scene.interfaces.clone();
        Self {
            host: Arc::from(scene.host.as_str()),
            backend: Arc::new(BackendInfo { backend: Backend::Script, why: String::new() }),
            namespaces: scene
                .namespaces
                .iter()
                .zip(4_026_531_840..)
                .map(|(name, inode)| Namespace { inode, name: name.clone(), interfaces: interfaces.clone() })
                .collect(),
            scene,
            next: 0,
        }
    }

    /// The number of the poll that comes next, from 0, over all rounds.
    pub const fn next_poll(&self) -> u32 {
        self.next
    }
}

impl Source for ScriptSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let played = self.next;
        self.next = self.next.saturating_add(1);
        let polls = self.scene.polls.max(1);
        let past = u64::from(played) * self.scene.interval_ms * 1_000_000;
        let at = Stamp { boot_ns: START.boot_ns + past, unix_ns: START.unix_ns + past };
        let mut sample = Sample::empty(at, Arc::clone(&self.host), Arc::clone(&self.backend), wants.clone());
        sample.took_us = 1_800;
        sample.namespaces = Arc::clone(&self.namespaces);
        sample.system = self.scene.system;
        sample.containers = self.scene.containers.as_slice().into();
        sample.nat = wants.reads(Reads::NAT).then(|| Nat {
            rules: self.scene.rules.clone(),
            flows: Vec::new(),
            addresses: self.scene.addresses.clone(),
        });
        let mut poll = Poll {
            scene: &self.scene,
            at: played % polls,
            round: played / polls,
            played,
            sample,
            owners: Vec::new(),
        };
        poll.processes();
        let mut inode = 10_000;
        for (i, line) in self.scene.sockets.iter().enumerate() {
            poll.line(i as u64, inode, line);
            inode += u64::from(line.copies.max(1));
        }
        Ok(poll.done())
    }
}

struct Poll<'a> {
    scene: &'a Scene,
    /// The poll, within the round.
    at: u32,
    round: u32,
    /// Over all rounds.
    played: u32,
    sample: Sample,
    owners: Vec<Owner>,
}

impl Poll<'_> {
    fn processes(&mut self) {
        let mut there: Vec<&Actor> =
            self.scene.processes.iter().filter(|p| (p.from..p.until).contains(&self.at)).collect();
        there.sort_by_key(|p| p.pid);
        let round_ns = u64::from(self.scene.polls) * self.scene.interval_ms * 1_000_000;
        for p in there {
            // What grows or comes and goes is started anew in each round.
            let anew = p.from > 0 || p.until != u32::MAX || p.fds.is_some_and(|f| f.step != 0.0);
            let begin = START.boot_ns + u64::from(p.from) * self.scene.interval_ms * 1_000_000;
            let start_ns = if anew && self.round > 0 {
                begin + u64::from(self.round) * round_ns
            } else {
                begin.saturating_sub(if p.from > 0 { 0 } else { p.age_s * 1_000_000_000 })
            };
            let usage = |open: Course| FdUsage {
                open: (open.at(self.at - p.from, u64::from(p.pid)).max(0.0) as u32)
                    .min(p.soft.min(u64::from(u32::MAX)) as u32),
                soft: Some(p.soft),
                hard: Some(p.hard),
                open_at_ns: 0,
                highest: None,
                kinds: None,
                kinds_at_ns: 0,
            };
            let hidden = p.hidden || p.fds.is_none();
            if hidden {
                self.sample.faults.add(FaultKind::NotPermitted, FaultSubject::Descriptors, "");
            }
            self.sample.processes.push(Process {
                info: Arc::new(ProcInfo {
                    pid: p.pid,
                    // Nobody began the first.
                    ppid: if p.pid == 1 { 0 } else { p.ppid },
                    start_ns,
                    comm: p.comm.as_str().into(),
                    cmdline: p.cmdline.as_str().into(),
                    uid: p.uid,
                    cgroup: p.cgroup.as_deref().map(Into::into),
                }),
                fds: p.fds.map(usage).ok_or(Missing::NotPermitted),
                fds_hidden: hidden.then_some(Missing::NotPermitted),
                places: Arc::from([]),
            });
        }
    }

    fn line(&mut self, index: u64, first_inode: u64, line: &Line) {
        let wants = &self.sample.wants;
        if !wants.protos.has(line.proto) {
            return;
        }
        let lasting = line.from == 0 && line.every == 0.0 && line.life == u32::MAX && line.then.is_empty();
        for copy in 0..line.copies.max(1) {
            let born = line.from + (f64::from(copy) * line.every) as u32;
            let Some(age) = self.at.checked_sub(born).filter(|a| *a < line.life) else { continue };
            let state = line.then.iter().rev().find(|(k, _)| *k <= age).map_or(line.state, |(_, s)| *s);
            let number = index * PER_LINE + u64::from(copy) + 1;
            let round = if lasting { 0 } else { u64::from(self.round) };
            let id = SocketId { netns: line.netns, cookie: (round << 40) + number };
            let mut s = Socket::new(id, line.family, line.proto, state);
            s.local = line.local;
            s.remote = line.remote;
            if line.remote.is_none() {
                s.local.port = s.local.port.wrapping_add(copy as u16);
            } else if line.outgoing {
                s.local.port = nth(line.local, copy, 1).port;
            } else {
                s.remote = nth(line.remote, copy, line.hosts.max(1));
            }
            let waits = matches!(state, State::TimeWait | State::SynRecv);
            let let_go = line.detached || waits || (!line.then.is_empty() && ends_alone(state));
            s.inode = if let_go { 0 } else { first_inode + round * 10_000_000 + u64::from(copy) };
            s.iface = line.iface;
            let value = |c: &Course, k: u32| c.at(k, number).max(0.0) as u32;
            s.recv_q = value(&line.recv_q, age);
            s.send_q = value(&line.send_q, age);
            if s.is_listener() {
                s.recv_q = s.recv_q.min(s.send_q.saturating_add(1));
            }
            if waits {
                (s.recv_q, s.send_q) = (0, 0);
            }
            let holder =
                |h: &super::Holder| self.scene.processes.iter().find(|p| p.pid == h.pid).map(|p| p.uid);
            s.uid = if waits {
                0
            } else {
                line.uid.or_else(|| line.holders.first().and_then(holder)).unwrap_or(0)
            };
            s.timer = timer(line, state, age);
            if !self.sample.wants.states.has(state)
                || self
                    .sample
                    .wants
                    .prefilter
                    .as_ref()
                    .is_some_and(|p| lets(p, &s, self.scene) == Some(false))
            {
                continue;
            }
            // A lasting one counts on from round to round, so no counter ever goes back.
            let ticks = if lasting { self.played } else { age };
            let raw = attrs(line, &s, self.sample.wants.needs.attrs, ticks, number);
            self.sample.push_attrs(&mut s, &raw);
            if s.inode != 0 && self.sample.wants.reads(Reads::OWNERS) {
                self.hold(line, copy, s.inode);
            }
            if let (Some(asked), Some(nat)) = (line.via, &mut self.sample.nat) {
                nat.flows.push(flow(&s, asked, number, line, ticks));
            }
            self.sample.sockets.push(s);
        }
    }

    fn hold(&mut self, line: &Line, copy: u32, inode: u64) {
        let n = line.holders.len() as u32;
        let mut own = |pid: u32, fd: u32| {
            let Ok(i) = self.sample.processes.binary_search_by_key(&pid, |p| p.info.pid) else { return };
            if self.sample.processes[i].fds_hidden.is_none() {
                self.owners.push(Owner { inode, process: i as u32, fd });
            }
        };
        if line.spread && n > 0 {
            let h = line.holders[(copy % n) as usize];
            own(h.pid, h.fd + copy / n);
        } else {
            for h in &line.holders {
                own(h.pid, h.fd + copy);
            }
        }
    }

    fn done(mut self) -> Sample {
        self.owners.sort_unstable();
        if self.sample.wants.reads(Reads::FD_KINDS) {
            let mut held = vec![0u32; self.sample.processes.len()];
            for o in &self.owners {
                held[o.process as usize] += 1;
            }
            for (p, sockets) in
                self.sample.processes.iter_mut().zip(held).filter(|(p, _)| p.fds_hidden.is_none())
            {
                if let Ok(f) = &mut p.fds {
                    f.kinds = Some(kinds(f.open, sockets));
                    f.kinds_at_ns = self.sample.at.boot_ns;
                }
            }
        }
        if !self.sample.wants.reads(Reads::PROCESSES) && !self.sample.wants.reads(Reads::OWNERS) {
            self.sample.processes.clear();
        }
        let uids =
            self.sample.sockets.iter().map(|s| s.uid).chain(self.sample.processes.iter().map(|p| p.info.uid));
        let name = |uid: u32| Some((uid, self.scene.users.get(&uid)?.as_str().into()));
        self.sample.users = Arc::new(uids.filter_map(name).collect());
        self.sample.owners = self.owners.into();
        self.sample
    }
}

/// What the kernel tracks of a connection that came through a forward of the first namespace: its client asked for one
/// endpoint, and this socket answered.
fn flow(s: &Socket, asked: Endpoint, number: u64, line: &Line, ticks: u32) -> Flow {
    let total = |c: &Course, salt: u64| c.sum(ticks, number ^ salt).max(0.0) as u64;
    Flow {
        netns: 0,
        proto: s.proto,
        orig: (s.remote, asked),
        reply: (s.local, s.remote),
        // Seen both ways, assured, confirmed, its destination changed (`IPS_*`).
        status: 0x2 | 0x4 | 0x8 | 0x20,
        tcp_state: (s.state == State::Established).then_some(3),
        timeout_s: Some(431_999),
        bytes: Some((total(&line.rx, 1), total(&line.tx, 2))),
        mark: 0,
        zone: 0,
        id: number as u32,
    }
}

/// Whether nobody holds a connection in this state after its program has closed it.
const fn ends_alone(s: State) -> bool {
    matches!(s, State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing)
}

/// The remote end of a copy: hosts counted up and taken in turn, unevenly as in life; ports counted up.
fn nth(first: Endpoint, copy: u32, hosts: u32) -> Endpoint {
    if copy == 0 {
        return first;
    }
    // Every third connection is from one of the first eighth of the hosts.
    let host =
        if copy < hosts || !copy.is_multiple_of(3) { copy % hosts } else { copy / 3 % (hosts / 8 + 1) };
    let mut o = *first.addr.octets();
    let tail = u32::from_be_bytes([o[12], o[13], o[14], o[15]]).wrapping_add(host);
    o[12..].copy_from_slice(&tail.to_be_bytes());
    let span = 60_999 - 1024;
    let port = (u32::from(first.port).saturating_sub(1024) + copy * 37) % span + 1024;
    Endpoint::new(Addr::v6(o), port as u16)
}

fn timer(line: &Line, state: State, age: u32) -> Timer {
    let left = |ms: u32| ms.saturating_sub(age.saturating_mul(1000));
    let (kind, retrans, expires_ms) = match (line.timer, state) {
        (Some((kind, ms)), _) => (TimerKind::from_kernel(kind), 0, left(ms)),
        (None, State::TimeWait | State::FinWait2) => (TimerKind::Timewait, 0, left(60_000)),
        (None, State::SynSent) => (TimerKind::On, age.min(6) as u8, 1000 << age.min(6)),
        (None, State::SynRecv) => (TimerKind::On, 0, 900),
        _ => return Timer::default(),
    };
    Timer { kind, retrans, expires_ms }
}

/// The attributes of a socket as the kernel would send them.
fn attrs(line: &Line, s: &Socket, wants: AttrSet, ticks: u32, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if matches!(s.state, State::TimeWait | State::SynRecv) {
        return out;
    }
    push(&mut out, inet::SHUTDOWN, &[u8::from(s.state == State::CloseWait)]);
    if wants.contains(AttrSet::TOS) {
        push(&mut out, inet::TOS, &[0]);
    }
    if s.family == Family::Inet6 {
        if wants.contains(AttrSet::TCLASS) {
            push(&mut out, inet::TCLASS, &[0]);
        }
        if matches!(s.state, State::Listen | State::Closed | State::Unconn) {
            push(&mut out, inet::SKV6ONLY, &[u8::from(line.v6only)]);
        }
    }
    if wants.contains(AttrSet::SKMEM) {
        let drops = line.drops.at(ticks, seed).max(0.0) as u32;
        let mem = [s.recv_q, 131_072, 0, 16_384, 0, s.send_q, 0, 0, drops];
        push(&mut out, inet::SKMEMINFO, &mem.map(u32::to_ne_bytes).concat());
    }
    if s.proto == Proto::Tcp && wants.contains(AttrSet::INFO) {
        push(&mut out, inet::INFO, &tcp_info(line, s, ticks, seed));
    }
    if s.proto == Proto::Tcp && wants.contains(AttrSet::CONG) {
        push(&mut out, inet::CONG, b"cubic\0");
    }
    out
}

fn tcp_info(line: &Line, s: &Socket, ticks: u32, seed: u64) -> Vec<u8> {
    let total = |c: &Course, salt: u64| c.sum(ticks, seed ^ salt).max(0.0) as u64;
    // What was moved before the scene began: an hour of it.
    let before = |c: &Course| (c.start * 3600.0).max(0.0) as u64 + 1;
    let (received, acked) = (total(&line.rx, 1) + before(&line.rx), total(&line.tx, 2) + before(&line.tx));
    let retrans = total(&line.retrans, 4);
    let rtt = line.rtt_us.at(ticks, seed ^ 3).max(0.0) as u64;
    let idle = line.rx.start == 0.0 && line.tx.start == 0.0;
    let since = if idle { 1000 * u64::from(ticks) + 60_000 } else { noise_below(seed, 900) };
    let connection = |name: &str| match name {
        "rtt_us" => rtt,
        "rttvar_us" => rtt / 4,
        "min_rtt_us" => rtt * 3 / 4,
        "rto_us" => 200_000 + rtt,
        "ato_us" => 40_000,
        "options" => 7,
        "snd_mss" | "rcv_mss" | "advmss" => 1448,
        "pmtu" => 1500,
        "snd_cwnd" => 10 + noise_below(seed, 40),
        "snd_ssthresh" => 0x7fff_ffff,
        "reordering" => 3,
        "rcv_space" => 14_480,
        "rcv_ssthresh" => 64_076,
        "total_retrans" => retrans,
        "bytes_retrans" => retrans * 1448,
        "bytes_received" => received,
        "bytes_acked" => acked,
        "bytes_sent" => acked + retrans * 1448,
        "segs_in" => received / 1200 + 4,
        "segs_out" => acked / 1200 + 4,
        "data_segs_in" => received / 1200 + 1,
        "data_segs_out" | "delivered" => acked / 1200 + 1,
        "unacked" => u64::from(s.send_q.div_ceil(1448)),
        "last_data_sent_ms" | "last_data_recv_ms" | "last_ack_recv_ms" => since,
        "pacing_rate" => 14_480_000_000_u64.checked_div(rtt).unwrap_or(0),
        "max_pacing_rate" => u64::MAX,
        "delivery_rate" => line.tx.at(ticks, seed ^ 2).max(0.0) as u64,
        "snd_wnd" => 64_256,
        "rcv_wnd" => 65_536,
        _ => 0,
    };
    let mut info = vec![0u8; INFO_LEN];
    for f in TCP_FIELDS.iter().filter(|f| f.offset + f.width <= INFO_LEN) {
        let value = match (f.name, s.is_listener()) {
            ("state", _) => u64::from(s.state.info().kernel),
            ("unacked", true) => u64::from(s.recv_q),
            ("sacked", true) => u64::from(s.send_q),
            (_, true) => 0,
            (name, false) => connection(name),
        };
        let field = &mut info[f.offset..f.offset + f.width];
        field.copy_from_slice(&value.to_le_bytes()[..f.width]);
        if cfg!(target_endian = "big") {
            field.reverse();
        }
    }
    info
}

/// A process's descriptors by kind: its sockets, what every server has, and the rest files.
fn kinds(open: u32, sockets: u32) -> FdKinds {
    let mut k = FdKinds::default();
    let mut left = open;
    let mut take = |kind: FdKind, n: u32| {
        for _ in 0..n.min(left) {
            k.add(kind);
        }
        left -= n.min(left);
    };
    take(FdKind::Socket, sockets);
    take(FdKind::File, 3);
    take(FdKind::Epoll, 1);
    take(FdKind::Eventfd, 1);
    take(FdKind::Pipe, 2);
    take(FdKind::File, u32::MAX);
    k
}

/// Whether the kernel would let the socket through; `None` where a scene cannot tell.
fn lets(p: &Prefilter, s: &Socket, scene: &Scene) -> Option<bool> {
    let end = |side: Side| if side == Side::Local { s.local } else { s.remote };
    match p {
        Prefilter::And(all) => decide(all, s, scene, false),
        Prefilter::Or(any) => decide(any, s, scene, true),
        Prefilter::Not(p) => lets(p, s, scene).map(|b| !b),
        Prefilter::Ports { side, low, high } => Some((*low..=*high).contains(&end(*side).port)),
        Prefilter::Prefix { side, addr, len } => Some(end(*side).addr.in_prefix(addr, *len)),
        Prefilter::Iface(name) => Some(scene.interfaces.get(&s.iface).is_some_and(|n| n == name)),
        Prefilter::Mark { .. } | Prefilter::Cgroup(_) | Prefilter::AutoBound => None,
    }
}

/// One `enough` among them decides; else one that cannot be told leaves it open.
fn decide(all: &[Prefilter], s: &Socket, scene: &Scene, enough: bool) -> Option<bool> {
    let mut open = false;
    for p in all {
        match lets(p, s, scene) {
            Some(b) if b == enough => return Some(enough),
            Some(_) => {}
            None => open = true,
        }
    }
    if open { None } else { Some(!enough) }
}

/// A number from 0 to 1 that looks random and is always the same.
pub(crate) fn noise(seed: u64, n: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^= x >> 32;
    (x >> 11) as f64 / (1u64 << 53) as f64
}

fn noise_below(seed: u64, n: u64) -> u64 {
    (noise(seed, 7) * n as f64) as u64
}
