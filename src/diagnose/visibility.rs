//! What is out of sight on this machine, why, and what to do about it.

use crate::format::thousands;
use crate::model::{FaultKind, Missing, Snapshot};

/// How to see what the kernel hides from other users; a line that begins with blanks is to be written as it stands.
pub const MAY_LOOK: &str =
    "The kernel shows every socket to everybody, but which process holds it only to that \
process's user. To see all owners run it as root:
  sudo sockscope
or give the program the right to look, once:
  sudo setcap cap_sys_ptrace,cap_dac_read_search,cap_net_admin+ep \\
      $(command -v sockscope)
CAP_NET_ADMIN is for port forwards alone; with CAP_SYS_ADMIN it enters other network namespaces too.";

/// Something that is out of sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// What, why, and in a word what helps.
    pub said: String,
    /// What to do, in full.
    pub advice: &'static str,
}

/// What a snapshot could not see for want of privilege or because it is elsewhere, the most important first. What is
/// hidden by the nature of things (a `TIME_WAIT` socket has no owner) is not told.
pub fn hidden(snap: &Snapshot) -> Vec<Hidden> {
    let v = snap.sample.privileges;
    let mut out = Vec::new();
    let mut put = |said: String, advice| out.push(Hidden { said, advice });
    for (why, n) in &snap.hidden {
        let of = format!("{} {}", thousands(u64::from(*n)), if *n == 1 { "socket" } else { "sockets" });
        match why {
            Missing::NotPermitted if v.root => put(
                format!("owners of {of} hidden: root without CAP_SYS_PTRACE"),
                "Root in a container, or a service with fewer capabilities, may not look into processes that have more. \
                 Start the container with --cap-add=SYS_PTRACE, or run it on the host.",
            ),
            Missing::NotPermitted => put(
                format!("owners of {of} hidden: no privilege; sudo shows them"),
                "They are processes of other users.",
            ),
            Missing::NoVisibleProcess if v.hidepid => put(
                format!("owners of {of} hidden: /proc has hidepid; sudo shows them"),
                "/proc is mounted so that it lists only one's own processes (hidepid of proc(5)). Root sees all, and so does \
                 the group that the mount option gid= names.",
            ),
            Missing::NoVisibleProcess if v.nested => put(
                format!("owners of {of} in another pid namespace"),
                "From inside of a container only its own processes can be seen, though its sockets may be the host's. Run it \
                 on the host, or give the container the host's processes: --pid=host. Some may be the kernel's own.",
            ),
            _ => {}
        }
    }
    for f in snap.sample.faults.iter().filter(|f| f.kind == FaultKind::Namespace) {
        let help = if v.root { "" } else { "; sudo reads them" };
        put(
            format!("{f}{help}"),
            "What is in other network namespaces, as those of containers, is read by entering them, which needs \
             CAP_SYS_ADMIN. --netns here reads the own one alone and asks for none.",
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FaultSubject, Privileges};
    use crate::testing::snapshot;

    fn said(v: Privileges, hidden_by: Missing) -> Vec<String> {
        let mut snap = snapshot(vec![], vec![], &[]);
        snap.hidden = vec![(hidden_by, 1200)];
        snap.sample.privileges = v;
        snap.sample.faults.add(FaultKind::Namespace, FaultSubject::Namespaces, "web: not permitted");
        hidden(&snap).into_iter().map(|h| h.said).collect()
    }

    #[test]
    fn the_reason_and_what_helps_follow_from_where_one_looks() {
        let user = Privileges::default();
        let root = Privileges { root: true, ..user };
        let other = "network namespaces: not accessible: web: not permitted";
        for (v, why, want) in [
            (user, Missing::NotPermitted, "owners of 1,200 sockets hidden: no privilege; sudo shows them"),
            (root, Missing::NotPermitted, "owners of 1,200 sockets hidden: root without CAP_SYS_PTRACE"),
            (
                Privileges { hidepid: true, ..user },
                Missing::NoVisibleProcess,
                "owners of 1,200 sockets hidden: /proc has hidepid; sudo shows them",
            ),
            (
                Privileges { nested: true, ..root },
                Missing::NoVisibleProcess,
                "owners of 1,200 sockets in another pid namespace",
            ),
        ] {
            let got = said(v, why);
            assert_eq!(got[0], want);
            assert_eq!(got[1], format!("{other}{}", if v.root { "" } else { "; sudo reads them" }));
        }
        // The kernel's own sockets, and what is closing, are in their order.
        assert_eq!(said(root, Missing::NoVisibleProcess), [other]);
        assert_eq!(said(user, Missing::TimeWait).len(), 1);
    }
}
