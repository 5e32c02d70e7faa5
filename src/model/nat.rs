//! Port forwarding: evaluated NAT rules, user-space proxies and forwarded connections.

use super::addr::{Addr, Endpoint};
use super::proto::Proto;
use super::sample::Flow;
use serde::{Deserialize, Serialize};

/// Hooks at which a rule translates (`enum nf_inet_hooks`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hooks {
    /// `NF_INET_PRE_ROUTING`: connections that arrive.
    pub prerouting: bool,
    /// `NF_INET_LOCAL_OUT`: connections of processes of this host.
    pub output: bool,
}

impl Hooks {
    /// Names: `prerouting`, `output`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.prerouting, "prerouting"), (self.output, "output")];
        all.into_iter().filter_map(|(on, name)| on.then_some(name))
    }

    /// Both.
    pub fn add(&mut self, other: Self) {
        self.prerouting |= other.prerouting;
        self.output |= other.output;
    }
}

/// Mechanism that forwards a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardKind {
    /// NAT rule that changes the destination.
    Dnat,
    /// NAT rule that redirects to this host.
    Redirect,
    /// User-space proxy of Docker.
    DockerProxy,
    /// User-space proxy of rootless Podman (`rootlessport`).
    Rootlessport,
    /// User-space proxy of rootless Docker (`rootlesskit`).
    Rootlesskit,
    /// `slirp4netns`.
    Slirp4netns,
    /// `pasta` or `passt`.
    Pasta,
    /// `socat`.
    Socat,
    /// `ssh -L` or `ssh -D`, or the `sshd` that listens for `ssh -R`.
    Ssh,
    /// `systemd-socket-proxyd`.
    SystemdProxy,
    /// Socket activation: systemd owns the listener and passes it to a service (systemd.socket(5)).
    SocketActivation,
    /// `kubectl port-forward`.
    Kubectl,
    /// Unknown: only the container engine reports the port as published.
    Engine,
}

impl ForwardKind {
    /// All kinds with their names.
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

    /// Name in output and filters.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// True for kernel NAT rules, false for user-space proxies.
    pub const fn is_rule(self) -> bool {
        matches!(self, Self::Dnat | Self::Redirect)
    }

    /// True for user-space proxies: they accept connections, and open others to the target.
    pub const fn is_proxy(self) -> bool {
        !matches!(self, Self::Dnat | Self::Redirect | Self::SocketActivation | Self::Engine)
    }
}

/// One mechanism of a forward and its evidence; or the report of a container engine ([`ForwardKind::Engine`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Mechanism.
    pub kind: ForwardKind,
    /// Location of the rule, command line of the proxy, or report of the engine.
    pub detail: String,
    /// Process of the proxy: index in [`super::Sample::processes`].
    pub process: Option<u32>,
    /// Socket row of its listener.
    pub listener: Option<u32>,
}

/// Verdict of the filter rules that packets pass after their translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterVerdict {
    /// No rule stops any of them.
    Accepted,
    /// All are dropped, rejected or passed to a program.
    Stopped,
    /// Some are stopped, or all under conditions that are not known, such as the output interface.
    Partly,
    /// Not evaluated.
    NotEvaluated,
}

impl FilterVerdict {
    /// Name in output and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stopped => "stopped",
            Self::Partly => "partly",
            Self::NotEvaluated => "not-evaluated",
        }
    }
}

/// Result of the filter rules for packets to a listener, or behind a translation (raw, mangle, filter, security; prerouting, input, forward, output,
/// postrouting) for the first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// Verdict.
    pub verdict: FilterVerdict,
    /// Each rule that stops packets, after the packets that it stops; the reason if it is not evaluated.
    pub detail: Box<str>,
}

impl Filtered {
    /// `accepted`, `dropped by ip filter FORWARD policy`, `partly: source=10.0.0.0/8 dropped by …`, `not evaluated: …`.
    pub fn text(&self) -> String {
        match self.verdict {
            FilterVerdict::Accepted => "accepted".to_owned(),
            FilterVerdict::Stopped => self.detail.to_string(),
            FilterVerdict::Partly => format!("partly: {}", self.detail),
            FilterVerdict::NotEvaluated => format!("not evaluated: {}", self.detail),
        }
    }
}

/// Forwards and forwarded connections derived from one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forwards {
    /// One row per forward, ordered by namespace, port and address.
    pub rows: Vec<Forward>,
    /// Conntrack entry of a socket row: row, index in [`super::Sample::flows`]; sorted by row.
    pub flows: Vec<(u32, u32)>,
    /// Connection translated in several namespaces: indexes in [`super::Sample::flows`] of the later and of the earlier
    /// entry; sorted by the later.
    pub earlier: Vec<(u32, u32)>,
    /// Connection pairs of user-space proxies, sorted by the accepted row.
    pub pairs: Vec<Pair>,
}

/// One forward from an endpoint of this host to a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Network namespace of the forwarded endpoint.
    pub netns: u16,
    /// Transport protocol; `None` for any.
    pub proto: Option<Proto>,
    /// Forwarded endpoint; the address can be a wildcard.
    pub host: Endpoint,
    /// Prefix length of the address in bits, if a network is forwarded.
    pub bits: Option<u8>,
    /// Last address, if a range is forwarded that is no network.
    pub last_addr: Option<Addr>,
    /// Hooks of its rule; none for a proxy.
    pub hooks: Hooks,
    /// Further conditions of its rule.
    pub conditions: Vec<Box<str>>,
    /// Packets that its rule translates: `field=values` of each alternative, with `|` between them.
    pub packets: Box<str>,
    /// Last port of a range; same as `host.port` for a single port.
    pub last_port: u16,
    /// Incoming interface, or with `!` an excluded one.
    pub iface: Option<String>,
    /// Mechanisms: several if a rule and a proxy forward the same endpoint.
    pub via: Vec<Via>,
    /// Target; `None` if unknown.
    pub target: Option<Endpoint>,
    /// Last address and port of a target range.
    pub target_last: Option<Endpoint>,
    /// Location of an earlier rule that matches everything this one does.
    pub shadowed_by: Option<String>,
    /// Result of the filter rules behind the translation; `None` for a proxy, and for a rule that is never reached.
    pub filtered: Option<Filtered>,
    /// Container that publishes the port, as its engine reports: index in [`super::Sample::containers`].
    pub container: Option<u32>,
    /// Network namespace of the target address.
    pub target_netns: Option<u16>,
    /// Row of the socket that serves the target.
    pub target_row: Option<u32>,
    /// True if a socket serves the target; `None` if not visible from here.
    pub listens: Option<bool>,
    /// Rows of the forwarded connections: at the target if visible, else at the proxy.
    pub sockets: Vec<u32>,
    /// Number of forwarded connections, from conntrack or from the sockets of the proxy.
    pub clients: u32,
    /// Bytes per second towards the target.
    pub rx: Option<f64>,
    /// Bytes per second from the target.
    pub tx: Option<f64>,
}

impl Forward {
    /// True if this endpoint of its namespace is forwarded by it.
    pub fn covers(&self, endpoint: &Endpoint) -> bool {
        let host = &self.host;
        (host.port == 0 || (host.port..=self.last_port.max(host.port)).contains(&endpoint.port))
            && match (self.bits, self.last_addr) {
                (Some(bits), _) => endpoint.addr.in_prefix(&host.addr, bits),
                (None, Some(last)) => {
                    (host.addr..=last).contains(&endpoint.addr) && host.addr.is_v4() == endpoint.addr.is_v4()
                }
                // A rule for all addresses is one of a family; a proxy on a wildcard address is not.
                (None, None) if host.addr.is_any() && self.hooks != Hooks::default() => {
                    host.addr.is_v4() == endpoint.addr.is_v4()
                }
                (None, None) if host.addr.is_any() => host.addr.is_v4() || !endpoint.addr.is_v4(),
                (None, None) => host.addr == endpoint.addr,
            }
    }

    /// True if its rule translated this tracked connection.
    pub fn translated(&self, flow: &Flow) -> bool {
        let dest = flow.reply.0;
        let includes_dest = |t: Endpoint| {
            let last = self.target_last.unwrap_or(t);
            (t.addr.is_any() || (t.addr..=last.addr).contains(&dest.addr))
                && (t.port == 0 || (t.port..=last.port).contains(&dest.port))
        };
        self.netns == flow.netns
            && self.proto.is_none_or(|p| p == flow.proto)
            && self.covers(&flow.orig.1)
            && self.target.is_some_and(includes_dest)
    }

    /// Mechanisms, without the report of the engine if a rule or proxy is known.
    pub fn known_via(&self) -> impl Iterator<Item = &Via> {
        let only_engine = self.via.iter().all(|s| s.kind == ForwardKind::Engine);
        self.via.iter().filter(move |s| only_engine || s.kind != ForwardKind::Engine)
    }
}

/// Connection pair of a user-space proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Row of the accepted connection.
    pub accepted: u32,
    /// Row of the connection it opened to the target; if `direct`, the row of the target's own socket.
    pub connected: u32,
    /// The proxy reaches the target by raw packets, without a socket of its own (`slirp4netns`, `pasta`).
    pub direct: bool,
    /// True if it is the only possible pair; else inferred from the order of descriptors, or from the client port,
    /// which such proxies keep.
    pub certain: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_names_follow_enum_order() {
        for (i, (kind, name)) in ForwardKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, i);
            assert_eq!(serde_json::to_value(kind).unwrap(), *name);
        }
    }
}
