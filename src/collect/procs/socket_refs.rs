//! Reference counts of sockets: the number of known descriptors that refer to each.

use super::fd_scan::FdSet;
use rustc_hash::FxHashMap;

/// Difference between two reads of the sockets of a process: inode and descriptor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// Only in the older read.
    Closed(&'a (u64, u32)),
    /// Only in the newer read.
    Opened(&'a (u64, u32)),
}

/// Calls `each` for the differences between two sorted lists: most polls find few, however many sockets a process has.
pub(crate) fn for_each_change<'a>(
    old: &'a [(u64, u32)],
    new: &'a [(u64, u32)],
    mut each: impl FnMut(Change<'a>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (Some(a), Some(b)) if a == b => (_, _) = (old.next(), new.next()),
            (Some(a), b) if b.is_none_or(|b| a < b) => {
                each(Change::Closed(a));
                old.next();
            }
            (_, Some(b)) => {
                each(Change::Opened(b));
                new.next();
            }
            (_, None) => return,
        }
    }
}

/// Number of known descriptors per socket inode, kept up to date so that a poll looks up instead of counting.
///
/// Inodes of sockfs have 32 bits (`get_next_ino`), and so has `idiag_inode`. A longer one is not counted. They are assigned in
/// ascending order, so a bit for each in pages of 64 takes a small part of what a map of them would: of a million sockets one
/// megabyte instead of 19.
#[derive(Debug, Default)]
pub(crate) struct SocketRefCounts {
    /// Inodes with a known descriptor: bit n of page p is inode 64p + n.
    pages: FxHashMap<u32, u64>,
    /// Descriptors beside the first, of sockets with several.
    more: FxHashMap<u32, u32>,
    dirty: bool,
}

/// Page of an inode and its bit there.
const fn page_bit(inode: u32) -> (u32, u64) {
    (inode / u64::BITS, 1 << (inode % u64::BITS))
}

impl SocketRefCounts {
    /// Replaces the descriptors of a process by those of a newer read.
    pub(crate) fn replace(&mut self, known: &mut FdSet, new: FdSet) {
        for_each_change(&known.sockets, &new.sockets, |change| {
            match change {
                Change::Closed((inode, _)) => self.release_one(*inode),
                Change::Opened((inode, _)) => {
                    if let Ok(inode) = u32::try_from(*inode) {
                        self.add_one(inode);
                    }
                }
            }
            self.dirty = true;
        });
        *known = new;
    }

    /// Drops the references of a process.
    pub(crate) fn release(&mut self, known: &FdSet) {
        for (inode, _) in &known.sockets {
            self.release_one(*inode);
        }
        self.dirty = true;
    }

    fn add_one(&mut self, inode: u32) {
        let (page, bit) = page_bit(inode);
        let known = self.pages.entry(page).or_insert(0);
        if *known & bit == 0 {
            *known |= bit;
        } else {
            *self.more.entry(inode).or_insert(0) += 1;
        }
    }

    fn release_one(&mut self, inode: u64) {
        let Ok(inode) = u32::try_from(inode) else { return };
        if let Some(n) = self.more.get_mut(&inode) {
            *n -= 1;
            if *n == 0 {
                self.more.remove(&inode);
            }
            return;
        }
        let (page, bit) = page_bit(inode);
        if let Some(known) = self.pages.get_mut(&page) {
            *known &= !bit;
            if *known == 0 {
                self.pages.remove(&page);
            }
        }
    }

    /// Returns true if a known descriptor refers to the socket.
    pub(crate) fn contains(&self, inode: u64) -> bool {
        u32::try_from(inode).is_ok_and(|inode| {
            let (page, bit) = page_bit(inode);
            self.pages.get(&page).is_some_and(|known| known & bit != 0)
        })
    }

    /// Returns true if several known descriptors refer to the socket.
    pub(crate) fn is_shared(&self, inode: u64) -> bool {
        u32::try_from(inode).is_ok_and(|inode| self.more.contains_key(&inode))
    }

    /// Marks the list of owners as outdated: a process was added or removed.
    pub(crate) fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// Returns true if anything changed since the last call.
    pub(crate) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn changes_are_the_set_differences_in_order(
            old in prop::collection::btree_set((0u64..30, 0u32..3), 0..40),
            new in prop::collection::btree_set((0u64..30, 0u32..3), 0..40),
        ) {
            let list = |set: &BTreeSet<(u64, u32)>| set.iter().copied().collect::<Vec<_>>();
            let (mut closed, mut opened) = (vec![], vec![]);
            let (a, b) = (list(&old), list(&new));
            for_each_change(&a, &b, |change| match change {
                Change::Closed(s) => closed.push(*s),
                Change::Opened(s) => opened.push(*s),
            });
            prop_assert_eq!(closed, old.difference(&new).copied().collect::<Vec<_>>());
            prop_assert_eq!(opened, new.difference(&old).copied().collect::<Vec<_>>());
        }

        /// References of two processes, replaced several times, are those of a plain count.
        #[test]
        fn references_are_counted_as_in_a_map(
            reads in prop::collection::vec(
                (0usize..2, prop::collection::btree_set((prop_oneof![60u64..70, Just(1 << 33), 9_000u64..9_003], 0u32..3), 0..20)),
                0..12,
            ),
        ) {
            let mut refs = SocketRefCounts::default();
            let mut known = [FdSet::default(), FdSet::default()];
            for (process, sockets) in reads {
                let sockets = sockets.into_iter().collect();
                refs.replace(&mut known[process], FdSet { sockets, ..FdSet::default() });
                for inode in (58u64..72).chain(8_999..9_004) {
                    let count = known.iter().flat_map(|k| &k.sockets).filter(|(i, _)| *i == inode).count();
                    prop_assert_eq!((refs.contains(inode), refs.is_shared(inode)), (count > 0, count > 1), "{}", inode);
                }
                prop_assert!(!refs.contains(1 << 33), "not of sockfs");
            }
        }
    }

    #[test]
    fn socket_is_contained_until_its_last_descriptor_is_released() {
        let fds = |sockets: &[(u64, u32)]| FdSet { sockets: sockets.to_vec(), ..FdSet::default() };
        let mut refs = SocketRefCounts::default();
        let (mut a, mut b) = (FdSet::default(), FdSet::default());
        refs.replace(&mut a, fds(&[(1, 3), (1, 4), (2, 5)]));
        refs.replace(&mut b, fds(&[(2, 3)]));
        assert!(refs.take_dirty() && !refs.take_dirty());
        refs.replace(&mut b, fds(&[(2, 3)]));
        assert!(!refs.take_dirty(), "unchanged");
        refs.replace(&mut a, fds(&[(1, 4)]));
        assert!(refs.contains(1) && refs.contains(2), "b still refers to 2");
        assert!(!refs.is_shared(1) && !refs.is_shared(2));
        refs.release(&b);
        assert!(!refs.contains(2));
        refs.replace(&mut a, FdSet::default());
        assert!(!refs.contains(1) && refs.take_dirty());
    }
}
