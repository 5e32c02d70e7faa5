//! Packets that earlier rules have taken: what is left for a rule.

use super::interval::Intervals;
use super::packets::{Field, PacketBox};
use super::program::RuleId;
use rustc_hash::FxHashMap;

/// Most boxes that are subtracted for one question; above, what is left is an upper bound.
const MAX_SUBTRACTED: usize = 64;
/// Most boxes that what is left is split into.
const MAX_PARTS: usize = 64;

/// Most boxes that are compared with a new one.
const MAX_COMPARED: usize = 16;
/// Most boxes that are looked at for one question.
const MAX_LOOKED_AT: usize = 2048;

/// Fields by which taken packets are found.
const INDEXED: [Field; 5] = [Field::DADDR, Field::DPORT, Field::SADDR, Field::NEW_DADDR, Field::NEW_DPORT];

/// Packets that a rule took.
#[derive(Clone, Debug)]
pub(in crate::derive) struct Taken {
    pub(in crate::derive) packets: PacketBox,
    /// The rule; `None` for the policy of a chain.
    pub(in crate::derive) rule: RuleId,
    /// Number of the new destination; 0 for other verdicts.
    pub(in crate::derive) destination: u32,
    pub(in crate::derive) verdict: Taking,
}

/// The end of packets that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) enum Taking {
    /// They leave the chain or the base chain, or are translated.
    Moved,
    Dropped,
    /// Dropped, and answered.
    Rejected,
    /// Passed to a program, which decides.
    Queued,
}

/// Boxes by the value of one field, for those with a single value.
#[derive(Debug, Default)]
struct ByValue {
    single: FxHashMap<u128, Vec<u32>>,
    rest: Vec<u32>,
}

impl ByValue {
    fn insert(&mut self, values: Option<&Intervals>, i: u32) {
        match values.and_then(Intervals::single) {
            Some(v) => self.single.entry(v).or_default().push(i),
            None => self.rest.push(i),
        }
    }

    fn candidates(&self, values: Option<&Intervals>) -> Option<(&[u32], &[u32])> {
        let value = values.and_then(Intervals::single)?;
        Some((self.single.get(&value).map_or(&[], Vec::as_slice), &self.rest))
    }
}

/// Boxes by each of [`INDEXED`].
#[derive(Debug, Default)]
struct Index([ByValue; INDEXED.len()]);

impl Index {
    fn insert(&mut self, packets: &PacketBox, i: u32) {
        for (index, field) in self.0.iter_mut().zip(INDEXED) {
            index.insert(packets.get(field), i);
        }
    }

    /// The boxes that can overlap with a box. `None` for all.
    fn candidates(&self, packets: &PacketBox) -> Option<impl Iterator<Item = u32>> {
        let each = self.0.iter().zip(INDEXED);
        let each = each.filter_map(|(index, field)| index.candidates(packets.get(field)));
        let (single, rest) = each.min_by_key(|(single, rest)| single.len() + rest.len())?;
        Some(single.iter().chain(rest).copied())
    }
}

/// Packets taken within one hook, base chain or chain.
#[derive(Debug, Default)]
pub(in crate::derive) struct Scope {
    all: Vec<Taken>,
    index: Index,
    /// Boxes that depend on a random number, by its field.
    random: FxHashMap<u32, Vec<u32>>,
    random_index: Index,
}

impl Scope {
    pub(super) fn add(&mut self, taken: Taken) {
        let random = taken.packets.fields().iter().find(|(f, _)| f.is_random()).map(|(f, _)| *f);
        let Some(field) = random else {
            self.insert(taken);
            return;
        };
        // The alternatives of one random number: together they may be everything.
        let known = self.random.get(&field.id).map_or(&[][..], Vec::as_slice);
        let alternative = known.iter().find_map(|i| {
            let union = union_over(&self.all[*i as usize].packets, &taken.packets, field)?;
            Some((*i as usize, union))
        });
        let Some((i, union)) = alternative else {
            let i = self.all.len() as u32;
            self.random.entry(field.id).or_default().push(i);
            self.random_index.insert(&taken.packets, i);
            self.all.push(taken);
            return;
        };
        let whole = union == field.all();
        let before = &mut self.all[i];
        before.packets.set(field, union);
        before.destination = if before.destination == taken.destination { taken.destination } else { 0 };
        if whole {
            let merged = Taken { packets: before.packets.without(field), ..before.clone() };
            self.add(merged);
        }
    }

    fn insert(&mut self, taken: Taken) {
        // A chain that is called often takes the same packets again.
        let again = |t: &Taken| t.destination == taken.destination && t.packets.covers(&taken.packets);
        if self.candidates(&taken.packets).take(MAX_COMPARED).any(again) {
            return;
        }
        let i = self.all.len() as u32;
        self.index.insert(&taken.packets, i);
        self.all.push(taken);
    }

    /// All boxes.
    pub(super) fn into_taken(self) -> Vec<Taken> {
        self.all
    }

    /// Adds all that another scope took.
    pub(super) fn append(&mut self, other: Self) {
        for taken in other.all {
            self.add(taken);
        }
    }

    fn taken(&self, found: Option<impl Iterator<Item = u32>>, random: bool) -> impl Iterator<Item = &Taken> {
        let every = if found.is_none() { &self.all[..] } else { &[] };
        let every = every.iter().filter(move |t| is_random(t) == random);
        found.into_iter().flatten().map(|i| &self.all[i as usize]).chain(every)
    }

    /// The boxes that can overlap with a box: those that depend on the same random number or on none.
    fn candidates(&self, packets: &PacketBox) -> impl Iterator<Item = &Taken> {
        let random = packets.fields().iter().filter(|(f, _)| f.is_random());
        let random: Vec<u32> =
            random.filter_map(|(f, _)| self.random.get(&f.id)).flatten().copied().collect();
        let random = random.into_iter().map(|i| &self.all[i as usize]);
        self.taken(self.index.candidates(packets), false).chain(random)
    }

    /// The boxes that can overlap with a box and depend on a random number.
    fn at_random(&self, packets: &PacketBox) -> impl Iterator<Item = &Taken> {
        let none = self.random.is_empty();
        self.taken(self.random_index.candidates(packets), true).take(if none { 0 } else { MAX_LOOKED_AT })
    }
}

fn is_random(taken: &Taken) -> bool {
    taken.packets.fields().iter().any(|(f, _)| f.is_random())
}

/// The values of `field` in either box, if they are equal otherwise.
fn union_over(a: &PacketBox, b: &PacketBox, field: Field) -> Option<Intervals> {
    let same = a.fields().len() == b.fields().len()
        && a.fields().iter().zip(b.fields()).all(|(x, y)| x.0 == y.0 && (x.0 == field || x.1 == y.1));
    let union = || Intervals::union_of([a.values(field).spans(), b.values(field).spans()].concat());
    same.then(union)
}

/// The packets that are left of a box.
#[derive(Debug)]
pub(in crate::derive) struct Left {
    /// Boxes that do not overlap.
    pub(in crate::derive) packets: Vec<PacketBox>,
    /// Packets taken of them before, in the order of evaluation.
    pub(in crate::derive) taken: Vec<Taken>,
    /// False if more was taken than is subtracted.
    pub(in crate::derive) exact: bool,
    /// A random choice of an earlier rule takes some of them.
    pub(in crate::derive) at_random: bool,
}

/// The packets of a box that no scope has, random numbers included. `None` if they are too many.
pub(super) fn untaken(scopes: &[Scope], packets: &PacketBox) -> Option<Vec<PacketBox>> {
    let mut out = vec![packets.clone()];
    for scope in scopes {
        for (n, t) in scope.candidates(packets).chain(scope.at_random(packets)).enumerate() {
            if n >= MAX_LOOKED_AT || out.len() > MAX_PARTS {
                return None;
            }
            if t.packets.intersects(packets) {
                out = out.iter().flat_map(|p| p.subtract(&t.packets)).collect();
            }
        }
    }
    Some(out)
}

/// The packets that are left of a box, not counting those that were sent to the same destination.
pub(in crate::derive) fn left(scopes: &[Scope], packets: &PacketBox, destination: u32) -> Left {
    let mut out = Left { packets: vec![packets.clone()], taken: Vec::new(), exact: true, at_random: false };
    for scope in scopes {
        out.at_random |= scope.at_random(packets).any(|t| t.packets.intersects(packets));
        for (n, t) in scope.candidates(packets).enumerate() {
            if n >= MAX_LOOKED_AT {
                out.exact = false;
                return out;
            }
            if destination != 0 && t.destination == destination || !t.packets.intersects(packets) {
                continue;
            }
            if out.taken.len() >= MAX_SUBTRACTED || out.packets.len() > MAX_PARTS {
                out.exact = false;
                return out;
            }
            let parts = out.packets.iter().flat_map(|p| p.subtract(&t.packets)).collect();
            out.packets = parts;
            out.taken.push(t.clone());
        }
    }
    out
}
