//! Counters over all polls: connections by their events, drops of listeners, losses of limits.

use super::limits::limit_labels;
use super::listeners::{listener_labels, listeners};
use super::processes::command_labels;
use super::series::Counters;
use crate::model::sample::{ClosedBy, EventKind};
use crate::model::snapshot::{Direction, EventRow};
use crate::model::{Endpoint, Proto, Snapshot, State};
use rustc_hash::FxHashMap;

/// Upper bounds of the durations of connections, seconds.
pub(super) const BOUNDS: [f64; 11] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// Causes of an end, and one more for an unknown one.
pub(super) const CAUSES: usize = ClosedBy::ALL.len() + 1;

/// Identity of a listener.
type ListenerKey = (u64, Proto, Endpoint, u32);

/// Counters since the program started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Incoming, outgoing, unknown.
    pub(super) opened: [f64; 3],
    pub(super) closed: [f64; CAUSES],
    pub(super) failed: [f64; CAUSES],
    pub(super) failed_by: Counters<[String; 3]>,
    /// Durations up to each bound, and above the last.
    pub(super) durations: [u64; BOUNDS.len() + 1],
    pub(super) durations_sum: f64,
    pub(super) listen_drops: Counters<[String; 5]>,
    pub(super) lost: Counters<[String; 3]>,
    drops_before: FxHashMap<ListenerKey, u64>,
}

/// Place of a cause in the counters.
fn cause_index(row: &EventRow) -> usize {
    row.cause().map_or(CAUSES - 1, |c| c as usize)
}

impl Totals {
    /// Adds a snapshot; each once, in their order. `top`: groups with counters of their own.
    pub fn add(&mut self, snap: &Snapshot, top: usize) {
        let now = snap.sample.at.boot_ns;
        for row in snap.events.new_rows() {
            self.add_event(row, now, top);
        }
        self.add_drops(snap, now, top);
        for l in snap.limits.iter().filter(|l| l.drops.is_some()) {
            self.lost.add(limit_labels(snap, l), l.drops_new.unwrap_or(0) as f64, now, top);
        }
        self.failed_by.expire(now);
        self.listen_drops.expire(now);
        self.lost.expire(now);
    }

    fn add_event(&mut self, row: &EventRow, now: u64, top: usize) {
        let e = &row.event;
        if e.proto != Proto::Tcp || e.from == Some(State::Listen) {
            return;
        }
        let n = row.count as f64;
        match e.kind {
            EventKind::Opened | EventKind::Accepted => {
                let direction = match row.direction {
                    Direction::In => 0,
                    Direction::Out => 1,
                    Direction::None => 2,
                };
                self.opened[direction] += n;
            }
            EventKind::Failed if row.is_failed_connect() => {
                self.failed[cause_index(row)] += n;
                let comm = row.process.as_ref().map_or("", |p| &*p.comm);
                self.failed_by.add(command_labels(comm, row.unit()), n, now, top);
            }
            EventKind::Closed => {
                self.closed[cause_index(row)] += n;
                if let Some(ns) = row.duration_ns.filter(|_| !row.is_lower_bound && !row.counted) {
                    let secs = ns as f64 / 1e9;
                    let class = BOUNDS.iter().position(|b| secs <= *b).unwrap_or(BOUNDS.len());
                    self.durations[class] += row.count;
                    self.durations_sum += secs * n;
                }
            }
            EventKind::Failed | EventKind::Retransmit | EventKind::Listening => {}
        }
    }

    /// Adds what listeners dropped since the previous poll.
    fn add_drops(&mut self, snap: &Snapshot, now: u64, top: usize) {
        let mut current = FxHashMap::default();
        for p in listeners(snap) {
            let Some(drops) = p.drops else { continue };
            let key = (snap.netns_inode(p.netns), p.proto, p.local, p.iface);
            let new = self.drops_before.get(&key).map_or(0, |before| drops.saturating_sub(*before));
            current.insert(key, drops);
            self.listen_drops.add(listener_labels(snap, p), new as f64, now, top);
        }
        self.drops_before = current;
    }
}
