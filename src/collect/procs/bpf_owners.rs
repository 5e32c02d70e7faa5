//! Owners by bpf: the descriptors of all processes in one read, if that is cheaper than scanning `/proc`.
//!
//! The cost of a bpf read depends on all descriptors of the machine, that of a scan on the descriptors of the processes to
//! be scanned. So the first read of a busy machine, and any that finds many processes changed, is made by bpf; in between
//! a scan of the few that changed is cheaper, however many descriptors the others have. Once the program is loaded, a process with
//! many descriptors is scanned by an iterator over it alone.

use super::bpf::Loader;
use super::fd_scan::FdSet;
use super::table::{ProcEntry, ProcessTable, scan_time};
use crate::model::{FaultKind, FaultSubject, OwnersBy, Reads, Sample};
use crate::sync::cores;
use rustix::thread::{CapabilitySet, capabilities};
use std::sync::atomic::{AtomicBool, Ordering};

/// Costs in nanoseconds: per descriptor and per process of a scan; per descriptor and per process of a bpf read, and per
/// read; loading the program: 30 ms, and as much again for the 28 MB that the kernel's BTF takes until it is freed.
/// (`cargo bench --bench figures` prints what they add up to: about the same at 10,000 descriptors, a third at 100,000.)
const SCAN_FD: u64 = 4_000;
const SCAN_PROCESS: u64 = 20_000;
const BPF_FD: u64 = 500;
const BPF_PROCESS: u64 = 1_000;
const BPF_READ: u64 = 200_000;
const BPF_LOAD: u64 = 60_000_000;
/// Iterator over one process, and the number of descriptors from which it is used.
const BPF_ONE: u64 = 40_000;
const BPF_ONE_FDS: u32 = 64;

/// Open files of the machine from which the program is loaded while the sockets are dumped, on another core.
const PRELOAD_FILES: u64 = 25_000;

/// The bpf program and the choice between it and scanning.
pub(crate) struct BpfOwners {
    /// The requested method; `None`: the cheaper one.
    requested: Option<OwnersBy>,
    /// Only the live `/proc` is that of the running kernel.
    live: bool,
    loader: Loader,
    /// The method last used for all processes.
    used: OwnersBy,
    /// Time of the last read, nanoseconds after boot.
    last_read_ns: u64,
    /// True if the last read had descriptors that a scan may not read; before the first, if that is possible.
    reveals_hidden: bool,
    /// Time of the sample that took over the read made while loading.
    startup_ns: u64,
    /// An iterator over one process is not available: before Linux 6.1.
    whole_only: AtomicBool,
}

impl BpfOwners {
    pub(crate) fn new(live: bool) -> Self {
        // With CAP_SYS_PTRACE a scan reads everything that bpf does.
        let scan_reads_all =
            capabilities(None).is_ok_and(|c| c.effective.contains(CapabilitySet::SYS_PTRACE));
        Self {
            requested: None,
            live,
            loader: Loader::default(),
            used: OwnersBy::Walk,
            last_read_ns: 0,
            reveals_hidden: !scan_reads_all,
            startup_ns: 0,
            whole_only: AtomicBool::new(false),
        }
    }

    pub(crate) fn request(&mut self, method: Option<OwnersBy>) {
        self.requested = method;
    }

    const fn is_disabled(&self) -> bool {
        !self.live || matches!(self.requested, Some(OwnersBy::Walk))
    }

    /// Starts loading the program in the background, if this sample is likely to need it.
    pub(crate) fn prepare(&mut self, sample: &Sample) {
        let wanted = sample.wants.reads_any(Reads::OWNERS | Reads::FD_KINDS);
        if wanted && !self.is_disabled() && (self.requested.is_some() || has_many_files()) {
            self.loader.begin();
        }
    }

    /// Returns true if loading occupies a core.
    pub(crate) const fn is_loading(&self) -> bool {
        matches!(self.loader, Loader::Loading(_))
    }

    /// Reads the descriptors of all processes, if bpf is requested or cheaper than scanning these. Processes that the
    /// read does not include are left to be scanned.
    pub(crate) fn read_all(&mut self, table: &mut ProcessTable, pids: &[u32], sample: &Sample) -> bool {
        let now = scan_time(sample);
        let each_alone = || pids.iter().all(|pid| table.get(*pid).is_some_and(|e| self.reads_alone(e)));
        let by_cost = self.requested.is_none() || self.startup_ns == sample.at.boot_ns || each_alone();
        if self.is_disabled() || self.last_read_ns == now || by_cost && !self.is_worthwhile(table, pids) {
            return false;
        }
        let Some(all) = self.loader.read() else {
            self.used = OwnersBy::Walk;
            return false;
        };
        self.used = OwnersBy::BpfIter;
        self.last_read_ns = now;
        self.reveals_hidden = table.record_bpf(all, now, true) > 0;
        true
    }

    /// Takes over the read made while loading, if there is one. It is older than this poll, so processes whose descriptor
    /// count has changed since are scanned again.
    pub(crate) fn take_startup_read(&mut self, table: &mut ProcessTable, sample: &Sample) -> bool {
        let Some(all) = self.loader.take_startup_read() else { return false };
        self.used = OwnersBy::BpfIter;
        self.startup_ns = sample.at.boot_ns;
        self.reveals_hidden = table.record_bpf(all, sample.at.boot_ns.max(2) - 1, false) > 0;
        true
    }

    /// Returns true if the program is loaded and may be used.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.loader, Loader::Ready(_)) && !self.is_disabled()
    }

    /// Returns true if [`Self::read_process`] is likely to read this process.
    fn reads_alone(&self, e: &ProcEntry) -> bool {
        self.is_ready()
            && !self.whole_only.load(Ordering::Relaxed)
            && e.fd_count.is_ok_and(|n| n >= BPF_ONE_FDS)
            && e.scanned_ns > 0
            && !e.is_fd_hidden()
            && e.threads.tids.is_empty()
            && !e.fds.has_more_than_one_table()
            && e.fds.netns.is_empty()
    }

    /// Estimated cost of [`Self::read_process`], nanoseconds; `None` if the process has to be scanned in `/proc`.
    pub(crate) fn process_read_cost(&self, e: &ProcEntry) -> Option<u64> {
        self.reads_alone(e).then(|| BPF_ONE + e.fd_count.map_or(0, u64::from) * BPF_FD)
    }

    /// Estimated time of a scan of these processes, nanoseconds. Those read one by one are read on two cores at least, if there
    /// are several.
    fn scan_cost(&self, table: &ProcessTable, pids: &[u32]) -> u64 {
        let (mut reads, mut read_cost, mut walk_cost) = (0, 0, 0);
        for e in pids.iter().filter_map(|pid| table.get(*pid)) {
            match self.process_read_cost(e) {
                Some(cost) => (reads, read_cost) = (reads + 1, read_cost + cost),
                None => walk_cost += SCAN_PROCESS + e.fd_count.map_or(0, u64::from) * SCAN_FD,
            }
        }
        walk_cost + read_cost / cores().clamp(1, 2).min(reads.max(1)) as u64
    }

    /// Reads the descriptors of a process that has many, for a scan; `None` if it has to be scanned in `/proc`: because this
    /// kernel or this process does not permit it, or because it has what an iterator does not report.
    pub(crate) fn read_process(&self, pid: u32, e: &ProcEntry, hz: u64) -> Option<FdSet> {
        let Loader::Ready(program) = &self.loader else { return None };
        if !self.reads_alone(e) {
            return None;
        }
        match program.read_process(pid) {
            Ok(found) => found
                .filter(|p| p.pid == pid && e.is_started_at(p.start_ns, hz))
                .map(|p| p.fds)
                .filter(|fds| {
                    !fds.has_more_than_one_table() && fds.netns.is_empty() && fds.namespace_fds.is_empty()
                }),
            Err(_) => {
                self.whole_only.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Returns true if a read is cheaper than scanning these processes, or gives what a scan may not read.
    fn is_worthwhile(&self, table: &ProcessTable, pids: &[u32]) -> bool {
        let load = match &self.loader {
            Loader::Unavailable(_) => return false,
            Loader::Idle => BPF_LOAD,
            Loader::Loading(_) | Loader::Ready(_) => 0,
        };
        let scan = self.scan_cost(table, pids);
        let all = Amount::sum(table.entries().values());
        is_cheaper(all, scan, load)
            || self.reveals_hidden && table.entries().values().any(ProcEntry::is_fd_hidden)
    }

    /// Notes the method used in the sample, and why it is not the requested one.
    pub(crate) fn report(&self, sample: &mut Sample) {
        sample.owners_by = Some(self.used);
        if let (Some(OwnersBy::BpfIter), Loader::Unavailable(why)) = (self.requested, &self.loader) {
            sample.faults.add(FaultKind::NotUsed, FaultSubject::BpfIter, why.clone());
        }
    }
}

/// Returns true if many files are open on this machine (`/proc/sys/fs/file-nr`: open, unused, maximum).
fn has_many_files() -> bool {
    let text = std::fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse().ok()).is_some_and(|n: u64| n >= PRELOAD_FILES)
}

/// Number of processes and of their descriptors.
#[derive(Clone, Copy)]
struct Amount {
    processes: u64,
    fds: u64,
}

impl Amount {
    fn sum<'a>(entries: impl Iterator<Item = &'a ProcEntry>) -> Self {
        entries.fold(Self { processes: 0, fds: 0 }, |sum, e| Self {
            processes: sum.processes + 1,
            fds: sum.fds + e.fd_count.map_or(0, u64::from),
        })
    }
}

/// Returns true if a bpf read of `all`, after loading for `load` ns, costs less than a scan that takes `scan` ns.
const fn is_cheaper(all: Amount, scan: u64, load: u64) -> bool {
    load + BPF_READ + all.fds * BPF_FD + all.processes * BPF_PROCESS < scan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cheaper_method_depends_on_descriptors_to_be_scanned() {
        let amount = |processes, fds| Amount { processes, fds };
        for (all, scan, load, by_bpf) in [
            // First read of a small machine, of a busy one.
            (amount(200, 4_000), amount(200, 4_000), BPF_LOAD, false),
            (amount(200, 100_000), amount(200, 100_000), BPF_LOAD, true),
            // Later: none changed, one of many, most, the one with most descriptors.
            (amount(200, 100_000), amount(0, 0), 0, false),
            (amount(200, 100_000), amount(1, 9_000), 0, false),
            (amount(200, 100_000), amount(150, 60_000), 0, true),
            (amount(200, 100_000), amount(1, 90_000), 0, true),
        ] {
            let cost = scan.fds * SCAN_FD + scan.processes * SCAN_PROCESS;
            assert_eq!(is_cheaper(all, cost, load), by_bpf, "{} of {}", scan.fds, all.fds);
        }
    }
}
