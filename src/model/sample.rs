//! Raw result of one poll, with its faults. Not modified after the poll; can be written to a file.

mod dns;
mod event;
mod flow;
mod next_hop;
pub mod nft;
pub mod xtables;

use super::addr::Addr;
use super::attr::Attrs;
use super::container::Container;
use super::context::Contexts;
use super::fault::{Faults, Missing};
use super::hosts::Hosts;
use super::lang::noop;
use super::limit::{Counters, SystemLimits};
use super::process::{Owner, ProcUsage, Process};
use super::services::Services;
use super::socket::Socket;
use super::tcp_info::TcpInfo;
use super::wants::Wants;
pub use dns::{DNS_ADDRS, Dns, DnsOutcome, DnsQuery, dns_type, dns_type_name, dns_types};
pub use event::{ClosedBy, Event, EventCount, EventKind, EventProcess, EventSource, Events};
pub use flow::Flow;
pub use next_hop::FailedHop;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Time of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Nanoseconds since boot, including suspend (`CLOCK_BOOTTIME`): for intervals and process ages.
    pub boot_ns: u64,
    /// Nanoseconds since 1970-01-01 UTC (`CLOCK_REALTIME`): for display.
    pub unix_ns: u64,
}

impl Stamp {
    /// Seconds since `earlier`; 0 if that is later.
    pub fn secs_since(&self, earlier: Self) -> f64 {
        self.boot_ns.saturating_sub(earlier.boot_ns) as f64 / 1e9
    }
}

/// Source of socket data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `NETLINK_SOCK_DIAG`.
    Netlink,
    /// `/proc/net/*`.
    Proc,
    /// Crates `netstat2` and `sysinfo`.
    Portable,
    /// Scenario: demo data, no kernel.
    Script,
}

impl Backend {
    /// All with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Netlink, "netlink"),
        (Self::Proc, "proc"),
        (Self::Portable, "portable"),
        (Self::Script, "script"),
    ];

    /// Name, as in `--backend`.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Interface it reads, as shown in the status line.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Netlink => "sock_diag",
            Self::Proc => "/proc/net",
            Self::Portable => "netstat2",
            Self::Script => noop("demo data"),
        }
    }

    /// True if it reports queue lengths and timers: `netstat2` does not.
    pub const fn reports_queues(self) -> bool {
        !matches!(self, Self::Portable)
    }

    /// True if it reports the limits of accept queues: `/proc/net` does not.
    pub const fn reports_backlogs(self) -> bool {
        !matches!(self, Self::Portable | Self::Proc)
    }
}

/// Backend in use, and the reason if it is not the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// Backend in use.
    pub backend: Backend,
    /// `requested`, `captured tree`, or the errors of the backends tried first; empty for the default.
    pub reason: String,
}

/// Method by which the owners of sockets were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnersBy {
    /// Scanning `/proc/PID/fd`, process by process.
    Walk,
    /// BPF iterator over task files (`bpf_iter`), all processes in one read.
    BpfIter,
}

impl OwnersBy {
    /// Interface it reads, as shown in the status line.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Walk => "/proc",
            Self::BpfIter => "bpf_iter",
        }
    }
}

/// Network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Inode of its `ns/net` file, which identifies it; 0 if unknown.
    pub inode: u64,
    /// Display name: `host`, an `ip netns` name, a container name.
    pub name: String,
    /// Interface names by index.
    pub interfaces: BTreeMap<u32, String>,
}

impl Namespace {
    /// Process in this namespace that its name states: process 1 for `host`, 812 for `python3 812`.
    pub fn pid(&self) -> Option<u32> {
        if self.name == "host" {
            return Some(1);
        }
        let (_, pid) = self.name.rsplit_once(' ').filter(|(comm, _)| !comm.is_empty())?;
        pid.parse().ok()
    }

    /// Name without the pid that one named by a process has (`python3 812`): the same after a restart.
    pub fn name_without_pid(&self) -> &str {
        let is_pid = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_digit());
        let named = self.name.strip_suffix(" socket").unwrap_or(&self.name);
        named
            .rsplit_once(' ')
            .filter(|(comm, pid)| !comm.is_empty() && is_pid(pid))
            .map_or(&*self.name, |(comm, _)| comm)
    }
}

/// Privileges of this process, which explain missing or unreadable processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Effective uid 0. A read that is still denied needs a capability that this process lacks.
    pub root: bool,
    /// `CAP_SYS_PTRACE` is permitted; not recorded by old versions.
    #[serde(default)]
    pub ptrace: bool,
    /// In a nested pid namespace, as in a container: processes outside it are invisible.
    pub nested: bool,
    /// `/proc` hides other users' processes (`hidepid=invisible`) and this process is not root.
    pub hidepid: bool,
}

/// Firewall rules of the namespaces that were read, as the kernel reported them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netfilter {
    /// `nf_tables`.
    pub nft: Vec<nft::Ruleset>,
    /// iptables-legacy.
    pub iptables: Vec<xtables::Table>,
}

/// Raw result of one poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Start of the poll.
    pub at: Stamp,
    /// Duration of the poll, microseconds.
    pub duration_us: u64,
    /// Host name.
    pub host: Arc<str>,
    /// True if addresses, names and arguments were replaced (`record --redact`).
    #[serde(default)]
    pub redacted: bool,
    /// Backend.
    pub backend: Arc<BackendInfo>,
    /// Request.
    pub wants: Wants,
    /// Namespaces read; [`super::SocketId::netns`] is an index into it.
    pub namespaces: Arc<[Namespace]>,
    /// Sockets, in the order of the dump.
    pub sockets: Vec<Socket>,
    /// Attributes of all sockets as received, see [`Sample::attrs_of`]. Consecutive sockets with equal attributes share
    /// them.
    pub attrs: Vec<u8>,
    /// Requested words of `tcp_info`, socket by socket; see [`Socket::info_at`].
    #[serde(default)]
    pub infos: Vec<u8>,
    /// Words of `tcp_info` in `infos`: bit n stands for bytes 4n to 4n + 3.
    #[serde(default)]
    pub info_words: u128,
    /// Names of endpoints without an IP address; index 0 is empty.
    pub names: Vec<Box<str>>,
    /// Descriptors that refer to sockets, sorted by inode, process and descriptor number.
    pub owners: Arc<[Owner]>,
    /// Method of the last full owner scan; `None` if owners were not requested, or the backend reports them itself.
    #[serde(default)]
    pub owners_by: Option<OwnersBy>,
    /// Processes, sorted by pid.
    pub processes: Vec<Process>,
    /// Processes outside network namespace 0: pid and namespace index, sorted; [`Sample::UNREAD_NETNS`] for a namespace that is not
    /// read. Excludes processes whose namespace could not be identified.
    #[serde(default)]
    pub netns_by_pid: Arc<[(u32, u16)]>,
    /// User names by uid, for uids that occur and have a name.
    pub users: Arc<BTreeMap<u32, Box<str>>>,
    /// Cgroup v2 paths of sockets, by cgroup id; empty if not requested.
    #[serde(default)]
    pub cgroups: Arc<BTreeMap<u64, Box<str>>>,
    /// Containers as reported by their engines; empty if not requested or not answered.
    #[serde(default)]
    pub containers: Arc<[Container]>,
    /// Security contexts, if requested.
    #[serde(default)]
    pub contexts: Contexts,
    /// Thread ids of each process, parallel to `processes`; empty if not requested or not readable.
    #[serde(default)]
    pub tids: Vec<Vec<u32>>,
    /// CPU time, memory and threads of each process, parallel to `processes`; empty if not requested.
    #[serde(default)]
    pub usage: Vec<Result<ProcUsage, Missing>>,
    /// System-wide limits.
    pub system: SystemLimits,
    /// Privileges of the poll.
    #[serde(default)]
    pub privileges: Privileges,
    /// Kernel counters; `None` if not requested.
    #[serde(default)]
    pub counters: Option<Counters>,
    /// Firewall rules; `None` when not requested, or not available from the backend.
    #[serde(default)]
    pub netfilter: Option<Netfilter>,
    /// Tracked connections of TCP, UDP, UDP-Lite and SCTP, when requested.
    #[serde(default)]
    pub flows: Vec<Flow>,
    /// Events since the previous poll, when requested.
    #[serde(default)]
    pub events: Events,
    /// DNS questions since the previous poll, when requested.
    #[serde(default)]
    pub dns: Dns,
    /// Addresses of the interfaces of each namespace, without loopback; read with the firewall rules.
    #[serde(default)]
    pub addresses: Vec<(u16, Addr)>,
    /// Next hops that do not answer, of the destinations to which sockets repeat segments; when requested.
    #[serde(default)]
    pub failed_hops: Vec<FailedHop>,
    /// Port names. Not serialised: the viewer uses its own.
    #[serde(skip, default = "known_services")]
    pub services: Arc<Services>,
    /// Host names. Not serialised: they come from the resolver, not from the kernel.
    #[serde(skip)]
    pub hosts: Arc<Hosts>,
    /// Non-fatal errors of the poll.
    pub faults: Faults,
}

fn known_services() -> Arc<Services> {
    Arc::clone(Services::well_known())
}

impl Sample {
    /// Index that stands for a namespace that is not read.
    pub const UNREAD_NETNS: u16 = u16::MAX;

    /// Sample without any rows.
    pub fn empty(at: Stamp, host: Arc<str>, backend: Arc<BackendInfo>, wants: Wants) -> Self {
        Self {
            at,
            duration_us: 0,
            host,
            redacted: false,
            backend,
            wants,
            namespaces: Arc::from([]),
            sockets: Vec::new(),
            attrs: Vec::new(),
            infos: Vec::new(),
            info_words: 0,
            names: vec!["".into()],
            owners: Arc::from([]),
            owners_by: None,
            processes: Vec::new(),
            netns_by_pid: Arc::from([]),
            users: Arc::default(),
            cgroups: Arc::default(),
            containers: Arc::from([]),
            contexts: Contexts::default(),
            tids: Vec::new(),
            usage: Vec::new(),
            system: SystemLimits::default(),
            privileges: Privileges::default(),
            counters: None,
            netfilter: None,
            flows: Vec::new(),
            events: Events::default(),
            dns: Dns::default(),
            addresses: Vec::new(),
            failed_hops: Vec::new(),
            services: known_services(),
            hosts: Arc::default(),
            faults: Faults::default(),
        }
    }

    /// Leaves the sockets of these protocols.
    pub fn retain_protos(&mut self, protos: super::wants::ProtoSet) {
        if self.sockets.iter().any(|s| !protos.has(s.proto)) {
            self.sockets.retain(|s| protos.has(s.proto));
        }
    }

    /// Network namespace index of a process; `None` if it is in one that is not read.
    pub fn netns_of(&self, pid: u32) -> Option<u16> {
        let found = self.netns_by_pid.binary_search_by_key(&pid, |(p, _)| *p);
        let netns = found.ok().and_then(|i| self.netns_by_pid.get(i)).map_or(0, |(_, netns)| *netns);
        Some(netns).filter(|n| *n != Self::UNREAD_NETNS)
    }

    /// Namespaces of which something was read: a socket, an address or a ruleset.
    pub fn read_namespaces(&self) -> BTreeSet<u16> {
        let sockets = self.sockets.chunk_by(|a, b| a.id.netns == b.id.netns).map(|c| c[0].id.netns);
        let rules = self.netfilter.iter().flat_map(|f| &f.nft).map(|r| r.netns);
        self.addresses.iter().map(|(n, _)| *n).chain(sockets).chain(rules).collect()
    }

    /// Attributes of a socket of this sample.
    pub fn attrs_of(&self, s: &Socket) -> Attrs<'_> {
        let at = s.attr_at as usize;
        let attrs =
            Attrs::new(self.attrs.get(at..at + usize::from(s.attr_len)).unwrap_or(&[]), s.family, s.proto);
        if s.info_at == Socket::NO_INFO {
            return attrs;
        }
        let len = self.info_len();
        let at = s.info_at as usize * len;
        attrs.with_info(TcpInfo::from_words(self.infos.get(at..at + len).unwrap_or(&[]), self.info_words))
    }

    /// Size of one entry of [`Sample::infos`], bytes.
    pub const fn info_len(&self) -> usize {
        self.info_words.count_ones() as usize * 4
    }

    /// Appends the attributes of a socket and sets its `attr_at` and `attr_len`.
    pub fn push_attrs(&mut self, s: &mut Socket, raw: &[u8]) {
        let raw = &raw[..raw.len().min(usize::from(u16::MAX))];
        s.attr_at = self.attrs.len() as u32;
        s.attr_len = raw.len() as u16;
        self.attrs.extend_from_slice(raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_named_by_a_process_has_a_name_without_its_pid() {
        for (name, want) in [
            ("python3 812", "python3"),
            ("python3 812 socket", "python3"),
            ("tmux: server 7", "tmux: server"),
            ("host", "host"),
            ("web-1", "web-1"),
            ("nginx.service", "nginx.service"),
            ("812", "812"),
            (" 812", " 812"),
        ] {
            let n = Namespace { inode: 0, name: name.to_owned(), interfaces: BTreeMap::new() };
            assert_eq!(n.name_without_pid(), want);
        }
    }
}
