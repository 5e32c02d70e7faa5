//! One step: a sample in, a snapshot out.

use super::closed::{self, UnseenSockets};
use super::coverage::Scope;
use super::identity::{self, NONE};
use super::{counter_window, forwards, limits, local_peer, owners, peers, ports, processes, units};
use crate::model::snapshot::{Direction, Former, Rates, SocketFacts};
use crate::model::{AlertRules, AttrSet, Missing, Reads, Sample, Snapshot, Socket, Stamp, StateCounts};
use std::sync::Arc;

/// Polls whose counts by state are kept.
const HISTORY: usize = 120;

/// Makes snapshots of samples, remembering the one before: identities, counters and last owners all follow from it.
#[derive(Debug, Default)]
pub struct Engine {
    seq: u64,
    owners_follow: bool,
    owners_seen: bool,
    before: Option<Before>,
    unseen: UnseenSockets,
    history: Arc<Vec<(Stamp, StateCounts)>>,
    process_history: processes::Memory,
    units: units::Memory,
    peers: peers::Seen,
    limits: limits::Memory,
    rules: AlertRules,
}

#[derive(Debug)]
struct Before {
    snap: Arc<Snapshot>,
    scope: Scope,
    /// Last known owners of its rows where it did not read owners, sorted by row.
    carried_owners: Vec<(u32, Former)>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that later polls read owners where the first does not: until then they are [`Missing::Pending`], not
    /// [`Missing::NotRead`].
    #[must_use]
    pub const fn owners_follow(mut self) -> Self {
        self.owners_follow = true;
        self
    }

    /// With other thresholds for alerts.
    #[must_use]
    pub fn alerting(mut self, rules: AlertRules) -> Self {
        self.rules = rules;
        self
    }

    /// Takes the next sample in.
    ///
    /// One from before the last is of another boot, or of a recording begun anew: neither cookies nor pids mean the
    /// same there, so all that was remembered is dropped.
    pub fn step(&mut self, mut sample: Sample) -> Arc<Snapshot> {
        let now = sample.at.boot_ns;
        if self.before.as_ref().is_some_and(|b| now < b.snap.sample.at.boot_ns) {
            *self = Self {
                seq: self.seq,
                owners_follow: self.owners_follow,
                rules: std::mem::take(&mut self.rules),
                ..Self::default()
            };
        }
        self.seq += 1;
        self.owners_seen |= sample.wants.reads(Reads::OWNERS);
        let scope = Scope::of(&sample);
        let before = self.before.take();
        let last = before.as_ref().map(|b| &*b.snap);
        let pairs = identity::pair(last, &mut sample);
        let live = sample.sockets.len();

        let mut facts = Vec::with_capacity(live);
        let mut former = Vec::new();
        let mut states = StateCounts::default();
        let mut by_reason = [0u32; Missing::ALL.len()];
        let mut opened = 0;
        let find = owners::Finder::new(&sample.owners);
        let excuse = owners::Excuse::new(&sample, self.owners_follow && !self.owners_seen);
        for (row, s) in sample.sockets.iter().enumerate() {
            states.add(s.state);
            let old =
                before.as_ref().filter(|_| pairs.was[row] != NONE).map(|b| (b, pairs.was[row] as usize));
            let range = find.range(s.inode);
            let missing = (range.0 == range.1).then(|| excuse.of(s));
            if let Some(why) = missing {
                by_reason[why as usize] += 1;
            }
            let aged = |f: &SocketFacts, same_state: bool, emptied: bool| SocketFacts {
                waiting_since_ns: match (s.recv_q, f.waiting_since_ns) {
                    (0, _) => 0,
                    (_, since) if since > 0 && same_state && !emptied => since,
                    _ => now,
                },
                owners: range,
                owner_missing: missing,
                state_since_ns: if same_state { f.state_since_ns } else { now },
                closed_ns: 0,
                ..*f
            };
            let mut last_owner = None;
            facts.push(if let Some((b, r)) = old {
                if missing.is_some() {
                    last_owner = former_of(&b.snap, r, &b.carried_owners);
                }
                let old = b.snap.socket(r);
                let emptied = s.recv_q > 0 && read_meanwhile(&sample, s, &b.snap, r);
                aged(&b.snap.facts[r], old.state == s.state, emptied)
            } else if let Some(a) = self.unseen.remove(&s.id) {
                last_owner = a.former;
                aged(&a.facts, a.state == s.state, true)
            } else {
                let older = before.as_ref().is_none_or(|b| !scope.proves_opened(&b.scope, s.proto, s.state));
                opened += u32::from(!older);
                SocketFacts {
                    owners: range,
                    owner_missing: missing,
                    first_seen_ns: now,
                    older,
                    state_since_ns: now,
                    waiting_since_ns: if s.recv_q > 0 { now } else { 0 },
                    closed_ns: 0,
                    direction: Direction::None,
                    activity: [0; 8],
                }
            });
            if let Some(f) = last_owner.filter(|_| missing.is_some()) {
                former.push((row as u32, f));
            }
        }
        let mut rates = rates(&sample, last, &pairs.was);
        let counters = counter_window::histories(&sample, last, &pairs.was);

        for (f, r) in facts.iter_mut().zip(&rates) {
            f.activity.rotate_left(1);
            f.activity[7] = level(r.rx.unwrap_or(0.0) + r.tx.unwrap_or(0.0));
        }
        let mut peers = self.peers.number(&sample);
        let ports = ports::collect(&sample, &mut facts, &rates, &peers, &scope);
        self.peers.collect(&mut peers, &sample, &facts, &rates);
        let (mut processes, sockets_of) = self.process_history.collect(&sample, &facts, &rates);
        let (units, unit_of_cgroup) = self.units.collect(&sample, &mut processes);

        let (limits, alerts) = if sample.wants.reads(Reads::LIMITS) {
            let context =
                limits::Context { sample: &sample, facts: &facts, processes: &processes, ports: &ports };
            self.limits.collect(&context, &self.rules)
        } else {
            (Vec::new(), Vec::new())
        };

        // Owners that nobody looked for are not lost.
        let unread =
            |row: u32| matches!(facts[row as usize].owner_missing, Some(Missing::NotRead | Missing::Pending));
        let (carried_owners, mut former): (Vec<_>, Vec<_>) =
            former.into_iter().partition(|(row, _)| unread(*row));
        let mut closed = 0;
        if let Some(b) = &before {
            let scopes = (&b.scope, &scope);
            closed = closed::sort_out(
                &b.snap,
                scopes,
                &pairs,
                &b.carried_owners,
                &mut self.unseen,
                &mut sample,
                &mut facts,
                &mut former,
            );
        }
        if !rates.is_empty() {
            rates.resize(sample.sockets.len(), Rates::default());
        }

        self.remember(sample.at, states, before.as_ref().is_some_and(|b| b.scope.asks_like(&scope)));
        let hidden = Missing::ALL.into_iter().zip(by_reason).filter(|(_, n)| *n > 0).collect();
        let ends =
            if sample.wants.reads(Reads::LOCAL_PEERS) { local_peer::join(&sample) } else { Vec::new() };
        let forwards = sample.nat.as_ref().map(|nat| {
            let context = forwards::Context {
                sample: &sample,
                live,
                facts: &facts,
                rates: &rates,
                ports: &ports,
                processes: &processes,
                sockets_of: &sockets_of,
                units: &units,
            };
            forwards::collect(&context, nat)
        });
        let snap = Arc::new(Snapshot {
            seq: self.seq,
            sample,
            live,
            facts,
            rates,
            counters,
            ends,
            former,
            sockets_of,
            processes,
            units,
            unit_of_cgroup,
            ports,
            peers: peers.rows,
            forwards,
            limits,
            alerts,
            peer_sockets: peers.sockets,
            peer_processes: peers.processes,
            states,
            history: Arc::clone(&self.history),
            hidden,
            opened,
            closed,
        });
        self.before = Some(Before { snap: Arc::clone(&snap), scope, carried_owners });
        snap
    }

    /// Counts of polls that asked for different things do not make one curve: it begins anew when that changes.
    fn remember(&mut self, at: Stamp, states: StateCounts, same: bool) {
        let keep = if same { self.history.len().min(HISTORY - 1) } else { 0 };
        let mut all = Vec::with_capacity(keep + 1);
        all.extend_from_slice(&self.history[self.history.len() - keep..]);
        all.push((at, states));
        self.history = Arc::new(all);
    }
}

/// Whether something was taken out of its receive queue since the poll before: it is shorter, or, where bytes are counted,
/// more came in than it has grown by. A queue that is found equally long twice need not be the same one.
fn read_meanwhile(sample: &Sample, s: &Socket, b: &Snapshot, row: usize) -> bool {
    let old = b.socket(row);
    if s.recv_q < old.recv_q {
        return true;
    }
    // Clients are accepted in the order they came: while the same one waits in front, nobody was.
    if let (Some(mut now), Some(mut before)) = (sample.attrs_of(s).pending(), b.attrs(row).pending()) {
        return now.next() != before.next();
    }
    let received = |a: crate::model::Attrs<'_>| a.transfer().and_then(|t| t.received);
    let came = received(sample.attrs_of(s)).zip(received(b.attrs(row)));
    came.is_some_and(|(new, old_bytes)| new.saturating_sub(old_bytes) > u64::from(s.recv_q - old.recv_q))
}

/// A rate in powers of two: 0 for less than one.
fn level(rate: f32) -> u8 {
    (u64::BITS - (rate as u64).leading_zeros()) as u8
}

/// Who held a row of an earlier snapshot last. `carried_owners` is what was known beside it.
pub(super) fn former_of(b: &Snapshot, row: usize, carried_owners: &[(u32, Former)]) -> Option<Former> {
    if let Some(o) = b.owners(row).first() {
        let info = &b.process(o).info;
        return Some(Former { pid: info.pid, comm: Arc::from(&*info.comm), fd: o.fd });
    }
    let known = |list: &[(u32, Former)]| {
        let i = list.binary_search_by_key(&(row as u32), |(r, _)| *r).ok()?;
        Some(list[i].1.clone())
    };
    known(&b.former).or_else(|| known(carried_owners))
}

/// Speeds of the live sockets since the snapshot before; nothing when `tcp_info` was not read.
fn rates(sample: &Sample, last: Option<&Snapshot>, was: &[u32]) -> Vec<Rates> {
    if !sample.wants.attrs(AttrSet::INFO) {
        return Vec::new();
    }
    let dt = last.map_or(0.0, |b| sample.at.secs_since(b.sample.at));
    let Some(b) = last.filter(|b| dt > 0.0 && b.sample.wants.attrs(AttrSet::INFO)) else {
        return vec![Rates::default(); sample.sockets.len()];
    };
    sample
        .sockets
        .iter()
        .zip(was)
        .map(|(s, r)| if *r == NONE { Rates::default() } else { rate(sample, s, b, *r as usize, dt) })
        .collect()
}

fn rate(sample: &Sample, s: &Socket, b: &Snapshot, row: usize, dt: f64) -> Rates {
    let (Some(new), Some(old)) = (sample.attrs_of(s).transfer(), b.attrs(row).transfer()) else {
        return Rates::default();
    };
    let per_sec = |new: Option<u64>, old: Option<u64>| {
        let change = new?.checked_sub(old?)?;
        Some((change as f64 / dt) as f32)
    };
    Rates {
        rx: per_sec(new.received, old.received),
        tx: per_sec(new.acked, old.acked),
        retrans: per_sec(new.retrans, old.retrans),
    }
}
