//! Legs of a forwarded connection: from a client to the socket that accepts it, and on from there if that is a proxy.

use crate::model::snapshot::Direction;
use crate::model::{Endpoint, Flow, Forward, ForwardKind, Scope, Snapshot, Socket, State};

/// Maximum number of forwards that a connection passes one after the other.
pub(super) const MAX_LEGS: usize = 8;

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg<'a> {
    /// The row of the client, if it is on this host.
    pub(crate) client: Option<usize>,
    /// The endpoint of the client.
    pub(crate) from: Endpoint,
    /// Conntrack entries that translate its destination, in order.
    pub(crate) flows: Vec<&'a Flow>,
    /// The endpoint that it reaches.
    pub(crate) to: Endpoint,
    /// The row of that endpoint, if it is on this host.
    pub(crate) server: Option<usize>,
    /// If that row is not visible: the row of the listener, and the network namespace of the address.
    pub(crate) listener: Option<usize>,
    pub(crate) netns: Option<u16>,
    /// Not established, and nothing listens on the target.
    pub(crate) no_listener: bool,
    /// The forward from there.
    pub(crate) next: Next<'a>,
}

/// The step after a leg.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// The end of the route.
    End,
    /// A proxy with its own connection at row `to`; `None` if it forwards packets.
    Proxy { by: Option<ForwardKind>, to: Option<usize>, certain: bool },
    /// A proxy whose matching connection is unknown.
    Unpaired(&'a Forward),
}

/// All legs of the connection of this row, from its first client on; empty if it is not forwarded.
pub(crate) fn forward_legs(snap: &Snapshot, row: usize) -> Vec<Leg<'_>> {
    let mut leg = leg_of_row(snap, row);
    for _ in 0..MAX_LEGS {
        let Some(accepted) = accepted_before(snap, &leg) else { break };
        leg = leg_of_row(snap, accepted);
    }
    let mut out: Vec<Leg<'_>> = Vec::new();
    loop {
        let end = leg.server.filter(|_| out.len() < MAX_LEGS);
        let pair = end.and_then(|r| snap.pair_of(r).filter(|p| p.accepted == r as u32));
        let forward = end.and_then(|r| forward_of_accepted(snap, r));
        let (next, following) = match (pair, forward) {
            (Some(p), f) => {
                let to = p.connected as usize;
                let by = f.and_then(|f| f.known_via().find(|s| !s.kind.is_rule())).map(|s| s.kind);
                let proxy = |to| Next::Proxy { by, to, certain: p.certain };
                if p.direct {
                    let s = snap.socket(to);
                    (proxy(None), Some(Leg::new(None, s.remote, s.local, Some(to))))
                } else {
                    (proxy(Some(to)), Some(leg_of_row(snap, to)))
                }
            }
            (None, Some(f)) => (Next::Unpaired(f), None),
            (None, None) => (Next::End, None),
        };
        leg.next = next;
        if leg.server.is_none() {
            leg.find_listener(
                snap,
                forward.or_else(|| out.last().and_then(|l| forward_of_accepted(snap, l.server?))),
            );
        }
        out.push(leg);
        match following {
            Some(more) => leg = more,
            None => break,
        }
    }
    let forwarded = |l: &Leg<'_>| !l.flows.is_empty() || !matches!(l.next, Next::End);
    if out.iter().any(forwarded) { out } else { Vec::new() }
}

/// The connection a proxy accepted before it made this leg.
fn accepted_before(snap: &Snapshot, leg: &Leg<'_>) -> Option<usize> {
    let made = |row: usize, direct: bool| {
        let pair = snap.pair_of(row).filter(|p| p.connected == row as u32 && p.direct == direct)?;
        Some(pair.accepted as usize)
    };
    leg.client.and_then(|r| made(r, false)).or_else(|| made(leg.server?, true))
}

/// The leg that has this row as an end.
fn leg_of_row(snap: &Snapshot, row: usize) -> Leg<'_> {
    let s = snap.socket(row);
    let passing = s.state == State::Forwarded;
    let mut flows = snap.flows(row);
    if passing || flows.iter().any(|f| f.is_redirected()) {
        while let Some(later) =
            flows.last().filter(|_| flows.len() < MAX_LEGS).and_then(|f| snap.flow_after(f))
        {
            flows.push(later);
        }
        if let (Some(first), Some(last)) = (flows.first().copied(), flows.last().copied()) {
            let own_end =
                |e: &(Endpoint, Endpoint)| Some(row).filter(|_| !passing && (s.local, s.remote) == *e);
            let client = own_end(&first.orig).or_else(|| find(snap, first, first.orig));
            let server = own_end(&last.reply).or_else(|| find(snap, last, last.reply));
            let mut leg = Leg::new(client, first.orig.0, last.reply.0, server);
            leg.flows = flows;
            return leg;
        }
    }
    let other = snap.local_peer(row);
    let role = |r: usize| snap.pair_of(r).map(|p| p.accepted == r as u32 || p.direct);
    // The server end: known from the pair of this row or of its peer, else from the direction.
    let serves = role(row)
        .or_else(|| role(other?).map(|o| !o))
        .unwrap_or_else(|| snap.facts[row].direction != Direction::Out);
    if serves {
        Leg::new(other, s.remote, s.local, Some(row))
    } else {
        Leg::new(Some(row), s.local, s.remote, other)
    }
}

/// The row with these endpoints. Loopback addresses belong to the namespace of the conntrack entry; if several rows have the
/// same endpoints, the one of that namespace.
fn find(snap: &Snapshot, flow: &Flow, ends: (Endpoint, Endpoint)) -> Option<usize> {
    let loopback = [ends.0, ends.1].iter().any(|e| e.addr.scope() == Scope::Loopback);
    let matches = |s: &Socket| {
        (s.proto, s.local, s.remote) == (flow.proto, ends.0, ends.1)
            && s.state != State::Forwarded
            && (!loopback || s.id.netns == flow.netns)
    };
    let all: Vec<usize> = (0..snap.live).filter(|r| matches(snap.socket(*r))).collect();
    match all[..] {
        [row] => Some(row),
        _ => all.into_iter().find(|r| snap.socket(*r).id.netns == flow.netns),
    }
}

/// The forward whose proxy accepted this connection.
fn forward_of_accepted(snap: &Snapshot, row: usize) -> Option<&Forward> {
    let s = snap.socket(row);
    snap.forward_rows().iter().find(|f| {
        f.sockets.contains(&(row as u32))
            && (f.netns, f.host.port) == (s.id.netns, s.local.port)
            && f.target != Some(s.local)
            && f.known_via().any(|s| s.process.is_some())
    })
}

/// The forward whose rule redirected a connection; of several that match the most specific.
pub(crate) fn forward_of_flow<'a>(snap: &'a Snapshot, flow: &Flow) -> Option<&'a Forward> {
    let by_rule = |f: &&Forward| {
        f.via.iter().any(|s| s.kind.is_rule()) && f.shadowed_by.is_none() && f.translated(flow)
    };
    let specificity = |f: &&Forward| {
        (f.host.port != 0, f.last_port <= f.host.port, f.host.addr == flow.orig.1.addr, f.proto.is_some())
    };
    // On a tie the first.
    snap.forward_rows().iter().rev().filter(by_rule).max_by_key(specificity)
}

impl<'a> Leg<'a> {
    fn new(client: Option<usize>, from: Endpoint, to: Endpoint, server: Option<usize>) -> Self {
        let (flows, next) = (Vec::new(), Next::End);
        Self { client, from, flows, to, server, listener: None, netns: None, no_listener: false, next }
    }

    /// Finds the listener of the target from the forward of this leg.
    fn find_listener(&mut self, snap: &'a Snapshot, forward: Option<&'a Forward>) {
        let flow = self.flows.last();
        let by_rule = flow.and_then(|f| forward_of_flow(snap, f));
        let Some(f) = by_rule.or(forward) else { return };
        let connecting = match flow {
            Some(flow) => matches!(flow.state(), "SYN_SENT" | "UNREPLIED"),
            None => self.client.is_some_and(|r| snap.socket(r).state == State::SynSent),
        };
        self.netns = f.target_netns;
        self.listener = f.target_row.map(|r| r as usize);
        self.no_listener = connecting && f.listens == Some(false);
    }
}
