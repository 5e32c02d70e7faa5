//! Counting descriptors by listing, with a budget per poll.

use super::*;
use crate::model::{Backend, BackendInfo, Reads, Stamp, Wants};
use std::fs;
use std::os::unix::fs::symlink;

/// Adds a process with this many descriptors to a captured tree.
fn add_process(root: &Path, pid: u32, fds: u32) {
    let dir = root.join(pid.to_string());
    fs::create_dir_all(dir.join("fd")).unwrap();
    let stat = format!("{pid} (p) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {pid} 1 1");
    fs::write(dir.join("stat"), stat).unwrap();
    fs::write(dir.join("status"), "Name:\tp\nUid:\t33\t33\t33\t33\n").unwrap();
    let limits = "Max open files            1024                 4096                 files\n";
    fs::write(dir.join("limits"), limits).unwrap();
    for fd in 0..fds {
        let _ = symlink("/dev/null", dir.join("fd").join(fd.to_string()));
    }
}

/// Descriptor count of each process in one poll, and the time it was counted.
fn poll_counts(procs: &mut Procs) -> Vec<(Result<u32, Missing>, u64)> {
    let info = Arc::new(BackendInfo { backend: Backend::Proc, reason: String::new() });
    let wants = Wants::default().with(Reads::PROCESSES).without(Reads::OWNERS | Reads::FD_KINDS);
    let mut s = Sample::empty(crate::collect::source::stamp(), "h".into(), info, wants);
    procs.read(&mut s);
    let count = |p: &Process| {
        (p.fds.as_ref().map(|u| u.open).map_err(|m| *m), p.fds.as_ref().map_or(0, |u| u.open_at_ns))
    };
    s.processes.iter().map(count).collect()
}

#[test]
fn counting_within_a_budget_takes_turns_and_dates_each_count() {
    let dir = tempfile::tempdir().unwrap();
    for pid in 1..=5 {
        add_process(dir.path(), pid, 4);
    }
    let began = Stamp { boot_ns: crate::collect::source::stamp().boot_ns, unix_ns: 0 };
    let mut procs = Procs::new(dir.path()).counting_at_most(8);
    let counted = |all: &[(Result<u32, Missing>, u64)]| all.iter().filter(|(n, _)| *n == Ok(4)).count();
    let first = poll_counts(&mut procs);
    assert_eq!((first.len(), counted(&first)), (5, 2), "the budget covers two processes");
    assert!(first.iter().filter(|(n, _)| *n == Err(Missing::Pending)).count() == 3, "not counted is not 0");
    assert_eq!(counted(&poll_counts(&mut procs)), 4);
    let third = poll_counts(&mut procs);
    assert_eq!(counted(&third), 5);
    assert!(third.iter().all(|(_, at)| *at >= began.boot_ns));

    // Counts not renewed keep their time; a change is seen within three polls.
    let fourth = poll_counts(&mut procs);
    assert_eq!(fourth.iter().zip(&third).filter(|(a, b)| a.1 == b.1).count(), 3);
    add_process(dir.path(), 1, 9);
    assert!((0..3).any(|_| poll_counts(&mut procs)[0].0 == Ok(9)));

    // A process with more descriptors than the budget is counted too, and one that exited is removed.
    add_process(dir.path(), 2, 20);
    assert!((0..3).any(|_| poll_counts(&mut procs)[1].0 == Ok(20)));
    fs::remove_dir_all(dir.path().join("3")).unwrap();
    assert_eq!(poll_counts(&mut procs).len(), 4);
}

#[test]
fn process_without_read_permission_owns_nothing() {
    use crate::model::{Family, Proto, Socket, SocketId, State};
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    add_process(dir.path(), 7, 3);
    let fds = dir.path().join("7/fd");
    symlink("socket:[77]", fds.join("3")).unwrap();
    let mut procs = Procs::new(dir.path());
    let mut owners = || {
        let info = Arc::new(BackendInfo { backend: Backend::Proc, reason: String::new() });
        let mut s = Sample::empty(crate::collect::source::stamp(), "h".into(), info, Wants::default());
        let id = SocketId { netns: 0, cookie: 1 };
        s.sockets.push(Socket { inode: 77, ..Socket::new(id, Family::Inet, Proto::Tcp, State::Listen) });
        procs.read(&mut s);
        s.owners.iter().map(|o| (o.inode, o.fd)).collect::<Vec<_>>()
    };
    assert_eq!(owners(), [(77, 3)]);
    fs::set_permissions(&fds, fs::Permissions::from_mode(0o0)).unwrap();
    let after = std::thread::scope(|scope| {
        let read = || {
            // Root ignores permissions; capabilities are per thread.
            use rustix::thread::CapabilitySet as Set;
            let mut caps = rustix::thread::capabilities(None).unwrap();
            caps.effective.remove(Set::DAC_OVERRIDE | Set::DAC_READ_SEARCH);
            rustix::thread::set_capabilities(None, caps).unwrap();
            owners()
        };
        scope.spawn(read).join().unwrap()
    });
    fs::set_permissions(&fds, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(after, []);
}
