//! Time a socket has spent in its current state, and with unread data.

use super::attr::Attrs;
use super::snapshot::SocketFacts;
use super::socket::{Socket, TimerKind};
use super::state::State;

/// Length of `TIME_WAIT` in seconds: `TCP_TIMEWAIT_LEN` of the kernel.
const TIME_WAIT_S: f64 = 60.0;

/// Seconds for which the receive or accept queue of a socket was neither empty nor drained, a lower bound. Of a connection first
/// seen with something in it, the kernel's own time counts too: since the last ACK, which came with the data or after it.
pub fn unread_s(f: &SocketFacts, s: &Socket, attrs: Attrs<'_>, now_ns: u64) -> f64 {
    let is_pending = s.inode == 0 && s.state == State::Established;
    if s.recv_q == 0 && !is_pending {
        return 0.0;
    }
    let since = if is_pending { f.first_seen_ns } else { f.waiting_since_ns };
    let seen = now_ns.saturating_sub(since.max(f.first_seen_ns)) as f64 / 1e9;
    let unchanged = f.preexisting && f.waiting_since_ns <= f.first_seen_ns;
    let reported = attrs.tcp_info().filter(|_| unchanged && s.state != State::Listen);
    let reported = reported.and_then(|t| t.last_ack_recv_ms()).map_or(0.0, |ms| ms as f64 / 1e3);
    seen.max(reported)
}

/// Seconds in the current state at this time (nanoseconds after boot; of a closed socket, that of its end), and whether that is a
/// lower bound. For a socket older
/// than the first poll it is the time observed, or more if the kernel reports it: the last ACK arrived with or after the FIN
/// or ACK that led to `CLOSE_WAIT` or `FIN_WAIT2`, and the timer of `TIME_WAIT` started with the state or was restarted since.
pub fn in_state(f: &SocketFacts, s: &Socket, attrs: Attrs<'_>, now_ns: u64) -> (f64, bool) {
    let seen = now_ns.saturating_sub(f.state_since_ns) as f64 / 1e9;
    if !f.preexisting || f.state_since_ns > f.first_seen_ns {
        return (seen, false);
    }
    let reported = match s.state {
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
