//! The engine: turns each sample into a snapshot, with the previous polls as history.

use super::closed::{ClosedRows, ClosedSockets};
use super::coverage::Coverage;
use super::forwarded::forwarded_rows;
use super::identity::{self, NONE, RowPairs};
use super::previous::Previous;
use super::{
    counter_window, dns, event_window, events, forwards, limits, listener_filter, local_peer, map, nat_rules,
    numbers, owners, peers, ports, processes, units,
};
use crate::model::history::History;
use crate::model::map::Map;
use crate::model::snapshot::{Direction, LastOwner, PackedRates, Rates, SocketFacts};
use crate::model::{
    AlertRules, AttrSet, Faults, Missing, Reads, Sample, Snapshot, Socket, Stamp, StateCounts,
};
use std::borrow::Cow;
use std::sync::Arc;

/// Most polls in the history of counts by state.
const HISTORY: usize = 120;

/// Turns samples into snapshots. Rates, ages and last owners come from the previous samples.
#[derive(Debug, Default)]
pub struct Engine {
    seq: u64,
    first_owners_pending: bool,
    owners_were_read: bool,
    previous: Option<Previous>,
    closed: ClosedSockets,
    history: Arc<Vec<(Stamp, StateCounts)>>,
    numbers: History,
    process_history: processes::ProcessHistory,
    units: units::UnitCache,
    peers: peers::PeerHistory,
    limits: limits::LimitHistory,
    rules: AlertRules,
    events: events::EventHistory,
    dns: dns::DnsHistory,
}

/// Facts of the live rows, and what was counted with them.
#[derive(Default)]
struct LiveFacts {
    facts: Vec<SocketFacts>,
    /// Last known owners of rows without owner, sorted by row.
    former: Vec<(u32, LastOwner)>,
    states: StateCounts,
    /// Rows without owner by reason.
    missing: [u32; Missing::ALL.len()],
    opened: u32,
}

impl Engine {
    /// An engine without history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks owners that the first poll does not read as [`Missing::Pending`] instead of [`Missing::NotRead`]: later polls
    /// read them.
    #[must_use]
    pub const fn with_first_owners_pending(mut self) -> Self {
        self.first_owners_pending = true;
        self
    }

    /// Sets the alert thresholds.
    #[must_use]
    pub fn with_alert_rules(mut self, rules: AlertRules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the number of events of earlier polls that are kept.
    #[must_use]
    pub const fn with_events_kept(mut self, rows: usize) -> Self {
        self.events.keep(rows);
        self
    }

    /// Number of the last snapshot.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Sets the number after which the next snapshots are numbered: those of several engines on one screen have to differ.
    pub const fn number_after(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// Derives the snapshot of the next sample.
    ///
    /// A sample older than the previous one is from another boot, or from a recording that started over: neither cookies nor
    /// pids are comparable, so the history is dropped.
    pub fn step(&mut self, sample: Sample) -> Arc<Snapshot> {
        if self.previous.as_ref().is_some_and(|p| sample.at.boot_ns < p.snap.sample.at.boot_ns) {
            *self = Self {
                seq: self.seq,
                first_owners_pending: self.first_owners_pending,
                rules: std::mem::take(&mut self.rules),
                events: self.events.restart(),
                dns: self.dns.restart(),
                ..Self::default()
            };
        }
        self.seq += 1;
        self.owners_were_read |= sample.wants.reads(Reads::OWNERS);
        let coverage = Coverage::new(&sample);
        let previous = self.previous.take();
        let last = previous.as_ref().map(|p| &*p.snap);
        let mut rows = Cow::Borrowed(&*sample.sockets);
        let forwarded = forwarded_rows(&sample);
        if !forwarded.is_empty() {
            rows.to_mut().extend(forwarded);
        }
        let pairs = identity::pair(last, &sample.namespaces, &mut rows);
        let sockets = &*rows;
        let live = sockets.len();
        let live_facts = self.live_facts(previous.as_ref(), &pairs, &sample, sockets, &coverage);
        let LiveFacts { mut facts, former, states, missing, opened } = live_facts;
        let mut rates = rates(&sample, sockets, last, &pairs.previous);
        let counters = counter_window::histories(&sample, sockets, last, &pairs.previous);

        for (f, r) in facts.iter_mut().zip(&rates) {
            f.activity.rotate_left(1);
            let r = r.unpack();
            f.activity[7] = level(r.rx.unwrap_or(0.0) + r.tx.unwrap_or(0.0));
        }
        let mut peers = self.peers.assign_numbers(&sample, sockets);
        let mut ports = ports::collect(&sample, sockets, &mut facts, &rates, &peers, &coverage);
        self.peers.collect(&mut peers, &sample, sockets, &facts, &rates);
        // Of each socket, and not needed while the rest is made.
        peers.numbers = Vec::new();
        let (mut processes, sockets_of) = self.process_history.collect(&sample, sockets, &facts, &rates);
        let (units, unit_of_cgroup) = self.units.collect(&sample, &mut processes);
        let mut derive_faults = Faults::default();
        let forwards = sample.netfilter.as_ref().map(|netfilter| {
            let (rules, faults) = nat_rules::evaluate(&sample, netfilter);
            derive_faults.merge(faults);
            if sample.wants.reads(Reads::FIREWALL) {
                listener_filter::evaluate(&sample, netfilter, &rules, sockets, &mut ports);
            }
            let context = forwards::Context {
                sample: &sample,
                sockets,
                facts: &facts,
                rates: &rates,
                ports: &ports,
                processes: &processes,
                sockets_of: &sockets_of,
                units: &units,
            };
            forwards::collect(&context, &rules)
        });
        let (limits, alerts, unjudged) = if sample.wants.reads(Reads::LIMITS) {
            let (facts, processes, ports) = (&*facts, &*processes, &*ports);
            let context = limits::Context {
                sample: &sample,
                sockets,
                facts,
                processes,
                ports,
                sockets_of: &sockets_of,
            };
            self.limits.collect(&context, &self.rules)
        } else {
            (Vec::new(), Vec::new(), Vec::new())
        };

        let context = events::Context {
            sample: &sample,
            sockets,
            facts: &facts,
            ports: &ports,
            processes: &processes,
            units: &units,
            unit_of_cgroup: &unit_of_cgroup,
            previous: previous.as_ref(),
        };
        let mut events = self.events.collect(&context);
        let dns = self.dns.collect(&context, self.events.kept());
        let window = self.events.window();
        window.add_unconnected(&sample, &mut peers.rows, &mut peers.processes);
        events.window =
            window.collect(&event_window::Rows { sample: &sample, ports: &ports, peers: &peers.rows });

        // Owners that were not read in this poll are carried over to the next.
        let unread =
            |row: u32| matches!(facts[row as usize].owner_missing, Some(Missing::NotRead | Missing::Pending));
        let (carried_owners, mut former): (Vec<_>, Vec<_>) =
            former.into_iter().partition(|(row, _)| unread(*row));
        let expired = previous.as_ref().map(|p| self.closed.expire_missing(p, &pairs, &sample, &coverage));
        drop(pairs);
        let closed: ClosedRows = expired.unwrap_or_default();
        facts.extend(closed.facts);
        former.extend(closed.former.into_iter().map(|(i, owner)| (live as u32 + i, owner)));
        if !rates.is_empty() {
            rates.resize(live + closed.rows.len(), PackedRates::default());
        }

        let comparable = previous.as_ref().is_some_and(|p| p.coverage.is_same_request(&coverage));
        self.push_history(sample.at, states, comparable);
        let hidden = Missing::ALL.into_iter().zip(missing).filter(|(_, n)| *n > 0).collect();
        let local_peers = if sample.wants.reads(Reads::LOCAL_PEERS) {
            local_peer::join(&sample, sockets, &closed.rows)
        } else {
            Vec::new()
        };
        let live_rows = if let Cow::Owned(rows) = rows { Some(rows) } else { None };
        let mut snap = Snapshot {
            seq: self.seq,
            sample,
            merged: None,
            live_rows,
            closed_rows: closed.rows,
            closed_names: closed.names,
            closed_ns: closed.closed_ns,
            live,
            derive_faults,
            facts,
            rates,
            counters,
            local_peers,
            host_peers: Arc::default(),
            last_owners: former,
            sockets_of,
            processes,
            units,
            unit_of_cgroup,
            ports,
            peers: peers.rows,
            forwards,
            map: Map::default(),
            limits,
            alerts,
            unjudged,
            peer_sockets: peers.sockets,
            peer_processes: peers.processes,
            states,
            history: Arc::clone(&self.history),
            numbers: self.numbers.clone(),
            hidden,
            opened,
            closed: closed.count,
            events,
            dns,
        };
        if map::is_wanted(&snap) {
            snap.map = map::collect(&snap);
        }
        let snap = Arc::new(snap);
        numbers::record(&snap);
        self.previous = Some(Previous { snap: Arc::clone(&snap), coverage, carried_owners });
        snap
    }

    /// Owners, ages and last owners of the live rows, from their rows in the previous poll.
    fn live_facts(
        &mut self,
        previous: Option<&Previous>,
        pairs: &RowPairs,
        sample: &Sample,
        sockets: &[Socket],
        coverage: &Coverage,
    ) -> LiveFacts {
        let now = sample.at.boot_ns;
        let mut out = LiveFacts { facts: Vec::with_capacity(sockets.len()), ..LiveFacts::default() };
        let index = owners::OwnerIndex::new(&sample.owners);
        let reasons = owners::MissingOwner::new(sample, self.first_owners_pending && !self.owners_were_read);
        for (row, s) in sockets.iter().enumerate() {
            out.states.add(s.state);
            let old =
                previous.filter(|_| pairs.previous[row] != NONE).map(|p| (p, pairs.previous[row] as usize));
            let range = index.range(s.inode);
            // Owned at the previous poll: closed since the sockets were read, or its process has exited.
            let was_owned = old.is_some_and(|(p, r)| !p.snap.owners(r).is_empty());
            let missing = (range.0 == range.1).then(|| match reasons.reason(s) {
                Missing::NoVisibleProcess if was_owned => Missing::Gone,
                why => why,
            });
            if let Some(why) = missing {
                out.missing[why as usize] += 1;
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
                ..*f
            };
            let mut last_owner = None;
            out.facts.push(if let Some((p, r)) = old {
                if missing.is_some() {
                    last_owner = p.last_owner(r);
                }
                let old = p.snap.socket(r);
                let emptied = s.recv_q > 0 && queue_drained(sample, s, &p.snap, r);
                aged(&p.snap.facts[r], old.state == s.state, emptied)
            } else if let Some(unseen) = self.closed.take(&s.id) {
                last_owner = unseen.former;
                aged(&unseen.facts, unseen.state == s.state, true)
            } else {
                let preexisting =
                    previous.is_none_or(|p| !coverage.proves_opened(&p.coverage, s.proto, s.state));
                out.opened += u32::from(!preexisting);
                SocketFacts {
                    owners: range,
                    owner_missing: missing,
                    first_seen_ns: now,
                    preexisting,
                    state_since_ns: now,
                    waiting_since_ns: if s.recv_q > 0 { now } else { 0 },
                    direction: Direction::None,
                    activity: [0; 8],
                }
            });
            if let Some(f) = last_owner.filter(|_| missing.is_some()) {
                out.former.push((row as u32, f));
            }
        }
        out
    }

    /// Appends the counts to the history, or restarts it if they are not comparable: the request changed.
    fn push_history(&mut self, at: Stamp, states: StateCounts, comparable: bool) {
        let keep = if comparable { self.history.len().min(HISTORY - 1) } else { 0 };
        let mut all = Vec::with_capacity(keep + 1);
        all.extend_from_slice(&self.history[self.history.len() - keep..]);
        all.push((at, states));
        self.history = Arc::new(all);
    }
}

/// True if the application read from the receive queue since the previous poll: it is shorter, or more bytes were received
/// than it has grown by. A queue of the same length need not have the same content.
fn queue_drained(sample: &Sample, s: &Socket, b: &Snapshot, row: usize) -> bool {
    let old = b.socket(row);
    if s.recv_q < old.recv_q {
        return true;
    }
    // Connections are accepted in order: while the first one is the same, none was accepted.
    if let (Some(mut now), Some(mut before)) = (sample.attrs_of(s).pending(), b.attrs(row).pending()) {
        return now.next() != before.next();
    }
    let received = |a: crate::model::Attrs<'_>| a.transfer().and_then(|t| t.received);
    let bytes = received(sample.attrs_of(s)).zip(received(b.attrs(row)));
    bytes.is_some_and(|(new, old_bytes)| new.saturating_sub(old_bytes) > u64::from(s.recv_q - old.recv_q))
}

/// Binary logarithm of a rate plus one; 0 for less than one.
fn level(rate: f32) -> u8 {
    (u64::BITS - (rate as u64).leading_zeros()) as u8
}

/// Rates of the live rows since the previous snapshot; empty if `tcp_info` was not read.
fn rates(sample: &Sample, sockets: &[Socket], last: Option<&Snapshot>, was: &[u32]) -> Vec<PackedRates> {
    if !sample.wants.attrs(AttrSet::INFO) {
        return Vec::new();
    }
    let dt = last.map_or(0.0, |b| sample.at.secs_since(b.sample.at));
    let Some(b) = last.filter(|b| dt > 0.0 && b.sample.wants.attrs(AttrSet::INFO)) else {
        return vec![PackedRates::default(); sockets.len()];
    };
    sockets
        .iter()
        .zip(was)
        .map(|(s, r)| if *r == NONE { Rates::default() } else { rate(sample, s, b, *r as usize, dt) })
        .map(PackedRates::from)
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
