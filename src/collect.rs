//! Reading the machine: one trait, several backends.
//!
//! A [`Source`] makes [`Sample`]s. What is partly unreadable is in the sample as a counted fault; an error is only
//! what leaves nothing to show.

mod cgroups;
pub mod netlink;
pub mod portable;
pub mod proc;
pub mod procs;
pub mod script;

use crate::model::{Sample, Services, Stamp, Wants};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Which backend is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best that answers.
    Auto,
    /// [`netlink`].
    Netlink,
    /// `/proc/net`.
    Proc,
    /// `netstat2` and `sysinfo`.
    Portable,
}

/// Opens a backend. Over a captured tree that is the one of `/proc/net`; of the others the best that answers, with the
/// reasons of those that did not.
pub fn open(choice: Choice, proc_root: Option<&Path>) -> Result<Box<dyn Source>, CollectError> {
    let asked = || "asked for".to_owned();
    if let Some(root) = proc_root {
        return Ok(Box::new(proc::ProcSource::new(root, "a captured tree".to_owned())?));
    }
    let live = Path::new("/proc");
    match choice {
        Choice::Netlink => Ok(Box::new(netlink::NetlinkSource::new(asked())?)),
        Choice::Proc => Ok(Box::new(proc::ProcSource::new(live, asked())?)),
        Choice::Portable => Ok(Box::new(portable::PortableSource::new(asked())?)),
        Choice::Auto => {
            let first = match netlink::NetlinkSource::new("sock_diag answers".to_owned()) {
                Ok(source) => return Ok(Box::new(source)),
                Err(e) => e.to_string(),
            };
            let second = match proc::ProcSource::new(live, first.clone()) {
                Ok(source) => return Ok(Box::new(source)),
                Err(e) => format!("{first}; {e}"),
            };
            Ok(Box::new(portable::PortableSource::new(second)?))
        }
    }
}

/// The present moment.
pub fn stamp() -> Stamp {
    let ns = |clock| {
        let t = clock_gettime(clock);
        t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
    };
    Stamp { boot_ns: ns(ClockId::Boottime), unix_ns: ns(ClockId::Realtime) }
}

/// Names of ports: those of this file (services(5)), or where it cannot be read the ones everybody uses.
pub fn services(file: &Path) -> Services {
    std::fs::read(file).map_or_else(
        |_| Services::well_known().as_ref().clone(),
        |b| Services::parse(&String::from_utf8_lossy(&b)),
    )
}

/// Name of this machine.
pub fn host() -> Arc<str> {
    rustix::system::uname().nodename().to_string_lossy().into()
}

/// Where samples come from.
pub trait Source: Send {
    /// Reads once what is wanted.
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError>;
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A system call failed: what was tried, on what, and the system's answer.
    #[error("{operation} {subject}: {source}")]
    Io {
        /// What was tried: `open`, `bind`, `dump`.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A backend has nothing to read here: its name and why.
    #[error("{backend}: {why}")]
    Unavailable {
        /// Which backend.
        backend: &'static str,
        /// Why.
        why: String,
    },
}

impl CollectError {
    /// An input or output error with its operation and subject.
    pub fn io(operation: &'static str, subject: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, subject: subject.into(), source: source.into() }
    }
}
