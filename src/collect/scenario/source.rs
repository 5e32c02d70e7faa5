//! Source of the samples of a scenario, one poll after the other.

use super::attributes::{attributes, timer};
use super::copies::nth_endpoint;
use super::dns::dns;
use super::events::events;
use super::prefilter::passes;
use super::series::Series;
use super::spec::{OwnerSpec, ProcessSpec, Scenario, SocketSpec};
use crate::collect::source::{CollectError, Source};
use crate::model::{
    Backend, BackendInfo, Endpoint, FaultKind, FaultSubject, FdKind, FdKinds, FdUsage, Flow, Missing,
    Namespace, Netfilter, Owner, ProcInfo, Process, Reads, Sample, Socket, SocketId, Stamp, State, Wants,
};
use std::sync::Arc;

/// Start of every scenario: eleven and a half days after boot, on 2026-05-04 at 09:00 UTC.
const START: Stamp = Stamp { boot_ns: 1_000_000_000_000_000, unix_ns: 1_777_885_200_000_000_000 };
/// Cookies reserved for the copies of one socket.
const COOKIES_PER_SPEC: u64 = 1 << 20;

/// Source that produces the samples of a scenario, over and over: time continues, and what was opened and closed within one
/// round is new in the next.
#[derive(Debug)]
pub struct ScenarioSource {
    scenario: Scenario,
    host: Arc<str>,
    backend: Arc<BackendInfo>,
    namespaces: Arc<[Namespace]>,
    next: u32,
}

impl ScenarioSource {
    /// Starts at the first poll.
    pub fn new(scenario: Scenario) -> Self {
        let interfaces = scenario.interfaces.clone();
        Self {
            host: Arc::from(scenario.host.as_str()),
            backend: Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() }),
            namespaces: scenario
                .namespaces
                .iter()
                .zip(4_026_531_840..)
                .map(|(name, inode)| Namespace { inode, name: name.clone(), interfaces: interfaces.clone() })
                .collect(),
            scenario,
            next: 0,
        }
    }
}

impl Source for ScenarioSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let total = self.next;
        self.next = self.next.saturating_add(1);
        let polls = self.scenario.polls.max(1);
        let elapsed = u64::from(total) * self.scenario.interval_ms * 1_000_000;
        let at = Stamp { boot_ns: START.boot_ns + elapsed, unix_ns: START.unix_ns + elapsed };
        let mut sample = Sample::empty(at, Arc::clone(&self.host), Arc::clone(&self.backend), wants.clone());
        sample.duration_us = 1_800;
        sample.namespaces = Arc::clone(&self.namespaces);
        sample.system = self.scenario.system;
        sample.containers = self.scenario.containers.as_slice().into();
        if wants.reads(Reads::NAT) {
            let nft = vec![self.scenario.ruleset.clone()];
            sample.netfilter = Some(Netfilter { nft, iptables: Vec::new() });
            sample.addresses.clone_from(&self.scenario.addresses);
        }
        let mut builder = SampleBuilder {
            scenario: &self.scenario,
            poll: total % polls,
            round: total / polls,
            total,
            sample,
            owners: Vec::new(),
        };
        builder.add_processes();
        let mut inode = 10_000;
        for (i, spec) in self.scenario.sockets.iter().enumerate() {
            builder.add_sockets(i as u64, inode, spec);
            inode += u64::from(spec.copies.max(1));
        }
        let mut sample = builder.finish();
        if wants.reads(Reads::EVENTS) {
            sample.events = events(&self.scenario, total, &sample);
        }
        if wants.reads(Reads::DNS) {
            sample.dns = dns(&self.scenario, total, &sample);
        }
        Ok(sample)
    }
}

/// Builds the sample of one poll.
struct SampleBuilder<'a> {
    scenario: &'a Scenario,
    /// Number of the poll within the round.
    poll: u32,
    round: u32,
    /// Number of the poll over all rounds.
    total: u32,
    sample: Sample,
    owners: Vec<Owner>,
}

impl SampleBuilder<'_> {
    fn add_processes(&mut self) {
        let mut running: Vec<&ProcessSpec> =
            self.scenario.processes.iter().filter(|p| (p.from..p.until).contains(&self.poll)).collect();
        running.sort_by_key(|p| p.pid);
        let round_ns = u64::from(self.scenario.polls) * self.scenario.interval_ms * 1_000_000;
        for p in running {
            // A process that grows, starts or exits is another one in each round.
            let restarts = p.from > 0 || p.until != u32::MAX || p.fds.is_some_and(|f| f.step != 0.0);
            let begin = START.boot_ns + u64::from(p.from) * self.scenario.interval_ms * 1_000_000;
            let start_ns = if restarts && self.round > 0 {
                begin + u64::from(self.round) * round_ns
            } else {
                begin.saturating_sub(if p.from > 0 { 0 } else { p.age_s * 1_000_000_000 })
            };
            let usage = |open: Series| FdUsage {
                open: (open.at(self.poll - p.from, u64::from(p.pid)).max(0.0) as u32)
                    .min(p.soft.min(u64::from(u32::MAX)) as u32),
                soft: Some(p.soft),
                hard: Some(p.hard),
                open_at_ns: 0,
                above_soft: 0,
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
                    // pid 1 has no parent.
                    ppid: if p.pid == 1 { 0 } else { p.ppid },
                    start_ns,
                    comm: p.comm.as_str().into(),
                    cmdline: p.cmdline.as_str().into(),
                    uid: p.uid,
                    cgroup: p.cgroup.as_deref().map(Into::into),
                }),
                fds: p.fds.map(usage).ok_or(Missing::NotPermitted),
                fds_hidden: hidden.then_some(Missing::NotPermitted),
                fd_targets: Arc::from([]),
                halted: p.halted,
                freezer: None,
            });
        }
    }

    fn add_sockets(&mut self, index: u64, first_inode: u64, spec: &SocketSpec) {
        let wants = &self.sample.wants;
        if !wants.protos.has(spec.proto) {
            return;
        }
        let is_permanent =
            spec.from == 0 && spec.open_interval == 0.0 && spec.lifetime == u32::MAX && spec.then.is_empty();
        for copy in 0..spec.copies.max(1) {
            let opened = spec.from + (f64::from(copy) * spec.open_interval) as u32;
            let Some(age) = self.poll.checked_sub(opened).filter(|a| *a < spec.lifetime) else { continue };
            let state = spec.then.iter().rev().find(|(k, _)| *k <= age).map_or(spec.state, |(_, s)| *s);
            let number = index * COOKIES_PER_SPEC + u64::from(copy) + 1;
            let round = if is_permanent { 0 } else { u64::from(self.round) };
            let id = SocketId { netns: spec.netns, cookie: (round << 40) + number };
            let mut s = Socket::new(id, spec.family, spec.proto, state);
            s.local = spec.local;
            s.remote = spec.remote;
            if spec.remote.is_none() {
                s.local.port = s.local.port.wrapping_add(copy as u16);
            } else if spec.outgoing {
                s.local.port = nth_endpoint(spec.local, copy, 1).port;
            } else {
                s.remote = nth_endpoint(spec.remote, copy, spec.hosts.max(1));
            }
            let is_kernel_owned = matches!(state, State::TimeWait | State::SynRecv);
            let is_ownerless =
                spec.detached || is_kernel_owned || (!spec.then.is_empty() && is_orphan_state(state));
            s.inode = if is_ownerless { 0 } else { first_inode + round * 10_000_000 + u64::from(copy) };
            s.iface = spec.iface;
            let value = |c: &Series, k: u32| c.at(k, number).max(0.0) as u32;
            s.recv_q = value(&spec.recv_q, age);
            s.send_q = value(&spec.send_q, age);
            if s.is_listener() {
                s.recv_q = s.recv_q.min(s.send_q.saturating_add(1));
            }
            if is_kernel_owned {
                (s.recv_q, s.send_q) = (0, 0);
            }
            let owner_uid =
                |o: &OwnerSpec| self.scenario.processes.iter().find(|p| p.pid == o.pid).map(|p| p.uid);
            s.uid = if is_kernel_owned {
                0
            } else {
                spec.uid.or_else(|| spec.owners.first().and_then(owner_uid)).unwrap_or(0)
            };
            s.timer = timer(spec, state, age);
            if !self.sample.wants.states.has(state)
                || self
                    .sample
                    .wants
                    .prefilter
                    .as_ref()
                    .is_some_and(|p| passes(p, &s, self.scenario) == Some(false))
            {
                continue;
            }
            // Counters of a permanent socket continue in the next round, so they never decrease.
            let ticks = if is_permanent { self.total } else { age };
            let raw = attributes(spec, &s, self.sample.wants.needs.attrs, ticks, number);
            self.sample.push_attrs(&mut s, &raw);
            if s.inode != 0 && self.sample.wants.reads(Reads::OWNERS) {
                self.add_owners(spec, copy, s.inode);
            }
            if let Some(original) = spec.via.filter(|_| self.sample.wants.reads(Reads::NAT)) {
                self.sample.flows.push(flow(&s, original, number, spec, ticks));
            }
            self.sample.sockets.push(s);
        }
    }

    fn add_owners(&mut self, spec: &SocketSpec, copy: u32, inode: u64) {
        let n = spec.owners.len() as u32;
        let mut add = |pid: u32, fd: u32| {
            let Ok(i) = self.sample.processes.binary_search_by_key(&pid, |p| p.info.pid) else { return };
            if self.sample.processes[i].fds_hidden.is_none() {
                self.owners.push(Owner { inode, process: i as u32, fd });
            }
        };
        if spec.one_owner_each && n > 0 {
            let h = spec.owners[(copy % n) as usize];
            add(h.pid, h.fd + copy / n);
        } else {
            for h in &spec.owners {
                add(h.pid, h.fd + copy);
            }
        }
    }

    fn finish(mut self) -> Sample {
        self.owners.sort_unstable();
        if self.sample.wants.reads(Reads::FD_KINDS) {
            let mut socket_fds = vec![0u32; self.sample.processes.len()];
            for o in &self.owners {
                socket_fds[o.process as usize] += 1;
            }
            for (p, sockets) in
                self.sample.processes.iter_mut().zip(socket_fds).filter(|(p, _)| p.fds_hidden.is_none())
            {
                if let Ok(f) = &mut p.fds {
                    f.kinds = Some(fd_kinds(f.open, sockets));
                    f.kinds_at_ns = self.sample.at.boot_ns;
                }
            }
        }
        if !self.sample.wants.reads(Reads::PROCESSES) && !self.sample.wants.reads(Reads::OWNERS) {
            self.sample.processes.clear();
        }
        let uids =
            self.sample.sockets.iter().map(|s| s.uid).chain(self.sample.processes.iter().map(|p| p.info.uid));
        let name = |uid: u32| Some((uid, self.scenario.users.get(&uid)?.as_str().into()));
        self.sample.users = Arc::new(uids.filter_map(name).collect());
        self.sample.owners = self.owners.into();
        self.sample
    }
}

/// Conntrack entry of a connection forwarded by the host: the client connected to `original`, and this socket accepted it.
fn flow(s: &Socket, original: Endpoint, number: u64, spec: &SocketSpec, ticks: u32) -> Flow {
    let total = |c: &Series, salt: u64| c.sum(ticks, number ^ salt).max(0.0) as u64;
    Flow {
        netns: 0,
        proto: s.proto,
        orig: (s.remote, original),
        reply: (s.local, s.remote),
        // `IPS_SEEN_REPLY`, `IPS_ASSURED`, `IPS_CONFIRMED`, `IPS_DST_NAT`.
        status: 0x2 | 0x4 | 0x8 | 0x20,
        tcp_state: (s.state == State::Established).then_some(3),
        timeout_s: Some(431_999),
        bytes: Some((total(&spec.rx, 1), total(&spec.tx, 2))),
        mark: 0,
        zone: 0,
        id: number as u32,
    }
}

/// Returns true if a connection in this state, closed by the application, has no owner.
const fn is_orphan_state(s: State) -> bool {
    matches!(s, State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing)
}

/// Descriptors of a process by kind: its sockets, a server's usual ones, and files for the rest.
fn fd_kinds(open: u32, sockets: u32) -> FdKinds {
    let mut k = FdKinds::default();
    let mut left = open;
    let mut add = |kind: FdKind, n: u32| {
        for _ in 0..n.min(left) {
            k.add(kind);
        }
        left -= n.min(left);
    };
    add(FdKind::Socket, sockets);
    add(FdKind::File, 3);
    add(FdKind::Epoll, 1);
    add(FdKind::Eventfd, 1);
    add(FdKind::Pipe, 2);
    add(FdKind::File, u32::MAX);
    k
}
