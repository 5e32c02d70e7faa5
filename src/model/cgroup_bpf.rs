//! BPF programs of a cgroup that decide over sockets and packets.

use serde::{Deserialize, Serialize};

/// Hook of a cgroup (`enum bpf_attach_type` in include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupHook {
    /// `BPF_CGROUP_INET_SOCK_CREATE`: `socket()`.
    SockCreate,
    /// `BPF_CGROUP_INET4_BIND`: `bind()`, IPv4.
    Bind4,
    /// `BPF_CGROUP_INET6_BIND`: `bind()`, IPv6.
    Bind6,
    /// `BPF_CGROUP_INET4_CONNECT`: `connect()`, IPv4.
    Connect4,
    /// `BPF_CGROUP_INET6_CONNECT`: `connect()`, IPv6.
    Connect6,
    /// `BPF_CGROUP_UDP4_SENDMSG`: `sendto()` and `sendmsg()` of an unconnected UDP socket, IPv4.
    Sendmsg4,
    /// `BPF_CGROUP_UDP6_SENDMSG`: the same, IPv6.
    Sendmsg6,
    /// `BPF_CGROUP_INET_EGRESS`: every packet that is sent.
    Egress,
    /// `BPF_CGROUP_INET_INGRESS`: every packet that is received.
    Ingress,
}

impl CgroupHook {
    /// Every hook, in the order in which a connection meets them.
    pub const ALL: [Self; 9] = [
        Self::SockCreate,
        Self::Bind4,
        Self::Bind6,
        Self::Connect4,
        Self::Connect6,
        Self::Sendmsg4,
        Self::Sendmsg6,
        Self::Egress,
        Self::Ingress,
    ];

    /// Number of the kernel.
    pub const fn number(self) -> u32 {
        match self {
            Self::Ingress => 0,
            Self::Egress => 1,
            Self::SockCreate => 2,
            Self::Bind4 => 8,
            Self::Bind6 => 9,
            Self::Connect4 => 10,
            Self::Connect6 => 11,
            Self::Sendmsg4 => 14,
            Self::Sendmsg6 => 15,
        }
    }

    /// Name, as bpftool-cgroup(8) prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "cgroup_inet_ingress",
            Self::Egress => "cgroup_inet_egress",
            Self::SockCreate => "cgroup_inet_sock_create",
            Self::Bind4 => "cgroup_inet4_bind",
            Self::Bind6 => "cgroup_inet6_bind",
            Self::Connect4 => "cgroup_inet4_connect",
            Self::Connect6 => "cgroup_inet6_connect",
            Self::Sendmsg4 => "cgroup_udp4_sendmsg",
            Self::Sendmsg6 => "cgroup_udp6_sendmsg",
        }
    }
}

/// Decision of a program, as far as its instructions show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupDecision {
    /// It returns a constant that permits.
    Permits,
    /// It returns a constant that refuses.
    Refuses,
    /// It depends on the packet or on maps, or the instructions are not readable.
    Unknown,
}

/// A program that is in effect for a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupProgram {
    /// Hook.
    pub hook: CgroupHook,
    /// Id (`bpftool prog show id`).
    pub id: u32,
    /// Name, at most 15 bytes; may be empty. Not escaped.
    pub name: Box<str>,
    /// Path of the cgroup to which it is attached. Not escaped.
    pub cgroup: Box<str>,
    /// Decision.
    pub decision: CgroupDecision,
}

/// Programs in effect for the cgroup of a process, or the reason why they were not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPrograms {
    /// Path of the cgroup of the process. Not escaped.
    pub cgroup: Box<str>,
    /// Programs in the order of the hooks.
    pub programs: Result<Vec<CgroupProgram>, Box<str>>,
}
