//! Time a socket has spent in its current state.

use crate::model::{Snapshot, state_age};

/// Seconds in the current state, and whether that is a lower bound; see [`state_age::in_state`].
pub(crate) fn in_state(snap: &Snapshot, row: usize) -> (f64, bool) {
    let (facts, attrs) = (&snap.facts[row], snap.attrs(row));
    let end = snap.closed_ns(row).unwrap_or(snap.sample.at.boot_ns);
    state_age::in_state(facts, snap.socket(row), attrs, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Proto, State, Timer, TimerKind};
    use crate::testing::{row, snapshot};

    #[test]
    fn time_wait_age_follows_its_timer() {
        let mut r = row(Proto::Tcp, State::TimeWait, "10.0.0.4:443", "203.0.113.5:50000", &[]);
        r.age_s = 2;
        r.socket.timer = Timer { kind: TimerKind::Timewait, retrans: 0, expires_ms: 18_000 };
        let mut snap = snapshot(vec![r], vec![], &[]);
        snap.facts[0].preexisting = true;
        assert_eq!(in_state(&snap, 0), (42.0, true));
        snap.facts[0].preexisting = false;
        assert_eq!(in_state(&snap, 0), (2.0, false), "the change was observed");
    }
}
