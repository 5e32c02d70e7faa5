//! Ceilings: what can run out, and what the kernel counts of it.

use super::addr::{Addr, Endpoint};
use super::proto::Proto;
use serde::{Deserialize, Serialize};

/// System-wide descriptor figures and tables, `None` where they could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SystemLimits {
    /// Open file descriptions on the system: first field of `/proc/sys/fs/file-nr`.
    pub files_open: Option<u64>,
    /// Their ceiling: `/proc/sys/fs/file-max`.
    pub files_max: Option<u64>,
    /// Maximum of any process's hard limit: `/proc/sys/fs/nr_open`.
    pub nr_open: Option<u64>,
    /// Maximum of every accept queue: `/proc/sys/net/core/somaxconn`.
    pub somaxconn: Option<u64>,
    /// Ports the kernel chooses from, first and last: `/proc/sys/net/ipv4/ip_local_port_range`.
    pub local_ports: Option<(u16, u16)>,
}

/// What the kernel counts beside the sockets, as it says it; `None` where that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Threads: the total of the fourth field of `/proc/loadavg`.
    pub threads: Option<u64>,
    /// `/proc/sys/kernel/pid_max`: pids go up to it.
    pub pid_max: Option<u64>,
    /// `/proc/sys/kernel/threads-max`.
    pub threads_max: Option<u64>,
    /// inotify instances a user may have: `/proc/sys/fs/inotify/max_user_instances`.
    pub inotify_instances_max: Option<u64>,
    /// inotify watches a user may have: `/proc/sys/fs/inotify/max_user_watches`.
    pub inotify_watches_max: Option<u64>,
    /// inotify watches by user id: the `inotify` lines of `/proc/PID/fdinfo`, of the processes that can be read.
    pub inotify_watches: Vec<(u32, u64)>,
    /// Processes and threads in control groups that have a limit: path, `pids.current`, `pids.max`.
    pub cgroup_pids: Vec<(Box<str>, u64, u64)>,
    /// By network namespace, beside [`super::Sample::namespaces`].
    pub nets: Vec<NetCounters>,
}

/// What the kernel counts in one network namespace. Memory is in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetCounters {
    /// Index of the namespace.
    pub netns: u16,
    /// `TIME_WAIT` sockets (`sockstat`: `tw`).
    pub time_wait: Option<u64>,
    /// `tcp_max_tw_buckets`.
    pub time_wait_max: Option<u64>,
    /// TCP sockets that no process holds (`sockstat`: `orphan`).
    pub orphans: Option<u64>,
    /// `tcp_max_orphans`.
    pub orphans_max: Option<u64>,
    /// Memory of TCP's buffers (`sockstat`: `mem`).
    pub tcp_mem: Option<u64>,
    /// Where pressure begins, and the ceiling (`tcp_mem`, second and third).
    pub tcp_mem_max: Option<(u64, u64)>,
    /// Memory of UDP's buffers.
    pub udp_mem: Option<u64>,
    /// Where pressure begins, and the ceiling (`udp_mem`).
    pub udp_mem_max: Option<(u64, u64)>,
    /// Ports the kernel chooses from, and how many of them are reserved (`ip_local_reserved_ports`).
    pub ports: Option<(u16, u16, u32)>,
    /// `somaxconn`.
    pub somaxconn: Option<u64>,
    /// Times a connection was complete and the accept queue full (`TcpExt: ListenOverflows`).
    pub listen_overflows: Option<u64>,
    /// Connection requests dropped by listeners for any reason (`TcpExt: ListenDrops`).
    pub listen_drops: Option<u64>,
    /// Times a full SYN queue was answered with cookies (`TcpExt: TCPReqQFullDoCookies`).
    pub syn_cookies: Option<u64>,
    /// Times a request was dropped because the SYN queue was full (`TcpExt: TCPReqQFullDrop`).
    pub syn_drops: Option<u64>,
    /// `tcp_max_syn_backlog`.
    pub syn_backlog: Option<u64>,
    /// Datagrams dropped because a receive buffer was full (`Udp` and `Udp6`: `RcvbufErrors`).
    pub udp_rcvbuf_errors: Option<u64>,
    /// Connections tracked (`nf_conntrack_count`).
    pub conntrack: Option<u64>,
    /// `nf_conntrack_max`.
    pub conntrack_max: Option<u64>,
    /// IPv4 neighbours (`/proc/net/stat/arp_cache`: `entries`).
    pub neighbours: Option<u64>,
    /// `neigh/default/gc_thresh3`.
    pub neighbours_max: Option<u64>,
    /// IPv6 neighbours (`/proc/net/stat/ndisc_cache`: `entries`); the table is one for all namespaces.
    #[serde(default)]
    pub neighbours6: Option<u64>,
    /// Its `neigh/default/gc_thresh3`, which only the first namespace has.
    #[serde(default)]
    pub neighbours6_max: Option<u64>,
    /// Messages that netlink sockets lost (`/proc/net/netlink`: `Drops`, summed).
    pub netlink_drops: Option<u64>,
}

/// A kind of ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LimitKind {
    /// Descriptors of a process.
    Fds,
    /// Connections that the far end has closed and a process has not.
    CloseWait,
    /// Open files of the system.
    Files,
    /// The accept queue of a listener.
    Accept,
    /// Half-open connections: of a listener those that are there, of a namespace those beyond the queue.
    Syn,
    /// Local ports towards one destination.
    Ports,
    /// `TIME_WAIT` sockets.
    TimeWait,
    /// Sockets without a process.
    Orphans,
    /// Tracked connections.
    Conntrack,
    /// TCP's memory.
    TcpMem,
    /// UDP's memory.
    UdpMem,
    /// Datagrams dropped by full receive buffers.
    Rcvbuf,
    /// The neighbour table.
    Neighbours,
    /// Messages dropped by netlink sockets.
    Netlink,
    /// inotify instances of a user.
    InotifyInstances,
    /// inotify watches of a user.
    InotifyWatches,
    /// Threads of the system.
    Threads,
    /// Processes and threads of a control group.
    CgroupPids,
}

/// What a kind of ceiling is called, means, and where it is set.
#[derive(Debug)]
pub struct LimitKindInfo {
    /// Which.
    pub kind: LimitKind,
    /// Its name: `check --only`, the column, the configuration.
    pub name: &'static str,
    /// What fills up, in a few words.
    pub title: &'static str,
    /// What happens when it is full, and what to do.
    pub help: &'static str,
    /// Where it is set.
    pub set_by: &'static str,
    /// Whether it counts losses and has no size of its own.
    pub counter: bool,
}

macro_rules! limit_kinds {
    ($($c:ident $name:literal $title:literal $counter:literal, $set:literal, $help:literal;)*) => {
        /// Every kind, in the order of the table.
        pub const LIMIT_KINDS: &[LimitKindInfo] = &[$(LimitKindInfo {
            kind: LimitKind::$c, name: $name, title: $title, help: $help, set_by: $set, counter: $counter,
        },)*];
    };
}

limit_kinds! {
    Fds "fds" "file descriptors" false, "RLIMIT_NOFILE: LimitNOFILE= of the unit, limits.conf, prlimit",
        "At the limit open, socket and accept fail with EMFILE, \"too many open files\". Raise the limit, or fix the descriptor leak.";
    CloseWait "close-wait" "CLOSE_WAIT connections" true, "the application: it must close connections that the peer has closed",
        "Each one holds a descriptor until the application closes it. If they grow, restart the application, then fix its connection cleanup.";
    Files "files" "open files (system)" false, "sysctl fs.file-max",
        "At the limit open and socket fail with ENFILE in every process. Find the process with the most descriptors, or raise the limit.";
    Accept "accept" "accept queue" false, "backlog of listen(2), at most sysctl net.core.somaxconn",
        "When it is full, new connections are dropped or delayed. The application accepts too slowly, or its backlog is too small.";
    Syn "syn" "SYN queue" true, "backlog of listen(2), sysctl net.ipv4.tcp_max_syn_backlog, tcp_syncookies",
        "Half-open connections beyond the queue are answered with SYN cookies or dropped: a SYN flood, or a burst of new clients.";
    Ports "ports" "ephemeral ports" false, "sysctl net.ipv4.ip_local_port_range, ip_local_reserved_ports",
        "At the limit connect to this destination fails with EADDRNOTAVAIL. Reuse connections, use more source addresses, or widen the range.";
    TimeWait "time-wait" "TIME_WAIT sockets" false, "sysctl net.ipv4.tcp_max_tw_buckets",
        "At the limit connections skip TIME_WAIT, and late segments can reach a new connection. Keep connections open longer.";
    Orphans "orphans" "orphaned sockets" false, "sysctl net.ipv4.tcp_max_orphans",
        "At the limit closing connections are reset. Usual causes: peers that disappeared, or a flood.";
    Conntrack "conntrack" "conntrack entries" false, "sysctl net.netfilter.nf_conntrack_max",
        "At the limit packets of new connections are dropped, \"nf_conntrack: table full\". Raise the limit, or exempt traffic with notrack.";
    TcpMem "tcp-mem" "TCP memory" false, "sysctl net.ipv4.tcp_mem",
        "At the limit buffers shrink and segments are dropped. Find sockets with large queues, or raise the limit.";
    UdpMem "udp-mem" "UDP memory" false, "sysctl net.ipv4.udp_mem",
        "At the limit datagrams are dropped. Find sockets with large receive queues, or raise the limit.";
    Rcvbuf "rcvbuf" "UDP receive drops" true, "SO_RCVBUF, sysctl net.core.rmem_max",
        "The application reads its datagrams too slowly, or its receive buffer is too small.";
    Neighbours "neighbours" "neighbour table" false, "sysctl net.ipv4.neigh.default.gc_thresh3",
        "At the limit hosts on the link are unreachable, \"neighbour table overflow\". Raise the limit, or split the network.";
    Netlink "netlink" "netlink drops" true, "SO_RCVBUF of the application",
        "An application reads its netlink socket too slowly and misses kernel events.";
    InotifyInstances "inotify" "inotify instances" false, "sysctl fs.inotify.max_user_instances",
        "At the limit inotify_init fails with EMFILE although descriptors are left.";
    InotifyWatches "inotify-watches" "inotify watches" false, "sysctl fs.inotify.max_user_watches",
        "At the limit inotify_add_watch fails with ENOSPC, \"no space left on device\", although the disk is not full.";
    Threads "threads" "threads (system)" false, "sysctl kernel.pid_max, kernel.threads-max",
        "At the limit fork and new threads fail with EAGAIN.";
    CgroupPids "pids" "tasks of a unit" false, "TasksMax= of the unit, pids.max",
        "At the limit fork and new threads fail with EAGAIN in this unit.";
}

impl LimitKind {
    /// What is said about it.
    pub fn info(self) -> &'static LimitKindInfo {
        &LIMIT_KINDS[self as usize]
    }

    /// By its name, `-` and `_` alike.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.replace('_', "-");
        LIMIT_KINDS.iter().find(|c| c.name.eq_ignore_ascii_case(&word)).map(|c| c.kind)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    #[default]
    #[serde(alias = "fine")]
    Ok,
    /// Worth a look.
    Warning,
    /// Full, or about to be.
    Critical,
}

impl Level {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Who or what a ceiling holds for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitSubject {
    /// The machine.
    System,
    /// A network namespace.
    Net,
    /// A process: pid and start.
    Process(u32, u64),
    /// A listener: protocol, endpoint, interface.
    Listener(Proto, Endpoint, u32),
    /// Connections from an address to an endpoint.
    Route(Addr, Endpoint),
    /// A user.
    User(u32),
    /// A control group.
    Cgroup(Box<str>),
    /// The neighbour table of a family: IPv6 or not.
    Neighbours(bool),
}

/// When something is full, seconds from now, if it goes on as it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullIn {
    /// At the earliest (the upper quartile of the slopes seen).
    pub low: f64,
    /// Most likely.
    pub likely: f64,
    /// At the latest (the lower quartile).
    pub high: f64,
    /// How long it has been watched, seconds.
    pub span: f64,
}

/// One ceiling and how near it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Which kind.
    pub kind: LimitKind,
    /// Namespace index.
    pub netns: u16,
    /// Of whom.
    pub subject: LimitSubject,
    /// Index of the process, where one can be named.
    pub process: Option<u32>,
    /// How much is taken.
    pub used: u64,
    /// How much there is; `None` for a counter of losses.
    pub max: Option<u64>,
    /// Losses so far.
    pub drops: Option<u64>,
    /// Losses since the poll before.
    pub drops_new: Option<u64>,
    /// Change of what is taken, a minute.
    pub per_min: Option<f64>,
    /// When it is full; `None` while it is steady, falls, or is not known long enough.
    pub full_in: Option<FullIn>,
    /// Whether it grows steadily.
    pub grows: bool,
    /// How bad that is, by the rules of alerts.
    pub level: Level,
}

impl Limit {
    /// The share that is taken, 0 to 1 and above.
    pub fn share(&self) -> Option<f64> {
        self.max.filter(|m| *m > 0).map(|m| self.used as f64 / m as f64)
    }

    /// True if the forecast reaches the limit within this many seconds. A forecast does not look further ahead than the
    /// time it was observed over.
    pub fn is_full_within(&self, secs: f64) -> bool {
        self.full_in.is_some_and(|f| f.likely <= secs && f.likely <= f.span)
    }

    /// Identity across polls.
    pub fn id(&self) -> (LimitKind, u16, LimitSubject) {
        (self.kind, self.netns, self.subject.clone())
    }
}

/// An alert: a limit that is or was about to be reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Row of the limit in this snapshot.
    pub limit: u32,
    /// How bad.
    pub level: Level,
    /// Since when, nanoseconds after boot.
    pub since_ns: u64,
    /// Raised, or made worse, at this poll.
    pub new: bool,
}

/// When an alert is raised. A raised one stays until it is clearly over: five points below its threshold, or half as
/// long again until full, for three polls.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRules {
    /// Share above which it is a warning.
    pub warn: f64,
    /// Share above which it is critical.
    pub crit: f64,
    /// Seconds until full below which it is a warning.
    pub horizon_s: f64,
    /// Other shares for a kind of ceiling.
    pub by_kind: Vec<(LimitKind, f64, f64)>,
    /// Other shares for the descriptors of a process of this name.
    pub by_process: Vec<(Box<str>, f64, f64)>,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { warn: 0.75, crit: 0.9, horizon_s: 600.0, by_kind: Vec::new(), by_process: Vec::new() }
    }
}

impl AlertRules {
    /// The shares that hold for a limit, of a process of this name where it is one.
    pub fn shares(&self, kind: LimitKind, comm: Option<&str>) -> (f64, f64) {
        let of_process = comm.and_then(|c| self.by_process.iter().find(|(name, ..)| **name == *c));
        if let Some((_, warn, crit)) = of_process {
            return (*warn, *crit);
        }
        let of_kind = self.by_kind.iter().find(|(c, ..)| *c == kind);
        of_kind.map_or((self.warn, self.crit), |(_, warn, crit)| (*warn, *crit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ceiling_is_in_its_place_with_a_name_of_its_own() {
        for (i, c) in LIMIT_KINDS.iter().enumerate() {
            assert_eq!(c.kind as usize, i);
            assert_eq!(LimitKind::parse(c.name), Some(c.kind), "{}", c.name);
            assert!(c.help.ends_with('.') && !c.set_by.is_empty(), "{}", c.name);
        }
        assert_eq!(LimitKind::parse("TIME_WAIT"), Some(LimitKind::TimeWait));
    }

    #[test]
    fn the_nearest_rule_holds() {
        let rules = AlertRules {
            by_kind: vec![(LimitKind::Ports, 0.5, 0.6)],
            by_process: vec![("nginx".into(), 0.95, 0.99)],
            ..AlertRules::default()
        };
        assert_eq!(format!("{:?}", rules.shares(LimitKind::Fds, Some("nginx"))), "(0.95, 0.99)");
        assert_eq!(format!("{:?}", rules.shares(LimitKind::Fds, Some("sshd"))), "(0.75, 0.9)");
        assert_eq!(format!("{:?}", rules.shares(LimitKind::Ports, None)), "(0.5, 0.6)");
    }
}
