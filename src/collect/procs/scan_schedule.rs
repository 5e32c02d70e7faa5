//! Which processes are walked, and when: those that changed, those that may hold a socket nobody is known to hold, all the
//! others in turn.

use super::fd_scan::{self, Buffers, Found, walk};
use super::{Procs, directory, info};
use crate::collect::stamp;
use crate::model::{FaultKind, FaultSubject, Reads, Sample};
use crate::sync::{cores, par_map_with};
use rustc_hash::FxHashSet;
use rustix::io::Errno;
use std::sync::Arc;

/// Time a poll may spend on reading processes again that show no sign of change, nanoseconds.
const BUDGET_NS: u64 = 10_000_000;
/// What a walk is taken to cost a descriptor before it is made, nanoseconds.
const WALK_FD_NS: u64 = 3_000;
/// Share of its limit from which it is looked where a process's descriptors lead, and polls between two such looks.
const NEAR: f64 = 0.5;
const SELDOM: u64 = 5;
/// Processes whose descriptors are looked after in one poll, and descriptors of each.
const LOOKED_AFTER: usize = 8;
const LONG_WALK: u32 = 100_000;

/// Descriptors from which on processes are walked on several cores.
const MANY_FDS: u32 = 4096;

/// A walk over all processes that takes longer is not made at every poll for a socket without a known owner, but for one
/// part in so many of the time.
const SEARCH_NS: u64 = 20_000_000;
const SEARCH_SHARE: u64 = 10;

/// The time of polls that was not spent yet, nanoseconds. A process that has more open than one poll has time for waits
/// until enough has come together, and those behind it with it, so that its turn comes.
#[derive(Debug, Default)]
pub(crate) struct Credit(u64);

impl Credit {
    /// Another poll.
    const fn begin(&mut self) {
        self.0 = self.0.saturating_add(BUDGET_NS);
    }

    /// Whether there is enough for this.
    const fn allows(&self, cost: u64) -> bool {
        self.0 > 0 && cost <= self.0
    }

    const fn spend(&mut self, took: u64) {
        self.0 = self.0.saturating_sub(took);
    }
}

impl Procs {
    /// Walks those never walked and those whose count changed.
    pub(crate) fn walk_changed(&mut self, sample: &mut Sample) {
        let changed: Vec<u32> = self
            .known
            .iter()
            .filter(|(_, k)| {
                k.walkable() && (k.walked_ns == 0 || !k.refused && k.open != Ok(k.found.kinds.total()))
            })
            .map(|(pid, _)| *pid)
            .collect();
        self.walk_all(&changed, sample);
    }

    /// Walks the processes named, and then those that hold, as far as known, a socket that was just found elsewhere.
    fn walk_all(&mut self, pids: &[u32], sample: &mut Sample) {
        let left: Vec<u32>;
        let mut pids = pids;
        if self.read_at_once(pids, sample) {
            let now = sample.at.boot_ns.max(1);
            let untold = |pid: &&u32| self.known.get(pid).is_some_and(|k| k.walked_ns != now);
            left = pids.iter().filter(untold).copied().collect();
            pids = &left;
        }
        let mut moved: FxHashSet<u64> = FxHashSet::default();
        for (pid, got) in self.walk_beside(pids) {
            self.take(pid, got, sample, Some(&mut moved));
        }
        self.check_moved(&moved, pids, sample);
    }

    /// Walks processes, on several cores where they have much open.
    fn walk_beside(&mut self, pids: &[u32]) -> Vec<(u32, Result<Found, Errno>)> {
        let (known, root) = (&self.known, &self.root);
        let one = |pid: u32, bufs: &mut Buffers| {
            let k = known.get(&pid)?;
            let mut opened = None;
            let dir = directory(root, pid, k.dir.as_ref(), &mut opened)?;
            let mut found = Found::default();
            Some((pid, walk(dir, bufs, &mut found).map(|()| found)))
        };
        let fds = |pid: &u32| known.get(pid).and_then(|k| k.open.ok()).unwrap_or(0);
        if cores().min(pids.len()) < 2 || pids.iter().map(fds).sum::<u32>() < MANY_FDS {
            return pids.iter().filter_map(|pid| one(*pid, &mut self.bufs)).collect();
        }
        // The largest first, each to whoever is free.
        let mut order = pids.to_vec();
        order.sort_unstable_by_key(|pid| std::cmp::Reverse(fds(pid)));
        let scan = |bufs: &mut Buffers, i: usize| one(order[i], bufs);
        par_map_with("fd-scan", order.len(), Buffers::default, scan).into_iter().flatten().collect()
    }

    /// Walks again those that hold, as far as known, a socket that was just found elsewhere, and do not any more.
    pub(crate) fn check_moved(&mut self, moved: &FxHashSet<u64>, but: &[u32], sample: &mut Sample) {
        if moved.is_empty() {
            return;
        }
        let root = &self.root;
        let but: FxHashSet<u32> = but.iter().copied().collect();
        let mut stale = Vec::new();
        for (pid, k) in self.known.iter().filter(|(pid, _)| !but.contains(pid)) {
            let wrong = |(inode, fd): &(u64, u32)| {
                moved.contains(inode)
                    && directory(root, *pid, k.dir.as_ref(), &mut None)
                        .is_none_or(|dir| !fd_scan::still_holds(dir, *fd, *inode, &mut self.bufs))
            };
            if k.found.sockets.iter().any(wrong) {
                stale.push(*pid);
            }
        }
        for pid in stale {
            self.walk_one(pid, sample, None);
        }
    }

    /// Walks one process; `moved` gets the sockets it was not known to hold.
    fn walk_one(&mut self, pid: u32, sample: &mut Sample, moved: Option<&mut FxHashSet<u64>>) {
        let Some(k) = self.known.get(&pid) else { return };
        let mut opened = None;
        let Some(dir) = directory(&self.root, pid, k.dir.as_ref(), &mut opened) else { return };
        let mut found = Found::default();
        let got = walk(dir, &mut self.bufs, &mut found).map(|()| found);
        self.take(pid, got, sample, moved);
    }

    /// Takes over what a walk over one process gave.
    fn take(
        &mut self,
        pid: u32,
        got: Result<Found, Errno>,
        sample: &mut Sample,
        moved: Option<&mut FxHashSet<u64>>,
    ) {
        let Some(k) = self.known.get_mut(&pid) else { return };
        match got {
            Ok(found) => {
                if let Some(moved) = moved {
                    let new = |i: &u64| !k.found.holds(*i) && self.held.has(*i);
                    moved.extend(found.sockets.iter().map(|s| s.0).filter(new));
                }
                k.grow(found.kinds.total());
                k.open = Ok(found.kinds.total());
                k.open_ns = stamp().boot_ns;
                k.refused = false;
                self.held.replace(&mut k.found, found);
                k.walked_ns = sample.at.boot_ns.max(1);
                self.renew(pid);
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                k.refused = true;
                k.walked_ns = sample.at.boot_ns.max(1);
                if !k.told {
                    self.held.replace(&mut k.found, Found::default());
                }
            }
            Err(e) => {
                let kind = if matches!(e, Errno::NOENT | Errno::SRCH) {
                    FaultKind::Vanished
                } else {
                    FaultKind::Failed
                };
                sample.faults.add(kind, FaultSubject::Descriptors, e.to_string());
                self.forget(pid);
            }
        }
    }

    /// Reads again what may change without a sign: names by exec and prctl, limits by prlimit.
    fn renew(&mut self, pid: u32) {
        let Some(k) = self.known.get_mut(&pid) else { return };
        let mut opened = None;
        let Some(dir) = directory(&self.root, pid, k.dir.as_ref(), &mut opened) else { return };
        if info::slurp(dir, "limits", &mut self.buf, 1 << 14).is_ok() {
            k.limits = info::nofile(&self.buf).or(k.limits);
        }
        if let Ok(Some(new)) = info::read(dir, pid, self.hz, &mut self.buf)
            && k.info.as_deref() != Some(&new)
        {
            k.info = Some(Arc::new(new));
        }
        k.info_ns = stamp().boot_ns;
    }

    /// Walks further processes while there are sockets that nobody is known to hold: first those that opened or closed
    /// something since the poll before, then all, those walked longest ago first.
    ///
    /// On a busy machine there is always one that was closed before anybody looked. So where all take long they are not
    /// walked for it at every poll: until then its owner is not known, and the sample says so.
    pub(crate) fn find_unowned(&mut self, sample: &mut Sample) {
        if !sample.wants.reads(Reads::OWNERS) {
            return;
        }
        let unowned = |p: &Self, inode: &u64| *inode != 0 && !p.held.has(*inode) && !p.lost.contains(inode);
        let mut wanted: Vec<u64> =
            sample.sockets.iter().map(|s| s.inode).filter(|i| unowned(self, i)).collect();
        let now = sample.at.boot_ns.max(1);
        for likely in [true, false] {
            if wanted.is_empty() {
                break;
            }
            let mut order: Vec<(u64, u32)> = self
                .known
                .iter()
                .filter(|(_, k)| k.walkable() && k.walked_ns < now && (k.touched || !likely))
                .map(|(pid, k)| (k.walked_ns, *pid))
                .collect();
            order.sort_unstable();
            let (last, took) = self.searched;
            if !likely && self.live && took > SEARCH_NS && now.saturating_sub(last) < took * SEARCH_SHARE {
                let n = wanted.len() as u32;
                sample.faults.add_many(FaultKind::Deferred, FaultSubject::NewOwners, "", n);
                self.check_shared(sample);
                return;
            }
            // All of them: another process may hold what the first one found holds too.
            let pids: Vec<u32> = order.into_iter().map(|(_, pid)| pid).collect();
            let began = stamp().boot_ns;
            self.walk_all(&pids, sample);
            if !likely {
                self.searched = (now, stamp().boot_ns.saturating_sub(began));
            }
            wanted.retain(|i| !self.held.has(*i));
        }
        // Made since, or held by nobody to be seen: not looked for again before its turn.
        self.lost.extend(wanted);
        if self.lost.len() > 100_000 {
            self.lost.clear();
        }
    }

    /// Walks those walked longest ago, within the budget.
    pub(crate) fn walk_in_turn(&mut self, sample: &mut Sample) {
        let now = sample.at.boot_ns.max(1);
        let mut order: Vec<(u64, u32)> = self
            .known
            .iter()
            .filter(|(_, k)| k.walkable() && k.walked_ns.min(k.info_ns) < now)
            .map(|(pid, k)| (k.walked_ns.min(k.info_ns), *pid))
            .collect();
        order.sort_unstable();
        self.credit.begin();
        for (_, pid) in order {
            let Some(k) = self.known.get(&pid) else { continue };
            let walk = k.walked_ns < now;
            let cost = if walk { u64::from(k.open.unwrap_or(0)) * WALK_FD_NS } else { 0 };
            if !self.live || !self.credit.allows(cost) {
                return;
            }
            let began = stamp().boot_ns;
            if walk {
                self.walk_one(pid, sample, None);
            } else {
                // Told all at once just now.
                self.renew(pid);
            }
            self.credit.spend(stamp().boot_ns.saturating_sub(began));
        }
        self.credit = Credit::default();
    }

    /// Looks where the descriptors of those lead that grow, or are nearly full: the fullest first, seldom.
    pub(crate) fn look_after(&mut self) {
        let poll = self.poll;
        let mut worst: Vec<(f64, u32)> = self
            .known
            .iter()
            .filter_map(|(pid, k)| {
                let open = k.open.ok().filter(|n| *n <= LONG_WALK && !k.refused)?;
                let share = f64::from(open) / k.limits.map_or(f64::INFINITY, |l| l.0 as f64);
                let due = k.places.0 == 0 || poll >= k.places.0 + SELDOM;
                (due && (share >= NEAR || k.grew >= 3)).then_some((share, *pid))
            })
            .collect();
        worst.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, pid) in worst.into_iter().take(LOOKED_AFTER) {
            let Some(k) = self.known.get_mut(&pid) else { continue };
            let mut opened = None;
            let Some(dir) = directory(&self.root, pid, k.dir.as_ref(), &mut opened) else { continue };
            // One that is gone by now is found so by the next poll.
            if let Ok(all) = fd_scan::places(dir, &mut self.bufs) {
                k.places = (poll, all.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_comes_seldom_and_comes() {
        let mut credit = Credit::default();
        let (long, short) = (25_000_000, 1_000_000);
        let mut turns = Vec::new();
        for poll in 0..8 {
            credit.begin();
            while credit.allows(long) {
                turns.push(poll);
                credit.spend(long);
            }
        }
        assert_eq!(turns, [2, 4, 7], "25 of every 10 milliseconds");
        let mut short_ones = 0;
        credit = Credit::default();
        credit.begin();
        while credit.allows(short) {
            short_ones += 1;
            credit.spend(short);
        }
        assert_eq!(short_ones, 10);
    }
}
