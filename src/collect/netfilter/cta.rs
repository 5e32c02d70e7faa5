//! Attribute and message numbers of `ctnetlink` (`include/uapi/linux/netfilter/nfnetlink_conntrack.h`), by their kernel
//! names.

/// `NFNL_SUBSYS_CTNETLINK` (`nfnetlink.h`).
pub(super) const NFNL_SUBSYS_CTNETLINK: u8 = 1;
/// `IPCTNL_MSG_CT_GET`.
pub(super) const IPCTNL_MSG_CT_GET: u8 = 1;

/// Defines constants of one kernel enum.
macro_rules! constants {
    ($($name:ident = $value:literal;)*) => { $(pub(super) const $name: u16 = $value;)* };
}

// enum ctattr_type
constants! {
    CTA_TUPLE_ORIG = 1;
    CTA_TUPLE_REPLY = 2;
    CTA_STATUS = 3;
    CTA_PROTOINFO = 4;
    CTA_TIMEOUT = 7;
    CTA_MARK = 8;
    CTA_COUNTERS_ORIG = 9;
    CTA_COUNTERS_REPLY = 10;
    CTA_ID = 12;
    CTA_ZONE = 18;
}

// enum ctattr_tuple, ctattr_ip, ctattr_l4proto
constants! {
    CTA_TUPLE_IP = 1;
    CTA_TUPLE_PROTO = 2;
    CTA_IP_V4_SRC = 1;
    CTA_IP_V4_DST = 2;
    CTA_IP_V6_SRC = 3;
    CTA_IP_V6_DST = 4;
    CTA_PROTO_NUM = 1;
    CTA_PROTO_SRC_PORT = 2;
    CTA_PROTO_DST_PORT = 3;
}

// enum ctattr_protoinfo, ctattr_protoinfo_tcp, ctattr_counters
constants! {
    CTA_PROTOINFO_TCP = 1;
    CTA_PROTOINFO_TCP_STATE = 1;
    CTA_COUNTERS_BYTES = 2;
}

/// `IPS_SEEN_REPLY` and `IPS_ASSURED` of `CTA_STATUS` (`nf_conntrack_common.h`).
pub(super) const IPS_SEEN_REPLY: u32 = 1 << 1;
/// See [`IPS_SEEN_REPLY`].
pub(super) const IPS_ASSURED: u32 = 1 << 2;
