//! One step: a sample in, a snapshot out.

use super::ports::has_peer;
use super::{owners, peers, ports, processes};
use crate::model::snapshot::{Direction, Former, Rates, SocketFacts};
use crate::model::{
    AttrSet, FaultKind, Missing, Prefilter, Sample, Snapshot, Socket, SocketId, Stamp, State, StateCounts,
    Wants,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Polls whose counts by state are kept.
const HISTORY: usize = 120;
/// How long a closed socket stays in view, nanoseconds.
const LINGER_NS: u64 = 5_000_000_000;
/// Closed sockets that stay in view at the most; where more close at once, the count alone tells.
const LINGER_MAX: usize = 2_000;

/// Makes snapshots of samples, remembering the one before: identities, counters and last owners all follow from it.
#[derive(Debug, Default)]
pub struct Engine {
    seq: u64,
    before: Option<Arc<Snapshot>>,
    /// Rows of the live sockets of `before`, by identity.
    rows: FxHashMap<SocketId, u32>,
    history: Arc<Vec<(Stamp, StateCounts)>>,
    peers: peers::Seen,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next sample in.
    pub fn step(&mut self, mut sample: Sample) -> Arc<Snapshot> {
        self.seq += 1;
        let before = self.before.take();
        let before = before.as_deref();
        let now = sample.at.boot_ns;
        let live = sample.sockets.len();

        let mut ranges = Vec::new();
        owners::join(&sample, &mut ranges);
        let excuse = owners::Excuse::new(&sample, self.seq == 1);
        let with_info = sample.wants.attrs.has(AttrSet::INFO);
        let dt = before.map_or(0.0, |b| sample.at.secs_since(b.sample.at));

        let mut facts = Vec::with_capacity(live);
        let mut rates = Vec::with_capacity(if with_info { live } else { 0 });
        let mut former = Vec::new();
        let mut states = StateCounts::default();
        let mut hidden: Vec<(Missing, u32)> = Vec::new();
        let mut seen = vec![false; before.map_or(0, |b| b.live)];
        let mut opened = 0;
        for (row, s) in sample.sockets.iter().enumerate() {
            let old = before.and_then(|b| self.rows.get(&s.id).map(|r| (b, *r as usize)));
            if let Some((_, r)) = old {
                seen[r] = true;
            }
            states.add(s.state);
            let range = ranges[row];
            let missing = (range.0 == range.1).then(|| excuse.of(s));
            if let Some(why) = missing {
                match hidden.iter_mut().find(|(w, _)| *w == why) {
                    Some((_, n)) => *n += 1,
                    None => hidden.push((why, 1)),
                }
                if let Some(f) = old.and_then(|(b, r)| former_of(b, r)) {
                    former.push((row as u32, f));
                }
            }
            facts.push(match old {
                Some((b, r)) => {
                    let f = &b.facts[r];
                    SocketFacts {
                        owners: range,
                        owner_missing: missing,
                        state_since_ns: if b.socket(r).state == s.state { f.state_since_ns } else { now },
                        ..*f
                    }
                }
                None => {
                    let older = before.is_none_or(|b| !covers(&b.sample.wants, &sample.wants, s));
                    opened += u32::from(!older);
                    SocketFacts {
                        owners: range,
                        owner_missing: missing,
                        first_seen_ns: now,
                        older,
                        state_since_ns: now,
                        closed_ns: 0,
                        direction: Direction::None,
                    }
                }
            });
            if with_info {
                rates.push(old.map_or_else(Rates::default, |(b, r)| rate(&sample, s, b, r, dt)));
            }
        }
        hidden.sort_unstable();

        let mut peers = self.peers.number(&sample);
        let (mut ports, served) = ports::served(&sample, &facts);
        for (row, s) in sample.sockets.iter().enumerate() {
            if !has_peer(&s.remote) {
                continue;
            }
            let port = served.of(s);
            facts[row].direction = if port.is_some() { Direction::In } else { Direction::Out };
            if let Some(p) = port {
                let p = &mut ports[p as usize];
                p.clients.push(row as u32);
                p.states.add(s.state);
                if let Some(r) = rates.get(row) {
                    peers::add(&mut p.rx, r.rx);
                    peers::add(&mut p.tx, r.tx);
                }
            }
        }
        ports::count_hosts(&mut ports, &peers);
        self.peers.collect(&mut peers, &sample, &facts, &rates);
        let (processes, sockets_of) = processes::collect(&sample, &facts, &rates, before);

        self.rows.clear();
        self.rows.extend(sample.sockets.iter().enumerate().map(|(row, s)| (s.id, row as u32)));
        let closed = before.map_or(0, |b| linger(b, &seen, &mut sample, &mut facts, &mut former));
        if with_info {
            rates.resize(sample.sockets.len(), Rates::default());
        }

        let history = Arc::make_mut(&mut self.history);
        if history.len() == HISTORY {
            history.remove(0);
        }
        history.push((sample.at, states));
        let snap = Arc::new(Snapshot {
            seq: self.seq,
            sample,
            live,
            facts,
            rates,
            former,
            sockets_of,
            processes,
            ports,
            peers: peers.rows,
            peer_sockets: peers.sockets,
            peer_processes: peers.processes,
            states,
            history: Arc::clone(&self.history),
            hidden,
            opened,
            closed,
        });
        self.before = Some(Arc::clone(&snap));
        snap
    }
}

/// Whether a poll that asked for `asked` would have told of this socket, so that its absence means something. A poll
/// behind another prefilter than the present one tells nothing of what that one left out.
fn covers(asked: &Wants, now: &Wants, s: &Socket) -> bool {
    let same: fn(&Option<Prefilter>, &Option<Prefilter>) -> bool = |a, b| a.is_none() || a == b;
    asked.protos.has(s.proto) && asked.states.has(s.state) && same(&asked.prefilter, &now.prefilter)
}

/// Who held a row of an earlier snapshot last.
fn former_of(b: &Snapshot, row: usize) -> Option<Former> {
    match b.owners(row).first() {
        Some(o) => {
            let info = &b.process(o).info;
            Some(Former { pid: info.pid, comm: Arc::from(&*info.comm), fd: o.fd })
        }
        None => b.former(row).cloned(),
    }
}

/// Speeds of a socket since the snapshot before.
fn rate(sample: &Sample, s: &Socket, b: &Snapshot, row: usize, dt: f64) -> Rates {
    let (Some(new), Some(old)) = (sample.attrs_of(s).tcp_info(), b.attrs(row).tcp_info()) else {
        return Rates::default();
    };
    let per_sec = |new: Option<u64>, old: Option<u64>| {
        let change = new?.checked_sub(old?)?;
        (dt > 0.0).then(|| (change as f64 / dt) as f32)
    };
    Rates {
        rx: per_sec(new.bytes_received(), old.bytes_received()),
        tx: per_sec(new.bytes_acked(), old.bytes_acked()),
        retrans: per_sec(new.total_retrans(), old.total_retrans()),
    }
}

/// Adds the sockets that are gone since `b`, and those gone a moment before that, behind the live ones. Returns how
/// many went now.
fn linger(
    b: &Snapshot,
    seen: &[bool],
    sample: &mut Sample,
    facts: &mut Vec<SocketFacts>,
    former: &mut Vec<(u32, Former)>,
) -> u32 {
    // A table that could not be read whole says nothing about what is not in it.
    let whole = sample.faults.count(FaultKind::Failed) + sample.faults.count(FaultKind::Lost) == 0;
    let now = sample.at.boot_ns;
    let room = sample.sockets.len() + LINGER_MAX;
    let mut closed = 0;
    let gone = (0..b.sockets().len()).filter(|r| seen.get(*r) != Some(&true));
    for row in gone {
        let (s, f) = (b.socket(row), &b.facts[row]);
        let fresh = row < b.live;
        if fresh {
            if !whole || !covers(&sample.wants, &b.sample.wants, s) {
                continue;
            }
            closed += 1;
        }
        let at = if fresh { now } else { f.closed_ns };
        // TIME_WAIT ends by itself a thousand times a minute; nobody waits to see one go.
        if now.saturating_sub(at) >= LINGER_NS || s.state == State::TimeWait || sample.sockets.len() >= room {
            continue;
        }
        let new_row = sample.sockets.len() as u32;
        if let Some(last) = former_of(b, row) {
            former.push((new_row, last));
        }
        let mut s = Socket { attr_at: 0, attr_len: 0, ..*s };
        for name in [&mut s.local_name, &mut s.remote_name] {
            if *name != 0 {
                let text = b.sample.names.get(*name as usize).cloned().unwrap_or_default();
                *name = sample.names.len() as u32;
                sample.names.push(text);
            }
        }
        sample.sockets.push(s);
        facts.push(SocketFacts { owners: (0, 0), owner_missing: Some(Missing::Gone), closed_ns: at, ..*f });
    }
    closed
}
