//! The legs of a forwarded connection: from a client to a socket that takes it, and from there on where that is a proxy's.

use super::MOST_LEGS;
use crate::model::snapshot::Direction;
use crate::model::{Endpoint, Flow, Forward, ForwardKind, Scope, Snapshot, Socket, State};

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg<'a> {
    /// The row that it began at, where that is on this machine.
    pub(crate) client: Option<usize>,
    /// The endpoint that it began at.
    pub(crate) from: Endpoint,
    /// What translates its destination on the way, in this order.
    pub(crate) flows: Vec<&'a Flow>,
    /// The endpoint that it comes to.
    pub(crate) to: Endpoint,
    /// The row there, where that is on this machine.
    pub(crate) server: Option<usize>,
    /// Where it is not seen: the row of who listens there, and the namespace that has the address.
    pub(crate) listener: Option<usize>,
    pub(crate) netns: Option<u16>,
    /// It is not established, and nothing listens there.
    pub(crate) nobody: bool,
    /// What sends it on from there.
    pub(crate) next: Next<'a>,
}

/// What comes behind a leg.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// It ends here.
    End,
    /// A program with a connection of its own, at this row; `None` where it speaks by packets.
    Proxy { by: Option<ForwardKind>, to: Option<usize>, certain: bool },
    /// A program of which it is not known by which of its connections.
    Unpaired(&'a Forward),
}

/// All legs of the connection of this row, from its first client on; empty where nothing forwards it.
pub(crate) fn of(snap: &Snapshot, row: usize) -> Vec<Leg<'_>> {
    let mut leg = at(snap, row);
    for _ in 0..MOST_LEGS {
        let Some(accepted) = before(snap, &leg) else { break };
        leg = at(snap, accepted);
    }
    let mut out: Vec<Leg<'_>> = Vec::new();
    loop {
        let end = leg.server.filter(|_| out.len() < MOST_LEGS);
        let pair = end.and_then(|r| snap.pair_of(r).filter(|p| p.accepted == r as u32));
        let through = end.and_then(|r| accepting(snap, r));
        let (next, behind) = match (pair, through) {
            (Some(p), f) => {
                let to = p.connected as usize;
                let by = f.and_then(|f| f.ways().find(|s| !s.by.is_rule())).map(|s| s.by);
                let proxy = |to| Next::Proxy { by, to, certain: p.certain };
                if p.direct {
                    let s = snap.socket(to);
                    (proxy(None), Some(Leg::new(None, s.remote, s.local, Some(to))))
                } else {
                    (proxy(Some(to)), Some(at(snap, to)))
                }
            }
            (None, Some(f)) => (Next::Unpaired(f), None),
            (None, None) => (Next::End, None),
        };
        leg.next = next;
        if leg.server.is_none() {
            leg.look_for_listener(
                snap,
                through.or_else(|| out.last().and_then(|l| accepting(snap, l.server?))),
            );
        }
        out.push(leg);
        match behind {
            Some(more) => leg = more,
            None => break,
        }
    }
    let forwarded = |l: &Leg<'_>| !l.flows.is_empty() || !matches!(l.next, Next::End);
    if out.iter().any(forwarded) { out } else { Vec::new() }
}

/// What a proxy accepted for the leg that it made.
fn before(snap: &Snapshot, leg: &Leg<'_>) -> Option<usize> {
    let made = |row: usize, direct: bool| {
        let pair = snap.pair_of(row).filter(|p| p.connected == row as u32 && p.direct == direct)?;
        Some(pair.accepted as usize)
    };
    leg.client.and_then(|r| made(r, false)).or_else(|| made(leg.server?, true))
}

/// The leg that a row is an end of.
fn at(snap: &Snapshot, row: usize) -> Leg<'_> {
    let s = snap.socket(row);
    let passing = s.state == State::Forwarded;
    let mut flows = snap.flows(row);
    if passing || flows.iter().any(|f| f.is_redirected()) {
        while let Some(later) =
            flows.last().filter(|_| flows.len() < MOST_LEGS).and_then(|f| snap.flow_after(f))
        {
            flows.push(later);
        }
        if let (Some(first), Some(last)) = (flows.first().copied(), flows.last().copied()) {
            let mine = |e: &(Endpoint, Endpoint)| Some(row).filter(|_| !passing && (s.local, s.remote) == *e);
            let client = mine(&first.orig).or_else(|| find(snap, first, first.orig));
            let server = mine(&last.reply).or_else(|| find(snap, last, last.reply));
            let mut leg = Leg::new(client, first.orig.0, last.reply.0, server);
            leg.flows = flows;
            return leg;
        }
    }
    let other = snap.other_end(row);
    let role = |r: usize| snap.pair_of(r).map(|p| p.accepted == r as u32 || p.direct);
    // Whether this row is where it comes to: as a pair tells, or its far end's; else as what listens tells.
    let serves = role(row)
        .or_else(|| role(other?).map(|o| !o))
        .unwrap_or_else(|| snap.facts[row].direction != Direction::Out);
    if serves {
        Leg::new(other, s.remote, s.local, Some(row))
    } else {
        Leg::new(Some(row), s.local, s.remote, other)
    }
}

/// The row with these ends. Loopback addresses are those of the namespace that tracks it; others are told apart by it where
/// several have the same.
fn find(snap: &Snapshot, flow: &Flow, ends: (Endpoint, Endpoint)) -> Option<usize> {
    let near = [ends.0, ends.1].iter().any(|e| e.addr.scope() == Scope::Loopback);
    let is = |s: &Socket| {
        (s.proto, s.local, s.remote) == (flow.proto, ends.0, ends.1)
            && s.state != State::Forwarded
            && (!near || s.id.netns == flow.netns)
    };
    let all: Vec<usize> = (0..snap.live).filter(|r| is(snap.socket(*r))).collect();
    match all[..] {
        [one] => Some(one),
        _ => all.into_iter().find(|r| snap.socket(*r).id.netns == flow.netns),
    }
}

/// The forward whose program accepted this connection.
fn accepting(snap: &Snapshot, row: usize) -> Option<&Forward> {
    let s = snap.socket(row);
    snap.forward_rows().iter().find(|f| {
        f.sockets.contains(&(row as u32))
            && (f.netns, f.host.port) == (s.id.netns, s.local.port)
            && f.target != Some(s.local)
            && f.ways().any(|s| s.process.is_some())
    })
}

/// The forward by whose rule a connection was sent on: of several that take it, the one that says most of what it is for.
pub(crate) fn forward_of_flow<'a>(snap: &'a Snapshot, flow: &Flow) -> Option<&'a Forward> {
    let of_rule =
        |f: &&Forward| f.steps.iter().any(|s| s.by.is_rule()) && f.shadowed_by.is_none() && f.takes(flow);
    let says = |f: &&Forward| {
        (f.host.port != 0, f.last_port <= f.host.port, f.host.addr == flow.orig.1.addr, f.proto.is_some())
    };
    // Of equal ones the first.
    snap.forward_rows().iter().rev().filter(of_rule).max_by_key(says)
}

impl<'a> Leg<'a> {
    fn new(client: Option<usize>, from: Endpoint, to: Endpoint, server: Option<usize>) -> Self {
        let (flows, next) = (Vec::new(), Next::End);
        Self { client, from, flows, to, server, listener: None, netns: None, nobody: false, next }
    }

    /// Who should take it, as the forward tells that it came through.
    fn look_for_listener(&mut self, snap: &'a Snapshot, through: Option<&'a Forward>) {
        let flow = self.flows.last();
        let by_rule = flow.and_then(|f| forward_of_flow(snap, f));
        let Some(f) = by_rule.or(through) else { return };
        let begun = match flow {
            Some(flow) => matches!(flow.state(), "SYN_SENT" | "UNREPLIED"),
            None => self.client.is_some_and(|r| snap.socket(r).state == State::SynSent),
        };
        self.netns = f.target_netns;
        self.listener = f.target_row.map(|r| r as usize);
        self.nobody = begun && f.listens == Some(false);
    }
}
