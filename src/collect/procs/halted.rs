//! Processes that do not run although clients wait for them: stopped, traced, frozen, or in uninterruptible sleep (proc(5),
//! field 3 of `/proc/PID/stat`; cgroups(7), freezer). Only owners of sockets with something in their queue are looked at.

use super::info;
use super::table::ProcessTable;
use crate::model::{Halted, Reads, Sample};
use rustc_hash::FxHashSet;
use rustix::fd::AsFd;
use std::path::Path;

/// Mount point of cgroups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Sets [`crate::model::Process::halted`] of the owners of sockets with a non-empty receive or accept queue.
pub(crate) fn fill(table: &ProcessTable, sample: &mut Sample) {
    if !sample.wants.reads(Reads::OWNERS) {
        return;
    }
    let queues = sample.counters.iter().flat_map(|c| &c.unix_queues).filter(|q| q.waiting > 0);
    let waiting =
        sample.sockets.iter().filter(|s| s.recv_q > 0).map(|s| s.inode).chain(queues.map(|q| q.inode));
    let mut wanted: FxHashSet<u32> = FxHashSet::default();
    for inode in waiting.filter(|i| *i != 0) {
        let begin = sample.owners.partition_point(|o| o.inode < inode);
        wanted.extend(sample.owners[begin..].iter().take_while(|o| o.inode == inode).map(|o| o.process));
    }
    let mut buf = Vec::new();
    for i in wanted {
        let Some(p) = sample.processes.get_mut(i as usize) else { continue };
        p.halted = table.dir(p.info.pid).and_then(|dir| read(dir, table.is_live(), &mut buf));
    }
}

/// The reason why the process with this directory does not run.
fn read(dir: impl AsFd, live: bool, buf: &mut Vec<u8>) -> Option<Halted> {
    let dir = dir.as_fd();
    info::slurp(dir, "stat", buf, 4096).ok()?;
    let state = info::stat(buf)?.state;
    match state {
        b'T' => return Some(Halted::Stopped),
        b't' => return Some(Halted::Traced),
        _ => {}
    }
    // Frozen by version 2 it sleeps (S), by version 1 uninterruptibly (D).
    if live && matches!(state, b'S' | b'D') && info::slurp(dir, "cgroup", buf, 1 << 16).is_ok() {
        let file = |p: String| std::fs::read_to_string(p).ok();
        if is_frozen(buf, &file) {
            return Some(Halted::Frozen);
        }
    }
    (state == b'D').then_some(Halted::Uninterruptible)
}

/// True if a cgroup of `/proc/PID/cgroup` is frozen: `frozen 1` in `cgroup.events`, or `FROZEN` in `freezer.state` of version 1.
fn is_frozen(cgroups: &[u8], read: &dyn Fn(String) -> Option<String>) -> bool {
    let text = String::from_utf8_lossy(cgroups);
    text.lines().any(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return false };
        if path == "/" {
            return false;
        }
        if controllers.is_empty() {
            let unified = Path::new(CGROUP_ROOT).join("cgroup.controllers").exists();
            let root = if unified { CGROUP_ROOT.to_owned() } else { format!("{CGROUP_ROOT}/unified") };
            return read(format!("{root}{path}/cgroup.events"))
                .is_some_and(|t| t.lines().any(|l| l == "frozen 1"));
        }
        controllers.split(',').any(|c| c == "freezer")
            && read(format!("{CGROUP_ROOT}/{controllers}{path}/freezer.state"))
                .is_some_and(|t| t.trim() == "FROZEN")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_cgroup_of_either_version_is_recognised() {
        let frozen = |cgroup: &str, file: &str, content: &str| {
            let read = |p: String| p.ends_with(file).then(|| content.to_owned());
            is_frozen(cgroup.as_bytes(), &read)
        };
        assert!(frozen("0::/a/b\n", "/a/b/cgroup.events", "populated 1\nfrozen 1\n"));
        assert!(!frozen("0::/a/b\n", "/a/b/cgroup.events", "populated 1\nfrozen 0\n"));
        assert!(frozen("7:freezer:/x\n0::/\n", "/freezer/x/freezer.state", "FROZEN\n"));
        assert!(!frozen("7:freezer:/x\n0::/\n", "/freezer/x/freezer.state", "THAWED\n"));
        assert!(!frozen("7:freezer:/\n0::/\nx\n", "", "FROZEN\nfrozen 1\n"), "the root is never frozen");
    }

    #[test]
    fn process_that_runs_is_not_halted() {
        let dir = super::super::proc_dir::ProcDir::get(Path::new("/proc"), std::process::id(), None).unwrap();
        assert!(!matches!(
            read(dir, true, &mut Vec::new()),
            Some(Halted::Stopped | Halted::Traced | Halted::Frozen)
        ));
    }
}
