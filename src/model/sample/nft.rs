//! `nf_tables` rulesets as the kernel reported them (`include/uapi/linux/netfilter/nf_tables.h`).
//!
//! Attributes keep their kernel numbers; the constants at the end name the values. Nothing is interpreted here, so a
//! ruleset can be written to a file and evaluated later.

pub mod builder;

use serde::{Deserialize, Serialize};

/// Bytes of a value, an attribute or a register.
pub type Bytes = Box<[u8]>;

/// Tables of one network namespace that have a chain of type `nat`, or one that packets pass before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    /// Network namespace: an index of [`crate::model::Sample::namespaces`].
    pub netns: u16,
    /// Tables, in kernel order.
    pub tables: Vec<Table>,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// `NFPROTO_*`.
    pub family: u8,
    /// Name.
    pub name: Box<str>,
    /// `NFTA_TABLE_FLAGS`.
    #[serde(default)]
    pub flags: u32,
    /// Chains, in kernel order.
    pub chains: Vec<Chain>,
    /// Sets and maps.
    pub sets: Vec<Set>,
}

/// One chain: a base chain if it has a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// `NFTA_CHAIN_NAME`.
    pub name: Box<str>,
    /// `NFTA_CHAIN_HANDLE`.
    pub handle: Option<u64>,
    /// `NFTA_CHAIN_TYPE`: `nat`, `filter` or `route`.
    pub kind: Option<Box<str>>,
    /// `NFTA_CHAIN_HOOK`.
    pub hook: Option<Hook>,
    /// `NFTA_HOOK_DEV` and `NFTA_HOOK_DEVS`: interfaces of a chain at the ingress hook.
    #[serde(default)]
    pub devices: Vec<Box<str>>,
    /// `NFTA_CHAIN_POLICY`: `NF_ACCEPT` or `NF_DROP`.
    pub policy: Option<u32>,
    /// Rules, in evaluation order.
    pub rules: Vec<Rule>,
}

impl Chain {
    /// Hook number (`NF_INET_*`) of a base chain of type `nat`.
    pub fn nat_hook(&self) -> Option<u32> {
        self.hook.filter(|_| self.kind.as_deref() == Some("nat"))?.number
    }
}

/// `NF_IP_PRI_NAT_DST`: priority of the translation of destinations.
pub const NF_IP_PRI_NAT_DST: i32 = -100;
/// `NF_IP_PRI_NAT_SRC`: priority of the translation of sources.
pub const NF_IP_PRI_NAT_SRC: i32 = 100;

/// Hook of a base chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `NFTA_HOOK_HOOKNUM`: `NF_INET_*`.
    pub number: Option<u32>,
    /// `NFTA_HOOK_PRIORITY`: chains with lower values are evaluated first.
    pub priority: i32,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `NFTA_RULE_HANDLE`.
    pub handle: u64,
    /// `NFTA_RULE_EXPRESSIONS`, in the order they are evaluated.
    pub expressions: Vec<Expr>,
}

/// One set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// `NFTA_SET_NAME`.
    pub name: Box<str>,
    /// `NFTA_SET_FLAGS`.
    pub flags: u32,
    /// `NFTA_SET_KEY_TYPE`: type number of nft(8).
    pub key_type: Option<u32>,
    /// `NFTA_SET_KEY_LEN`.
    pub key_len: u32,
    /// `NFTA_SET_DATA_TYPE`; for maps.
    pub data_type: Option<u32>,
    /// `NFTA_SET_DATA_LEN`; for maps.
    pub data_len: Option<u32>,
    /// Elements; empty if no rule looks up the set.
    pub elements: Vec<Element>,
}

/// One element of a set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// `NFTA_SET_ELEM_KEY`.
    pub key: Bytes,
    /// `NFTA_SET_ELEM_KEY_END`: last key of a range, for concatenated keys.
    pub key_end: Option<Bytes>,
    /// `NFTA_SET_ELEM_DATA`: value of a map, or the verdict of a verdict map.
    pub data: Option<Data>,
    /// `NFTA_SET_ELEM_FLAGS`.
    pub flags: u32,
}

/// `NFTA_DATA_*`: a value or a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// `NFTA_DATA_VALUE`.
    Value(Bytes),
    /// `NFTA_DATA_VERDICT`.
    Verdict {
        /// `NFTA_VERDICT_CODE`: `NF_*` or `NFT_*`.
        code: i32,
        /// `NFTA_VERDICT_CHAIN`: the chain to jump to.
        chain: Option<Box<str>>,
    },
}

impl Data {
    /// Bytes of a value.
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Value(bytes) => Some(bytes),
            Self::Verdict { .. } => None,
        }
    }

    /// Chain that a verdict jumps to.
    pub fn chain(&self) -> Option<&str> {
        match self {
            Self::Value(_) => None,
            Self::Verdict { chain, .. } => chain.as_deref(),
        }
    }
}

macro_rules! expressions {
    ($($(#[doc = $doc:literal])* $variant:ident $kernel:ident { $($field:ident: $type:ty = $attr:literal),* $(,)? })*) => {
        /// One expression of a rule. A field is `None` if the kernel did not send the attribute.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Expr {
            $($(#[doc = $doc])* $variant {
                $(#[doc = concat!("`NFTA_", stringify!($kernel), "_", $attr, "`.")] $field: Option<$type>),*
            },)*
            /// Expression whose attributes are not decoded.
            Other {
                /// `NFTA_EXPR_NAME`.
                name: Box<str>,
                /// `NFTA_EXPR_DATA`.
                data: Bytes,
            },
        }
    };
}

expressions! {
    /// Loads bytes of the packet into a register, or writes them.
    Payload PAYLOAD { dreg: u32 = "DREG", base: u32 = "BASE", offset: u32 = "OFFSET", len: u32 = "LEN", sreg: u32 = "SREG" }
    /// Loads metadata (mark, interface, protocol) into a register, or writes it.
    Meta META { dreg: u32 = "DREG", key: u32 = "KEY", sreg: u32 = "SREG" }
    /// Compares a register with a value.
    Cmp CMP { sreg: u32 = "SREG", op: u32 = "OP", data: Data = "DATA" }
    /// Compares a register with a range.
    Range RANGE { sreg: u32 = "SREG", op: u32 = "OP", from: Data = "FROM_DATA", to: Data = "TO_DATA" }
    /// Masks a register.
    Bitwise BITWISE { sreg: u32 = "SREG", dreg: u32 = "DREG", len: u32 = "LEN", mask: Data = "MASK", xor: Data = "XOR" }
    /// Converts the byte order of a register.
    Byteorder BYTEORDER { sreg: u32 = "SREG", dreg: u32 = "DREG", op: u32 = "OP", len: u32 = "LEN", size: u32 = "SIZE" }
    /// Loads a value into a register, or is a verdict.
    Immediate IMMEDIATE { dreg: u32 = "DREG", data: Data = "DATA" }
    /// Looks a register up in a set; of a map, loads the value.
    Lookup LOOKUP { set: Box<str> = "SET", sreg: u32 = "SREG", dreg: u32 = "DREG", flags: u32 = "FLAGS" }
    /// Translates source or destination address.
    Nat NAT {
        kind: u32 = "TYPE", family: u32 = "FAMILY", addr_min: u32 = "REG_ADDR_MIN", addr_max: u32 = "REG_ADDR_MAX",
        proto_min: u32 = "REG_PROTO_MIN", proto_max: u32 = "REG_PROTO_MAX", flags: u32 = "FLAGS",
    }
    /// Redirects to a port of this host.
    Redir REDIR { proto_min: u32 = "REG_PROTO_MIN", proto_max: u32 = "REG_PROTO_MAX", flags: u32 = "FLAGS" }
    /// Translates the source address to that of the outgoing interface.
    Masq MASQ { flags: u32 = "FLAGS", proto_min: u32 = "REG_PROTO_MIN", proto_max: u32 = "REG_PROTO_MAX" }
    /// Match of xtables (iptables-nft).
    Match MATCH { name: Box<str> = "NAME", revision: u32 = "REV", info: Bytes = "INFO" }
    /// Target of xtables (iptables-nft).
    Target TARGET { name: Box<str> = "NAME", revision: u32 = "REV", info: Bytes = "INFO" }
    /// Routing lookup: type of the address, outgoing interface.
    Fib FIB { dreg: u32 = "DREG", result: u32 = "RESULT", flags: u32 = "FLAGS" }
    /// Connection tracking: state, mark, zone.
    Ct CT { dreg: u32 = "DREG", key: u32 = "KEY", direction: u32 = "DIRECTION", sreg: u32 = "SREG" }
    /// Random or incrementing number.
    Numgen NG { dreg: u32 = "DREG", modulus: u32 = "MODULUS", kind: u32 = "TYPE", offset: u32 = "OFFSET" }
    /// Hash of a register.
    Hash HASH { sreg: u32 = "SREG", dreg: u32 = "DREG", len: u32 = "LEN", modulus: u32 = "MODULUS", kind: u32 = "TYPE", offset: u32 = "OFFSET" }
    /// Local socket of the packet.
    Socket SOCKET { key: u32 = "KEY", dreg: u32 = "DREG" }
    /// Routing data: class, next hop.
    Rt RT { dreg: u32 = "DREG", key: u32 = "KEY" }
    /// Extension header or TCP option.
    Exthdr EXTHDR { dreg: u32 = "DREG", kind: u32 = "TYPE", offset: u32 = "OFFSET", len: u32 = "LEN" }
    /// Operating system fingerprint.
    Osf OSF { dreg: u32 = "DREG" }
    /// `IPsec` state.
    Xfrm XFRM { dreg: u32 = "DREG", key: u32 = "KEY" }
    /// Tunnel metadata.
    Tunnel TUNNEL { key: u32 = "KEY", dreg: u32 = "DREG" }
}

/// `NFPROTO_*` (`include/uapi/linux/netfilter.h`).
pub const NFPROTO_INET: u8 = 1;
/// See [`NFPROTO_INET`].
pub const NFPROTO_IPV4: u8 = 2;
/// See [`NFPROTO_INET`].
pub const NFPROTO_NETDEV: u8 = 5;
/// See [`NFPROTO_INET`].
pub const NFPROTO_IPV6: u8 = 10;

/// `NF_NETDEV_INGRESS`: packets of an interface, before all other hooks.
pub const NF_NETDEV_INGRESS: u32 = 0;
/// `NF_NETDEV_EGRESS`: packets that leave by an interface, after all other hooks.
pub const NF_NETDEV_EGRESS: u32 = 1;
/// `NF_INET_INGRESS`: as [`NF_NETDEV_INGRESS`] in a table of family `inet`.
pub const NF_INET_INGRESS: u32 = 5;

/// `NF_INET_PRE_ROUTING`: first hook of received packets.
pub const NF_INET_PRE_ROUTING: u32 = 0;
/// `NF_INET_LOCAL_IN`: packets for this host.
pub const NF_INET_LOCAL_IN: u32 = 1;
/// `NF_INET_FORWARD`: packets that are sent on.
pub const NF_INET_FORWARD: u32 = 2;
/// `NF_INET_LOCAL_OUT`: first hook of sent packets.
pub const NF_INET_LOCAL_OUT: u32 = 3;
/// `NF_INET_POST_ROUTING`: last hook of packets that are sent.
pub const NF_INET_POST_ROUTING: u32 = 4;

/// `NFT_REG_1` to `NFT_REG_4`: registers of sixteen bytes.
pub const NFT_REG_1: u32 = 1;
/// See [`NFT_REG_1`].
pub const NFT_REG_4: u32 = 4;
/// `NFT_REG32_00` to `NFT_REG32_15`: the same memory as registers of four bytes.
pub const NFT_REG32_00: u32 = 8;
/// See [`NFT_REG32_00`].
pub const NFT_REG32_15: u32 = 23;

/// `NFT_TABLE_F_DORMANT`: the chains of the table are not registered.
pub const NFT_TABLE_F_DORMANT: u32 = 1;

/// `NFT_GOTO`: verdict that evaluates a chain and does not return.
pub const NFT_GOTO: i32 = -4;
/// `NFT_RETURN`: verdict that ends a chain.
pub const NFT_RETURN: i32 = -5;
/// `NFT_JUMP`: verdict that evaluates a chain and returns.
pub const NFT_JUMP: i32 = -3;

/// `NFT_META_PROTOCOL`: ether type.
pub const NFT_META_PROTOCOL: u32 = 1;
/// `NFT_META_MARK`.
pub const NFT_META_MARK: u32 = 3;
/// `NFT_META_IIF`: index of the incoming interface.
pub const NFT_META_IIF: u32 = 4;
/// `NFT_META_IIFNAME`: name of the incoming interface.
pub const NFT_META_IIFNAME: u32 = 6;
/// `NFT_META_NFPROTO`: address family.
pub const NFT_META_NFPROTO: u32 = 15;
/// `NFT_META_L4PROTO`: transport protocol.
pub const NFT_META_L4PROTO: u32 = 16;

/// `NFT_META_OIF`: index of the outgoing interface.
pub const NFT_META_OIF: u32 = 5;
/// `NFT_META_OIFNAME`: name of the outgoing interface.
pub const NFT_META_OIFNAME: u32 = 7;

/// `NFT_CT_STATE`.
pub const NFT_CT_STATE: u32 = 0;
/// `NFT_CT_STATUS`.
pub const NFT_CT_STATUS: u32 = 2;
/// `NFT_CT_MARK`.
pub const NFT_CT_MARK: u32 = 3;

/// `NFT_FIB_RESULT_ADDRTYPE`.
pub const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
/// `NFTA_FIB_F_SADDR`.
pub const NFTA_FIB_F_SADDR: u32 = 1;
/// `NFTA_FIB_F_DADDR`.
pub const NFTA_FIB_F_DADDR: u32 = 2;

/// `NF_NAT_RANGE_NETMAP`: the prefix is replaced, the rest of the address stays.
pub const NF_NAT_RANGE_NETMAP: u32 = 1 << 6;

/// `NFT_CMP_EQ`.
pub const NFT_CMP_EQ: u32 = 0;
/// `NFT_CMP_NEQ`.
pub const NFT_CMP_NEQ: u32 = 1;
/// `NFT_CMP_LT`.
pub const NFT_CMP_LT: u32 = 2;
/// `NFT_CMP_LTE`.
pub const NFT_CMP_LTE: u32 = 3;
/// `NFT_CMP_GT`.
pub const NFT_CMP_GT: u32 = 4;
/// `NFT_CMP_GTE`.
pub const NFT_CMP_GTE: u32 = 5;

/// `NFT_RANGE_EQ`.
pub const NFT_RANGE_EQ: u32 = 0;

/// `NFT_PAYLOAD_NETWORK_HEADER`.
pub const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`.
pub const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;

/// `NFT_LOOKUP_F_INV`: matches what is not in the set.
pub const NFT_LOOKUP_F_INV: u32 = 1;

/// `NFT_NAT_DNAT`.
pub const NFT_NAT_DNAT: u32 = 1;

/// `NFT_SET_INTERVAL`: keys are the bounds of ranges.
pub const NFT_SET_INTERVAL: u32 = 4;
/// `NFT_SET_ELEM_CATCHALL`: the element of all keys that no other has.
pub const NFT_SET_ELEM_CATCHALL: u32 = 2;
/// `NFT_SET_ELEM_INTERVAL_END`: the element is the end of the range before it.
pub const NFT_SET_ELEM_INTERVAL_END: u32 = 1;
