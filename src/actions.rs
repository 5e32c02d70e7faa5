//! Actions on sockets and processes: close a socket, send a signal, change a limit. Each checks the identity that was shown,
//! so an action never hits what has reused a pid or a port since.

mod probe;

use crate::collect::procs;
use crate::collect::sock_diag;
use crate::model::lang::{noop, tr};
use crate::model::signal::SignalInfo;
use crate::model::text::escape;
use crate::model::{Namespace, ProcInfo, Socket};
use crate::msg;
use crate::privilege::is_from_file;
pub use probe::attempt;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getuid, pidfd_open, pidfd_send_signal, prlimit,
};
use std::io;

/// Reason an action failed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The system call failed.
    #[error("{}", msg!("{} {}: {}", tr(action), subject, source))]
    Io {
        /// The action.
        action: &'static str,
        /// The process or socket.
        subject: String,
        /// The system's error.
        source: io::Error,
    },
    /// The process has exited and its pid was reused.
    #[error("{}", msg!("{} has exited; its pid now belongs to another process", subject))]
    PidReused {
        /// The process.
        subject: String,
    },
    /// A privilege is missing.
    #[error("{}", msg!("{} {}: not permitted; requires {}", tr(action), subject, tr(needs)))]
    NotPermitted {
        /// The action.
        action: &'static str,
        /// The process or socket.
        subject: String,
        /// The missing privilege.
        needs: &'static str,
    },
    /// The kernel cannot do this to that socket.
    #[error("{subject}: {}", tr(reason))]
    Unsupported {
        /// The socket.
        subject: String,
        /// The reason.
        reason: &'static str,
    },
}

/// The action that raises an fd limit, as errors name it.
const SET_LIMIT: &str = noop("set the fd limit of");
/// The action that closes a socket, as errors name it.
const CLOSE: &str = noop("close");

/// A process held by a pidfd. A signal through it never reaches another process. It does not keep the number from being
/// reused: once the process has exited and been waited for, another one can have its pid. What takes a number
/// (`prlimit(2)`) is therefore done between two checks of the start time.
struct PinnedProcess {
    pid: Pid,
    pidfd: OwnedFd,
    /// Name and pid, as errors name it.
    subject: String,
}

impl PinnedProcess {
    /// Opens a pidfd (`pidfd_open(2)`) and then compares the start time.
    fn open(process: &ProcInfo) -> Result<Self, ActionError> {
        let subject = format!("{} {}", escape(&process.comm), process.pid);
        let open = || {
            let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
            Ok((pid, pidfd_open(pid, PidfdFlags::empty())?))
        };
        let (pid, pidfd) = match open() {
            Ok(opened) => opened,
            Err(e) => return Err(Self::error(subject, noop("find"), e)),
        };
        let target = Self { pid, pidfd, subject };
        if is_same(process) { Ok(target) } else { Err(ActionError::PidReused { subject: target.subject }) }
    }

    fn error(subject: String, action: &'static str, e: Errno) -> ActionError {
        let needs = match action {
            SET_LIMIT => noop("root, or the same user with CAP_SYS_RESOURCE"),
            _ => noop("root, or the user the process runs as"),
        };
        match e {
            Errno::PERM => ActionError::NotPermitted { action, subject, needs },
            e => ActionError::Io { action, subject, source: e.into() },
        }
    }
}

/// Returns true if the pid is still that of this process: same start time.
fn is_same(process: &ProcInfo) -> bool {
    procs::start_time_ns(process.pid) == Some(process.start_ns)
}

/// Sends a signal to a process.
pub fn send_signal(process: &ProcInfo, sig: SignalInfo) -> Result<(), ActionError> {
    let target = PinnedProcess::open(process)?;
    let sent = Signal::from_named_raw(sig.number)
        .ok_or(Errno::INVAL)
        .and_then(|number| pidfd_send_signal(&target.pidfd, number));
    sent.map_err(|e| PinnedProcess::error(target.subject, sig.name, e))
}

/// Sets the soft and hard fd limit of a process (`prlimit(2)`). Raising the hard limit needs `CAP_SYS_RESOURCE`.
pub fn set_fd_limit(process: &ProcInfo, (soft, hard): (u64, u64)) -> Result<(), ActionError> {
    let target = PinnedProcess::open(process)?;
    let limit = |n: u64| (n != u64::MAX).then_some(n);
    let new = Rlimit { current: limit(soft), maximum: limit(hard) };
    match prlimit(Some(target.pid), Resource::Nofile, new) {
        Ok(_) if is_same(process) => Ok(()),
        Ok(before) => {
            // The process exited in between. If another one has its pid by now, it gets its own limit back.
            let _ = prlimit(Some(target.pid), Resource::Nofile, before);
            Err(ActionError::PidReused { subject: target.subject })
        }
        Err(e) => Err(PinnedProcess::error(target.subject, SET_LIMIT, e)),
    }
}

/// Closes a socket (`SOCK_DESTROY`, `sock_diag(7)`): the application gets `ECONNABORTED`, the peer a RST. Needs `CAP_NET_ADMIN`
/// in the socket's network namespace and a kernel with `CONFIG_INET_DIAG_DESTROY`.
pub fn close_socket(socket: &Socket, namespaces: &[Namespace]) -> Result<(), ActionError> {
    let subject = format!("{} {} {}", socket.proto.name(), socket.local, socket.remote);
    if !socket.proto.is_inet() || socket.id.kernel_cookie().is_none() {
        let reason = noop("only IP sockets read via sock_diag can be closed; signal the process instead");
        return Err(ActionError::Unsupported { subject, reason });
    }
    // The capability of the file is not the user's: `ss -K` would refuse this user too.
    let close = || {
        // The request may come from the user, so that the uid is the one that the kernel has.
        if is_from_file() && sock_diag::uid_of(socket)? != getuid().as_raw() {
            return Ok(false);
        }
        sock_diag::destroy(socket).map(|()| true)
    };
    let closed = match namespaces.get(usize::from(socket.id.netns)) {
        Some(n) if socket.id.netns > 0 => crate::collect::netns::enter::inside(n.inode, close),
        _ => close(),
    };
    let closed = match closed {
        Ok(false) => {
            let needs = noop("root, or the user of the socket");
            return Err(ActionError::NotPermitted { action: CLOSE, subject, needs });
        }
        other => other.map(|_| ()),
    };
    closed.map_err(|source| match Errno::from_io_error(&source) {
        Some(Errno::PERM | Errno::ACCESS) => {
            ActionError::NotPermitted { action: CLOSE, subject, needs: noop("root, or CAP_NET_ADMIN") }
        }
        // A kernel without the option answers this.
        Some(Errno::OPNOTSUPP) => {
            let reason =
                noop("this kernel cannot close such sockets (CONFIG_INET_DIAG_DESTROY); signal the process instead");
            ActionError::Unsupported { subject, reason }
        }
        Some(Errno::NOENT) => {
            ActionError::Io { action: CLOSE, subject, source: io::Error::other(tr("already closed")) }
        }
        _ => ActionError::Io { action: CLOSE, subject, source },
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
    fn process_with_a_reused_pid_gets_no_signal() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().unwrap();
        let start = procs::start_time_ns(child.id()).unwrap();
        let term = SIGNALS[0];
        let e = send_signal(&info(child.id(), start + 1), term).unwrap_err();
        assert!(matches!(e, ActionError::PidReused { .. }), "{e}");
        assert!(child.try_wait().unwrap().is_none(), "still running");
        send_signal(&info(child.id(), start), term).unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
        assert!(send_signal(&info(child.id(), start), term).is_err());
    }
}
