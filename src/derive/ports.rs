//! Ports: one row per listening endpoint, and the direction of each connection.

use super::coverage::Coverage;
use super::direction::ListenerIndex;
use super::peers::{NONE, Peers, add};
use crate::model::snapshot::{AcceptQueue, Direction, PackedRates, Port, SocketFacts};
use crate::model::{Proto, Sample, Socket, State, StateCounts};

/// Collects the listening endpoints of the live sockets with their connections, by protocol, port and address, and sets the
/// direction of every connection.
pub(super) fn collect(
    sample: &Sample,
    sockets: &[Socket],
    facts: &mut [SocketFacts],
    rates: &[PackedRates],
    peers: &Peers,
    coverage: &Coverage,
) -> Vec<Port> {
    let (mut ports, v6only) = listening_endpoints(sample, sockets, facts);
    let listeners = ListenerIndex::new(&ports);
    for (row, s) in sockets.iter().enumerate() {
        if !has_ports(s.proto) || !s.has_peer() || s.serves() {
            facts[row].direction = Direction::None;
            continue;
        }
        let port = if s.state == State::SynSent { None } else { listeners.find(s, &ports, &v6only) };
        let f = &mut facts[row];
        f.direction = match port {
            Some(_) => Direction::In,
            None if s.state == State::SynSent => Direction::Out,
            None if s.state == State::SynRecv => Direction::In,
            // An accepted connection stays incoming if its listener is gone or not read in this poll.
            None if f.direction == Direction::In || !coverage.includes_listeners(s.proto) => f.direction,
            None => Direction::Out,
        };
        if let Some(p) = port {
            let p = &mut ports[p as usize];
            // One that this end has closed, such as in TIME_WAIT, is not connected any more.
            if matches!(s.state, State::Established | State::CloseWait) {
                p.clients.push(row as u32);
            }
            p.states.add(s.state);
            if let Some(r) = rates.get(row).map(|r| r.unpack()) {
                add(&mut p.rx, r.rx);
                add(&mut p.tx, r.tx);
            }
        }
    }
    count_hosts(&mut ports, peers);
    ports
}

/// The rows without their connections, and for each true if it accepts IPv6 only.
fn listening_endpoints(sample: &Sample, sockets: &[Socket], facts: &[SocketFacts]) -> (Vec<Port>, Vec<bool>) {
    let key = |s: &Socket| (s.proto, s.local.port, s.local.addr, s.id.netns, s.iface, s.state);
    let mut listening: Vec<u32> =
        (0u32..).zip(sockets).filter(|(_, s)| s.serves() && s.proto.is_inet()).map(|(row, _)| row).collect();
    listening.sort_by_key(|r| key(&sockets[*r as usize]));
    let mut ports: Vec<Port> = Vec::new();
    let mut v6only = Vec::new();
    for same in listening.chunk_by(|a, b| key(&sockets[*a as usize]) == key(&sockets[*b as usize])) {
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
            fullest: None,
            drops: None,
            sk_drops: None,
            processes: Vec::new(),
            scope: s.local.addr.scope(),
            rx: None,
            tx: None,
            filtered: None,
        };
        let mut all_v6only = true;
        for row in same {
            let s = &sockets[*row as usize];
            let attrs = sample.attrs_of(s);
            all_v6only &= attrs.v6only() == Some(true);
            p.recv_q += u64::from(s.recv_q);
            if s.is_listener() {
                let queue = AcceptQueue { row: *row, waiting: s.recv_q.into(), backlog: s.send_q.into() };
                p.backlog += queue.backlog;
                if p.fullest.is_none_or(|f| queue.share() > f.share()) {
                    p.fullest = Some(queue);
                }
            }
            if let Some(d) = attrs.drops() {
                p.sk_drops = Some(p.sk_drops.unwrap_or(0) + u64::from(d));
            }
            let (a, b) = facts[*row as usize].owners;
            p.processes.extend(sample.owners[a as usize..b as usize].iter().map(|o| o.process));
        }
        p.drops = p.sk_drops;
        // The counter of a listener includes resets in place of the last ACK of the handshake; what overflowed or failed is
        // in `ListenDrops` of its namespace too.
        if p.state == State::Listen && p.proto == Proto::Tcp {
            let net = sample.counters.iter().flat_map(|c| &c.nets).find(|n| n.netns == p.netns);
            let confirmed = net.map(|n| n.listen_drops.unwrap_or(0));
            p.drops = p.sk_drops.map(|n| confirmed.map_or(n, |c| n.min(c)));
        }
        p.processes.sort_unstable();
        p.processes.dedup();
        ports.push(p);
        v6only.push(all_v6only);
    }
    (ports, v6only)
}

/// Counts the distinct remote addresses of each row's clients.
fn count_hosts(ports: &mut [Port], peers: &Peers) {
    let mut last = vec![NONE; peers.count as usize];
    for (i, p) in ports.iter_mut().enumerate() {
        for r in &p.clients {
            let n = peers.numbers[*r as usize] as usize;
            if last.get(n).is_some_and(|l| *l != i as u32) {
                last[n] = i as u32;
                p.hosts += 1;
            }
        }
    }
}

/// True if the protocol has ports: in raw sockets the port field is the protocol number.
const fn has_ports(p: Proto) -> bool {
    p.is_inet() && !matches!(p, Proto::Raw | Proto::Icmp)
}
