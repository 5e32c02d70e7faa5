//! Steps of the connections that exist between the client and the destination.

use super::{Outgoing, Step};
use crate::diagnose::cause::{MTU_BLACK_HOLE, NO_ANSWER, RETRANSMITS, ZERO_WINDOW};
use crate::format::thousands;
use crate::model::path::{Hop, RTN_LOCAL};
use crate::model::{Endpoint, Proto, Snapshot, Socket, State, TimerKind};

/// Retransmissions in a row that are a sign of loss.
const MANY_RETRANSMITS: u8 = 3;

/// Connections of the pair.
pub(super) struct Recent {
    pub(super) steps: Vec<Step>,
    /// One of them is established, and moves.
    pub(super) is_connected: bool,
}

impl Recent {
    /// Gives repeated segments their cause, if a later hop sends less at once than the first: the ICMP error that would correct the
    /// sender is lost.
    pub(super) fn blame_mtu(&mut self, hops: &[Hop]) {
        let Some((first, _)) = hops.first().and_then(mtu) else { return };
        let lower = hops.iter().skip(1).find_map(|h| mtu(h).filter(|(mtu, _)| *mtu < first).map(|m| (m, h)));
        let Some(((mtu, name), hop)) = lower else { return };
        for step in self.steps.iter_mut().filter(|s| s.cause.is_some_and(|c| *c == RETRANSMITS)) {
            (step.cause, step.effect) = (Some(&MTU_BLACK_HOLE), Some(MTU_BLACK_HOLE.effect));
            let at = &hop.net.name;
            step.evidence.push_str(&format!("; mtu {mtu} of {name} in {at}, {first} at the first hop"));
        }
    }
}

/// Most bytes that a hop sends at once, and its interface; `None` where the packet is delivered.
fn mtu(hop: &Hop) -> Option<(u32, &str)> {
    let r = hop.route().filter(|r| r.kind != RTN_LOCAL)?;
    let link = hop.net.link(r.oif)?;
    Some((r.mtu.unwrap_or(link.mtu), &link.name))
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
