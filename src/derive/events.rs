//! Events joined with the sockets of the polls: process, direction, duration, unit.

use super::event_window::WindowHistory;
use super::identity::{netns_renumbering, translate_id};
use super::previous::Previous;
use crate::model::sample::{Event, EventCount, EventKind, EventProcess};
use crate::model::snapshot::{
    Direction, EventLog, EventRow, EventWindow, Port, ProcessBy, ProcessFacts, SocketFacts, process_index,
};
use crate::model::{
    Addr, Endpoint, Family, Process, Proto, Reads, Sample, Snapshot, Socket, SocketId, State, Unit,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most events that one count stands for: more than there are in years. A recording can have any number, and counts are summed up.
const COUNTED_MAX: u64 = 1 << 40;

/// Most events of earlier polls that are kept.
pub(super) const EVENTS_KEPT: usize = 10_000;

/// Data of this poll that events are joined with.
pub(super) struct Context<'a> {
    pub(super) sample: &'a Sample,
    pub(super) sockets: &'a [Socket],
    pub(super) facts: &'a [SocketFacts],
    pub(super) ports: &'a [Port],
    pub(super) processes: &'a [ProcessFacts],
    pub(super) units: &'a Arc<[Unit]>,
    pub(super) unit_of_cgroup: &'a BTreeMap<u64, u32>,
    pub(super) previous: Option<&'a Previous>,
}

/// Events of earlier polls.
#[derive(Debug)]
pub(super) struct EventHistory {
    rows: Vec<Arc<EventRow>>,
    kept: usize,
    number: u64,
    seen: u64,
    lost: u64,
    window: WindowHistory,
}

impl Default for EventHistory {
    fn default() -> Self {
        let window = WindowHistory::default();
        Self { rows: Vec::new(), kept: EVENTS_KEPT, number: 0, seen: 0, lost: 0, window }
    }
}

/// Socket of an event, as a poll saw it.
#[derive(Clone, Debug)]
struct SeenSocket {
    process: Option<Arc<EventProcess>>,
    direction: Direction,
    first_seen_ns: u64,
}

/// Address of a listener, and its owner.
type Listener<'a> = (Addr, Option<&'a Process>);
/// Listeners by namespace, protocol and port.
type Listeners<'a> = FxHashMap<(u16, Proto, u16), Vec<Listener<'a>>>;

impl EventHistory {
    /// Sets the number of events of earlier polls that are kept.
    pub(super) const fn keep(&mut self, rows: usize) {
        self.kept = rows;
    }

    /// Number of events of earlier polls that are kept.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Connections of the last seconds.
    pub(super) const fn window(&self) -> &WindowHistory {
        &self.window
    }

    /// Empties it; the sequence numbers go on.
    pub(super) fn restart(&self) -> Self {
        Self { rows: Vec::new(), window: WindowHistory::default(), ..*self }
    }

    /// The log with the events of this poll.
    pub(super) fn collect(&mut self, context: &Context<'_>) -> EventLog {
        let events = &context.sample.events;
        // Numbers of a recording can be any.
        self.lost = self.lost.saturating_add(events.lost);
        let new = events.list.len() + events.counts.len();
        let before = self.rows.len().saturating_sub(self.kept.saturating_sub(new));
        self.rows.drain(..before);
        if new > 0 {
            let join = Join::new(context);
            self.rows.reserve(new);
            for event in &events.list {
                let row = join.row(self.next_number(), event);
                self.seen += 1;
                self.rows.push(Arc::new(row));
            }
            for count in &events.counts {
                let row = join.counted(self.next_number(), count);
                self.seen = self.seen.saturating_add(count.events.min(COUNTED_MAX));
                self.rows.push(Arc::new(row));
            }
        }
        let previous_ns = context.previous.map(|p| p.snap.sample.at.boot_ns);
        self.window.push(context.sample, previous_ns, &self.rows[self.rows.len().saturating_sub(new)..]);
        let window = EventWindow::default();
        EventLog { rows: self.rows.clone(), new, seen: self.seen, lost: self.lost, window }
    }

    const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

/// Indexes over the sockets, built for the events that need them.
struct Join<'a> {
    context: &'a Context<'a>,
    sockets: FxHashMap<SocketId, SeenSocket>,
    listeners: Listeners<'a>,
    /// All listeners were read: a connection without one is outgoing.
    listeners_read: bool,
    names: Vec<Arc<str>>,
}

impl<'a> Join<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        let sample = context.sample;
        let unknown = |e: &&Event| e.process.is_none() || e.inbound.is_none();
        let ids: FxHashSet<SocketId> = sample.events.list.iter().filter(unknown).map(|e| e.id).collect();
        let wants = &sample.wants;
        let mut out = Self {
            context,
            sockets: FxHashMap::default(),
            listeners: FxHashMap::default(),
            listeners_read: wants.reads(Reads::LISTENERS)
                || (wants.states.has(State::Listen) && wants.prefilter.is_none()),
            names: sample.namespaces.iter().map(|n| Arc::from(&*n.name)).collect(),
        };
        if !ids.is_empty() {
            out.find_sockets(&ids);
            out.find_listeners();
        }
        out
    }

    /// Sockets of these ids in this poll, else in the previous one.
    fn find_sockets(&mut self, ids: &FxHashSet<SocketId>) {
        let c = self.context;
        for (s, f) in c.sockets.iter().zip(c.facts).filter(|(s, _)| ids.contains(&s.id)) {
            let owner = c.sample.owners.get(f.owners.0 as usize).filter(|_| f.owners.0 < f.owners.1);
            let process = owner.and_then(|o| c.sample.processes.get(o.process as usize));
            let seen = SeenSocket {
                process: process.map(event_process),
                direction: f.direction,
                first_seen_ns: f.first_seen_ns,
            };
            self.sockets.insert(s.id, seen);
        }
        let Some(p) = c.previous else { return };
        let renumbering = netns_renumbering(&p.snap.sample.namespaces, &c.sample.namespaces);
        for (row, s) in p.snap.sockets().enumerate() {
            let Some(id) = translate_id(renumbering.as_ref(), s.id).filter(|id| ids.contains(id)) else {
                continue;
            };
            let f = &p.snap.facts[row];
            let known = self.sockets.entry(id).or_insert_with(|| SeenSocket {
                process: None,
                direction: f.direction,
                first_seen_ns: f.first_seen_ns,
            });
            if known.process.is_none() {
                known.process = owner_before(p, row);
            }
        }
    }

    fn find_listeners(&mut self) {
        let c = self.context;
        let now = c.ports.iter().map(|p| (p, &*c.sample.processes));
        let before = c.previous.into_iter().flat_map(|p| {
            let same = netns_renumbering(&p.snap.sample.namespaces, &c.sample.namespaces).is_none();
            p.snap.ports.iter().filter(move |_| same).map(|port| (port, &*p.snap.sample.processes))
        });
        for (p, processes) in now.chain(before).filter(|(p, _)| p.proto == Proto::Tcp) {
            let process = p.processes.first().and_then(|i| processes.get(*i as usize));
            let key = (p.netns, p.proto, p.local.port);
            self.listeners.entry(key).or_default().push((p.local.addr, process));
        }
    }

    /// Listener of an incoming connection, with its owner.
    fn listener(&self, e: &Event) -> Option<Listener<'a>> {
        let found = self.listeners.get(&(e.id.netns, e.proto, e.local.port))?;
        let exact = found.iter().find(|(addr, _)| *addr == e.local.addr);
        exact.or_else(|| found.iter().find(|(addr, _)| addr.is_any())).copied()
    }

    fn row(&self, number: u64, e: &Event) -> EventRow {
        let seen = self.sockets.get(&e.id);
        let is_connection = e.from != Some(State::Listen) && e.kind != EventKind::Listening;
        let listener = || (is_connection && e.inbound != Some(false)).then(|| self.listener(e)).flatten();
        let direction = match (e.inbound, seen.map_or(Direction::None, |s| s.direction)) {
            _ if !is_connection => Direction::None,
            (Some(true), _) => Direction::In,
            (Some(false), _) => Direction::Out,
            (None, known @ (Direction::In | Direction::Out)) => known,
            _ if e.proto != Proto::Tcp || e.remote.is_none() => Direction::None,
            _ if listener().is_some() => Direction::In,
            _ if self.listeners_read => Direction::Out,
            _ => Direction::None,
        };
        let polled = || seen.and_then(|s| s.process.clone());
        let (process, process_by) = match &e.process {
            Some(p) => (Some(Arc::clone(p)), ProcessBy::Event),
            None => match polled() {
                Some(p) => (Some(p), ProcessBy::Poll),
                None => match listener().and_then(|l| l.1).filter(|_| direction == Direction::In) {
                    Some(p) => (Some(event_process(p)), ProcessBy::Listener),
                    None => (None, ProcessBy::None),
                },
            },
        };
        let (duration_ns, is_lower_bound) = duration(e, seen);
        self.finish(EventRow {
            number,
            count: 1,
            counted: false,
            process,
            process_by,
            direction,
            duration_ns,
            is_lower_bound,
            ..blank(e.clone())
        })
    }

    /// The row of events that were counted.
    fn counted(&self, number: u64, c: &EventCount) -> EventRow {
        let any = if c.remote.addr.is_v4() { Addr::ANY4 } else { Addr::ANY6 };
        let port = if c.inbound { c.remote.port } else { 0 };
        let process = (c.pid != 0).then(|| {
            let found = c.pid_in(&self.context.sample.processes);
            found.map_or_else(
                || {
                    Arc::new(EventProcess {
                        pid: c.pid,
                        start_ns: 0,
                        comm: c.comm.clone(),
                        uid: crate::model::ProcInfo::NO_UID,
                        cgroup_id: 0,
                    })
                },
                event_process,
            )
        });
        let event = Event {
            at_ns: self.context.sample.at.boot_ns,
            kind: c.kind,
            id: SocketId { netns: c.netns, cookie: 0 },
            family: if c.remote.addr.is_v4() { Family::Inet } else { Family::Inet6 },
            proto: Proto::Tcp,
            local: Endpoint::new(any, port),
            remote: Some(Endpoint::new(c.remote.addr, if c.inbound { 0 } else { c.remote.port })),
            iface: 0,
            process: process.clone(),
            uid: None,
            inbound: Some(c.inbound),
            start_ns: 0,
            opened_ns: 0,
            tx: (c.kind == EventKind::Closed).then_some(c.tx),
            rx: (c.kind == EventKind::Closed).then_some(c.rx),
            retrans: None,
            rtt_us: None,
            closed_by: None,
            errno: c.errno,
            from: None,
            state_us: None,
        };
        let process_by = if process.is_some() { ProcessBy::Event } else { ProcessBy::None };
        let direction = match c.inbound {
            true => Direction::In,
            // A listener.
            false if c.remote.is_none() => Direction::None,
            false => Direction::Out,
        };
        let counted = EventRow {
            number,
            count: c.events.min(COUNTED_MAX),
            counted: true,
            process,
            process_by,
            direction,
            ..blank(event)
        };
        self.finish(counted)
    }

    /// Adds the time, the unit and the namespace.
    fn finish(&self, mut row: EventRow) -> EventRow {
        let sample = self.context.sample;
        let ago = i128::from(sample.at.boot_ns) - i128::from(row.event.at_ns);
        let unix_ns = (i128::from(sample.at.unix_ns) - ago).max(0);
        row.unix_ns = u64::try_from(unix_ns).unwrap_or(u64::MAX);
        row.unit = row.process.as_deref().and_then(|p| self.unit(p));
        let netns = usize::from(row.event.id.netns);
        row.netns_inode = sample.namespaces.get(netns).map_or(0, |n| n.inode);
        if let Some(name) = self.names.get(netns) {
            row.netns_name = Arc::clone(name);
        }
        row
    }

    fn unit(&self, p: &EventProcess) -> Option<(Arc<[Unit]>, u32)> {
        let c = self.context;
        let by_process = || {
            let i = process_index(&c.sample.processes, p)?;
            c.processes.get(i)?.unit.checked_sub(1)
        };
        let index = c.unit_of_cgroup.get(&p.cgroup_id).copied().or_else(by_process)?;
        Some((Arc::clone(c.units), index))
    }
}

impl EventCount {
    /// Its process among these.
    fn pid_in<'a>(&self, processes: &'a [Process]) -> Option<&'a Process> {
        let i = processes.binary_search_by_key(&self.pid, |p| p.info.pid).ok()?;
        processes.get(i).filter(|p| p.info.comm == self.comm)
    }
}

/// A row with nothing derived yet.
fn blank(event: Event) -> EventRow {
    EventRow {
        number: 0,
        event,
        count: 1,
        counted: false,
        unix_ns: 0,
        process: None,
        process_by: ProcessBy::None,
        direction: Direction::None,
        duration_ns: None,
        is_lower_bound: false,
        unit: None,
        netns_inode: 0,
        netns_name: Arc::from(""),
    }
}

pub(super) fn event_process(p: &Process) -> Arc<EventProcess> {
    let i = &p.info;
    Arc::new(EventProcess {
        pid: i.pid,
        start_ns: i.start_ns,
        comm: i.comm.clone(),
        uid: i.uid,
        cgroup_id: 0,
    })
}

/// Owner of a row of the previous poll, or its last known one.
fn owner_before(p: &Previous, row: usize) -> Option<Arc<EventProcess>> {
    let snap: &Snapshot = &p.snap;
    if let Some(o) = snap.owners(row).first() {
        return Some(event_process(snap.process(o)));
    }
    let last = p.last_owner(row)?;
    let uid = crate::model::ProcInfo::NO_UID;
    Some(Arc::new(EventProcess { pid: last.pid, start_ns: 0, comm: (*last.comm).into(), uid, cgroup_id: 0 }))
}

/// Duration at the end of a socket, and whether it is a lower bound.
fn duration(e: &Event, seen: Option<&SeenSocket>) -> (Option<u64>, bool) {
    let since = |start: u64| (start != 0).then(|| e.at_ns.saturating_sub(start));
    match e.kind {
        EventKind::Failed => (since(e.start_ns), false),
        EventKind::Closed => match since(e.opened_ns).or_else(|| since(e.start_ns)) {
            Some(ns) => (Some(ns), false),
            None => (seen.and_then(|s| since(s.first_seen_ns)), true),
        },
        EventKind::Opened | EventKind::Accepted | EventKind::Retransmit | EventKind::Listening => {
            (None, false)
        }
    }
}

#[cfg(test)]
mod tests;
