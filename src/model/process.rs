//! Processes, their file descriptors and limits.

use super::fault::Missing;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Properties of a process that are fixed until it calls exec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcInfo {
    /// Process id (thread group id) in the pid namespace of sockscope.
    pub pid: u32,
    /// Parent process id, 0 for none or unknown.
    pub ppid: u32,
    /// Start time, nanoseconds after boot (`/proc/PID/stat` field 22). Pid and start time identify a process.
    pub start_ns: u64,
    /// Command name of the main thread (`/proc/PID/comm`, at most 15 bytes). Bytes that are not UTF-8 appear as `\xNN`;
    /// control characters are kept and escaped on display.
    pub comm: Box<str>,
    /// Full command line, arguments separated by spaces; empty for kernel threads. Bytes as in `comm`.
    pub cmdline: Box<str>,
    /// Effective user id (`Uid:` of `/proc/PID/status`).
    pub uid: u32,
    /// Cgroup path (v2, else the `name=systemd` hierarchy), if readable.
    pub cgroup: Option<Box<str>>,
}

impl ProcInfo {
    /// Value of [`Self::uid`] if it is not known: the kernel has no such user.
    pub const NO_UID: u32 = u32::MAX;

    /// Command name for display: quoted if it consists of whitespace only, which `PR_SET_NAME` of prctl(2) allows.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        if self.comm.trim().is_empty() { format!("\"{}\"", self.comm).into() } else { (&*self.comm).into() }
    }
}

/// CPU time, memory and threads of a process at one poll (`/proc/PID/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcUsage {
    /// User and system time of all its threads since its start, nanoseconds, in steps of a clock tick (10 ms).
    pub cpu_ns: u64,
    /// Time of the read, nanoseconds after boot.
    pub at_ns: u64,
    /// Resident memory, bytes; `None` if the main thread has exited and others run.
    pub rss: Option<u64>,
    /// Number of threads.
    pub threads: u32,
}

/// Process at one poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Fixed properties.
    pub info: Arc<ProcInfo>,
    /// Descriptor count and limits, or the reason they are missing. Any user can read the count on Linux ≥ 6.2.
    pub fds: Result<FdUsage, Missing>,
    /// Reason why descriptor targets are unknown, `None` if they are known: another user's process denies access.
    pub fds_hidden: Option<Missing>,
    /// Most frequent descriptor targets, by count. Read only for processes whose descriptors grow or are near the
    /// limit, and only if limits are requested.
    #[serde(default)]
    pub fd_targets: Arc<[FdTarget]>,
    /// Reason why it does not run. Read only for owners of sockets with something in their receive or accept queue.
    #[serde(default)]
    pub halted: Option<Halted>,
    /// The file that freezes it, if it is frozen: `cgroup.freeze`, or `freezer.state` of cgroup v1.
    #[serde(default)]
    pub freezer: Option<Box<str>>,
}

/// Reason why a process does not run, whatever its sockets receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Halted {
    /// Stopped by a signal: state `T` of `/proc/PID/stat`.
    Stopped,
    /// Stopped by a debugger: state `t`.
    Traced,
    /// Its cgroup is frozen (`cgroup.freeze`, or `freezer.state` of cgroup v1).
    Frozen,
    /// Uninterruptible sleep: state `D`. Normal for a moment, while it waits for a disk.
    Uninterruptible,
}

impl Halted {
    /// All with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Stopped, "stopped"),
        (Self::Traced, "traced"),
        (Self::Frozen, "frozen"),
        (Self::Uninterruptible, "uninterruptible"),
    ];

    /// Seconds that a client must have waited before this is the reason: a moment of uninterruptible sleep is normal.
    pub const fn wait_s(self) -> f64 {
        match self {
            Self::Uninterruptible => 5.0,
            Self::Stopped | Self::Traced | Self::Frozen => 1.0,
        }
    }
}

/// Target that several descriptors of a process share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdTarget {
    /// Kind of the descriptors.
    pub kind: FdKind,
    /// Path; ends in `/` for a directory that contains the open files. Of sockets that were never bound or connected the
    /// protocol. Bytes as in [`ProcInfo::comm`].
    pub path: Box<str>,
    /// Number of descriptors.
    pub count: u32,
    /// Lowest descriptor numbers.
    pub fds: Vec<u32>,
}

/// Descriptor count and limits of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdUsage {
    /// Open descriptors (`st_size` of `/proc/PID/fd` on Linux ≥ 6.2, else counted).
    pub open: u32,
    /// Time of the count, nanoseconds after boot; 0 if unknown. On older kernels a poll counts within a budget, so some
    /// counts are from an earlier poll.
    #[serde(default)]
    pub open_at_ns: u64,
    /// Those of them numbered at or above the soft limit: opened before it was lowered, or received across `exec`. They take no
    /// number that the next one could have. 0 if none, or if they could not be read.
    #[serde(default)]
    pub above_soft: u32,
    /// Highest descriptor in use at `kinds_at_ns`. The limit applies to this number; lower numbers can be free.
    #[serde(default)]
    pub highest: Option<u32>,
    /// Soft limit (`RLIMIT_NOFILE`): opening a descriptor with this number fails. `u64::MAX` is unlimited.
    pub soft: Option<u64>,
    /// Hard limit: maximum to which the process can raise its soft limit.
    pub hard: Option<u64>,
    /// Descriptors by kind, if scanned.
    pub kinds: Option<FdKinds>,
    /// Time of the scan, nanoseconds after boot.
    pub kinds_at_ns: u64,
}

impl FdUsage {
    /// Open descriptors numbered below the soft limit. The next one fails with `EMFILE` when they are as many as the limit
    /// (`alloc_fd`).
    pub const fn below_soft(&self) -> u32 {
        self.open.saturating_sub(self.above_soft)
    }

    /// Open descriptors numbered below the soft limit as a share of it, 0 to 1; above 1 only if their numbers could not be read.
    /// `None` without a limit, or if the process is not meant to open any more.
    pub fn share(&self) -> Option<f64> {
        self.soft.filter(|s| *s > 0 && !self.opens_no_more()).map(|s| f64::from(self.below_soft()) / s as f64)
    }

    /// True if at most half as many descriptors as are open may be opened: the process lowered its limit to open no more, as the
    /// sandbox of OpenSSH does (to 1).
    pub fn opens_no_more(&self) -> bool {
        self.soft.is_some_and(|s| s.saturating_mul(2) <= u64::from(self.open))
    }
}

/// Kind of a descriptor, by the target of its `/proc/PID/fd` link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FdKind {
    /// `socket:[INODE]`.
    Socket,
    /// Path: regular files, directories, devices.
    File,
    /// `pipe:[INODE]`.
    Pipe,
    /// `anon_inode:[eventfd]`.
    Eventfd,
    /// `anon_inode:[eventpoll]`.
    Epoll,
    /// `anon_inode:[timerfd]`.
    Timerfd,
    /// `anon_inode:[signalfd]`.
    Signalfd,
    /// `anon_inode:inotify`.
    Inotify,
    /// `/memfd:NAME`.
    Memfd,
    /// `pidfd:[INODE]`, before Linux 6.9 `anon_inode:[pidfd]`.
    Pidfd,
    /// Other targets (`anon_inode:[io_uring]`, `bpf-map` …).
    Other,
}

impl FdKind {
    /// All with their names, in display order.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Socket, "sockets"),
        (Self::File, "files"),
        (Self::Pipe, "pipes"),
        (Self::Eventfd, "eventfd"),
        (Self::Epoll, "epoll"),
        (Self::Timerfd, "timerfd"),
        (Self::Signalfd, "signalfd"),
        (Self::Inotify, "inotify"),
        (Self::Memfd, "memfd"),
        (Self::Pidfd, "pidfd"),
        (Self::Other, "other"),
    ];

    /// Kind by the target of a `/proc/PID/fd` link.
    pub fn from_link(target: &[u8]) -> Self {
        match target {
            t if t.starts_with(b"socket:[") => Self::Socket,
            t if t.starts_with(b"pipe:[") => Self::Pipe,
            t if t.starts_with(b"pidfd:[") => Self::Pidfd,
            t if t.starts_with(b"/memfd:") => Self::Memfd,
            t if t.starts_with(b"/") => Self::File,
            b"anon_inode:[eventfd]" => Self::Eventfd,
            b"anon_inode:[eventpoll]" => Self::Epoll,
            b"anon_inode:[timerfd]" => Self::Timerfd,
            b"anon_inode:[signalfd]" => Self::Signalfd,
            b"anon_inode:inotify" => Self::Inotify,
            b"anon_inode:[pidfd]" => Self::Pidfd,
            _ => Self::Other,
        }
    }
}

/// Number of descriptors of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FdKinds([u32; FdKind::ALL.len()]);

impl FdKinds {
    /// Counts one descriptor of this kind.
    pub const fn add(&mut self, k: FdKind) {
        self.0[k as usize] += 1;
    }
    /// Removes one descriptor of this kind.
    pub const fn remove(&mut self, k: FdKind) {
        self.0[k as usize] = self.0[k as usize].saturating_sub(1);
    }
    /// Sets the number of descriptors of this kind.
    pub const fn set(&mut self, k: FdKind, count: u32) {
        self.0[k as usize] = count;
    }
    /// Number of descriptors of this kind.
    pub const fn get(&self, k: FdKind) -> u32 {
        self.0[k as usize]
    }
    /// Total number of descriptors.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
    /// Non-zero counts in display order.
    pub fn present(&self) -> impl Iterator<Item = (FdKind, &'static str, u32)> + '_ {
        FdKind::ALL.iter().zip(self.0).filter(|(_, n)| *n > 0).map(|((k, name), n)| (*k, *name, n))
    }
}

/// Descriptor that refers to a socket. A socket can have several: prefork servers share one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Inode of the socket in sockfs.
    pub inode: u64,
    /// Index of the process in [`super::Sample::processes`].
    pub process: u32,
    /// Descriptor number; [`Owner::NO_FD`] if the backend does not report it.
    pub fd: u32,
}

impl Owner {
    /// Placeholder for an unknown descriptor number.
    pub const NO_FD: u32 = u32::MAX;

    /// Descriptor number, if known.
    pub const fn fd(&self) -> Option<u32> {
        if self.fd == Self::NO_FD { None } else { Some(self.fd) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_target_decides_kind() {
        for (link, want) in [
            (&b"socket:[123]"[..], FdKind::Socket),
            (b"pipe:[5]", FdKind::Pipe),
            (b"/dev/null", FdKind::File),
            (b"/memfd:x (deleted)", FdKind::Memfd),
            (b"anon_inode:[eventpoll]", FdKind::Epoll),
            (b"anon_inode:inotify", FdKind::Inotify),
            (b"anon_inode:[pidfd]", FdKind::Pidfd),
            (b"pidfd:[4021]", FdKind::Pidfd),
            (b"anon_inode:[io_uring]", FdKind::Other),
            (b"", FdKind::Other),
        ] {
            assert_eq!(FdKind::from_link(link), want, "{}", String::from_utf8_lossy(link));
        }
        for (i, (k, _)) in FdKind::ALL.iter().enumerate() {
            assert_eq!(*k as usize, i);
        }
    }
}
