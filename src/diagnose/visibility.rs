//! Data hidden for lack of privilege, the reason, and the remedy.

use super::unjudged;
use crate::format::thousands;
use crate::model::lang::{noop, tr};
use crate::model::{FaultKind, FaultSubject, Missing, Snapshot};
use crate::msg;

/// Ways to see the owners of all sockets. A line that starts with blanks is for copying verbatim.
pub const PRIVILEGE_HELP: &str = noop(
    "Every user can list sockets, but only the owner of a process can see which sockets it has open. \
To see all owners run as root:
  sudo sockscope
or give the capabilities to a copy for one group, since it shows everyone who may execute it what it sees:
  sudo groupadd --system sockscope && sudo usermod -aG sockscope \"$USER\"
  sudo install -o root -g sockscope -m 0750 \"$(command -v sockscope)\" \\
      /usr/local/bin/sockscope
  sudo setcap cap_sys_ptrace,cap_dac_read_search,cap_net_admin+ep \\
      /usr/local/bin/sockscope
Then log in again.
CAP_NET_ADMIN is needed only for port forwards. CAP_SYS_ADMIN adds other network namespaces.",
);

/// Data that is hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Hidden data and the reason.
    pub summary: String,
    /// Explanation and remedy.
    pub advice: &'static str,
}

/// Data that a snapshot lacks because of missing privileges or because it is in another namespace, most important first. Data that
/// does not exist (a `TIME_WAIT` socket has no owner) is not listed.
pub fn hidden(snap: &Snapshot) -> Vec<Hidden> {
    let v = snap.sample.privileges;
    let mut out = Vec::new();
    let mut add = |summary: String, advice| out.push(Hidden { summary, advice });
    if let Some(fault) = snap.sample.faults.iter().find(|f| f.subject == FaultSubject::CollectorProcess) {
        add(
            msg!("collector process: {}; only what a user without privilege can read", fault.detail),
            tr(
                "The process that kept the privileges of this one was killed, failed or did not answer. The rows and the past stay; quit \
             and start sockscope again to see all owners, and to act.",
            ),
        );
    }
    for (why, n) in &snap.hidden {
        let n = thousands(u64::from(*n));
        let without = match n.as_str() {
            "1" => tr("1 socket without owner").to_owned(),
            n => msg!("{} sockets without owner", n),
        };
        match why {
            Missing::NotPermitted if v.root && v.ptrace => add(
                msg!("{}: access denied even to root", without),
                tr(
                    "Root with CAP_SYS_PTRACE cannot inspect processes of an outer user namespace, nor those that a security module \
                 (AppArmor, SELinux) protects. Run sockscope on the host, outside of any confinement.",
                ),
            ),
            Missing::NotPermitted if v.root => add(
                msg!("{}: no CAP_SYS_PTRACE", without),
                tr(
                    "Root in a container or in a restricted service cannot inspect processes that have more capabilities. \
                 Start the container with --cap-add=SYS_PTRACE, or run sockscope on the host.",
                ),
            ),
            Missing::NotPermitted => add(
                msg!("{}: run as root to see all owners", without),
                tr("The sockets belong to processes of other users."),
            ),
            Missing::NoVisibleProcess if v.hidepid => add(
                msg!("{}: /proc is mounted with hidepid, run as root to see all owners", without),
                tr(
                    "/proc is mounted with hidepid (see proc(5)) and lists only your own processes. Root sees all, and so does the \
                 group named by the mount option gid=.",
                ),
            ),
            Missing::NoVisibleProcess if v.nested => add(
                msg!("{}: in another PID namespace", without),
                tr(
                    "A container sees only its own processes, although it may share the network of the host. Run sockscope on the \
                 host, or start the container with --pid=host. Kernel sockets have no owner.",
                ),
            ),
            _ => {}
        }
    }
    for f in snap.sample.faults.iter().filter(|f| f.kind == FaultKind::Namespace) {
        let help = if v.root { "" } else { tr(", run as root to read them") };
        add(
            format!("{f}{help}"),
            tr(
                "Sockets of other network namespaces, such as those of containers, are read by entering them, which needs \
             CAP_SYS_ADMIN. --netns here reads only the current one.",
            ),
        );
    }
    let unjudged = unjudged::lines(snap, &|_| true);
    if !unjudged.is_empty() {
        add(
            msg!("limits not judged: {}", unjudged.join("; ")),
            tr("A limit that could not be read is not known to be ok: check reports it as UNKNOWN."),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Privileges;
    use crate::testing::snapshot;

    fn summaries(v: Privileges, hidden_by: Missing) -> Vec<String> {
        let mut snap = snapshot(vec![], vec![], &[]);
        snap.hidden = vec![(hidden_by, 1200)];
        snap.sample.privileges = v;
        snap.sample.faults.add(FaultKind::Namespace, FaultSubject::Namespaces, "web: not permitted");
        hidden(&snap).into_iter().map(|h| h.summary).collect()
    }

    #[test]
    fn hidden_owners_name_reason_and_remedy() {
        let user = Privileges::default();
        let root = Privileges { root: true, ..user };
        let other = "network namespaces: not accessible: web: not permitted";
        for (v, why, want) in [
            (user, Missing::NotPermitted, "1,200 sockets without owner: run as root to see all owners"),
            (root, Missing::NotPermitted, "1,200 sockets without owner: no CAP_SYS_PTRACE"),
            (
                Privileges { ptrace: true, ..root },
                Missing::NotPermitted,
                "1,200 sockets without owner: access denied even to root",
            ),
            (
                Privileges { hidepid: true, ..user },
                Missing::NoVisibleProcess,
                "1,200 sockets without owner: /proc is mounted with hidepid, run as root to see all owners",
            ),
            (
                Privileges { nested: true, ..root },
                Missing::NoVisibleProcess,
                "1,200 sockets without owner: in another PID namespace",
            ),
        ] {
            let got = summaries(v, why);
            assert_eq!(got[0], want);
            assert_eq!(got[1], format!("{other}{}", if v.root { "" } else { ", run as root to read them" }));
        }
        // Kernel sockets and closing sockets have no owner.
        assert_eq!(summaries(root, Missing::NoVisibleProcess), [other]);
        assert_eq!(summaries(user, Missing::TimeWait).len(), 1);
    }
}
