//! One row a served endpoint.

use super::direction::Served;
use super::peers::{NONE, Peers};
use crate::model::snapshot::{Port, SocketFacts};
use crate::model::{Addr, Endpoint, Proto, Sample, State, StateCounts};
use rustc_hash::FxHashMap;

/// Collects the served endpoints of the live sockets, in the order of protocol, port and address.
pub(super) fn served(sample: &Sample, facts: &[SocketFacts]) -> (Vec<Port>, Served) {
    type Key = (Proto, u16, Addr, u16, u32, State);
    let mut at: FxHashMap<Key, usize> = FxHashMap::default();
    let mut ports: Vec<Port> = Vec::new();
    for (row, s) in sample.sockets.iter().enumerate().filter(|(_, s)| s.serves() && s.proto.is_inet()) {
        let key = (s.proto, s.local.port, s.local.addr, s.id.netns, s.iface, s.state);
        let i = *at.entry(key).or_insert_with(|| {
            ports.push(Port {
                netns: s.id.netns,
                proto: s.proto,
                state: s.state,
                local: s.local,
                iface: s.iface,
                sockets: Vec::new(),
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
            });
            ports.len() - 1
        });
        let p = &mut ports[i];
        p.sockets.push(row as u32);
        p.recv_q += u64::from(s.recv_q);
        if s.is_listener() {
            p.backlog += u64::from(s.send_q);
        }
        if let Some(d) = sample.attrs_of(s).drops() {
            p.drops = Some(p.drops.unwrap_or(0) + u64::from(d));
        }
        let (a, b) = facts[row].owners;
        p.processes.extend(sample.owners[a as usize..b as usize].iter().map(|o| o.process));
    }
    ports.sort_by_key(|p| (p.proto, p.local.port, p.local.addr, p.netns, p.iface));
    let mut served = Served::default();
    for (i, p) in ports.iter_mut().enumerate() {
        p.processes.sort_unstable();
        p.processes.dedup();
        served.add(p.netns, p.proto, p.local, i as u32);
    }
    (ports, served)
}

/// Counts the distinct remote addresses of each row's clients.
pub(super) fn count_hosts(ports: &mut [Port], peers: &Peers) {
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

/// Whether this is a connection: it has a far end.
pub(super) fn has_peer(remote: &Endpoint) -> bool {
    remote.port != 0 && !remote.addr.is_any()
}
