//! Limits: usage, growth, forecast and alert level of each.

mod context;
mod ephemeral;
mod fullest;
mod halted;
mod unjudged;

use super::alerts::Alerts;
use super::trend::{self, Series};
use crate::model::limit::{
    Alert, AlertRules, Limit, LimitKind, LimitSubject, ListenQueue, NetCounters, STALE_S, Unjudged,
};
use crate::model::snapshot::{AcceptQueue, Port, ProcessFacts};
use crate::model::state_age::in_state;
use crate::model::{FdKind, Proto, Reads, State};
pub(super) use context::Context;
use fullest::fullest_first;
use rustc_hash::{FxHashMap, FxHashSet};

/// Most processes with a row if only alerts are requested: those nearest to their fd limit.
const MAX_PROCESSES: usize = 20;
/// Most listeners with a row.
const MAX_LISTENERS: usize = 50;
/// Most rows of any other kind: users, cgroups, processes with `CLOSE_WAIT`, sockets with drops.
const MAX_OTHERS: usize = 10;

/// Past readings of one limit.
#[derive(Debug)]
struct Readings {
    series: Series,
    drops: Option<u64>,
    last_poll: u64,
}

/// Past readings of all limits, and active alerts.
#[derive(Debug, Default)]
pub(super) struct LimitHistory {
    poll: u64,
    readings: FxHashMap<(LimitKind, u64, LimitSubject), Readings>,
    /// `ListenDrops` at the previous poll, by inode of the network namespace.
    listen_drops: FxHashMap<u64, u64>,
    alerts: Alerts,
}

impl LimitHistory {
    /// One row per limit, the alerts, most severe first, and what could not be judged.
    pub(super) fn collect(
        &mut self,
        c: &Context<'_>,
        rules: &AlertRules,
    ) -> (Vec<Limit>, Vec<Alert>, Vec<Unjudged>) {
        self.poll += 1;
        let mut rows = Vec::new();
        add_processes(c, &mut rows);
        add_close_wait(c, &mut rows);
        halted::add_halted(c, &mut rows);
        add_system(c, &mut rows);
        add_listeners(c, &mut rows);
        ephemeral::add_ports(c, &mut rows);
        let nets = c.sample.counters.iter().flat_map(|k| &k.nets);
        let exempt = |i: usize| nets.clone().filter_map(|n| n.neighbours_exempt[i]).sum();
        let exempt = [exempt(0), exempt(1)];
        for n in nets.clone() {
            add_net(n, exempt, &mut rows);
        }
        add_users(c, &mut rows);
        for row in &mut rows {
            self.update_trend(row, c);
        }
        self.listen_drops = c
            .sample
            .counters
            .iter()
            .flat_map(|k| &k.nets)
            .filter_map(|n| Some((netns_inode(c, n.netns), n.listen_drops?)))
            .collect();
        let poll = self.poll;
        self.readings.retain(|_, r| r.last_poll == poll);
        let alerts = self.alerts.update(&mut rows, c.sample, rules);
        (rows, alerts, unjudged::unjudged(c))
    }

    /// Sets growth, forecast and new drops of a row from past readings.
    fn update_trend(&mut self, row: &mut Limit, c: &Context<'_>) {
        let now = c.sample.at.boot_ns;
        let netns_inode = netns_inode(c, row.netns);
        let new = || Readings { series: Series::default(), drops: None, last_poll: 0 };
        let past = self.readings.entry((row.kind, netns_inode, row.subject.clone())).or_insert_with(new);
        past.last_poll = self.poll;
        row.drops_new = row.drops.zip(past.drops).map(|(now, before)| now.saturating_sub(before));
        past.drops = row.drops;
        if let (LimitKind::Accept, LimitSubject::Listener(Proto::Tcp, ..)) = (row.kind, &row.subject) {
            // Without a drop counted for the namespace it was a reset in place of the last ACK.
            let nets = c.sample.counters.iter().flat_map(|k| &k.nets);
            let total = nets.into_iter().find(|n| n.netns == row.netns).and_then(|n| n.listen_drops);
            let before = self.listen_drops.get(&netns_inode);
            let confirmed = total.zip(before).map_or(0, |(now, before)| now.saturating_sub(*before));
            row.drops_new = row.drops_new.map(|n| n.min(confirmed));
            row.drops = row.drops.map(|n| n.min(total.unwrap_or(0)));
        }
        // The history of a process reaches further back than its row here.
        let process = row.process.filter(|_| row.kind == LimitKind::Fds);
        let series = match process.and_then(|p| c.processes.get(p as usize)) {
            Some(p) => &p.fd_history,
            None => {
                past.series.push(now, row.used);
                past.series.points()
            }
        };
        (row.per_min, row.full_in) = trend::growth(series, row.used, row.capacity());
        row.grows = row.full_in.is_some() || trend::is_rising(series);
        if let (LimitKind::CloseWait, Some(p)) = (row.kind, row.process) {
            // Tracked since its first connection in CLOSE_WAIT.
            let facts = c.processes.get(p as usize);
            row.per_min = facts.and_then(|f| f.close_wait_per_min);
            row.grows = facts.is_some_and(|f| f.close_wait_leak);
        }
    }
}

/// Inode of a network namespace; 0 if unknown.
fn netns_inode(c: &Context<'_>, netns: u16) -> u64 {
    c.sample.namespaces.get(usize::from(netns)).map_or(0, |n| n.inode)
}

/// The processes nearest to their fd limit.
fn add_processes(c: &Context<'_>, out: &mut Vec<Limit>) {
    let share = |i: usize| {
        let u = c.sample.processes[i].fds.as_ref().ok()?;
        let soft = u.soft.filter(|s| *s > 0 && !is_sandboxed(c, i))?;
        Some(f64::from(u.below_soft()) / soft as f64)
    };
    let mut all: Vec<(f64, usize)> =
        (0..c.sample.processes.len()).filter_map(|i| Some((share(i)?, i))).collect();
    all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    // A view of limits lists every process, alerts need only the nearest.
    let most = if c.sample.wants.reads(Reads::FD_KINDS) { usize::MAX } else { MAX_PROCESSES };
    for (_, i) in all.into_iter().take(most) {
        let p = &c.sample.processes[i];
        let Ok(u) = &p.fds else { continue };
        let subject = LimitSubject::Process(p.info.pid, p.info.start_ns);
        let soft = u.soft.filter(|s| *s != u64::MAX);
        let mut row = Limit::new(LimitKind::Fds, 0, subject, u64::from(u.below_soft()), soft);
        row.process = Some(i as u32);
        out.push(row);
    }
}

/// True if a process has lowered its limit below what is open, to open no more: by far, or below that of its parent of the same
/// name. One that accepts connections needs a descriptor for each, regardless of what lowered its limit.
fn is_sandboxed(c: &Context<'_>, process: usize) -> bool {
    let p = &c.sample.processes[process];
    let Ok(u) = &p.fds else { return false };
    let Some(soft) = u.soft.filter(|s| *s < u64::from(u.open)) else { return false };
    let is_lower = |o: &crate::model::Process| {
        o.info.pid == p.info.ppid
            && o.info.comm == p.info.comm
            && o.fds.as_ref().is_ok_and(|parent| parent.soft.is_none_or(|s| s > soft))
    };
    let accepts = c.processes.get(process).is_some_and(|f| f.states.get(State::Listen) > 0);
    !accepts && (u.opens_no_more() || c.sample.processes.iter().any(is_lower))
}

/// The processes with most connections in `CLOSE_WAIT`.
fn add_close_wait(c: &Context<'_>, out: &mut Vec<Limit>) {
    let count = |p: &ProcessFacts| p.states.get(State::CloseWait);
    let mut all: Vec<(usize, u64)> = (0..c.processes.len())
        .filter(|i| count(&c.processes[*i]) > 0)
        .map(|i| (i, stale_close_wait(c, &c.processes[i])))
        .collect();
    all.sort_by_key(|(i, stale)| {
        let p = &c.processes[*i];
        (std::cmp::Reverse((p.close_wait_leak, *stale, count(p))), *i)
    });
    for (i, stale) in all.into_iter().take(MAX_OTHERS) {
        let info = &c.sample.processes[i].info;
        let subject = LimitSubject::Process(info.pid, info.start_ns);
        let mut row = Limit::new(LimitKind::CloseWait, 0, subject, u64::from(count(&c.processes[i])), None);
        row.process = Some(i as u32);
        row.stale = stale;
        out.push(row);
    }
}

/// Connections of a process that have been in `CLOSE_WAIT` for long.
fn stale_close_wait(c: &Context<'_>, p: &ProcessFacts) -> u64 {
    let rows = c.sockets_of.get(p.sockets.0 as usize..p.sockets.1 as usize).unwrap_or(&[]);
    let is_stale = |row: &&u32| {
        let (s, f) = (&c.sockets[**row as usize], &c.facts[**row as usize]);
        s.state == State::CloseWait && in_state(f, s, c.sample.attrs_of(s), c.sample.at.boot_ns).0 >= STALE_S
    };
    rows.iter().filter(is_stale).count() as u64
}

fn add_system(c: &Context<'_>, out: &mut Vec<Limit>) {
    let s = &c.sample.system;
    let mut add = |kind, subject, used: Option<u64>, max: Option<u64>| {
        if let (Some(used), Some(max)) = (used, max) {
            out.push(Limit::new(kind, 0, subject, used, Some(max)));
        }
    };
    add(LimitKind::Files, LimitSubject::System, s.files_open, s.files_max);
    let Some(k) = &c.sample.counters else { return };
    let threads = match (k.pids_max(), k.threads_max) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    add(LimitKind::Threads, LimitSubject::System, k.threads, threads);
    let mut groups: Vec<_> = k.cgroup_pids.iter().collect();
    groups.sort_by(|a, b| fullest_first((a.1, a.2), (b.1, b.2)));
    for (path, used, max) in groups.into_iter().take(MAX_OTHERS) {
        add(LimitKind::CgroupPids, LimitSubject::Cgroup(path.clone()), Some(*used), Some(*max));
    }
}

/// Accept queues: non-empty ones and those with drops first, then by number of clients.
fn add_listeners(c: &Context<'_>, out: &mut Vec<Limit>) {
    // Without backlogs nothing can be judged.
    let listeners = c.ports.iter().filter(|_| c.sample.backend.backend.reports_backlogs());
    let mut all: Vec<(&Port, AcceptQueue)> = listeners.filter_map(|p| Some((p, p.fullest?))).collect();
    let rank = |p: &Port| {
        (std::cmp::Reverse(p.drops.unwrap_or(0) > 0 || p.recv_q > 0), std::cmp::Reverse(p.clients.len()))
    };
    all.sort_by(|a, b| rank(a.0).cmp(&rank(b.0)).then(b.1.share().total_cmp(&a.1.share())));
    for (p, queue) in all.into_iter().take(MAX_LISTENERS) {
        let subject = LimitSubject::Listener(p.proto, p.local, p.iface);
        let mut row = Limit::new(LimitKind::Accept, p.netns, subject, queue.waiting, Some(queue.backlog));
        let owner = c.facts.get(queue.row as usize).map_or((0, 0), |f| f.owners);
        let owner = c.sample.owners.get(owner.0 as usize..owner.1 as usize).and_then(|o| o.first());
        row.process = owner.map(|o| o.process).or_else(|| p.processes.first().copied());
        // The history needs the counter itself.
        row.drops = p.sk_drops;
        out.push(row);
        // Half-open connections: the kernel admits as many as the backlog.
        let half_open = u64::from(p.states.get(State::SynRecv));
        if half_open > 0 {
            let subject = LimitSubject::Listener(p.proto, p.local, p.iface);
            let mut row = Limit::new(LimitKind::Syn, p.netns, subject, half_open, Some(p.backlog));
            row.process = p.processes.first().copied();
            out.push(row);
        }
    }
    add_named_listeners(c, out);
    // Datagram sockets with drops.
    let mut lossy: Vec<&Port> =
        c.ports.iter().filter(|p| p.state != State::Listen && p.drops.is_some_and(|n| n > 0)).collect();
    lossy.sort_by_key(|p| std::cmp::Reverse(p.drops));
    for p in lossy.into_iter().take(MAX_OTHERS) {
        let subject = LimitSubject::Listener(p.proto, p.local, p.iface);
        let mut row = Limit::new(LimitKind::Rcvbuf, p.netns, subject, p.drops.unwrap_or(0), None);
        row.process = p.processes.first().copied();
        row.drops = p.drops;
        out.push(row);
    }
}

/// Accept queues of UNIX and SCTP listeners: every non-empty one, then the others by name.
fn add_named_listeners(c: &Context<'_>, out: &mut Vec<Limit>) {
    let Some(counters) = &c.sample.counters else { return };
    let mut all: Vec<&ListenQueue> = counters.listen_queues.iter().collect();
    let fullest = |q: &ListenQueue| (u64::from(q.waiting), u64::from(q.backlog) + 1);
    all.sort_by(|a, b| {
        fullest_first(fullest(a), fullest(b))
            .then_with(|| (a.netns, a.proto, &a.name).cmp(&(b.netns, b.proto, &b.name)))
    });
    // A path can be bound again while the old listener lives on: the fuller one counts.
    let mut seen = FxHashSet::default();
    all.retain(|q| seen.insert((q.netns, q.proto, &q.name)));
    for (i, q) in all.into_iter().enumerate().take(MAX_LISTENERS) {
        if q.waiting == 0 && i >= MAX_OTHERS {
            break;
        }
        let subject = LimitSubject::NamedListener(q.proto, q.name.clone());
        let mut row =
            Limit::new(LimitKind::Accept, q.netns, subject, q.waiting.into(), Some(q.backlog.into()));
        let owner = c.sample.owners.partition_point(|o| o.inode < q.inode);
        let owner = c.sample.owners.get(owner).filter(|o| o.inode == q.inode && q.inode > 0);
        row.process = owner.map(|o| o.process);
        out.push(row);
    }
}

/// The tables of one network namespace; `exempt`: neighbours, IPv4 and IPv6, that do not count.
fn add_net(n: &NetCounters, exempt: [u64; 2], out: &mut Vec<Limit>) {
    let mut add = |kind, used: Option<u64>, max: Option<u64>| {
        if let (Some(used), Some(max)) = (used, max) {
            out.push(Limit::new(kind, n.netns, LimitSubject::Net, used, Some(max)));
        }
    };
    add(LimitKind::TimeWait, n.time_wait, n.time_wait_max);
    add(LimitKind::Orphans, n.orphans, n.orphans_max);
    add(LimitKind::Conntrack, n.conntrack, n.conntrack_max);
    add(LimitKind::TcpMem, n.tcp_mem, n.tcp_mem_max.map(|m| m.0));
    add(LimitKind::UdpMem, n.udp_mem, n.udp_mem_max.map(|m| m.0));
    for (six, used, max) in
        [(false, n.neighbours, n.neighbours_max), (true, n.neighbours6, n.neighbours6_max)]
    {
        // One table for all namespaces; its maximum is reported in the first one only.
        if let (Some(used), Some(max)) = (used, max) {
            out.push(Limit::new(
                LimitKind::Neighbours,
                n.netns,
                LimitSubject::Neighbours(six),
                used.saturating_sub(exempt[usize::from(six)]),
                Some(max),
            ));
        }
    }
    let mut add_drops = |kind, drops: Option<u64>| {
        if let Some(d) = drops {
            let mut row = Limit::new(kind, n.netns, LimitSubject::Net, d, None);
            row.drops = Some(d);
            out.push(row);
        }
    };
    // Counters of the kernel for all listeners of the namespace.
    add_drops(LimitKind::Accept, n.listen_overflows);
    add_drops(LimitKind::Syn, n.syn_cookies.zip(n.syn_drops).map(|(a, b)| a + b));
    add_drops(LimitKind::Rcvbuf, n.udp_rcvbuf_errors);
    add_drops(LimitKind::Netlink, n.netlink_drops);
}

/// inotify instances per user, counted over the descriptors that were read, and watches.
fn add_users(c: &Context<'_>, out: &mut Vec<Limit>) {
    let Some(k) = &c.sample.counters else { return };
    let mut instances: FxHashMap<u32, u64> = FxHashMap::default();
    for p in &c.sample.processes {
        if let Some(n) =
            p.fds.as_ref().ok().and_then(|u| u.kinds).map(|x| x.get(FdKind::Inotify)).filter(|n| *n > 0)
        {
            *instances.entry(p.info.uid).or_default() += u64::from(n);
        }
    }
    let mut add = |kind, mut all: Vec<(u32, u64)>, max: Option<u64>| {
        all.sort_unstable_by_key(|(uid, n)| (std::cmp::Reverse(*n), *uid));
        for (uid, n) in all.into_iter().take(MAX_OTHERS) {
            if max.is_some() {
                out.push(Limit::new(kind, 0, LimitSubject::User(uid), n, max));
            }
        }
    };
    add(LimitKind::InotifyInstances, instances.into_iter().collect(), k.inotify_instances_max);
    add(LimitKind::InotifyWatches, k.inotify_watches.clone(), k.inotify_watches_max);
}
