//! Names of kernel numbers: netlink protocols and groups, link-layer protocols, fanout modes, TLS ciphers, SCTP states.

/// Names of netlink protocols (`include/uapi/linux/netlink.h`), by number, as `ss` prints them.
const NETLINK: [&str; 23] = [
    "rtnl",
    "unused",
    "userspace",
    "fw",
    "tcpdiag",
    "nflog",
    "xfrm",
    "selinux",
    "iscsi",
    "audit",
    "fiblookup",
    "connector",
    "nft",
    "ip6_fw",
    "dec-rt",
    "uevent",
    "genl",
    "17",
    "scsi-trans",
    "ecryptfs",
    "rdma",
    "crypto",
    "smc",
];

/// Name of a netlink protocol, or its number.
pub fn netlink_protocol(number: u16) -> String {
    NETLINK.get(usize::from(number)).map_or_else(|| number.to_string(), |p| (*p).to_owned())
}

/// Names of rtnetlink multicast groups (`enum rtnetlink_groups`, `include/uapi/linux/rtnetlink.h`), from 1.
const RTNL_GROUPS: [&str; 36] = [
    "link",
    "notify",
    "neigh",
    "tc",
    "ipv4-ifaddr",
    "ipv4-mroute",
    "ipv4-route",
    "ipv4-rule",
    "ipv6-ifaddr",
    "ipv6-mroute",
    "ipv6-route",
    "ipv6-ifinfo",
    "decnet-ifaddr",
    "nop2",
    "decnet-route",
    "decnet-rule",
    "nop4",
    "ipv6-prefix",
    "ipv6-rule",
    "nd-useropt",
    "phonet-ifaddr",
    "phonet-route",
    "dcb",
    "ipv4-netconf",
    "ipv6-netconf",
    "mdb",
    "mpls-route",
    "nsid",
    "mpls-netconf",
    "ipv4-mroute-r",
    "ipv6-mroute-r",
    "nexthop",
    "brvlan",
    "mctp-ifaddr",
    "tunnel",
    "stats",
];

/// Name of a multicast group of a netlink protocol, or its number. Groups of generic netlink are numbered at run time.
pub fn netlink_group(protocol: u16, group: u32) -> String {
    let known = usize::try_from(group).ok().and_then(|g| g.checked_sub(1)).and_then(|g| RTNL_GROUPS.get(g));
    match (protocol, group, known) {
        (0, _, Some(name)) => (*name).to_owned(),
        (15, 1, _) => "kernel".to_owned(),
        (15, 2, _) => "udev".to_owned(),
        _ => group.to_string(),
    }
}

/// Name of the link-layer protocol (`include/uapi/linux/if_ether.h`) that a packet socket receives.
pub fn ether_type(number: u16) -> String {
    match number {
        0 => "-".to_owned(),
        3 => "*".to_owned(),
        0x0800 => "ip".to_owned(),
        0x0806 => "arp".to_owned(),
        0x8100 => "vlan".to_owned(),
        0x86dd => "ipv6".to_owned(),
        0x888e => "eapol".to_owned(),
        0x88cc => "lldp".to_owned(),
        0x88f7 => "ptp".to_owned(),
        n => format!("[0x{n:04x}]"),
    }
}

/// Fanout mode of packet sockets (`PACKET_FANOUT_*`).
pub fn fanout_mode(kind: u16) -> String {
    const KINDS: [&str; 8] = ["hash", "lb", "cpu", "rollover", "random", "qm", "cbpf", "ebpf"];
    // The upper byte has the flags.
    KINDS.get(usize::from(kind & 0xff)).map_or_else(|| kind.to_string(), |k| (*k).to_owned())
}

/// Name of a kernel TLS cipher (`TLS_CIPHER_*`).
pub fn tls_cipher(number: u16) -> String {
    let name = match number {
        51 => "aes-gcm-128",
        52 => "aes-gcm-256",
        53 => "aes-ccm-128",
        54 => "chacha20-poly1305",
        55 => "sm4-gcm",
        56 => "sm4-ccm",
        57 => "aria-gcm-128",
        58 => "aria-gcm-256",
        n => return n.to_string(),
    };
    name.to_owned()
}

/// Name of an SCTP association state (`enum sctp_state`, `include/linux/sctp.h`).
pub fn sctp_state(number: u64) -> String {
    const NAMES: [&str; 8] = [
        "CLOSED",
        "COOKIE_WAIT",
        "COOKIE_ECHOED",
        "ESTABLISHED",
        "SHUTDOWN_PENDING",
        "SHUTDOWN_SENT",
        "SHUTDOWN_RECEIVED",
        "SHUTDOWN_ACK_SENT",
    ];
    let name = usize::try_from(number).ok().and_then(|n| NAMES.get(n));
    name.map_or_else(|| number.to_string(), |n| (*n).to_owned())
}

/// Kernel TLS mode (`TLS_CONF_*`), as `ss` prints it.
pub const fn tls_mode(conf: u16) -> &'static str {
    match conf {
        1 => "none",
        2 => "sw",
        3 => "hw",
        4 => "hw-record",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_map_to_kernel_names() {
        for (n, name) in [(0, "rtnl"), (4, "tcpdiag"), (12, "nft"), (15, "uevent"), (16, "genl"), (22, "smc")]
        {
            assert_eq!(netlink_protocol(n), name);
        }
        assert_eq!(netlink_protocol(40), "40");
        for (n, name) in [(1, "link"), (7, "ipv4-route"), (20, "nd-useropt"), (28, "nsid"), (36, "stats")] {
            assert_eq!(netlink_group(0, n), name);
        }
        assert_eq!((netlink_group(0, 0), netlink_group(0, 99)), ("0".into(), "99".into()));
        assert_eq!((netlink_group(15, 2), netlink_group(16, 2)), ("udev".into(), "2".into()));
        assert_eq!(
            (fanout_mode(1), fanout_mode(0x1002), ether_type(0x86dd)),
            ("lb".into(), "cpu".into(), "ipv6".into())
        );
    }
}
