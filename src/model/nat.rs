//! Forwarding: the rules that send a connection elsewhere, the connections the kernel tracks, and what both come to.

use super::{Addr, Endpoint, Family, Proto, SocketId};
use serde::{Deserialize, Serialize};

/// One rule that sends what comes to an endpoint to another (`nft(8)`: `dnat`, `redirect`; `iptables-extensions(8)`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatRule {
    /// The network namespace it holds in.
    pub netns: u16,
    /// Of which address family; `None` for both.
    pub family: Option<Family>,
    /// Of which protocol; `None` for any.
    pub proto: Option<Proto>,
    /// Destinations it is for: a network and its length in bits; `None` for any.
    pub to: Option<(Addr, u8)>,
    /// Destination ports it is for, first and last; `None` for any.
    pub ports: Option<(u16, u16)>,
    /// The interface it comes in by, with `!` before one it must not come in by.
    pub iface: Option<String>,
    /// Where it goes; `None` for an address of this namespace itself (`redirect`).
    pub target: Option<Addr>,
    /// The port there, first and last; `None` when it stays.
    pub target_ports: Option<(u16, u16)>,
    /// The last address, where it chooses between several.
    #[serde(default)]
    pub target_last: Option<Addr>,
    /// It has more conditions than are told here (a mark, a source, everything but a port).
    pub partial: bool,
    /// Those of them that have a name: matches of iptables (`conntrack`, `mark`), `source`.
    #[serde(default)]
    pub conditions: Vec<Box<str>>,
    /// Where the rule before it stands that takes all that this one is for, so that it is never reached.
    #[serde(default)]
    pub shadowed_by: Option<String>,
    /// Where it stands: `ip nat DOCKER handle 7`; of iptables-legacy `iptables-legacy nat DOCKER rule 2`.
    pub location: String,
}

impl NatRule {
    /// Whether it takes all that another one at the same hook is for. Of one place there are several where a rule chooses
    /// between targets: none of these takes all.
    pub fn takes_all_of(&self, other: &Self) -> bool {
        fn any_or<T>(mine: Option<T>, other: Option<T>, holds: impl Fn(T, T) -> bool) -> bool {
            mine.is_none_or(|m| other.is_some_and(|o| holds(m, o)))
        }
        !self.partial
            && self.location != other.location
            && any_or(self.family, other.family, |m, o| m == o)
            && any_or(self.proto, other.proto, |m, o| m == o)
            && any_or(self.to, other.to, |m, o| m.1 <= o.1 && o.0.in_prefix(&m.0, m.1))
            && any_or(self.ports, other.ports, |m, o| m.0 <= o.0 && o.1 <= m.1)
            && any_or(self.iface.as_deref(), other.iface.as_deref(), |m, o| m == o)
    }
}

/// One connection that the kernel tracks (`nf_conntrack`; `include/uapi/linux/netfilter/nfnetlink_conntrack.h`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The network namespace that tracks it.
    pub netns: u16,
    /// Its protocol.
    pub proto: Proto,
    /// Source and destination as its first packet had them (`CTA_TUPLE_ORIG`).
    pub orig: (Endpoint, Endpoint),
    /// Source and destination of the answers (`CTA_TUPLE_REPLY`): other ones where it is translated.
    pub reply: (Endpoint, Endpoint),
    /// `IPS_*` bits (`CTA_STATUS`).
    pub status: u32,
    /// Number of its TCP state (`enum tcp_conntrack`).
    pub tcp_state: Option<u8>,
    /// Until it is forgotten, seconds.
    pub timeout_s: Option<u32>,
    /// Bytes there and back, where the kernel counts them (`net.netfilter.nf_conntrack_acct`).
    pub bytes: Option<(u64, u64)>,
    /// Its mark (`CTA_MARK`).
    pub mark: u32,
    /// The zone it is tracked in (`CTA_ZONE`).
    pub zone: u16,
    /// Its number (`CTA_ID`).
    pub id: u32,
}

/// Names of `enum tcp_conntrack` (`include/uapi/linux/netfilter/nf_conntrack_tcp.h`).
const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

impl Flow {
    /// `IPS_SEEN_REPLY`.
    const SEEN_REPLY: u32 = 1 << 1;
    /// `IPS_ASSURED`.
    const ASSURED: u32 = 1 << 2;

    /// Whether it goes to another endpoint than its first packet said.
    pub fn is_redirected(&self) -> bool {
        self.orig.1 != self.reply.0
    }

    /// Whether its source was put in place of another.
    pub fn is_masqueraded(&self) -> bool {
        self.orig.0 != self.reply.1
    }

    /// Whether it has ended and is only remembered: `TIME_WAIT` and `CLOSE`.
    pub const fn is_over(&self) -> bool {
        matches!(self.tcp_state, Some(7 | 8))
    }

    /// The identity of the row of state `FORWARDED` that stands for it.
    pub const fn row_id(&self) -> SocketId {
        SocketId { netns: self.netns, cookie: SocketId::SYNTHETIC | self.id as u64 }
    }

    /// What the kernel takes its state to be, as `conntrack(8)` says it.
    pub fn state(&self) -> &'static str {
        match self.tcp_state.and_then(|n| TCP_STATES.get(usize::from(n))) {
            Some(name) => name,
            None if self.status & Self::ASSURED != 0 => "ASSURED",
            None if self.status & Self::SEEN_REPLY != 0 => "REPLIED",
            None => "UNREPLIED",
        }
    }
}

/// What one poll read of forwarding.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Nat {
    /// The rules, in the order of the kernel.
    pub rules: Vec<NatRule>,
    /// The tracked connections that concern TCP and UDP.
    pub flows: Vec<Flow>,
    /// Addresses of the interfaces of each namespace that was looked at.
    pub addresses: Vec<(u16, Addr)>,
}

/// By what something is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardKind {
    /// A rule that changes the destination.
    Dnat,
    /// A rule that sends it to this machine itself.
    Redirect,
    /// Docker's user-space proxy.
    DockerProxy,
    /// Podman's (`rootlessport`).
    Rootlessport,
    /// That of a Docker Engine that an ordinary user runs (`rootlesskit`).
    Rootlesskit,
    /// `slirp4netns`.
    Slirp4netns,
    /// `pasta` or `passt`.
    Pasta,
    /// `socat`.
    Socat,
    /// `ssh -L` or `-D`, or the server that listens for `-R`.
    Ssh,
    /// `systemd-socket-proxyd`.
    SystemdProxy,
    /// systemd holds the listener and hands it to a service (systemd.socket(5)).
    SocketActivation,
    /// `kubectl port-forward`.
    Kubectl,
    /// Not known by what: the container's engine says that it publishes the port.
    Engine,
}

impl ForwardKind {
    /// All with their names.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::Dnat, "dnat"),
        (Self::Redirect, "redirect"),
        (Self::DockerProxy, "docker-proxy"),
        (Self::Rootlessport, "rootlessport"),
        (Self::Rootlesskit, "rootlesskit"),
        (Self::Slirp4netns, "slirp4netns"),
        (Self::Pasta, "pasta"),
        (Self::Socat, "socat"),
        (Self::Ssh, "ssh"),
        (Self::SystemdProxy, "systemd-proxy"),
        (Self::SocketActivation, "socket-activation"),
        (Self::Kubectl, "kubectl"),
        (Self::Engine, "engine"),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether a rule of the kernel does it, and no program.
    pub const fn is_rule(self) -> bool {
        matches!(self, Self::Dnat | Self::Redirect)
    }
}

/// One way by which it is forwarded, and where that was learnt; or what an engine says of it ([`ForwardKind::Engine`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// By what.
    pub by: ForwardKind,
    /// The rule's place, the program's command line, or what the engine says.
    pub how: String,
    /// The program that does it: index in [`super::Sample::processes`].
    pub process: Option<u32>,
    /// The row of its listener.
    pub listener: Option<u32>,
}

/// What is worked out of one reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forwards {
    /// One row a forward, in the order of namespace, port and address.
    pub rows: Vec<Forward>,
    /// The tracked connection behind a socket row: row, index in [`Nat::flows`], in the order of rows.
    pub flows: Vec<(u32, u32)>,
    /// Of a connection that several namespaces translate, what it was before: index in [`Nat::flows`] of the later, and of
    /// the earlier, in the order of the later.
    pub earlier: Vec<(u32, u32)>,
    /// Connections of user-space proxies that belong together, in the order of what was accepted.
    pub pairs: Vec<Pair>,
}

/// One forward: what comes to an endpoint of this machine goes to another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// The namespace it comes to.
    pub netns: u16,
    /// Its protocol; `None` for any.
    pub proto: Option<Proto>,
    /// The endpoint it comes to; the address may be any.
    pub host: Endpoint,
    /// Bits of the address that count, where it is for a network.
    pub bits: Option<u8>,
    /// The last port, where it is a range; else the same as `host.port`.
    pub last_port: u16,
    /// The interface it must come in by, or with `!` must not.
    pub iface: Option<String>,
    /// By what: several where a rule and a program do the same.
    pub steps: Vec<Step>,
    /// Where it goes; `None` where that is not told.
    pub target: Option<Endpoint>,
    /// The last address and port, where a rule chooses between several.
    pub target_last: Option<Endpoint>,
    /// Where the rule stands that takes all that this one is for, before it.
    pub shadowed_by: Option<String>,
    /// The container whose published port it is, as its engine says: index in [`super::Sample::containers`].
    pub container: Option<u32>,
    /// The namespace that has the target's address.
    pub target_netns: Option<u16>,
    /// The row of the socket that serves the target.
    pub target_row: Option<u32>,
    /// Whether something serves the target; `None` where that cannot be seen from here.
    pub listens: Option<bool>,
    /// Rows of the connections that come through: at the target where they can be seen, else at the program.
    pub sockets: Vec<u32>,
    /// Connections that come through, by the kernel's table or the program's sockets.
    pub clients: u32,
    /// Bytes towards the target a second.
    pub rx: Option<f64>,
    /// Bytes from the target a second.
    pub tx: Option<f64>,
}

impl Forward {
    /// Whether this endpoint of its namespace is the one that it is for.
    pub fn is_for(&self, at: &Endpoint) -> bool {
        let host = &self.host;
        (host.port == 0 || (host.port..=self.last_port.max(host.port)).contains(&at.port))
            && match self.bits {
                Some(bits) => at.addr.in_prefix(&host.addr, bits),
                // What a rule is for of both families stands as IPv4.
                None if host.addr.is_any() => host.addr.is_v4() || !at.addr.is_v4(),
                None => host.addr == at.addr,
            }
    }

    /// Whether a tracked connection is one that its rule sent on.
    pub fn takes(&self, flow: &Flow) -> bool {
        let went = flow.reply.0;
        let goes = |t: Endpoint| {
            let last = self.target_last.unwrap_or(t);
            (t.addr.is_any() || (t.addr..=last.addr).contains(&went.addr))
                && (t.port == 0 || (t.port..=last.port).contains(&went.port))
        };
        self.netns == flow.netns
            && self.proto.is_none_or(|p| p == flow.proto)
            && self.is_for(&flow.orig.1)
            && self.target.is_some_and(goes)
    }

    /// By what, without what the engine says where a rule or a program is known.
    pub fn ways(&self) -> impl Iterator<Item = &Step> {
        let alone = self.steps.iter().all(|s| s.by == ForwardKind::Engine);
        self.steps.iter().filter(move |s| alone || s.by != ForwardKind::Engine)
    }
}

/// Two connections of one user-space proxy that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The row that it accepted.
    pub accepted: u32,
    /// The row that it made for it; where it is `direct`, that at the target.
    pub connected: u32,
    /// The program speaks with the target by packets and not by a socket of its own (`slirp4netns`, `pasta`).
    pub direct: bool,
    /// Whether they are its only ones; else it is told from the order of the descriptors, or from the client's port, which
    /// such a program keeps.
    pub certain: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_the_enum() {
        for (i, (by, name)) in ForwardKind::ALL.iter().enumerate() {
            assert_eq!(*by as usize, i);
            assert_eq!(serde_json::to_value(by).unwrap(), *name);
        }
    }

    #[test]
    fn what_a_flow_is() {
        let e = |port| Endpoint::new(Addr::v4([10, 0, 0, 1]), port);
        let mut f = Flow {
            netns: 0,
            proto: Proto::Tcp,
            orig: (e(1), e(2)),
            reply: (e(2), e(1)),
            status: 0,
            tcp_state: Some(3),
            timeout_s: None,
            bytes: None,
            mark: 0,
            zone: 0,
            id: 1,
        };
        assert!(!f.is_redirected() && !f.is_masqueraded());
        assert_eq!(f.state(), "ESTABLISHED");
        (f.reply.0, f.tcp_state) = (e(3), None);
        assert!(f.is_redirected() && !f.is_masqueraded());
        assert_eq!(f.state(), "UNREPLIED");
        f.status = 6;
        assert_eq!(f.state(), "ASSURED");
        let over = |n| Flow { tcp_state: Some(n), ..f.clone() };
        let ended: Vec<&str> = TCP_STATES
            .into_iter()
            .filter(|s| (0..10).any(|n| over(n).is_over() && over(n).state() == *s))
            .collect();
        assert_eq!(ended, ["TIME_WAIT", "CLOSE"]);
    }
}
