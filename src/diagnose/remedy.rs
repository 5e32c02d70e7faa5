//! What to do about a ceiling: the next step, and where a limit is set for good with the line to write.

use super::fd_leak;
use crate::model::limit::{Ceiling, Limit, Subject};
use crate::model::{ProcInfo, Snapshot};

/// The steps to take, the first thing first; a line that begins with blanks is to be written as it stands.
pub fn steps(snap: &Snapshot, row: usize) -> Vec<String> {
    let l = &snap.limits[row];
    let mut out = Vec::new();
    let process = l.process.map(|p| p as usize);
    match l.ceiling {
        Ceiling::Fds => {
            if let Some(p) = process {
                if fd_leak::leaks(snap, p) {
                    out.push(
                        "it looks like a leak: more room only buys time; see what grows, then restart or mend it"
                            .to_owned(),
                    );
                }
                out.extend(lasting(snap, p, l.max));
            }
        }
        Ceiling::Accept => {
            let most = somaxconn(snap, l);
            if let (Some(max), Some(most), Subject::Listener(..)) = (l.max, most, &l.subject) {
                if max >= most {
                    out.push(format!(
                        "its backlog is cut by net.core.somaxconn = {most}: raise that, then restart the program"
                    ));
                    out.push(format!("  sysctl -w net.core.somaxconn={}", most.saturating_mul(4).max(4096)));
                } else {
                    out.push(format!(
                        "the program asked for {max} in listen(2), and could have up to {most}: raise its own setting (nginx: listen ... backlog=)"
                    ));
                }
                out.push(
                    "if the queue stays full, it accepts too slowly: more workers, or less work a connection"
                        .to_owned(),
                );
            }
        }
        Ceiling::Ports => {
            out.push("reuse connections (keep-alive, a pool): each closed one blocks its port for a minute in TIME_WAIT".to_owned());
            out.push("or give it more source addresses, or more ports:".to_owned());
            out.push("  sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"".to_owned());
        }
        _ => out.extend(raising(l)),
    }
    out
}

/// `somaxconn` of the namespace of a listener.
pub fn somaxconn(snap: &Snapshot, l: &Limit) -> Option<u64> {
    snap.sample.counters.as_ref()?.nets.iter().find(|n| n.netns == l.netns)?.somaxconn
}

/// The line that raises a ceiling which is one number of sysctl.
fn raising(l: &Limit) -> Option<String> {
    let name = match (l.ceiling, &l.subject) {
        (Ceiling::Files, _) => "fs.file-max",
        (Ceiling::TimeWait, _) => "net.ipv4.tcp_max_tw_buckets",
        (Ceiling::Orphans, _) => "net.ipv4.tcp_max_orphans",
        (Ceiling::Conntrack, _) => "net.netfilter.nf_conntrack_max",
        (Ceiling::Neighbours, Subject::Neighbours(true)) => "net.ipv6.neigh.default.gc_thresh3",
        (Ceiling::Neighbours, _) => "net.ipv4.neigh.default.gc_thresh3",
        (Ceiling::InotifyInstances, _) => "fs.inotify.max_user_instances",
        (Ceiling::InotifyWatches, _) => "fs.inotify.max_user_watches",
        _ => return None,
    };
    Some(format!("  sysctl -w {name}={}", l.max?.saturating_mul(2)))
}

/// The service of systemd that a process runs in.
fn service(p: &ProcInfo) -> Option<&str> {
    p.cgroup.as_deref()?.rsplit('/').find(|part| part.ends_with(".service"))
}

/// Where a process's limit of descriptors is set: for now and for good, with the lines to write.
pub fn lasting(snap: &Snapshot, process: usize, soft: Option<u64>) -> Vec<String> {
    let p = &snap.sample.processes[process].info;
    let twice = soft.unwrap_or(1024).saturating_mul(2).min(snap.system().nr_open.unwrap_or(u64::MAX));
    let mut out = vec!["for now: L raises the limit of the running process".to_owned()];
    if let Some(unit) = service(p) {
        out.push(format!("for good: systemctl edit {unit}, write this, then systemctl restart {unit}:"));
        out.push("  [Service]".to_owned());
        out.push(format!("  LimitNOFILE={twice}"));
    } else {
        let user = snap.user(p.uid).map_or_else(|| p.uid.to_string(), str::to_owned);
        out.push("for good, in /etc/security/limits.conf, for the next login of its user:".to_owned());
        out.push(format!("  {user} soft nofile {twice}"));
        // A hard limit that is high enough already is not lowered.
        let hard = snap.fds(process).ok().and_then(|u| u.hard);
        if hard.is_some_and(|h| h < twice) {
            out.push(format!("  {user} hard nofile {twice}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{process, snapshot};
    use std::sync::Arc;

    #[test]
    fn the_lasting_place_is_the_units_or_the_users() {
        let nginx = process(812, "nginx", 33, 10, 1024);
        let mut sh = process(9, "sh", 4_000_000, 10, 1024);
        let mut info = (*sh.info).clone();
        info.cgroup = Some("/user.slice".into());
        sh.info = Arc::new(info);
        let snap = snapshot(vec![], vec![nginx, sh], &[]);
        let unit = lasting(&snap, 0, Some(1024)).join("\n");
        assert!(
            unit.contains("systemctl edit nginx.service") && unit.ends_with("\n  LimitNOFILE=2048"),
            "{unit}"
        );
        let user = lasting(&snap, 1, Some(1024)).join("\n");
        assert!(user.contains("\n  4000000 soft nofile 2048") && !user.contains("hard"), "{user}");
    }
}
