//! Which sockets are held by some known descriptor.

use super::fd_scan::Found;
use rustc_hash::FxHashMap;

/// How many known descriptors refer to each socket, by inode: kept up to date, so that a poll asks and does not count.
#[derive(Debug, Default)]
pub(crate) struct Held {
    count: FxHashMap<u64, u32>,
    changed: bool,
}

impl Held {
    /// Puts what was found in the place of what was known.
    pub(crate) fn replace(&mut self, known: &mut Found, found: Found) {
        if known.sockets != found.sockets {
            self.release(known);
            for (inode, _) in &found.sockets {
                *self.count.entry(*inode).or_insert(0) += 1;
            }
            self.changed = true;
        }
        *known = found;
    }

    /// Forgets what a process held.
    pub(crate) fn release(&mut self, known: &Found) {
        for (inode, _) in &known.sockets {
            if let Some(n) = self.count.get_mut(inode) {
                *n -= 1;
                if *n == 0 {
                    self.count.remove(inode);
                }
            }
        }
        self.changed = true;
    }

    /// Whether somebody holds it.
    pub(crate) fn has(&self, inode: u64) -> bool {
        self.count.contains_key(&inode)
    }

    /// Whether several descriptors refer to it.
    pub(crate) fn is_shared(&self, inode: u64) -> bool {
        self.count.get(&inode).is_some_and(|n| *n > 1)
    }

    /// The list of owners is another: somebody came or went.
    pub(crate) fn touch(&mut self) {
        self.changed = true;
    }

    /// Whether there was a change since this was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_held() {
        let found = |of: &[(u64, u32)]| Found { sockets: of.to_vec(), ..Found::default() };
        let mut held = Held::default();
        let (mut a, mut b) = (Found::default(), Found::default());
        held.replace(&mut a, found(&[(1, 3), (1, 4), (2, 5)]));
        held.replace(&mut b, found(&[(2, 3)]));
        assert!(held.take_changed() && !held.take_changed());
        held.replace(&mut b, found(&[(2, 3)]));
        assert!(!held.take_changed(), "nothing new");
        held.replace(&mut a, found(&[(1, 4)]));
        assert!(held.has(1) && held.has(2), "the other has it still");
        assert!(!held.is_shared(1) && !held.is_shared(2));
        held.release(&b);
        assert!(!held.has(2));
        held.replace(&mut a, Found::default());
        assert!(!held.has(1) && held.take_changed());
    }
}
