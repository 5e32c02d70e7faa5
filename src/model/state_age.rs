//! Time a socket has spent in its current state.

use super::attr::Attrs;
use super::snapshot::SocketFacts;
use super::socket::{Socket, TimerKind};
use super::state::State;

/// Length of `TIME_WAIT` in seconds: `TCP_TIMEWAIT_LEN` of the kernel.
const TIME_WAIT_S: f64 = 60.0;

/// Seconds in the current state at this time (nanoseconds after boot), and whether that is a lower bound. For a socket older
/// than the first poll it is the time observed, or more if the kernel reports it: the last ACK arrived with or after the FIN
/// or ACK that led to `CLOSE_WAIT` or `FIN_WAIT2`, and the timer of `TIME_WAIT` started with the state or was restarted since.
pub fn in_state(f: &SocketFacts, s: &Socket, attrs: Attrs<'_>, now_ns: u64) -> (f64, bool) {
    let end = if f.closed_ns > 0 { f.closed_ns } else { now_ns };
    let seen = end.saturating_sub(f.state_since_ns) as f64 / 1e9;
    if !f.preexisting || f.state_since_ns > f.first_seen_ns {
        return (seen, false);
    }
    let reported = match s.state {
        _ if f.closed_ns > 0 => None,
        State::CloseWait | State::FinWait2 => {
            attrs.tcp_info().and_then(|t| t.last_ack_recv_ms()).map(|ms| ms as f64 / 1e3)
        }
        State::TimeWait if s.timer.kind == TimerKind::Timewait => {
            Some(TIME_WAIT_S - f64::from(s.timer.expires_ms) / 1e3)
        }
        _ => None,
    };
    (reported.map_or(seen, |secs| seen.max(secs)), true)
}
