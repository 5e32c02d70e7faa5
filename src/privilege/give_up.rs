//! Giving up every privilege permanently: the process that reads keys, files and recordings needs none once another one reads the machine.

use super::{Capabilities, PrivilegeError, RESERVED};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use std::sync::atomic::Ordering;

/// User that this process becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Drops every capability from all sets of this process, and becomes this user if there is one. To be called before any thread is
/// started: all of it belongs to a thread. `execve(2)` gives nothing back (`no_new_privs`), and a process of the same user can neither
/// trace this one nor read its memory (`PR_SET_DUMPABLE`).
pub fn give_up(user: Option<&User>) -> Result<(), PrivilegeError> {
    let failed = |what| move |e: Errno| PrivilegeError::Kept(what, e);
    // Before: a process of the same user could trace this one as soon as it has no more capabilities than that.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("memory"))?;
    for bit in 0..u64::BITS {
        match remove_capability_from_bounding_set(Capabilities::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // The kernel has no more; or CAP_SETPCAP is missing, as with file capabilities: no_new_privs does the same then.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(e) => return Err(failed("the bounding set")(e)),
        }
    }
    // Before Linux 4.3 there is none.
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(e) => return Err(failed("the ambient set")(e)),
    }
    if let Some(user) = user {
        let groups: Vec<Gid> = user.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        set_thread_groups(&groups).map_err(failed("groups"))?;
        set_thread_res_gid(gid, gid, gid).map_err(failed("the group"))?;
        set_thread_res_uid(uid, uid, uid).map_err(failed("the user"))?;
    }
    let none = Capabilities::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(failed("capabilities"))?;
    set_no_new_privs(true).map_err(failed("privileges of programs"))?;
    // Another user id may have changed it (fs.suid_dumpable).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("memory"))?;
    let left = capabilities(None).map_err(failed("capabilities"))?;
    let is_back = user.is_some_and(|u| u.uid != 0) && set_thread_res_uid(None, Uid::ROOT, None).is_ok();
    if is_back || !(left.effective | left.permitted | left.inheritable).is_empty() {
        return Err(failed("capabilities")(Errno::PERM));
    }
    RESERVED.store(false, Ordering::Relaxed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_or_comes_back() {
        // Of a thread of its own: all of it belongs to a thread, but for the memory.
        std::thread::spawn(|| {
            let is_root = rustix::process::geteuid().is_root();
            let user = is_root.then(|| User { uid: 61_234, gid: 61_235, groups: vec![61_236] });
            give_up(user.as_ref()).unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let field = |name: &str| {
                let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
                line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            };
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(field(set), ["0000000000000000"], "{set}");
            }
            assert_eq!(field("NoNewPrivs:"), ["1"]);
            if is_root {
                assert_eq!(field("CapBnd:"), ["0000000000000000"]);
                assert_eq!(field("Uid:"), ["61234"; 4]);
                assert_eq!(field("Gid:"), ["61235"; 4]);
                assert_eq!(field("Groups:"), ["61236"]);
                assert!(set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_err());
            }
        })
        .join()
        .unwrap();
    }
}
