//! Rows of a table and their counterparts in the sample before.

use super::FrameError;
use super::runs::{Numbers, Sink};
use super::varint::{Input, put, unzigzag, zigzag};
use rustc_hash::FxHashMap;
use std::hash::Hash;

/// In [`Pairs::old`]: no counterpart.
pub(super) const NEW: u32 = u32::MAX;

/// Most rows of one table.
pub(super) const MAX_ROWS: u64 = 1 << 21;

/// Rows before the expected one in which its counterpart is looked for without a table of all.
const NEAR: usize = 16;

/// Consecutive rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First row.
    pub(super) start: usize,
    /// Number of rows.
    pub(super) len: usize,
    /// Counterpart of the first; [`NEW`] if none of them has one.
    pub(super) old: u32,
}

/// Counterpart of each row.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Row in the sample before; [`NEW`] for none.
    pub(super) old: Vec<u32>,
    /// Rows without one.
    pub(super) new_rows: Vec<u32>,
}

impl Pairs {
    fn from_old(old: Vec<u32>) -> Self {
        let new_rows = (0..old.len() as u32).filter(|i| old[*i as usize] == NEW).collect();
        Self { old, new_rows }
    }

    /// No row has a counterpart.
    pub(super) fn all_new(rows: usize) -> Self {
        Self::from_old(vec![NEW; rows])
    }

    /// Pairs rows of equal numbers: those beyond the old ones are new.
    pub(super) fn by_position(rows: usize, old_rows: usize) -> Self {
        Self::from_old((0..rows).map(|i| if i < old_rows { i as u32 } else { NEW }).collect())
    }

    /// Pairs rows of equal keys. Wrong pairs, as of keys that occur twice, cost space and nothing else.
    pub(super) fn by_key<R, K: Eq + Hash>(new: &[R], old: &[R], key: impl Fn(&R) -> K) -> Self {
        Self::by_sorted_key(new, old, |_| 0, key)
    }

    /// The same for rows sorted by `order`: any number of rows that are gone costs no search.
    pub(super) fn by_sorted_key<R, K: Eq + Hash>(
        new: &[R],
        old: &[R],
        order: impl Fn(&R) -> u64,
        key: impl Fn(&R) -> K,
    ) -> Self {
        let mut out = vec![NEW; new.len()];
        let mut expected = 0;
        let mut taken = vec![false; old.len()];
        let mut unpaired = Vec::new();
        for (i, row) in new.iter().enumerate() {
            let (k, place) = (key(row), order(row));
            expected += old[expected..].iter().take_while(|o| order(o) < place).count();
            // A dump keeps its order: what comes next is the next row, or one after a few that are gone.
            let near = old[expected..].iter().take(NEAR).position(|o| key(o) == k);
            match near {
                Some(skipped) => {
                    out[i] = (expected + skipped) as u32;
                    taken[expected + skipped] = true;
                    expected += skipped + 1;
                }
                None => unpaired.push(i),
            }
        }
        if !unpaired.is_empty() {
            let rest = old.iter().enumerate().filter(|(j, _)| !taken[*j]);
            let by_key: FxHashMap<K, u32> = rest.map(|(j, o)| (key(o), j as u32)).collect();
            if !by_key.is_empty() {
                for i in unpaired {
                    if let Some(j) = by_key.get(&key(&new[i])) {
                        out[i] = *j;
                    }
                }
            }
        }
        Self::from_old(out)
    }

    /// Rows in order, as runs of new ones and of those whose counterparts follow each other.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let first = *self.old.get(start)?;
            let next = |k: u32| if first == NEW { NEW } else { first + k };
            let rest = self.old[start..].iter().zip(0..);
            let run = Run { start, len: rest.take_while(|(j, k)| **j == next(*k)).count(), old: first };
            start += run.len;
            Some(run)
        })
    }

    /// New row of each old one; [`NEW`] if it is gone.
    pub(super) fn inverse(&self, old_rows: usize) -> Vec<u32> {
        let mut out = vec![NEW; old_rows];
        for (i, j) in self.old.iter().enumerate() {
            if let Some(slot) = out.get_mut(*j as usize) {
                *slot = i as u32;
            }
        }
        out
    }

    /// True if the rows are those of the sample before in the same order.
    pub(super) fn is_identity(&self, old_rows: usize) -> bool {
        self.new_rows.is_empty()
            && self.old.len() == old_rows
            && self.old.iter().enumerate().all(|(i, j)| i == *j as usize)
    }

    /// Rows that differ by `changed`, and new ones.
    pub(super) fn differing(&self, changed: impl Fn(usize, usize) -> bool) -> Vec<u32> {
        let differs = |(i, j): (usize, &u32)| (*j == NEW || changed(i, *j as usize)).then_some(i as u32);
        self.old.iter().enumerate().filter_map(differs).collect()
    }

    /// Writes the number of rows and their counterparts: 0 for the row after the counterpart of the row before, 1 for none, else the
    /// distance from that row plus 1.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put(out, self.old.len() as u64);
        let mut sink = Sink::default();
        let mut expected = 0_u64;
        for (i, j) in self.old.iter().enumerate() {
            if *j == NEW {
                sink.push(i, 1);
                continue;
            }
            let distance = u64::from(*j).wrapping_sub(expected);
            sink.push(i, if distance == 0 { 0 } else { zigzag(distance) + 1 });
            expected = u64::from(*j) + 1;
        }
        sink.finish(out);
    }

    /// Reads what [`Self::put`] wrote. `budget` bounds the number of new rows.
    pub(super) fn read(input: &mut Input<'_>, old_rows: usize, budget: u64) -> Result<Self, FrameError> {
        let rows = input.int()?;
        let limit = MAX_ROWS.min(budget.saturating_add(old_rows as u64));
        if rows > limit {
            return Err(FrameError::TooLarge { subject: "rows", value: rows, limit });
        }
        let rows = rows as usize;
        let mut numbers = Numbers::new(input, rows)?;
        let mut old = Vec::with_capacity(rows);
        let mut expected = 0_u64;
        let mut next = numbers.read()?;
        for i in 0..rows {
            let number = match next {
                Some((at, number)) if at == i => {
                    next = numbers.read()?;
                    number
                }
                _ => 0,
            };
            if number == 1 {
                old.push(NEW);
                continue;
            }
            let distance = if number == 0 { 0 } else { unzigzag(number - 1) };
            let j = expected.wrapping_add(distance);
            if j >= old_rows as u64 {
                return Err(input.malformed());
            }
            old.push(j as u32);
            expected = j + 1;
        }
        Ok(Self::from_old(old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_survive_and_have_equal_keys(
            old in prop::collection::vec(0_u8..60, 0..80),
            new in prop::collection::vec(0_u8..60, 0..80),
        ) {
            let (mut sorted_new, mut sorted_old) = (new.clone(), old.clone());
            sorted_new.sort_unstable();
            sorted_old.sort_unstable();
            let sorted = Pairs::by_sorted_key(&sorted_new, &sorted_old, |k| (*k).into(), |k| *k);
            for (k, j) in sorted_new.iter().zip(&sorted.old) {
                prop_assert!(*j == NEW || sorted_old.get(*j as usize) == Some(k));
            }
            let pairs = Pairs::by_key(&new, &old, |k| *k);
            for (i, j) in pairs.old.iter().enumerate() {
                match old.get(*j as usize) {
                    Some(o) => prop_assert_eq!(*o, new[i]),
                    None => prop_assert_eq!(*j, NEW),
                }
            }
            let mut out = Vec::new();
            pairs.put(&mut out);
            let mut input = Input::new(&out, "test");
            let runs = pairs.runs().flat_map(|r| {
                (0..r.len as u32).map(move |k| if r.old == NEW { NEW } else { r.old + k })
            });
            prop_assert_eq!(runs.collect::<Vec<_>>(), &pairs.old[..]);
            let back = Pairs::read(&mut input, old.len(), 80).unwrap();
            prop_assert!(input.is_empty());
            prop_assert_eq!(back.old, pairs.old);
            prop_assert_eq!(back.new_rows, pairs.new_rows);
        }
    }

    #[test]
    fn unique_key_is_always_found() {
        let old: Vec<u32> = (0..1000).collect();
        let new: Vec<u32> = (0..1000).rev().chain([5000]).collect();
        let pairs = Pairs::by_key(&new, &old, |k| *k);
        let want: Vec<u32> = (0..1000).rev().chain([NEW]).collect();
        assert_eq!(pairs.old, want);
        // Far more are gone in between than are searched.
        let rest: Vec<u32> = (0..10).chain(990..1000).collect();
        let pairs = Pairs::by_sorted_key(&rest, &old, |k| (*k).into(), |k| *k);
        assert_eq!(pairs.old, rest);
    }

    #[test]
    fn announced_rows_are_bounded() {
        let mut out = Vec::new();
        put(&mut out, 1_000_000_000);
        put(&mut out, 0);
        put(&mut out, 0);
        let read = Pairs::read(&mut Input::new(&out, "test"), 0, 100);
        assert_eq!(
            read.err(),
            Some(FrameError::TooLarge { subject: "rows", value: 1_000_000_000, limit: 100 })
        );
    }
}
