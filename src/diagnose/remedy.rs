//! Remedies for a limit: the next steps, and how to raise it now and permanently. None lowers a limit.

use super::fd_leak;
use crate::model::lang::tr;
use crate::model::limit::{Counters, Limit, LimitKind, LimitSubject};
use crate::model::{Halted, Proto, Snapshot};
use crate::msg;

/// File for permanent sysctl settings, see sysctl.d(5).
const SYSCTL_FILE: &str = "/etc/sysctl.d/60-local.conf";

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
            let is_listener =
                matches!(l.subject, LimitSubject::Listener(..) | LimitSubject::NamedListener(..));
            if let (Some(max), Some(most), true) = (l.max, somaxconn(snap, l), is_listener) {
                if max >= most {
                    out.push(msg!(
                        "backlog capped by net.core.somaxconn = {}: raise it, then restart the application",
                        most
                    ));
                    let value = most.saturating_mul(4).max(4096).min(i32::MAX as u64).max(most);
                    out.extend(sysctl(snap, l, "net.core.somaxconn", &value.to_string()));
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
        LimitKind::Ports => out.extend(ports(snap, l)),
        LimitKind::Halted => out.extend(process.and_then(|p| run_again(snap, p)).into_iter().flatten()),
        _ => {
            if let (Some(name), Some(max)) = (sysctl_name(snap, l), l.max) {
                out.extend(sysctl(snap, l, name, &max.saturating_mul(2).to_string()));
            }
        }
    }
    out
}

/// Steps that let a halted process run again.
fn run_again(snap: &Snapshot, process: usize) -> Option<Vec<String>> {
    let p = snap.sample.processes.get(process)?;
    let pid = p.info.pid;
    Some(match p.halted? {
        Halted::Stopped => vec![tr("continue it:").to_owned(), format!("  kill -CONT {pid}")],
        Halted::Traced => vec![
            tr("a debugger or strace has stopped it; detach it, its pid is TracerPid in:").to_owned(),
            format!("  grep TracerPid /proc/{pid}/status"),
        ],
        Halted::Frozen => vec![
            tr("thaw its cgroup:").to_owned(),
            match p.freezer.as_deref() {
                Some(file) if file.ends_with("freezer.state") => format!("  echo THAWED > {file}"),
                Some(file) => format!("  echo 0 > {file}"),
                None => format!("  cat /proc/{pid}/cgroup"),
            },
        ],
        Halted::Uninterruptible => vec![
            tr("where in the kernel it waits, mostly for a disk or network file system:").to_owned(),
            format!("  cat /proc/{pid}/stack"),
        ],
    })
}

/// Steps against the lack of ephemeral ports.
fn ports(snap: &Snapshot, l: &Limit) -> Vec<String> {
    let mut out = Vec::new();
    match l.subject {
        LimitSubject::LocalPorts(Proto::Tcp, _) => out.push(
            tr("set IP_BIND_ADDRESS_NO_PORT before bind: then ports are shared between destinations").to_owned(),
        ),
        LimitSubject::LocalPorts(..) => {
            out.push(tr("reuse sockets: each unconnected one occupies a port of its own").to_owned());
        }
        _ => out.push(
            tr("reuse connections (keep-alive, pooling): a closed one occupies its port for 60s in TIME_WAIT")
                .to_owned(),
        ),
    }
    let nets = snap.sample.counters.iter().flat_map(|c| &c.nets);
    let range = nets.into_iter().find(|n| n.netns == l.netns).and_then(|n| n.ports);
    // Never narrower than it is.
    let (low, high) = range.map_or((1024, u16::MAX), |(low, _, _)| (low.min(1024), u16::MAX));
    if range.is_some_and(|(a, b, _)| (a, b) == (low, high)) {
        out.push(tr("or add source addresses: the port range is as wide as it can be").to_owned());
    } else {
        out.push(tr("or add source addresses, or widen the port range:").to_owned());
        out.extend(sysctl(snap, l, "net.ipv4.ip_local_port_range", &format!("{low} {high}")));
    }
    out
}

/// `somaxconn` in the network namespace of a listener.
pub fn somaxconn(snap: &Snapshot, l: &Limit) -> Option<u64> {
    snap.sample.counters.as_ref()?.nets.iter().find(|n| n.netns == l.netns)?.somaxconn
}

/// The sysctl that sets a limit.
fn sysctl_name(snap: &Snapshot, l: &Limit) -> Option<&'static str> {
    let of_userns = |is: fn(&Counters) -> bool| snap.sample.counters.as_ref().is_some_and(is);
    Some(match (l.kind, &l.subject) {
        (LimitKind::Files, _) => "fs.file-max",
        (LimitKind::TimeWait, _) => "net.ipv4.tcp_max_tw_buckets",
        (LimitKind::Orphans, _) => "net.ipv4.tcp_max_orphans",
        (LimitKind::Conntrack, _) => "net.netfilter.nf_conntrack_max",
        (LimitKind::Neighbours, LimitSubject::Neighbours(true)) => "net.ipv6.neigh.default.gc_thresh3",
        (LimitKind::Neighbours, _) => "net.ipv4.neigh.default.gc_thresh3",
        (LimitKind::InotifyInstances, _) if of_userns(|c| c.userns_inotify_instances) => {
            "user.max_inotify_instances"
        }
        (LimitKind::InotifyInstances, _) => "fs.inotify.max_user_instances",
        (LimitKind::InotifyWatches, _) if of_userns(|c| c.userns_inotify_watches) => {
            "user.max_inotify_watches"
        }
        (LimitKind::InotifyWatches, _) => "fs.inotify.max_user_watches",
        _ => return None,
    })
}

/// Commands that set a sysctl now, in the network namespace of the limit, and permanently in that of the host.
fn sysctl(snap: &Snapshot, l: &Limit, name: &str, value: &str) -> Vec<String> {
    let quoted = if value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() };
    let set = format!("sysctl -w {name}={quoted}");
    if l.netns > 0 && name.starts_with("net.") {
        return vec![format!("  {}{set}", in_netns(snap, l))];
    }
    vec![format!("  {set}"), msg!("permanently, in {}:", SYSCTL_FILE), format!("  {name} = {value}")]
}

/// Prefix of a command that runs in the network namespace of a limit: by a process that is in it, or by its name.
fn in_netns(snap: &Snapshot, l: &Limit) -> String {
    let of_socket = || {
        let row =
            (0..snap.live).find(|r| snap.socket(*r).id.netns == l.netns && !snap.owners(*r).is_empty())?;
        snap.owners(row).first().map(|o| o.process)
    };
    let process = l.process.or_else(of_socket).and_then(|p| snap.sample.processes.get(p as usize));
    if let Some(p) = process {
        return format!("nsenter -t {} -n ", p.info.pid);
    }
    let Some(netns) = snap.sample.namespaces.get(usize::from(l.netns)) else {
        return "ip netns exec NAME ".to_owned();
    };
    match netns.pid() {
        Some(pid) => format!("nsenter -t {pid} -n "),
        None => format!("ip netns exec {} ", netns.name),
    }
}

/// The systemd service of a process: a system unit, or one of a user's manager.
fn service(cgroup: Option<&str>) -> Option<(&str, bool)> {
    let unit = cgroup?.rsplit('/').find(|part| part.ends_with(".service"))?;
    let is_user = cgroup?.split('/').any(|part| part.starts_with("user@")) && !unit.starts_with("user@");
    Some((unit, is_user))
}

/// `RLIMIT_NOFILE` in the words of prlimit(1) and systemd.exec(5).
fn limit_word(n: u64, infinity: &str) -> String {
    if n == u64::MAX { infinity.to_owned() } else { n.to_string() }
}

/// Steps that raise the descriptor limit of a process, at runtime and permanently. A process whose relatives have a higher
/// limit has set its own, which a unit does not change.
pub fn raise_fd_limit(snap: &Snapshot, process: usize, soft: Option<u64>) -> Vec<String> {
    let p = &snap.sample.processes[process].info;
    let soft = soft.unwrap_or(1024);
    let most = snap.system().nr_open.unwrap_or(u64::MAX);
    let raised = soft.saturating_mul(2).min(most).max(soft);
    // The hard limit is raised if it must be, and never lowered.
    let hard = snap.fds(process).ok().and_then(|u| u.hard).unwrap_or(raised).max(raised);
    let mut out = vec![
        tr("at runtime:").to_owned(),
        format!("  prlimit --pid {} --nofile={raised}:{}", p.pid, limit_word(hard, "unlimited")),
    ];
    let is_relative = |o: &crate::model::Process| {
        o.info.pid == p.ppid || o.info.ppid == p.ppid && p.ppid > 1 && o.info.comm == p.comm
    };
    let higher = snap.sample.processes.iter().filter(|o| is_relative(o) && o.info.pid > 1);
    let higher =
        higher.filter(|o| o.fds.as_ref().is_ok_and(|u| u.soft.is_some_and(|s| s > soft))).count() > 0;
    if higher {
        out.push(
            tr("permanently: the application set this limit itself, raise it there (nginx: worker_rlimit_nofile, memcached: -c)")
                .to_owned(),
        );
        return out;
    }
    if let Some((unit, is_user)) = service(p.cgroup.as_deref()) {
        let user = if is_user { " --user" } else { "" };
        out.push(msg!("permanently: systemctl{} edit {}, add:", user, unit));
        out.push("  [Service]".to_owned());
        out.push(format!("  LimitNOFILE={raised}:{}", limit_word(hard, "infinity")));
        out.push(tr("then:").to_owned());
        out.push(format!("  systemctl{user} restart {unit}"));
    } else {
        let user = snap.user(p.uid).map_or_else(|| p.uid.to_string(), str::to_owned);
        out.push(tr("permanently, in /etc/security/limits.conf (effective at next login):").to_owned());
        out.push(format!("  {user} soft nofile {raised}"));
        // A sufficient hard limit is not lowered.
        let old = snap.fds(process).ok().and_then(|u| u.hard);
        if old.is_some_and(|h| h < raised) {
            out.push(format!("  {user} hard nofile {raised}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::limit::{Counters, LIMIT_KINDS, NetCounters};
    use crate::model::{Addr, Endpoint, ProcInfo, Process};
    use crate::testing::{process, snapshot};
    use std::sync::Arc;

    fn in_cgroup(mut p: Process, cgroup: &str) -> Process {
        p.info = Arc::new(ProcInfo { cgroup: Some(cgroup.into()), ..(*p.info).clone() });
        p
    }

    #[test]
    fn permanent_fd_limit_is_set_in_the_unit_or_for_the_user() {
        let nginx = process(812, "nginx", 33, 10, 1024);
        let sh = in_cgroup(process(9, "sh", 4_000_000, 10, 1024), "/user.slice");
        let snap = snapshot(vec![], vec![nginx, sh], &[]);
        let unit = raise_fd_limit(&snap, 0, Some(1024)).join("\n");
        let want = "at runtime:\n  prlimit --pid 812 --nofile=2048:4096\npermanently: systemctl edit nginx.service, add:\n  \
                    [Service]\n  LimitNOFILE=2048:4096\nthen:\n  systemctl restart nginx.service";
        assert_eq!(unit, want);
        let user = raise_fd_limit(&snap, 1, Some(1024)).join("\n");
        assert!(user.contains("\n  4000000 soft nofile 2048") && !user.contains("hard"), "{user}");
    }

    #[test]
    fn limit_set_by_the_application_is_raised_in_its_configuration() {
        let master = process(811, "nginx", 0, 10, 4096);
        let mut worker = process(812, "nginx", 33, 10, 1024);
        worker.info = Arc::new(ProcInfo { ppid: 811, ..(*worker.info).clone() });
        let text = raise_fd_limit(&snapshot(vec![], vec![master, worker], &[]), 1, Some(1024)).join("\n");
        assert!(text.contains("worker_rlimit_nofile") && !text.contains("LimitNOFILE"), "{text}");
    }

    #[test]
    fn sysctl_of_another_namespace_is_set_there() {
        let mut snap = snapshot(vec![], vec![process(812, "nginx", 33, 10, 1024)], &[]);
        let named = |snap: &mut Snapshot, name: &str| {
            let here = snap.sample.namespaces[0].clone();
            let other = crate::model::Namespace { name: name.to_owned(), ..here.clone() };
            snap.sample.namespaces = vec![here, other].into();
        };
        let mut l = Limit::new(LimitKind::TimeWait, 1, LimitSubject::Net, 9, Some(10));
        snap.limits = vec![l.clone()];
        for (name, pid) in [("host", 1), ("unshare 21466", 21466)] {
            named(&mut snap, name);
            let set = format!("  nsenter -t {pid} -n sysctl -w net.ipv4.tcp_max_tw_buckets=20");
            assert_eq!(steps(&snap, 0), [set]);
        }
        named(&mut snap, "web");
        assert_eq!(steps(&snap, 0), ["  ip netns exec web sysctl -w net.ipv4.tcp_max_tw_buckets=20"]);
        l.process = Some(0);
        snap.limits = vec![l.clone()];
        assert_eq!(steps(&snap, 0), ["  nsenter -t 812 -n sysctl -w net.ipv4.tcp_max_tw_buckets=20"]);
        l.netns = 0;
        snap.limits = vec![l];
        let here = steps(&snap, 0).join("\n");
        assert!(
            here.contains("/etc/sysctl.d/") && here.ends_with("\n  net.ipv4.tcp_max_tw_buckets = 20"),
            "{here}"
        );
    }

    /// Every number that an advice sets, with the value that it replaces.
    #[test]
    fn no_advice_lowers_a_limit() {
        let four = Endpoint::new(Addr::ANY4, 80);
        for info in LIMIT_KINDS {
            for max in [1, 2, 8, 1000, 4096, 65_536, 1 << 20, u64::MAX / 2, u64::MAX - 1] {
                for (low, high) in [(1, 65_535), (1024, 65_535), (32_768, 60_999), (80, 90)] {
                    for (soft, hard) in
                        [(1, 1), (1, 1 << 20), (1024, 524_288), (1 << 20, 1 << 20), (max, u64::MAX)]
                    {
                        let mut p = process(812, "nginx", 33, 10, 1);
                        if let Ok(u) = &mut p.fds {
                            (u.soft, u.hard) = (Some(soft), Some(hard.max(soft)));
                        }
                        let mut user = in_cgroup(process(813, "sh", 33, 10, 1), "/");
                        user.fds = p.fds;
                        let mut snap = snapshot(vec![], vec![p, user], &[]);
                        snap.sample.system.nr_open = Some(1 << 20);
                        let net = NetCounters {
                            ports: Some((low, high, 0)),
                            somaxconn: Some(max),
                            ..NetCounters::default()
                        };
                        snap.sample.counters = Some(Counters { nets: vec![net], ..Counters::default() });
                        for (process, subject) in [
                            (0, LimitSubject::Net),
                            (0, LimitSubject::Neighbours(true)),
                            (0, LimitSubject::Listener(Proto::Tcp, four, 0)),
                            (0, LimitSubject::Route(Addr::ANY4, four)),
                            (1, LimitSubject::Process(813, 0)),
                        ] {
                            let max = if info.kind == LimitKind::Fds { soft } else { max };
                            let mut l = Limit::new(info.kind, 0, subject, max, Some(max));
                            l.process = Some(process);
                            snap.limits = vec![l];
                            for line in steps(&snap, 0).iter().filter(|l| l.starts_with("  ")) {
                                let current = (max, soft, hard.max(soft), low, high);
                                assert!(raises(line, current), "{line} lowers {current:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    /// True if no number of a line to copy is below the current one: a maximum, soft and hard limit, port range.
    fn raises(line: &str, (max, soft, hard, low, high): (u64, u64, u64, u16, u16)) -> bool {
        let number = |w: &str| match w.trim_matches('"') {
            "unlimited" | "infinity" => Some(u64::MAX),
            w => w.parse::<u64>().ok(),
        };
        let line = line.trim();
        if line == "[Service]" || line.starts_with("systemctl") {
            return true;
        }
        let value = line.rsplit_once('=').map_or(line, |(_, v)| v).trim();
        if line.starts_with("prlimit") || line.starts_with("LimitNOFILE") {
            let (s, h) = value.split_once(':').expect("soft and hard limit");
            return number(s) >= Some(soft) && number(h) >= Some(hard);
        }
        if line.contains(" nofile ") {
            let n = number(line.rsplit(' ').next().unwrap());
            return n >= Some(if line.contains(" hard ") { hard } else { soft });
        }
        if line.contains("ip_local_port_range") {
            let (a, b) = value.trim_matches('"').split_once(' ').expect("two ports");
            return number(a) <= Some(low.into()) && number(b) >= Some(high.into());
        }
        number(value) >= Some(max)
    }
}
