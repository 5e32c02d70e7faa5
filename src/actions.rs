//! Acting on what was read: ending one socket, signalling one process. Each is held to the identity that was shown,
//! so what took its number in the meantime is never hit.

use crate::collect::procs;
use crate::collect::sock_diag;
use crate::model::signal::Sig;
use crate::model::{Namespace, ProcInfo, Socket};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, pidfd_send_signal, prlimit};
use std::io;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The system refused, or the subject is gone.
    #[error("{what} {subject}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        subject: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process has the number now.
    #[error("{subject} has ended; another process has its number")]
    Other {
        /// Which process was meant.
        subject: String,
    },
    /// This program may not.
    #[error("not permitted, that needs {needs}: {what} {subject}")]
    NotPermitted {
        /// What was tried.
        what: &'static str,
        /// On what.
        subject: String,
        /// Which privilege is missing.
        needs: &'static str,
    },
    /// The kernel cannot do that here.
    #[error("{subject}: {why}")]
    Impossible {
        /// Which socket was meant.
        subject: String,
        /// Why not.
        why: &'static str,
    },
}

/// A process that is held while something is done to it: its number is not given to another one meanwhile.
struct Target {
    pid: Pid,
    held: OwnedFd,
    /// Name and pid, as it is called in an error.
    subject: String,
}

impl Target {
    /// Holds this process and no other: by a descriptor (`pidfd_open(2)`), while its start time is compared.
    fn hold(process: &ProcInfo) -> Result<Self, ActError> {
        let subject = format!("{} {}", crate::model::text::escape(&process.comm), process.pid);
        let found = || {
            let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
            Ok((pid, pidfd_open(pid, PidfdFlags::empty())?))
        };
        let (pid, held) = match found() {
            Ok(found) => found,
            Err(e) => return Err(Self::failed(subject, "find", e)),
        };
        if procs::start_time_ns(process.pid) != Some(process.start_ns) {
            return Err(ActError::Other { subject });
        }
        Ok(Self { pid, held, subject })
    }

    /// That this could not be done to it.
    fn failed(subject: String, what: &'static str, e: Errno) -> ActError {
        let needs = match what {
            "raise the limit of" => "root, or CAP_SYS_RESOURCE beside the same user",
            _ => "root, or the user it runs as",
        };
        match e {
            Errno::PERM => ActError::NotPermitted { what, subject, needs },
            e => ActError::Io { what, subject, source: e.into() },
        }
    }
}

/// Sends a signal to this process and no other.
pub fn signal(process: &ProcInfo, sig: Sig) -> Result<(), ActError> {
    let target = Target::hold(process)?;
    let sent = Signal::from_named_raw(sig.number)
        .ok_or(Errno::INVAL)
        .and_then(|number| pidfd_send_signal(&target.held, number));
    sent.map_err(|e| Target::failed(target.subject, sig.name, e))
}

/// Sets the soft and hard limit of the descriptors of this process and no other (`prlimit(2)`). Lowering is never asked
/// for; raising the hard one needs `CAP_SYS_RESOURCE`.
pub fn raise(process: &ProcInfo, (soft, hard): (u64, u64)) -> Result<(), ActError> {
    let target = Target::hold(process)?;
    let limit = |n: u64| (n != u64::MAX).then_some(n);
    let new = Rlimit { current: limit(soft), maximum: limit(hard) };
    prlimit(Some(target.pid), Resource::Nofile, new)
        .map_err(|e| Target::failed(target.subject, "raise the limit of", e))
        .map(|_| ())
}

/// Ends one socket (`SOCK_DESTROY`, `sock_diag(7))`: its program gets `ECONNABORTED`, its far end a reset. Needs
/// `CAP_NET_ADMIN` in its network namespace, which is one of these, and a kernel with `CONFIG_INET_DIAG_DESTROY`.
pub fn end(socket: &Socket, namespaces: &[Namespace]) -> Result<(), ActError> {
    let subject = format!("{} {} {}", socket.proto.name(), socket.local, socket.remote);
    if !socket.proto.is_inet() || socket.id.kernel_cookie().is_none() {
        let why = "only an IP socket that netlink told can be ended by itself; signal its process";
        return Err(ActError::Impossible { subject, why });
    }
    let done = match namespaces.get(usize::from(socket.id.netns)) {
        Some(n) if socket.id.netns > 0 => {
            crate::collect::netns::inside(n.inode, || sock_diag::destroy(socket))
        }
        _ => sock_diag::destroy(socket),
    };
    done.map_err(|source| match Errno::from_io_error(&source) {
        Some(Errno::PERM | Errno::ACCESS) => {
            ActError::NotPermitted { what: "end", subject, needs: "root, or CAP_NET_ADMIN here" }
        }
        // Without the option the kernel knows the order and no way to carry it out.
        Some(Errno::OPNOTSUPP) => {
            let why =
                "this kernel ends no socket of that kind (CONFIG_INET_DIAG_DESTROY); signal its process";
            ActError::Impossible { subject, why }
        }
        Some(Errno::NOENT) => {
            ActError::Io { what: "end", subject, source: io::Error::other("it has gone already") }
        }
        _ => ActError::Io { what: "end", subject, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::signal::SIGNALS;
    use std::io::Read;
    use std::process::{Command, Stdio};

    fn info(pid: u32, start_ns: u64) -> ProcInfo {
        ProcInfo { pid, ppid: 0, start_ns, comm: "x".into(), cmdline: "".into(), uid: 0, cgroup: None }
    }

    #[test]
    fn only_the_process_that_was_meant() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().unwrap();
        let start = procs::start_time_ns(child.id()).unwrap();
        let term = SIGNALS[0];
        let e = signal(&info(child.id(), start + 1), term).unwrap_err();
        assert!(matches!(e, ActError::Other { .. }), "{e}");
        assert!(child.try_wait().unwrap().is_none(), "it is still there");
        signal(&info(child.id(), start), term).unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
        assert!(signal(&info(child.id(), start), term).is_err());
    }
}
