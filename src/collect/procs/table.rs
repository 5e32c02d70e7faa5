//! Process table: every process below one `/proc`, with its names, limits, descriptor count and last known descriptors.
//!
//! The table owns the [`SocketRefCounts`], because they are an index over its entries: whatever changes the sockets of an
//! entry goes through a `record_*` method, which keeps the two consistent.

use super::bpf::ProcessFds;
use super::fd_count::FdCounter;
use super::fd_scan::{self, Buffers, FdSet};
use super::fd_tables::{self, ThreadTables};
use super::info;
use super::kcmp;
use super::proc_dir::{self, ProcDir};
use super::socket_refs::{Change, SocketRefCounts, for_each_change};
use crate::collect::proc_file;
use crate::collect::source::stamp;
use crate::model::{FaultKind, FaultSubject, Faults, FdTarget, Missing, ProcInfo, Sample};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::Errno;
use std::cmp::Ordering;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Processes below one `/proc`.
pub(crate) struct ProcessTable {
    root: PathBuf,
    /// The live `/proc` of this machine, not a captured tree.
    live: bool,
    /// Clock ticks per second.
    hz: u64,
    counter: FdCounter,
    /// Number of further process directories that may be held open.
    spare_dirs: usize,
    entries: FxHashMap<u32, ProcEntry>,
    refs: SocketRefCounts,
    poll: u64,
    /// Time of this poll, nanoseconds after boot.
    now_ns: u64,
    /// `kcmp` is available, and takes the pids of `/proc`.
    by_kcmp: bool,
    bufs: Buffers,
    buf: Vec<u8>,
}

/// One process, as far as it has been read.
pub(crate) struct ProcEntry {
    /// `None`: a kernel thread.
    pub(crate) info: Option<Arc<ProcInfo>>,
    /// Its directory, held open.
    pub(crate) dir: Option<OwnedFd>,
    /// Open descriptors.
    pub(crate) fd_count: Result<u32, Missing>,
    /// Time of that count, nanoseconds after boot.
    pub(crate) fd_count_ns: u64,
    /// Polls in which the count grew since it last fell.
    pub(crate) growth_polls: u32,
    /// Frequent targets of its descriptors, and the poll they were sampled in; 0: never.
    pub(crate) fd_targets: (u64, Arc<[FdTarget]>),
    /// Its descriptors may be counted but not read.
    pub(crate) fd_dir_denied: bool,
    /// The last bpf read included it.
    pub(crate) from_bpf: bool,
    /// Soft and hard limit of open files.
    pub(crate) nofile: Option<(u64, u64)>,
    /// Its threads with descriptors of their own.
    pub(crate) threads: ThreadTables,
    /// Its descriptors as last read.
    pub(crate) fds: FdSet,
    /// Time of that read, nanoseconds after boot; 0: never.
    pub(crate) scanned_ns: u64,
    /// Time its names and limits were read.
    pub(crate) info_ns: u64,
    /// The poll it was last listed in.
    last_seen_poll: u64,
    /// Its descriptors changed since the previous poll.
    pub(crate) changed: bool,
}

/// Time of the sample, nanoseconds after boot; never 0, which stands for "not scanned".
pub(crate) fn scan_time(sample: &Sample) -> u64 {
    sample.at.boot_ns.max(1)
}

impl ProcessTable {
    /// An empty table of this `/proc`, or of a captured tree.
    pub(crate) fn new(root: &Path) -> Self {
        let live = root == Path::new("/proc");
        Self {
            root: root.to_owned(),
            live,
            hz: rustix::param::clock_ticks_per_second(),
            counter: FdCounter::new(live),
            spare_dirs: if live { proc_dir::held_dirs_max() } else { 0 },
            entries: FxHashMap::default(),
            refs: SocketRefCounts::default(),
            poll: 0,
            now_ns: 0,
            by_kcmp: live && proc_dir::is_of_own_pid_namespace() && kcmp::is_available(),
            bufs: Buffers::default(),
            buf: Vec::new(),
        }
    }

    pub(crate) fn set_counter(&mut self, counter: FdCounter) {
        self.counter = counter;
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Clock ticks per second.
    pub(crate) const fn hz(&self) -> u64 {
        self.hz
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.live
    }

    /// Number of polls so far.
    pub(crate) const fn poll(&self) -> u64 {
        self.poll
    }

    pub(crate) const fn entries(&self) -> &FxHashMap<u32, ProcEntry> {
        &self.entries
    }

    pub(crate) fn get(&self, pid: u32) -> Option<&ProcEntry> {
        self.entries.get(&pid)
    }

    pub(crate) const fn refs(&self) -> &SocketRefCounts {
        &self.refs
    }

    /// Returns true if the list of owners differs from when this was last called.
    pub(crate) fn take_owners_dirty(&mut self) -> bool {
        self.refs.take_dirty()
    }

    /// The directory of a process; `None` if it is gone.
    pub(crate) fn dir(&self, pid: u32) -> Option<ProcDir<'_>> {
        ProcDir::get(&self.root, pid, self.get(pid).and_then(|e| e.dir.as_ref()))
    }

    /// Descriptors of a process that are numbered at or above its soft limit. Looked for where they may matter: near the limit, or
    /// if the last read found one.
    pub(crate) fn fds_above_soft(&self, pid: u32, e: &ProcEntry) -> u32 {
        let (Ok(open), Some((soft, _))) = (e.fd_count, e.nofile) else { return 0 };
        let Ok(soft) = u32::try_from(soft) else { return 0 };
        let is_near = u64::from(open) * 2 > u64::from(soft);
        let is_read = e.scanned_ns > 0 && !e.is_count_off();
        let possible = e.fds.highest.map_or(is_near, |n| n >= soft || is_near && !is_read);
        let dir = if possible { ProcDir::get(&self.root, pid, e.dir.as_ref()) } else { None };
        dir.map_or(0, |dir| e.threads.count_from(dir, open, soft))
    }

    /// Lists the processes, adds new ones, removes those that exited, and counts the descriptors of each.
    pub(crate) fn refresh(&mut self, faults: &mut Faults) {
        self.poll += 1;
        self.now_ns = stamp().boot_ns.max(1);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match openat(CWD, &self.root, flags, Mode::empty()) {
            Ok(root) => root,
            Err(e) => return faults.add(FaultKind::Failed, FaultSubject::ProcessList, e.to_string()),
        };
        let mut pids = Vec::with_capacity(self.entries.len() + 16);
        let mut entries = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut dir = RawDir::new(&root, &mut entries);
        while let Some(entry) = dir.next() {
            match entry {
                Ok(entry) => pids.extend(fd_scan::number(entry.file_name().to_bytes())),
                Err(e) => {
                    faults.add(FaultKind::Failed, FaultSubject::ProcessList, e.to_string());
                    break;
                }
            }
        }
        self.counter.begin_poll();
        if self.counter.is_budgeted() {
            // The oldest counts are renewed first.
            pids.sort_by_key(|pid| (self.get(*pid).map_or(0, |e| e.fd_count_ns), *pid));
        }
        for pid in pids {
            if let Err(e) = self.refresh_one(&root, pid) {
                match e {
                    Errno::NOENT if !self.live => {
                        faults.add(FaultKind::NotCaptured, FaultSubject::Captured("PID/stat".into()), "");
                    }
                    Errno::NOENT | Errno::SRCH => {
                        faults.add(FaultKind::Vanished, FaultSubject::Processes, "");
                    }
                    e => faults.add(
                        FaultKind::Malformed,
                        FaultSubject::Processes,
                        format!("{pid}: {}", proc_file::reason(e)),
                    ),
                }
                self.remove(pid);
            }
        }
        let gone: Vec<u32> =
            self.entries.iter().filter(|(_, e)| e.last_seen_poll != self.poll).map(|(pid, _)| *pid).collect();
        for pid in gone {
            self.remove(pid);
        }
        if !self.live {
            self.report_not_captured(faults);
        }
    }

    /// Reports files that processes of a captured tree do not have.
    fn report_not_captured(&self, faults: &mut Faults) {
        let with_info = || self.entries.values().filter_map(|e| Some((e, e.info.as_deref()?)));
        let without_fd = with_info().filter(|(e, _)| e.fd_count == Err(Missing::NotReported)).count();
        let without_status = with_info().filter(|(_, i)| i.uid == ProcInfo::NO_UID).count();
        let without_limits = with_info().filter(|(e, _)| e.nofile.is_none()).count();
        for (file, n) in
            [("PID/fd", without_fd), ("PID/status", without_status), ("PID/limits", without_limits)]
        {
            let subject = FaultSubject::Captured(file.into());
            faults.add_many(FaultKind::NotCaptured, subject, "", u32::try_from(n).unwrap_or(u32::MAX));
        }
    }

    /// Removes a process and its references to sockets.
    pub(crate) fn remove(&mut self, pid: u32) {
        if let Some(e) = self.entries.remove(&pid) {
            self.refs.release(&e.fds);
            self.spare_dirs += usize::from(e.dir.is_some());
        }
    }

    fn refresh_one(&mut self, root: &OwnedFd, pid: u32) -> Result<(), Errno> {
        if self.recount(root, pid)? {
            return Ok(());
        }
        self.remove(pid);
        self.insert(root, pid)
    }

    /// Counts the descriptors of a known process. `false` if it is not known, or the pid is that of another process now.
    fn recount(&mut self, root: &OwnedFd, pid: u32) -> Result<bool, Errno> {
        let Some(e) = self.entries.get_mut(&pid) else { return Ok(false) };
        // Reads through a directory held open fail once its process is gone, so only the others are compared.
        if e.dir.is_none() {
            info::slurp(&proc_dir::open(root, pid)?, "stat", &mut self.buf, 4096)?;
            let start = info::stat(&self.buf).map(|s| info::ticks_to_ns(s.start_ticks, self.hz));
            if e.info.as_ref().is_some_and(|i| Some(i.start_ns) != start) {
                return Ok(false);
            }
        }
        if e.info.is_none() {
            e.last_seen_poll = self.poll;
            return Ok(true);
        }
        let dir = match &e.dir {
            Some(dir) => ProcDir::Held(dir.as_fd()),
            None => ProcDir::Opened(proc_dir::open(root, pid)?),
        };
        if e.threads.is_due(self.now_ns) {
            let tids = fd_tables::find(&dir, pid, self.by_kcmp, &mut self.bufs);
            if e.threads.tids != tids {
                // Scanned again, whatever the counts are.
                (e.scanned_ns, e.threads.tids) = (0, tids);
                e.threads.counts.clear();
            }
            e.threads.checked_ns = self.now_ns;
        }
        let counted = e.threads.count(&dir, &mut self.counter);
        drop(dir);
        match counted {
            // Out of budget: the previous count stays.
            Ok(None) => {}
            Ok(Some(n)) => {
                e.changed =
                    e.fd_count != Ok(n) || !e.threads.tids.is_empty() && e.threads.counts != e.fds.tables;
                e.set_fd_count(n);
                // Near the limit, it may have been raised.
                let near = e.nofile.is_some_and(|(soft, _)| u64::from(n) > soft / 2);
                if let (true, Some(dir)) = (near, &e.dir)
                    && info::slurp(dir, "limits", &mut self.buf, 1 << 14).is_ok()
                {
                    e.nofile = info::nofile(&self.buf).or(e.nofile);
                }
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                e.fd_count = Err(Missing::NotPermitted);
                // A zombie, or a process that changed its user: its sockets may be closed by now.
                if !e.from_bpf {
                    self.refs.replace(&mut e.fds, FdSet::default());
                }
            }
            // Gone, and the pid may have been reused.
            Err(_) => return Ok(false),
        }
        e.last_seen_poll = self.poll;
        Ok(true)
    }

    fn insert(&mut self, root: &OwnedFd, pid: u32) -> Result<(), Errno> {
        let dir = proc_dir::open(root, pid)?;
        let info = info::read(&dir, pid, self.hz, &mut self.buf)?.map(Arc::new);
        let mut threads = ThreadTables { checked_ns: self.now_ns, ..ThreadTables::default() };
        if info.is_some() {
            threads.tids = fd_tables::find(&dir, pid, self.by_kcmp, &mut self.bufs);
        }
        let fd_count = match threads.count(&dir, &mut self.counter) {
            Ok(n) => n.ok_or(Missing::Pending),
            Err(Errno::ACCESS | Errno::PERM) => Err(Missing::NotPermitted),
            // A tree can be captured without it.
            Err(Errno::NOENT) if !self.live && info.is_some() => Err(Missing::NotReported),
            Err(e) if info.is_some() => return Err(e),
            Err(_) => Err(Missing::NotApplicable),
        };
        let limits = info::slurp(&dir, "limits", &mut self.buf, 1 << 14);
        let nofile = limits.ok().and_then(|()| info::nofile(&self.buf));
        let keep = self.spare_dirs > 0 && info.is_some();
        self.spare_dirs -= usize::from(keep);
        self.refs.mark_dirty();
        let now = stamp().boot_ns;
        let entry = ProcEntry {
            info,
            dir: keep.then_some(dir),
            fd_count,
            fd_count_ns: if fd_count.is_ok() { now } else { 0 },
            growth_polls: 0,
            fd_targets: (0, Arc::from([])),
            fd_dir_denied: false,
            from_bpf: false,
            nofile,
            threads,
            fds: FdSet::default(),
            scanned_ns: 0,
            info_ns: now,
            last_seen_poll: self.poll,
            changed: true,
        };
        self.entries.insert(pid, entry);
        Ok(())
    }

    /// Adds to `moved` the sockets that this process was not known to refer to and another one was.
    pub(crate) fn note_moved(&self, pid: u32, fds: &FdSet, moved: &mut FxHashSet<u64>) {
        let Some(e) = self.get(pid) else { return };
        for_each_change(&e.fds.sockets, &fds.sockets, |change| match change {
            Change::Opened((inode, _)) if !e.fds.contains(*inode) && self.refs.contains(*inode) => {
                moved.insert(*inode);
            }
            _ => {}
        });
    }

    /// Stores a scan of all descriptors of a process.
    pub(crate) fn record_scan(&mut self, pid: u32, fds: FdSet, scanned_ns: u64) {
        let Some(e) = self.entries.get_mut(&pid) else { return };
        e.set_fd_count(fds.kinds.total());
        e.fd_dir_denied = false;
        e.threads.counts.clone_from(&fds.tables);
        self.refs.replace(&mut e.fds, fds);
        e.scanned_ns = scanned_ns;
        self.refresh_proc_info(pid);
    }

    /// Stores a rescan of the descriptors that changed.
    pub(crate) fn record_rescan(&mut self, pid: u32, fds: FdSet) {
        let Some(e) = self.entries.get_mut(&pid) else { return };
        e.changed |= e.fds.sockets != fds.sockets;
        self.refs.replace(&mut e.fds, fds);
    }

    /// Notes that the descriptors of a process may not be read.
    pub(crate) fn record_denied(&mut self, pid: u32, scanned_ns: u64) {
        let Some(e) = self.entries.get_mut(&pid) else { return };
        e.fd_dir_denied = true;
        e.scanned_ns = scanned_ns;
        if !e.from_bpf {
            self.refs.replace(&mut e.fds, FdSet::default());
        }
    }

    /// Stores a bpf read of all processes, made at `read_ns`, before or after (`after_count`) the descriptors were
    /// counted. Processes that are not in the table under the same pid and start time are ignored. Returns the number of
    /// processes whose descriptors are readable by bpf only.
    pub(crate) fn record_bpf(&mut self, all: Vec<ProcessFds>, read_ns: u64, after_count: bool) -> usize {
        let mut revealed = 0;
        for e in self.entries.values_mut() {
            e.from_bpf = false;
        }
        for ProcessFds { pid, start_ns, mut fds } in all {
            let Some(e) = self.entries.get_mut(&pid) else { continue };
            if !e.is_started_at(start_ns, self.hz) {
                continue;
            }
            revealed += usize::from(e.is_fd_hidden());
            if after_count || e.fd_count.is_err() {
                e.set_fd_count(fds.kinds.total());
            }
            e.from_bpf = true;
            if fds.has_more_than_one_table() || !fds.namespace_fds.is_empty() || !e.threads.tids.is_empty() {
                // Rare: what the iterator does not have is read from /proc, if that is permitted.
                let dir = ProcDir::get(&self.root, pid, e.dir.as_ref());
                if let Some(dir) = dir {
                    fds = e.threads.complete(dir, pid, fds, &mut self.counter, self.by_kcmp, &mut self.bufs);
                }
            }
            self.refs.replace(&mut e.fds, fds);
            e.scanned_ns = read_ns;
        }
        // The iterator skips processes without descriptors.
        for e in self.entries.values_mut().filter(|e| e.scanned_ns != read_ns && e.fd_count == Ok(0)) {
            self.refs.replace(&mut e.fds, FdSet::default());
            e.scanned_ns = read_ns;
        }
        revealed
    }

    /// Looks for descriptor tables of threads in all processes; returns those in which others are found than were known.
    pub(crate) fn find_thread_tables(&mut self) -> Vec<u32> {
        let mut changed = Vec::new();
        for (pid, e) in self.entries.iter_mut().filter(|(_, e)| e.is_scannable()) {
            let Some(dir) = ProcDir::get(&self.root, *pid, e.dir.as_ref()) else { continue };
            let tids = fd_tables::find(&dir, *pid, self.by_kcmp, &mut self.bufs);
            e.threads.checked_ns = self.now_ns;
            if e.threads.tids != tids {
                e.threads.tids = tids;
                changed.push(*pid);
            }
        }
        changed
    }

    /// Counts the descriptors of one process again, outside the budget.
    pub(crate) fn recount_now(&mut self, pid: u32) -> Result<u32, Missing> {
        let Some(e) = self.entries.get_mut(&pid) else { return Err(Missing::Gone) };
        let Some(dir) = &e.dir else { return e.fd_count };
        let counted = self.counter.count_now(dir, "fd");
        e.fd_count = counted.map_or(Err(Missing::Gone), |n| n.ok_or(Missing::Pending));
        e.fd_count_ns = stamp().boot_ns;
        e.fd_count
    }

    /// Stores the frequent targets of a process's descriptors.
    pub(crate) fn record_fd_targets(&mut self, pid: u32, targets: Vec<FdTarget>) {
        if let Some(e) = self.entries.get_mut(&pid) {
            e.fd_targets = (self.poll, targets.into());
        }
    }

    /// Reads again what changes without a trace in `/proc/PID/fd`: names (exec, prctl) and limits (prlimit).
    pub(crate) fn refresh_proc_info(&mut self, pid: u32) {
        let Some(e) = self.entries.get_mut(&pid) else { return };
        let Some(dir) = ProcDir::get(&self.root, pid, e.dir.as_ref()) else { return };
        if info::slurp(&dir, "limits", &mut self.buf, 1 << 14).is_ok() {
            e.nofile = info::nofile(&self.buf).or(e.nofile);
        }
        let new = info::read(&dir, pid, self.hz, &mut self.buf);
        drop(dir);
        if let Ok(Some(new)) = new
            && e.info.as_deref() != Some(&new)
        {
            e.info = Some(Arc::new(new));
        }
        e.info_ns = stamp().boot_ns;
    }
}

impl ProcEntry {
    /// Returns true if the process started at this time, nanoseconds after boot as the kernel has it: compared as `/proc` shows
    /// it, in whole clock ticks.
    pub(crate) fn is_started_at(&self, start_ns: u64, hz: u64) -> bool {
        let ticks = u128::from(start_ns) * u128::from(hz) / 1_000_000_000;
        self.info.as_ref().is_some_and(|i| i.start_ns == info::ticks_to_ns(ticks as u64, hz))
    }

    /// Returns true if it may open sockets without a change of its descriptor count: an `io_uring` registers them.
    pub(crate) const fn opens_unseen(&self) -> bool {
        !self.fds.rings.is_empty()
    }

    /// Returns true if `/proc/PID/fd` may not be read.
    pub(crate) fn is_fd_hidden(&self) -> bool {
        self.fd_dir_denied || self.fd_count == Err(Missing::NotPermitted)
    }

    /// Returns true if a scan of `/proc/PID/fd` can give anything.
    pub(crate) const fn is_scannable(&self) -> bool {
        self.info.is_some() && matches!(self.fd_count, Ok(_) | Err(Missing::Pending))
    }

    /// Returns true if the descriptor count differs from what was last read.
    pub(crate) fn is_count_off(&self) -> bool {
        if self.threads.tids.is_empty() {
            self.fd_count != Ok(self.fds.kinds.total())
        } else {
            self.threads.counts != self.fds.tables
        }
    }

    fn set_fd_count(&mut self, n: u32) {
        match self.fd_count.ok().map(|before| n.cmp(&before)) {
            Some(Ordering::Greater) => self.growth_polls += 1,
            Some(Ordering::Less) => (self.growth_polls, self.fd_targets) = (0, (0, Arc::from([]))),
            _ => {}
        }
        self.fd_count = Ok(n);
        self.fd_count_ns = stamp().boot_ns;
    }
}
