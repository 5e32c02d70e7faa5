//! Tables of iptables-legacy as the kernel reported them (`include/uapi/linux/netfilter_ipv4/ip_tables.h`,
//! `netfilter_ipv6/ip6_tables.h`, `netfilter/x_tables.h`).

use crate::model::proto::Family;
use serde::{Deserialize, Serialize};

/// One table of one network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Network namespace: an index of [`crate::model::Sample::namespaces`].
    pub netns: u16,
    /// Address family.
    pub family: Family,
    /// Name: `nat`.
    pub name: Box<str>,
    /// Hooks with a built-in chain.
    pub hooks: Vec<Hook>,
    /// Entries, ordered by offset.
    pub entries: Vec<Entry>,
}

/// Built-in chain of one hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `NF_INET_*`: index of [`HOOK_CHAINS`].
    pub number: u32,
    /// `hook_entry`: offset of its first entry.
    pub first: u32,
    /// `underflow`: offset of its policy entry.
    pub underflow: u32,
}

/// One entry (`struct ipt_entry`, `struct ip6t_entry`). IPv4 addresses and masks are in the first four bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Offset in the table.
    pub offset: u32,
    /// `next_offset`: length up to the next entry.
    pub len: u32,
    /// `src`.
    pub src: [u8; 16],
    /// `smsk`.
    pub src_mask: [u8; 16],
    /// `dst`.
    pub dst: [u8; 16],
    /// `dmsk`.
    pub dst_mask: [u8; 16],
    /// `iniface`.
    pub iface: [u8; 16],
    /// `iniface_mask`.
    pub iface_mask: [u8; 16],
    /// `outiface`.
    pub out_iface: [u8; 16],
    /// `outiface_mask`.
    pub out_iface_mask: [u8; 16],
    /// `proto`: `IPPROTO_*`, 0 for any.
    pub proto: u16,
    /// `flags`: `IPT_F_*`.
    pub flags: u8,
    /// `invflags`: `IPT_INV_*`.
    pub invflags: u8,
    /// Matches (`struct xt_entry_match`).
    pub matches: Vec<Extension>,
    /// Target (`struct xt_entry_target`); the name is empty for a verdict or jump.
    pub target: Extension,
}

/// Match or target: name, revision and private structure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Name.
    pub name: Box<str>,
    /// Revision.
    pub revision: u8,
    /// Private structure, in host byte order.
    pub info: Box<[u8]>,
}

/// Names of the built-in chains, by `NF_INET_*`.
pub const HOOK_CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// `IPT_F_GOTO`: the jump does not return.
pub const IPT_F_GOTO: u8 = 0x02;
/// `IP6T_F_GOTO`.
pub const IP6T_F_GOTO: u8 = 0x04;
/// `IPT_INV_VIA_IN`; `IP6T_INV_*` have the same values.
pub const IPT_INV_VIA_IN: u8 = 0x01;
/// `IPT_INV_VIA_OUT`.
pub const IPT_INV_VIA_OUT: u8 = 0x02;
/// `IPT_INV_FRAG`.
pub const IPT_INV_FRAG: u8 = 0x20;
/// `IPT_F_FRAG`.
pub const IPT_F_FRAG: u8 = 0x01;
/// `IPT_INV_SRCIP`.
pub const IPT_INV_SRCIP: u8 = 0x08;
/// `IPT_INV_DSTIP`.
pub const IPT_INV_DSTIP: u8 = 0x10;
/// `XT_INV_PROTO`.
pub const XT_INV_PROTO: u8 = 0x40;

/// `XT_ERROR_TARGET`: the entry begins a user-defined chain, whose name follows, or ends the table.
pub const XT_ERROR_TARGET: &str = "ERROR";
/// `XT_STANDARD_TARGET`: a verdict, or the offset to jump to.
pub const XT_STANDARD_TARGET: &str = "";

/// `XT_TCP_INV_SRCPT` and `XT_UDP_INV_SRCPT`.
pub const XT_TCP_INV_SRCPT: u8 = 0x01;
/// `XT_TCP_INV_DSTPT` and `XT_UDP_INV_DSTPT`.
pub const XT_TCP_INV_DSTPT: u8 = 0x02;
/// `XT_MULTIPORT_SOURCE`: the ports are source ports.
pub const XT_MULTIPORT_SOURCE: u8 = 0;
/// `XT_MULTIPORT_EITHER`.
pub const XT_MULTIPORT_EITHER: u8 = 2;
/// `XT_MULTI_PORTS`: most ports of one `multiport` match.
pub const XT_MULTI_PORTS: usize = 15;

/// `NF_NAT_RANGE_MAP_IPS`: the range has addresses.
pub const NF_NAT_RANGE_MAP_IPS: u32 = 1;
/// `NF_NAT_RANGE_PROTO_SPECIFIED`: the range has ports.
pub const NF_NAT_RANGE_PROTO_SPECIFIED: u32 = 2;
/// `NF_NAT_RANGE_PROTO_OFFSET`: ports keep their distance to a base port.
pub const NF_NAT_RANGE_PROTO_OFFSET: u32 = 1 << 5;
