//! Number of open descriptors of a process, without reading what they refer to.

use super::{fd_scan, info};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;
use std::mem::MaybeUninit;

/// Directory entries listed per poll if the kernel does not report the count (before Linux 6.2): about 10 ms of work.
const LISTED_PER_POLL: u32 = 10_000;

/// Counts by `st_size` of `/proc/PID/fd` (Linux ≥ 6.2), or by listing that directory, within a budget per poll.
#[derive(Debug)]
pub(crate) struct FdCounter {
    by_stat: bool,
    per_poll: u32,
    /// Budget left in this poll.
    left: u32,
}

impl FdCounter {
    /// For the live `/proc`, or for a captured tree, which is read once and completely.
    pub(crate) fn new(live: bool) -> Self {
        let by_stat = live && statat(CWD, "/proc/self/fd", AtFlags::empty()).is_ok_and(|s| s.st_size > 0);
        Self { by_stat, per_poll: if live { LISTED_PER_POLL } else { u32::MAX }, left: 0 }
    }

    /// Counts by listing only, at most this many entries per poll, but one process at least.
    pub(crate) const fn listing_at_most(per_poll: u32) -> Self {
        Self { by_stat: false, per_poll, left: 0 }
    }

    /// Returns true if not every process can be counted in one poll.
    pub(crate) const fn is_budgeted(&self) -> bool {
        !self.by_stat
    }

    /// Refills the budget for the next poll.
    pub(crate) const fn begin_poll(&mut self) {
        self.left = self.per_poll;
    }

    /// Descriptors in this directory below that of the process; `None` if the budget of this poll is used up.
    pub(crate) fn count(&mut self, process: impl AsFd, table: &str) -> Result<Option<u32>, Errno> {
        if self.by_stat {
            let s = statat(&process, table, AtFlags::empty())?;
            // Any user may stat this directory of any process, but the size is 0 without permission to read it.
            if s.st_size > 0 {
                return Ok(Some(s.st_size as u32));
            }
        } else if self.left == 0 {
            // Still detects that the process is gone.
            statat(&process, table, AtFlags::empty())?;
            return Ok(None);
        }
        let n = list(process, table, 0)?;
        self.left = self.left.saturating_sub(n.max(1));
        Ok(Some(n))
    }

    /// Descriptors in this directory, whatever is left of the budget.
    pub(crate) fn count_now(&self, process: impl AsFd, table: &str) -> Result<Option<u32>, Errno> {
        Self { left: u32::MAX, ..*self }.count(process, table)
    }
}

/// Descriptors in this directory that are numbered `first` or above.
pub(crate) fn count_from(process: impl AsFd, table: &str, first: u32) -> Result<u32, Errno> {
    // Nearly always the table itself is too short for such a number.
    let mut status = Vec::new();
    let path = format!("{}status", table.strip_suffix("fd").unwrap_or_default());
    let size =
        info::slurp(&process, &path, &mut status, 1 << 14).ok().and_then(|()| info::fd_table_size(&status));
    if size.is_some_and(|n| n <= first) {
        return Ok(0);
    }
    list(process, table, first)
}

/// Number of the descriptors that are numbered `first` or above.
fn list(process: impl AsFd, table: &str, first: u32) -> Result<u32, Errno> {
    let fd = openat(process, table, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut entries = [MaybeUninit::uninit(); 8192];
    let mut dir = RawDir::new(&fd, &mut entries);
    let mut n = 0;
    while let Some(entry) = dir.next() {
        n += u32::from(fd_scan::number(entry?.file_name().to_bytes()).is_some_and(|fd| fd >= first));
    }
    Ok(n)
}
