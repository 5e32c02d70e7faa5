//! Processes: who they are, how many descriptors they have open and may have, and which sockets those refer to.
//!
//! The walk over `/proc/PID/fd` costs more than everything else a poll does, so it is incremental. `stat` of that directory
//! gives the number of open descriptors (`st_size`, Linux ≥ 6.2); a process is walked again when that number changed, when a
//! socket turned up that no known descriptor refers to, and in turn with all others within a small budget of time, so
//! that what leaves the number as it was (`dup2` over a descriptor) is found too. A process whose descriptors another
//! process was just seen to hold as well is checked at once: a descriptor that moved has one owner, not two.
//!
//! Where this program may, and it costs less, all descriptors are read at once by the kernel's own iterator (`bpf`,
//! `owners`).
//!
//! A process is held by an open directory, so a pid that is used again cannot be mistaken for it; where that would
//! take too many descriptors of our own, its start time is compared instead.

mod bpf;
pub(super) mod context;
mod follow;
mod held;
mod info;
mod owners;
mod system;
#[cfg(test)]
mod tests;
pub(super) mod users;
mod vantage;
mod walk;

use super::counters::Reader;
use crate::model::{FaultKind, FdPlace, FdUsage, Missing, Owner, ProcInfo, Process, Sample, Vantage};
use held::Held;
use owners::Finder;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use users::Users;
use walk::{Buffers, Found, walk};

/// Time a poll may spend on reading processes again that show no sign of change, nanoseconds.
const BUDGET_NS: u64 = 10_000_000;
/// Descriptors a poll may count one by one where the kernel does not (before Linux 6.2): about 10 ms of work.
const COUNTED: u32 = 10_000;
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

/// Reads processes below one `/proc`, and remembers what does not have to be read again.
pub struct Procs {
    root: PathBuf,
    /// The live `/proc` of this machine, not a captured tree.
    live: bool,
    /// From where it looks.
    vantage: Vantage,
    /// Clock ticks a second.
    hz: u64,
    /// Whether `st_size` of `fd` counts descriptors; found out at the first process that can be walked.
    counted_by_stat: bool,
    /// Descriptors a poll may count where it does not, and those still to be counted in this one.
    counting: (u32, u32),
    /// Directories of processes that may still be held open.
    handles: usize,
    known: FxHashMap<u32, Known>,
    poll: u64,
    users: Users,
    counters: Reader,
    bufs: Buffers,
    buf: Vec<u8>,
    /// Inodes that a walk over every process did not find.
    lost: FxHashSet<u64>,
    owners: Arc<[Owner]>,
    held: Held,
    /// Inodes of the sockets of this sample, where they were asked for.
    there: FxHashSet<u64>,
    /// When all processes were walked for a socket that nobody was known to hold, and how long that took, nanoseconds.
    searched: (u64, u64),
    finder: Finder,
}

impl std::fmt::Debug for Procs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Procs")
            .field("root", &self.root)
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}

/// One process, as far as it was read.
struct Known {
    /// `None`: a thread of the kernel.
    info: Option<Arc<ProcInfo>>,
    /// Its directory, held open.
    dir: Option<OwnedFd>,
    open: Result<u32, Missing>,
    /// When that was counted, nanoseconds after boot.
    open_ns: u64,
    /// Polls in which it grew since it last fell.
    grew: u32,
    /// Where its descriptors lead, and the poll that was seen in.
    places: (u64, Arc<[FdPlace]>),
    /// Its descriptors may be counted but not walked.
    refused: bool,
    /// The iterator told them when it was last asked.
    told: bool,
    limits: Option<(u64, u64)>,
    found: Found,
    /// When it was walked, nanoseconds after boot; 0: never.
    walked_ns: u64,
    /// When its names and limits were read.
    info_ns: u64,
    /// The poll it was last seen in.
    seen: u64,
    /// It opened or closed something since the poll before.
    touched: bool,
}

impl Procs {
    /// A reader over this `/proc`, or a tree that looks like one.
    pub fn new(root: &Path) -> Self {
        let live = root == Path::new("/proc");
        Self {
            root: root.to_owned(),
            live,
            vantage: if live { vantage::here() } else { Vantage::default() },
            hz: rustix::param::clock_ticks_per_second(),
            counted_by_stat: live
                && statat(CWD, "/proc/self/fd", AtFlags::empty()).is_ok_and(|s| s.st_size > 0),
            // A captured tree is read whole, once.
            counting: (if live { COUNTED } else { u32::MAX }, 0),
            handles: if live { handle_budget() } else { 0 },
            known: FxHashMap::default(),
            poll: 0,
            users: Users::new(live),
            counters: Reader::new(root),
            bufs: Buffers::default(),
            buf: Vec::new(),
            lost: FxHashSet::default(),
            owners: Arc::from([]),
            held: Held::default(),
            there: FxHashSet::default(),
            searched: (0, 0),
            finder: Finder::new(live),
        }
    }

    /// Counts descriptors one by one, whatever the kernel offers, and no more than so many a poll (but of one process at
    /// least): as on Linux before 6.2.
    #[must_use]
    pub const fn counting_at_most(mut self, a_poll: u32) -> Self {
        self.counted_by_stat = false;
        self.counting = (a_poll, 0);
        self
    }

    /// Fills in the processes, the owners of the sample's sockets, user names and system-wide ceilings, as far as the
    /// sample's wants ask for them.
    pub fn read(&mut self, sample: &mut Sample) {
        system::read(&self.root, &mut sample.system);
        sample.vantage = self.vantage;
        let wants = sample.wants.clone();
        if wants.processes || wants.owners || wants.fd_kinds {
            self.refresh(sample);
            if wants.owners || wants.fd_kinds {
                let fresh = self.adopt_first(sample);
                self.follow(sample);
                self.walk_changed(sample);
                self.find_unowned(sample);
                if !fresh {
                    self.walk_in_turn(sample);
                }
                self.tell_finder(sample);
            }
            if wants.limits && (wants.owners || wants.fd_kinds) {
                self.look_after();
            }
            self.publish(sample);
            self.label(sample);
        }
        if wants.limits {
            sample.counters = Some(self.counters.read(sample, self.live));
        }
        self.users.fill(sample);
    }

    /// Brings the list of processes and their descriptor counts up to date.
    fn refresh(&mut self, sample: &mut Sample) {
        self.poll += 1;
        let root = match openat(
            CWD,
            &self.root,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(root) => root,
            Err(e) => {
                sample.faults.add(FaultKind::Failed, "list of processes", e.to_string());
                return;
            }
        };
        let mut pids = Vec::with_capacity(self.known.len() + 16);
        let mut entries = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut dir = RawDir::new(&root, &mut entries);
        while let Some(entry) = dir.next() {
            match entry {
                Ok(entry) => pids.extend(walk::number(entry.file_name().to_bytes())),
                Err(e) => {
                    sample.faults.add(FaultKind::Failed, "list of processes", e.to_string());
                    break;
                }
            }
        }
        self.counting.1 = self.counting.0;
        if !self.counted_by_stat {
            // Whose figure is oldest is counted first.
            pids.sort_by_key(|pid| (self.known.get(pid).map_or(0, |k| k.open_ns), *pid));
        }
        for pid in pids {
            if let Err(e) = self.look(&root, pid) {
                let gone = matches!(e, Errno::NOENT | Errno::SRCH);
                let kind = if gone { FaultKind::Vanished } else { FaultKind::Malformed };
                sample.faults.add(
                    kind,
                    "processes",
                    if gone { String::new() } else { format!("{pid}: {e}") },
                );
                self.forget(pid);
            }
        }
        let gone: Vec<u32> =
            self.known.iter().filter(|(_, k)| k.seen != self.poll).map(|(pid, _)| *pid).collect();
        for pid in gone {
            self.forget(pid);
        }
    }

    fn forget(&mut self, pid: u32) {
        if let Some(k) = self.known.remove(&pid) {
            self.held.release(&k.found);
            self.handles += usize::from(k.dir.is_some());
        }
    }

    /// Looks at one process: the same as before, or a new one.
    fn look(&mut self, root: &OwnedFd, pid: u32) -> Result<(), Errno> {
        if let Some(k) = self.known.get_mut(&pid) {
            // A directory of a process that is gone answers nothing any more.
            let same = k.dir.is_some() || {
                let dir = open_process(root, pid)?;
                info::slurp(&dir, "stat", &mut self.buf, 4096)?;
                let start = info::stat(&self.buf).map(|s| info::ticks_to_ns(s.start_ticks, self.hz));
                k.info.as_ref().is_none_or(|i| Some(i.start_ns) == start)
            };
            if same {
                if k.info.is_none() {
                    k.seen = self.poll;
                    return Ok(());
                }
                let counted = match &k.dir {
                    Some(dir) => count(dir, self.counted_by_stat, &mut self.counting.1),
                    None => count(&open_process(root, pid)?, self.counted_by_stat, &mut self.counting.1),
                };
                match counted {
                    // Not its turn: the figure before stands.
                    Ok(None) => {
                        k.seen = self.poll;
                        return Ok(());
                    }
                    Ok(Some(open)) => {
                        k.seen = self.poll;
                        k.touched = k.open != Ok(open);
                        k.grow(open);
                        k.open = Ok(open);
                        k.open_ns = super::stamp().boot_ns;
                        // Where it gets tight somebody may have raised the limit.
                        let tight = k.limits.is_some_and(|(soft, _)| u64::from(open) > soft / 2);
                        if let (true, Some(dir)) = (tight, &k.dir)
                            && info::slurp(dir, "limits", &mut self.buf, 1 << 14).is_ok()
                        {
                            k.limits = info::nofile(&self.buf).or(k.limits);
                        }
                        return Ok(());
                    }
                    Err(Errno::ACCESS | Errno::PERM) => {
                        k.seen = self.poll;
                        k.open = Err(Missing::NotPermitted);
                        return Ok(());
                    }
                    // Gone, and perhaps another one has its number.
                    Err(_) => {}
                }
            }
            self.forget(pid);
        }
        let dir = open_process(root, pid)?;
        let info = info::read(&dir, pid, self.hz, &mut self.buf)?.map(Arc::new);
        let open = match count(&dir, self.counted_by_stat, &mut self.counting.1) {
            Ok(n) => n.ok_or(Missing::Pending),
            Err(Errno::ACCESS | Errno::PERM) => Err(Missing::NotPermitted),
            Err(e) if info.is_some() => return Err(e),
            Err(_) => Err(Missing::NotApplicable),
        };
        let limits =
            info::slurp(&dir, "limits", &mut self.buf, 1 << 14).ok().and_then(|()| info::nofile(&self.buf));
        let open_ns = if open.is_ok() { super::stamp().boot_ns } else { 0 };
        let keep = self.handles > 0 && info.is_some();
        self.handles -= usize::from(keep);
        self.held.touch();
        self.known.insert(
            pid,
            Known {
                info,
                dir: keep.then_some(dir),
                open,
                open_ns,
                grew: 0,
                places: (0, Arc::from([])),
                refused: false,
                told: false,
                limits,
                found: Found::default(),
                walked_ns: 0,
                info_ns: super::stamp().boot_ns,
                seen: self.poll,
                touched: true,
            },
        );
        Ok(())
    }

    /// Walks those never walked and those whose count changed.
    fn walk_changed(&mut self, sample: &mut Sample) {
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
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get().min(8)).min(pids.len());
        if cores < 2 || pids.iter().map(fds).sum::<u32>() < MANY_FDS {
            return pids.iter().filter_map(|pid| one(*pid, &mut self.bufs)).collect();
        }
        // The largest first, each to whoever is free.
        let mut order = pids.to_vec();
        order.sort_unstable_by_key(|pid| std::cmp::Reverse(fds(pid)));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut bufs = Buffers::default();
            let mut all = Vec::new();
            while let Some(pid) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                all.extend(one(*pid, &mut bufs));
            }
            all
        };
        std::thread::scope(|scope| {
            let thread = || std::thread::Builder::new().name("walk".into());
            let others: Vec<_> = (1..cores).filter_map(|_| thread().spawn_scoped(scope, work).ok()).collect();
            // Here too, and all of it where no other thread could be started.
            let mut all = work();
            for other in others {
                match other.join() {
                    Ok(more) => all.extend(more),
                    // Told by whoever watches this thread.
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        })
    }

    /// Walks again those that hold, as far as known, a socket that was just found elsewhere, and do not any more.
    fn check_moved(&mut self, moved: &FxHashSet<u64>, but: &[u32], sample: &mut Sample) {
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
                        .is_none_or(|dir| !walk::still_holds(dir, *fd, *inode, &mut self.bufs))
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
                k.open_ns = super::stamp().boot_ns;
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
                sample.faults.add(kind, "descriptors of processes", e.to_string());
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
        k.info_ns = super::stamp().boot_ns;
    }

    /// Walks further processes while there are sockets that nobody is known to hold: first those that opened or closed
    /// something since the poll before, then all, those walked longest ago first.
    ///
    /// On a busy machine there is always one that was closed before anybody looked. So where all take long they are not
    /// walked for it at every poll: until then its owner is not known, and the sample says so.
    fn find_unowned(&mut self, sample: &mut Sample) {
        if !sample.wants.owners {
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
                sample.faults.add_many(FaultKind::Deferred, "owners of new sockets", "", n);
                self.check_shared(sample);
                return;
            }
            // All of them: another process may hold what the first one found holds too.
            let pids: Vec<u32> = order.into_iter().map(|(_, pid)| pid).collect();
            let began = super::stamp().boot_ns;
            self.walk_all(&pids, sample);
            if !likely {
                self.searched = (now, super::stamp().boot_ns.saturating_sub(began));
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
    fn walk_in_turn(&mut self, sample: &mut Sample) {
        let now = sample.at.boot_ns.max(1);
        let mut order: Vec<(u64, u32)> = self
            .known
            .iter()
            .filter(|(_, k)| k.walkable() && k.walked_ns.min(k.info_ns) < now)
            .map(|(pid, k)| (k.walked_ns.min(k.info_ns), *pid))
            .collect();
        order.sort_unstable();
        let end = super::stamp().boot_ns + if self.live { BUDGET_NS } else { 0 };
        for (_, pid) in order {
            if super::stamp().boot_ns >= end {
                break;
            }
            if self.known.get(&pid).is_some_and(|k| k.walked_ns < now) {
                self.walk_one(pid, sample, None);
            } else {
                // Told all at once just now.
                self.renew(pid);
            }
        }
    }

    /// Looks where the descriptors of those lead that grow, or are nearly full: the fullest first, seldom.
    fn look_after(&mut self) {
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
            if let Ok(all) = walk::places(dir, &mut self.bufs) {
                k.places = (poll, all.into());
            }
        }
    }

    /// Writes what is known into the sample.
    fn publish(&mut self, sample: &mut Sample) {
        let mut pids: Vec<u32> =
            self.known.iter().filter(|(_, k)| k.info.is_some()).map(|(pid, _)| *pid).collect();
        pids.sort_unstable();
        let changed = sample.wants.owners && self.held.take_changed();
        let mut owners = Vec::with_capacity(if changed { self.owners.len() + 64 } else { 0 });
        let mut refused = 0;
        for (index, pid) in pids.iter().enumerate() {
            let Some(k) = self.known.get_mut(pid) else { continue };
            let Some(info) = &k.info else { continue };
            let hidden = k.hidden() && !k.told;
            refused += u32::from(hidden);
            let walked = k.walked_ns > 0 && !hidden;
            sample.processes.push(Process {
                info: Arc::clone(info),
                fds: k.open.map(|open| FdUsage {
                    open,
                    open_at_ns: k.open_ns,
                    highest: k.found.highest.filter(|_| walked),
                    soft: k.limits.map(|l| l.0),
                    hard: k.limits.map(|l| l.1),
                    kinds: walked.then_some(k.found.kinds),
                    kinds_at_ns: k.walked_ns,
                }),
                fds_hidden: hidden.then_some(Missing::NotPermitted),
                places: Arc::clone(&k.places.1),
            });
            if changed {
                owners.extend(k.found.sockets.iter().map(|(inode, fd)| Owner {
                    inode: *inode,
                    process: index as u32,
                    fd: *fd,
                }));
            }
        }
        sample.faults.add_many(FaultKind::NotPermitted, "descriptors of processes", "", refused);
        if sample.wants.owners {
            if changed {
                // Runs in order, process by process: merged, not sorted anew.
                owners.sort();
                self.owners = owners.into();
            }
            sample.owners = Arc::clone(&self.owners);
        }
    }
}

impl Known {
    /// The walk may not look at it.
    fn hidden(&self) -> bool {
        self.refused || self.open == Err(Missing::NotPermitted)
    }

    fn walkable(&self) -> bool {
        self.info.is_some() && matches!(self.open, Ok(_) | Err(Missing::Pending))
    }

    /// Whether it grows: more often since it last fell.
    fn grow(&mut self, now: u32) {
        match self.open.ok().map(|before| now.cmp(&before)) {
            Some(std::cmp::Ordering::Greater) => self.grew += 1,
            Some(std::cmp::Ordering::Less) => (self.grew, self.places) = (0, (0, Arc::from([]))),
            _ => {}
        }
    }
}

impl Found {
    fn holds(&self, inode: u64) -> bool {
        let at = self.sockets.partition_point(|s| s.0 < inode);
        self.sockets.get(at).is_some_and(|s| s.0 == inode)
    }
}

/// When a process of this machine started, nanoseconds after boot.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    let root = openat(CWD, "/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut buf = Vec::new();
    info::slurp(&open_process(&root, pid).ok()?, "stat", &mut buf, 4096).ok()?;
    let start = info::stat(&buf)?.start_ticks;
    Some(info::ticks_to_ns(start, rustix::param::clock_ticks_per_second()))
}

/// Who a process of this machine is; `None` when it is gone, or a thread of the kernel.
pub(super) fn who(pid: u32) -> Option<ProcInfo> {
    let root = openat(CWD, "/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let hz = rustix::param::clock_ticks_per_second();
    info::read(open_process(&root, pid).ok()?, pid, hz, &mut Vec::new()).ok()?
}

/// The directory of a process: the one held open, else opened now.
fn directory<'a>(
    root: &Path,
    pid: u32,
    held: Option<&'a OwnedFd>,
    opened: &'a mut Option<OwnedFd>,
) -> Option<&'a OwnedFd> {
    let path = || root.join(pid.to_string());
    held.or_else(|| {
        *opened = openat(CWD, path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        opened.as_ref()
    })
}

fn open_process(root: &OwnedFd, pid: u32) -> Result<OwnedFd, Errno> {
    openat(root, pid.to_string(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Open descriptors of a process: as the kernel counts them, else counted here, which takes from what is left to be
/// counted; `None` where nothing is left.
fn count(dir: &OwnedFd, by_stat: bool, left: &mut u32) -> Result<Option<u32>, Errno> {
    if by_stat {
        let s = statat(dir, "fd", AtFlags::empty())?;
        // Any user may stat the directory of any process; only who may read it learns its true size.
        if s.st_size > 0 {
            return Ok(Some(s.st_size as u32));
        }
    } else if *left == 0 {
        // Whether it is still there is seen all the same.
        statat(dir, "fd", AtFlags::empty())?;
        return Ok(None);
    }
    let fd = openat(dir, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut entries = [MaybeUninit::uninit(); 8192];
    let mut dir = RawDir::new(&fd, &mut entries);
    let mut n = 0;
    while let Some(entry) = dir.next() {
        n += u32::from(walk::number(entry?.file_name().to_bytes()).is_some());
    }
    *left = left.saturating_sub(n.max(1));
    Ok(Some(n))
}

/// How many directories of processes may be held open: a quarter of what this process may open once it has raised its
/// own soft limit to the hard one.
fn handle_budget() -> usize {
    let l = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: l.maximum, maximum: l.maximum });
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(1 << 16);
    (soft / 4).min(1 << 14) as usize
}
