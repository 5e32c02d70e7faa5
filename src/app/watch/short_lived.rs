//! Sockets that were opened and closed between two polls, as rows of the table of sockets: from the events.

use crate::app::print::print_error;
use crate::model::sample::{Event, EventKind};
use crate::model::snapshot::{LastOwner, SocketFacts};
use crate::model::text::escape;
use crate::model::{Missing, Owner, Proto, Snapshot, Socket, SocketId, State};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Reports about events on standard error, each once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    source: bool,
    counted: bool,
    lost: bool,
}

impl Notes {
    /// Prints why sockets between two polls are not reported, or not all of them.
    pub(super) fn print(&mut self, snap: &Snapshot) {
        let events = &snap.sample.events;
        let once = |done: &mut bool, is_so: bool, text: &dyn Fn() -> String| {
            if is_so && !std::mem::replace(done, true) {
                print_error(&escape(&text()));
            }
        };
        once(&mut self.source, events.source.is_none(), &|| {
            let why = if events.reason.is_empty() { "no source of events" } else { &events.reason };
            format!("sockets that live between two polls are not reported: {why}")
        });
        once(&mut self.counted, snap.events.new_rows().iter().any(|r| r.counted), &|| {
            "too many events: some sockets that lived between two polls are not reported".to_owned()
        });
        once(&mut self.lost, snap.events.lost > 0, &|| {
            "events were lost: some sockets that lived between two polls are not reported".to_owned()
        });
    }
}

/// Sockets that were opened and closed between two polls.
pub(super) struct ShortLived {
    /// Snapshot whose sockets are these, as they were used, in the order of their ends.
    pub(super) snap: Snapshot,
    /// The row of each in the table of events, and in the table of sockets if it is left in `TIME_WAIT`.
    pub(super) ends: Vec<(u32, Option<u32>)>,
}

/// Sockets that were opened and closed since the poll `old`; `None` if there are none.
pub(super) fn between(old: &Snapshot, new: &Snapshot) -> Option<ShortLived> {
    let key = |snap: &Snapshot, id: SocketId| (snap.netns_inode(id.netns), id.cookie);
    let wanted = |e: &Event| {
        matches!(e.kind, EventKind::Closed | EventKind::Failed)
            && e.id.cookie != 0
            && new.sample.wants.protos.has(e.proto)
    };
    let first = new.events.rows.len() - new.events.new_rows().len();
    let mut ends: Vec<usize> =
        (first..new.events.rows.len()).filter(|r| wanted(&new.events.rows[*r].event)).collect();
    if ends.is_empty() {
        return None;
    }
    let polled: FxHashSet<(u64, u64)> = old.live_sockets().iter().map(|s| key(old, s.id)).collect();
    let rows = new.live_sockets().iter().enumerate();
    let present: FxHashMap<(u64, u64), (u32, State)> =
        rows.map(|(row, s)| (key(new, s.id), (row as u32, s.state))).collect();
    let now = |r: usize| present.get(&key(new, new.events.rows[r].event.id)).copied();
    // A socket whose connect failed may have been used again: its last end counts.
    let mut seen = FxHashSet::default();
    ends.reverse();
    ends.retain(|r| {
        let id = key(new, new.events.rows[*r].event.id);
        let is_read = now(*r).is_some_and(|(_, state)| state != State::TimeWait);
        !is_read && !polled.contains(&id) && seen.insert(id)
    });
    ends.reverse();
    (!ends.is_empty()).then(|| ShortLived {
        snap: sockets(new, &ends),
        ends: ends.iter().map(|r| (*r as u32, now(*r).map(|(row, _)| row))).collect(),
    })
}

/// A copy of a snapshot with the sockets of these events instead of its own.
fn sockets(snap: &Snapshot, ends: &[usize]) -> Snapshot {
    let mut out = snap.clone();
    (out.sample.sockets, out.live_rows, out.facts) = (Vec::new(), None, Vec::new());
    (out.closed_rows, out.closed_names, out.last_owners) = (Vec::new(), Vec::new(), Vec::new());
    out.closed_ns = Vec::new();
    (out.rates, out.counters, out.local_peers) = (Vec::new(), Vec::new(), Vec::new());
    (out.forwards, out.ports, out.peers) = (None, Vec::new(), Vec::new());
    let mut owners = Vec::new();
    for (row, end) in ends.iter().enumerate() {
        let event = &snap.events.rows[*end];
        let e = &event.event;
        let begin = owners.len() as u32;
        if let Some(p) = snap.process_of_event(event) {
            owners.push(Owner { inode: 0, process: p as u32, fd: Owner::NO_FD });
        } else if let Some(p) = &event.process {
            let last = LastOwner { pid: p.pid, comm: Arc::from(&*p.comm), fd: Owner::NO_FD };
            out.last_owners.push((row as u32, last));
        }
        let opened = [e.opened_ns, e.start_ns, e.at_ns].into_iter().find(|ns| *ns != 0).unwrap_or(0);
        out.facts.push(SocketFacts {
            owners: (begin, owners.len() as u32),
            owner_missing: (owners.len() as u32 == begin).then_some(Missing::Gone),
            first_seen_ns: opened,
            preexisting: false,
            state_since_ns: opened,
            waiting_since_ns: 0,
            direction: event.direction,
            activity: [0; 8],
        });
        out.closed_ns.push(e.at_ns);
        out.sample.sockets.push(socket(e));
    }
    out.live = out.sample.sockets.len();
    out.sample.owners = owners.into();
    out
}

/// The socket of an event, in the state in which it was used.
fn socket(e: &Event) -> Socket {
    let state = match (e.kind, e.from) {
        (EventKind::Failed, _) => State::SynSent,
        (_, Some(State::Listen)) => State::Listen,
        _ if e.proto != Proto::Tcp && e.remote.is_none() => State::Unconn,
        _ => State::Established,
    };
    let mut s = Socket::new(e.id, e.family, e.proto, state);
    s.local = e.local;
    if let Some(remote) = e.remote {
        s.remote = remote;
    }
    s.iface = e.iface;
    if let Some(uid) = e.uid.or_else(|| e.process.as_ref().map(|p| p.uid)) {
        s.uid = uid;
    }
    s
}
