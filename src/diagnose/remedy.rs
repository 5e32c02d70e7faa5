//! Remedies for a limit: the next steps, and how to raise it permanently.

use super::fd_leak;
use crate::model::lang::tr;
use crate::model::limit::{Limit, LimitKind, LimitSubject};
use crate::model::{ProcInfo, Snapshot};
use crate::msg;

/// Steps to take, in order. A line that starts with blanks is for copying verbatim.
pub fn steps(snap: &Snapshot, row: usize) -> Vec<String> {
    let l = &snap.limits[row];
    let mut out = Vec::new();
    let process = l.process.map(|p| p as usize);
    match l.kind {
        LimitKind::Fds => {
            if let Some(p) = process {
                if fd_leak::is_leaking(snap, p) {
                    out.push(
                        tr("likely fd leak: a higher limit only delays it; find what grows, restart, then fix it")
                            .to_owned(),
                    );
                }
                out.extend(raise_fd_limit(snap, p, l.max));
            }
        }
        LimitKind::Accept => {
            let most = somaxconn(snap, l);
            if let (Some(max), Some(most), LimitSubject::Listener(..)) = (l.max, most, &l.subject) {
                if max >= most {
                    out.push(msg!(
                        "backlog capped by net.core.somaxconn = {}: raise it, then restart the application",
                        most
                    ));
                    out.push(format!("  sysctl -w net.core.somaxconn={}", most.saturating_mul(4).max(4096)));
                } else {
                    out.push(msg!(
                        "the application requested {} in listen(2), up to {} allowed: raise its setting (nginx: listen ... backlog=)",
                        max,
                        most
                    ));
                }
                out.push(
                    tr("if the queue stays full, accept() is too slow: add workers, or do less work per connection")
                        .to_owned(),
                );
            }
        }
        LimitKind::Ports => {
            out.push(
                tr("reuse connections (keep-alive, pooling): a closed one occupies its port for 60s in TIME_WAIT")
                    .to_owned(),
            );
            out.push(tr("or add source addresses, or widen the port range:").to_owned());
            out.push("  sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"".to_owned());
        }
        _ => out.extend(sysctl_line(l)),
    }
    out
}

/// `somaxconn` in the network namespace of a listener.
pub fn somaxconn(snap: &Snapshot, l: &Limit) -> Option<u64> {
    snap.sample.counters.as_ref()?.nets.iter().find(|n| n.netns == l.netns)?.somaxconn
}

/// The command that raises a limit set by one sysctl.
fn sysctl_line(l: &Limit) -> Option<String> {
    let name = match (l.kind, &l.subject) {
        (LimitKind::Files, _) => "fs.file-max",
        (LimitKind::TimeWait, _) => "net.ipv4.tcp_max_tw_buckets",
        (LimitKind::Orphans, _) => "net.ipv4.tcp_max_orphans",
        (LimitKind::Conntrack, _) => "net.netfilter.nf_conntrack_max",
        (LimitKind::Neighbours, LimitSubject::Neighbours(true)) => "net.ipv6.neigh.default.gc_thresh3",
        (LimitKind::Neighbours, _) => "net.ipv4.neigh.default.gc_thresh3",
        (LimitKind::InotifyInstances, _) => "fs.inotify.max_user_instances",
        (LimitKind::InotifyWatches, _) => "fs.inotify.max_user_watches",
        _ => return None,
    };
    Some(format!("  sysctl -w {name}={}", l.max?.saturating_mul(2)))
}

/// The systemd service of a process.
fn service(p: &ProcInfo) -> Option<&str> {
    p.cgroup.as_deref()?.rsplit('/').find(|part| part.ends_with(".service"))
}

/// Steps that raise the descriptor limit of a process, at runtime and permanently.
pub fn raise_fd_limit(snap: &Snapshot, process: usize, soft: Option<u64>) -> Vec<String> {
    let p = &snap.sample.processes[process].info;
    let doubled = soft.unwrap_or(1024).saturating_mul(2).min(snap.system().nr_open.unwrap_or(u64::MAX));
    let mut out = vec![tr("at runtime: L raises the limit of the running process").to_owned()];
    if let Some(unit) = service(p) {
        out.push(msg!(
            "permanently: systemctl edit {}, add these lines, then systemctl restart {}:",
            unit,
            unit
        ));
        out.push("  [Service]".to_owned());
        out.push(format!("  LimitNOFILE={doubled}"));
    } else {
        let user = snap.user(p.uid).map_or_else(|| p.uid.to_string(), str::to_owned);
        out.push(tr("permanently, in /etc/security/limits.conf (effective at next login):").to_owned());
        out.push(format!("  {user} soft nofile {doubled}"));
        // A sufficient hard limit is not lowered.
        let hard = snap.fds(process).ok().and_then(|u| u.hard);
        if hard.is_some_and(|h| h < doubled) {
            out.push(format!("  {user} hard nofile {doubled}"));
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
    fn permanent_fd_limit_is_set_in_the_unit_or_for_the_user() {
        let nginx = process(812, "nginx", 33, 10, 1024);
        let mut sh = process(9, "sh", 4_000_000, 10, 1024);
        let mut info = (*sh.info).clone();
        info.cgroup = Some("/user.slice".into());
        sh.info = Arc::new(info);
        let snap = snapshot(vec![], vec![nginx, sh], &[]);
        let unit = raise_fd_limit(&snap, 0, Some(1024)).join("\n");
        assert!(
            unit.contains("systemctl edit nginx.service") && unit.ends_with("\n  LimitNOFILE=2048"),
            "{unit}"
        );
        let user = raise_fd_limit(&snap, 1, Some(1024)).join("\n");
        assert!(user.contains("\n  4000000 soft nofile 2048") && !user.contains("hard"), "{user}");
    }
}
