//! Descriptor tables of a process: that of its main thread, which `/proc/PID/fd` lists, and those of threads that have their
//! own (`unshare(CLONE_FILES)`, `clone` without it), or that go on after the main thread has exited, in `/proc/PID/task/TID/fd`.
//!
//! Almost every process has one table, and for it a check has to cost next to nothing: the link count of `/proc/PID/task` is that
//! of its threads, and `kcmp(2)` compares the table of each with those found, in half a microsecond. It is asked when
//! a process is first seen, when it is scanned, and every [`RECHECK_NS`]. Where it is not available, tables that differ in
//! length or, up to [`COMPARED_MAX`] descriptors, in content are different.
//!
//! `RLIMIT_NOFILE` applies to each table, so the count of a process is that of its fullest one, and the owners of a socket
//! are the processes that have it in any.

use super::fd_count::{self, FdCounter};
use super::fd_scan::{self, Buffers, FdSet, thread_dir};
use super::kcmp::compare_fd_tables;
use super::proc_dir;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;

/// Time after which the threads of a process are compared again, nanoseconds.
pub(crate) const RECHECK_NS: u64 = 5_000_000_000;

/// Descriptors of all threads up to which tables of equal length are compared by their content, without `kcmp`.
const COMPARED_MAX: usize = 256;

/// Tables of a process besides that of its main thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadTables {
    /// One thread of each, sorted.
    pub(crate) tids: Vec<u32>,
    /// Descriptors of each table as last counted, that of the main thread first; empty without `tids`.
    pub(crate) counts: Vec<u32>,
    /// Time they were last looked for, nanoseconds after boot; 0: due.
    pub(crate) checked_ns: u64,
}

impl ThreadTables {
    /// Returns true if it is time to look for them again.
    pub(crate) const fn is_due(&self, now: u64) -> bool {
        self.checked_ns == 0 || now.saturating_sub(self.checked_ns) > RECHECK_NS
    }

    /// Directory of the fullest table below that of the process.
    pub(crate) fn fullest(&self) -> String {
        let fullest = (0..self.counts.len()).max_by_key(|i| self.counts[*i]);
        let tid = fullest.and_then(|i| self.tids.get(i.checked_sub(1)?));
        tid.map_or_else(|| "fd".to_owned(), |tid| thread_dir(*tid))
    }

    /// Completes a read that has the descriptors of every table but neither the threads they are of nor registered sockets:
    /// that of the bpf iterator.
    pub(crate) fn complete(
        &mut self,
        process: impl AsFd,
        pid: u32,
        mut fds: FdSet,
        counter: &mut FdCounter,
        by_kcmp: bool,
        bufs: &mut Buffers,
    ) -> FdSet {
        self.tids = find(&process, pid, by_kcmp, bufs);
        self.counts.clear();
        // A change during this read is found by the next count or scan.
        let _ = self.count(&process, counter);
        fds.tables.clone_from(&self.counts);
        let mut registered = Vec::new();
        let tables = std::iter::once("fd".to_owned()).chain(self.tids.iter().map(|tid| thread_dir(*tid)));
        for table in tables {
            for fd in &fds.rings {
                fd_scan::registered_sockets(&process, &format!("{table}info/{fd}"), &mut registered, bufs);
            }
            for fd in &fds.namespace_fds {
                let path = format!("{table}/{fd}");
                let inode = fd_scan::netns_target(&process, &path, bufs);
                fds.netns.extend(inode.map(|inode| (inode, path.into())));
            }
        }
        fds.add_registered(&registered);
        fds
    }

    /// Counts the descriptors of every table: the most of any, or `None` if the budget of this poll is used up.
    pub(crate) fn count(
        &mut self,
        process: impl AsFd,
        counter: &mut FdCounter,
    ) -> Result<Option<u32>, Errno> {
        let main = match counter.count(&process, "fd") {
            // The directory of an exited main thread belongs to root.
            Err(Errno::ACCESS | Errno::PERM) if !self.tids.is_empty() => Some(0),
            counted => counted?,
        };
        if self.tids.is_empty() {
            return Ok(main);
        }
        let Some(main) = main else { return Ok(None) };
        self.counts.clear();
        self.counts.push(main);
        for tid in &self.tids {
            match counter.count_now(&process, &thread_dir(*tid)) {
                Ok(n) => self.counts.push(n.unwrap_or(0)),
                Err(Errno::NOENT | Errno::SRCH) => {
                    self.counts.push(0);
                    self.checked_ns = 0;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(self.counts.iter().copied().max())
    }

    /// Descriptors numbered `first` or above, of the `most` in the fullest table by those below `first`.
    pub(crate) fn count_from(&self, process: impl AsFd, most: u32, first: u32) -> u32 {
        let mut tables = vec![(most, "fd".to_owned())];
        if let Some((main, threads)) = self.counts.split_first() {
            tables[0].0 = *main;
            tables.extend(threads.iter().copied().zip(self.tids.iter().map(|tid| thread_dir(*tid))));
            tables.sort_unstable_by_key(|(n, _)| std::cmp::Reverse(*n));
        }
        let mut below = 0;
        for (n, table) in tables {
            if n <= below {
                break;
            }
            below = below.max(n - fd_count::count_from(&process, &table, first).unwrap_or(0).min(n));
        }
        most - below.min(most)
    }
}

/// One thread of every table that is not that of the main thread, sorted; empty for nearly all processes. `by_kcmp`: pids are
/// those of this process's pid namespace.
pub(crate) fn find(process: impl AsFd, pid: u32, by_kcmp: bool, bufs: &mut Buffers) -> Vec<u32> {
    // "." and ".." of a directory, and one link from each thread's; some file systems of captured trees count none.
    if statat(&process, "task", AtFlags::empty()).is_ok_and(|s| s.st_nlink == 3) {
        return Vec::new();
    }
    let mut tids = proc_dir::tids(&process);
    tids.retain(|tid| *tid != pid);
    let by_order = if by_kcmp { by_kcmp_order(&process, pid, &tids) } else { None };
    by_order.unwrap_or_else(|| by_content(&process, &tids, bufs))
}

/// By `kcmp`; `None` where it is not available.
fn by_kcmp_order(process: impl AsFd, pid: u32, tids: &[u32]) -> Option<Vec<u32>> {
    // In the order of their tables.
    let mut distinct = vec![pid];
    for tid in tids {
        let mut failed = None;
        let at = distinct.binary_search_by(|known| {
            compare_fd_tables(*known, *tid).unwrap_or_else(|e| {
                failed = Some(e);
                std::cmp::Ordering::Equal
            })
        });
        match (failed, at) {
            (None, Err(at)) => distinct.insert(at, *tid),
            // Shared, or the thread has exited.
            (None | Some(Errno::SRCH), _) => {}
            // Another user's process: its tables may be counted, but neither compared nor read.
            (Some(Errno::PERM | Errno::ACCESS), _) if distinct.len() == 1 => {
                return Some(longer(process, tids));
            }
            (Some(_), _) => return None,
        }
    }
    distinct.retain(|tid| *tid != pid);
    distinct.sort_unstable();
    Some(distinct)
}

/// Threads with more descriptors than the main thread, one for each number of them: of all tables the fullest counts.
fn longer(process: impl AsFd, tids: &[u32]) -> Vec<u32> {
    let len = |table: &str| statat(&process, table, AtFlags::empty()).map_or(0, |s| s.st_size);
    let mut lengths = vec![len("fd")];
    let mut own = Vec::new();
    for tid in tids {
        let n = len(&thread_dir(*tid));
        if n > lengths[0] && !lengths.contains(&n) {
            lengths.push(n);
            own.push(*tid);
        }
    }
    own.sort_unstable();
    own
}

/// By the descriptors themselves. Tables of an exited main thread are empty, so any other differs.
fn by_content(process: impl AsFd, tids: &[u32], bufs: &mut Buffers) -> Vec<u32> {
    let len = |table: &str| statat(&process, table, AtFlags::empty()).map_or(0, |s| s.st_size);
    let main_len = len("fd");
    let mut known: Vec<FdSet> = Vec::new();
    let mut left = COMPARED_MAX;
    let mut own = Vec::new();
    for tid in tids {
        let dir = thread_dir(*tid);
        let n = len(&dir);
        // Tables that differ in length differ (Linux >= 6.2); those of threads are not compared with one another.
        if n > 0 && main_len > 0 && n != main_len {
            own.push(*tid);
            continue;
        }
        if known.is_empty() {
            known.push(fd_scan::scan_table(&process, "fd", bufs).unwrap_or_default());
        }
        if left == 0 {
            continue;
        }
        let Ok(table) = fd_scan::scan_table(&process, &dir, bufs) else { continue };
        left = left.saturating_sub(table.kinds.total().max(1) as usize);
        if !known.contains(&table) {
            own.push(*tid);
            known.push(table);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn thread_with_other_descriptors_has_its_own_table() {
        let dir = tempfile::tempdir().unwrap();
        let links = |at: &str, inodes: &[u32]| {
            fs::create_dir_all(dir.path().join(at)).unwrap();
            for (fd, inode) in inodes.iter().enumerate() {
                symlink(format!("socket:[{inode}]"), dir.path().join(at).join(fd.to_string())).unwrap();
            }
        };
        links("fd", &[1, 2]);
        links("task/7/fd", &[1, 2]);
        links("task/8/fd", &[1, 2]);
        let process = fs::File::open(dir.path()).unwrap();
        assert!(find(&process, 7, false, &mut Buffers::default()).is_empty(), "shared");
        links("task/9/fd", &[1, 3]);
        links("task/10/fd", &[1, 2, 3, 4]);
        links("task/11/fd", &[1, 3]);
        assert_eq!(find(&process, 7, false, &mut Buffers::default()), [9, 10]);
        let mut threads = ThreadTables { tids: vec![9, 10], ..ThreadTables::default() };
        let mut counter = FdCounter::new(false);
        counter.begin_poll();
        assert_eq!(threads.count(&process, &mut counter), Ok(Some(4)));
        assert_eq!((&*threads.counts, &*threads.fullest()), (&[2, 2, 4][..], "task/10/fd"));
        fs::remove_dir_all(dir.path().join("task/10")).unwrap();
        threads.checked_ns = 5;
        assert_eq!(threads.count(&process, &mut counter), Ok(Some(2)));
        assert!(threads.is_due(6), "a thread exited");
    }

    #[test]
    fn descriptor_numbered_above_the_limit_takes_no_number_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let table = |at: &str, fds: &[u32]| {
            fs::create_dir_all(dir.path().join(at).join("fd")).unwrap();
            for fd in fds {
                symlink("/dev/null", dir.path().join(at).join("fd").join(fd.to_string())).unwrap();
            }
        };
        table("", &[0, 1, 8, 9, 250]);
        table("task/7", &[0, 1, 2, 9]);
        let process = fs::File::open(dir.path()).unwrap();
        let one = ThreadTables::default();
        for (first, above) in [(0, 5), (1, 4), (9, 2), (10, 1), (250, 1), (251, 0)] {
            assert_eq!(one.count_from(&process, 5, first), above, "{first}");
        }
        // The limit applies to each table: that of the thread has three below 9, that of the process two below 8.
        let two = ThreadTables { tids: vec![7], counts: vec![5, 4], checked_ns: 1 };
        assert_eq!(two.count_from(&process, 5, 8), 2);
        // A table that is too short for the number is not listed.
        fs::write(dir.path().join("status"), "FDSize:\t64\n").unwrap();
        assert_eq!((one.count_from(&process, 5, 64), one.count_from(&process, 5, 63)), (0, 1));
    }

    #[test]
    fn threads_of_this_process_are_told_apart_by_kcmp() {
        let (ready, wait) = (std::sync::Barrier::new(3), std::sync::Barrier::new(3));
        let tid = || rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        let pid = std::process::id();
        let process = fs::File::open("/proc/self").unwrap();
        std::thread::scope(|scope| {
            let own = scope.spawn(|| {
                #[expect(deprecated, reason = "the descriptors of this thread are not used by another")]
                rustix::thread::unshare(rustix::thread::UnshareFlags::FILES).unwrap();
                ready.wait();
                wait.wait();
                tid()
            });
            scope.spawn(|| {
                ready.wait();
                wait.wait();
            });
            ready.wait();
            let found = find(&process, pid, true, &mut Buffers::default());
            wait.wait();
            assert_eq!(found, [own.join().unwrap()]);
        });
    }
}
