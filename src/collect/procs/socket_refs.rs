//! Reference counts of sockets: the number of known descriptors that refer to each.

use super::fd_scan::FdSet;
use rustc_hash::FxHashMap;

/// Number of known descriptors per socket inode, kept up to date so that a poll looks up instead of counting.
#[derive(Debug, Default)]
pub(crate) struct SocketRefCounts {
    counts: FxHashMap<u64, u32>,
    dirty: bool,
}

impl SocketRefCounts {
    /// Replaces the descriptors of a process by those of a newer read.
    pub(crate) fn replace(&mut self, known: &mut FdSet, new: FdSet) {
        if known.sockets != new.sockets {
            self.release(known);
            for (inode, _) in &new.sockets {
                *self.counts.entry(*inode).or_insert(0) += 1;
            }
            self.dirty = true;
        }
        *known = new;
    }

    /// Drops the references of a process.
    pub(crate) fn release(&mut self, known: &FdSet) {
        for (inode, _) in &known.sockets {
            if let Some(n) = self.counts.get_mut(inode) {
                *n -= 1;
                if *n == 0 {
                    self.counts.remove(inode);
                }
            }
        }
        self.dirty = true;
    }

    /// Returns true if a known descriptor refers to the socket.
    pub(crate) fn contains(&self, inode: u64) -> bool {
        self.counts.contains_key(&inode)
    }

    /// Returns true if several known descriptors refer to the socket.
    pub(crate) fn is_shared(&self, inode: u64) -> bool {
        self.counts.get(&inode).is_some_and(|n| *n > 1)
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
