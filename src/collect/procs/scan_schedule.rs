//! Descriptor scanner: which processes are scanned in a poll, in which order, and within which budget.
//!
//! The transitions are described in [`super`]; this file has all but the rescan of changed descriptors (`fd_rescan`).

use super::bpf_owners::BpfOwners;
use super::fd_scan::{self, Buffers, FdSet};
use super::fd_targets;
use super::proc_dir::ProcDir;
use super::table::{ProcEntry, ProcessTable, scan_time};
use crate::collect::source::stamp;
use crate::model::{FaultKind, FaultSubject, Reads, Sample};
use crate::sync::{cores, par_map_with};
use rustc_hash::FxHashSet;
use rustix::io::Errno;
use std::cmp::Reverse;

/// Time a poll may spend on scanning processes without a sign of change, nanoseconds.
const ROUND_ROBIN_NS: u64 = 10_000_000;
/// Estimated cost of a scan per descriptor, nanoseconds.
const SCAN_FD_NS: u64 = 3_000;

/// Descriptors from which processes are scanned on several cores.
const PARALLEL_FDS: u32 = 4096;

/// A full scan that takes longer than this is not repeated in every poll for a socket without a known owner, but made in
/// at most one part in `FULL_SCAN_SHARE` of the time.
const FULL_SCAN_NS: u64 = 20_000_000;
const FULL_SCAN_SHARE: u64 = 10;

/// Unresolved inodes that are remembered.
const UNRESOLVED_MAX: usize = 100_000;

/// Unspent scan time of this and previous polls, nanoseconds. A process with more descriptors than one poll has time for
/// waits until enough has accumulated, and so do those behind it, so that none is starved.
#[derive(Debug, Default)]
pub(crate) struct ScanBudget(u64);

impl ScanBudget {
    const fn begin_poll(&mut self) {
        self.0 = self.0.saturating_add(ROUND_ROBIN_NS);
    }

    const fn allows(&self, cost: u64) -> bool {
        self.0 > 0 && cost <= self.0
    }

    const fn spend(&mut self, took: u64) {
        self.0 = self.0.saturating_sub(took);
    }
}

/// The last scan of all processes for the owner of a socket.
#[derive(Clone, Copy, Debug, Default)]
struct FullScan {
    /// Its start, nanoseconds after boot.
    at_ns: u64,
    took_ns: u64,
}

impl FullScan {
    /// Returns true if the next one has to wait.
    const fn is_too_recent(self, now: u64) -> bool {
        self.took_ns > FULL_SCAN_NS && now.saturating_sub(self.at_ns) < self.took_ns * FULL_SCAN_SHARE
    }
}

/// Scans the descriptors of processes and keeps what bounds the scans from poll to poll.
#[derive(Default)]
pub(crate) struct FdScanner {
    pub(super) bufs: Buffers,
    /// Inodes without an owner in any process; not searched for again.
    unresolved_inodes: FxHashSet<u64>,
    /// Inodes of the sockets of this sample, filled by a rescan.
    pub(super) sample_inodes: FxHashSet<u64>,
    last_full_scan: FullScan,
    scan_budget: ScanBudget,
}

impl FdScanner {
    /// Samples the descriptor targets of processes that grow or are near their limit.
    pub(crate) fn sample_fd_targets(&mut self, table: &mut ProcessTable) {
        fd_targets::sample_fd_targets(table, &mut self.bufs);
    }

    /// Scans the processes never scanned, and those whose descriptor count changed.
    pub(crate) fn scan_changed(
        &mut self,
        table: &mut ProcessTable,
        bpf: &mut BpfOwners,
        sample: &mut Sample,
    ) {
        let is_due =
            |e: &ProcEntry| e.is_scannable() && (e.scanned_ns == 0 || !e.fd_dir_denied && e.is_count_off());
        let due: Vec<u32> = table.entries().iter().filter(|(_, e)| is_due(e)).map(|(pid, _)| *pid).collect();
        self.scan_all(table, bpf, &due, sample);
    }

    /// Scans these processes, by bpf if that is cheaper, and then the ones that a socket has moved away from.
    fn scan_all(&mut self, table: &mut ProcessTable, bpf: &mut BpfOwners, pids: &[u32], sample: &mut Sample) {
        let left: Vec<u32>;
        let mut pids = pids;
        if bpf.read_all(table, pids, sample) {
            let now = scan_time(sample);
            let is_missing = |pid: &&u32| table.get(**pid).is_some_and(|e| e.scanned_ns != now);
            left = pids.iter().filter(is_missing).copied().collect();
            pids = &left;
        }
        let mut moved: FxHashSet<u64> = FxHashSet::default();
        for (pid, scanned) in self.scan_parallel(table, pids) {
            record(table, pid, scanned, sample, Some(&mut moved));
        }
        self.recheck_owners(table, &moved, pids, sample);
    }

    /// Scans processes, on several cores if they have many descriptors.
    fn scan_parallel(&mut self, table: &ProcessTable, pids: &[u32]) -> Vec<(u32, Result<FdSet, Errno>)> {
        let scan = |pid: u32, bufs: &mut Buffers| {
            let e = table.get(pid)?;
            let dir = ProcDir::get(table.root(), pid, e.dir.as_ref())?;
            Some((pid, fd_scan::scan(dir, &e.threads.tids, bufs)))
        };
        let fd_count = |pid: &u32| table.get(*pid).and_then(|e| e.fd_count.ok()).unwrap_or(0);
        if cores().min(pids.len()) < 2 || pids.iter().map(fd_count).sum::<u32>() < PARALLEL_FDS {
            return pids.iter().filter_map(|pid| scan(*pid, &mut self.bufs)).collect();
        }
        // The largest first, each on the next idle core.
        let mut order = pids.to_vec();
        order.sort_unstable_by_key(|pid| Reverse(fd_count(pid)));
        let scan_nth = |bufs: &mut Buffers, i: usize| scan(order[i], bufs);
        par_map_with("fd-scan", order.len(), Buffers::default, scan_nth).into_iter().flatten().collect()
    }

    /// Scans again the processes, except `skip`, that were known to refer to one of the `moved` sockets and do not any
    /// more.
    pub(super) fn recheck_owners(
        &mut self,
        table: &mut ProcessTable,
        moved: &FxHashSet<u64>,
        skip: &[u32],
        sample: &mut Sample,
    ) {
        if moved.is_empty() {
            return;
        }
        let skip: FxHashSet<u32> = skip.iter().copied().collect();
        let mut stale = Vec::new();
        for (pid, e) in table.entries().iter().filter(|(pid, _)| !skip.contains(pid)) {
            let is_stale = |(inode, fd): &(u64, u32)| {
                moved.contains(inode)
                    && ProcDir::get(table.root(), *pid, e.dir.as_ref())
                        .is_none_or(|dir| !fd_scan::refers_to(dir, *fd, *inode, &mut self.bufs))
            };
            if e.fds.sockets.iter().any(is_stale) {
                stale.push(*pid);
            }
        }
        for pid in stale {
            self.scan_one(table, pid, sample);
        }
    }

    fn scan_one(&mut self, table: &mut ProcessTable, pid: u32, sample: &mut Sample) {
        if table.get(pid).is_none() {
            return;
        }
        let tids = table.get(pid).map_or(&[][..], |e| &e.threads.tids);
        let scanned = table.dir(pid).map(|dir| fd_scan::scan(dir, tids, &mut self.bufs));
        if let Some(scanned) = scanned {
            record(table, pid, scanned, sample, None);
        }
    }

    /// Searches the owners of sockets that no known descriptor refers to: first in the processes that opened or closed
    /// something since the previous poll, then in all, the least recently scanned first.
    ///
    /// On a busy machine some socket is always closed before its owner is found. If a full scan takes long it is therefore
    /// not made in every poll; until then the owner is unknown, and the sample reports it as deferred.
    pub(crate) fn resolve_unowned(
        &mut self,
        table: &mut ProcessTable,
        bpf: &mut BpfOwners,
        sample: &mut Sample,
    ) {
        if !sample.wants.reads(Reads::OWNERS) {
            return;
        }
        let is_unowned = |inode: &u64| {
            *inode != 0 && !table.refs().contains(*inode) && !self.unresolved_inodes.contains(inode)
        };
        let mut unowned: Vec<u64> = sample.sockets.iter().map(|s| s.inode).filter(is_unowned).collect();
        let now = scan_time(sample);
        for changed_only in [true, false] {
            if unowned.is_empty() {
                break;
            }
            let is_candidate = |e: &ProcEntry| {
                e.is_scannable() && e.scanned_ns < now && (e.changed || e.opens_unseen() || !changed_only)
            };
            let candidates = table.entries().iter().filter(|(_, e)| is_candidate(e));
            let mut order: Vec<(u64, u32)> = candidates.map(|(pid, e)| (e.scanned_ns, *pid)).collect();
            order.sort_unstable();
            if !changed_only && table.is_live() && self.last_full_scan.is_too_recent(now) {
                let n = unowned.len() as u32;
                sample.faults.add_many(FaultKind::Deferred, FaultSubject::NewOwners, "", n);
                self.recheck_shared(table, sample);
                return;
            }
            // All of them, even if the first one has the socket: another process may share it.
            let mut pids: Vec<u32> = order.into_iter().map(|(_, pid)| pid).collect();
            let began = stamp().boot_ns;
            if !changed_only {
                // The owner may be a thread that has got descriptors of its own since, in a process scanned in this poll too.
                pids.extend(table.find_thread_tables());
                pids.sort_unstable();
                pids.dedup();
            }
            self.scan_all(table, bpf, &pids, sample);
            if !changed_only {
                let took_ns = stamp().boot_ns.saturating_sub(began);
                self.last_full_scan = FullScan { at_ns: now, took_ns };
            }
            unowned.retain(|i| !table.refs().contains(*i));
        }
        // Opened since, or without a visible owner: left to the round robin.
        self.unresolved_inodes.extend(unowned);
        if self.unresolved_inodes.len() > UNRESOLVED_MAX {
            self.unresolved_inodes.clear();
        }
    }

    /// Checks that processes sharing a socket all still refer to it: one that closed it and opened another descriptor in
    /// its place shows no other sign.
    fn recheck_shared(&mut self, table: &mut ProcessTable, sample: &mut Sample) {
        let mut shared: FxHashSet<u64> = FxHashSet::default();
        for e in table.entries().values() {
            shared.extend(e.fds.sockets.iter().map(|s| s.0).filter(|i| table.refs().is_shared(*i)));
        }
        self.recheck_owners(table, &shared, &[], sample);
    }

    /// Scans the least recently scanned processes, within the budget of this poll.
    pub(crate) fn round_robin_scan(&mut self, table: &mut ProcessTable, sample: &mut Sample) {
        let now = scan_time(sample);
        let read_ns = |e: &ProcEntry| e.scanned_ns.min(e.info_ns);
        let stale = table.entries().iter().filter(|(_, e)| e.is_scannable() && read_ns(e) < now);
        let mut order: Vec<(u64, u32)> = stale.map(|(pid, e)| (read_ns(e), *pid)).collect();
        order.sort_unstable();
        self.scan_budget.begin_poll();
        for (_, pid) in order {
            let Some(e) = table.get(pid) else { continue };
            let is_stale = e.scanned_ns < now;
            let cost = if is_stale { u64::from(e.fd_count.unwrap_or(0)) * SCAN_FD_NS } else { 0 };
            if !table.is_live() || !self.scan_budget.allows(cost) {
                return;
            }
            let began = stamp().boot_ns;
            if is_stale {
                self.scan_one(table, pid, sample);
            } else {
                // A bpf read has its descriptors, but not its names and limits.
                table.refresh_proc_info(pid);
            }
            self.scan_budget.spend(stamp().boot_ns.saturating_sub(began));
        }
        self.scan_budget = ScanBudget::default();
    }
}

/// Stores the outcome of a scan; `moved` gets the sockets that were known to belong to another process only.
fn record(
    table: &mut ProcessTable,
    pid: u32,
    scanned: Result<FdSet, Errno>,
    sample: &mut Sample,
    moved: Option<&mut FxHashSet<u64>>,
) {
    let now = scan_time(sample);
    match scanned {
        Ok(fds) => {
            if let Some(moved) = moved {
                table.note_moved(pid, &fds, moved);
            }
            table.record_scan(pid, fds, now);
        }
        Err(Errno::ACCESS | Errno::PERM) => table.record_denied(pid, now),
        Err(e) => {
            let gone = matches!(e, Errno::NOENT | Errno::SRCH);
            let kind = if gone { FaultKind::Vanished } else { FaultKind::Failed };
            sample.faults.add(kind, FaultSubject::Descriptors, e.to_string());
            table.remove(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_costlier_than_one_polls_budget_waits_for_it_to_accumulate() {
        let mut budget = ScanBudget::default();
        let (long, short) = (25_000_000, 1_000_000);
        let mut scanned_in = Vec::new();
        for poll in 0..8 {
            budget.begin_poll();
            while budget.allows(long) {
                scanned_in.push(poll);
                budget.spend(long);
            }
        }
        assert_eq!(scanned_in, [2, 4, 7], "25 ms of 10 ms per poll");
        let mut short_scans = 0;
        budget = ScanBudget::default();
        budget.begin_poll();
        while budget.allows(short) {
            short_scans += 1;
            budget.spend(short);
        }
        assert_eq!(short_scans, 10);
    }

    #[test]
    fn long_full_scan_is_not_repeated_within_its_share_of_time() {
        let quick = FullScan { at_ns: 1_000, took_ns: FULL_SCAN_NS };
        assert!(!quick.is_too_recent(1_001));
        let long = FullScan { at_ns: 1_000, took_ns: FULL_SCAN_NS + 1 };
        assert!(long.is_too_recent(1_000 + 10 * FULL_SCAN_NS));
        assert!(!long.is_too_recent(1_000 + 10 * (FULL_SCAN_NS + 1)));
    }
}
