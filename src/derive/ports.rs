//! One row a served endpoint, and which end began each connection.

use super::coverage::Scope;
use super::direction::Served;
use super::peers::{NONE, Peers, add};
use crate::model::snapshot::{Direction, Port, Rates, SocketFacts};
use crate::model::{Proto, Sample, Socket, State, StateCounts};

/// Collects the served endpoints of the live sockets, in the order of protocol, port and address, with their
/// connections; tells of every connection which end began it.
pub(super) fn collect(
    sample: &Sample,
    sockets: &[Socket],
    facts: &mut [SocketFacts],
    rates: &[Rates],
    peers: &Peers,
    scope: &Scope,
) -> Vec<Port> {
    let (mut ports, only6) = endpoints(sample, sockets, facts);
    let served = Served::new(&ports);
    for (row, s) in sockets.iter().enumerate() {
        if !has_ports(s.proto) || !s.has_peer() || s.serves() {
            facts[row].direction = Direction::None;
            continue;
        }
        let port = if s.state == State::SynSent { None } else { served.by(s, &ports, &only6) };
        let f = &mut facts[row];
        f.direction = match port {
            Some(_) => Direction::In,
            None if s.state == State::SynSent => Direction::Out,
            None if s.state == State::SynRecv => Direction::In,
            // What was accepted stays accepted when its listener is gone, or is not read now.
            None if f.direction == Direction::In || !scope.shows_listeners(s.proto) => f.direction,
            None => Direction::Out,
        };
        if let Some(p) = port {
            let p = &mut ports[p as usize];
            p.clients.push(row as u32);
            p.states.add(s.state);
            if let Some(r) = rates.get(row) {
                add(&mut p.rx, r.rx);
                add(&mut p.tx, r.tx);
            }
        }
    }
    count_hosts(&mut ports, peers);
    ports
}

/// The rows without their connections; beside each, whether it takes IPv6 only.
fn endpoints(sample: &Sample, sockets: &[Socket], facts: &[SocketFacts]) -> (Vec<Port>, Vec<bool>) {
    let key = |s: &Socket| (s.proto, s.local.port, s.local.addr, s.id.netns, s.iface, s.state);
    let mut serving: Vec<u32> =
        (0u32..).zip(sockets).filter(|(_, s)| s.serves() && s.proto.is_inet()).map(|(row, _)| row).collect();
    serving.sort_by_key(|r| key(&sockets[*r as usize]));
    let mut ports: Vec<Port> = Vec::new();
    let mut only6 = Vec::new();
    for same in serving.chunk_by(|a, b| key(&sockets[*a as usize]) == key(&sockets[*b as usize])) {
        let s = &sockets[same[0] as usize];
        let mut p = Port {
            netns: s.id.netns,
            proto: s.proto,
            state: s.state,
            local: s.local,
            iface: s.iface,
            sockets: same.to_vec(),
            clients: Vec::new(),
            hosts: 0,
            states: StateCounts::default(),
            recv_q: 0,
            backlog: 0,
            drops: None,
            processes: Vec::new(),
            scope: s.local.addr.scope(),
            rx: None,
            tx: None,
        };
        let mut only = true;
        for row in same {
            let s = &sockets[*row as usize];
            let attrs = sample.attrs_of(s);
            only &= attrs.v6only() == Some(true);
            p.recv_q += u64::from(s.recv_q);
            if s.is_listener() {
                p.backlog += u64::from(s.send_q);
            }
            if let Some(d) = attrs.drops() {
                p.drops = Some(p.drops.unwrap_or(0) + u64::from(d));
            }
            let (a, b) = facts[*row as usize].owners;
            p.processes.extend(sample.owners[a as usize..b as usize].iter().map(|o| o.process));
        }
        p.processes.sort_unstable();
        p.processes.dedup();
        ports.push(p);
        only6.push(only);
    }
    (ports, only6)
}

/// Counts the distinct remote addresses of each row's clients.
fn count_hosts(ports: &mut [Port], peers: &Peers) {
    let mut last = vec![NONE; peers.count as usize];
    for (i, p) in ports.iter_mut().enumerate() {
        for r in &p.clients {
            let n = peers.of_row[*r as usize] as usize;
            if last.get(n).is_some_and(|l| *l != i as u32) {
                last[n] = i as u32;
                p.hosts += 1;
            }
        }
    }
}

/// Whether the numbers beside the addresses are ports: with raw sockets they are protocols.
const fn has_ports(p: Proto) -> bool {
    p.is_inet() && !matches!(p, Proto::Raw | Proto::Icmp)
}
