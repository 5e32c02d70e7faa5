//! Reads about one process or one socket for the details: too expensive to read for all of them at every poll.
//!
//! Each read of a process is followed by a check of its start time, so that the values of a process that reused the pid are
//! never shown.

use super::{netns, procs, sock_diag};
use crate::model::text::from_bytes;
use crate::model::{Missing, ProcInfo, Socket};
use crate::privilege::{BPF, PROCESSES, raise};
use std::io;
use std::os::unix::ffi::OsStrExt;

/// Reason why the working directory of a process is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The link could not be read.
    #[error("read {path}: {source}")]
    Read {
        /// The link in `/proc`.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The process has exited and its pid was reused.
    #[error("the process has exited")]
    Exited,
}

/// Returns true if this process still has its pid.
fn is_same(process: &ProcInfo) -> bool {
    procs::start_time_ns(process.pid) == Some(process.start_ns)
}

/// Working directory of a process (`/proc/PID/cwd`).
pub fn working_directory(process: &ProcInfo) -> Result<String, ProbeError> {
    let _raised = raise(PROCESSES);
    let path = format!("/proc/{}/cwd", process.pid);
    let target = std::fs::read_link(&path);
    if !is_same(process) {
        return Err(ProbeError::Exited);
    }
    let target = target.map_err(|source| ProbeError::Read { path, source })?;
    Ok(from_bytes(target.as_os_str().as_bytes()).into_owned())
}

/// Security contexts of a process, and of a socket it has open (descriptor and inode).
pub fn contexts(
    process: &ProcInfo,
    socket: Option<(u32, u64)>,
) -> (Result<String, Missing>, Result<String, Missing>) {
    let _raised = raise(PROCESSES);
    let contexts = procs::context::read_one(process.pid, socket);
    if is_same(process) { contexts } else { (Err(Missing::Gone), Err(Missing::Gone)) }
}

/// Thread ids of a process; empty if it has exited.
pub fn threads(process: &ProcInfo) -> Vec<u32> {
    let tids = procs::threads::read_one(process.pid);
    if is_same(process) { tids } else { vec![] }
}

/// BPF maps with storage for one IP socket (`sk_storage`): the id of each map and the size of the value in bytes. Needs
/// `CAP_BPF` in the initial user namespace. `netns` is the inode of the socket's network namespace, if it is another one.
pub fn bpf_maps(socket: &Socket, netns: Option<u64>) -> Result<Vec<(u32, u32)>, Missing> {
    let _raised = raise(BPF);
    let maps = match netns {
        Some(inode) => netns::enter::inside(inode, || sock_diag::bpf_maps(socket)),
        None => sock_diag::bpf_maps(socket),
    };
    maps.map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => Missing::NotPermitted,
        io::ErrorKind::NotFound => Missing::Gone,
        _ => Missing::NotReported,
    })
}
