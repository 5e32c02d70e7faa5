//! Processes that do not run although clients wait for them: stopped, traced, frozen, or in uninterruptible sleep (proc(5),
//! field 3 of `/proc/PID/stat`; cgroups(7), freezer). Only owners of sockets with something in their queue are looked at, unless all are wanted.

use super::info;
use super::table::ProcessTable;
use crate::model::{Halted, Reads, Sample};
use rustc_hash::FxHashSet;
use rustix::fd::AsFd;

/// Mount point of cgroups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Sets [`crate::model::Process::halted`] of the owners of sockets with a non-empty receive or accept queue, with
/// [`Reads::HALTED`] of all.
pub(crate) fn fill(table: &ProcessTable, sample: &mut Sample) {
    if !sample.wants.reads(Reads::OWNERS) {
        return;
    }
    let queues = sample.counters.iter().flat_map(|c| &c.listen_queues).filter(|q| q.waiting > 0);
    let all = sample.wants.reads(Reads::HALTED);
    let waiting =
        sample.sockets.iter().filter(|s| all || s.recv_q > 0).map(|s| s.inode).chain(queues.map(|q| q.inode));
    let mut wanted: FxHashSet<u32> = FxHashSet::default();
    for inode in waiting.filter(|i| *i != 0) {
        let begin = sample.owners.partition_point(|o| o.inode < inode);
        wanted.extend(sample.owners[begin..].iter().take_while(|o| o.inode == inode).map(|o| o.process));
    }
    let mut buf = Vec::new();
    for i in wanted {
        let Some(p) = sample.processes.get_mut(i as usize) else { continue };
        (p.halted, p.freezer) =
            match table.dir(p.info.pid).and_then(|dir| read(dir, table.is_live(), &mut buf)) {
                Some((halted, freezer)) => (Some(halted), freezer.map(Into::into)),
                None => (None, None),
            };
    }
}

/// The reason why the process with this directory does not run, and the file that freezes it.
fn read(dir: impl AsFd, live: bool, buf: &mut Vec<u8>) -> Option<(Halted, Option<String>)> {
    let dir = dir.as_fd();
    info::slurp(dir, "stat", buf, 4096).ok()?;
    let state = info::stat(buf)?.state;
    match state {
        b'T' => return Some((Halted::Stopped, None)),
        b't' => return Some((Halted::Traced, None)),
        _ => {}
    }
    // Frozen by version 2 it sleeps (S), by version 1 uninterruptibly (D).
    if live && matches!(state, b'S' | b'D') && info::slurp(dir, "cgroup", buf, 1 << 16).is_ok() {
        let file = |p: &str| std::fs::read_to_string(p).ok();
        if let Some(freezer) = freezer(buf, &file) {
            return Some((Halted::Frozen, Some(freezer)));
        }
    }
    (state == b'D').then_some((Halted::Uninterruptible, None))
}

/// The file that freezes a cgroup of `/proc/PID/cgroup` or one above it: `cgroup.freeze` with `frozen 1` in `cgroup.events`, or
/// `freezer.state` of version 1.
fn freezer(cgroups: &[u8], read: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let text = String::from_utf8_lossy(cgroups);
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        if path == "/" {
            return None;
        }
        // The cgroup, and those above it.
        let mut above = std::iter::successors(Some(path), |p| p.rsplit_once('/').map(|(up, _)| up));
        let set = |file: String, words: &[&str]| {
            read(&file).is_some_and(|t| words.contains(&t.trim())).then_some(file)
        };
        if controllers.is_empty() {
            let root = [CGROUP_ROOT.to_owned(), format!("{CGROUP_ROOT}/unified")];
            let root = root.into_iter().find(|r| {
                read(&format!("{r}{path}/cgroup.events")).is_some_and(|t| t.lines().any(|l| l == "frozen 1"))
            })?;
            return above.find_map(|p| set(format!("{root}{p}/cgroup.freeze"), &["1"]));
        }
        controllers.split(',').find(|c| *c == "freezer")?;
        let file = |p: &str, name| format!("{CGROUP_ROOT}/{controllers}{p}/{name}");
        set(file(path, "freezer.state"), &["FROZEN", "FREEZING"])?;
        above.find_map(|p| set(file(p, "freezer.self_freezing"), &["1"]).map(|_| file(p, "freezer.state")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn frozen_cgroup_of_either_version_is_recognised() {
        let freezer = |cgroup: &str, files: &[(&str, &str)]| {
            let read = |p: &str| {
                let found = files.iter().find(|(name, _)| p.strip_prefix(CGROUP_ROOT) == Some(*name));
                found.map(|(_, content)| format!("{content}\n"))
            };
            freezer(cgroup.as_bytes(), &read)
        };
        let v2 = [
            ("/a/b/cgroup.events", "populated 1\nfrozen 1"),
            ("/a/b/cgroup.freeze", "0"),
            ("/a/cgroup.freeze", "1"),
        ];
        assert_eq!(
            freezer("0::/a/b\n", &v2).as_deref(),
            Some("/sys/fs/cgroup/a/cgroup.freeze"),
            "the one above"
        );
        let hybrid = [("/unified/x/cgroup.events", "frozen 1"), ("/unified/x/cgroup.freeze", "1")];
        assert_eq!(freezer("0::/x\n", &hybrid).as_deref(), Some("/sys/fs/cgroup/unified/x/cgroup.freeze"));
        assert_eq!(freezer("0::/x\n", &[("/x/cgroup.events", "frozen 0")]), None);
        let v1 = [("/freezer/x/freezer.state", "FROZEN"), ("/freezer/x/freezer.self_freezing", "1")];
        assert_eq!(
            freezer("7:freezer:/x\n0::/\n", &v1).as_deref(),
            Some("/sys/fs/cgroup/freezer/x/freezer.state")
        );
        assert_eq!(freezer("7:freezer:/x\n", &[("/freezer/x/freezer.state", "THAWED")]), None);
        assert_eq!(freezer("7:freezer:/\n0::/\nx\n", &v1), None, "the root is never frozen");
    }

    #[test]
    fn process_that_runs_is_not_halted() {
        let dir = super::super::proc_dir::ProcDir::get(Path::new("/proc"), std::process::id(), None).unwrap();
        assert!(!matches!(
            read(dir, true, &mut Vec::new()),
            Some((Halted::Stopped | Halted::Traced | Halted::Frozen, _))
        ));
    }
}
