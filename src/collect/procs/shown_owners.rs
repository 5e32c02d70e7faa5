//! Owners of the sockets of a sample with few: checked in every poll, not only when a process shows a sign of change.

use super::bpf_owners::BpfOwners;
use super::fd_scan;
use super::proc_dir::ProcDir;
use super::scan_schedule::FdScanner;
use super::table::{ProcessTable, scan_time};
use crate::collect::source::stamp;
use crate::model::{Owner, Reads, Sample};
use rustc_hash::FxHashSet;

/// Most sockets of a sample whose owners are checked in every poll: about 6 ms of work.
const SOCKETS_MAX: usize = 2_000;
/// Time a poll may spend on the descriptors, and on the names, nanoseconds; needed on a busy machine only.
const BUDGET_NS: u64 = 50_000_000;

impl FdScanner {
    /// Checks that the known descriptors of the sample's sockets still refer to them, scans the processes of which one does not,
    /// and reads the names of their owners again.
    pub(crate) fn check_shown(&mut self, table: &mut ProcessTable, bpf: &mut BpfOwners, sample: &mut Sample) {
        let few = (1..=SOCKETS_MAX).contains(&sample.sockets.len());
        if !few || !table.is_live() || !sample.wants.reads(Reads::OWNERS) {
            return;
        }
        let now = scan_time(sample);
        let shown: FxHashSet<u64> = sample.sockets.iter().map(|s| s.inode).filter(|i| *i != 0).collect();
        let (mut stale, mut owners) = (Vec::new(), Vec::new());
        let began = stamp().boot_ns;
        for (pid, e) in table.entries() {
            let mut fds = e.fds.sockets.iter().filter(|(inode, _)| shown.contains(inode)).peekable();
            if fds.peek().is_none() {
                continue;
            }
            owners.push((e.info_ns, *pid));
            // Tables of threads and files of an io_uring are compared by count.
            if e.scanned_ns == now || !e.is_scannable() || e.is_fd_hidden() || !e.threads.tids.is_empty() {
                continue;
            }
            let Some(dir) = ProcDir::get(table.root(), *pid, e.dir.as_ref()) else { continue };
            let mut fds = fds.filter(|(_, fd)| *fd != Owner::NO_FD);
            if fds.any(|(inode, fd)| !fd_scan::refers_to(&dir, *fd, *inode, &mut self.bufs)) {
                stale.push(*pid);
            }
            if stamp().boot_ns.saturating_sub(began) > BUDGET_NS {
                break;
            }
        }
        if !stale.is_empty() {
            self.scan_all(table, bpf, &stale, sample);
        }
        owners.sort_unstable();
        let began = stamp().boot_ns;
        for (_, pid) in owners {
            if stamp().boot_ns.saturating_sub(began) > BUDGET_NS {
                break;
            }
            table.refresh_proc_info(pid);
        }
    }
}
