//! Items by tuple, several of one tuple in a chain.

use super::Tuple;
use rustc_hash::FxHashMap;

/// Most items of one tuple that are looked at. A host that sends more has none of them joined, and costs no more.
const MAX_EQUAL: usize = 64;

/// No further item.
const END: u32 = u32::MAX;

/// Items of a kind by tuple.
#[derive(Debug)]
pub(super) struct Index<T> {
    first: FxHashMap<Tuple, u32>,
    items: Vec<(Tuple, T, u32)>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { first: FxHashMap::default(), items: Vec::new() }
    }
}

impl<T: Copy> Index<T> {
    pub(super) fn add(&mut self, tuple: Tuple, item: T) {
        let n = self.items.len() as u32;
        let next = self.first.insert(tuple, n).unwrap_or(END);
        self.items.push((tuple, item, next));
    }

    pub(super) fn has(&self, tuple: &Tuple) -> bool {
        self.first.contains_key(tuple)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All items with their tuples.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Tuple, T)> {
        self.items.iter().map(|(tuple, item, _)| (tuple, *item))
    }

    /// Item of a tuple that meets a condition, if it is the only one.
    pub(super) fn only(&self, tuple: &Tuple, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        let mut next = *self.first.get(tuple)?;
        let mut found = None;
        for _ in 0..MAX_EQUAL {
            let Some((_, item, after)) = self.items.get(next as usize) else { return found };
            if is_meant(item) {
                if found.is_some() {
                    return None;
                }
                found = Some(*item);
            }
            next = *after;
        }
        None
    }
}
