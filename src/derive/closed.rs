//! What is not in a sample any more: closed and shown for a moment, or merely out of sight and remembered.

use super::coverage::Scope;
use super::engine::former_of;
use super::identity::{Pairs, id_now, renumbered};
use crate::model::snapshot::{Former, SocketFacts};
use crate::model::{Missing, Sample, Snapshot, Socket, SocketId, State};
use rustc_hash::FxHashMap;

/// How long a closed socket stays in view, nanoseconds.
const LINGER_NS: u64 = 5_000_000_000;
/// Closed sockets that stay in view at the most; where more close at once, the count alone tells.
const LINGER_MAX: usize = 2_000;
/// How long a socket out of sight is remembered, nanoseconds.
const MEMORY_NS: u64 = 60_000_000_000;

/// What is remembered of a socket that the present polls do not read.
#[derive(Clone, Debug)]
pub(super) struct UnseenSocket {
    pub facts: SocketFacts,
    pub state: State,
    pub former: Option<Former>,
    since_ns: u64,
}

/// Sockets out of sight, by identity.
pub(super) type UnseenSockets = FxHashMap<SocketId, UnseenSocket>;

/// The rows of `b` that are not here: those that can be proved closed are counted and shown behind the live ones for a
/// moment; of the others is remembered what they were. Returns how many closed since `b`.
#[expect(clippy::too_many_arguments, reason = "one step of the engine, on its parts")]
pub(super) fn sort_out(
    b: &Snapshot,
    scopes: (&Scope, &Scope),
    pairs: &Pairs,
    carried_owners: &[(u32, Former)],
    unseen: &mut UnseenSockets,
    sample: &mut Sample,
    facts: &mut Vec<SocketFacts>,
    former: &mut Vec<(u32, Former)>,
) -> u32 {
    let (before, now_scope) = scopes;
    let now = sample.at.boot_ns;
    let moved = renumbered(&b.sample.namespaces, &sample.namespaces);
    unseen.retain(|_, a| now.saturating_sub(a.since_ns) < MEMORY_NS);
    let room = sample.sockets.len() + LINGER_MAX;
    let mut closed = 0;
    for row in (0..b.sockets().len()).filter(|r| !pairs.here[*r]) {
        let (s, f) = (b.socket(row), &b.facts[row]);
        let fresh = row < b.live;
        let Some(id) = id_now(moved.as_ref(), s.id) else {
            // Its namespace is gone, and it with it.
            closed += u32::from(fresh);
            continue;
        };
        if fresh && !now_scope.proves_closed(before, s.proto, s.state) {
            unseen.insert(
                id,
                UnseenSocket {
                    facts: *f,
                    state: s.state,
                    former: former_of(b, row, carried_owners),
                    since_ns: now,
                },
            );
            continue;
        }
        closed += u32::from(fresh);
        let at = if fresh { now } else { f.closed_ns };
        // TIME_WAIT ends by itself a thousand times a minute; nobody waits to see one go.
        if now.saturating_sub(at) >= LINGER_NS || s.state == State::TimeWait || sample.sockets.len() >= room {
            continue;
        }
        let new_row = sample.sockets.len() as u32;
        if let Some(last) = former_of(b, row, carried_owners) {
            former.push((new_row, last));
        }
        let mut s = Socket { id, attr_at: 0, attr_len: 0, info_at: Socket::NO_INFO, ..*s };
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
