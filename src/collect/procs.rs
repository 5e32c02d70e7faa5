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
mod bpf_owners;
pub(crate) mod context;
mod fd_rescan;
mod fd_scan;
mod info;
mod privileges;
mod scan_schedule;
mod socket_refs;
mod system;
#[cfg(test)]
mod tests;
pub(crate) mod threads;
pub(crate) mod users;

use super::counters::Reader;
use super::procs::bpf_owners::Finder;
use super::procs::fd_scan::{Buffers, Found};
use super::procs::socket_refs::Held;
use crate::model::{
    FaultKind, FaultSubject, FdPlace, FdUsage, Missing, Owner, Privileges, ProcInfo, Process, Reads, Sample,
};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use users::Users;

/// Descriptors a poll may count one by one where the kernel does not (before Linux 6.2): about 10 ms of work.
const COUNTED: u32 = 10_000;
/// Reads processes below one `/proc`, and remembers what does not have to be read again.
pub struct Procs {
    root: PathBuf,
    /// The live `/proc` of this machine, not a captured tree.
    live: bool,
    /// From where it looks.
    privileges: Privileges,
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
    credit: scan_schedule::Credit,
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
            privileges: if live { privileges::here() } else { Privileges::default() },
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
            credit: scan_schedule::Credit::default(),
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
        sample.privileges = self.privileges;
        let wants = sample.wants.clone();
        if wants.reads_any(Reads::PROCESSES | Reads::OWNERS | Reads::FD_KINDS) {
            self.refresh(sample);
            if wants.reads_any(Reads::OWNERS | Reads::FD_KINDS) {
                let fresh = self.adopt_first(sample);
                self.follow(sample);
                self.walk_changed(sample);
                self.find_unowned(sample);
                if !fresh {
                    self.walk_in_turn(sample);
                }
                self.tell_finder(sample);
            }
            if wants.reads(Reads::LIMITS) && (wants.reads_any(Reads::OWNERS | Reads::FD_KINDS)) {
                self.look_after();
            }
            self.publish(sample);
            self.label(sample);
            self.threads(sample);
        }
        if wants.reads(Reads::LIMITS) {
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
                sample.faults.add(FaultKind::Failed, FaultSubject::ProcessList, e.to_string());
                return;
            }
        };
        let mut pids = Vec::with_capacity(self.known.len() + 16);
        let mut entries = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut dir = RawDir::new(&root, &mut entries);
        while let Some(entry) = dir.next() {
            match entry {
                Ok(entry) => pids.extend(fd_scan::number(entry.file_name().to_bytes())),
                Err(e) => {
                    sample.faults.add(FaultKind::Failed, FaultSubject::ProcessList, e.to_string());
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
                    FaultSubject::Processes,
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

    /// Writes what is known into the sample.
    fn publish(&mut self, sample: &mut Sample) {
        let mut pids: Vec<u32> =
            self.known.iter().filter(|(_, k)| k.info.is_some()).map(|(pid, _)| *pid).collect();
        pids.sort_unstable();
        let changed = sample.wants.reads(Reads::OWNERS) && self.held.take_changed();
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
        sample.faults.add_many(FaultKind::NotPermitted, FaultSubject::Descriptors, "", refused);
        if sample.wants.reads(Reads::OWNERS) {
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

/// When a process of this machine started, nanoseconds after boot.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let root = openat(CWD, "/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut buf = Vec::new();
    info::slurp(&open_process(&root, pid).ok()?, "stat", &mut buf, 4096).ok()?;
    let start = info::stat(&buf)?.start_ticks;
    Some(info::ticks_to_ns(start, rustix::param::clock_ticks_per_second()))
}

/// Who a process of this machine is; `None` when it is gone, or a thread of the kernel.
pub(crate) fn who(pid: u32) -> Option<ProcInfo> {
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
        n += u32::from(fd_scan::number(entry?.file_name().to_bytes()).is_some());
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
