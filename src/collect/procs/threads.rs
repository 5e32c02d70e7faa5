//! Threads of processes (`/proc/PID/task`).

use super::proc_dir::{ProcDir, tids};
use super::table::ProcessTable;
use crate::model::{Reads, Sample};
use std::path::Path;

/// Fills in the threads of the sample's processes, if they are wanted.
pub(crate) fn fill(table: &ProcessTable, sample: &mut Sample) {
    if !sample.wants.reads(Reads::THREADS) {
        return;
    }
    let process_tids = |pid: u32| table.dir(pid).map(tids).unwrap_or_default();
    sample.tids = sample.processes.iter().map(|p| process_tids(p.info.pid)).collect();
}

/// Threads of one live process.
pub(crate) fn read_one(pid: u32) -> Vec<u32> {
    ProcDir::get(Path::new("/proc"), pid, None).map(tids).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Procs;
    use super::*;
    use crate::model::{Backend, BackendInfo, Reads, Wants};
    use std::sync::Arc;

    #[test]
    fn threads_are_listed_only_if_wanted() {
        let info = Arc::new(BackendInfo { backend: Backend::Netlink, reason: String::new() });
        let wants = Wants::default().with(Reads::THREADS);
        let mut s = Sample::empty(crate::collect::source::stamp(), "h".into(), info, wants);
        let mut procs = Procs::new(Path::new("/proc"));
        procs.read(&mut s);
        let me = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        let at = s.processes.iter().position(|p| p.info.pid == std::process::id()).unwrap();
        assert_eq!(s.tids.len(), s.processes.len());
        assert!(s.tids[at].contains(&me) && s.tids[at].contains(&std::process::id()), "{:?}", s.tids[at]);
        let mut s = Sample { wants: Wants::default(), ..s };
        (s.tids, s.processes) = (Vec::new(), Vec::new());
        procs.read(&mut s);
        assert!(s.tids.is_empty(), "not wanted, not read");
    }
}
