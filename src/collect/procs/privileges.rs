//! From where this program looks: user, pid namespace, and how `/proc` is mounted.

use crate::model::Privileges;
use std::fs;

/// Inode of the first pid namespace (`PROC_PID_INIT_INO` of `include/linux/proc_ns.h`).
const FIRST: &str = "pid:[4026531836]";

/// Where we are. What cannot be told is taken as the usual.
pub(crate) fn here() -> Privileges {
    let root = rustix::process::geteuid().is_root();
    let space = fs::read_link("/proc/self/ns/pid").ok();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Privileges {
        root,
        nested: space.is_some_and(|s| s.as_os_str() != FIRST),
        hidepid: !root && hides(&mounts),
    }
}

/// Whether `/proc` hides the processes of others, by `mountinfo` (`proc_pid_mountinfo(5)`): the options of the file system
/// are the last field. The last mount on a place is the one that is seen.
fn hides(mountinfo: &str) -> bool {
    let of = |line: &str| {
        let (mount, fs) = line.split_once(" - ")?;
        let options = fs.split(' ').nth(2)?;
        (mount.split(' ').nth(4)? == "/proc").then(|| {
            options
                .split(',')
                .any(|o| matches!(o, "hidepid=2" | "hidepid=invisible" | "hidepid=4" | "hidepid=ptraceable"))
        })
    };
    mountinfo.lines().filter_map(of).next_back().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidepid_is_read_from_the_mount_on_proc() {
        let plain = "23 29 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw\n";
        let other = "90 29 0:99 / /jail/proc rw - proc proc rw,hidepid=invisible\n";
        assert!(!hides(plain) && !hides(other) && !hides(&format!("{plain}{other}")) && !hides("garbage"));
        for word in ["hidepid=2", "hidepid=invisible", "hidepid=ptraceable"] {
            let over = format!("{plain}91 23 0:22 / /proc rw,relatime - proc proc rw,gid=27,{word}\n{other}");
            assert!(hides(&over), "{word}");
        }
        let weaker = plain.replace("proc rw\n", "proc rw,hidepid=noaccess\n");
        assert!(!hides(&weaker), "they are seen, and refuse");
    }

    #[test]
    fn of_this_process() {
        let here = here();
        assert_eq!(here.root, rustix::process::geteuid().is_root());
        assert!(!(here.root && here.hidepid));
    }
}
