//! One row a remote address.

use crate::model::snapshot::{Direction, Peer, Rates, SocketFacts};
use crate::model::{Addr, Sample, Socket, StateCounts};
use rustc_hash::FxHashMap;

/// In place of a peer's number: the row is no connection.
pub(super) const NONE: u32 = u32::MAX;

/// What is remembered of remote addresses.
#[derive(Debug, Default)]
pub(super) struct Seen {
    poll: u64,
    at: FxHashMap<Addr, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    first_seen_ns: u64,
    /// There at the first poll.
    preexisting: bool,
    /// The poll it was last there, and its number then.
    poll: u64,
    number: u32,
}

/// The peers of a sample.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub rows: Vec<Peer>,
    pub sockets: Vec<u32>,
    pub processes: Vec<u32>,
    /// Beside each live socket a number of its remote address (not its row), [`NONE`] where there is none.
    pub of_row: Vec<u32>,
    /// How many numbers there are.
    pub count: u32,
}

impl Seen {
    /// Numbers the remote addresses of the live connections in the order they occur.
    pub(super) fn number(&mut self, sample: &Sample, sockets: &[Socket]) -> Peers {
        self.poll += 1;
        let mut count = 0;
        let of_row = sockets
            .iter()
            .map(|s| {
                if !s.proto.is_inet() || !s.has_peer() {
                    return NONE;
                }
                let fresh = Entry {
                    first_seen_ns: sample.at.boot_ns,
                    preexisting: self.poll == 1,
                    poll: 0,
                    number: 0,
                };
                let e = self.at.entry(s.remote.addr).or_insert(fresh);
                if e.poll != self.poll {
                    (e.poll, e.number) = (self.poll, count);
                    count += 1;
                }
                e.number
            })
            .collect();
        // Addresses that are gone are remembered until they outnumber those that are there.
        if self.at.len() > 2 * count as usize + 4096 {
            let poll = self.poll;
            self.at.retain(|_, e| e.poll == poll);
        }
        Peers { of_row, count, ..Peers::default() }
    }

    /// Makes their rows, most connections first, once the directions are known.
    pub(super) fn collect(
        &self,
        peers: &mut Peers,
        sample: &Sample,
        sockets: &[Socket],
        facts: &[SocketFacts],
        rates: &[Rates],
    ) {
        // A counting sort of the rows by peer: where each begins, then the rows.
        let mut starts = vec![0u32; peers.count as usize + 1];
        for n in peers.of_row.iter().filter(|n| **n != NONE) {
            starts[*n as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut by_peer = vec![0u32; starts.last().map_or(0, |n| *n as usize)];
        for (row, n) in peers.of_row.iter().enumerate().filter(|(_, n)| **n != NONE) {
            let at = &mut next[*n as usize];
            by_peer[*at as usize] = row as u32;
            *at += 1;
        }
        peers.rows.reserve_exact(peers.count as usize);
        let (mut ports, mut holders) = (Vec::new(), Vec::new());
        for w in starts.windows(2) {
            let span = w[0]..w[1];
            let rows = &by_peer[w[0] as usize..w[1] as usize];
            let Some(addr) = rows.first().map(|r| sockets[*r as usize].remote.addr) else { continue };
            let seen = self.at.get(&addr);
            let mut p = Peer {
                addr,
                scope: addr.scope(),
                sockets: span,
                states: StateCounts::default(),
                ports: 0,
                processes: 0..0,
                rx: None,
                tx: None,
                first_seen_ns: seen.map_or(sample.at.boot_ns, |e| e.first_seen_ns),
                preexisting: seen.is_some_and(|e| e.preexisting),
            };
            ports.clear();
            holders.clear();
            for r in rows {
                let (s, f) = (&sockets[*r as usize], &facts[*r as usize]);
                p.states.add(s.state);
                let came_in = f.direction == Direction::In;
                ports.push((came_in, if came_in { s.local.port } else { s.remote.port }));
                for o in &sample.owners[f.owners.0 as usize..f.owners.1 as usize] {
                    // Neighbouring rows mostly have the same owner; the rest is removed below.
                    if holders.last() != Some(&o.process) {
                        holders.push(o.process);
                    }
                }
                if let Some(r) = rates.get(*r as usize) {
                    add(&mut p.rx, r.rx);
                    add(&mut p.tx, r.tx);
                }
            }
            p.ports = distinct(&mut ports);
            sort_distinct(&mut holders, sample.processes.len());
            let begin = peers.processes.len() as u32;
            peers.processes.extend_from_slice(&holders);
            p.processes = begin..peers.processes.len() as u32;
            peers.rows.push(p);
        }
        peers.sockets = by_peer;
        peers.rows.sort_unstable_by(|a, b| b.sockets.len().cmp(&a.sockets.len()).then(a.addr.cmp(&b.addr)));
    }
}

/// Numbers of which it costs less to tick them off than to sort them.
const MANY: usize = 4096;

/// How many of these are different; they may be put in another order.
fn distinct(ports: &mut Vec<(bool, u16)>) -> u32 {
    if ports.len() < MANY {
        ports.sort_unstable();
        ports.dedup();
        return ports.len() as u32;
    }
    let mut ticks = Ticks::new(2 << 16);
    for (came_in, port) in ports {
        ticks.tick(usize::from(*port) | usize::from(*came_in) << 16);
    }
    ticks.all().count() as u32
}

/// Puts these numbers below `end` in order, each once.
fn sort_distinct(numbers: &mut Vec<u32>, end: usize) {
    if numbers.len() < MANY {
        numbers.sort_unstable();
        numbers.dedup();
        return;
    }
    let mut ticks = Ticks::new(end);
    for n in &*numbers {
        ticks.tick(*n as usize);
    }
    numbers.clear();
    numbers.extend(ticks.all().map(|n| n as u32));
}

/// A set of small numbers, a bit each.
struct Ticks(Vec<u64>);

impl Ticks {
    /// None of the numbers below `end`.
    fn new(end: usize) -> Self {
        Self(vec![0; end.div_ceil(64)])
    }

    fn tick(&mut self, n: usize) {
        if let Some(word) = self.0.get_mut(n / 64) {
            *word |= 1 << (n % 64);
        }
    }

    /// In order.
    fn all(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate();
        words.flat_map(|(i, word)| {
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| i * 64 + bit)
        })
    }
}

/// Adds what is known.
pub(super) fn add(sum: &mut Option<f64>, more: Option<f32>) {
    if let Some(n) = more {
        *sum = Some(sum.unwrap_or(0.0) + f64::from(n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Ticked off or sorted, it is the same.
        #[test]
        fn many_are_counted_as_few_are(
            some in prop::collection::vec((any::<bool>(), any::<u16>()), 1..200),
            end in 1usize..300,
        ) {
            let long = |n: usize| (0..=n / some.len()).flat_map(|_| some.iter().copied());
            prop_assert_eq!(distinct(&mut long(MANY).collect()), distinct(&mut some.clone()));
            let below = |p: (bool, u16)| u32::from(p.1) % end as u32;
            let (mut many, mut few): (Vec<u32>, Vec<u32>) =
                (long(MANY).map(below).collect(), some.iter().copied().map(below).collect());
            sort_distinct(&mut many, end);
            sort_distinct(&mut few, end);
            prop_assert_eq!(many, few);
        }
    }
}
