//! Data collection: one trait, several backends.
//!
//! A [`Source`] produces [`Sample`](crate::model::Sample)s. A partial failure is counted in the sample as a fault; an error means that there is
//! nothing to show at all.

// The same condition as that of `aya` in Cargo.toml.
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
mod bpf;
mod cgroups;
mod containers;
mod counters;
mod dns;
mod events;
#[cfg(any(test, fuzzing))]
mod fuzz_sample;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod net_root;
pub(crate) mod netfilter;
mod netlink;
pub(crate) mod netns;
mod path;
pub mod portable;
pub mod probe;
mod proc_file;
pub mod proc_net;
pub mod procs;
mod recorded;
pub mod remote;
pub mod scenario;
pub mod sock_diag;
mod source;
mod synthetic_id;

use crate::model::{Netns, OwnersBy, Services};
use containers::{ContainerNames, EngineQueries};
pub use containers::{ENGINE_VARIABLES, Engines};
pub use events::EventMethod;
use netns::NetnsTable;
pub use path::{PathReader, cgroup_programs};
pub use recorded::RecordedSource;
pub use source::{CollectError, Source, host, stamp};
use std::cell::Cell;
use std::path::Path;

/// Requested backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best one available.
    Auto,
    /// [`sock_diag`].
    Netlink,
    /// `/proc/net`.
    Proc,
    /// `netstat2` and `sysinfo`.
    Portable,
}

/// Opens a backend for these network namespaces: the requested one, or the best one available, with the errors of the ones
/// tried before. A captured tree is always read by the `/proc/net` backend. `owners` is the method of finding owners; `None`:
/// the cheaper one. `engines`: whether to query container engines for names.
pub fn open(
    choice: Choice,
    proc_root: Option<&Path>,
    netns: Netns,
    owners: Option<OwnersBy>,
    events: EventMethod,
    engines: Engines,
) -> Result<Box<dyn Source>, CollectError> {
    let live = Path::new("/proc");
    let requested = || "requested".to_owned();
    if let Some(root) = proc_root.filter(|root| *root != live) {
        return Ok(Box::new(proc_net::ProcSource::new(root, "captured tree".to_owned())?));
    }
    let queries = EngineQueries::start(engines);
    // An unknown namespace is an error of any backend, so this is not left to the one that opens.
    let table = Cell::new(netns::open(netns, queries.clone())?);
    let table = || table.replace(NetnsTable::new(Netns::Here));
    let netlink =
        |why| Ok(sock_diag::NetlinkSource::new(why)?.with_netns(table()).owners_by(owners).events_by(events));
    let proc = |why| Ok(proc_net::ProcSource::new(live, why)?.over(table()).owners_by(owners));
    let source: Box<dyn Source> = match choice {
        _ if proc_root.is_some() => Box::new(proc(requested())?),
        Choice::Netlink => Box::new(netlink(requested())?),
        Choice::Proc => Box::new(proc(requested())?),
        Choice::Portable => Box::new(portable::PortableSource::new(requested())?),
        Choice::Auto => {
            open_first(&[&|why| Ok(Box::new(netlink(why)?)), &|why| Ok(Box::new(proc(why)?)), &|why| {
                Ok(Box::new(portable::PortableSource::new(why)?))
            }])?
        }
    };
    Ok(if engines == Engines::Off { source } else { Box::new(ContainerNames::new(source, queries)) })
}

/// Opens a backend; the argument has the errors of the ones tried before.
type Opener<'a> = &'a dyn Fn(String) -> Result<Box<dyn Source>, CollectError>;

/// Opens the first available backend. If there is none, the error has the reason of each.
fn open_first(openers: &[Opener<'_>]) -> Result<Box<dyn Source>, CollectError> {
    let mut why: Vec<String> = Vec::new();
    for open in openers {
        match open(why.join("; ")) {
            Ok(source) => return Ok(source),
            Err(e) => why.push(e.to_string()),
        }
    }
    Err(CollectError::Unavailable { backend: "no backend available", why: why.join("; ") })
}

/// Names of ports and IP protocols from this file (services(5)) and `protocols` in the same directory (protocols(5)), or
/// well-known ones if a file cannot be read.
pub fn services(file: &Path) -> Services {
    let read = |file: &Path| std::fs::read(file).map(|b| String::from_utf8_lossy(&b).into_owned());
    let ports = read(file).map_or_else(|_| Services::well_known().as_ref().clone(), |t| Services::parse(&t));
    ports.with_protocols(&read(&file.with_file_name("protocols")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wants;
    use std::io;

    fn broken(subject: &str) -> CollectError {
        CollectError::io("open", subject, io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn fallback_backend_gets_the_errors_of_those_before() {
        let passed = std::cell::RefCell::new(String::new());
        let third = |why: String| {
            passed.replace(why);
            Err(broken("three"))
        };
        let all: [Opener<'_>; 3] = [&|_| Err(broken("one")), &|_| Err(broken("two")), &third];
        let e = open_first(&all).err().map(|e| e.to_string()).unwrap();
        assert_eq!(*passed.borrow(), "open one: permission denied; open two: permission denied");
        assert_eq!(
            e,
            "no backend available: open one: permission denied; open two: permission denied; open three: permission denied"
        );
    }

    #[test]
    fn sample_names_its_backend_and_the_reason() {
        let backend = |choice, root| {
            let s = open(choice, root, Netns::All, None, EventMethod::Off, Engines::Off)
                .unwrap()
                .sample(&Wants::default())
                .unwrap();
            (s.backend.backend.name(), s.backend.reason.clone())
        };
        assert_eq!(backend(Choice::Proc, None), ("proc", "requested".to_owned()));
        assert_eq!(backend(Choice::Auto, Some(Path::new("/proc/"))), ("proc", "requested".to_owned()));
        assert_eq!(backend(Choice::Portable, None), ("portable", "requested".to_owned()));
    }
}
