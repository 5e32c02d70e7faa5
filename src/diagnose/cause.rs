//! Causes why a connection does not work: one entry each, in the order in which the kernel meets them.

use serde::{Deserialize, Serialize, Serializer};

/// Effect on the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// `ECONNREFUSED`.
    Refused,
    /// `ETIMEDOUT`: no answer.
    TimesOut,
    /// `EHOSTUNREACH`.
    HostUnreachable,
    /// `ENETUNREACH`.
    NetUnreachable,
    /// `EACCES` or `EPERM`.
    NotPermitted,
    /// `EADDRNOTAVAIL`.
    NoAddress,
    /// `EMFILE`.
    NoDescriptors,
    /// `EINVAL`.
    Invalid,
    /// The kernel accepts the connection, the application does not serve it.
    NotServed,
    /// The application itself is impaired.
    Impaired,
}

impl Effect {
    /// The effect as the client sees it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimesOut => "times out",
            Self::HostUnreachable => "host unreachable",
            Self::NetUnreachable => "network unreachable",
            Self::NotPermitted => "not permitted",
            Self::NoAddress => "cannot assign requested address",
            Self::NoDescriptors => "too many open files",
            Self::Invalid => "invalid argument",
            Self::NotServed => "connects, but is not served",
            Self::Impaired => "impaired",
        }
    }
}

/// One cause.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// Name: `nothing-listens`.
    pub name: &'static str,
    /// Meaning, in one sentence.
    pub help: &'static str,
    /// Next step.
    pub remedy: &'static str,
    /// Effect; of a rule that rejects, its own.
    pub effect: Effect,
}

impl Serialize for Cause {
    /// Writes the name.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name)
    }
}

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $id:ident $name:literal $effect:ident $help:literal $remedy:literal;)*) => {
        $($(#[doc = $doc])* pub static $id: Cause =
            Cause { name: $name, help: $help, remedy: $remedy, effect: Effect::$effect };)*
        /// Every cause.
        pub static CAUSES: &[&Cause] = &[$(&$id),*];
    };
}

causes! {
    /// Descriptors of the client.
    CLIENT_FDS "client-fds" NoDescriptors
        "The client process has as many descriptors open as its limit allows: socket() fails with EMFILE."
        "Raise the limit (prlimit --nofile, LimitNOFILE=) or close what leaks.";
    /// Stopped client.
    CLIENT_HALTED "client-halted" Impaired
        "The client process does not run: it is stopped, frozen or waits in the kernel."
        "Continue it: kill -CONT, or thaw its cgroup.";
    /// BPF program of a cgroup.
    CGROUP_BPF "cgroup-bpf" NotPermitted
        "A BPF program that is attached to the cgroup of the client refuses its sockets or packets."
        "See what attached it: bpftool cgroup tree, IPAddressDeny= and similar of the unit, or a network policy.";
    /// Source of another host.
    SOURCE_NOT_LOCAL "source-not-local" NoAddress
        "The source address is not one of this network namespace: bind() fails."
        "Choose an address that ip address lists, or add it to an interface.";
    /// Ephemeral ports.
    PORTS_OUT "ports-out" NoAddress
        "Every ephemeral port is taken for this source and destination."
        "Reuse connections, widen net.ipv4.ip_local_port_range, or add a source or destination address.";
    /// Interface down.
    LINK_DOWN "link-down" NetUnreachable
        "The interface that leads to the destination is down, so the kernel has no route."
        "Bring it up: ip link set NAME up.";
    /// No route.
    NO_ROUTE "no-route" NetUnreachable
        "No route of this network namespace leads to the destination."
        "Add a route: ip route add.";
    /// Route of type unreachable.
    ROUTE_UNREACHABLE "route-unreachable" HostUnreachable
        "A route or policy rule of type unreachable matches the destination."
        "Find it with ip route show table all and ip rule, and remove it.";
    /// Route of type prohibit.
    ROUTE_PROHIBIT "route-prohibit" NotPermitted
        "A route or policy rule of type prohibit matches the destination."
        "Find it with ip route show table all and ip rule, and remove it.";
    /// Route of type blackhole.
    ROUTE_BLACKHOLE "route-blackhole" Invalid
        "A route or policy rule of type blackhole matches the destination."
        "Find it with ip route show table all and ip rule, and remove it.";
    /// Carrier.
    NO_CARRIER "no-carrier" TimesOut
        "The interface on the route has no carrier: nothing that it sends arrives."
        "Check the cable, the switch port, or the peer of the veth pair.";
    /// Neighbour.
    NEIGHBOUR_FAILED "neighbour-failed" HostUnreachable
        "The next hop does not answer ARP or neighbour discovery."
        "Check that the next hop is up, has this address, and is on this network.";
    /// Reverse path filter.
    RP_FILTER "rp-filter" TimesOut
        "The reverse path filter drops the packet: the route back to its source leaves by another interface."
        "Correct the route back, or set net.ipv4.conf.NAME.rp_filter to 2 (loose).";
    /// Martian source.
    MARTIAN "martian-source" TimesOut
        "The kernel drops the packet as martian: its source is an address of this host, or not a valid one."
        "Check the source address; accept_local and route_localnet allow some.";
    /// Forwarding.
    FORWARDING_OFF "forwarding-off" TimesOut
        "The packet is for another host, and this network namespace does not forward."
        "Set net.ipv4.ip_forward or net.ipv6.conf.all.forwarding to 1.";
    /// Conntrack table.
    CONNTRACK_FULL "conntrack-full" TimesOut
        "The table of tracked connections is full: packets of new connections are dropped."
        "Raise net.netfilter.nf_conntrack_max, or track less (notrack).";
    /// Rule that drops.
    RULE_DROPS "rule-drops" TimesOut
        "A firewall rule drops the packet without an answer."
        "Allow it in a rule before this one.";
    /// Policy that drops.
    POLICY_DROPS "policy-drops" TimesOut
        "No rule accepts the packet, and the policy of the chain is drop."
        "Add a rule that accepts it.";
    /// Rule that rejects.
    RULE_REJECTS "rule-rejects" Refused
        "A firewall rule rejects the packet and answers it."
        "Allow it in a rule before this one.";
    /// Queue.
    RULE_QUEUES "rule-queues" TimesOut
        "A firewall rule passes the packet to a program (NFQUEUE), which decides."
        "Check that the program runs and what it decides.";
    /// Reply dropped.
    REPLY_STOPPED "reply-stopped" TimesOut
        "The firewall stops the answer: the packet arrives, and the client never sees it."
        "Accept ct state established,related before other rules.";
    /// DNAT without a listener.
    DNAT_DEAD "forward-dead" Refused
        "A rule or a proxy forwards to an endpoint on which nothing listens."
        "Start the service behind it, or correct address and port of the forward.";
    /// No listener.
    NOTHING_LISTENS "nothing-listens" Refused
        "No socket listens on the port."
        "Start the service, or check the port in its configuration.";
    /// Listener on loopback.
    LOOPBACK_ONLY "loopback-only" Refused
        "The service listens on a loopback address, which no other host reaches."
        "Bind it to the address that clients use, or to 0.0.0.0 or ::.";
    /// Listener on another address.
    OTHER_ADDRESS "other-address" Refused
        "The service listens on another address of this host."
        "Connect to that address, or bind the service to this one.";
    /// Listener of another family.
    OTHER_FAMILY "other-family" Refused
        "The service listens on the other address family only: IPv6 without IPv4 (IPV6_V6ONLY), or IPv4 alone."
        "Bind it to both, or connect by the other family.";
    /// Listener on another device.
    OTHER_DEVICE "other-device" Refused
        "The service is bound to another interface (SO_BINDTODEVICE)."
        "Bind it to no interface, or to the one on which clients arrive.";
    /// Listener of another protocol.
    OTHER_PROTOCOL "other-protocol" Refused
        "The port is in use by the other protocol: UDP instead of TCP, or TCP instead of UDP."
        "Check which protocol the service speaks.";
    /// Listener in another namespace.
    OTHER_NAMESPACE "other-namespace" Refused
        "The service listens in another network namespace, to which no rule forwards the port."
        "Publish the port of the container, or connect to its address.";
    /// Accept queue.
    BACKLOG_FULL "backlog-full" TimesOut
        "The accept queue of the listener is full: the kernel drops new connections."
        "Accept faster; raise the backlog of listen() and net.core.somaxconn.";
    /// Server stopped.
    SERVER_STOPPED "server-stopped" NotServed
        "Every process of the listener is stopped (SIGSTOP, a debugger)."
        "Continue it: kill -CONT PID.";
    /// Server frozen.
    SERVER_FROZEN "server-frozen" NotServed
        "The cgroup of the listener is frozen, as by docker pause."
        "Thaw it: docker unpause, or write 0 to cgroup.freeze.";
    /// Server in the kernel.
    SERVER_BLOCKED "server-blocked" NotServed
        "The process of the listener is in uninterruptible sleep (state D), mostly for a disk or NFS."
        "Look at /proc/PID/stack and at the storage it waits for.";
    /// Server descriptors.
    SERVER_FDS "server-fds" NotServed
        "The process of the listener has no descriptor left: accept() fails with EMFILE."
        "Raise its limit (prlimit --nofile, LimitNOFILE=) or close what leaks.";
    /// Connections not accepted.
    NOT_ACCEPTED "not-accepted" NotServed
        "Connections wait in the accept queue, and the application does not accept them."
        "Check what the process does: its event loop is blocked, or it accepts too slowly.";
    /// UDP buffer.
    UDP_FULL "udp-buffer-full" TimesOut
        "The receive buffer of the UDP socket is full: the kernel drops what arrives."
        "Read faster, or raise SO_RCVBUF (net.core.rmem_max).";
    /// SYN without answer.
    NO_ANSWER "no-answer" TimesOut
        "Connections of this host to the destination wait for an answer to their SYN."
        "The loss is behind this host: check firewalls on the path and the destination itself.";
    /// Reset by a host beyond this one.
    REFUSED_THERE "refused-by-destination" Refused
        "The destination is another host and answers a connect with a reset."
        "Check there that the service listens on this address and port, and that its firewall does not reject.";
    /// Retransmissions.
    RETRANSMITS "retransmits" TimesOut
        "Connections to the destination repeat segments without an acknowledgement."
        "Look for loss on the path, or an MTU that only large packets meet.";
    /// MTU of a later hop.
    MTU_BLACK_HOLE "mtu-black-hole" NotServed
        "A hop sends less at once than the sender assumes, and the ICMP error that reports it does not arrive: small packets pass, full ones are lost."
        "Permit ICMP fragmentation needed and ICMPv6 packet too big, set the MTU of the route, or clamp the MSS.";
    /// Zero window.
    ZERO_WINDOW "zero-window" NotServed
        "The receiver of an open connection has closed its window: its application does not read."
        "Check the application on the receiving side.";
}

/// The cause of this name.
pub fn named(name: &str) -> Option<&'static Cause> {
    CAUSES.iter().find(|c| c.name == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_distinct_names_and_texts() {
        for (i, c) in CAUSES.iter().enumerate() {
            assert!(CAUSES[..i].iter().all(|o| o.name != c.name), "{}", c.name);
            assert!(c.help.ends_with('.') && c.remedy.ends_with('.'), "{}", c.name);
            assert!(c.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", c.name);
            assert!(std::ptr::eq(named(c.name).unwrap(), *c));
        }
    }
}
