//! Path of a connection as the kernel reported it, namespace by namespace, and what firewall rules do to it.
//!
//! [`NetState`] and [`Lookup`] are raw: links, addresses, rules, settings, and the answer to one routing lookup. They are read
//! without a packet being sent. [`Hop`] adds what `derive` computed from them.

use super::addr::{Addr, Endpoint};
use super::proto::Proto;
use super::sample::Netfilter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// First packet of a connection, with the fields that are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstPacket {
    /// TCP or UDP.
    pub proto: Proto,
    /// Source address; `None` for any.
    pub source: Option<Addr>,
    /// Destination.
    pub dest: Endpoint,
    /// Mark (`SO_MARK`).
    pub mark: u32,
    /// User of the socket; `None` for a packet from elsewhere.
    pub uid: Option<u32>,
    /// Input interface by index and name; `None` for a packet of this namespace.
    pub iif: Option<(u32, Box<str>)>,
    /// The destination was translated before.
    pub translated: bool,
}

/// A real connect to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// TCP or UDP.
    pub proto: Proto,
    /// Source address; `None` for the one that the kernel chooses.
    pub source: Option<Addr>,
    /// Destination.
    pub dest: Endpoint,
    /// Mark (`SO_MARK`).
    pub mark: u32,
    /// User of the socket.
    pub uid: u32,
    /// Inode of the network namespace; `None` for that of this process.
    pub netns: Option<u64>,
}

/// Outcome of a real connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectOutcome {
    /// Established; of UDP: a datagram came back.
    Connected,
    /// A datagram was sent, and neither an answer nor an error came back.
    Sent,
    /// No answer within the time.
    Silent,
    /// Error of the kernel: `errno`.
    Failed(i32),
}

/// Result of a real connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectResult {
    /// Outcome.
    pub outcome: ConnectOutcome,
    /// Time it took.
    pub took: Duration,
}

/// Answer to a routing lookup (`RTM_GETROUTE`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteAnswer {
    /// The route the kernel takes.
    Found(Route),
    /// Error of the kernel: `errno`.
    Refused(i32),
    /// The lookup was not possible: reason.
    NotRead(Box<str>),
}

/// Route of one destination (`struct rtmsg` and its attributes).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `rtm_type`: `RTN_*`.
    pub kind: u8,
    /// `RTA_TABLE`.
    pub table: u32,
    /// `RTA_OIF`: index of the output interface.
    pub oif: u32,
    /// `RTA_GATEWAY` or `RTA_VIA`.
    pub gateway: Option<Addr>,
    /// `RTA_PREFSRC`: source address that the kernel chooses.
    pub source: Option<Addr>,
    /// `RTAX_MTU` of `RTA_METRICS`.
    pub mtu: Option<u32>,
    /// `rtm_flags`: `RTNH_F_*`.
    pub flags: u32,
}

/// `RTN_UNICAST`: to a next hop.
pub const RTN_UNICAST: u8 = 1;
/// `RTN_LOCAL`: to this namespace.
pub const RTN_LOCAL: u8 = 2;
/// `RTN_BLACKHOLE`: dropped silently.
pub const RTN_BLACKHOLE: u8 = 6;
/// `RTN_UNREACHABLE`: answered with host unreachable.
pub const RTN_UNREACHABLE: u8 = 7;
/// `RTN_PROHIBIT`: answered with administratively prohibited.
pub const RTN_PROHIBIT: u8 = 8;

/// Policy routing rule (`struct fib_rule_hdr` and its attributes).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRule {
    /// IPv6.
    pub v6: bool,
    /// `FRA_PRIORITY`.
    pub priority: u32,
    /// `action`: `FR_ACT_*`.
    pub action: u8,
    /// `FRA_TABLE`.
    pub table: u32,
    /// `FRA_FWMARK` and `FRA_FWMASK`.
    pub mark: Option<(u32, u32)>,
    /// `FRA_UID_RANGE`.
    pub uids: Option<(u32, u32)>,
    /// `FRA_SRC` with its length.
    pub source: Option<(Addr, u8)>,
    /// `FRA_DST` with its length.
    pub dest: Option<(Addr, u8)>,
    /// `FRA_IIFNAME`.
    pub iif: Option<Box<str>>,
    /// `FRA_OIFNAME`.
    pub oif: Option<Box<str>>,
}

/// Interface (`struct ifinfomsg` and its attributes).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Index.
    pub index: u32,
    /// `IFLA_IFNAME`.
    pub name: Box<str>,
    /// `ifi_flags`: `IFF_*`.
    pub flags: u32,
    /// `IFLA_OPERSTATE`: `IF_OPER_*`.
    pub operstate: u8,
    /// `IFLA_MTU`.
    pub mtu: u32,
    /// `IFLA_MASTER`: index of the bridge, bond or VRF it belongs to.
    pub master: Option<u32>,
    /// `IFLA_INFO_KIND`: `veth`, `vrf`.
    pub kind: Box<str>,
    /// `IFLA_ADDRESS`.
    pub mac: Box<[u8]>,
}

impl Link {
    /// `IFF_UP`: enabled by the administrator.
    pub const fn is_up(&self) -> bool {
        self.flags & 1 != 0
    }

    /// `IFF_LOOPBACK`.
    pub const fn is_loopback(&self) -> bool {
        self.flags & 8 != 0
    }

    /// Enabled, without carrier: `IF_OPER_DOWN`, `IF_OPER_LOWERLAYERDOWN`, or at once without `IFF_LOWER_UP`.
    pub const fn has_no_carrier(&self) -> bool {
        self.is_up() && (matches!(self.operstate, 2 | 3) || self.flags & 0x1_0000 == 0)
    }
}

/// Address of an interface (`struct ifaddrmsg`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAddr {
    /// Index of the interface.
    pub link: u32,
    /// `IFA_LOCAL`, or else `IFA_ADDRESS`.
    pub addr: Addr,
    /// `ifa_prefixlen`.
    pub prefix: u8,
    /// `IFA_FLAGS`: `IFA_F_*`.
    pub flags: u32,
}

/// Entry of the neighbour table (`struct ndmsg`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// `ndm_state`: `NUD_*`.
    pub state: u16,
    /// `NDA_LLADDR`.
    pub mac: Box<[u8]>,
}

/// `NUD_INCOMPLETE`: being resolved.
pub const NUD_INCOMPLETE: u16 = 0x01;
/// `NUD_FAILED`: no answer.
pub const NUD_FAILED: u16 = 0x20;

/// Network namespace as read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetState {
    /// Inode of the namespace.
    pub inode: u64,
    /// Display name.
    pub name: Box<str>,
    /// Interfaces.
    pub links: Vec<Link>,
    /// Addresses.
    pub addrs: Vec<LinkAddr>,
    /// Policy routing rules.
    pub rules: Vec<PolicyRule>,
    /// Firewall rules of all tables; `None` if they were not read.
    pub netfilter: Option<Netfilter>,
    /// Settings by their path below `/proc/sys/net`.
    pub sysctls: BTreeMap<Box<str>, Box<str>>,
    /// Parts that were not read, with the reason.
    pub unread: Vec<(Unread, Box<str>)>,
}

/// Part of a namespace that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unread {
    /// Interfaces and addresses.
    Links,
    /// Policy routing rules.
    PolicyRules,
    /// Firewall rules.
    Firewall,
}

impl NetState {
    /// A setting as a number.
    pub fn sysctl(&self, path: &str) -> Option<i64> {
        self.sysctls.get(path)?.trim().parse().ok()
    }

    /// The reason why a part was not read.
    pub fn unread(&self, what: Unread) -> Option<&str> {
        self.unread.iter().find(|(w, _)| *w == what).map(|(_, why)| &**why)
    }

    /// The interface with this index.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|l| l.index == index)
    }

    /// True if the address is one of this namespace.
    pub fn has_addr(&self, addr: &Addr) -> bool {
        addr.scope() == super::addr::Scope::Loopback || self.addrs.iter().any(|a| a.addr == *addr)
    }
}

/// Routing lookup, and the next hop it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Answer of the kernel.
    pub route: RouteAnswer,
    /// The neighbour of the next hop; `None` if there is no entry.
    pub neighbour: Option<Neighbour>,
}

/// Effect of a rule that stops packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// Silently.
    Drop,
    /// With a TCP reset.
    Reset,
    /// With an ICMP error of destination unreachable: the code for IPv4.
    Icmp(u8),
    /// Passed to a program (`NF_QUEUE`).
    Queue,
}

/// Rule that stops packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// Hook (`NF_INET_*`).
    pub hook: u32,
    /// Effect.
    pub stop: Stop,
    /// Location: `inet filter input handle 7`.
    pub location: Box<str>,
    /// Packets counted by the rule, if it counts.
    pub packets: Option<u64>,
    /// Conditions that are not known of the packet; empty if it stops every one.
    pub conditions: Box<str>,
    /// A condition is a rate limit or a random choice, which only some packets meet.
    pub by_chance: bool,
}

/// Verdict of the rules at the hooks that a packet passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookVerdict {
    /// No rule stops it.
    Passes,
    /// The rules stop it, whatever is not known of it.
    Stopped(RuleHit),
    /// The rules stop it under conditions that are not known.
    Maybe(Vec<RuleHit>),
    /// Not evaluated: reason.
    Unknown(Box<str>),
}

/// New destination by a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// New destination; `None` if it is not one endpoint.
    pub to: Option<Endpoint>,
    /// Location of the rule.
    pub location: Box<str>,
    /// Conditions that are not known of the packet; empty if it translates every one.
    pub conditions: Box<str>,
}

/// Way of a packet through a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Sent by a process of the namespace.
    Output,
    /// Received for the namespace.
    Input,
    /// Received and sent on.
    Forward,
}

/// One namespace on the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Number of the namespace in the snapshot.
    pub netns: u16,
    /// Stage.
    pub stage: Stage,
    /// State of the namespace.
    pub net: NetState,
    /// The packet as it enters.
    pub packet: FirstPacket,
    /// Translation of the destination.
    pub translation: Option<Translation>,
    /// The lookup for the destination, after the translation.
    pub lookup: Lookup,
    /// Verdict of the rules on the packet.
    pub verdict: HookVerdict,
    /// Verdict of the rules on the answer, which returns through this namespace.
    pub reply: HookVerdict,
}

impl Hop {
    /// The route, if there is one.
    pub const fn route(&self) -> Option<&Route> {
        match &self.lookup.route {
            RouteAnswer::Found(route) => Some(route),
            RouteAnswer::Refused(_) | RouteAnswer::NotRead(_) => None,
        }
    }

    /// The destination when the packet leaves the hop.
    pub fn dest(&self) -> Endpoint {
        self.translation.as_ref().and_then(|t| t.to).unwrap_or(self.packet.dest)
    }

    /// True if the packet is delivered to a socket of the namespace.
    pub fn is_delivered(&self) -> bool {
        self.route().is_some_and(|r| r.kind == RTN_LOCAL)
    }
}
