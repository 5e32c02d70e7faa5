//! Processes, their descriptor counts and limits, and the owners of sockets.
//!
//! A socket's owners are the descriptors that refer to its inode, and only `/proc/PID/fd` (or a bpf iterator over the same
//! tables) lists them. Reading all of it costs more than everything else in a poll, so it is incremental. Each part owns
//! its state:
//!
//! - `ProcessTable`: processes, with names, limits, descriptor count and the descriptors last read. Its index
//!   `SocketRefCounts` counts the known descriptors per socket inode.
//! - `FdScanner`: reads descriptors from `/proc/PID/fd`, and keeps the budgets.
//! - `BpfOwners`: reads the descriptors of all processes in one pass of a bpf iterator.
//!
//! # Finding owners
//!
//! A process is in one of these states:
//!
//! | state | meaning |
//! |---|---|
//! | new | never scanned (`scanned_ns == 0`) |
//! | current | its descriptor count is that of the last scan |
//! | changed | its descriptor count is another (`st_size` of `/proc/PID/fd`, Linux ≥ 6.2; else counted by listing) |
//! | denied | its descriptors may not be read; only bpf may still read them |
//!
//! and the inode of a socket in one of these:
//!
//! | state | meaning |
//! |---|---|
//! | owned | a known descriptor refers to it |
//! | unowned | no known descriptor refers to it |
//! | deferred | unowned, and the search for it is postponed to a later poll |
//! | unresolved | unowned after a search in all processes; it is not searched for again |
//!
//! Every poll counts the descriptors of all processes, which makes them *new*, *current* or *changed*, and then runs these
//! steps in order. Each step takes what the ones before left.
//!
//! | step | from | to | bound |
//! |---|---|---|---|
//! | `take_startup_read`: the bpf read made while loading | new, denied | current | once |
//! | `rescan_changed_fds`: the closed sockets' numbers and those above the highest | changed; current with closed sockets | current, or unchanged if the count does not match | processes of ≥ 64 sockets, a quarter of them closed, 3 attempts |
//! | `scan_changed`: all descriptors, by bpf if that is cheaper | new, changed | current, denied | number of such processes |
//! | `check_shown`: each known descriptor of the sockets on screen or printed, of all if these are few, and names | current | current | 2,000 sockets, 50 ms each; none if printed |
//! | `resolve_unowned`: closed since, if the kernel no longer knows the socket; then processes that changed since the previous poll, then all | inode unowned | owned, unresolved, deferred | if a search of all took over 20 ms: a tenth of the time |
//! | `round_robin_scan`: the least recently scanned | current | current | 2 s, within 10 to 100 ms per poll |
//!
//! The round robin finds what leaves the count as it was: `dup2` over a descriptor, an exchange of sockets by `SCM_RIGHTS`, exec and
//! a change of name. For what a screen shows or a watch prints (`Verify`), and for the sockets of a sample with at most 2,000,
//! `check_shown` finds it in the next poll. Another such owner is at most 2 s old, or one interval if that is longer: each poll
//! scans its share of all descriptors (large processes by a bpf iterator over each, if the program is loaded), or reads all by bpf
//! where that is cheaper. So is one more owner of a socket that a known one keeps. Above 60,000 descriptors a second's share by walk exceeds the 100 ms of a poll, and takes longer accordingly; a
//! process with more than one poll has time for has a budget of its own and holds up no
//! other. `kinds_at_ns` of each process is the time of its scan. Whenever a scan finds a socket in a
//! process that another one was known to own, that other one is checked at once (`recheck_owners`): a descriptor passed on
//! has one owner, not two. If the search is deferred, all processes that share sockets are checked instead.
//!
//! A process that exits leaves the table with its references. It is identified by its directory, held open, so a reused pid
//! cannot be mistaken for it; without spare descriptors for that, by its start time.

// The same condition as that of `aya` in Cargo.toml.
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
mod bpf;
mod bpf_owners;
pub(crate) mod context;
mod fd_count;
mod fd_rescan;
mod fd_scan;
mod fd_tables;
mod fd_targets;
mod foreign_fd;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod halted;
mod held_netns;
mod info;
mod inode_set;
mod kcmp;
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
mod no_bpf;
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
use no_bpf as bpf;
mod privileges;
mod proc_dir;
mod scan_schedule;
mod shown_owners;
mod socket_refs;
mod system;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod threads;
mod usage;
pub(crate) mod users;

pub(crate) use held_netns::Keeper;
pub(crate) use privileges::is_pid_ns_nested;
pub(crate) use proc_dir::{proc_info, start_time_ns, tids};

use super::counters::Reader;
use super::procs::bpf_owners::BpfOwners;
use super::procs::fd_count::FdCounter;
use super::procs::scan_schedule::FdScanner;
use super::procs::table::{ProcEntry, ProcessTable};
use crate::model::{
    FaultKind, FaultSubject, FdUsage, Missing, Owner, OwnersBy, Privileges, ProcInfo, Process, Reads, Sample,
    Socket,
};
use crate::privilege::{NAMESPACES, PROCESSES, raise_if};
use std::path::Path;
use std::sync::Arc;
use users::Users;

/// Open files from which no descriptors are read for the sake of namespaces alone: about 150 ms of work.
const NETNS_SCAN_FILES: u64 = 50_000;

/// Reader of the processes below one `/proc`, keeping what need not be read again.
pub struct Procs {
    privileges: Privileges,
    table: ProcessTable,
    scanner: FdScanner,
    bpf: BpfOwners,
    users: Users,
    held_netns: held_netns::HeldNetns,
    /// True if namespaces that only descriptors keep are searched for even if no owners are read.
    finds_netns: bool,
    counters: Reader,
    /// Owners as last published.
    owners: Arc<[Owner]>,
}

impl std::fmt::Debug for Procs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Procs")
            .field("root", &self.table.root())
            .field("processes", &self.table.entries().len())
            .finish_non_exhaustive()
    }
}

impl Procs {
    /// Reader over this `/proc`, or a captured tree.
    pub fn new(root: &Path) -> Self {
        let table = ProcessTable::new(root);
        let live = table.is_live();
        Self {
            privileges: if live { privileges::read() } else { Privileges::default() },
            table,
            scanner: FdScanner::default(),
            bpf: BpfOwners::new(live),
            users: Users::new(live),
            held_netns: held_netns::HeldNetns::default(),
            finds_netns: false,
            counters: Reader::new(root).in_pid_ns(live && is_pid_ns_nested()),
            owners: Arc::from([]),
        }
    }

    /// Counts descriptors by listing them, as before Linux 6.2, at most this many per poll (but one process at least).
    #[must_use]
    pub fn counting_at_most(mut self, per_poll: u32) -> Self {
        self.table.set_counter(FdCounter::listing_at_most(per_poll));
        self
    }

    /// Finds owners by this method; `None`: the cheaper one.
    #[must_use]
    pub fn owners_by(mut self, method: Option<OwnersBy>) -> Self {
        self.bpf.request(method);
        self
    }

    /// Searches the descriptors for namespaces in every poll.
    #[must_use]
    pub(crate) const fn finding_netns(mut self, on: bool) -> Self {
        self.finds_netns = on;
        self
    }

    /// Starts in the background what [`Self::read`] is likely to need; call it before the sockets are dumped.
    pub fn prepare(&mut self, sample: &Sample) {
        self.bpf.prepare(sample);
    }

    /// Returns true if [`Self::prepare`] occupies a core.
    pub const fn is_preparing(&self) -> bool {
        self.bpf.is_loading()
    }

    /// Reads the processes, the owners of the sample's sockets, user names and system-wide limits, as far as the sample
    /// wants them.
    pub fn read(&mut self, sample: &mut Sample) {
        self.read_with(sample, &mut |_| true);
    }

    /// Like [`Self::read`]; `may_be_open` is false for a socket that is known to be closed since it was read, whose owner is not
    /// searched for.
    pub(crate) fn read_with(&mut self, sample: &mut Sample, may_be_open: &mut dyn FnMut(&Socket) -> bool) {
        if !sample.wants.only_events() {
            system::read(self.table.root(), &mut sample.system);
        }
        sample.privileges = self.privileges;
        let wants = sample.wants.clone();
        let read_fds = wants.reads_any(Reads::OWNERS | Reads::FD_KINDS);
        // Not for a captured tree, whose links may name any file.
        let raised = raise_if(self.table.is_live(), PROCESSES);
        if wants.reads(Reads::PROCESSES) || read_fds {
            self.table.refresh(&mut sample.faults);
            if read_fds {
                self.find_owners(sample, may_be_open);
                if wants.reads(Reads::LIMITS) {
                    self.scanner.sample_fd_targets(&mut self.table, sample);
                }
            }
            self.publish(sample);
            context::fill(&self.table, sample);
            halted::fill(&self.table, sample);
            threads::fill(&self.table, sample);
            usage::fill(&self.table, sample);
        }
        if wants.reads(Reads::LIMITS) {
            sample.counters = Some(self.counters.read(sample, self.table.is_live()));
        }
        // Name services run code of their own.
        drop(raised);
        self.users.fill(sample);
    }

    /// Network namespaces that descriptors keep, by inode; `None` if the descriptors were not read in this poll.
    pub(crate) fn held_netns(&mut self, sample: &mut Sample) -> Option<Vec<(u64, Keeper)>> {
        let _raised = raise_if(self.table.is_live(), NAMESPACES);
        let known = sample.wants.reads_any(Reads::OWNERS | Reads::FD_KINDS) || self.scan_for_netns(sample);
        known.then(|| self.held_netns.find(&self.table, sample))
    }

    /// Reads the descriptors for the namespaces only, unless they are too many or the first rows are to appear at once; returns
    /// whether it did.
    fn scan_for_netns(&mut self, sample: &mut Sample) -> bool {
        if !self.finds_netns || !self.table.is_live() || sample.wants.max_sockets.is_some() {
            return false;
        }
        if system::open_files(self.table.root()).is_some_and(|n| n > NETNS_SCAN_FILES) {
            let detail = "those that only descriptors keep, unless owners are read";
            sample.faults.add(FaultKind::NotSearched, FaultSubject::Namespaces, detail);
            return false;
        }
        // What cannot be read of processes is not missing from these rows.
        let faults = sample.faults.clone();
        self.table.refresh(&mut sample.faults);
        self.scanner.scan_changed(&mut self.table, &mut self.bpf, sample);
        sample.faults = faults;
        true
    }

    /// The steps of a poll, as described at the top of this module.
    fn find_owners(&mut self, sample: &mut Sample, may_be_open: &mut dyn FnMut(&Socket) -> bool) {
        let Self { table, scanner, bpf, .. } = self;
        let at_startup = bpf.take_startup_read(table, sample);
        scanner.rescan_changed_fds(table, sample);
        scanner.scan_changed(table, bpf, sample);
        scanner.check_shown(table, bpf, sample);
        scanner.resolve_unowned(table, bpf, may_be_open, sample);
        if !at_startup {
            scanner.round_robin_scan(table, bpf, sample);
        }
        bpf.report(sample);
    }

    /// Writes processes and owners into the sample.
    fn publish(&mut self, sample: &mut Sample) {
        let dirty = sample.wants.reads(Reads::OWNERS) && self.table.take_owners_dirty();
        let mut all: Vec<(u32, &Arc<ProcInfo>, &ProcEntry)> =
            self.table.entries().iter().filter_map(|(pid, e)| Some((*pid, e.info.as_ref()?, e))).collect();
        all.sort_unstable_by_key(|(pid, ..)| *pid);
        let mut owners = Vec::with_capacity(if dirty { self.owners.len() + 64 } else { 0 });
        let mut denied = 0;
        for (index, (pid, info, e)) in all.into_iter().enumerate() {
            let hidden = e.is_fd_hidden() && !e.from_bpf;
            denied += u32::from(hidden);
            let scanned = e.scanned_ns > 0 && !hidden;
            sample.processes.push(Process {
                info: Arc::clone(info),
                fds: e.fd_count.map(|open| FdUsage {
                    open,
                    open_at_ns: e.fd_count_ns,
                    above_soft: self.table.fds_above_soft(pid, e),
                    highest: e.fds.highest.filter(|_| scanned),
                    soft: e.nofile.map(|l| l.0),
                    hard: e.nofile.map(|l| l.1),
                    kinds: scanned.then_some(e.fds.kinds),
                    kinds_at_ns: e.scanned_ns,
                }),
                fds_hidden: hidden.then_some(Missing::NotPermitted),
                fd_targets: Arc::clone(&e.fd_targets.1),
                halted: None,
                freezer: None,
            });
            if dirty {
                owners.extend(e.fds.sockets.iter().map(|(inode, fd)| Owner {
                    inode: *inode,
                    process: index as u32,
                    fd: *fd,
                }));
            }
        }
        sample.faults.add_many(FaultKind::NotPermitted, FaultSubject::Descriptors, "", denied);
        if sample.wants.reads(Reads::OWNERS) {
            if dirty {
                // Sorted runs, one per process: the stable sort merges them.
                owners.sort();
                self.owners = owners.into();
            }
            sample.owners = Arc::clone(&self.owners);
        }
    }
}
