//! The raw result of one poll, with its faults. It is not changed after it was read, and can be written to a file.

mod flow;
pub mod nft;
pub mod xtables;

use super::{
    Addr, Attrs, Container, Contexts, Counters, Faults, Hosts, Owner, Process, Services, Socket,
    SystemLimits, TcpInfo, Wants,
};
pub use flow::Flow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Nanoseconds since boot, counting sleep (`CLOCK_BOOTTIME`): for differences and process ages.
    pub boot_ns: u64,
    /// Nanoseconds since 1970-01-01 UTC (`CLOCK_REALTIME`): for people.
    pub unix_ns: u64,
}

impl Stamp {
    /// Seconds from `earlier` to this, 0 when it is not earlier.
    pub fn secs_since(&self, earlier: Self) -> f64 {
        self.boot_ns.saturating_sub(earlier.boot_ns) as f64 / 1e9
    }
}

/// Where sockets are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `NETLINK_SOCK_DIAG`.
    Netlink,
    /// `/proc/net/*`.
    Proc,
    /// The crates `netstat2` and `sysinfo`.
    Portable,
    /// A scenario: demo data, no kernel.
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
            Self::Script => "demo data",
        }
    }

    /// Whether it tells what waits in queues, and which timers run: `netstat2` does not.
    pub const fn tells_queues(self) -> bool {
        !matches!(self, Self::Portable)
    }

    /// Whether it tells the limits of accept queues: `/proc/net` does not.
    pub const fn tells_backlogs(self) -> bool {
        !matches!(self, Self::Portable | Self::Proc)
    }
}

/// The backend in use, and the reason if it is not the default one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// The one in use.
    pub backend: Backend,
    /// `requested`, `captured tree`, or the errors of the backends tried before; empty for the default one.
    pub why: String,
}

/// Method by which the owners of sockets were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnersBy {
    /// Scanning `/proc/PID/fd`, process by process.
    Walk,
    /// A bpf iterator over task files (`bpf_iter`), all processes in one read.
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

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Inode of its `ns/net` file: its identity while it lives; 0 when not known.
    pub inode: u64,
    /// What people call it: `host`, an `ip netns` name, a container's name.
    pub name: String,
    /// Interface names by index.
    pub interfaces: BTreeMap<u32, String>,
}

/// Privileges the sample was taken with: why processes may be missing from it or refuse to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Effective uid 0. A read refused to root needs a capability that this root lacks.
    pub root: bool,
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

/// What one poll read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it began.
    pub at: Stamp,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// Name of the machine.
    pub host: Arc<str>,
    /// Which backend.
    pub backend: Arc<BackendInfo>,
    /// What was asked for.
    pub wants: Wants,
    /// Namespaces read; [`super::SocketId::netns`] is an index of it.
    pub namespaces: Arc<[Namespace]>,
    /// The sockets, in the order the kernel gave them.
    pub sockets: Vec<Socket>,
    /// Attributes of all sockets as the kernel sent them; see [`Sample::attrs_of`]. Neighbours that have the same share
    /// them.
    pub attrs: Vec<u8>,
    /// The words of `tcp_info` that were asked for, of one socket after the other; see [`Socket::info_at`].
    #[serde(default)]
    pub infos: Vec<u8>,
    /// Which words of `tcp_info` those are: bit n stands for the bytes 8n to 8n + 7.
    #[serde(default)]
    pub info_words: u64,
    /// Names of endpoints that are not IP addresses; index 0 is empty.
    pub names: Vec<Box<str>>,
    /// Which descriptors hold which sockets, sorted by inode, then process, then descriptor.
    pub owners: Arc<[Owner]>,
    /// Which way all owners were found last; `None` where none were looked for, or the backend finds them by itself.
    #[serde(default)]
    pub owners_by: Option<OwnersBy>,
    /// The processes, sorted by pid.
    pub processes: Vec<Process>,
    /// Processes that are in another network namespace than number 0: pid and the number, sorted. Not of namespaces that
    /// could not be told apart.
    #[serde(default)]
    pub elsewhere: Arc<[(u32, u16)]>,
    /// User names by id, for every id that occurs and has one.
    pub users: Arc<BTreeMap<u32, Box<str>>>,
    /// Paths of the control groups (v2) that sockets name, by id; empty where they were not asked for.
    #[serde(default)]
    pub cgroups: Arc<BTreeMap<u64, Box<str>>>,
    /// What the container engines say of their containers; empty where they were not asked or did not answer.
    #[serde(default)]
    pub containers: Arc<[Container]>,
    /// Security contexts, as far as they were asked for.
    #[serde(default)]
    pub contexts: Contexts,
    /// The threads of each process, by their ids, beside `processes`; empty where they were not asked for, and of a process
    /// that tells none.
    #[serde(default)]
    pub tids: Vec<Vec<u32>>,
    /// System-wide ceilings.
    pub system: SystemLimits,
    /// From where it was read.
    #[serde(default)]
    pub privileges: Privileges,
    /// What the kernel counts beside the sockets; `None` where that was not asked for.
    #[serde(default)]
    pub counters: Option<Counters>,
    /// Firewall rules; `None` when not requested, or not available from the backend.
    #[serde(default)]
    pub netfilter: Option<Netfilter>,
    /// Tracked connections of TCP, UDP, UDP-Lite and SCTP, when requested.
    #[serde(default)]
    pub flows: Vec<Flow>,
    /// Addresses of the interfaces of each namespace, without loopback; read with the firewall rules.
    #[serde(default)]
    pub addresses: Vec<(u16, Addr)>,
    /// Names of ports. Not written down: whoever shows a sample uses the names known there.
    #[serde(skip, default = "known_services")]
    pub services: Arc<Services>,
    /// Names of addresses. Not written down, as they are the resolver's and not the kernel's.
    #[serde(skip)]
    pub hosts: Arc<Hosts>,
    /// What went wrong on the way.
    pub faults: Faults,
}

fn known_services() -> Arc<Services> {
    Arc::clone(Services::well_known())
}

impl Sample {
    /// A sample of nothing.
    pub fn empty(at: Stamp, host: Arc<str>, backend: Arc<BackendInfo>, wants: Wants) -> Self {
        Self {
            at,
            took_us: 0,
            host,
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
            elsewhere: Arc::from([]),
            users: Arc::default(),
            cgroups: Arc::default(),
            containers: Arc::from([]),
            contexts: Contexts::default(),
            tids: Vec::new(),
            system: SystemLimits::default(),
            privileges: Privileges::default(),
            counters: None,
            netfilter: None,
            flows: Vec::new(),
            addresses: Vec::new(),
            services: known_services(),
            hosts: Arc::default(),
            faults: Faults::default(),
        }
    }

    /// The number of the network namespace that a process is in.
    pub fn netns_of(&self, pid: u32) -> u16 {
        let found = self.elsewhere.binary_search_by_key(&pid, |(p, _)| *p);
        found.ok().and_then(|i| self.elsewhere.get(i)).map_or(0, |(_, netns)| *netns)
    }

    /// The attributes of one of its sockets.
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

    /// Bytes that each of the [`Sample::infos`] takes.
    pub const fn info_len(&self) -> usize {
        self.info_words.count_ones() as usize * 8
    }

    /// Adds attributes for a socket: sets its `attr_at` and `attr_len`.
    pub fn push_attrs(&mut self, s: &mut Socket, raw: &[u8]) {
        let raw = &raw[..raw.len().min(usize::from(u16::MAX))];
        s.attr_at = self.attrs.len() as u32;
        s.attr_len = raw.len() as u16;
        self.attrs.extend_from_slice(raw);
    }
}
