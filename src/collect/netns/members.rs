//! Membership: the network namespace each process is in.
//!
//! Looked up once per process, in every poll while the process is young (a container's first process changes namespaces
//! before it executes anything), and for older ones in turn.

use crate::collect::procs;
use crate::model::{FaultKind, FaultSubject, Faults};
use rustc_hash::FxHashMap;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;
use std::mem::MaybeUninit;

/// Age up to which a process is looked up in every poll, nanoseconds.
const YOUNG_NS: u64 = 5_000_000_000;
/// Older processes looked up per poll.
const OLDER_PER_POLL: usize = 64;

/// One process, as far as its namespace is concerned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Member {
    /// Inode of its namespace; 0: none, or not visible.
    pub(crate) inode: u64,
    /// Its start time; 0 for those in the namespace of this process.
    pub(crate) start_ns: u64,
    /// Time it was first seen; 0: it was there in the first poll.
    pub(crate) since_ns: u64,
    /// The poll it was last listed in.
    pub(crate) last_seen_poll: u64,
    /// The poll it was last looked up in; 0: never.
    pub(crate) lookup_poll: u64,
    /// The poll it was first found in this namespace in.
    pub(crate) joined_poll: u64,
}

impl Member {
    /// Returns true if it may still change namespaces.
    pub(crate) const fn is_young(&self, now: u64) -> bool {
        now.saturating_sub(self.since_ns) < YOUNG_NS
    }

    fn look_up(&mut self, proc: &Lookup, pid: u32, poll: u64) {
        let inode = proc.netns_inode(pid);
        if inode != self.inode {
            self.joined_poll = poll;
            let is_own = inode == proc.own;
            self.start_ns = if is_own { 0 } else { procs::start_time_ns(pid).unwrap_or(0) };
        }
        (self.inode, self.lookup_poll) = (inode, poll);
    }
}

/// Reference values of a lookup.
struct Lookup {
    root: OwnedFd,
    /// Namespace of this process.
    own: u64,
    /// Inode of its `net/dev`.
    own_tables: u64,
}

impl Lookup {
    fn netns_inode(&self, pid: u32) -> u64 {
        let inode =
            |path: &str| statat(&self.root, format!("{pid}/{path}"), AtFlags::empty()).map(|s| s.st_ino);
        match inode("ns/net") {
            Ok(inode) => inode,
            // Of other users' processes only the tables are visible; these are files of the namespace.
            Err(Errno::ACCESS | Errno::PERM) => match inode("net/dev") {
                Ok(tables) if tables != self.own_tables => tables,
                Ok(_) => self.own,
                Err(_) => 0,
            },
            Err(_) => 0,
        }
    }
}

/// Namespaces of all processes, by pid.
#[derive(Debug, Default)]
pub(crate) struct Members(pub(super) FxHashMap<u32, Member>);

impl Members {
    pub(crate) fn get(&self, pid: u32) -> Option<&Member> {
        self.0.get(&pid)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.0.iter().map(|(pid, m)| (*pid, m))
    }

    /// Lists the processes and looks up those whose namespace is unknown or due. `own` is the namespace of this process.
    pub(crate) fn refresh(&mut self, own: u64, now: u64, poll: u64, faults: &mut Faults) {
        let root = openat(CWD, "/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = match root {
            Ok(root) => root,
            Err(e) => return faults.add(FaultKind::Namespace, FaultSubject::Namespaces, e.to_string()),
        };
        let own_tables = super::stat("/proc/thread-self/net/dev").map_or(0, |s| s.0);
        let proc = Lookup { root, own, own_tables };
        let mut entries = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut dir = RawDir::new(&proc.root, &mut entries);
        let mut older = Vec::new();
        while let Some(Ok(entry)) = dir.next() {
            let Some(pid) = entry.file_name().to_str().ok().and_then(|n| n.parse().ok()) else { continue };
            let since_ns = if poll == 1 { 0 } else { now };
            let m = self.0.entry(pid).or_insert(Member { since_ns, ..Member::default() });
            m.last_seen_poll = poll;
            if m.lookup_poll == 0 || m.is_young(now) {
                m.look_up(&proc, pid, poll);
            } else {
                older.push((m.lookup_poll, pid));
            }
        }
        self.0.retain(|_, m| m.last_seen_poll == poll);
        if older.len() > OLDER_PER_POLL {
            older.select_nth_unstable(OLDER_PER_POLL);
            older.truncate(OLDER_PER_POLL);
        }
        for (_, pid) in older {
            if let Some(m) = self.0.get_mut(&pid) {
                m.look_up(&proc, pid, poll);
            }
        }
    }
}
