//! A set of socket inodes.

use rustc_hash::FxHashSet;

/// Most bytes of the bit set per inode; a hash set takes about as many.
const BYTES_PER_INODE: u64 = 16;

/// The inodes of the sockets of a sample. The kernel assigns inodes in ascending order (`get_next_ino`), so they mostly are
/// within a range that a bit set covers; otherwise they are hashed.
#[derive(Debug, Default)]
pub(crate) struct InodeSet {
    /// Inode of the first bit.
    base: u64,
    bits: Vec<u64>,
    /// Used instead of `bits` for a wide range.
    hashed: FxHashSet<u64>,
}

impl InodeSet {
    /// Replaces the contents, keeping the memory.
    pub(crate) fn fill(&mut self, inodes: impl Iterator<Item = u64> + Clone) {
        self.bits.clear();
        self.hashed.clear();
        let (mut low, mut high, mut count) = (u64::MAX, 0, 0u64);
        for inode in inodes.clone().filter(|inode| *inode != 0) {
            (low, high, count) = (low.min(inode), high.max(inode), count + 1);
        }
        self.base = low;
        let words = high.saturating_sub(low) / 64 + 1;
        if words <= count.saturating_mul(BYTES_PER_INODE / 8) {
            self.bits.resize(words as usize, 0);
            for inode in inodes.filter(|inode| *inode != 0) {
                let bit = inode - low;
                self.bits[(bit / 64) as usize] |= 1 << (bit % 64);
            }
        } else {
            self.hashed.extend(inodes.filter(|inode| *inode != 0));
        }
    }

    /// Returns true if the inode is in the set; 0 never is.
    pub(crate) fn contains(&self, inode: u64) -> bool {
        if self.bits.is_empty() {
            return self.hashed.contains(&inode);
        }
        let Some(bit) = inode.checked_sub(self.base) else { return false };
        self.bits.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Dense and wide ranges, and a set that is filled again.
        #[test]
        fn contains_exactly_the_inodes_filled_in(
            first in prop::collection::vec(0u64..300, 0..50),
            second in prop::collection::vec(prop_oneof![0u64..300, 1_000_000u64..1_000_100, any::<u64>()], 0..50),
        ) {
            let mut set = InodeSet::default();
            for list in [first, second] {
                set.fill(list.iter().copied());
                for inode in (0..310).chain(list.iter().copied()).chain([u64::MAX, 1_000_050]) {
                    prop_assert_eq!(set.contains(inode), inode != 0 && list.contains(&inode), "{}", inode);
                }
            }
        }
    }
}
