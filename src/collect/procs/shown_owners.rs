//! Owners and names that a sample shows: checked in every poll, not only when a process shows a sign of change.

use super::bpf_owners::BpfOwners;
use super::fd_scan;
use super::proc_dir::ProcDir;
use super::scan_schedule::FdScanner;
use super::table::{ProcEntry, ProcessTable, scan_time};
use crate::collect::source::stamp;
use crate::model::{Owner, Reads, SHOWN_MAX, Sample, Shown, Verify};
use rustc_hash::{FxHashMap, FxHashSet};

/// Time a poll may spend on the descriptors, and on the names, of what is shown, nanoseconds; needed on a busy machine only:
/// 2,000 descriptors take about 6 ms.
const BUDGET_NS: u64 = 50_000_000;

/// Sockets to check, with their rank, and processes of which the names are read first.
struct Checked {
    inodes: FxHashMap<u64, usize>,
    pids: Vec<u32>,
    budget_ns: u64,
}

impl Checked {
    /// Sockets and processes that this sample shows; `None` if there is nothing to check.
    fn new(sample: &Sample) -> Option<Self> {
        let inodes = || sample.sockets.iter().map(|s| s.inode);
        let few = (1..=SHOWN_MAX).contains(&sample.sockets.len());
        let (first, rest, budget_ns) = match &sample.wants.verify {
            Verify::All => (&Shown::default(), true, u64::MAX),
            Verify::Shown(shown) => (&**shown, few, BUDGET_NS),
            Verify::IfFew if few => (&Shown::default(), true, BUDGET_NS),
            Verify::IfFew => return None,
        };
        let mut ranks = FxHashMap::default();
        for inode in first.inodes.iter().copied().chain(inodes().filter(|_| rest)).filter(|i| *i != 0) {
            let rank = ranks.len();
            ranks.entry(inode).or_insert(rank);
        }
        Some(Self { inodes: ranks, pids: first.pids.clone(), budget_ns })
    }
}

impl FdScanner {
    /// Checks that the known descriptors of the shown sockets still refer to them, scans the processes of which one does not,
    /// and reads the names of the owners and of the shown processes again.
    pub(crate) fn check_shown(&mut self, table: &mut ProcessTable, bpf: &mut BpfOwners, sample: &mut Sample) {
        if !table.is_live() || !sample.wants.reads(Reads::OWNERS) {
            return;
        }
        let Some(checked) = Checked::new(sample) else { return };
        let now = scan_time(sample);
        // Rank of the most important socket, pid.
        let mut owners: Vec<(usize, u32)> = Vec::new();
        let mut known: Vec<(usize, u32, u64, u32)> = Vec::new();
        for (pid, e) in table.entries() {
            let rank_of = |(inode, fd): &(u64, u32)| Some((*checked.inodes.get(inode)?, *pid, *inode, *fd));
            let held = known.len();
            known.extend(e.fds.sockets.iter().filter_map(rank_of));
            if let Some(first) = known[held..].iter().map(|k| k.0).min() {
                owners.push((first, *pid));
            }
            if e.scanned_ns == now || !e.is_scannable() || e.is_fd_hidden() {
                known.truncate(held);
            }
        }
        known.sort_unstable();
        let stale = self.stale_owners(table, &known, checked.budget_ns);
        if !stale.is_empty() {
            self.scan_all(table, bpf, &stale, sample);
        }
        owners.sort_unstable();
        let mut names = checked.pids;
        names.extend(owners.into_iter().map(|(_, pid)| pid));
        if matches!(sample.wants.verify, Verify::All) {
            names.extend(table.entries().keys());
        }
        let began = stamp().boot_ns;
        for pid in names {
            if stamp().boot_ns.saturating_sub(began) > checked.budget_ns {
                break;
            }
            if table.get(pid).is_some_and(|e| e.info_ns < now) {
                table.refresh_proc_info(pid);
            }
        }
    }

    /// Processes of which one of these descriptors refers to something else now.
    fn stale_owners(
        &mut self,
        table: &ProcessTable,
        known: &[(usize, u32, u64, u32)],
        budget_ns: u64,
    ) -> Vec<u32> {
        // So many that a scan of all descriptors of these processes costs no more.
        let scan_whole = known.len() > SHOWN_MAX && {
            let pids: FxHashSet<u32> = known.iter().map(|k| k.1).collect();
            let open = |pid: &u32| table.get(*pid).and_then(|e| e.fd_count.ok()).map_or(0, |n| n as usize);
            pids.iter().map(open).sum::<usize>() < 2 * known.len()
        };
        let mut stale: Vec<u32> = Vec::new();
        let began = stamp().boot_ns;
        for (_, pid, inode, fd) in known {
            if stamp().boot_ns.saturating_sub(began) > budget_ns {
                break;
            }
            let Some(e) = table.get(*pid) else { continue };
            if !scan_whole && (stale.contains(pid) || self.holds(table, *pid, e, *inode, *fd)) {
                continue;
            }
            stale.push(*pid);
        }
        stale.sort_unstable();
        stale.dedup();
        stale
    }

    /// True if this descriptor, in one of the tables of the process, still refers to the socket.
    fn holds(&mut self, table: &ProcessTable, pid: u32, e: &ProcEntry, inode: u64, fd: u32) -> bool {
        let Some(dir) = ProcDir::get(table.root(), pid, e.dir.as_ref()) else { return true };
        // Files registered with an `io_uring` are in one file with all others.
        fd != Owner::NO_FD && fd_scan::refers_to(&dir, &e.threads.tids, fd, inode, &mut self.bufs)
    }
}
