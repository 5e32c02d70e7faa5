//! Membership: the network namespace each process is in.
//!
//! Looked up once per process, in every poll while the process is young (a container's first process changes namespaces
//! before it executes anything), and for older ones in turn.

use super::name;
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
    /// Of a thread in another namespace than its process: the process.
    pub(crate) thread_of: u32,
    /// `inode` is that of the namespace, not of its tables.
    pub(crate) readable: bool,
}

impl Member {
    /// Returns true if it may still change namespaces.
    pub(crate) const fn is_young(&self, now: u64) -> bool {
        now.saturating_sub(self.since_ns) < YOUNG_NS
    }

    /// Notes the namespace it is in now.
    fn set(&mut self, pid: u32, found: Found, own: u64, poll: u64) {
        let (inode, readable) = match found {
            Found::Netns(inode) => (inode, true),
            Found::Tables(inode) => (inode, false),
            Found::None => (0, false),
        };
        if inode != self.inode {
            self.joined_poll = poll;
            self.start_ns = if inode == own { 0 } else { procs::start_time_ns(pid).unwrap_or(0) };
        }
        (self.inode, self.readable, self.lookup_poll) = (inode, readable, poll);
    }
}

/// Visible identity of the namespace of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Inode of the namespace.
    Netns(u64),
    /// Inode of its `net/dev`: another user's process.
    Tables(u64),
    /// Nothing.
    None,
}

/// Directory of processes, and reference values of a lookup.
struct Lookup {
    root: OwnedFd,
    /// Namespace of this process.
    own: u64,
    /// Namespaces by the inode of their `net/dev`, as far as needed; that of this process first.
    by_tables: FxHashMap<u64, u64>,
}

impl Lookup {
    fn inode(&self, path: &str) -> Result<u64, Errno> {
        statat(&self.root, path, AtFlags::empty()).map(|s| s.st_ino)
    }

    fn netns(&self, task: &str) -> Found {
        match self.inode(&format!("{task}/ns/net")) {
            Ok(inode) => Found::Netns(inode),
            // Of other users' processes only the tables are visible; these are files of the namespace.
            Err(Errno::ACCESS | Errno::PERM) => match self.inode(&format!("{task}/net/dev")) {
                Ok(tables) => self.by_tables.get(&tables).map_or(Found::Tables(tables), |n| Found::Netns(*n)),
                Err(_) => Found::None,
            },
            Err(_) => Found::None,
        }
    }

    /// Finds out of which namespace with a name the tables of these processes are: of that in which `ip netns exec` started them. Not
    /// if two have a claim to the same, or one has claims to two: a process may have gone to another namespace since.
    fn add_named(&mut self, pids: &[u32]) {
        let mut claims: Vec<(u64, u64)> = Vec::new();
        for pid in pids {
            let Ok(tables) = self.inode(&format!("{pid}/net/dev")) else { continue };
            if self.by_tables.contains_key(&tables) {
                continue;
            }
            let mounts = std::fs::read(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            let named = name::exec_name(&mounts).and_then(|n| name::inode_of(&n));
            claims.extend(named.map(|netns| (tables, netns)));
        }
        claims.sort_unstable();
        claims.dedup();
        let is_single = |(tables, netns): &(u64, u64)| {
            claims.iter().filter(|(t, n)| t == tables || n == netns).count() == 1
                && !self.by_tables.values().any(|n| n == netns)
        };
        let single: Vec<(u64, u64)> = claims.iter().copied().filter(is_single).collect();
        self.by_tables.extend(single);
    }

    /// Threads of a process that are in another namespace than its main thread.
    fn threads_elsewhere(&self, pid: u32, main: Found) -> Vec<(u32, Found)> {
        let path = format!("{pid}/task");
        let single = statat(&self.root, &path, AtFlags::empty()).map_or(true, |s| s.st_nlink == 3);
        let Found::Netns(_) = main else { return Vec::new() };
        if single {
            return Vec::new();
        }
        let process = openat(&self.root, pid.to_string(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let tids = process.map_or_else(|_| Vec::new(), procs::tids);
        let found = |tid: u32| (tid, self.netns(&format!("{path}/{tid}")));
        tids.into_iter()
            .filter(|tid| *tid != pid)
            .map(found)
            .filter(|(_, f)| is_elsewhere(*f, main))
            .collect()
    }
}

/// Returns true if a thread is known to be in another namespace than its main thread.
fn is_elsewhere(thread: Found, main: Found) -> bool {
    matches!(thread, Found::Netns(_)) && thread != main
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
        let own_tables = super::stat::stat("/proc/thread-self/net/dev").map_or(0, |s| s.0);
        let mut proc = Lookup { root, own, by_tables: [(own_tables, own)].into_iter().collect() };
        let mut entries = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut due = Vec::new();
        let mut older = Vec::new();
        let mut dir = RawDir::new(&proc.root, &mut entries);
        while let Some(Ok(entry)) = dir.next() {
            let Some(pid) = entry.file_name().to_str().ok().and_then(|n| n.parse().ok()) else { continue };
            let since_ns = if poll == 1 { 0 } else { now };
            let m = self.0.entry(pid).or_insert(Member { since_ns, ..Member::default() });
            m.last_seen_poll = poll;
            if m.lookup_poll == 0 || m.is_young(now) {
                due.push(pid);
            } else {
                older.push((m.lookup_poll, pid));
            }
        }
        if older.len() > OLDER_PER_POLL {
            older.select_nth_unstable(OLDER_PER_POLL);
            older.truncate(OLDER_PER_POLL);
        }
        due.extend(older.into_iter().map(|(_, pid)| pid));
        self.look_up(&mut proc, &due, now, poll);
        self.look_up_threads(&proc, poll);
        self.0.retain(|_, m| m.last_seen_poll == poll);
    }

    /// Looks up these processes and their threads. Those of which only the tables are visible come last: the others show of which
    /// namespace the tables are.
    fn look_up(&mut self, proc: &mut Lookup, pids: &[u32], now: u64, poll: u64) {
        let mut by_tables = Vec::new();
        for pid in pids {
            let found = proc.netns(&pid.to_string());
            match found {
                Found::Tables(_) => by_tables.push(*pid),
                _ => self.set(*pid, found, proc.own, poll),
            }
            for (tid, found) in proc.threads_elsewhere(*pid, found) {
                let since_ns = if poll == 1 { 0 } else { now };
                let new = Member { since_ns, thread_of: *pid, ..Member::default() };
                self.0.entry(tid).or_insert(new).last_seen_poll = poll;
                self.set(tid, found, proc.own, poll);
            }
        }
        if by_tables.is_empty() {
            return;
        }
        let mut readable: FxHashMap<u64, u32> = FxHashMap::default();
        for (pid, m) in self.0.iter().filter(|(_, m)| m.readable && m.thread_of == 0) {
            readable.entry(m.inode).or_insert(*pid);
        }
        for (netns, pid) in readable {
            if let Ok(tables) = proc.inode(&format!("{pid}/net/dev")) {
                proc.by_tables.entry(tables).or_insert(netns);
            }
        }
        proc.add_named(&by_tables);
        for pid in by_tables {
            self.set(pid, proc.netns(&pid.to_string()), proc.own, poll);
        }
    }

    /// Looks up again the threads known to be elsewhere.
    fn look_up_threads(&mut self, proc: &Lookup, poll: u64) {
        let is_due = |m: &Member| m.thread_of != 0 && m.last_seen_poll != poll;
        let due: Vec<(u32, u32)> =
            self.0.iter().filter(|(_, m)| is_due(m)).map(|(tid, m)| (*tid, m.thread_of)).collect();
        for (tid, pid) in due {
            let main = self.0.get(&pid).map_or(0, |m| m.inode);
            let found = proc.netns(&format!("{pid}/task/{tid}"));
            if is_elsewhere(found, Found::Netns(main)) {
                self.set(tid, found, proc.own, poll);
                self.0.entry(tid).and_modify(|m| m.last_seen_poll = poll);
            }
        }
    }

    fn set(&mut self, pid: u32, found: Found, own: u64, poll: u64) {
        if let Some(m) = self.0.get_mut(&pid) {
            m.set(pid, found, own, poll);
        }
    }
}
