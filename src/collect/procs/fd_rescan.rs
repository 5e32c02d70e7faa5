//! Rescan of the descriptors that changed, without a scan of all others of the process.
//!
//! The kernel assigns the lowest free descriptor, so what a process opened since its last scan is mostly at the number of
//! a closed descriptor, or just above its highest. The closed sockets are known: they are missing from the dump. So only
//! those few descriptors are read, and the kernel's count of open ones must then match. If it does not match, or a socket
//! remains without an owner, the process is scanned completely.

use super::fd_scan::{self, Buffers, FdSet};
use super::inode_set::InodeSet;
use super::scan_schedule::FdScanner;
use super::table::{ProcEntry, ProcessTable};
use crate::model::{FdKind, Sample};
use rustc_hash::FxHashSet;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// Sockets from which a process is rescanned: with fewer a complete scan is as fast.
const RESCAN_MIN_SOCKETS: usize = 64;

/// Attempts on a process whose count does not match because it keeps opening and closing.
const ATTEMPTS: usize = 3;

/// Numbers above the highest known socket that may turn out unused.
const UNUSED_MAX: u32 = 4;

impl FdScanner {
    /// Rescans the processes that changed a little since their last scan.
    pub(crate) fn rescan_changed_fds(&mut self, table: &mut ProcessTable, sample: &mut Sample) {
        let unowned = sample.sockets.iter().any(|s| s.inode != 0 && !table.refs().contains(s.inode));
        if !unowned && !table.entries().values().any(|e| is_rescannable(e) && has_new_count(e)) {
            return;
        }
        self.sample_inodes.fill(sample.sockets.iter().map(|s| s.inode));
        let rescannable = table.entries().iter().filter(|(_, e)| is_rescannable(e));
        let pids: Vec<u32> = rescannable.map(|(pid, _)| *pid).collect();
        let mut moved: FxHashSet<u64> = FxHashSet::default();
        for pid in pids {
            self.rescan(table, pid, &mut moved);
        }
        self.recheck_owners(table, &moved, &[], sample);
    }

    fn rescan(&mut self, table: &mut ProcessTable, pid: u32, moved: &mut FxHashSet<u64>) {
        let Some(e) = table.get(pid) else { return };
        let closed = e.fds.sockets.iter().filter(|(inode, _)| !self.sample_inodes.contains(*inode)).count();
        let too_many = closed > RESCAN_MIN_SOCKETS.max(e.fds.sockets.len() / 4);
        if closed == 0 && !has_new_count(e) || too_many {
            return;
        }
        for _ in 0..ATTEMPTS {
            let Some(e) = table.get(pid) else { return };
            let Some(dir) = &e.dir else { return };
            let count = e.fd_count.unwrap_or(0);
            let Ok(fds) = rescan_fds(dir, &e.fds, &self.sample_inodes, count, &mut self.bufs) else { return };
            if table.recount_now(pid) == Ok(fds.kinds.total()) {
                table.note_moved(pid, &fds, moved);
                table.record_rescan(pid, fds);
                return;
            }
        }
    }
}

fn is_rescannable(e: &ProcEntry) -> bool {
    e.is_scannable()
        && !e.is_fd_hidden()
        && e.scanned_ns > 0
        && e.threads.tids.is_empty()
        && !e.fds.has_more_than_one_table()
        && e.fds.sockets.len() >= RESCAN_MIN_SOCKETS
        && e.dir.is_some()
}

fn has_new_count(e: &ProcEntry) -> bool {
    e.fd_count.is_ok() && e.is_count_off()
}

/// The descriptors of a process now: the known ones, except sockets missing from the sample, and those just above its last
/// socket, until there are `fd_count`.
fn rescan_fds(
    dir: &OwnedFd,
    known: &FdSet,
    sample_inodes: &InodeSet,
    fd_count: u32,
    bufs: &mut Buffers,
) -> Result<FdSet, Errno> {
    let mut fds = FdSet {
        sockets: Vec::with_capacity(known.sockets.len() + 8),
        kinds: known.kinds,
        highest: known.highest,
        netns: known.netns.clone(),
        ..FdSet::default()
    };
    let mut new = Vec::new();
    let mut last = 0;
    for (inode, fd) in &known.sockets {
        last = last.max(*fd);
        if sample_inodes.contains(*inode) {
            fds.sockets.push((*inode, *fd));
            continue;
        }
        fds.kinds.remove(FdKind::Socket);
        if fds.highest == Some(*fd) {
            // Unknown until the next scan.
            fds.highest = None;
        }
        new.extend(read_fd(dir, *fd, &mut fds, bufs)?);
    }
    let mut unused = 0;
    while fds.kinds.total() < fd_count && unused < UNUSED_MAX {
        last += 1;
        match read_fd(dir, last, &mut fds, bufs)? {
            Some(socket) => new.push(socket),
            None => unused += 1,
        }
    }
    if !new.is_empty() {
        fds.sockets.extend(new);
        fds.sockets.sort_unstable();
    }
    Ok(fds)
}

/// Adds one descriptor to the counts of `fds`; inode and number if it is a socket.
fn read_fd(dir: &OwnedFd, fd: u32, fds: &mut FdSet, bufs: &mut Buffers) -> Result<Option<(u64, u32)>, Errno> {
    match fd_scan::target(dir, fd, bufs) {
        Ok((kind, inode)) => {
            fds.kinds.add(kind);
            fds.highest = fds.highest.map(|n| n.max(fd));
            Ok(inode.map(|i| (i, fd)))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}
