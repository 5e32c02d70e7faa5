//! The network namespaces of this machine: found, named, and entered.
//!
//! A namespace is known by the inode of its `ns/net` file (namespaces(7)). It is found through the processes in it and
//! through the names that `ip netns` gives. Which namespace a process is in is asked once for each process, again while
//! it is young (a container's first process moves before it runs anything), and of the others in turn.
//!
//! The number of a namespace in a sample stays the same for as long as this program remembers it, and is not given
//! to another one for minutes after it went.

mod name;
#[cfg(test)]
mod tests;

use name::Mounted;

use super::CollectError;
use super::containers::Asked;
use crate::model::{Container, FaultKind, Faults, Namespace, Netns, ProcInfo};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, fstat, openat, statat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::Arc;

/// How long a process is asked at every poll which namespace it is in, nanoseconds.
const YOUNG_NS: u64 = 5_000_000_000;
/// How long a namespace keeps its name while the same processes are in it, of which the oldest may run another program.
const NAMED_NS: u64 = 10_000_000_000;
/// How many of the older ones are asked in one poll.
const IN_TURN: usize = 64;
/// How long the number of a namespace that went is not given to another, nanoseconds.
const KEPT_NS: u64 = 300_000_000_000;
/// Processes that are tried as a way into a namespace, and looked at for its name.
const DOORS: usize = 8;
/// Names that are said of namespaces that could not be entered.
const SAID: usize = 5;

/// One process, as far as its namespace goes.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// Its namespace; 0: none, or none to be seen.
    inode: u64,
    /// When it started; 0 for those in our own namespace.
    start_ns: u64,
    /// When this program first saw it.
    since_ns: u64,
    /// The poll it was last there, the one it was last asked in, and the one it was first found in this namespace in.
    seen: u64,
    asked: u64,
    joined: u64,
}

/// One namespace.
#[derive(Debug)]
pub(crate) struct Space {
    /// What the samples say of it.
    pub(crate) namespace: Namespace,
    /// When its interfaces were read, nanoseconds after boot; 0: never.
    pub(crate) interfaces_ns: u64,
    /// Where `ip netns` or an engine mounted it.
    file: Option<Mounted>,
    /// Its oldest processes, oldest first.
    pids: Vec<u32>,
    /// The processes it is called after, and when that was looked at.
    called_after: Vec<u32>,
    named_ns: u64,
    /// When it was found to be gone; 0: it is there.
    gone_ns: u64,
}

/// Looks for the namespaces that are asked for; an error where there is none of that name.
pub(crate) fn open(which: Netns, asked: Asked) -> Result<Spaces, CollectError> {
    let mut out = Spaces::new(which);
    out.asked = asked;
    let look = |out: &mut Spaces| out.refresh(super::stamp().boot_ns, &mut Faults::default());
    look(&mut out);
    if matches!(out.which, Netns::Named(_)) && out.wanted().is_empty() {
        // It may be a container's name.
        out.asked.wait();
        look(&mut out);
    }
    match &out.which {
        Netns::Named(name) if out.wanted().is_empty() => {
            Err(CollectError::NoNamespace { name: name.to_string(), known: out.names().join(", ") })
        }
        _ => Ok(out),
    }
}

/// Does something in the network namespace of this inode: a thread enters it, and ends with it.
pub(crate) fn inside<T: Send>(inode: u64, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let mut spaces = Spaces::new(Netns::All);
    spaces.refresh(super::stamp().boot_ns, &mut Faults::default());
    let space = spaces.at.get(&inode).and_then(|i| spaces.known.get(usize::from(*i)));
    let space = space.ok_or(io::ErrorKind::NotFound)?;
    std::thread::scope(|scope| {
        let work = || match space.enter() {
            Ok(()) => f(),
            Err(Refusal::Gone) => Err(io::ErrorKind::NotFound.into()),
            Err(Refusal::Refused(e)) => Err(e.into()),
        };
        let thread = std::thread::Builder::new().name("namespace".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Why a namespace was not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It went since it was found.
    Gone,
    /// The system refused.
    Refused(Errno),
}

/// Finds the namespaces and keeps their numbers.
#[derive(Debug)]
pub(crate) struct Spaces {
    which: Netns,
    members: FxHashMap<u32, Member>,
    known: Vec<Space>,
    at: FxHashMap<u64, u16>,
    poll: u64,
    told: Arc<[Namespace]>,
    /// The engines, and what they said of the containers when the namespaces were last named.
    asked: Asked,
    containers: Arc<[Container]>,
}

impl Spaces {
    /// Of which namespaces are asked for.
    pub(crate) fn new(which: Netns) -> Self {
        Self {
            which,
            members: FxHashMap::default(),
            known: Vec::new(),
            at: FxHashMap::default(),
            poll: 0,
            told: Arc::from([]),
            asked: Asked::nobody(),
            containers: Arc::from([]),
        }
    }

    /// Brings the list up to date; number 0 is always that of the calling thread.
    pub(crate) fn refresh(&mut self, now: u64, faults: &mut Faults) {
        self.poll += 1;
        let (own, dev) = stat("/proc/thread-self/ns/net").unwrap_or((0, 0));
        // Not told apart where the first process cannot be looked at: then ours is taken for the machine's.
        let first = stat("/proc/1/ns/net").map_or(own, |s| s.0);
        if self.known.is_empty() {
            self.known.push(Space::new(own, if own == first { "host" } else { "here" }));
            self.at.insert(own, 0);
        }
        if self.which == Netns::Here {
            return;
        }
        self.look_around(own, now, faults);
        self.settle(name::named(dev), now, faults);
        let containers = self.asked.told();
        let renamed = !Arc::ptr_eq(&containers, &self.containers);
        self.containers = containers;
        // Those above are the same for many.
        let seen: RefCell<FxHashMap<u32, Option<ProcInfo>>> = RefCell::default();
        let who = |pid| seen.borrow_mut().entry(pid).or_insert_with(|| super::procs::proc_info(pid)).clone();
        for (i, s) in self.known.iter_mut().enumerate() {
            let by_hand = s.file.as_ref().is_some_and(|f| f.by_hand);
            if s.namespace.inode == first {
                "host".clone_into(&mut s.namespace.name);
            } else if let (true, false, Some(oldest)) = (i > 0, by_hand, s.pids.first()) {
                let member = |pid: &u32| self.members.get(pid);
                let young = |m: &Member| m.since_ns != 0 && now.saturating_sub(m.since_ns) < YOUNG_NS;
                let again = renamed
                    || s.called_after != s.pids
                    || now.saturating_sub(s.named_ns) > NAMED_NS
                        && member(oldest).is_some_and(|m| m.asked == self.poll)
                    || s.pids.iter().filter_map(member).any(young);
                if again && let Some(name) = name::of_processes(&s.pids, &self.containers, who) {
                    s.namespace.name = name;
                    s.called_after.clone_from(&s.pids);
                    s.named_ns = now;
                }
            }
        }
    }

    /// Gives each namespace that a process is in, or that is mounted, its number, and notes what is gone.
    ///
    /// The kernel gives the inode of a namespace that went to the next one at once. It is the same only where a process
    /// was in it before already, or where the same mount holds it; else it has another number, so that what is still shown
    /// of the old one keeps its name.
    fn settle(&mut self, mut named: BTreeMap<u64, Mounted>, now: u64, faults: &mut Faults) {
        let mut all: Vec<(u64, u64, u32, bool)> = self
            .members
            .iter()
            .filter(|(_, m)| m.inode != 0)
            .map(|(p, m)| (m.inode, m.start_ns, *p, m.joined < self.poll))
            .collect();
        all.sort_unstable();
        let mut found: BTreeMap<u64, Vec<u32>> = named.keys().map(|inode| (*inode, Vec::new())).collect();
        let mut stayed: FxHashSet<u64> = FxHashSet::default();
        for of in all.chunk_by(|a, b| a.0 == b.0) {
            found.insert(of[0].0, of.iter().take(DOORS).map(|p| p.2).collect());
            stayed.extend(of.iter().any(|p| p.3).then_some(of[0].0));
        }
        let mut there = vec![0];
        for (inode, pids) in found {
            let file = named.remove(&inode);
            let made = |f: &Option<Mounted>| f.as_ref().map(|f| f.made);
            let held = |s: &Space| made(&file).is_some() && made(&s.file) == made(&file);
            let known = self.at.get(&inode).copied().filter(|i| {
                let same = |s: &Space| s.gone_ns == 0 && (stayed.contains(&inode) || held(s));
                *i == 0 || self.known.get(usize::from(*i)).is_some_and(same)
            });
            let Some(number) = known.or_else(|| self.number(inode, now, faults)) else { continue };
            there.push(number);
            let Some(s) = self.known.get_mut(usize::from(number)) else { continue };
            if let Some(f) = file.as_ref().filter(|f| f.by_hand || s.namespace.name.is_empty()) {
                s.namespace.name = name::of_file(&f.path);
            }
            (s.file, s.pids) = (file, pids);
        }
        for (i, s) in (0u16..).zip(&mut self.known) {
            if there.contains(&i) {
                s.gone_ns = 0;
            } else if s.gone_ns == 0 {
                s.gone_ns = now;
                (s.file, s.pids) = (None, Vec::new());
            }
        }
    }

    /// Asks the processes of which it is not known which namespace they are in.
    fn look_around(&mut self, own: u64, now: u64, faults: &mut Faults) {
        let root = openat(CWD, "/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = match root {
            Ok(root) => root,
            Err(e) => return faults.add(FaultKind::Namespace, "network namespaces", e.to_string()),
        };
        // Of other users' processes only the tables can be looked at; they are files of their namespace.
        let tables = stat("/proc/thread-self/net/dev").map_or(0, |s| s.0);
        let place = |pid: u32| match statat(&root, format!("{pid}/ns/net"), AtFlags::empty()) {
            Ok(s) => s.st_ino,
            Err(Errno::ACCESS | Errno::PERM) => {
                match statat(&root, format!("{pid}/net/dev"), AtFlags::empty()) {
                    Ok(s) if s.st_ino != tables => s.st_ino,
                    Ok(_) => own,
                    Err(_) => 0,
                }
            }
            Err(_) => 0,
        };
        let ask = |m: &mut Member, pid: u32, poll: u64| {
            let inode = place(pid);
            if inode != m.inode {
                m.joined = poll;
                m.start_ns = if inode == own { 0 } else { super::procs::start_time_ns(pid).unwrap_or(0) };
            }
            (m.inode, m.asked) = (inode, poll);
        };
        let mut entries = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut dir = RawDir::new(&root, &mut entries);
        let mut older = Vec::new();
        let first = self.poll == 1;
        while let Some(Ok(entry)) = dir.next() {
            let Some(pid) = entry.file_name().to_str().ok().and_then(|n| n.parse().ok()) else { continue };
            let since_ns = if first { 0 } else { now };
            let m = self.members.entry(pid).or_insert(Member {
                inode: 0,
                start_ns: 0,
                since_ns,
                seen: 0,
                asked: 0,
                joined: 0,
            });
            m.seen = self.poll;
            if m.asked == 0 || now.saturating_sub(m.since_ns) < YOUNG_NS {
                ask(m, pid, self.poll);
            } else {
                older.push((m.asked, pid));
            }
        }
        let poll = self.poll;
        self.members.retain(|_, m| m.seen == poll);
        if older.len() > IN_TURN {
            older.select_nth_unstable(IN_TURN);
            older.truncate(IN_TURN);
        }
        for (_, pid) in older {
            if let Some(m) = self.members.get_mut(&pid) {
                ask(m, pid, poll);
            }
        }
    }

    /// A number for a new namespace of this inode; `None` where there are no numbers left.
    fn number(&mut self, inode: u64, now: u64, faults: &mut Faults) -> Option<u16> {
        let old = |s: &Space| s.gone_ns != 0 && now.saturating_sub(s.gone_ns) > KEPT_NS;
        let i = self.known.iter().position(old).unwrap_or(self.known.len());
        let Ok(number) = u16::try_from(i) else {
            faults.add(FaultKind::Namespace, "network namespaces", "too many came and went");
            return None;
        };
        let fresh = Space::new(inode, "");
        if i == self.known.len() {
            self.known.push(fresh);
        } else {
            let before = self.known[i].namespace.inode;
            if self.at.get(&before) == Some(&number) {
                self.at.remove(&before);
            }
            self.known[i] = fresh;
        }
        self.at.insert(inode, number);
        Some(number)
    }

    /// The numbers of those to be read, the own one first.
    pub(crate) fn wanted(&self) -> Vec<u16> {
        let there = |s: &Space| s.gone_ns == 0;
        // One that is mounted twice is called by one of its names; it is meant by either.
        let file = match &self.which {
            Netns::Named(name) => name::inode_of(name),
            _ => None,
        };
        let named = |s: &Space| file == Some(s.namespace.inode);
        let wanted = |(i, s): &(u16, &Space)| there(s) && (self.which.has(&s.namespace, *i == 0) || named(s));
        (0u16..).zip(&self.known).filter(wanted).map(|(i, _)| i).collect()
    }

    /// One of them.
    pub(crate) fn get(&self, number: u16) -> Option<&Space> {
        self.known.get(usize::from(number))
    }

    /// One of them.
    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut Space> {
        self.known.get_mut(usize::from(number))
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.known.iter().filter(|s| s.gone_ns == 0).map(|s| s.namespace.name.as_str()).collect()
    }

    /// The processes that are in another than number 0, sorted by pid, with the number.
    pub(crate) fn elsewhere(&self) -> Arc<[(u32, u16)]> {
        let number = |(pid, m): (&u32, &Member)| Some((*pid, *self.at.get(&m.inode)?));
        let mut out: Vec<(u32, u16)> = self.members.iter().filter_map(number).filter(|p| p.1 != 0).collect();
        out.sort_unstable();
        out.into()
    }

    /// What a sample says of them.
    pub(crate) fn tell(&mut self) -> Arc<[Namespace]> {
        let same = self.told.len() == self.known.len()
            && self.told.iter().zip(&self.known).all(|(a, b)| *a == b.namespace);
        if !same {
            self.told = self.known.iter().map(|s| s.namespace.clone()).collect();
        }
        Arc::clone(&self.told)
    }
}

impl Space {
    fn new(inode: u64, name: &str) -> Self {
        Self {
            namespace: Namespace { inode, name: name.into(), interfaces: BTreeMap::new() },
            interfaces_ns: 0,
            file: None,
            pids: Vec::new(),
            called_after: Vec::new(),
            named_ns: 0,
            gone_ns: 0,
        }
    }

    /// A process in it.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pids.first().copied()
    }

    /// Moves the calling thread into it, for as long as the thread lives. A process on the way may have gone elsewhere,
    /// so what was opened is compared with what was found.
    pub(crate) fn enter(&self) -> Result<(), Refusal> {
        let paths = self.pids.iter().map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
        let mut why = Refusal::Gone;
        for path in self.file.iter().map(|f| f.path.clone()).chain(paths) {
            match openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
                Ok(fd) if fstat(&fd).is_ok_and(|s| s.st_ino == self.namespace.inode) => {
                    return enter(&fd).map_err(Refusal::Refused);
                }
                Ok(_) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(e) => why = Refusal::Refused(e),
            }
        }
        Err(why)
    }
}

fn enter(fd: &OwnedFd) -> Result<(), Errno> {
    move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::Network))
}

/// Counts the namespaces that were not entered: those that went, and those that are closed to us, by name.
pub(crate) fn report(refused: &[(String, Refusal)], faults: &mut Faults) {
    let gone = refused.iter().filter(|(_, r)| *r == Refusal::Gone);
    faults.add_many(FaultKind::Vanished, "network namespaces", "", gone.count() as u32);
    let names: Vec<(&str, Errno)> = refused
        .iter()
        .filter_map(|(n, r)| if let Refusal::Refused(e) = r { Some((n.as_str(), *e)) } else { None })
        .collect();
    let Some((_, why)) = names.first() else { return };
    let why = match *why {
        Errno::PERM | Errno::ACCESS => "not permitted, it needs CAP_SYS_ADMIN".to_owned(),
        e => e.to_string(),
    };
    let mut said: Vec<&str> = names.iter().take(SAID).map(|(n, _)| *n).collect();
    let more = format!("{} more", names.len() - said.len());
    if names.len() > SAID {
        said.push(&more);
    }
    let detail = format!("{}: {why}", said.join(", "));
    faults.add_many(FaultKind::Namespace, "network namespaces", detail, names.len() as u32);
}

fn stat(path: &str) -> Option<(u64, u64)> {
    statat(CWD, path, AtFlags::empty()).ok().map(|s| (s.st_ino, s.st_dev))
}
