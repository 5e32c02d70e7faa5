//! Request of a poll: which rows to read, and what of each. Cost follows use: what no column, filter or sort needs is not
//! read.

use super::{Addr, Proto, StateSet};
use bitflags::bitflags;
use serde::{Deserialize, Serialize};
use std::ops::{BitOr, BitOrAssign};

bitflags! {
    /// Optional kernel attributes, the bits of `inet_diag_req_v2.idiag_ext` (bit *n*−1 asks for attribute *n*).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct AttrSet: u8 {
        /// `INET_DIAG_INFO`: `tcp_info`.
        const INFO = 1 << 1;
        /// `INET_DIAG_VEGASINFO`: Vegas, DCTCP or BBR parameters.
        const VEGAS = 1 << 2;
        /// `INET_DIAG_CONG`: name of the congestion control algorithm.
        const CONG = 1 << 3;
        /// `INET_DIAG_TOS`: type of service.
        const TOS = 1 << 4;
        /// `INET_DIAG_TCLASS`: traffic class; also asks for the class id.
        const TCLASS = 1 << 5;
        /// `INET_DIAG_SKMEMINFO`: socket memory and drops.
        const SKMEM = 1 << 6;
        /// `INET_DIAG_SHUTDOWN`: directions that are shut down.
        const SHUTDOWN = 1 << 7;
    }
}

impl AttrSet {
    /// No optional attribute.
    pub const NONE: Self = Self::empty();
    /// Every optional attribute.
    pub const ALL: Self = Self::all();
}

bitflags! {
    /// Set of protocols, one bit per [`Proto`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct ProtoSet: u16 {
        /// TCP and UDP.
        const TCP_UDP = 1 << Proto::Tcp as u8 | 1 << Proto::Udp as u8;
        /// Every protocol.
        const ALL = (1 << Proto::ALL.len()) - 1;
    }
}

impl ProtoSet {
    /// Adds one protocol.
    #[must_use]
    pub const fn with(self, p: Proto) -> Self {
        Self::from_bits_retain(self.bits() | 1 << p as u8)
    }

    /// Membership of one protocol.
    pub const fn has(self, p: Proto) -> bool {
        self.bits() & 1 << p as u8 != 0
    }
}

bitflags! {
    /// Optional readings of a poll: one bit per thing that costs extra and that not every question needs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct Reads: u32 {
        /// Processes that hold the sockets.
        const OWNERS = 1;
        /// Processes with their descriptor counts and limits.
        const PROCESSES = 1 << 1;
        /// Descriptors of every process by kind: a scan of all of `/proc/PID/fd`.
        const FD_KINDS = 1 << 2;
        /// Every listening socket, whatever the states and the prefilter of the request exclude: the direction of a
        /// connection follows from the listeners.
        const LISTENERS = 1 << 3;
        /// For each socket, if the kernel chose its local port.
        const AUTO_PORT = 1 << 4;
        /// Names of the sockets' cgroups.
        const CGROUPS = 1 << 5;
        /// Kernel counters and limits beside the sockets, for the resource limits and alerts.
        const LIMITS = 1 << 6;
        /// Peers on this machine; the peer can be a socket that the filter excludes, so nothing is left out.
        const LOCAL_PEERS = 1 << 7;
        /// Port forwards and connection tracking.
        const NAT = 1 << 8;
        /// Forwarded connections as rows of their own.
        const FORWARDED = 1 << 9;
        /// Security contexts of processes.
        const PROC_CTX = 1 << 10;
        /// Security contexts of sockets.
        const SOCK_CTX = 1 << 11;
        /// Threads of processes.
        const THREADS = 1 << 12;
        /// Filters of packet sockets and BPF maps of IP sockets.
        const BPF = 1 << 13;
    }
}

impl Reads {
    /// Adds what these cannot be read without: owners and descriptors come with their processes, forwarded connections
    /// with connection tracking.
    #[must_use]
    const fn with_implied(self) -> Self {
        let mut out = self;
        if self.intersects(Self::OWNERS.union(Self::FD_KINDS)) {
            out = out.union(Self::PROCESSES);
        }
        if self.intersects(Self::FORWARDED) {
            out = out.union(Self::NAT);
        }
        out
    }
}

/// Requirements of a column, a filter or a whole view: everything that is read of a row beyond its fixed part.
/// They are merged with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Needs {
    /// Optional readings.
    pub reads: Reads,
    /// Optional kernel attributes of sockets.
    pub attrs: AttrSet,
    /// Words of `tcp_info` to keep, see [`super::tcp_info::TcpField::word`]: bit n stands for bytes 8n to 8n + 7.
    pub info_words: u64,
}

impl Needs {
    /// Only the fixed part.
    pub const NONE: Self = Self { reads: Reads::empty(), attrs: AttrSet::NONE, info_words: 0 };
    /// Owners of sockets.
    pub const OWNERS: Self = Self::reads(Reads::OWNERS);
    /// Descriptors by kind, and the owners of those that are sockets.
    pub const FD_KINDS: Self = Self::reads(Reads::OWNERS.union(Reads::FD_KINDS));
    /// Every listening socket.
    pub const LISTENERS: Self = Self::reads(Reads::LISTENERS);
    /// Local ports chosen by the kernel.
    pub const AUTO_PORT: Self = Self::reads(Reads::AUTO_PORT);
    /// Cgroup names of sockets and of their owners.
    pub const CGROUPS: Self = Self::reads(Reads::CGROUPS.union(Reads::OWNERS));
    /// Security contexts of the owners.
    pub const PROC_CTX: Self = Self::reads(Reads::PROC_CTX.union(Reads::OWNERS));
    /// Security contexts of sockets, read through their owners.
    pub const SOCK_CTX: Self = Self::reads(Reads::SOCK_CTX.union(Reads::OWNERS));
    /// Threads of the owners.
    pub const THREADS: Self = Self::reads(Reads::THREADS.union(Reads::OWNERS));
    /// Socket filters and BPF maps.
    pub const BPF: Self = Self::reads(Reads::BPF);
    /// Peers on this machine and their owners.
    pub const LOCAL_PEERS: Self = Self::reads(Reads::LOCAL_PEERS.union(Reads::OWNERS));
    /// Port forwards with the sockets and owners at either end.
    pub const NAT: Self = Self::reads(Reads::NAT.union(Reads::LOCAL_PEERS).union(Reads::OWNERS));
    /// Resource limits of sockets, of their owners and of the kernel's tables.
    pub const LIMITS: Self = Self {
        attrs: AttrSet::SKMEM,
        ..Self::reads(Reads::LIMITS.union(Reads::OWNERS).union(Reads::FD_KINDS))
    };
    /// Input of the findings.
    pub const FINDINGS: Self = Self::OWNERS.or(Self::attrs(AttrSet::SKMEM)).or(Self::info(u64::MAX));
    /// Counters from which rates are computed: `tcpi_total_retrans`, `tcpi_bytes_acked`, `tcpi_bytes_received`.
    pub const RATES: Self = Self::info(1 << (100 / 8) | 1 << (120 / 8) | 1 << (128 / 8));

    /// Optional readings, with those they imply.
    pub const fn reads(reads: Reads) -> Self {
        Self { reads: reads.with_implied(), ..Self::NONE }
    }

    /// Kernel attributes alone.
    pub const fn attrs(attrs: AttrSet) -> Self {
        Self { attrs, ..Self::NONE }
    }

    /// Words of `tcp_info`.
    pub const fn info(words: u64) -> Self {
        Self { attrs: AttrSet::INFO, info_words: words, ..Self::NONE }
    }

    /// Union, in a `const`; elsewhere `|` reads better.
    #[must_use]
    pub const fn or(self, o: Self) -> Self {
        Self {
            reads: self.reads.union(o.reads),
            attrs: self.attrs.union(o.attrs),
            info_words: self.info_words | o.info_words,
        }
    }
}

impl BitOr for Needs {
    type Output = Self;

    fn bitor(self, o: Self) -> Self {
        self.or(o)
    }
}

impl BitOrAssign for Needs {
    fn bitor_assign(&mut self, o: Self) {
        *self = self.or(o);
    }
}

/// One end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// This one.
    Local,
    /// The far one.
    Remote,
}

/// A condition that the kernel can test while it dumps (`INET_DIAG_REQ_BYTECODE`). What it lets through is at least
/// what the filter wants; the filter itself is always evaluated over the rows that come back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefilter {
    /// All of them (none: always true).
    And(Vec<Self>),
    /// Any of them (none: never true).
    Or(Vec<Self>),
    /// Not this one.
    Not(Box<Self>),
    /// The port of one end lies within `low..=high`.
    Ports {
        /// Which end.
        side: Side,
        /// Lowest that matches.
        low: u16,
        /// Highest that matches.
        high: u16,
    },
    /// The address of one end has this prefix; IPv4 prefixes cover IPv4-mapped addresses too.
    Prefix {
        /// Which end.
        side: Side,
        /// The network.
        addr: Addr,
        /// Its length in bits as written: 0 to 32 for IPv4, 0 to 128 for IPv6.
        len: u8,
    },
    /// Bound to the interface of this name.
    Iface(String),
    /// `(mark & mask) == value`.
    Mark {
        /// The value.
        value: u32,
        /// The bits that count.
        mask: u32,
    },
    /// In the cgroup (v2) at this path below the cgroup root, not in its children.
    Cgroup(String),
    /// The kernel chose the local port.
    AutoBound,
}

/// Request of one poll: the rows to read, and what to read of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// Protocols to read.
    pub protos: ProtoSet,
    /// States to read.
    pub states: StateSet,
    /// Condition for the kernel; it may leave out the rows that fail it.
    pub prefilter: Option<Prefilter>,
    /// Number of sockets of a long table that is enough for now ([`super::FaultKind::Deferred`] reports the rest).
    #[serde(default)]
    pub at_most: Option<u32>,
    /// Everything read beyond the fixed part of a row.
    pub needs: Needs,
}

impl Wants {
    /// Request for every state of these protocols.
    pub const fn new(needs: Needs, protos: ProtoSet) -> Self {
        Self { protos, states: StateSet::ALL, prefilter: None, at_most: None, needs }
    }

    /// True if all of these are read.
    pub const fn reads(&self, reads: Reads) -> bool {
        self.needs.reads.contains(reads)
    }

    /// True if any of these is read.
    pub const fn reads_any(&self, reads: Reads) -> bool {
        self.needs.reads.intersects(reads)
    }

    /// True if all of these kernel attributes are read.
    pub const fn attrs(&self, attrs: AttrSet) -> bool {
        self.needs.attrs.contains(attrs)
    }

    /// Adds optional readings.
    #[must_use]
    pub const fn with(mut self, reads: Reads) -> Self {
        self.needs.reads = self.needs.reads.union(reads);
        self
    }

    /// Removes optional readings.
    #[must_use]
    pub const fn without(mut self, reads: Reads) -> Self {
        self.needs.reads = self.needs.reads.difference(reads);
        self
    }

    /// Replaces the kernel attributes.
    #[must_use]
    pub const fn with_attrs(mut self, attrs: AttrSet) -> Self {
        self.needs.attrs = attrs;
        self
    }
}

impl Default for Wants {
    /// All TCP and UDP sockets with their owners, without optional attributes; `tcp_info`, where attributes are added,
    /// is kept whole.
    fn default() -> Self {
        Self::new(Needs { info_words: u64::MAX, ..Needs::OWNERS }, ProtoSet::TCP_UDP)
    }
}
