//! Port forwarding: evaluated NAT rules, user-space proxies, and the connections that pass through them.

use super::{Addr, Endpoint, Family, Flow, Proto};
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
    /// The tracked connection behind a socket row: row, index in [`super::Sample::flows`], in the order of rows.
    pub flows: Vec<(u32, u32)>,
    /// Of a connection that several namespaces translate, what it was before: index in [`super::Sample::flows`] of the later, and of
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
}
