//! Descriptor scanner: which processes are scanned in a poll, in which order, and within which budget.
//!
//! The transitions are described in [`super`]; this file has all but the rescan of changed descriptors (`fd_rescan`).

use super::bpf_owners::BpfOwners;
use super::fd_scan::{self, Buffers, FdSet};
use super::fd_targets;
use super::inode_set::InodeSet;
use super::proc_dir::ProcDir;
use super::table::{ProcEntry, ProcessTable, scan_time};
use crate::collect::source::stamp;
use crate::model::{FaultKind, FaultSubject, Reads, Sample, Socket};
use crate::privilege::{BPF, raise_if};
use crate::sync::{cores, par_map_with};
use rustc_hash::FxHashSet;
use rustix::io::Errno;
use std::cmp::Reverse;

/// Age that descriptors and names without a sign of change reach at most, nanoseconds, as far as the budgets below allow.
const STALE_NS: u64 = 2_000_000_000;
/// Time a poll may spend on scanning processes without a sign of change, nanoseconds: as much as [`STALE_NS`] takes, between these.
const ROUND_ROBIN_NS: u64 = 10_000_000;
const ROUND_ROBIN_MAX_NS: u64 = 100_000_000;
/// Time a poll may spend on names and limits, nanoseconds: about 2,000 processes.
const NAMES_NS: u64 = 50_000_000;
/// Estimated cost of a scan per descriptor, nanoseconds.
const SCAN_FD_NS: u64 = 3_000;

/// Descriptors from which processes are scanned on several cores.
const PARALLEL_FDS: u32 = 4096;

/// A full scan that takes longer than this is not repeated in every poll for a socket without a known owner, but made in
/// at most one part in `FULL_SCAN_SHARE` of the time.
const FULL_SCAN_NS: u64 = 20_000_000;
const FULL_SCAN_SHARE: u64 = 10;

/// Most sockets without a known owner that the kernel is asked for before their owners are searched for: about 5 ms.
const LOOK_UPS_MAX: usize = 1_000;

/// Unresolved inodes that are remembered.
const UNRESOLVED_MAX: usize = 100_000;

/// Unspent scan time of this and previous polls, nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct ScanBudget(u64);

impl ScanBudget {
    const fn add(&mut self, amount: u64) {
        self.0 = self.0.saturating_add(amount);
    }

    const fn allows(&self, cost: u64) -> bool {
        self.0 > 0 && cost <= self.0
    }

    const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    const fn spend(&mut self, took: u64) {
        self.0 = self.0.saturating_sub(took);
    }
}

/// Budgets of the round robin. A process that costs more than one poll has time for waits until enough has accumulated, in a
/// budget of its own, so that it holds up no other.
#[derive(Debug, Default)]
struct RoundRobin {
    small: ScanBudget,
    large: ScanBudget,
    /// Time of the previous poll, nanoseconds after boot.
    last_ns: u64,
}

impl RoundRobin {
    /// Adds the time of this poll: the share of `cost`, that of scanning everything, that keeps within [`STALE_NS`].
    fn begin_poll(&mut self, cost: u64, interval: u64, any_large: impl Fn(u64) -> bool) -> u64 {
        let share = (u128::from(cost) * u128::from(interval) / u128::from(STALE_NS)) as u64;
        let amount = share.clamp(ROUND_ROBIN_NS, ROUND_ROBIN_MAX_NS);
        let to_large = if any_large(amount) { amount / 2 } else { 0 };
        // Time not needed in earlier polls is not saved up, except for the large ones.
        self.small = ScanBudget(amount - to_large);
        if to_large == 0 {
            self.large = ScanBudget::default();
        }
        self.large.add(to_large);
        amount
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
    pub(super) sample_inodes: InodeSet,
    last_full_scan: FullScan,
    round_robin: RoundRobin,
}

impl FdScanner {
    /// Samples the descriptor targets of processes that grow or are near their limit.
    pub(crate) fn sample_fd_targets(&mut self, table: &mut ProcessTable, sample: &Sample) {
        fd_targets::sample_fd_targets(table, sample, &mut self.bufs);
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
    pub(super) fn scan_all(
        &mut self,
        table: &mut ProcessTable,
        bpf: &mut BpfOwners,
        pids: &[u32],
        sample: &mut Sample,
    ) {
        let left: Vec<u32>;
        let mut pids = pids;
        if bpf.read_all(table, pids, sample) {
            let now = scan_time(sample);
            let is_missing = |pid: &&u32| table.get(**pid).is_some_and(|e| e.scanned_ns != now);
            left = pids.iter().filter(is_missing).copied().collect();
            pids = &left;
        }
        let mut moved: FxHashSet<u64> = FxHashSet::default();
        for (pid, scanned) in self.scan_parallel(table, bpf, pids) {
            record(table, pid, scanned, sample, Some(&mut moved));
        }
        self.recheck_owners(table, &moved, pids, sample);
    }

    /// Scans processes, on several cores if they have many descriptors.
    fn scan_parallel(
        &mut self,
        table: &ProcessTable,
        bpf: &BpfOwners,
        pids: &[u32],
    ) -> Vec<(u32, Result<FdSet, Errno>)> {
        let _raised = raise_if(table.is_live() && bpf.is_ready(), BPF);
        let scan = |pid: u32, bufs: &mut Buffers| {
            let e = table.get(pid)?;
            if let Some(fds) = bpf.read_process(pid, e, table.hz()) {
                return Some((pid, Ok(fds)));
            }
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
                    && ProcDir::get(table.root(), *pid, e.dir.as_ref()).is_none_or(|dir| {
                        !fd_scan::refers_to(dir, &e.threads.tids, *fd, *inode, &mut self.bufs)
                    })
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
        may_be_open: &mut dyn FnMut(&Socket) -> bool,
        sample: &mut Sample,
    ) {
        if !sample.wants.reads(Reads::OWNERS) {
            return;
        }
        let is_unowned = |s: &&Socket| {
            s.inode != 0 && !table.refs().contains(s.inode) && !self.unresolved_inodes.contains(&{ s.inode })
        };
        let mut unowned: Vec<&Socket> = sample.sockets.iter().filter(is_unowned).collect();
        if unowned.len() <= LOOK_UPS_MAX {
            unowned.retain(|s| may_be_open(s));
        }
        let mut unowned: Vec<u64> = unowned.into_iter().map(|s| s.inode).collect();
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

    /// Scans the least recently scanned processes, and reads the names of the others, within the budgets of this poll.
    pub(crate) fn round_robin_scan(
        &mut self,
        table: &mut ProcessTable,
        bpf: &mut BpfOwners,
        sample: &mut Sample,
    ) {
        if !table.is_live() {
            return;
        }
        let now = scan_time(sample);
        let interval =
            now.saturating_sub(std::mem::replace(&mut self.round_robin.last_ns, now)).min(STALE_NS);
        // What would be older than that in the next poll.
        let is_due = |read_ns: u64| read_ns < now && read_ns + STALE_NS < now + interval;
        let scannable = || table.entries().iter().filter(|(_, e)| e.is_scannable());
        if scannable().any(|(_, e)| is_due(e.scanned_ns)) {
            // All of them at once, if that costs less.
            let pids: Vec<u32> = scannable().map(|(pid, _)| *pid).collect();
            bpf.read_all(table, &pids, sample);
        }
        let scan_cost = |e: &ProcEntry| {
            let by_walk = || u64::from(e.fd_count.unwrap_or(0)) * SCAN_FD_NS;
            bpf.process_read_cost(e).unwrap_or_else(by_walk)
        };
        let scannable = || table.entries().iter().filter(|(_, e)| e.is_scannable());
        let all = scannable().map(|(_, e)| scan_cost(e)).sum();
        let stale = scannable().filter(|(_, e)| e.scanned_ns < now);
        let mut order: Vec<(u64, u32, u64)> =
            stale.map(|(pid, e)| (e.scanned_ns, *pid, scan_cost(e))).collect();
        order.sort_unstable();
        // More than half of what a poll may take at most.
        let is_too_large = |cost: u64| cost > ROUND_ROBIN_MAX_NS / 2;
        let any_large = |_: u64| order.iter().any(|(.., cost)| is_too_large(*cost));
        self.round_robin.begin_poll(all, interval, any_large);
        let poll_began = stamp().boot_ns;
        let (large, small): (Vec<_>, Vec<_>) = order.iter().partition(|(.., cost)| is_too_large(*cost));
        // As many at once as there are cores.
        let mut waiting = small.iter().peekable();
        while waiting.peek().is_some() && stamp().boot_ns.saturating_sub(poll_began) < ROUND_ROBIN_MAX_NS {
            let mut pids = Vec::new();
            // The last of a poll may exceed its share, or the others would not be done in time.
            while pids.len() < cores()
                && !self.round_robin.small.is_empty()
                && let Some((_, pid, cost)) = waiting.next()
            {
                self.round_robin.small.spend(*cost);
                pids.push(*pid);
            }
            if pids.is_empty() {
                break;
            }
            for (pid, scanned) in self.scan_parallel(table, bpf, &pids) {
                record(table, pid, scanned, sample, None);
            }
        }
        for (_, pid, cost) in large {
            if self.round_robin.large.allows(cost) {
                let began = stamp().boot_ns;
                self.scan_one(table, pid, sample);
                // A busy machine takes longer than estimated.
                self.round_robin.large.spend(stamp().boot_ns.saturating_sub(began));
            }
        }
        refresh_names(table, is_due);
    }
}

/// Reads names and limits that are due, the oldest first: exec, prctl and prlimit leave no trace in `/proc/PID/fd`.
fn refresh_names(table: &mut ProcessTable, is_due: impl Fn(u64) -> bool) {
    let due = table.entries().iter().filter(|(_, e)| e.info.is_some() && is_due(e.info_ns));
    let mut order: Vec<(u64, u32)> = due.map(|(pid, e)| (e.info_ns, *pid)).collect();
    order.sort_unstable();
    let began = stamp().boot_ns;
    for (_, pid) in order {
        if stamp().boot_ns.saturating_sub(began) > NAMES_NS {
            break;
        }
        table.refresh_proc_info(pid);
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
    fn large_process_waits_for_its_own_budget_and_holds_up_no_other() {
        const MS: u64 = 1_000_000;
        let mut round = RoundRobin::default();
        let (large, second) = (300 * MS, 1_000 * MS);
        let mut scanned_in = Vec::new();
        for poll in 0..16 {
            // 100,000 descriptors in one process, 3,000 in others.
            let amount = round.begin_poll(large + 9 * MS, second, |amount| large > amount / 2);
            assert_eq!(amount, ROUND_ROBIN_MAX_NS);
            assert!(round.small.allows(9 * MS), "poll {poll}");
            round.small.spend(9 * MS);
            if round.large.allows(large) {
                round.large.spend(large);
                scanned_in.push(poll);
            }
        }
        assert_eq!(scanned_in, [5, 11], "50 ms a poll");
    }

    #[test]
    fn budget_scans_everything_within_two_seconds() {
        const MS: u64 = 1_000_000;
        // 30,000 descriptors cost 90 ms: 45 ms in each poll of a second, 22.5 ms in each of half a second.
        let amount = |cost, interval| RoundRobin::default().begin_poll(cost, interval, |_| false);
        assert_eq!(amount(90 * MS, 1_000 * MS), 45 * MS);
        assert_eq!(amount(90 * MS, 500 * MS), 22 * MS + MS / 2);
        assert_eq!(amount(90 * MS, STALE_NS), 90 * MS);
        assert_eq!(
            (amount(MS, 1_000 * MS), amount(9_000 * MS, STALE_NS)),
            (ROUND_ROBIN_NS, ROUND_ROBIN_MAX_NS)
        );
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
