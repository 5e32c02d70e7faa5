//! Sockets of earlier polls that are missing from this one: closed and shown for a moment, or not read and kept.

use super::coverage::Coverage;
use super::identity::{RowPairs, netns_renumbering, translate_id};
use super::previous::Previous;
use crate::model::snapshot::{LastOwner, SocketFacts};
use crate::model::{Missing, Sample, Socket, SocketId, State};
use rustc_hash::FxHashMap;

/// Time that a closed socket stays visible, nanoseconds.
const LINGER_NS: u64 = 5_000_000_000;
/// Most closed sockets that stay visible; above that they are only counted.
const LINGER_MAX: usize = 2_000;
/// Time that the facts of a socket which is no longer read are kept, nanoseconds.
const UNSEEN_NS: u64 = 60_000_000_000;

/// Facts of a socket that the current polls do not read.
#[derive(Clone, Debug)]
pub(super) struct UnseenSocket {
    pub(super) facts: SocketFacts,
    pub(super) state: State,
    pub(super) former: Option<LastOwner>,
    since_ns: u64,
}

/// Sockets that the current polls do not read, by identity.
#[derive(Debug, Default)]
pub(super) struct ClosedSockets {
    unseen: FxHashMap<SocketId, UnseenSocket>,
}

/// Rows of closed sockets, with their names and facts.
#[derive(Debug, Default)]
pub(super) struct ClosedRows {
    pub(super) rows: Vec<Socket>,
    pub(super) names: Vec<Box<str>>,
    pub(super) facts: Vec<SocketFacts>,
    /// Times at which they were found closed, nanoseconds after boot.
    pub(super) closed_ns: Vec<u64>,
    /// Last known owners: index in `rows`, owner.
    pub(super) former: Vec<(u32, LastOwner)>,
    /// Sockets that closed since the previous poll.
    pub(super) count: u32,
}

impl ClosedSockets {
    /// Removes and returns the facts of a socket that is read again.
    pub(super) fn take(&mut self, id: &SocketId) -> Option<UnseenSocket> {
        self.unseen.remove(id)
    }

    /// Handles the rows of the previous poll that have no successor: those that provably closed are counted and shown for a
    /// moment, the facts of the others are kept.
    pub(super) fn expire_missing(
        &mut self,
        previous: &Previous,
        pairs: &RowPairs,
        sample: &Sample,
        coverage: &Coverage,
    ) -> ClosedRows {
        let (prev, now) = (&previous.snap, sample.at.boot_ns);
        let renumbering = netns_renumbering(&prev.sample.namespaces, &sample.namespaces);
        self.unseen.retain(|_, a| now.saturating_sub(a.since_ns) < UNSEEN_NS);
        let mut out = ClosedRows::default();
        for (row, s) in prev.sockets().enumerate().filter(|(row, _)| !pairs.still_present[*row]) {
            let facts = prev.facts[row];
            let fresh = row < prev.live;
            let Some(id) = translate_id(renumbering.as_ref(), s.id) else {
                // The namespace no longer exists.
                out.count += u32::from(fresh);
                continue;
            };
            if fresh && !coverage.proves_closed(&previous.coverage, s.proto, s.state) {
                let former = previous.last_owner(row);
                self.unseen.insert(id, UnseenSocket { facts, state: s.state, former, since_ns: now });
                continue;
            }
            out.count += u32::from(fresh);
            let closed_ns = prev.closed_ns(row).unwrap_or(now);
            // TIME_WAIT expires by itself, often a thousand times a minute: not worth showing.
            if now.saturating_sub(closed_ns) >= LINGER_NS
                || s.state == State::TimeWait
                || out.rows.len() >= LINGER_MAX
            {
                continue;
            }
            if let Some(owner) = previous.last_owner(row) {
                out.former.push((out.rows.len() as u32, owner));
            }
            let mut closed = Socket { id, attr_at: 0, attr_len: 0, info_at: Socket::NO_INFO, ..*s };
            for name in [&mut closed.local_name, &mut closed.remote_name] {
                if *name != 0 {
                    let text = prev.name(*name).unwrap_or_default().into();
                    *name = (sample.names.len() + out.names.len()) as u32;
                    out.names.push(text);
                }
            }
            out.rows.push(closed);
            let owner_missing = Some(Missing::Gone);
            out.facts.push(SocketFacts { owners: (0, 0), owner_missing, ..facts });
            out.closed_ns.push(closed_ns);
        }
        out
    }
}
