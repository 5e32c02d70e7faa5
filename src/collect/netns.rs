//! Network namespaces of this machine: found, numbered, named and entered.
//!
//! A namespace is identified by the inode of its `ns/net` file (namespaces(7)). It is found by the processes and threads in it
//! ([`members`]), by its mounts ([`name`]), and by descriptors that refer to it or to a socket in it.
//!
//! `host` is the initial network namespace only ([`initial_netns`]).
//!
//! The number of a namespace in a sample stays the same while it is remembered, and is not reused until minutes after the
//! namespace is gone.

pub(crate) mod enter;
mod members;
mod name;
pub(crate) mod owner;
mod stat;
#[cfg(test)]
mod tests;

use stat::stat;

use super::containers::EngineQueries;
use super::procs::{self, Keeper};
use super::source::CollectError;
use crate::model::{Container, FaultKind, FaultSubject, Faults, Namespace, Netns, ProcInfo, Sample};
use crate::privilege::{PROCESSES, raise};
use members::{Member, Members};
use name::NetnsMount;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{AtFlags, CWD, statat};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `/proc` as the calling thread sees it, whatever namespace the rest of this program is in.
pub(crate) const THREAD_SELF: &str = "/proc/thread-self";

/// Time a namespace keeps its name while the same processes are in it, nanoseconds: the oldest may execute another program.
const NAME_NS: u64 = 10_000_000_000;
/// Time the number of a namespace that is gone is not reused, nanoseconds.
const NUMBER_REUSE_NS: u64 = 300_000_000_000;
/// Processes remembered per namespace, to enter it through and to name it by.
const PIDS_MAX: usize = 8;

/// One namespace.
#[derive(Debug)]
pub(crate) struct NetnsEntry {
    /// As published in samples.
    pub(crate) namespace: Namespace,
    /// Time its interfaces were read, nanoseconds after boot; 0: never.
    pub(crate) interfaces_ns: u64,
    /// Mount by `ip netns` or a container engine.
    mount: Option<NetnsMount>,
    /// Descriptor that keeps it, if it has neither a process nor a mount.
    held: Option<Keeper>,
    /// Its oldest processes, oldest first.
    pids: Vec<u32>,
    /// The processes it is named by, and the time of that.
    named_by: Vec<u32>,
    named_ns: u64,
    /// Time it was found gone; 0: it exists.
    gone_ns: u64,
}

/// Finds the requested namespaces; an error if there is none of that name.
pub(crate) fn open(which: Netns, engines: EngineQueries) -> Result<NetnsTable, CollectError> {
    let mut table = NetnsTable::new(which);
    table.engines = engines;
    let refresh =
        |table: &mut NetnsTable| table.refresh(super::source::stamp().boot_ns, &mut Faults::default());
    refresh(&mut table);
    if matches!(table.which, Netns::Named(_)) && table.wanted().is_empty() {
        // The name may be that of a container.
        table.engines.wait_for_first();
        refresh(&mut table);
    }
    match &table.which {
        Netns::Named(name) if table.wanted().is_empty() => {
            Err(CollectError::NoNamespace { name: name.to_string(), known: table.names().join(", ") })
        }
        _ => Ok(table),
    }
}

/// Namespaces and their numbers, which are indices in `entries`.
#[derive(Debug)]
pub(crate) struct NetnsTable {
    which: Netns,
    members: Members,
    entries: Vec<NetnsEntry>,
    /// Numbers by inode.
    numbers: FxHashMap<u64, u16>,
    /// Namespaces kept by descriptors, by inode, as of the last sample that had them.
    held: BTreeMap<u64, Keeper>,
    poll: u64,
    published: Arc<[Namespace]>,
    engines: EngineQueries,
    /// Containers as of the last naming.
    containers: Arc<[Container]>,
}

impl NetnsTable {
    /// A table of these namespaces.
    pub(crate) fn new(which: Netns) -> Self {
        Self {
            which,
            members: Members::default(),
            entries: Vec::new(),
            numbers: FxHashMap::default(),
            held: BTreeMap::new(),
            poll: 0,
            published: Arc::from([]),
            engines: EngineQueries::disabled(),
            containers: Arc::from([]),
        }
    }

    /// Updates the table; number 0 is always that of the calling thread.
    pub(crate) fn refresh(&mut self, now: u64, faults: &mut Faults) {
        self.poll += 1;
        let (own, dev) = stat("/proc/thread-self/ns/net").unwrap_or((0, 0));
        if self.entries.is_empty() {
            self.entries.push(NetnsEntry::new(
                own,
                if initial_netns(own, || None) == Some(own) { "host" } else { "here" },
            ));
            self.numbers.insert(own, 0);
        }
        if self.which == Netns::Here {
            return;
        }
        let raised = raise(PROCESSES);
        self.members.refresh(own, now, self.poll, faults);
        drop(raised);
        self.assign_numbers(name::mounts(dev), now, faults);
        let init = || self.members.get(1).map(|m| m.inode).filter(|inode| *inode != 0);
        let host = initial_netns(own, init).unwrap_or(0);
        self.update_names(host, now);
    }

    /// Names the namespaces by their processes and containers, except those with a name given by `ip netns`.
    fn update_names(&mut self, host: u64, now: u64) {
        let containers = self.engines.containers();
        let new_containers = !Arc::ptr_eq(&containers, &self.containers);
        self.containers = containers;
        // Many processes share their ancestors.
        let cache: RefCell<FxHashMap<u32, Option<ProcInfo>>> = RefCell::default();
        let proc_info = |pid| cache.borrow_mut().entry(pid).or_insert_with(|| procs::proc_info(pid)).clone();
        for (i, e) in self.entries.iter_mut().enumerate() {
            let has_own_name = e.mount.as_ref().is_some_and(|m| m.has_given_name);
            if e.namespace.inode == host && host != 0 {
                "host".clone_into(&mut e.namespace.name);
            } else if let (true, false, Some(oldest)) = (i > 0, has_own_name, e.pids.first()) {
                let member = |pid: &u32| self.members.get(*pid);
                let due = new_containers
                    || e.named_by != e.pids
                    || now.saturating_sub(e.named_ns) > NAME_NS
                        && member(oldest).is_some_and(|m| m.lookup_poll == self.poll)
                    || e.pids.iter().filter_map(member).any(|m| m.since_ns != 0 && m.is_young(now));
                if due && let Some(name) = name::by_processes(&e.pids, &self.containers, proc_info) {
                    e.namespace.name = name;
                    e.named_by.clone_from(&e.pids);
                    e.named_ns = now;
                }
            }
        }
    }

    /// Assigns a number to each namespace that has a process or a mount, and notes which are gone.
    ///
    /// The kernel reuses the inode of a namespace at once. It is the same namespace only if a process was in it before, or
    /// the same mount holds it; otherwise it gets another number, so that rows of the old one keep its name.
    fn assign_numbers(&mut self, mut mounts: BTreeMap<u64, NetnsMount>, now: u64, faults: &mut Faults) {
        let mut members: Vec<(u64, u64, u32, bool)> = self
            .members
            .iter()
            .filter(|(_, m)| m.inode != 0)
            .map(|(pid, m)| (m.inode, m.start_ns, pid, m.joined_poll < self.poll))
            .collect();
        members.sort_unstable();
        let mut found: BTreeMap<u64, Vec<u32>> = mounts.keys().map(|inode| (*inode, Vec::new())).collect();
        let mut continued: FxHashSet<u64> = self.held.keys().copied().collect();
        for inode in self.held.keys() {
            found.entry(*inode).or_default();
        }
        for of_one in members.chunk_by(|a, b| a.0 == b.0) {
            let inode = of_one[0].0;
            found.insert(inode, of_one.iter().take(PIDS_MAX).map(|m| m.2).collect());
            continued.extend(of_one.iter().any(|m| m.3).then_some(inode));
        }
        let mut present = vec![0];
        for (inode, pids) in found {
            let mount = mounts.remove(&inode);
            let created = |m: &Option<NetnsMount>| m.as_ref().map(|m| m.created);
            let same_mount =
                |e: &NetnsEntry| created(&mount).is_some() && created(&e.mount) == created(&mount);
            let known = self.numbers.get(&inode).copied().filter(|i| {
                let is_same =
                    |e: &NetnsEntry| e.gone_ns == 0 && (continued.contains(&inode) || same_mount(e));
                *i == 0 || self.entries.get(usize::from(*i)).is_some_and(is_same)
            });
            let Some(number) = known.or_else(|| self.new_number(inode, now, faults)) else { continue };
            present.push(number);
            let Some(e) = self.entries.get_mut(usize::from(number)) else { continue };
            if let Some(m) = mount.as_ref().filter(|m| m.has_given_name || e.namespace.name.is_empty()) {
                e.namespace.name = name::file_name(&m.path);
            }
            (e.mount, e.pids) = (mount, pids);
            e.held = self.held.get(&inode).cloned();
        }
        for (i, e) in (0u16..).zip(&mut self.entries) {
            if present.contains(&i) {
                e.gone_ns = 0;
            } else if e.gone_ns == 0 {
                e.gone_ns = now;
                (e.mount, e.held, e.pids) = (None, None, Vec::new());
            }
        }
    }

    /// Returns true if more than the namespace of this process is read.
    pub(crate) fn reads_others(&self) -> bool {
        self.which != Netns::Here
    }

    /// Replaces the namespaces kept by descriptors; returns the numbers of those that are new and to be read.
    pub(crate) fn add_held(&mut self, held: Vec<(u64, Keeper)>, now: u64, faults: &mut Faults) -> Vec<u16> {
        self.held.clear();
        for (inode, keeper) in held {
            // The same one in every poll, and a descriptor of the namespace before one of a socket.
            let rank = |k: &Keeper| (matches!(k, Keeper::Socket(..)), k.pid());
            match self.held.get(&inode) {
                Some(known) if rank(known) <= rank(&keeper) => {}
                _ => _ = self.held.insert(inode, keeper),
            }
        }
        let is_known =
            |inode: &u64| self.numbers.get(inode).and_then(|i| self.get(*i)).is_some_and(|e| e.gone_ns == 0);
        let new: Vec<(u64, Keeper)> =
            self.held.iter().filter(|(i, _)| !is_known(i)).map(|(i, k)| (*i, k.clone())).collect();
        let mut numbers = Vec::new();
        for (inode, keeper) in new {
            let Some(number) = self.new_number(inode, now, faults) else { continue };
            if let Some(e) = self.get_mut(number) {
                let comm = procs::proc_info(keeper.pid()).map_or_else(|| "pid".into(), |p| p.comm);
                e.namespace.name = match keeper.fd() {
                    "" => format!("{comm} {} socket", keeper.pid()),
                    fd => format!("{comm} {} fd {fd}", keeper.pid()),
                };
                e.held = Some(keeper);
            }
            numbers.push(number);
        }
        let wanted = self.wanted();
        numbers.retain(|n| wanted.contains(n));
        numbers
    }

    /// A number for a new namespace with this inode; `None` if none is left.
    fn new_number(&mut self, inode: u64, now: u64, faults: &mut Faults) -> Option<u16> {
        let is_reusable = |e: &NetnsEntry| e.gone_ns != 0 && now.saturating_sub(e.gone_ns) > NUMBER_REUSE_NS;
        let i = self.entries.iter().position(is_reusable).unwrap_or(self.entries.len());
        let Ok(number) = u16::try_from(i) else {
            faults.add(FaultKind::Namespace, FaultSubject::Namespaces, "more than 65,536 in a few minutes");
            return None;
        };
        let new = NetnsEntry::new(inode, "");
        if i == self.entries.len() {
            self.entries.push(new);
        } else {
            let previous = self.entries[i].namespace.inode;
            if self.numbers.get(&previous) == Some(&number) {
                self.numbers.remove(&previous);
            }
            self.entries[i] = new;
        }
        self.numbers.insert(inode, number);
        Some(number)
    }

    /// Numbers of the namespaces to be read, that of this process first.
    pub(crate) fn wanted(&self) -> Vec<u16> {
        // A namespace that is mounted twice is published under one of the names, and selected by either.
        let by_mount = match &self.which {
            Netns::Named(name) => name::inode_of(name),
            _ => None,
        };
        let is_wanted = |(i, e): &(u16, &NetnsEntry)| {
            let selected = self.which.includes(&e.namespace, *i == 0) || by_mount == Some(e.namespace.inode);
            e.gone_ns == 0 && selected
        };
        (0u16..).zip(&self.entries).filter(is_wanted).map(|(i, _)| i).collect()
    }

    /// The namespace with this number.
    pub(crate) fn get(&self, number: u16) -> Option<&NetnsEntry> {
        self.entries.get(usize::from(number))
    }

    /// The namespace with this number.
    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut NetnsEntry> {
        self.entries.get_mut(usize::from(number))
    }

    /// The namespace with this inode.
    pub(crate) fn by_inode(&self, inode: u64) -> Option<&NetnsEntry> {
        self.get(*self.numbers.get(&inode)?)
    }

    /// Names of the existing namespaces.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.entries.iter().filter(|e| e.gone_ns == 0).map(|e| e.namespace.name.as_str()).collect()
    }

    /// Processes in other namespaces than number 0, sorted by pid, with the number of theirs.
    pub(crate) fn netns_by_pid(&mut self, now: u64, faults: &mut Faults) -> Arc<[(u32, u16)]> {
        if self.which == Netns::Here {
            let own = self.entries.first().map_or(0, |e| e.namespace.inode);
            let _raised = raise(PROCESSES);
            self.members.refresh(own, now, self.poll, faults);
        }
        let number = |(pid, m): (u32, &Member)| {
            let number = self.numbers.get(&m.inode).copied().unwrap_or(Sample::UNREAD_NETNS);
            (pid, if m.inode == 0 { 0 } else { number })
        };
        let mut out: Vec<(u32, u16)> = self.members.iter().map(number).filter(|p| p.1 != 0).collect();
        out.sort_unstable();
        out.into()
    }

    /// The namespaces by number, for a sample.
    pub(crate) fn publish(&mut self) -> Arc<[Namespace]> {
        let same = self.published.len() == self.entries.len()
            && self.published.iter().zip(&self.entries).all(|(a, b)| *a == b.namespace);
        if !same {
            self.published = self.entries.iter().map(|e| e.namespace.clone()).collect();
        }
        Arc::clone(&self.published)
    }
}

impl NetnsEntry {
    fn new(inode: u64, name: &str) -> Self {
        Self {
            namespace: Namespace { inode, name: name.into(), interfaces: BTreeMap::new() },
            interfaces_ns: 0,
            mount: None,
            held: None,
            pids: Vec::new(),
            named_by: Vec::new(),
            named_ns: 0,
            gone_ns: 0,
        }
    }

    /// A process in the namespace.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pids.first().copied()
    }
}

/// Inode of the initial network namespace, if it can be found out; `own` is that of this thread, `init` that of pid 1.
///
/// Settings that are not per namespace are in `/proc/sys/net` of the initial one only. It is also that of pid 1, unless `/proc`
/// has the processes of a container.
fn initial_netns(own: u64, init: impl FnOnce() -> Option<u64>) -> Option<u64> {
    let exists = |path: &str| statat(CWD, path, AtFlags::empty()).is_ok();
    if exists("/proc/sys/net/core/dev_weight") {
        return Some(own);
    }
    let own_is_another = exists("/proc/sys/net/core/somaxconn");
    let found = if procs::is_pid_ns_nested() { None } else { init() };
    found.filter(|inode| *inode != own || !own_is_another)
}
