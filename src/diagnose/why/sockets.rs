//! Steps of the sockets of a process: listeners that do not serve, connections that do not move.

use super::{Status, Step, listener};
use crate::diagnose::cause::{NO_ANSWER, RETRANSMITS, ZERO_WINDOW};
use crate::format::thousands;
use crate::model::{Proto, Snapshot, Socket, State, TimerKind};
use std::collections::BTreeMap;

/// Most sockets of a kind that are named.
const MAX_NAMED: usize = 8;
/// Retransmissions in a row that are a sign of loss.
const MANY_RETRANSMITS: u8 = 3;

/// Steps of the sockets of a process.
pub(super) fn steps(snap: &Snapshot, process: usize) -> Vec<Step> {
    let rows = snap.sockets_of(process);
    let live = |row: &&u32| (**row as usize) < snap.live;
    let sockets: Vec<(usize, &Socket)> =
        rows.iter().filter(live).map(|r| (*r as usize, snap.socket(*r as usize))).collect();
    let mut out = Vec::new();
    for (row, s) in sockets.iter().filter(|(_, s)| s.serves()).take(MAX_NAMED) {
        out.push(listener::health(snap, &[*row], &snap.end_text(s, &s.local), false));
    }
    let tcp = || sockets.iter().filter(|(_, s)| s.proto == Proto::Tcp);
    let mut waiting: BTreeMap<String, (u32, u8)> = BTreeMap::new();
    for (_, s) in tcp().filter(|(_, s)| s.state == State::SynSent) {
        let e = waiting.entry(s.remote.to_string()).or_default();
        *e = (e.0 + 1, e.1.max(s.timer.retrans));
    }
    for (remote, (count, repeated)) in waiting.iter().take(MAX_NAMED) {
        let text = format!("{count} connecting to {remote}, SYN repeated {repeated} times without an answer");
        let step = Step::fails("connections", &NO_ANSWER, text);
        out.push(if *repeated > 0 {
            step.likely()
        } else {
            Step { status: Status::Ok, cause: None, ..step }
        });
    }
    let stuck = tcp().filter(|(_, s)| s.state == State::Established && s.timer.kind == TimerKind::On);
    for (_, s) in stuck.filter(|(_, s)| s.timer.retrans >= MANY_RETRANSMITS).take(MAX_NAMED) {
        let text =
            format!("{} repeats a segment, {} times without an acknowledgement", s.remote, s.timer.retrans);
        out.push(Step::fails("connections", &RETRANSMITS, text).likely());
    }
    for (_, s) in tcp().filter(|(_, s)| s.timer.kind == TimerKind::Persist).take(MAX_NAMED) {
        let text = format!("{} has closed its window, {} bytes wait", s.remote, thousands(s.send_q.into()));
        out.push(Step::fails("connections", &ZERO_WINDOW, text).likely());
    }
    if out.iter().all(|s| s.name != "connections") {
        let count = tcp().filter(|(_, s)| s.state == State::Established).count();
        out.push(Step::ok("connections", format!("{} established, none stuck", thousands(count as u64))));
    }
    out
}
