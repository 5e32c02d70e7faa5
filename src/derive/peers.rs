//! Peers: one row per remote address; a link-local address is one peer per link.

use crate::model::snapshot::{Direction, PackedRates, Peer, SocketFacts};
use crate::model::{Addr, Sample, Socket, StateCounts};
use rustc_hash::FxHashMap;

/// Placeholder for the peer number of a row that is not a connection.
pub(super) const NONE: u32 = u32::MAX;

/// Addresses that there may be without a connection, beside as many as have one, before they are dropped.
const MAX_STALE: usize = 4096;

/// Remote addresses of this and earlier polls.
#[derive(Debug, Default)]
pub(super) struct PeerHistory {
    poll: u64,
    entries: FxHashMap<PeerKey, Entry>,
}

/// Address, and namespace and interface of a link-local one.
type PeerKey = (Addr, u16, u32);

fn peer_key(s: &Socket) -> PeerKey {
    match s.zone_index(&s.remote.addr) {
        0 => (s.remote.addr, 0, 0),
        i => (s.remote.addr, s.id.netns, i),
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    first_seen_ns: u64,
    /// Present at the first poll.
    preexisting: bool,
    /// The last poll with a connection, and the number in that poll.
    last_poll: u64,
    number: u32,
}

/// The peers of a sample.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub rows: Vec<Peer>,
    pub sockets: Vec<u32>,
    pub processes: Vec<u32>,
    /// For each live socket the number of its remote address (not its row here); [`NONE`] if it is not a connection.
    pub numbers: Vec<u32>,
    /// Number of distinct remote addresses.
    pub count: u32,
}

impl PeerHistory {
    /// Numbers the remote addresses of the live connections in order of appearance.
    pub(super) fn assign_numbers(&mut self, sample: &Sample, sockets: &[Socket]) -> Peers {
        self.poll += 1;
        let mut count = 0;
        let numbers = sockets
            .iter()
            .map(|s| {
                if !s.proto.is_inet() || !s.has_peer() {
                    return NONE;
                }
                let new = Entry {
                    first_seen_ns: sample.at.boot_ns,
                    preexisting: self.poll == 1,
                    last_poll: 0,
                    number: 0,
                };
                let e = self.entries.entry(peer_key(s)).or_insert(new);
                if e.last_poll != self.poll {
                    (e.last_poll, e.number) = (self.poll, count);
                    count += 1;
                }
                e.number
            })
            .collect();
        // First-seen times of addresses without a connection are kept until they outnumber the others.
        if self.entries.len() > 2 * count as usize + MAX_STALE {
            let poll = self.poll;
            self.entries.retain(|_, e| e.last_poll == poll);
        }
        Peers { numbers, count, ..Peers::default() }
    }

    /// Builds the rows, most connections first; the directions of the sockets must be known.
    pub(super) fn collect(
        &self,
        peers: &mut Peers,
        sample: &Sample,
        sockets: &[Socket],
        facts: &[SocketFacts],
        rates: &[PackedRates],
    ) {
        // Counting sort of the sockets by peer: the start of each peer, then the sockets.
        let mut starts = vec![0u32; peers.count as usize + 1];
        for n in peers.numbers.iter().filter(|n| **n != NONE) {
            starts[*n as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut by_peer = vec![0u32; starts.last().map_or(0, |n| *n as usize)];
        for (row, n) in peers.numbers.iter().enumerate().filter(|(_, n)| **n != NONE) {
            let slot = &mut next[*n as usize];
            by_peer[*slot as usize] = row as u32;
            *slot += 1;
        }
        peers.rows.reserve_exact(peers.count as usize);
        let (mut ports, mut processes) = (Vec::new(), Vec::new());
        for w in starts.windows(2) {
            let span = w[0]..w[1];
            let rows = &by_peer[w[0] as usize..w[1] as usize];
            let Some(key) = rows.first().map(|r| peer_key(&sockets[*r as usize])) else { continue };
            let entry = self.entries.get(&key);
            let (addr, netns, iface) = key;
            let mut p = Peer {
                addr,
                zone: (netns, iface),
                scope: addr.scope(),
                sockets: span,
                states: StateCounts::default(),
                ports: 0,
                processes: 0..0,
                rx: None,
                tx: None,
                first_seen_ns: entry.map_or(sample.at.boot_ns, |e| e.first_seen_ns),
                preexisting: entry.is_some_and(|e| e.preexisting),
            };
            ports.clear();
            processes.clear();
            for r in rows {
                let (s, f) = (&sockets[*r as usize], &facts[*r as usize]);
                p.states.add(s.state);
                let incoming = f.direction == Direction::In;
                ports.push((incoming, if incoming { s.local.port } else { s.remote.port }));
                for o in &sample.owners[f.owners.0 as usize..f.owners.1 as usize] {
                    // Adjacent rows mostly have the same owner; other duplicates are removed below.
                    if processes.last() != Some(&o.process) {
                        processes.push(o.process);
                    }
                }
                if let Some(r) = rates.get(*r as usize).map(|r| r.unpack()) {
                    add(&mut p.rx, r.rx);
                    add(&mut p.tx, r.tx);
                }
            }
            p.ports = count_distinct(&mut ports);
            sort_dedup(&mut processes, sample.processes.len());
            let begin = peers.processes.len() as u32;
            peers.processes.extend_from_slice(&processes);
            p.processes = begin..peers.processes.len() as u32;
            peers.rows.push(p);
        }
        peers.sockets = by_peer;
        peers.rows.sort_unstable_by(|a, b| {
            b.sockets.len().cmp(&a.sockets.len()).then((a.addr, a.zone).cmp(&(b.addr, b.zone)))
        });
    }
}

/// Length of a list from which a bit set is faster than sorting.
const BIT_SET_THRESHOLD: usize = 4096;

/// Number of distinct items; reorders the list.
fn count_distinct(ports: &mut Vec<(bool, u16)>) -> u32 {
    if ports.len() < BIT_SET_THRESHOLD {
        ports.sort_unstable();
        ports.dedup();
        return ports.len() as u32;
    }
    let mut set = BitSet::new(2 << 16);
    for (incoming, port) in ports {
        set.insert(usize::from(*port) | usize::from(*incoming) << 16);
    }
    set.iter().count() as u32
}

/// Sorts these numbers below `end` and removes duplicates.
fn sort_dedup(numbers: &mut Vec<u32>, end: usize) {
    if numbers.len() < BIT_SET_THRESHOLD {
        numbers.sort_unstable();
        numbers.dedup();
        return;
    }
    let mut set = BitSet::new(end);
    for n in &*numbers {
        set.insert(*n as usize);
    }
    numbers.clear();
    numbers.extend(set.iter().map(|n| n as u32));
}

/// A set of small numbers.
struct BitSet(Vec<u64>);

impl BitSet {
    /// An empty set for numbers below `end`.
    fn new(end: usize) -> Self {
        Self(vec![0; end.div_ceil(64)])
    }

    fn insert(&mut self, n: usize) {
        if let Some(word) = self.0.get_mut(n / 64) {
            *word |= 1 << (n % 64);
        }
    }

    /// The numbers in ascending order.
    fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate();
        words.flat_map(|(i, word)| {
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| i * 64 + bit)
        })
    }
}

/// Adds a value if it is known.
pub(super) fn add(sum: &mut Option<f64>, more: Option<f32>) {
    if let Some(n) = more {
        *sum = Some(sum.unwrap_or(0.0) + f64::from(n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn link_local_address_is_one_peer_per_interface_and_namespace() {
        use crate::model::{Proto, State};
        let links = [
            ("[fe80::2]:80", 0, 4),
            ("[fe80::2]:80", 0, 5),
            ("[fe80::2]:80", 0, 5),
            ("[fe80::2]:80", 1, 5),
            ("[2001:db8::2]:80", 0, 4),
            ("[2001:db8::2]:80", 1, 5),
        ];
        let row = |(remote, netns, iface): (&str, u16, u32)| {
            let mut row = crate::testing::row(Proto::Tcp, State::Established, "[fe80::1]:7", remote, &[]);
            (row.socket.id.netns, row.socket.iface) = (netns, iface);
            row
        };
        let snap = crate::testing::snapshot(links.map(row).into(), vec![], &[]);
        let (sample, sockets) = (&snap.sample, &snap.sample.sockets);
        let mut history = PeerHistory::default();
        let mut peers = history.assign_numbers(sample, sockets);
        assert_eq!((&*peers.numbers, peers.count), (&[0, 1, 1, 2, 3, 3][..], 4));
        history.collect(&mut peers, sample, sockets, &snap.facts, &[]);
        let rows: Vec<(String, (u16, u32), usize)> =
            peers.rows.iter().map(|p| (p.addr.to_string(), p.zone, p.sockets.len())).collect();
        let row = |addr: &str, zone, n| (addr.to_owned(), zone, n);
        let want = [
            row("2001:db8::2", (0, 0), 2),
            row("fe80::2", (0, 5), 2),
            row("fe80::2", (0, 4), 1),
            row("fe80::2", (1, 5), 1),
        ];
        assert_eq!(rows, want);
    }

    proptest! {
        #[test]
        fn bit_set_and_sorting_give_the_same_result(
            some in prop::collection::vec((any::<bool>(), any::<u16>()), 1..200),
            end in 1usize..300,
        ) {
            let long = |n: usize| (0..=n / some.len()).flat_map(|_| some.iter().copied());
            prop_assert_eq!(count_distinct(&mut long(BIT_SET_THRESHOLD).collect()), count_distinct(&mut some.clone()));
            let below = |p: (bool, u16)| u32::from(p.1) % end as u32;
            let (mut many, mut few): (Vec<u32>, Vec<u32>) =
                (long(BIT_SET_THRESHOLD).map(below).collect(), some.iter().copied().map(below).collect());
            sort_dedup(&mut many, end);
            sort_dedup(&mut few, end);
            prop_assert_eq!(many, few);
        }
    }
}
