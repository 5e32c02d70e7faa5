//! Attribute numbers of socket dumps, under their kernel names without the common prefix.

/// `INET_DIAG_*` attribute numbers (`include/uapi/linux/inet_diag.h`).
pub mod inet {
    /// `INET_DIAG_MEMINFO`: `struct inet_diag_meminfo`.
    pub const MEMINFO: u16 = 1;
    /// `INET_DIAG_INFO`: `struct tcp_info` for TCP.
    pub const INFO: u16 = 2;
    /// `INET_DIAG_VEGASINFO`: `struct tcpvegas_info`.
    pub const VEGASINFO: u16 = 3;
    /// `INET_DIAG_CONG`: name of the congestion control algorithm.
    pub const CONG: u16 = 4;
    /// `INET_DIAG_TOS`: one byte.
    pub const TOS: u16 = 5;
    /// `INET_DIAG_TCLASS`: one byte, IPv6.
    pub const TCLASS: u16 = 6;
    /// `INET_DIAG_SKMEMINFO`: an array of `u32` indexed by `SK_MEMINFO_*`.
    pub const SKMEMINFO: u16 = 7;
    /// `INET_DIAG_SHUTDOWN`: one byte, bit 0 receive, bit 1 send.
    pub const SHUTDOWN: u16 = 8;
    /// `INET_DIAG_DCTCPINFO`.
    pub const DCTCPINFO: u16 = 9;
    /// `INET_DIAG_PROTOCOL`: one byte, for raw sockets.
    pub const PROTOCOL: u16 = 10;
    /// `INET_DIAG_SKV6ONLY`: one byte.
    pub const SKV6ONLY: u16 = 11;
    /// `INET_DIAG_LOCALS` and `INET_DIAG_PEERS`: the addresses of an SCTP association, `struct sockaddr_storage` each.
    pub const LOCALS: u16 = 12;
    /// `INET_DIAG_PEERS`, see [`LOCALS`].
    pub const PEERS: u16 = 13;
    /// `INET_DIAG_MARK`: `u32`, only with `CAP_NET_ADMIN`.
    pub const MARK: u16 = 15;
    /// `INET_DIAG_BBRINFO`.
    pub const BBRINFO: u16 = 16;
    /// `INET_DIAG_CLASS_ID`: `u32`.
    pub const CLASS_ID: u16 = 17;
    /// `INET_DIAG_MD5SIG`: `struct tcp_diag_md5sig` each, only with `CAP_NET_ADMIN`. The keys themselves are not kept.
    pub const MD5SIG: u16 = 18;
    /// `INET_DIAG_ULP_INFO`: nested.
    pub const ULP_INFO: u16 = 19;
    /// `INET_DIAG_SK_BPF_STORAGES`: nested, one `SK_DIAG_BPF_STORAGE` a map; kept as [`own::BPF_MAPS`](super::own::BPF_MAPS).
    pub const SK_BPF_STORAGES: u16 = 20;
    /// `INET_DIAG_CGROUP_ID`: `u64`, the inode of the socket's cgroup v2 directory.
    pub const CGROUP_ID: u16 = 21;
    /// `INET_DIAG_SOCKOPT`: `struct inet_diag_sockopt`, two bytes of bits.
    pub const SOCKOPT: u16 = 22;
}

/// `PACKET_DIAG_*` attribute numbers (`include/uapi/linux/packet_diag.h`).
pub mod packet {
    /// `PACKET_DIAG_INFO`: `struct packet_diag_info`, the interface first.
    pub const INFO: u16 = 0;
    /// `PACKET_DIAG_RX_RING` and `PACKET_DIAG_TX_RING`: `struct packet_diag_ring`.
    pub const RX_RING: u16 = 2;
    /// See [`RX_RING`].
    pub const TX_RING: u16 = 3;
    /// `PACKET_DIAG_FANOUT`: `u32`, group in the low half, type in the high one.
    pub const FANOUT: u16 = 4;
    /// `PACKET_DIAG_UID`: `u32`.
    pub const UID: u16 = 5;
    /// `PACKET_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 6;
    /// `PACKET_DIAG_FILTER`: `struct sock_filter` each; empty without permission.
    pub const FILTER: u16 = 7;
}

/// `NETLINK_DIAG_*` attribute numbers (`include/uapi/linux/netlink_diag.h`).
pub mod netlink {
    /// `NETLINK_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 0;
    /// `NETLINK_DIAG_GROUPS`: bits of the multicast groups joined.
    pub const GROUPS: u16 = 1;
    /// `NETLINK_DIAG_FLAGS`: `u32`, `NDIAG_FLAG_*`.
    pub const FLAGS: u16 = 4;
}

/// `XDP_DIAG_*` attribute numbers (`include/uapi/linux/xdp_diag.h`).
pub mod xdp {
    /// `XDP_DIAG_INFO`: interface and queue.
    pub const INFO: u16 = 1;
    /// `XDP_DIAG_UID`: `u32`.
    pub const UID: u16 = 2;
    /// `XDP_DIAG_RX_RING` and the three other rings: `u32` entries.
    pub const RX_RING: u16 = 3;
    /// See [`RX_RING`].
    pub const TX_RING: u16 = 4;
    /// `XDP_DIAG_UMEM`: `struct xdp_diag_umem`.
    pub const UMEM: u16 = 5;
    /// See [`RX_RING`].
    pub const FILL_RING: u16 = 6;
    /// See [`RX_RING`].
    pub const COMPLETION_RING: u16 = 7;
    /// `XDP_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 8;
    /// `XDP_DIAG_STATS`: `struct xdp_diag_stats`.
    pub const STATS: u16 = 9;
}

/// `UNIX_DIAG_*` attribute numbers (`include/uapi/linux/unix_diag.h`).
pub mod unix {
    /// `UNIX_DIAG_NAME`: the address as bound.
    pub const NAME: u16 = 0;
    /// `UNIX_DIAG_VFS`: `struct unix_diag_vfs`, inode and device of the path.
    pub const VFS: u16 = 1;
    /// `UNIX_DIAG_PEER`: `u32`, inode of the peer.
    pub const PEER: u16 = 2;
    /// `UNIX_DIAG_ICONS`: `u32` each, inodes of connections not yet accepted.
    pub const ICONS: u16 = 3;
    /// `UNIX_DIAG_RQLEN`: `struct unix_diag_rqlen`.
    pub const RQLEN: u16 = 4;
    /// `UNIX_DIAG_UID`: `u32`.
    pub const UID: u16 = 7;
    /// `UNIX_DIAG_MEMINFO`: as [`super::inet::SKMEMINFO`].
    pub const MEMINFO: u16 = 5;
    /// `UNIX_DIAG_SHUTDOWN`: one byte.
    pub const SHUTDOWN: u16 = 6;
}

/// `TIPC_NLA_SOCK_*` attribute numbers (`include/uapi/linux/tipc_netlink.h`), nested in `TIPC_NLA_SOCK`.
pub mod tipc {
    /// `TIPC_NLA_SOCK_ADDR`: `u32`, address of this node.
    pub const ADDR: u16 = 1;
    /// `TIPC_NLA_SOCK_REF`: `u32`, number of the socket on its node.
    pub const REF: u16 = 2;
    /// `TIPC_NLA_SOCK_CON`: nested, the peer.
    pub const CON: u16 = 3;
    /// `TIPC_NLA_SOCK_HAS_PUBL`: a flag.
    pub const HAS_PUBL: u16 = 4;
    /// `TIPC_NLA_SOCK_STAT`: nested, queues and congestion.
    pub const STAT: u16 = 5;
    /// `TIPC_NLA_SOCK_TYPE`: `u32`.
    pub const TYPE: u16 = 6;
    /// `TIPC_NLA_SOCK_INO`: `u32`.
    pub const INO: u16 = 7;
    /// `TIPC_NLA_SOCK_UID`: `u32`.
    pub const UID: u16 = 8;
    /// `TIPC_NLA_SOCK_TIPC_STATE`: `u32`.
    pub const STATE: u16 = 9;
    /// `TIPC_NLA_SOCK_COOKIE`: `u64`.
    pub const COOKIE: u16 = 10;
    /// `TIPC_NLA_SOCK_GROUP`: nested, the communication group.
    pub const GROUP: u16 = 12;
}

/// Numbers of sockscope's own, above those of the kernel: values of messages and files that have no attribute.
pub mod own {
    /// Type of a socket that is not IP (`SOCK_STREAM` and so on, socket(2)), one byte.
    pub const KIND: u16 = 0x3f02;
    /// Protocol of a netlink or packet socket, `u16`.
    pub const PROTOCOL: u16 = 0x3f03;
    /// Port id of a netlink socket, `u32`.
    pub const PORT_ID: u16 = 0x3f04;
    /// Directions of a vsock socket that are shut down, one byte.
    pub const VSOCK_SHUTDOWN: u16 = 0x3f05;
    /// BPF maps that store something for the socket, two `u32` each: map id and value size. The values are not kept.
    pub const BPF_MAPS: u16 = 0x3f06;
    /// Datagrams dropped, `u32`, from the last column of `/proc/net/udp`.
    pub const PROC_DROPS: u16 = 0x3f01;
    /// Last five columns of `/proc/net/tcp`, `u32` each: retransmission and delayed-ACK timeout in clock ticks, quick ACKs
    /// left (above the `pingpong` bit), congestion window, slow-start threshold (-1 for none).
    pub const PROC_TCP: u16 = 0x3f07;
}
