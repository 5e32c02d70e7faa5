//! One row a remote address.

use super::ports::has_peer;
use crate::model::snapshot::{Direction, Peer, Rates, SocketFacts};
use crate::model::{Addr, Sample, StateCounts};
use rustc_hash::{FxHashMap, FxHashSet};

/// Collects the remote addresses of the live connections, most connections first. `seen` tells when an address was
/// first seen; it forgets those that are gone.
pub(super) fn collect(
    sample: &Sample,
    facts: &[SocketFacts],
    rates: &[Rates],
    seen: &mut FxHashMap<Addr, u64>,
) -> Vec<Peer> {
    let mut at: FxHashMap<Addr, u32> = FxHashMap::default();
    let mut ports: FxHashSet<(u32, bool, u16)> = FxHashSet::default();
    let mut peers: Vec<Peer> = Vec::new();
    for (row, s) in
        sample.sockets.iter().enumerate().filter(|(_, s)| s.proto.is_inet() && has_peer(&s.remote))
    {
        let i = *at.entry(s.remote.addr).or_insert_with(|| {
            peers.push(Peer {
                addr: s.remote.addr,
                scope: s.remote.addr.scope(),
                sockets: Vec::new(),
                states: StateCounts::default(),
                ports: 0,
                processes: Vec::new(),
                rx: None,
                tx: None,
                first_seen_ns: seen.get(&s.remote.addr).copied().unwrap_or(sample.at.boot_ns),
            });
            peers.len() as u32 - 1
        });
        let f = &facts[row];
        let came_in = f.direction == Direction::In;
        let fresh = ports.insert((i, came_in, if came_in { s.local.port } else { s.remote.port }));
        let p = &mut peers[i as usize];
        p.ports += u32::from(fresh);
        p.sockets.push(row as u32);
        p.states.add(s.state);
        let owners = &sample.owners[f.owners.0 as usize..f.owners.1 as usize];
        for o in owners {
            // Neighbouring rows mostly have the same owner; the rest is removed below.
            if p.processes.last() != Some(&o.process) {
                p.processes.push(o.process);
            }
        }
        if let Some(r) = rates.get(row) {
            add(&mut p.rx, r.rx);
            add(&mut p.tx, r.tx);
        }
    }
    for p in &mut peers {
        p.processes.sort_unstable();
        p.processes.dedup();
    }
    peers.sort_by(|a, b| b.sockets.len().cmp(&a.sockets.len()).then(a.addr.cmp(&b.addr)));
    seen.clear();
    seen.extend(peers.iter().map(|p| (p.addr, p.first_seen_ns)));
    peers
}

/// Adds what is known.
pub(super) fn add(sum: &mut Option<f64>, more: Option<f32>) {
    if let Some(n) = more {
        *sum = Some(sum.unwrap_or(0.0) + f64::from(n));
    }
}
