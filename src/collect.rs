//! Reading the machine: one trait, several backends.
//!
//! A [`Source`] makes [`Sample`]s. What is partly unreadable is in the sample as a counted fault; an error is only
//! what leaves nothing to show.

mod cgroups;
mod containers;
mod counters;
pub(crate) mod netfilter;
mod netlink;
pub(crate) mod netns;
pub mod portable;
pub mod probe;
pub mod proc_net;
pub mod procs;
pub mod scenario;
pub mod sock_diag;
mod synthetic_id;

use crate::model::{Netns, OwnersBy, Sample, Services, Stamp, Wants};
pub use containers::Engines;
use containers::{Asked, Named};
use netns::Spaces;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Which backend is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best that answers.
    Auto,
    /// [`sock_diag`].
    Netlink,
    /// `/proc/net`.
    Proc,
    /// `netstat2` and `sysinfo`.
    Portable,
}

/// Opens a backend over these network namespaces. Over a captured tree that is the one of `/proc/net`; of the others the
/// best that answers, with the reasons of those that did not. `owners` is how owners are to be found; `None`: by what
/// costs less. `engines`: whether containers get their names from those who run them.
pub fn open(
    choice: Choice,
    proc_root: Option<&Path>,
    netns: Netns,
    owners: Option<OwnersBy>,
    engines: Engines,
) -> Result<Box<dyn Source>, CollectError> {
    let live = Path::new("/proc");
    let asked = || "asked for".to_owned();
    if let Some(root) = proc_root.filter(|root| *root != live) {
        return Ok(Box::new(proc_net::ProcSource::new(root, "a captured tree".to_owned())?));
    }
    let asked_of = Asked::start(engines);
    // Whether there is such a namespace does not depend on who reads it.
    let spaces = Cell::new(netns::open(netns, asked_of.clone())?);
    let spaces = || spaces.replace(Spaces::new(Netns::Here));
    let netlink = |why| Ok(sock_diag::NetlinkSource::new(why)?.over(spaces()).owners_by(owners));
    let proc = |why| Ok(proc_net::ProcSource::new(live, why)?.over(spaces()).owners_by(owners));
    let source: Box<dyn Source> = match choice {
        _ if proc_root.is_some() => Box::new(proc(asked())?),
        Choice::Netlink => Box::new(netlink(asked())?),
        Choice::Proc => Box::new(proc(asked())?),
        Choice::Portable => Box::new(portable::PortableSource::new(asked())?),
        Choice::Auto => first_of(&[
            &|_| Ok(Box::new(netlink("sock_diag answers".to_owned())?)),
            &|why| Ok(Box::new(proc(why)?)),
            &|why| Ok(Box::new(portable::PortableSource::new(why)?)),
        ])?,
    };
    Ok(if engines == Engines::Off { source } else { Box::new(Named::new(source, asked_of)) })
}

/// Opens a backend; it is told why those before it did not open.
type Opener<'a> = &'a dyn Fn(String) -> Result<Box<dyn Source>, CollectError>;

/// The first that opens. Where none does, the error says why of each.
fn first_of(openers: &[Opener<'_>]) -> Result<Box<dyn Source>, CollectError> {
    let mut why: Vec<String> = Vec::new();
    for open in openers {
        match open(why.join("; ")) {
            Ok(source) => return Ok(source),
            Err(e) => why.push(e.to_string()),
        }
    }
    Err(CollectError::Unavailable { backend: "every backend", why: why.join("; ") })
}

/// The present moment.
pub fn stamp() -> Stamp {
    let ns = |clock| {
        let t = clock_gettime(clock);
        t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
    };
    Stamp { boot_ns: ns(ClockId::Boottime), unix_ns: ns(ClockId::Realtime) }
}

/// Names of ports and of IP protocols: those of this file (services(5)) and of `protocols` beside it (protocols(5)), or where
/// one cannot be read the names everybody uses.
pub fn services(file: &Path) -> Services {
    let text = |file: &Path| std::fs::read(file).map(|b| String::from_utf8_lossy(&b).into_owned());
    let ports = text(file).map_or_else(|_| Services::well_known().as_ref().clone(), |t| Services::parse(&t));
    ports.with_protocols(&text(&file.with_file_name("protocols")).unwrap_or_default())
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
    /// There is no such network namespace: its name and those that there are.
    #[error("no network namespace {name:?}; there are: {known}")]
    NoNamespace {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(subject: &str) -> CollectError {
        CollectError::io("open", subject, io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn a_backend_is_told_why_not_a_better_one() {
        let told = std::cell::RefCell::new(String::new());
        let third = |why: String| {
            told.replace(why);
            Err(broken("three"))
        };
        let all: [Opener<'_>; 3] = [&|_| Err(broken("one")), &|_| Err(broken("two")), &third];
        let e = first_of(&all).err().map(|e| e.to_string()).unwrap();
        assert_eq!(*told.borrow(), "open one: permission denied; open two: permission denied");
        assert_eq!(
            e,
            "every backend: open one: permission denied; open two: permission denied; open three: permission denied"
        );
    }

    #[test]
    fn each_says_what_it_is_and_why() {
        let of = |choice, root| {
            let s = open(choice, root, Netns::All, None, Engines::Off)
                .unwrap()
                .sample(&Wants::default())
                .unwrap();
            (s.backend.backend.name(), s.backend.why.clone())
        };
        assert_eq!(of(Choice::Proc, None), ("proc", "asked for".to_owned()));
        assert_eq!(of(Choice::Auto, Some(Path::new("/proc/"))), ("proc", "asked for".to_owned()));
        assert_eq!(of(Choice::Portable, None), ("portable", "asked for".to_owned()));
    }
}
