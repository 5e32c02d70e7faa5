//! Following a process that closes and opens sockets without walking over all it has open.
//!
//! The kernel gives out the lowest descriptor that is free: what a process opened since it was walked mostly stands where
//! something was closed, or behind its last. Which of its sockets were closed is told by the dump: they are not in it. So
//! those few descriptors are looked at, and the kernel's count of open ones must then be what is known; where it is not, or
//! a socket is still without an owner, the process is walked whole.

use super::fd_scan::{self, Buffers, Found};
use super::{Known, Procs, count};
use crate::model::{FdKind, Missing, Sample};
use rustc_hash::FxHashSet;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// A process with fewer descriptors is walked whole: that is as quick.
const FEW: usize = 64;

/// How often a process is looked at again whose count does not fit, as it goes on meanwhile.
const TRIES: usize = 3;

impl Procs {
    /// Brings those processes up to date that changed a little since they were walked.
    pub(crate) fn follow(&mut self, sample: &mut Sample) {
        let wanted = sample.sockets.iter().any(|s| s.inode != 0 && !self.held.has(s.inode));
        let changed = |k: &Known| k.open.is_ok_and(|n| n != k.found.kinds.total());
        if !wanted && !self.known.values().any(|k| k.can_be_followed() && changed(k)) {
            return;
        }
        self.there.clear();
        self.there.extend(sample.sockets.iter().map(|s| s.inode));
        let mut moved: FxHashSet<u64> = FxHashSet::default();
        for k in self.known.values_mut().filter(|k| k.can_be_followed()) {
            let Some(dir) = &k.dir else { continue };
            let gone = k.found.sockets.iter().filter(|(inode, _)| !self.there.contains(inode)).count();
            if gone == 0 && !changed(k) || gone > FEW.max(k.found.sockets.len() / 4) {
                continue;
            }
            for _ in 0..TRIES {
                let found = look_again(dir, &k.found, &self.there, k.open.unwrap_or(0), &mut self.bufs);
                let Ok(found) = found else { break };
                let counted = count(dir, self.counted_by_stat, &mut u32::MAX.clone());
                k.open = counted.map_or(Err(Missing::Gone), |n| n.ok_or(Missing::Pending));
                k.open_ns = crate::collect::stamp().boot_ns;
                if k.open == Ok(found.kinds.total()) {
                    let new = |i: &u64| !k.found.holds(*i) && self.held.has(*i);
                    moved.extend(found.sockets.iter().map(|s| s.0).filter(new));
                    k.touched |= k.found.sockets != found.sockets;
                    self.held.replace(&mut k.found, found);
                    break;
                }
            }
        }
        self.check_moved(&moved, &[], sample);
    }
}

impl Procs {
    /// Looks whether those that hold a socket together all hold it still: who let it go and opened another in its place shows
    /// no other sign.
    pub(crate) fn check_shared(&mut self, sample: &mut Sample) {
        let mut shared: FxHashSet<u64> = FxHashSet::default();
        for k in self.known.values() {
            shared.extend(k.found.sockets.iter().map(|s| s.0).filter(|i| self.held.is_shared(*i)));
        }
        self.check_moved(&shared, &[], sample);
    }
}

impl Known {
    fn can_be_followed(&self) -> bool {
        self.walkable() && !self.hidden() && self.walked_ns > 0 && self.found.sockets.len() >= FEW
    }
}

/// What a process holds by now: what is known of it, but for the sockets that are not there any more, and what stands
/// behind its last socket. `open`: how many descriptors there should be.
fn look_again(
    dir: &OwnedFd,
    known: &Found,
    there: &FxHashSet<u64>,
    open: u32,
    bufs: &mut Buffers,
) -> Result<Found, Errno> {
    let mut found = Found {
        sockets: Vec::with_capacity(known.sockets.len() + 8),
        kinds: known.kinds,
        highest: known.highest,
    };
    let mut new = Vec::new();
    let mut last = 0;
    for (inode, fd) in &known.sockets {
        last = last.max(*fd);
        if there.contains(inode) {
            found.sockets.push((*inode, *fd));
            continue;
        }
        found.kinds.remove(FdKind::Socket);
        if found.highest == Some(*fd) {
            // Which one is highest now the next walk tells.
            found.highest = None;
        }
        new.extend(look(dir, *fd, &mut found, bufs)?);
    }
    // One that is closed at once and one that is missing: no more than a few in vain.
    let mut vain = 0;
    while found.kinds.total() < open && vain < 4 {
        last += 1;
        match look(dir, last, &mut found, bufs)? {
            Some(s) => new.push(s),
            None => vain += 1,
        }
    }
    if !new.is_empty() {
        found.sockets.extend(new);
        found.sockets.sort_unstable();
    }
    Ok(found)
}

/// Looks at one descriptor and counts it; the socket it refers to.
fn look(dir: &OwnedFd, fd: u32, found: &mut Found, bufs: &mut Buffers) -> Result<Option<(u64, u32)>, Errno> {
    match fd_scan::target(dir, fd, bufs) {
        Ok((kind, inode)) => {
            found.kinds.add(kind);
            found.highest = found.highest.map(|n| n.max(fd));
            Ok(inode.map(|i| (i, fd)))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}
