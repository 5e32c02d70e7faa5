//! Tables of sockets that the kernel can dump.

use crate::model::{Family, FaultSubject, Proto};

/// `AF_INET` and `AF_INET6` (`include/linux/socket.h`).
pub(super) const AF_INET: u8 = 2;

pub(super) const AF_INET6: u8 = 10;

/// A socket table of the kernel that one dump reads.
pub(super) struct DumpTable {
    pub(super) proto: Proto,
    pub(super) method: DumpMethod,
}

impl DumpTable {
    /// Subject of the faults of this table.
    pub(super) const fn subject(&self) -> FaultSubject {
        let family = match self.method {
            DumpMethod::Inet(AF_INET, ..) => Some(Family::Inet),
            DumpMethod::Inet(..) => Some(Family::Inet6),
            DumpMethod::Proc(_, family) => Some(family),
            _ => None,
        };
        FaultSubject::Dump { proto: self.proto, family, netns: None }
    }
}

/// Interface by which a table is read.
#[derive(Clone, Copy)]
pub(super) enum DumpMethod {
    /// `inet_diag` for TCP, both address families in one dump.
    Tcp,
    /// `inet_diag`: address family, `IPPROTO_*`, and the file below `/proc/net` to fall back to.
    Inet(u8, u16, Option<&'static str>),
    /// This file below `/proc/net`: no diag module lists these sockets.
    Proc(&'static str, Family),
    /// `unix_diag`.
    Unix,
    /// `netlink_diag`.
    Netlink,
    /// `packet_diag`.
    Packet,
    /// `vsock_diag`.
    Vsock,
    /// `xsk_diag`.
    Xdp,
    /// `tipc_diag`.
    Tipc,
}

pub(super) const fn table(proto: Proto, method: DumpMethod) -> DumpTable {
    DumpTable { proto, method }
}

/// TCP over IPv4 and IPv6 in one dump: the kernel has one table for both, and iterating over it is the main cost.
pub(super) const TCP: DumpTable = table(Proto::Tcp, DumpMethod::Tcp);

/// Every table, in the order they are read.
pub(super) const DUMPS: [DumpTable; 22] = [
    table(Proto::Tcp, DumpMethod::Inet(AF_INET, 6, None)),
    table(Proto::Tcp, DumpMethod::Inet(AF_INET6, 6, None)),
    table(Proto::Udp, DumpMethod::Inet(AF_INET, 17, None)),
    table(Proto::Udp, DumpMethod::Inet(AF_INET6, 17, None)),
    table(Proto::UdpLite, DumpMethod::Inet(AF_INET, 136, None)),
    table(Proto::UdpLite, DumpMethod::Inet(AF_INET6, 136, None)),
    table(Proto::Mptcp, DumpMethod::Inet(AF_INET, 262, None)),
    table(Proto::Mptcp, DumpMethod::Inet(AF_INET6, 262, None)),
    table(Proto::Sctp, DumpMethod::Inet(AF_INET, 132, None)),
    table(Proto::Sctp, DumpMethod::Inet(AF_INET6, 132, None)),
    table(Proto::Dccp, DumpMethod::Inet(AF_INET, 33, None)),
    table(Proto::Dccp, DumpMethod::Inet(AF_INET6, 33, None)),
    table(Proto::Raw, DumpMethod::Inet(AF_INET, 255, Some("raw"))),
    table(Proto::Raw, DumpMethod::Inet(AF_INET6, 255, Some("raw6"))),
    table(Proto::Icmp, DumpMethod::Proc("icmp", Family::Inet)),
    table(Proto::Icmp, DumpMethod::Proc("icmp6", Family::Inet6)),
    table(Proto::Unix, DumpMethod::Unix),
    table(Proto::Packet, DumpMethod::Packet),
    table(Proto::Netlink, DumpMethod::Netlink),
    table(Proto::Vsock, DumpMethod::Vsock),
    table(Proto::Xdp, DumpMethod::Xdp),
    table(Proto::Tipc, DumpMethod::Tipc),
];
