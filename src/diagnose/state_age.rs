//! Time a socket has spent in its current state.

use crate::model::{Snapshot, State, TimerKind};

/// Length of `TIME_WAIT` in seconds: `TCP_TIMEWAIT_LEN` of the kernel.
const TIME_WAIT_S: f64 = 60.0;

/// Seconds in the current state, and whether that is a lower bound. For a socket older than the first poll it is the time
/// observed, or more if the kernel reports it: the last ACK arrived with or after the FIN or ACK that led to `CLOSE_WAIT` or
/// `FIN_WAIT2`, and the timer of `TIME_WAIT` started with the state or was restarted since.
pub(crate) fn in_state(snap: &Snapshot, row: usize) -> (f64, bool) {
    let (f, s) = (&snap.facts[row], snap.socket(row));
    let end = if f.closed_ns > 0 { f.closed_ns } else { snap.sample.at.boot_ns };
    let seen = end.saturating_sub(f.state_since_ns) as f64 / 1e9;
    if !f.preexisting || f.state_since_ns > f.first_seen_ns {
        return (seen, false);
    }
    let reported = match s.state {
        _ if f.closed_ns > 0 => None,
        State::CloseWait | State::FinWait2 => {
            snap.attrs(row).tcp_info().and_then(|t| t.last_ack_recv_ms()).map(|ms| ms as f64 / 1e3)
        }
        State::TimeWait if s.timer.kind == TimerKind::Timewait => {
            Some(TIME_WAIT_S - f64::from(s.timer.expires_ms) / 1e3)
        }
        _ => None,
    };
    (reported.map_or(seen, |secs| seen.max(secs)), true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Proto, Timer};
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
