//! Address families and transport protocols.

use serde::{Deserialize, Serialize};

/// Address family (`socket(2)`, first argument).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `AF_INET`.
    Inet,
    /// `AF_INET6`, also where the address is IPv4-mapped.
    Inet6,
    /// `AF_UNIX`.
    Unix,
    /// `AF_PACKET`.
    Packet,
    /// `AF_NETLINK`.
    Netlink,
    /// `AF_VSOCK`.
    Vsock,
    /// `AF_TIPC`.
    Tipc,
    /// `AF_XDP`.
    Xdp,
}

impl Family {
    /// All with their names, in display order.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Inet, "inet"),
        (Self::Inet6, "inet6"),
        (Self::Unix, "unix"),
        (Self::Packet, "packet"),
        (Self::Netlink, "netlink"),
        (Self::Vsock, "vsock"),
        (Self::Tipc, "tipc"),
        (Self::Xdp, "xdp"),
    ];

    /// Name in output and filters.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Family of this name, ignoring case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| n.eq_ignore_ascii_case(word)).map(|(f, _)| *f)
    }
}

/// Transport protocol, or the family itself for families without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// UDP-Lite (RFC 3828).
    UdpLite,
    /// Raw IP; the port is the IP protocol number.
    Raw,
    /// ICMP datagram ("ping") sockets.
    Icmp,
    /// SCTP (RFC 9260).
    Sctp,
    /// DCCP (RFC 4340), up to Linux 6.15.
    Dccp,
    /// Multipath TCP (RFC 8684).
    Mptcp,
    /// UNIX domain.
    Unix,
    /// Packet sockets.
    Packet,
    /// Netlink.
    Netlink,
    /// Virtual machine sockets.
    Vsock,
    /// TIPC.
    Tipc,
    /// XDP.
    Xdp,
}

impl Proto {
    /// Protocol of an IP protocol number (`IPPROTO_*`), if it has ports that NAT can translate.
    pub const fn from_ip_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            136 => Some(Self::UdpLite),
            _ => None,
        }
    }

    /// All with their names, in display order.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Tcp, "tcp"),
        (Self::Udp, "udp"),
        (Self::UdpLite, "udplite"),
        (Self::Raw, "raw"),
        (Self::Icmp, "icmp"),
        (Self::Sctp, "sctp"),
        (Self::Dccp, "dccp"),
        (Self::Mptcp, "mptcp"),
        (Self::Unix, "unix"),
        (Self::Packet, "packet"),
        (Self::Netlink, "netlink"),
        (Self::Vsock, "vsock"),
        (Self::Tipc, "tipc"),
        (Self::Xdp, "xdp"),
    ];

    /// Name in output and filters.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Protocol of this name, ignoring case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| n.eq_ignore_ascii_case(word)).map(|(p, _)| *p)
    }

    /// True for sockets that drop packets if their receive buffer is full: UDP, UDP-Lite, raw and packet sockets.
    pub const fn is_datagram(self) -> bool {
        matches!(self, Self::Udp | Self::UdpLite | Self::Raw | Self::Packet)
    }

    /// True if its endpoints are an IP address and a port.
    pub const fn is_inet(self) -> bool {
        matches!(
            self,
            Self::Tcp
                | Self::Udp
                | Self::UdpLite
                | Self::Raw
                | Self::Icmp
                | Self::Sctp
                | Self::Dccp
                | Self::Mptcp
        )
    }

    /// True if its sockets can listen.
    pub const fn has_listeners(self) -> bool {
        self.has_tcp_states() || matches!(self, Self::Unix | Self::Vsock | Self::Tipc)
    }

    /// True if its sockets have TCP states.
    pub const fn has_tcp_states(self) -> bool {
        matches!(self, Self::Tcp | Self::Mptcp | Self::Sctp | Self::Dccp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_enum_order() {
        for (i, (f, name)) in Family::ALL.iter().enumerate() {
            assert_eq!(*f as usize, i);
            assert_eq!(Family::parse(name), Some(*f));
        }
        for (i, (p, name)) in Proto::ALL.iter().enumerate() {
            assert_eq!(*p as usize, i);
            assert_eq!(Proto::parse(name), Some(*p));
            assert_eq!(serde_json::to_value(p).unwrap(), *name, "same name in JSON");
        }
    }
}
