//! Resource limits: usage, kernel counters and alert rules.

use super::addr::{Addr, Endpoint};
use super::proto::Proto;
use serde::{Deserialize, Serialize};

/// System-wide descriptor and port limits, `None` if not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SystemLimits {
    /// Open file descriptions: first field of `/proc/sys/fs/file-nr`.
    pub files_open: Option<u64>,
    /// Maximum of them: `/proc/sys/fs/file-max`.
    pub files_max: Option<u64>,
    /// Maximum hard limit of a process: `/proc/sys/fs/nr_open`.
    pub nr_open: Option<u64>,
    /// Maximum length of an accept queue: `/proc/sys/net/core/somaxconn`.
    pub somaxconn: Option<u64>,
    /// Ephemeral ports, first and last: `/proc/sys/net/ipv4/ip_local_port_range`.
    pub local_ports: Option<(u16, u16)>,
}

/// Kernel counters as reported; `None` if not readable.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Threads: total in the fourth field of `/proc/loadavg`.
    pub threads: Option<u64>,
    /// `/proc/sys/kernel/pid_max`: pids are lower than this.
    pub pid_max: Option<u64>,
    /// Threads with a pid below [`RESERVED_PIDS`]; `None` if they were not counted, as while less than half of the pids are in use.
    #[serde(default)]
    pub low_pids: Option<u64>,
    /// `/proc/sys/kernel/threads-max`.
    pub threads_max: Option<u64>,
    /// inotify instances per user: the lower of `/proc/sys/fs/inotify/max_user_instances` and
    /// `/proc/sys/user/max_inotify_instances`, which is that of the user namespace.
    pub inotify_instances_max: Option<u64>,
    /// inotify watches per user: the lower of `/proc/sys/fs/inotify/max_user_watches` and `/proc/sys/user/max_inotify_watches`.
    pub inotify_watches_max: Option<u64>,
    /// True if the maximum of inotify instances is that of the user namespace.
    #[serde(default)]
    pub userns_inotify_instances: bool,
    /// True if the maximum of inotify watches is that of the user namespace.
    #[serde(default)]
    pub userns_inotify_watches: bool,
    /// inotify watches by uid: `inotify` lines of `/proc/PID/fdinfo` of readable processes.
    pub inotify_watches: Vec<(u32, u64)>,
    /// Tasks of cgroups that have a limit: path, `pids.current`, `pids.max`.
    pub cgroup_pids: Vec<(Box<str>, u64, u64)>,
    /// Accept queues of listeners that the request does not read: UNIX, and SCTP where it is in use.
    #[serde(default)]
    pub listen_queues: Vec<ListenQueue>,
    /// Error that hides the settings below `/proc/sys`; `None` if they can be read.
    #[serde(default)]
    pub sysctl_unread: Option<Box<str>>,
    /// Error that hides the limits of cgroups; `None` if they can be read.
    #[serde(default)]
    pub cgroups_unread: Option<Box<str>>,
    /// Counters by network namespace, parallel to [`super::Sample::namespaces`].
    pub nets: Vec<NetCounters>,
}

/// Pids that are given only once: after the first pass the kernel starts over with this one (`alloc_pid`).
pub const RESERVED_PIDS: u64 = 300;

impl Counters {
    /// Number of threads at which fork(2) fails for want of a pid: those from [`RESERVED_PIDS`] to below the maximum, and those in use
    /// below them.
    pub fn pids_max(&self) -> Option<u64> {
        let low =
            |max: u64| self.low_pids.map_or(max, |low| max.saturating_sub(RESERVED_PIDS).saturating_add(low));
        self.pid_max.map(low)
    }
}

/// Accept queue of one UNIX (`UNIX_DIAG_RQLEN`) or SCTP listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenQueue {
    /// Namespace index.
    pub netns: u16,
    /// Protocol.
    pub proto: Proto,
    /// Path, `@` for an abstract one; the endpoint of an SCTP listener.
    pub name: Box<str>,
    /// Inode in sockfs.
    pub inode: u64,
    /// Connections in it.
    pub waiting: u32,
    /// Its limit, as in listen(2) and at most `somaxconn`.
    pub backlog: u32,
}

/// Kernel counters of one network namespace. Memory is in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetCounters {
    /// Namespace index.
    pub netns: u16,
    /// Error that hides the settings below `/proc/sys/net`; `None` if they can be read.
    #[serde(default)]
    pub sysctl_unread: Option<Box<str>>,
    /// `TIME_WAIT` sockets (`/proc/net/sockstat`: `TCP: tw`).
    pub time_wait: Option<u64>,
    /// `tcp_max_tw_buckets`.
    pub time_wait_max: Option<u64>,
    /// TCP sockets without a process (`sockstat`: `TCP: orphan`).
    pub orphans: Option<u64>,
    /// `tcp_max_orphans`.
    pub orphans_max: Option<u64>,
    /// Memory of TCP buffers (`sockstat`: `TCP: mem`).
    pub tcp_mem: Option<u64>,
    /// Second and third value of `tcp_mem`. Above the second (`sk_enter_memory_pressure`), until the first is reached again, a socket
    /// that holds more than its share of the third gets no more memory: its segments are dropped.
    pub tcp_mem_max: Option<(u64, u64)>,
    /// Memory of UDP buffers (`sockstat`: `UDP: mem`).
    pub udp_mem: Option<u64>,
    /// First and third value of `udp_mem`. UDP has no state of memory pressure: above the first a socket whose receive queue has
    /// `udp_rmem_min` or more gets no more memory (`__sk_mem_raise_allocated`), and its datagrams are dropped.
    pub udp_mem_max: Option<(u64, u64)>,
    /// Ephemeral ports, first and last, and the number of them that are reserved (`ip_local_reserved_ports`).
    pub ports: Option<(u16, u16, u32)>,
    /// Reserved ports, first and last of each range (`ip_local_reserved_ports`).
    #[serde(default)]
    pub reserved_ports: Vec<(u16, u16)>,
    /// `tcp_tw_reuse`: connect(2) may take over a port in `TIME_WAIT`, 2 for loopback only.
    #[serde(default)]
    pub tw_reuse: Option<u64>,
    /// `somaxconn`.
    pub somaxconn: Option<u64>,
    /// Completed handshakes dropped because the accept queue was full (`TcpExt: ListenOverflows`).
    pub listen_overflows: Option<u64>,
    /// Connection requests dropped by listeners for any reason (`TcpExt: ListenDrops`).
    pub listen_drops: Option<u64>,
    /// Times a full SYN queue was answered with SYN cookies (`TcpExt: TCPReqQFullDoCookies`).
    pub syn_cookies: Option<u64>,
    /// Times a request was dropped because the SYN queue was full (`TcpExt: TCPReqQFullDrop`).
    pub syn_drops: Option<u64>,
    /// `tcp_max_syn_backlog`.
    pub syn_backlog: Option<u64>,
    /// Datagrams dropped because a receive buffer was full (`Udp` and `Udp6`: `RcvbufErrors`).
    pub udp_rcvbuf_errors: Option<u64>,
    /// Conntrack entries (`nf_conntrack_count`).
    pub conntrack: Option<u64>,
    /// `nf_conntrack_max`.
    pub conntrack_max: Option<u64>,
    /// IPv4 neighbours (`/proc/net/stat/arp_cache`: `entries`).
    pub neighbours: Option<u64>,
    /// `neigh/default/gc_thresh3`.
    pub neighbours_max: Option<u64>,
    /// IPv6 neighbours (`/proc/net/stat/ndisc_cache`: `entries`); one table for all namespaces.
    #[serde(default)]
    pub neighbours6: Option<u64>,
    /// `neigh/default/gc_thresh3` for IPv6; only the initial namespace has it.
    #[serde(default)]
    pub neighbours6_max: Option<u64>,
    /// Of the neighbours in this namespace, IPv4 and IPv6, those that do not count toward `gc_thresh3`: permanent, learned by a
    /// routing daemon, of loopback. `None` if not read, as while the table is less than half full.
    #[serde(default)]
    pub neighbours_exempt: [Option<u64>; 2],
    /// Messages dropped by netlink sockets (`/proc/net/netlink`: sum of `Drops`).
    pub netlink_drops: Option<u64>,
}

/// Kind of resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LimitKind {
    /// Descriptors of a process.
    Fds,
    /// Connections that the peer has closed and the application has not.
    CloseWait,
    /// Clients that wait for a process that is stopped, traced, frozen or in uninterruptible sleep.
    Halted,
    /// System-wide open files.
    Files,
    /// Accept queue of a listener.
    Accept,
    /// Half-open connections: current ones of a listener, or those beyond the queue in a namespace.
    Syn,
    /// Local ports: toward one destination, or at one local address.
    Ports,
    /// `TIME_WAIT` sockets.
    TimeWait,
    /// Sockets without a process.
    Orphans,
    /// Conntrack entries.
    Conntrack,
    /// TCP memory.
    TcpMem,
    /// UDP memory.
    UdpMem,
    /// Datagrams dropped because of full receive buffers.
    Rcvbuf,
    /// Neighbour table.
    Neighbours,
    /// Messages dropped by netlink sockets.
    Netlink,
    /// inotify instances of a user.
    InotifyInstances,
    /// inotify watches of a user.
    InotifyWatches,
    /// System-wide threads.
    Threads,
    /// Tasks of a cgroup.
    CgroupPids,
}

/// Name, description and configuration of a kind of limit.
#[derive(Debug)]
pub struct LimitKindInfo {
    /// Kind.
    pub kind: LimitKind,
    /// Name in `check --only`, in the column and in the configuration.
    pub name: &'static str,
    /// Title on screen.
    pub title: &'static str,
    /// Effect of reaching the limit, and what to do.
    pub help: &'static str,
    /// Setting that configures it.
    pub set_by: &'static str,
    /// True if it counts losses and has no maximum.
    pub counter: bool,
}

macro_rules! limit_kinds {
    ($($c:ident $name:literal $title:literal $counter:literal, $set:literal, $help:literal;)*) => {
        /// All kinds in the order of the table.
        pub const LIMIT_KINDS: &[LimitKindInfo] = &[$(LimitKindInfo {
            kind: LimitKind::$c, name: $name, title: $title, help: $help, set_by: $set, counter: $counter,
        },)*];
    };
}

limit_kinds! {
    Fds "fds" "file descriptors" false, "RLIMIT_NOFILE: LimitNOFILE= of the unit, limits.conf, prlimit",
        "At the limit, open, socket and accept fail with EMFILE, \"too many open files\". Raise the limit, or fix the descriptor leak.";
    CloseWait "close-wait" "CLOSE_WAIT connections" true, "the application: it must close connections that the peer has closed",
        "Each one holds a descriptor until the application closes it. If they grow, restart the application, then fix its connection cleanup.";
    Halted "halted" "waiting clients" true, "SIGSTOP, a debugger, cgroup.freeze, or a device or file system that does not answer",
        "The process does not run while clients wait for it: continue it, thaw its cgroup, or find what it waits for.";
    Files "files" "open files (system)" false, "sysctl fs.file-max",
        "At the limit, open and socket fail with ENFILE in every process. Find the process with the most descriptors, or raise the limit.";
    Accept "accept" "accept queue" false, "backlog of listen(2), at most sysctl net.core.somaxconn",
        "When it is full, new connections are dropped or delayed. The application accepts too slowly, or its backlog is too small.";
    Syn "syn" "SYN queue" true, "backlog of listen(2), sysctl net.ipv4.tcp_max_syn_backlog, tcp_syncookies",
        "Half-open connections beyond the queue are answered with SYN cookies or dropped: a SYN flood, or a burst of new clients.";
    Ports "ports" "ephemeral ports" false, "sysctl net.ipv4.ip_local_port_range, ip_local_reserved_ports",
        "At the limit, connect fails with EADDRNOTAVAIL (UDP: EAGAIN), bind to port 0 with EADDRINUSE. Reuse connections, use more source addresses, or widen the range.";
    TimeWait "time-wait" "TIME_WAIT sockets" false, "sysctl net.ipv4.tcp_max_tw_buckets",
        "At the limit, connections skip TIME_WAIT, and late segments can reach a new connection. Keep connections open longer.";
    Orphans "orphans" "orphaned sockets" false, "sysctl net.ipv4.tcp_max_orphans",
        "At the limit, closing connections are reset. Usual causes: peers that disappeared, or a flood.";
    Conntrack "conntrack" "conntrack entries" false, "sysctl net.netfilter.nf_conntrack_max",
        "At the limit, packets of new connections are dropped, \"nf_conntrack: table full\". Raise the limit, or exempt traffic with notrack.";
    TcpMem "tcp-mem" "TCP memory" false, "sysctl net.ipv4.tcp_mem, second value",
        "At the limit, memory pressure, buffers shrink and segments are dropped. Find sockets with large queues, or raise the limit.";
    UdpMem "udp-mem" "UDP memory" false, "sysctl net.ipv4.udp_mem, first value",
        "At the limit, datagrams to sockets with more than udp_rmem_min in their queue are dropped. Find sockets with large receive queues, or raise the limit.";
    Rcvbuf "rcvbuf" "UDP receive drops" true, "SO_RCVBUF, sysctl net.core.rmem_max",
        "The application reads its datagrams too slowly, or its receive buffer is too small.";
    Neighbours "neighbours" "neighbour table" false, "sysctl net.ipv4.neigh.default.gc_thresh3",
        "At the limit, hosts on the link are unreachable, \"neighbor table overflow\". Raise the limit, or split the network.";
    Netlink "netlink" "netlink drops" true, "SO_RCVBUF of the application",
        "An application reads its netlink socket too slowly and misses kernel events.";
    InotifyInstances "inotify" "inotify instances" false, "sysctl fs.inotify.max_user_instances",
        "At the limit, inotify_init fails with EMFILE although descriptors are left.";
    InotifyWatches "inotify-watches" "inotify watches" false, "sysctl fs.inotify.max_user_watches",
        "At the limit, inotify_add_watch fails with ENOSPC, \"no space left on device\", although the disk is not full.";
    Threads "threads" "threads (system)" false, "sysctl kernel.pid_max, kernel.threads-max",
        "At the limit, fork and new threads fail with EAGAIN.";
    CgroupPids "pids" "tasks of a unit" false, "TasksMax= of the unit, pids.max",
        "At the limit, fork and new threads fail with EAGAIN in this unit.";
}

impl LimitKind {
    /// Entry in [`LIMIT_KINDS`].
    pub fn info(self) -> &'static LimitKindInfo {
        &LIMIT_KINDS[self as usize]
    }

    /// True if the kernel admits one more than the maximum: `sk_acceptq_is_full`, `inet_csk_reqsk_queue_is_full` and
    /// `unix_recvq_full` test for more than the backlog.
    pub const fn admits_one_more(self) -> bool {
        matches!(self, Self::Accept | Self::Syn)
    }

    /// Kind of this name; `-` and `_` are equivalent.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.replace('_', "-");
        LIMIT_KINDS.iter().find(|c| c.name.eq_ignore_ascii_case(&word)).map(|c| c.kind)
    }
}

/// Severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Below all thresholds.
    #[default]
    #[serde(alias = "fine")]
    Ok,
    /// Above the warning threshold.
    Warning,
    /// Above the critical threshold.
    Critical,
}

impl Level {
    /// Name in output and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Owner of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitSubject {
    /// Host.
    System,
    /// Network namespace.
    Net,
    /// Process: pid and start time in nanoseconds after boot.
    Process(u32, u64),
    /// Listener: protocol, endpoint, interface index.
    Listener(Proto, Endpoint, u32),
    /// Listener without an IP address: protocol and name (UNIX path, `@` for an abstract one).
    NamedListener(Proto, Box<str>),
    /// Connections from a source address to a destination.
    Route(Addr, Endpoint),
    /// Sockets of a protocol at a local address: bind(2) to port 0, for UDP also connect(2) at the wildcard.
    LocalPorts(Proto, Addr),
    /// User, by uid.
    User(u32),
    /// Cgroup, by path.
    Cgroup(Box<str>),
    /// Neighbour table: true for IPv6.
    Neighbours(bool),
}

/// Forecast of reaching a limit, seconds from now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullIn {
    /// Earliest (upper quartile of the growth rates).
    pub low: f64,
    /// Most likely (median).
    pub likely: f64,
    /// Latest (lower quartile).
    pub high: f64,
    /// Observation time the forecast is based on, seconds.
    pub span: f64,
}

/// One resource limit and its usage.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Kind.
    pub kind: LimitKind,
    /// Namespace index.
    pub netns: u16,
    /// Owner.
    pub subject: LimitSubject,
    /// Process index, if the limit belongs to a process.
    pub process: Option<u32>,
    /// Current usage.
    pub used: u64,
    /// Maximum; `None` for a counter of losses.
    pub max: Option<u64>,
    /// Losses counted so far.
    pub drops: Option<u64>,
    /// Losses since the previous poll.
    pub drops_new: Option<u64>,
    /// Growth of the usage per minute.
    pub per_min: Option<f64>,
    /// Forecast; `None` if the usage is stable or falling, or was not observed long enough.
    pub full_in: Option<FullIn>,
    /// True if the usage grows steadily.
    pub grows: bool,
    /// Connections that have been in `CLOSE_WAIT` for [`STALE_S`] or longer; 0 for other kinds.
    pub stale: u64,
    /// Severity by the alert rules.
    pub level: Level,
}

impl Limit {
    /// Limit with its usage, without losses and growth.
    pub const fn new(
        kind: LimitKind,
        netns: u16,
        subject: LimitSubject,
        used: u64,
        max: Option<u64>,
    ) -> Self {
        Self {
            kind,
            netns,
            subject,
            process: None,
            used,
            max,
            drops: None,
            drops_new: None,
            per_min: None,
            full_in: None,
            grows: false,
            stale: 0,
            level: Level::Ok,
        }
    }

    /// Usage as a share of the maximum, 0 to 1; above 1 if the maximum was lowered.
    pub fn share(&self) -> Option<f64> {
        // The largest value of a sysctl, such as fs.file-max, is no limit.
        let capacity = self.capacity().filter(|m| *m > 0 && *m < i64::MAX as u64)?;
        let share = self.used as f64 / capacity as f64;
        // A backlog lowered by a second listen(2) leaves the queue longer: it is full, not fuller.
        Some(if self.kind.admits_one_more() { share.min(1.0) } else { share })
    }

    /// Usage at which the next request fails: the maximum, for an accept queue one more.
    pub fn capacity(&self) -> Option<u64> {
        self.max.map(|m| if self.kind.admits_one_more() { m.saturating_add(1) } else { m })
    }

    /// True if the forecast reaches the limit within this many seconds. Forecasts beyond the observation time are not
    /// trusted.
    pub fn is_full_within(&self, secs: f64) -> bool {
        self.full_in.is_some_and(|f| f.likely <= secs && f.likely <= f.span)
    }

    /// Identity across polls.
    pub fn id(&self) -> (LimitKind, u16, LimitSubject) {
        (self.kind, self.netns, self.subject.clone())
    }
}

/// A kind of limit that could not be judged, at least in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unjudged {
    /// Kind.
    pub kind: LimitKind,
    /// Missing part.
    pub part: UnjudgedPart,
    /// Reason, in the words of the system or of [`super::Missing`].
    pub reason: Box<str>,
}

/// The part of a kind of limit that could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnjudgedPart {
    /// All of it, or an unknown number of processes.
    All,
    /// This many processes.
    Processes(u32),
    /// This many sockets.
    Sockets(u32),
    /// This many network namespaces.
    Namespaces(u32),
}

/// Seconds in `CLOSE_WAIT` after which a connection counts as not closed by the application.
pub const STALE_S: f64 = 60.0;

/// Alert: a limit that is exceeded or forecast to be, or was until recently.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Index in [`super::Snapshot::limits`].
    pub limit: u32,
    /// Severity.
    pub level: Level,
    /// Time it was raised, nanoseconds after boot.
    pub since_ns: u64,
    /// Losses since it was raised.
    pub lost: u64,
    /// Raised or escalated at this poll.
    pub new: bool,
}

/// Alert thresholds with hysteresis: an alert is lowered or cleared after three polls at least five points below
/// its threshold and with half as long again until full.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRules {
    /// Share of usage above which it is a warning.
    pub warn: f64,
    /// Share of usage above which it is critical.
    pub crit: f64,
    /// Seconds until full below which it is a warning.
    pub horizon_s: f64,
    /// Thresholds by kind of limit: warning, critical.
    pub by_kind: Vec<(LimitKind, f64, f64)>,
    /// Thresholds for the descriptors of processes with this command name: warning, critical.
    pub by_process: Vec<(Box<str>, f64, f64)>,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { warn: 0.75, crit: 0.9, horizon_s: 600.0, by_kind: Vec::new(), by_process: Vec::new() }
    }
}

impl AlertRules {
    /// Warning and critical threshold of a limit; `comm` is the command name if it belongs to a process.
    pub fn shares(&self, kind: LimitKind, comm: Option<&str>) -> (f64, f64) {
        let by_process = comm.and_then(|c| self.by_process.iter().find(|(name, ..)| **name == *c));
        if let Some((_, warn, crit)) = by_process {
            return (*warn, *crit);
        }
        let by_kind = self.by_kind.iter().find(|(c, ..)| *c == kind);
        by_kind.map_or((self.warn, self.crit), |(_, warn, crit)| (*warn, *crit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_kinds_follow_enum_order_with_unique_names() {
        for (i, c) in LIMIT_KINDS.iter().enumerate() {
            assert_eq!(c.kind as usize, i);
            assert_eq!(LimitKind::parse(c.name), Some(c.kind), "{}", c.name);
            assert!(c.help.ends_with('.') && !c.set_by.is_empty(), "{}", c.name);
        }
        assert_eq!(LimitKind::parse("TIME_WAIT"), Some(LimitKind::TimeWait));
    }

    #[test]
    fn process_threshold_overrides_kind_and_default() {
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
