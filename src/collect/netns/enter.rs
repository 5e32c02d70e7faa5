//! Entering a network namespace, and reporting those that could not be entered.

use super::{NetnsEntry, NetnsTable};
use crate::collect::procs::Keeper;
use crate::collect::source::stamp;
use crate::model::{FaultKind, FaultSubject, Faults, Netns};
use crate::privilege::{NAMESPACES, raise};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io;
use std::path::{Path, PathBuf};

/// Names listed in the report.
const NAMES_MAX: usize = 5;

/// Reason why a namespace was not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is gone.
    Gone,
    /// The system refused.
    Refused(Errno),
}

/// Calls `f` in the network namespace with this inode, in a thread that enters it and then ends.
pub(crate) fn inside<T: Send>(inode: u64, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let mut table = NetnsTable::new(Netns::All);
    table.refresh(stamp().boot_ns, &mut Faults::default());
    let entry = table.by_inode(inode).ok_or(io::ErrorKind::NotFound)?;
    entry.inside(f)
}

impl NetnsEntry {
    /// Calls `f` in the namespace, in a thread that enters it and then ends.
    pub(crate) fn inside<T: Send>(&self, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let work = || match self.enter() {
                Ok(()) => f(),
                Err(Refusal::Gone) => Err(io::ErrorKind::NotFound.into()),
                Err(Refusal::Refused(e)) => Err(e.into()),
            };
            let thread = std::thread::Builder::new().name("namespace".into()).spawn_scoped(scope, work)?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread into the namespace, until the thread ends. A process may have left the namespace, so the
    /// inode of the opened file is compared.
    pub(crate) fn enter(&self) -> Result<(), Refusal> {
        let _raised = raise(NAMESPACES);
        let paths = self.pids.iter().map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
        let mut refusal = Refusal::Gone;
        for path in self.mount.iter().map(|m| m.path.clone()).chain(paths) {
            match open_inode(&path, self.namespace.inode) {
                Ok(fd) => return setns(&fd).map_err(Refusal::Refused),
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(e) => refusal = Refusal::Refused(e),
            }
        }
        match self.held.as_ref().map(Keeper::open) {
            Some(Ok(fd)) if fstat(&fd).is_ok_and(|s| s.st_ino == self.namespace.inode) => {
                return setns(&fd).map_err(Refusal::Refused);
            }
            Some(Err(e)) if !matches!(e, Errno::NOENT | Errno::SRCH | Errno::BADF) => {
                refusal = Refusal::Refused(e);
            }
            _ => {}
        }
        Err(refusal)
    }
}

/// Opens the file of a namespace, if it is the one with this inode: pinned first, since the open of a file that was put in its
/// place can have an effect.
fn open_inode(path: &Path, inode: u64) -> Result<OwnedFd, Errno> {
    let pinned = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if fstat(&pinned)?.st_ino != inode {
        return Err(Errno::NOENT);
    }
    let open = |path: &Path| openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    match open(Path::new(&format!("/proc/self/fd/{}", pinned.as_raw_fd()))) {
        // The `/proc` of another pid namespace has no `self`.
        Err(Errno::NOENT) => open(path),
        opened => opened,
    }
}

fn setns(fd: &OwnedFd) -> Result<(), Errno> {
    move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::Network))
}

/// Counts the namespaces that were not entered: those that are gone, and by name those that were refused.
pub(crate) fn report(refused: &[(String, Refusal)], faults: &mut Faults) {
    let gone = refused.iter().filter(|(_, r)| *r == Refusal::Gone);
    faults.add_many(FaultKind::Vanished, FaultSubject::Namespaces, "", gone.count() as u32);
    let denied: Vec<(&str, Errno)> = refused
        .iter()
        .filter_map(|(n, r)| if let Refusal::Refused(e) = r { Some((n.as_str(), *e)) } else { None })
        .collect();
    let Some((_, errno)) = denied.first() else { return };
    let reason = match *errno {
        Errno::PERM | Errno::ACCESS => "not permitted, requires CAP_SYS_ADMIN".to_owned(),
        e => e.to_string(),
    };
    let mut names: Vec<&str> = denied.iter().take(NAMES_MAX).map(|(n, _)| *n).collect();
    let more = format!("{} more", denied.len() - names.len());
    if denied.len() > NAMES_MAX {
        names.push(&more);
    }
    let detail = format!("{}: {reason}", names.join(", "));
    faults.add_many(FaultKind::Namespace, FaultSubject::Namespaces, detail, denied.len() as u32);
}
