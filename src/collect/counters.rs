//! System and network counters and limits: `/proc/net` and `/proc/sys` (`proc_net(5)`, `tcp(7)`, `udp(7)`).

use super::proc_file;
use crate::model::limit::RESERVED_PIDS;
use crate::model::{Counters, FdKind, NetCounters, Process, Sample};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Reader of the counters below one `/proc`.
#[derive(Debug)]
pub(crate) struct Reader {
    root: PathBuf,
    /// Directory with the tables of the network namespace.
    net: PathBuf,
    page_size: u64,
    /// True if `/proc` is that of a PID namespace below the initial one.
    pid_ns_nested: bool,
    /// Number of polls so far.
    polls: u32,
    /// Cached between polls: inotify watches by uid.
    watches: Vec<(u32, u64)>,
    /// Cached between polls: current and maximum pids by cgroup.
    cgroup_pids: Vec<(Box<str>, u64, u64)>,
}

/// Polls between two reads of the values that take one file per process or cgroup.
const EXPENSIVE_POLLS: u32 = 5;
/// Mount point of cgroups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// Cgroups that are read.
const CGROUPS_MAX: usize = 500;

impl Reader {
    /// Reader below this root.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            // `/proc/net` is that of the process; a thread may be elsewhere.
            net: match root.join("thread-self/net") {
                net if root == Path::new("/proc") && net.is_dir() => net,
                _ => super::net_root::net_root(root).join("net"),
            },
            page_size: rustix::param::page_size() as u64,
            pid_ns_nested: false,
            polls: 0,
            watches: vec![],
            cgroup_pids: vec![],
        }
    }

    /// Reader of a `/proc` whose PID namespace is below the initial one, or not.
    #[must_use]
    pub(crate) const fn in_pid_ns(mut self, nested: bool) -> Self {
        self.pid_ns_nested = nested;
        self
    }

    /// Reads all counters; those of network namespaces are taken from the sample if it has them.
    pub(crate) fn read(&mut self, sample: &Sample, live: bool) -> Counters {
        if live && self.polls.is_multiple_of(EXPENSIVE_POLLS) {
            self.watches = self.watches_by_uid(&sample.processes);
            let own: BTreeSet<&str> =
                sample.processes.iter().filter_map(|p| p.info.cgroup.as_deref()).collect();
            let own = own.into_iter().take(CGROUPS_MAX);
            // The limit of a parent, such as `user-1000.slice`, applies to all below it.
            let paths: BTreeSet<&str> =
                own.flat_map(|p| Path::new(p).ancestors().filter_map(Path::to_str)).collect();
            let read = |p: &str| Self::cgroup_pids(p).map(|(n, max)| (Box::from(p), n, max));
            self.cgroup_pids = paths.into_iter().filter_map(read).collect();
        }
        self.polls = self.polls.wrapping_add(1);
        Counters {
            listen_queues: sample.counters.as_ref().map_or_else(Vec::new, |c| c.listen_queues.clone()),
            nets: sample.counters.as_ref().map_or_else(|| vec![self.net(0)], |c| c.nets.clone()),
            inotify_watches: self.watches.clone(),
            cgroups_unread: if live { cgroups_unread(&sample.processes) } else { None },
            cgroup_pids: self.cgroup_pids.clone(),
            ..self.system()
        }
    }

    /// inotify watches by uid, of the processes with inotify descriptors.
    fn watches_by_uid(&self, processes: &[Process]) -> Vec<(u32, u64)> {
        let mut out: BTreeMap<u32, u64> = BTreeMap::new();
        for p in processes {
            let kinds = p.fds.as_ref().ok().and_then(|u| u.kinds);
            if kinds.is_some_and(|k| k.get(FdKind::Inotify) > 0)
                && let Some(n) = self.inotify_watches(p.info.pid)
            {
                *out.entry(p.info.uid).or_default() += n;
            }
        }
        out.into_iter().collect()
    }

    fn text(&self, path: &str) -> Option<String> {
        proc_file::read(&self.root.join(path)).ok()
    }

    /// Error of reading a setting that every kernel has; `None` if it can be read.
    fn unread(&self, path: &str) -> Option<Box<str>> {
        let path = self.root.join(path);
        let e = proc_file::read(&path).err()?;
        Some(crate::model::text::strip_os_error(&format!("{}: {e}", path.display())).into())
    }

    fn word(&self, path: &str, n: usize) -> Option<u64> {
        self.text(path)?.split_ascii_whitespace().nth(n)?.parse().ok()
    }

    /// Tasks of the processes that this `/proc` shows: `task` has a link for each, beside its own two.
    fn tasks_here(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let is_pid = |name: &std::ffi::OsStr| name.to_str().is_some_and(|n| n.parse::<u32>().is_ok());
        let entries = std::fs::read_dir(&self.root).ok()?.flatten().filter(|e| is_pid(&e.file_name()));
        let tasks = |e: std::fs::DirEntry| std::fs::metadata(e.path().join("task")).map_or(0, |m| m.nlink());
        Some(entries.map(|e| tasks(e).saturating_sub(2)).sum())
    }

    /// Threads numbered below [`RESERVED_PIDS`]; `None` for a captured tree, which need not have threads.
    fn low_pids(&self) -> Option<u64> {
        let root = (self.root == Path::new("/proc")).then_some(&self.root)?;
        // `/proc` lists no threads besides the main ones, but it has their directories.
        Some((1..RESERVED_PIDS).filter(|pid| root.join(pid.to_string()).exists()).count() as u64)
    }

    /// System-wide counters.
    pub(crate) fn system(&self) -> Counters {
        let threads = self
            .text("loadavg")
            .and_then(|t| t.split_ascii_whitespace().nth(3)?.rsplit_once('/')?.1.parse().ok());
        let (pid_max, threads_max) =
            (self.word("sys/kernel/pid_max", 0), self.word("sys/kernel/threads-max", 0));
        // Such a namespace has a maximum of its own, while `loadavg` counts the tasks of the whole machine.
        let apart = self.pid_ns_nested && pid_max < threads_max && has_pid_max_per_namespace();
        // A millisecond, and of no use while many pids are left.
        let is_near = threads.zip(pid_max).is_some_and(|(n, max)| n > max / 2);
        let low_pids = if apart || is_near { self.low_pids() } else { None };
        let mut all = Counters { threads, pid_max, low_pids, threads_max, ..Counters::default() };
        if let Some((max, here)) = all.pids_max().zip(if apart { self.tasks_here() } else { None }) {
            if is_fuller((here, max), threads.zip(threads_max)) {
                (all.threads, all.threads_max) = (Some(here), None);
            } else {
                all.pid_max = None;
            }
        }
        let (inotify_instances_max, userns_inotify_instances) = self.inotify_max("instances");
        let (inotify_watches_max, userns_inotify_watches) = self.inotify_max("watches");
        Counters {
            sysctl_unread: self.unread("sys/kernel/pid_max"),
            inotify_instances_max,
            inotify_watches_max,
            userns_inotify_instances,
            userns_inotify_watches,
            ..all
        }
    }

    /// Maximum of inotify instances or watches, and whether it is that of the user namespace. The kernel counts in this namespace and
    /// in its parents, each with its own maximum; that of the initial one is the one below `fs`.
    fn inotify_max(&self, what: &str) -> (Option<u64>, bool) {
        let system = self.word(&format!("sys/fs/inotify/max_user_{what}"), 0);
        let here = self.word(&format!("sys/user/max_inotify_{what}"), 0);
        match (system, here) {
            (Some(system), Some(here)) if here < system => (Some(here), true),
            _ => (system, false),
        }
    }

    /// Counters of the network namespace of this thread.
    pub(crate) fn net(&self, netns: u16) -> NetCounters {
        let file = |name: &str| proc_file::read(&self.net.join(name)).unwrap_or_default();
        let (sockstat, netstat) = (file("sockstat"), file("netstat"));
        let (snmp, snmp6) = (file("snmp"), file("snmp6"));
        let pages = |n: Option<u64>| n.map(|n| n.saturating_mul(self.page_size));
        let ext = |name: &str| snmp_value(&netstat, "TcpExt:", name);
        let sys = |name: &str| self.word(&format!("sys/net/{name}"), 0);
        let memory = |name: &str, from: usize| {
            let path = format!("sys/net/ipv4/{name}");
            pages(self.word(&path, from)).zip(pages(self.word(&path, 2)))
        };
        let range = self.word("sys/net/ipv4/ip_local_port_range", 0);
        let range = range.zip(self.word("sys/net/ipv4/ip_local_port_range", 1));
        let reserved = port_ranges(&self.text("sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default());
        let ports = range.and_then(|(low, high)| {
            let (low, high) = (u16::try_from(low).ok()?, u16::try_from(high).ok()?);
            Some((low, high, reserved_within(&reserved, low, high)))
        });
        let rcvbuf = snmp_value(&snmp, "Udp:", "RcvbufErrors");
        NetCounters {
            netns,
            sysctl_unread: self.unread("sys/net/ipv4/ip_local_port_range"),
            time_wait: sockstat_value(&sockstat, "TCP:", "tw"),
            time_wait_max: sys("ipv4/tcp_max_tw_buckets"),
            orphans: sockstat_value(&sockstat, "TCP:", "orphan"),
            orphans_max: sys("ipv4/tcp_max_orphans"),
            tcp_mem: pages(sockstat_value(&sockstat, "TCP:", "mem")),
            tcp_mem_max: memory("tcp_mem", 1),
            udp_mem: pages(sockstat_value(&sockstat, "UDP:", "mem")),
            udp_mem_max: memory("udp_mem", 0),
            ports,
            reserved_ports: reserved,
            tw_reuse: sys("ipv4/tcp_tw_reuse"),
            somaxconn: sys("core/somaxconn"),
            listen_overflows: ext("ListenOverflows"),
            listen_drops: ext("ListenDrops"),
            syn_cookies: ext("TCPReqQFullDoCookies"),
            syn_drops: ext("TCPReqQFullDrop"),
            syn_backlog: sys("ipv4/tcp_max_syn_backlog"),
            udp_rcvbuf_errors: rcvbuf.map(|n| n + snmp6_value(&snmp6, "Udp6RcvbufErrors").unwrap_or(0)),
            conntrack: sys("netfilter/nf_conntrack_count"),
            conntrack_max: sys("netfilter/nf_conntrack_max"),
            neighbours6: hex_column(&file("stat/ndisc_cache"), "entries"),
            neighbours6_max: sys("ipv6/neigh/default/gc_thresh3"),
            neighbours: hex_column(&file("stat/arp_cache"), "entries"),
            neighbours_max: sys("ipv4/neigh/default/gc_thresh3"),
            // Counted by the netlink backend.
            neighbours_exempt: [None; 2],
            netlink_drops: summed_column(&file("netlink"), "Drops"),
        }
    }

    /// Current and maximum number of processes and threads of a cgroup; `None` without a limit.
    pub(crate) fn cgroup_pids(path: &str) -> Option<(u64, u64)> {
        // Version 2, or the pids hierarchy of version 1.
        let read = |name: &str| {
            let file = |root: &str| std::fs::read_to_string(format!("{root}{path}/{name}"));
            file(CGROUP_ROOT).or_else(|_| file(&format!("{CGROUP_ROOT}/pids"))).ok()
        };
        let max = read("pids.max")?.trim().parse().ok()?;
        Some((read("pids.current")?.trim().parse().ok()?, max))
    }

    /// inotify watches of a process: the `inotify` lines of its `fdinfo`. `None` if unreadable.
    pub(crate) fn inotify_watches(&self, pid: u32) -> Option<u64> {
        let proc = self.root.join(pid.to_string());
        let mut n = 0;
        for entry in std::fs::read_dir(proc.join("fd")).ok()?.flatten() {
            let link = std::fs::read_link(entry.path()).unwrap_or_default();
            if link.as_os_str() == "anon_inode:inotify" {
                let info = proc_file::read(&proc.join("fdinfo").join(entry.file_name()));
                n += info.unwrap_or_default().lines().filter(|l| l.starts_with("inotify ")).count() as u64;
            }
        }
        Some(n)
    }
}

/// Reason why limits of cgroups cannot be read although processes are in cgroups.
fn cgroups_unread(processes: &[Process]) -> Option<Box<str>> {
    let root = Path::new(CGROUP_ROOT);
    let is_mounted = root.join("cgroup.controllers").exists() || root.join("pids").is_dir();
    let in_cgroup = || processes.iter().any(|p| p.info.cgroup.as_deref().is_some_and(|c| c != "/"));
    (!is_mounted && in_cgroup()).then(|| format!("no cgroups mounted at {CGROUP_ROOT}").into())
}

/// True if `pid_max` is that of the PID namespace (Linux 6.14), not that of the machine.
fn has_pid_max_per_namespace() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(14))
}

/// True if the first of two usages is a larger share of its maximum.
fn is_fuller(a: (u64, u64), b: Option<(u64, u64)>) -> bool {
    b.is_none_or(|b| u128::from(a.0) * u128::from(b.1) > u128::from(b.0) * u128::from(a.1))
}

/// Value of a key in `TCP: inuse 4 orphan 0 tw 0 alloc 6 mem 1`.
fn sockstat_value(text: &str, line: &str, key: &str) -> Option<u64> {
    let words = text.lines().find_map(|l| l.strip_prefix(line))?;
    words.split_ascii_whitespace().skip_while(|w| *w != key).nth(1)?.parse().ok()
}

/// Value of a key in a pair of lines with the same prefix: names, then numbers.
fn snmp_value(text: &str, prefix: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|l| l.starts_with(prefix));
    let at = lines.next()?.split_ascii_whitespace().position(|w| w == key)?;
    lines.next()?.split_ascii_whitespace().nth(at)?.parse().ok()
}

/// Value of a key in lines of a name and a number.
fn snmp6_value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.split_ascii_whitespace().next() == Some(key))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// First row of a hexadecimal column (the rows of all CPUs are the same).
fn hex_column(text: &str, title: &str) -> Option<u64> {
    let mut lines = text.lines();
    let at = lines.next()?.split_ascii_whitespace().position(|w| w == title)?;
    u64::from_str_radix(lines.next()?.split_ascii_whitespace().nth(at)?, 16).ok()
}

/// Sum of a column.
fn summed_column(text: &str, title: &str) -> Option<u64> {
    let mut lines = text.lines();
    let at = lines.next()?.split_ascii_whitespace().position(|w| w == title)?;
    Some(lines.filter_map(|l| l.split_ascii_whitespace().nth(at)?.parse::<u64>().ok()).sum())
}

/// Ranges of a list of ports such as `8080,9000-9010`.
fn port_ranges(list: &str) -> Vec<(u16, u16)> {
    let range = |p: &str| {
        let (a, b) = p.split_once('-').unwrap_or((p, p));
        Some((a.trim().parse().ok()?, b.trim().parse().ok()?))
    };
    list.trim().split(',').filter_map(range).collect()
}

/// Number of reserved ports of a range.
fn reserved_within(reserved: &[(u16, u16)], low: u16, high: u16) -> u32 {
    let overlap = |(a, b): &(u16, u16)| {
        let (a, b) = ((*a).max(low), (*b).min(high));
        (a <= b).then(|| u32::from(b - a) + 1)
    };
    reserved.iter().filter_map(overlap).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_found_in_each_table_format() {
        let sockstat = "sockets: used 150\nTCP: inuse 4 orphan 2 tw 7 alloc 6 mem 3\nUDP: inuse 1 mem 9\n";
        assert_eq!(sockstat_value(sockstat, "TCP:", "tw"), Some(7));
        assert_eq!(sockstat_value(sockstat, "UDP:", "mem"), Some(9));
        assert_eq!(sockstat_value(sockstat, "TCP:", "no"), None);
        let netstat = "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 1 42\nIpExt: a\nIpExt: 2\n";
        assert_eq!(snmp_value(netstat, "TcpExt:", "ListenOverflows"), Some(42));
        assert_eq!(snmp_value(netstat, "TcpExt:", "Later"), None);
        assert_eq!(snmp6_value("Udp6InErrors 1\nUdp6RcvbufErrors   5\n", "Udp6RcvbufErrors"), Some(5));
        assert_eq!(hex_column("entries  allocs\n0000001f 00000002\n", "entries"), Some(31));
        assert_eq!(summed_column("sk Eth Drops Inode\nx 0 3 9\ny 0 4 9\n", "Drops"), Some(7));
        assert_eq!(reserved_within(&port_ranges("80,40000-40009,61000-65535\n"), 32768, 61005), 16);
        assert_eq!(reserved_within(&port_ranges("\n"), 1, 65535), 0);
    }

    #[test]
    fn live_counters_are_read() {
        let r = Reader::new(Path::new("/proc"));
        let n = r.net(0);
        assert!(n.time_wait.is_some() && n.ports.is_some() && n.listen_overflows.is_some(), "{n:?}");
        let s = r.system();
        assert!(s.threads.is_some_and(|t| t > 0) && s.pid_max.is_some(), "{s:?}");
        assert_eq!(r.inotify_watches(u32::MAX), None);
    }
}
