//! Privileges of this process: used around the read that needs them, held in reserve otherwise.
//!
//! A program with file capabilities (`setcap(8)`) gives them to everyone who may execute it. So [`reserve`] clears the effective
//! set at the start, and [`raise`] makes single capabilities effective for one read: whatever a user names (a configuration file,
//! a captured tree, a scenario) is opened as that user would open it.
//!
//! Capabilities belong to a thread (`capabilities(7)`). A guard counts for the thread that made it and for the threads started
//! while it is held, which copy its sets: that is how a parallel read of `/proc` works under one guard. A thread started outside
//! of any guard starts without.

mod give_up;

pub use give_up::{User, give_up};
use rustix::io::Errno;
pub use rustix::thread::CapabilitySet as Capabilities;
use rustix::thread::{
    CapabilitySets, capabilities, capability_is_in_ambient_set, set_capabilities, set_no_new_privs,
};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

/// Descriptors, links and name space links of processes of other users (`/proc/PID`, `ptrace(2)` access mode checks).
pub const PROCESSES: Capabilities = Capabilities::SYS_PTRACE.union(Capabilities::DAC_READ_SEARCH);
/// Netlink requests that only an administrator of the network may send: rules, tracked connections, marks.
pub const NETWORK: Capabilities = Capabilities::NET_ADMIN;
/// Rules of iptables-legacy and the tables of `/proc/net` that only root may open.
pub const FIREWALL: Capabilities =
    Capabilities::NET_ADMIN.union(Capabilities::NET_RAW).union(Capabilities::DAC_READ_SEARCH);
/// Packet sockets (`packet(7)`), with a receive buffer above the limit of a user.
pub const PACKETS: Capabilities = Capabilities::NET_RAW.union(Capabilities::NET_ADMIN);
/// Entering the network namespace of another process (`setns(2)`), and opening it by its descriptors.
pub const NAMESPACES: Capabilities = PROCESSES.union(Capabilities::SYS_ADMIN).union(Capabilities::NET_ADMIN);
/// Loading the BPF program that reads owners, and reading it.
pub const BPF: Capabilities =
    Capabilities::BPF.union(Capabilities::PERFMON).union(Capabilities::SYS_ADMIN).union(PROCESSES);

/// True if the effective set was cleared and single capabilities are raised from the permitted set.
static RESERVED: AtomicBool = AtomicBool::new(false);
/// True if the executable file gave this process more than its user has.
static FROM_FILE: AtomicBool = AtomicBool::new(false);

/// Reason the program does not start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PrivilegeError {
    /// The file is setuid or setgid.
    #[error(
        "sockscope must not be setuid or setgid; give the file capabilities instead (see README, Privileges)"
    )]
    SetId,
    /// The system refused a change of the capability sets.
    #[error("clear the effective capabilities: {0}")]
    Refused(Errno),
    /// The system refused to take a privilege away.
    #[error("give up {0}: {1}")]
    Kept(&'static str, Errno),
}

/// Clears the effective capabilities of a user who is not root, to be called before any thread is started. After that
/// [`raise`] makes single ones effective. For root this does nothing: what root may read is no secret to root.
pub fn reserve() -> Result<(), PrivilegeError> {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    if user != rustix::process::geteuid() || group != rustix::process::getegid() {
        return Err(PrivilegeError::SetId);
    }
    let Ok(sets) = capabilities(None) else { return Ok(()) };
    if user.is_root() || sets.permitted.is_empty() {
        return Ok(());
    }
    let is_ambient = |c| capability_is_in_ambient_set(c).unwrap_or(false);
    let gained = sets.permitted.iter().any(|c| !is_ambient(c));
    set_effective(sets, Capabilities::empty()).map_err(PrivilegeError::Refused)?;
    RESERVED.store(true, Ordering::Relaxed);
    FROM_FILE.store(gained, Ordering::Relaxed);
    Ok(())
}

/// Forbids gaining more by `execve(2)` (`no_new_privs`) if the executable file gave capabilities. After it a program with file
/// capabilities has none, also this one: the collector process is started before.
pub fn forbid_gaining() -> Result<(), PrivilegeError> {
    if is_from_file() { set_no_new_privs(true).map_err(PrivilegeError::Refused) } else { Ok(()) }
}

/// Returns true if this process has a capability, effective or in reserve.
pub fn has_any() -> bool {
    capabilities(None).is_ok_and(|sets| !sets.permitted.is_empty())
}

/// Returns true if the executable file gave this process more than its user has (`AT_SECURE` of `getauxval(3)`): then what the
/// user asks for is checked against what the user may do alone.
pub fn is_from_file() -> bool {
    FROM_FILE.load(Ordering::Relaxed)
}

fn set_effective(sets: CapabilitySets, effective: Capabilities) -> Result<(), Errno> {
    set_capabilities(None, CapabilitySets { effective, ..sets })
}

/// Capabilities raised for the calling thread until this is dropped.
#[derive(Debug)]
#[must_use = "the capabilities are lowered when this is dropped"]
pub struct Raised {
    /// The sets before, if anything was changed.
    before: Option<CapabilitySets>,
    /// A guard stays in its thread, since capabilities belong to a thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // Lowering needs no privilege and cannot be refused.
            let _ = set_capabilities(None, before);
        }
    }
}

/// Makes those of these capabilities effective that this process has in reserve. Without any, or if the system refuses, the
/// read meets the permissions of the user and reports that itself.
pub fn raise(which: Capabilities) -> Raised {
    raise_if(true, which)
}

/// The same under a condition, such as that a tree is the live `/proc` and not a captured one.
pub fn raise_if(condition: bool, which: Capabilities) -> Raised {
    let mut before = None;
    if condition
        && RESERVED.load(Ordering::Relaxed)
        && let Ok(sets) = capabilities(None)
    {
        let effective = sets.effective | (sets.permitted & which);
        if effective != sets.effective && set_effective(sets, effective).is_ok() {
            before = Some(sets);
        }
    }
    Raised { before, _thread: PhantomData }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_raises_for_its_thread_and_those_started_under_it() {
        let effective = || capabilities(None).unwrap().effective;
        let all = capabilities(None).unwrap();
        if !all.permitted.contains(PROCESSES) {
            eprintln!("skipped: no capabilities to raise");
            return;
        }
        std::thread::spawn(move || {
            set_effective(all, Capabilities::empty()).unwrap();
            assert!(raise(PROCESSES).before.is_none(), "nothing was reserved");
            RESERVED.store(true, Ordering::Relaxed);
            {
                let _outer = raise(Capabilities::SYS_PTRACE);
                assert_eq!(effective(), Capabilities::SYS_PTRACE);
                {
                    let _inner = raise(PROCESSES);
                    assert_eq!(std::thread::spawn(effective).join().unwrap(), PROCESSES);
                }
                assert_eq!(effective(), Capabilities::SYS_PTRACE);
                let _no = raise_if(false, NETWORK);
                assert_eq!(effective(), Capabilities::SYS_PTRACE);
            }
            assert_eq!(effective(), Capabilities::empty());
            assert_eq!(std::thread::spawn(effective).join().unwrap(), Capabilities::empty());
            RESERVED.store(false, Ordering::Relaxed);
        })
        .join()
        .unwrap();
    }
}
