//! Steps of the connections that exist between the client and the destination.

use super::{Outgoing, Step};
use crate::diagnose::cause::{NO_ANSWER, RETRANSMITS, ZERO_WINDOW};
use crate::format::thousands;
use crate::model::{Endpoint, Proto, Snapshot, Socket, State, TimerKind};

/// Retransmissions in a row that are a sign of loss.
const MANY_RETRANSMITS: u8 = 3;

/// Connections of the pair.
pub(super) struct Recent {
    pub(super) steps: Vec<Step>,
    /// One of them is established, and moves.
    pub(super) is_connected: bool,
}

/// Connections of the namespace of the client to the destination, translated or not.
pub(super) fn pair((pairs, netns): (&Snapshot, u16), q: &Outgoing, translated: Endpoint) -> Recent {
    let mut out = Recent { steps: Vec::new(), is_connected: false };
    if q.proto != Proto::Tcp {
        return out;
    }
    let is_pair = |s: &&Socket| {
        s.id.netns == netns && s.proto == Proto::Tcp && (s.remote == q.dest || s.remote == translated)
    };
    let sockets: Vec<&Socket> = pairs.live_sockets().iter().filter(is_pair).collect();
    let count = |what: &dyn Fn(&Socket) -> bool| sockets.iter().filter(|s| what(s)).count();
    let repeats = |s: &Socket| s.timer.kind == TimerKind::On && s.timer.retrans > 0;
    let waiting = count(&|s| s.state == State::SynSent && repeats(s));
    let stuck = |s: &Socket| {
        s.state == State::Established && s.timer.kind == TimerKind::On && s.timer.retrans >= MANY_RETRANSMITS
    };
    let closed = |s: &Socket| s.state == State::Established && s.timer.kind == TimerKind::Persist;
    let established = count(&|s| s.state == State::Established && !stuck(s) && !closed(s));
    out.is_connected = established > 0;
    if waiting > 0 {
        let text = format!("{} waiting, SYN repeated without an answer", thousands(waiting as u64));
        let step = Step::fails("recent", &NO_ANSWER, text);
        out.steps.push(step.likely());
    }
    let stuck = count(&stuck);
    if stuck > 0 {
        let text = format!("{} open, a segment repeated without an acknowledgement", thousands(stuck as u64));
        out.steps.push(Step::fails("recent", &RETRANSMITS, text).likely());
    }
    let closed = count(&closed);
    if closed > 0 {
        let text = format!("{} open, waiting for the window of the receiver", thousands(closed as u64));
        out.steps.push(Step::fails("recent", &ZERO_WINDOW, text).likely());
    }
    if established > 0 {
        out.steps.push(Step::ok("recent", format!("{} established", thousands(established as u64))));
    }
    out
}
