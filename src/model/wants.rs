//! Request of a poll: rows to read and data to read for each. Only what a column, filter or sort key needs is read.

use super::addr::Addr;
use super::proto::Proto;
use super::state::StateSet;
use super::tcp_info::info_words;
use super::verify::Verify;
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
    /// All optional attributes.
    pub const ALL: Self = Self::all();
}

bitflags! {
    /// Set of protocols, one bit per [`Proto`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct ProtoSet: u16 {
        /// TCP and UDP.
        const TCP_UDP = 1 << Proto::Tcp as u8 | 1 << Proto::Udp as u8;
        /// TCP.
        const TCP = 1 << Proto::Tcp as u8;
        /// TCP, and MPTCP, which has some counters of `tcp_info` under the same names.
        const TCP_INFO = 1 << Proto::Tcp as u8 | 1 << Proto::Mptcp as u8;
        /// Protocols with TCP states ([`Proto::has_tcp_states`]).
        const TCP_STATES = Self::new(&[Proto::Tcp, Proto::Mptcp, Proto::Sctp, Proto::Dccp]).bits();
        /// Protocols whose endpoints are an IP address and a port ([`Proto::is_inet`]).
        const INET = Self::TCP_STATES.bits() | Self::new(&[Proto::Udp, Proto::UdpLite, Proto::Raw, Proto::Icmp]).bits();
        /// All protocols.
        const ALL = (1 << Proto::ALL.len()) - 1;
    }
}

impl ProtoSet {
    /// The set of these protocols.
    pub const fn new(protos: &[Proto]) -> Self {
        let (mut set, mut i) = (Self::empty(), 0);
        while i < protos.len() {
            set = set.with(protos[i]);
            i += 1;
        }
        set
    }

    /// Its protocols, in display order.
    pub fn members(self) -> impl Iterator<Item = Proto> {
        Proto::ALL.into_iter().map(|(p, _)| p).filter(move |p| self.has(*p))
    }

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
    /// Optional data of a poll: one bit per item that has a cost and is not always needed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct Reads: u32 {
        /// Processes that hold the sockets.
        const OWNERS = 1;
        /// Processes with their descriptor counts and limits.
        const PROCESSES = 1 << 1;
        /// Descriptors of every process by kind: a scan of all of `/proc/PID/fd`.
        const FD_KINDS = 1 << 2;
        /// All listening sockets, even if the states and the prefilter of the request exclude them: the direction of a
        /// connection is derived from the listeners.
        const LISTENERS = 1 << 3;
        /// Origin of local ports: chosen by the kernel or bound by the application.
        const AUTO_PORT = 1 << 4;
        /// Names of the sockets' cgroups.
        const CGROUPS = 1 << 5;
        /// Kernel counters and limits beside the sockets, for the resource limits and alerts.
        const LIMITS = 1 << 6;
        /// Local peers. All sockets are read, because the peer can be one that the filter excludes.
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
        /// CPU time, memory and number of threads of processes.
        const USAGE = 1 << 14;
        /// Events between two polls; kept on by each poll that wants them.
        const EVENTS = 1 << 15;
        /// DNS questions and answers, captured between two polls; kept on by each poll that wants them. Their processes are those
        /// of the events.
        const DNS = 1 << 16;
        /// State of every owner of a socket that was read; without it of those with something in a queue.
        const HALTED = 1 << 17;
        /// Next hops that do not answer.
        const NEXT_HOPS = 1 << 18;
        /// Firewall rules even if nothing translates addresses.
        const FIREWALL = 1 << 19;
    }
}

impl Reads {
    /// Adds dependencies: owners, descriptors and usage need processes, forwarded connections and the firewall are read with the forwards.
    #[must_use]
    const fn with_implied(self) -> Self {
        let mut out = self;
        if self.intersects(Self::OWNERS.union(Self::FD_KINDS).union(Self::USAGE)) {
            out = out.union(Self::PROCESSES);
        }
        if self.intersects(Self::FORWARDED.union(Self::FIREWALL)) {
            out = out.union(Self::NAT);
        }
        if self.intersects(Self::DNS) {
            out = out.union(Self::EVENTS);
        }
        out
    }
}

/// Data required by a column, a filter or a view beyond the fixed part of a row. Combined with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Needs {
    /// Optional data.
    pub reads: Reads,
    /// Optional kernel attributes of sockets.
    pub attrs: AttrSet,
    /// Words of `tcp_info` to keep, see [`super::tcp_info::TcpField::words`]: bit n stands for bytes 4n to 4n + 3.
    pub info_words: u128,
}

impl Needs {
    /// Fixed part of a row only.
    pub const NONE: Self = Self { reads: Reads::empty(), attrs: AttrSet::NONE, info_words: 0 };
    /// Owners of sockets.
    pub const OWNERS: Self = Self::reads(Reads::OWNERS);
    /// Descriptors by kind, and the owners of those that are sockets.
    pub const FD_KINDS: Self = Self::reads(Reads::OWNERS.union(Reads::FD_KINDS));
    /// All listening sockets.
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
    /// CPU time, memory and number of threads of processes.
    pub const USAGE: Self = Self::reads(Reads::USAGE);
    /// Socket filters and BPF maps.
    pub const BPF: Self = Self::reads(Reads::BPF);
    /// Events between two polls.
    pub const EVENTS: Self = Self::reads(Reads::EVENTS);
    /// DNS questions and answers.
    pub const DNS: Self = Self::reads(Reads::DNS);
    /// Local peers and their owners.
    pub const LOCAL_PEERS: Self = Self::reads(Reads::LOCAL_PEERS.union(Reads::OWNERS));
    /// Port forwards with the sockets and owners of both sides.
    pub const NAT: Self = Self::reads(Reads::NAT.union(Reads::LOCAL_PEERS).union(Reads::OWNERS));
    /// Firewall in front of listeners.
    pub const FIREWALL: Self = Self::reads(Reads::FIREWALL).or(Self::NAT);
    /// Resource limits of sockets, of their owners and of the kernel's tables.
    pub const LIMITS: Self = Self::reads(Reads::LIMITS.union(Reads::OWNERS).union(Reads::FD_KINDS))
        .or(Self::attrs(AttrSet::SKMEM))
        .or(Self::LAST_ACK);
    /// Time since the last ACK (`tcpi_last_ack_recv`), from which the age of `CLOSE_WAIT` follows.
    const LAST_ACK: Self = Self::info(info_words(&[56]));
    /// Data needed by the findings.
    pub const FINDINGS: Self = Self::reads(Reads::OWNERS.union(Reads::NEXT_HOPS))
        .or(Self::attrs(AttrSet::SKMEM))
        .or(Self::info(u128::MAX));
    /// Data by which both ends of a connection between hosts are joined: addresses, conntrack, byte counters.
    pub const JOINED: Self = Self::NAT.or(Self::RATES);
    /// Counters from which rates are computed: `tcpi_total_retrans`, `tcpi_bytes_acked`, `tcpi_bytes_received`.
    pub const RATES: Self = Self::info(info_words(&[100, 120, 128]));

    /// Optional data and its dependencies.
    pub const fn reads(reads: Reads) -> Self {
        Self { reads: reads.with_implied(), ..Self::NONE }
    }

    /// Kernel attributes alone.
    pub const fn attrs(attrs: AttrSet) -> Self {
        Self { attrs, ..Self::NONE }
    }

    /// Words of `tcp_info`.
    pub const fn info(words: u128) -> Self {
        Self { attrs: AttrSet::INFO, info_words: words, ..Self::NONE }
    }

    /// Union for `const` contexts; use `|` elsewhere.
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

/// Local or remote endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Local endpoint.
    Local,
    /// Remote endpoint.
    Remote,
}

/// Condition evaluated by the kernel during the dump (`INET_DIAG_REQ_BYTECODE`). It can pass more rows than the filter
/// matches: the filter is always applied to the result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefilter {
    /// True if all conditions hold (empty: always).
    And(Vec<Self>),
    /// True if any condition holds (empty: never).
    Or(Vec<Self>),
    /// Negation.
    Not(Box<Self>),
    /// Port of one endpoint is in `low..=high`.
    Ports {
        /// Local or remote.
        side: Side,
        /// Lowest port.
        low: u16,
        /// Highest port.
        high: u16,
    },
    /// Address of one endpoint is in this network; IPv4 networks also match IPv4-mapped addresses.
    Prefix {
        /// Local or remote.
        side: Side,
        /// Network address.
        addr: Addr,
        /// Prefix length in bits as written: 0 to 32 for IPv4, 0 to 128 for IPv6.
        len: u8,
    },
    /// Bound to the interface of this name (`SO_BINDTODEVICE`).
    Iface(String),
    /// `(mark & mask) == value`.
    Mark {
        /// Value.
        value: u32,
        /// Mask.
        mask: u32,
    },
    /// Socket belongs to the cgroup v2 at this path below the cgroup root, child cgroups excluded.
    Cgroup(String),
    /// Local port chosen by the kernel (`INET_DIAG_BC_AUTO`).
    AutoBound,
}

/// Request of one poll: rows to read and data to read for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// Protocols to read.
    pub protos: ProtoSet,
    /// States to read.
    pub states: StateSet,
    /// Condition for the kernel; backends may ignore it.
    pub prefilter: Option<Prefilter>,
    /// Maximum sockets per table; [`super::FaultKind::Deferred`] reports the rest.
    #[serde(default)]
    pub max_sockets: Option<u32>,
    /// Data read beyond the fixed part of a row.
    pub needs: Needs,
    /// Owners and names that are checked first.
    #[serde(skip)]
    pub verify: Verify,
}

impl Wants {
    /// Request for every state of these protocols.
    pub const fn new(needs: Needs, protos: ProtoSet) -> Self {
        Self {
            protos,
            states: StateSet::ALL,
            prefilter: None,
            max_sockets: None,
            needs,
            verify: Verify::IfFew,
        }
    }

    /// Request of a recording: what the views of the dashboard read.
    pub fn recording() -> Self {
        let needs = Needs::FINDINGS
            | Needs::LIMITS
            | Needs::RATES
            | Needs::CGROUPS
            | Needs::NAT
            | Needs::EVENTS
            | Needs::reads(Reads::LISTENERS | Reads::AUTO_PORT);
        Self::new(needs, ProtoSet::ALL)
    }

    /// This request, and all that [`Self::recording`] reads.
    #[must_use]
    pub fn with_recording(self) -> Self {
        let all = Self::recording();
        Self {
            protos: self.protos | all.protos,
            states: all.states,
            prefilter: None,
            max_sockets: None,
            needs: self.needs | all.needs,
            verify: self.verify,
        }
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

    /// True if no socket, process or limit is read, only events, DNS questions and the names of control groups.
    pub fn only_events(&self) -> bool {
        let rest = self.needs.reads.difference(Reads::EVENTS.union(Reads::CGROUPS).union(Reads::DNS));
        self.reads(Reads::EVENTS) && rest.is_empty() && self.protos == ProtoSet::empty()
    }

    /// Adds optional data.
    #[must_use]
    pub const fn with(mut self, reads: Reads) -> Self {
        self.needs.reads = self.needs.reads.union(reads);
        self
    }

    /// Removes optional data.
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
    /// All TCP and UDP sockets with their owners, without optional attributes. `tcp_info` is kept whole if it is
    /// requested.
    fn default() -> Self {
        Self::new(Needs { info_words: u128::MAX, ..Needs::OWNERS }, ProtoSet::TCP_UDP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_sets_agree_with_their_predicates() {
        for (p, _) in Proto::ALL {
            assert!(ProtoSet::ALL.has(p));
            assert_eq!(ProtoSet::INET.has(p), p.is_inet(), "{p:?}");
            assert_eq!(ProtoSet::TCP_STATES.has(p), p.has_tcp_states(), "{p:?}");
            assert_eq!(ProtoSet::TCP.has(p), p == Proto::Tcp, "{p:?}");
        }
        assert!(ProtoSet::new(&[Proto::Xdp, Proto::Udp]).members().eq([Proto::Udp, Proto::Xdp]));
    }
}
