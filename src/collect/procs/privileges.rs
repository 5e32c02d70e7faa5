//! Privileges of this process: user, pid namespace, and `hidepid` of `/proc`.

use crate::model::Privileges;
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;

/// Link of the initial pid namespace (`PROC_PID_INIT_INO` of `include/linux/proc_ns.h`).
const INITIAL_PID_NS: &str = "pid:[4026531836]";

/// Privileges of this process. What cannot be read is taken as the default.
pub(crate) fn read() -> Privileges {
    let root = rustix::process::geteuid().is_root();
    let pid_ns = fs::read_link("/proc/self/ns/pid").ok();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Privileges {
        root,
        ptrace: capabilities(None).is_ok_and(|c| c.permitted.contains(CapabilitySet::SYS_PTRACE)),
        nested: pid_ns.is_some_and(|link| link.as_os_str() != INITIAL_PID_NS),
        hidepid: !root && has_hidepid(&mounts),
    }
}

/// Returns true if this process is in another pid namespace than the initial one, as in a container.
pub(crate) fn is_pid_ns_nested() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() != INITIAL_PID_NS)
}

/// Returns true if `/proc` hides other users' processes, by `mountinfo` (`proc_pid_mountinfo(5)`). The options of the file system
/// are its last field; of several mounts on one path the last one is visible.
fn has_hidepid(mountinfo: &str) -> bool {
    let proc_mount = |line: &str| {
        let (mount, fs) = line.split_once(" - ")?;
        let options = fs.split(' ').nth(2)?;
        (mount.split(' ').nth(4)? == "/proc").then(|| {
            options
                .split(',')
                .any(|o| matches!(o, "hidepid=2" | "hidepid=invisible" | "hidepid=4" | "hidepid=ptraceable"))
        })
    };
    mountinfo.lines().filter_map(proc_mount).next_back().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidepid_is_read_from_the_mount_on_proc() {
        let plain = "23 29 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw\n";
        let other = "90 29 0:99 / /jail/proc rw - proc proc rw,hidepid=invisible\n";
        assert!(
            !has_hidepid(plain)
                && !has_hidepid(other)
                && !has_hidepid(&format!("{plain}{other}"))
                && !has_hidepid("garbage")
        );
        for word in ["hidepid=2", "hidepid=invisible", "hidepid=ptraceable"] {
            let over = format!("{plain}91 23 0:22 / /proc rw,relatime - proc proc rw,gid=27,{word}\n{other}");
            assert!(has_hidepid(&over), "{word}");
        }
        let weaker = plain.replace("proc rw\n", "proc rw,hidepid=noaccess\n");
        assert!(!has_hidepid(&weaker), "visible, but not readable");
    }

    #[test]
    fn own_privileges_are_those_of_the_effective_user() {
        let own = read();
        assert_eq!(own.root, rustix::process::geteuid().is_root());
        assert!(!(own.root && own.hidepid));
    }
}
