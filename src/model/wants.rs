//! What a poll is asked to read. Cost follows use: what no column, filter or sort needs is not read.

use super::{Addr, Proto, StateSet};
use serde::{Deserialize, Serialize};

/// Optional kernel attributes, the bits of `inet_diag_req_v2.idiag_ext` (bit *n*−1 asks for attribute *n*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct AttrSet(pub u8);

impl AttrSet {
    /// Nothing optional.
    pub const NONE: Self = Self(0);
    /// `tcp_info`.
    pub const INFO: Self = Self(1 << 1);
    /// The congestion algorithm's name.
    pub const CONG: Self = Self(1 << 3);
    /// Type of service.
    pub const TOS: Self = Self(1 << 4);
    /// Traffic class; also class id.
    pub const TCLASS: Self = Self(1 << 5);
    /// Socket memory and drops.
    pub const SKMEM: Self = Self(1 << 6);
    /// Which halves are shut down.
    pub const SHUTDOWN: Self = Self(1 << 7);
    /// Vegas, DCTCP or BBR figures.
    pub const VEGAS: Self = Self(1 << 2);
    /// All that there are.
    pub const ALL: Self = Self(0xfe);

    /// In either.
    #[must_use]
    pub const fn or(self, o: Self) -> Self {
        Self(self.0 | o.0)
    }
    /// Whether it holds all of `o`.
    pub const fn has(self, o: Self) -> bool {
        self.0 & o.0 == o.0
    }
}

/// A set of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProtoSet(u16);

impl ProtoSet {
    /// None.
    pub const NONE: Self = Self(0);
    /// TCP and UDP.
    pub const TCP_UDP: Self = Self(1 << Proto::Tcp as u8 | 1 << Proto::Udp as u8);
    /// Every protocol.
    pub const ALL: Self = Self((1 << Proto::ALL.len()) - 1);

    /// With one more.
    #[must_use]
    pub const fn with(self, p: Proto) -> Self {
        Self(self.0 | 1 << p as u8)
    }
    /// Whether it holds this one.
    pub const fn has(self, p: Proto) -> bool {
        self.0 & 1 << p as u8 != 0
    }
    /// In either.
    #[must_use]
    pub const fn or(self, o: Self) -> Self {
        Self(self.0 | o.0)
    }
    /// In both.
    #[must_use]
    pub const fn and(self, o: Self) -> Self {
        Self(self.0 & o.0)
    }
    /// All but these.
    #[must_use]
    pub const fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
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

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// Which protocols.
    pub protos: ProtoSet,
    /// Which states.
    pub states: StateSet,
    /// Which optional attributes.
    pub attrs: AttrSet,
    /// Which words of `tcp_info` to keep of each socket, the others no column asks for: bit n stands for the bytes
    /// 8n to 8n + 7.
    #[serde(default = "all_of_it")]
    pub info_words: u64,
    /// Whether to find the processes that hold the sockets.
    pub owners: bool,
    /// Whether to read the processes and their descriptor counts and limits at all.
    pub processes: bool,
    /// Whether to split every process's descriptors by kind (a walk over all of them).
    pub fd_kinds: bool,
    /// What the kernel may leave out.
    pub prefilter: Option<Prefilter>,
    /// Whether to read every serving socket, whatever `states` and `prefilter` leave out: who began a connection is
    /// told by the listeners.
    #[serde(default)]
    pub listeners: bool,
    /// Whether to ask the kernel, of each socket, if it chose the local port.
    #[serde(default)]
    pub auto_port: bool,
    /// Whether to name the control groups of sockets.
    #[serde(default)]
    pub cgroups: bool,
    /// Whether to read what the kernel counts beside the sockets, and to work out what is about to run out.
    #[serde(default)]
    pub limits: bool,
    /// Whether to look for the far ends that are on this machine.
    #[serde(default)]
    pub ends: bool,
    /// Of a long table about so many sockets are enough for now ([`super::FaultKind::Deferred`] tells that there are more).
    #[serde(default)]
    pub at_most: Option<u32>,
    /// Whether to read what is forwarded, and the connections that are tracked.
    #[serde(default)]
    pub nat: bool,
    /// Whether connections that only pass through are rows too.
    #[serde(default)]
    pub forwarded: bool,
    /// Whether to read the security contexts of processes.
    #[serde(default)]
    pub proc_ctx: bool,
    /// Whether to read the security contexts of sockets.
    #[serde(default)]
    pub sock_ctx: bool,
    /// Whether to read which threads processes have.
    #[serde(default)]
    pub tids: bool,
    /// Whether to read the filters of packet sockets and the BPF maps of IP ones.
    #[serde(default)]
    pub bpf: bool,
}

const fn all_of_it() -> u64 {
    u64::MAX
}

impl Wants {
    /// Reads of each row also what `more` asks for; which rows are read stays as it is.
    pub fn also(&mut self, more: &Self) {
        // Every field by name, so that a new one is not forgotten here.
        let Self {
            protos: _,
            states: _,
            prefilter: _,
            at_most: _,
            attrs,
            info_words,
            owners,
            processes,
            fd_kinds,
            listeners,
            auto_port,
            cgroups,
            limits,
            ends,
            nat,
            forwarded,
            proc_ctx,
            sock_ctx,
            tids,
            bpf,
        } = more;
        self.attrs = self.attrs.or(*attrs);
        self.info_words |= info_words;
        self.owners |= owners;
        self.processes |= processes;
        self.fd_kinds |= fd_kinds;
        self.listeners |= listeners;
        self.auto_port |= auto_port;
        self.cgroups |= cgroups;
        self.limits |= limits;
        self.ends |= ends;
        self.nat |= nat;
        self.forwarded |= forwarded;
        self.proc_ctx |= proc_ctx;
        self.sock_ctx |= sock_ctx;
        self.tids |= tids;
        self.bpf |= bpf;
    }
}

impl Default for Wants {
    /// All TCP and UDP sockets with their owners, no optional attribute.
    fn default() -> Self {
        Self {
            protos: ProtoSet::TCP_UDP,
            states: StateSet::ALL,
            attrs: AttrSet::NONE,
            info_words: all_of_it(),
            owners: true,
            processes: true,
            fd_kinds: false,
            prefilter: None,
            listeners: false,
            auto_port: false,
            cgroups: false,
            limits: false,
            ends: false,
            at_most: None,
            nat: false,
            forwarded: false,
            proc_ctx: false,
            sock_ctx: false,
            bpf: false,
            tids: false,
        }
    }
}
