//! Processes, what they hold open and how much they may.

use super::fault::Missing;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What of a process does not change while it runs one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcInfo {
    /// Process id (the thread group's), in this program's pid namespace.
    pub pid: u32,
    /// Parent's process id, 0 for none or unknown.
    pub ppid: u32,
    /// Start, nanoseconds after boot (`/proc/PID/stat` field 22). With the pid this is the process's identity.
    pub start_ns: u64,
    /// Command name of the process, not of a thread (`/proc/PID/comm`, 15 bytes at most). Bytes that are not
    /// UTF-8 stand as `\xNN`; control characters stand as they are and are escaped where they are shown.
    pub comm: Box<str>,
    /// The full command line, arguments separated by blanks; empty for kernel threads. Bytes as in `comm`.
    pub cmdline: Box<str>,
    /// Effective user id (`Uid:` of `/proc/PID/status`).
    pub uid: u32,
    /// Path of its cgroup (v2; else the `name=systemd` one), where it was readable.
    pub cgroup: Option<Box<str>>,
}

impl ProcInfo {
    /// Its command name as it is shown: in quotes where it would not be seen, as a process can call itself by blanks
    /// (`PR_SET_NAME` of prctl(2)).
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        if self.comm.trim().is_empty() { format!("\"{}\"", self.comm).into() } else { (&*self.comm).into() }
    }
}

/// One process at one poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// What does not change.
    pub info: Arc<ProcInfo>,
    /// Descriptors and limits, or why they are not known. Their number and limits are for anyone to see on Linux ≥ 6.2.
    pub fds: Result<FdUsage, Missing>,
    /// Why it is not known what its descriptors refer to, `None` when it is: another user's process refuses.
    pub fds_hidden: Option<Missing>,
    /// Where many of its descriptors lead to the same place, the most first: read of those that grow or are nearly
    /// full, and only where limits are asked for.
    #[serde(default)]
    pub fd_targets: Arc<[FdTarget]>,
}

/// A place to which several descriptors of one process lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdTarget {
    /// What they are.
    pub kind: FdKind,
    /// The path, with a `/` at its end where it is a directory whose files they are. Bytes as in [`ProcInfo::comm`].
    pub place: Box<str>,
    /// How many.
    pub count: u32,
    /// The lowest of their numbers.
    pub fds: Vec<u32>,
}

/// Descriptors of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdUsage {
    /// Open now (`st_size` of `/proc/PID/fd` on Linux ≥ 6.2, else counted).
    pub open: u32,
    /// When `open` was read, nanoseconds after boot; 0 where that is not known. Where the kernel does not count, a poll
    /// counts as many as it may, and the others' figures are of an earlier one.
    #[serde(default)]
    pub open_at_ns: u64,
    /// The highest descriptor in use, as of `kinds_at_ns`. The limit is on this number: below a high one there may be gaps.
    #[serde(default)]
    pub highest: Option<u32>,
    /// Soft limit (`RLIMIT_NOFILE`): opening one more fails at this number. `u64::MAX` is unlimited.
    pub soft: Option<u64>,
    /// Hard limit: as far as the process may raise the soft one by itself.
    pub hard: Option<u64>,
    /// What they are, where they were walked.
    pub kinds: Option<FdKinds>,
    /// When `kinds` was read: nanoseconds after boot.
    pub kinds_at_ns: u64,
}

impl FdUsage {
    /// Open as a share of the soft limit, 0 to 1 and above (a limit can be lowered below what is open).
    pub fn share(&self) -> Option<f64> {
        self.soft.filter(|s| *s > 0).map(|s| f64::from(self.open) / s as f64)
    }
}

/// What a descriptor refers to, by the target of its `/proc/PID/fd` link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FdKind {
    /// `socket:[INODE]`.
    Socket,
    /// A path: regular files, directories, devices.
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
    /// Any other (`anon_inode:[io_uring]`, `bpf-map` …).
    Other,
}

impl FdKind {
    /// All of them with their names, in display order.
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

    /// From the target of a `/proc/PID/fd` link.
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

/// How many descriptors of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FdKinds([u32; FdKind::ALL.len()]);

impl FdKinds {
    /// One more of this kind.
    pub const fn add(&mut self, k: FdKind) {
        self.0[k as usize] += 1;
    }
    /// One less of this kind.
    pub const fn remove(&mut self, k: FdKind) {
        self.0[k as usize] = self.0[k as usize].saturating_sub(1);
    }
    /// How many of this kind.
    pub const fn get(&self, k: FdKind) -> u32 {
        self.0[k as usize]
    }
    /// All kinds together.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
    /// Those that occur, in display order.
    pub fn present(&self) -> impl Iterator<Item = (FdKind, &'static str, u32)> + '_ {
        FdKind::ALL.iter().zip(self.0).filter(|(_, n)| *n > 0).map(|((k, name), n)| (*k, *name, n))
    }
}

/// One descriptor that refers to a socket. A socket can have many: prefork servers share one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Inode of the socket in sockfs.
    pub inode: u64,
    /// Index of the process in [`super::Sample::processes`].
    pub process: u32,
    /// The descriptor's number in that process; [`Owner::NO_FD`] where the backend does not tell.
    pub fd: u32,
}

impl Owner {
    /// Stands for a number that is not known.
    pub const NO_FD: u32 = u32::MAX;

    /// The descriptor's number, where it is known.
    pub const fn fd(&self) -> Option<u32> {
        if self.fd == Self::NO_FD { None } else { Some(self.fd) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_link() {
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
