//! Process directories: `/proc/PID`, held open or opened for one read.

use super::fd_scan;
use super::info;
use crate::model::ProcInfo;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::mem::MaybeUninit;
use std::path::Path;

/// Directory of one process.
#[derive(Debug)]
pub(crate) enum ProcDir<'a> {
    /// Held open since the process was first seen: it cannot be that of a later process with the same pid.
    Held(BorrowedFd<'a>),
    /// Opened for this read.
    Opened(OwnedFd),
}

impl AsFd for ProcDir<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Held(fd) => *fd,
            Self::Opened(fd) => fd.as_fd(),
        }
    }
}

impl<'a> ProcDir<'a> {
    /// The directory held open, or else the one opened now; `None` if the process is gone.
    pub(crate) fn get(root: &Path, pid: u32, held: Option<&'a OwnedFd>) -> Option<Self> {
        if let Some(held) = held {
            return Some(Self::Held(held.as_fd()));
        }
        let opened = openat(CWD, root.join(pid.to_string()), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.ok().map(Self::Opened)
    }
}

/// Returns true if `/proc` has the pids of this process's pid namespace (`NSpid` of `/proc/self/status` has one column).
pub(crate) fn is_of_own_pid_namespace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    own.is_some_and(|l| l.split_whitespace().count() == 1)
}

/// Opens the directory of a process below an open `/proc`.
pub(crate) fn open(root: impl AsFd, pid: u32) -> Result<OwnedFd, Errno> {
    openat(root, pid.to_string(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Ids below `task`, sorted; none if the process is gone or its tree was captured without them.
pub(crate) fn tids(process: impl AsFd) -> Vec<u32> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(task) = openat(process, "task", flags, Mode::empty()) else { return vec![] };
    let mut entries = [MaybeUninit::uninit(); 4096];
    let mut dir = RawDir::new(&task, &mut entries);
    let mut all = Vec::new();
    while let Some(Ok(entry)) = dir.next() {
        all.extend(fd_scan::number(entry.file_name().to_bytes()));
    }
    all.sort_unstable();
    all
}

/// Start time of a live process, nanoseconds after boot.
pub(crate) fn start_time_ns(pid: u32) -> Option<u64> {
    let root = openat(CWD, "/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut buf = Vec::new();
    info::slurp(&open(&root, pid).ok()?, "stat", &mut buf, 4096).ok()?;
    let start = info::stat(&buf)?.start_ticks;
    Some(info::ticks_to_ns(start, rustix::param::clock_ticks_per_second()))
}

/// Names and ids of a live process; `None` if it is gone or a kernel thread.
pub(crate) fn proc_info(pid: u32) -> Option<ProcInfo> {
    let root = openat(CWD, "/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let hz = rustix::param::clock_ticks_per_second();
    info::read(open(&root, pid).ok()?, pid, hz, &mut Vec::new()).ok()?
}

/// Number of process directories that may be held open: a quarter of this process's own descriptor limit, after raising
/// the soft limit to the hard one.
pub(crate) fn held_dirs_max() -> usize {
    let l = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: l.maximum, maximum: l.maximum });
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(1 << 16);
    (soft / 4).min(1 << 14) as usize
}
