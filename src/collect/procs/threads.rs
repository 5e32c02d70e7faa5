//! Which threads processes have (`/proc/PID/task`): they share its descriptors, unless they were made not to (clone(2)).

use super::{Procs, directory, fd_scan};
use crate::model::Reads;
use crate::model::Sample;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, RawDir, openat};
use std::mem::MaybeUninit;
use std::path::Path;

impl Procs {
    /// Fills in the threads of the sample's processes, where they are wanted.
    pub(crate) fn threads(&self, sample: &mut Sample) {
        if !sample.wants.reads(Reads::THREADS) {
            return;
        }
        let of = |pid: u32| {
            let mut opened = None;
            let held = self.known.get(&pid).and_then(|k| k.dir.as_ref());
            directory(&self.root, pid, held, &mut opened).map(tids).unwrap_or_default()
        };
        sample.tids = sample.processes.iter().map(|p| of(p.info.pid)).collect();
    }
}

/// The threads of one process, read now.
pub(crate) fn now(pid: u32) -> Vec<u32> {
    let mut opened = None;
    directory(Path::new("/proc"), pid, None, &mut opened).map(tids).unwrap_or_default()
}

/// The ids below `task`, in order; none where the process is gone or its tree was captured without them.
fn tids(process: &OwnedFd) -> Vec<u32> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(task) = openat(process, "task", flags, Mode::empty()) else { return vec![] };
    let mut entries = [MaybeUninit::uninit(); 4096];
    let mut dir = RawDir::new(&task, &mut entries);
    let mut all = Vec::new();
    while let Some(Ok(entry)) = dir.next() {
        all.extend(fd_scan::number(entry.file_name().to_bytes()));
    }
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendInfo, Reads, Wants};
    use std::sync::Arc;

    #[test]
    fn this_process_has_this_thread() {
        let info = Arc::new(BackendInfo { backend: Backend::Netlink, why: String::new() });
        let wants = Wants::default().with(Reads::THREADS);
        let mut s = Sample::empty(crate::collect::stamp(), "h".into(), info, wants);
        let mut procs = Procs::new(Path::new("/proc"));
        procs.read(&mut s);
        let me = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        let at = s.processes.iter().position(|p| p.info.pid == std::process::id()).unwrap();
        assert_eq!(s.tids.len(), s.processes.len());
        assert!(s.tids[at].contains(&me) && s.tids[at].contains(&std::process::id()), "{:?}", s.tids[at]);
        let mut s = Sample { wants: Wants::default(), ..s };
        (s.tids, s.processes) = (Vec::new(), Vec::new());
        procs.read(&mut s);
        assert!(s.tids.is_empty(), "read only where it is asked for");
    }
}
