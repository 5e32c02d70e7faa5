//! Counts of the events of the last seconds by flow and by peer, kept from poll to poll: a poll costs its new events and
//! those that leave the window.

use crate::model::durations::{Durations, class};
use crate::model::sample::{EventKind, EventProcess};
use crate::model::snapshot::{
    Direction, EVENT_WINDOW_S, EventFlow, EventRow, EventStats, EventWindow, FlowCounts, FlowKey, Peer,
    PeerAddr, Port, process_index,
};
use crate::model::{Addr, Endpoint, Proto, Sample, StateCounts};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;

/// Most events in the window; with more it is shorter.
const EVENTS_MAX: usize = 100_000;

/// Most remote addresses without a connection that have a row.
const UNCONNECTED_MAX: usize = 4096;

/// Counts of one flow or peer.
#[derive(Clone, Debug)]
struct Group<K> {
    key: K,
    process: Option<Arc<EventProcess>>,
    /// Time of the first event, nanoseconds after boot.
    first_ns: u64,
    /// Events in the window.
    events: u32,
    counts: FlowCounts,
    durations: Durations,
}

impl<K> Group<K> {
    const fn new(key: K) -> Self {
        let counts = FlowCounts::NONE;
        Self { key, process: None, first_ns: 0, events: 0, counts, durations: Durations::new() }
    }

    fn add(&mut self, e: &Entry) {
        if self.events == 0 {
            self.first_ns = e.at_ns;
        }
        self.events += 1;
        self.counts.add(e.counts());
        if e.duration != NO_CLASS {
            self.durations.add(e.duration, 1);
        }
    }

    /// Adds another group. The durations are out of order until [`Durations::sort`].
    fn merge<L>(&mut self, other: &Group<L>) {
        self.counts.add(other.counts);
        self.durations.append(&other.durations);
    }

    fn stats(&self) -> EventStats {
        EventStats {
            opened: self.counts.opened,
            failed: self.counts.failed(),
            closed: self.counts.closed,
            p50_us: self.durations.percentile(50),
            p99_us: self.durations.percentile(99),
        }
    }
}

/// Groups by key and by a number that an event keeps.
#[derive(Debug)]
struct Groups<K> {
    numbers: FxHashMap<K, u32>,
    slots: Vec<Group<K>>,
    free: Vec<u32>,
}

impl<K> Default for Groups<K> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<K: Hash + Eq + Copy> Groups<K> {
    fn number(&mut self, key: K) -> u32 {
        let (slots, free) = (&mut self.slots, &mut self.free);
        *self.numbers.entry(key).or_insert_with(|| {
            if let Some(n) = free.pop() {
                slots[n as usize] = Group::new(key);
                return n;
            }
            slots.push(Group::new(key));
            slots.len() as u32 - 1
        })
    }

    fn remove(&mut self, number: u32, e: &Entry) {
        let Some(group) = self.slots.get_mut(number as usize) else { return };
        group.events -= 1;
        group.counts.subtract(e.counts());
        if e.duration != NO_CLASS {
            group.durations.remove(e.duration);
        }
        if group.events == 0 {
            self.numbers.remove(&group.key);
            self.free.push(number);
        }
    }

    fn used(&self) -> impl Iterator<Item = &Group<K>> {
        self.slots.iter().filter(|g| g.events > 0)
    }
}

/// Number of an event without peer.
const NO_PEER: u32 = u32::MAX;
/// Class of an event without duration.
const NO_CLASS: u16 = u16::MAX;

/// One event in the window.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at_ns: u64,
    n: u64,
    flow: u32,
    peer: u32,
    duration: u16,
    /// [`FlowCounts::bits`].
    bits: u8,
}

impl Entry {
    fn counts(&self) -> FlowCounts {
        FlowCounts::from_bits(self.bits, self.n)
    }
}

/// Events of the window.
#[derive(Debug, Default)]
pub(super) struct WindowHistory {
    /// Begin of the events of the source, nanoseconds after boot: it identifies them.
    since_ns: u64,
    /// Begin of those that were read.
    begin_ns: u64,
    /// Time of the last event that was removed because there were too many.
    cut_ns: u64,
    entries: VecDeque<Entry>,
    flows: Groups<FlowKey>,
    peers: Groups<PeerAddr>,
}

/// Rows of this poll that the events are counted for.
pub(super) struct Rows<'a> {
    pub(super) sample: &'a Sample,
    pub(super) ports: &'a [Port],
    pub(super) peers: &'a [Peer],
}

impl WindowHistory {
    /// Adds the events since the previous poll, and removes those that are too old.
    pub(super) fn push(&mut self, sample: &Sample, previous_ns: Option<u64>, rows: &[Arc<EventRow>]) {
        let events = &sample.events;
        if events.source.is_none() || self.since_ns != events.since_ns {
            let begin_ns = previous_ns.unwrap_or(0).max(events.since_ns);
            *self = Self { since_ns: events.since_ns, begin_ns, ..Self::default() };
        }
        for row in rows {
            let Some(key) = FlowKey::of_row(row) else { continue };
            let exact =
                row.duration_ns.filter(|_| row.event.kind == EventKind::Closed && !row.is_lower_bound);
            let entry = Entry {
                at_ns: row.event.at_ns,
                n: row.count,
                flow: self.flows.number(key),
                peer: row.peer().map_or(NO_PEER, |peer| self.peers.number(peer)),
                duration: exact.map_or(NO_CLASS, |ns| class(ns / 1000)),
                bits: FlowCounts::of_row(row).bits(),
            };
            let group = &mut self.flows.slots[entry.flow as usize];
            if group.process.is_none() {
                group.process.clone_from(&row.process);
            }
            group.add(&entry);
            if let Some(peer) = self.peers.slots.get_mut(entry.peer as usize) {
                peer.add(&entry);
            }
            self.entries.push_back(entry);
        }
        let begin = sample.at.boot_ns.saturating_sub(EVENT_WINDOW_S * 1_000_000_000);
        while let Some(old) = self.entries.front().copied() {
            if self.entries.len() > EVENTS_MAX {
                // What remains of that time is incomplete.
                self.cut_ns = old.at_ns;
            } else if old.at_ns >= begin {
                break;
            }
            self.entries.pop_front();
            self.flows.remove(old.flow, &old);
            self.peers.remove(old.peer, &old);
        }
    }

    /// The window as of this poll.
    pub(super) fn collect(&self, rows: &Rows<'_>) -> EventWindow {
        let sample = rows.sample;
        let now = sample.at.boot_ns;
        let begin = now.saturating_sub(EVENT_WINDOW_S * 1_000_000_000).max(self.begin_ns).max(self.cut_ns);
        let mut out = EventWindow { secs: now.saturating_sub(begin) as f64 / 1e9, ..EventWindow::default() };
        if self.entries.is_empty() {
            return out;
        }
        let inode = |netns: u16| inode(sample, netns);
        let mut by_port = Totals::new(rows.ports.len());
        let mut by_process = Totals::new(sample.processes.len());
        let listeners = Listeners::new(rows.ports, &inode);
        for flow in self.flows.used() {
            let port = (flow.key.direction == Direction::In)
                .then(|| listeners.row(rows.ports, flow.key.netns_inode, flow.key.service?))
                .flatten();
            by_port.add(port, flow);
            let process = flow.process.as_deref().and_then(|p| process_index(&sample.processes, p));
            by_process.add(process, flow);
            out.flows.push(EventFlow { key: flow.key, process: flow.process.clone(), counts: flow.counts });
        }
        out.flows.sort_unstable_by_key(|f| f.key);
        out.ports = by_port.stats();
        out.processes = by_process.stats();
        let stats = |p: &Peer| {
            let number = self.peers.numbers.get(&peer_addr(sample, p))?;
            Some(self.peers.slots.get(*number as usize)?.stats())
        };
        out.peers = rows.peers.iter().map(|p| stats(p).unwrap_or_default()).collect();
        out
    }
}

/// Inode of a network namespace, 0 if unknown.
fn inode(sample: &Sample, netns: u16) -> u64 {
    sample.namespaces.get(usize::from(netns)).map_or(0, |n| n.inode)
}

fn peer_addr(sample: &Sample, p: &Peer) -> PeerAddr {
    let (netns, iface) = p.zone;
    (p.addr, if iface == 0 { 0 } else { inode(sample, netns) }, iface)
}

impl WindowHistory {
    /// Appends the remote addresses that have had connections or failed connects in the window and have none now, those
    /// with most events first; with the processes that connected to them.
    pub(super) fn add_unconnected(&self, sample: &Sample, rows: &mut Vec<Peer>, processes: &mut Vec<u32>) {
        let connected: FxHashSet<PeerAddr> = rows.iter().map(|p| peer_addr(sample, p)).collect();
        let mut groups: Vec<_> = self.peers.used().filter(|g| !connected.contains(&g.key)).collect();
        if groups.is_empty() {
            return;
        }
        groups.sort_unstable_by_key(|g| (std::cmp::Reverse(g.events), g.key));
        groups.truncate(UNCONNECTED_MAX);
        let mut clients: FxHashMap<Addr, Vec<u32>> = FxHashMap::default();
        for flow in self.flows.used().filter(|f| f.key.direction != Direction::In) {
            let Some(service) = flow.key.service else { continue };
            let process = flow.process.as_deref().and_then(|p| process_index(&sample.processes, p));
            clients.entry(service.addr).or_default().extend(process.map(|p| p as u32));
        }
        for g in groups {
            let (addr, netns_inode, iface) = g.key;
            let netns = sample.namespaces.iter().position(|n| iface != 0 && n.inode == netns_inode);
            let begin = processes.len() as u32;
            if let Some(found) = clients.get_mut(&addr) {
                found.sort_unstable();
                found.dedup();
                processes.extend_from_slice(found);
            }
            rows.push(Peer {
                addr,
                zone: (netns.unwrap_or(0) as u16, iface),
                scope: addr.scope(),
                sockets: 0..0,
                states: StateCounts::default(),
                ports: 0,
                processes: begin..processes.len() as u32,
                rx: None,
                tx: None,
                first_seen_ns: g.first_ns,
                preexisting: false,
            });
        }
    }
}

/// Listeners by namespace and port.
struct Listeners(FxHashMap<(u64, u16), Vec<u32>>);

impl Listeners {
    fn new(ports: &[Port], inode: &dyn Fn(u16) -> u64) -> Self {
        let mut out: FxHashMap<_, Vec<u32>> = FxHashMap::default();
        for (row, p) in ports.iter().enumerate().filter(|(_, p)| p.proto == Proto::Tcp) {
            out.entry((inode(p.netns), p.local.port)).or_default().push(row as u32);
        }
        Self(out)
    }

    /// Row of the listener of connections to a local endpoint: that of the address, else that of all addresses of the
    /// family, else of both. Counted connections have no local address: the first one of the port.
    fn row(&self, ports: &[Port], inode: u64, local: Endpoint) -> Option<usize> {
        let rows = self.0.get(&(inode, local.port))?;
        let addr = |row: &&u32| ports[**row as usize].local.addr;
        let found = |test: &dyn Fn(&&u32) -> bool| rows.iter().find(test);
        found(&|row| addr(row) == local.addr)
            .or_else(|| found(&|row| addr(row).is_any() && addr(row).is_v4() == local.addr.is_v4()))
            .or_else(|| found(&|row| addr(row).is_any()))
            .or_else(|| rows.first().filter(|_| local.addr.is_any()))
            .map(|row| *row as usize)
    }
}

/// Sums of groups by row.
struct Totals {
    groups: Vec<Option<u32>>,
    sums: Vec<Group<()>>,
}

impl Totals {
    fn new(rows: usize) -> Self {
        Self { groups: vec![None; rows], sums: Vec::new() }
    }

    fn add(&mut self, row: Option<usize>, group: &Group<FlowKey>) {
        let Some(number) = row.and_then(|row| self.groups.get_mut(row)) else { return };
        let sums = &mut self.sums;
        let number = *number.get_or_insert_with(|| {
            sums.push(Group::new(()));
            sums.len() as u32 - 1
        });
        sums[number as usize].merge(group);
    }

    fn stats(mut self) -> Vec<EventStats> {
        self.sums.iter_mut().for_each(|sum| sum.durations.sort());
        let stats = |n: &Option<u32>| n.map_or_else(EventStats::default, |n| self.sums[n as usize].stats());
        self.groups.iter().map(stats).collect()
    }
}

#[cfg(test)]
mod tests;
