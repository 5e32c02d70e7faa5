//! Contents of a scenario: sockets, owners, processes.

use super::super::scenario::dns_spec::DnsSpec;
use super::super::scenario::event_spec::EventSpec;
use super::super::scenario::series::Series;
use crate::model::{Addr, Container, Endpoint, Family, Halted, Proto, State, SystemLimits, nft};
use std::collections::BTreeMap;

/// Built-in scenarios: name and text.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("small", include_str!("../../../assets/scenarios/small.scenario")),
    ("busy-web", include_str!("../../../assets/scenarios/busy-web.scenario")),
    ("hostile", include_str!("../../../assets/scenarios/hostile.scenario")),
    ("empty", include_str!("../../../assets/scenarios/empty.scenario")),
];

/// A simulated machine over several polls.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Host name.
    pub host: String,
    /// Number of polls, after which it starts over.
    pub polls: u32,
    /// Poll interval, milliseconds.
    pub interval_ms: u64,
    /// User names by id.
    pub users: BTreeMap<u32, String>,
    /// Interfaces by index.
    pub interfaces: BTreeMap<u32, String>,
    /// System-wide limits.
    pub system: SystemLimits,
    /// The processes.
    pub processes: Vec<ProcessSpec>,
    /// The sockets, in the order of the samples.
    pub sockets: Vec<SocketSpec>,
    /// Short connections and failed connects.
    pub events: Vec<EventSpec>,
    /// DNS questions of every poll.
    pub dns: Vec<DnsSpec>,
    /// Names of its network namespaces; the first is that of the host, and the default of sockets.
    pub namespaces: Vec<String>,
    /// The containers.
    pub containers: Vec<Container>,
    /// NAT rules. The tracked connections follow from the sockets ([`SocketSpec::via`]).
    pub ruleset: nft::Ruleset,
    /// Interface addresses with the index of their namespace.
    pub addresses: Vec<(u16, Addr)>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            host: "scenario".to_owned(),
            polls: 60,
            interval_ms: 1000,
            users: BTreeMap::from([(0, "root".to_owned())]),
            interfaces: BTreeMap::from([(1, "lo".to_owned()), (2, "eth0".to_owned())]),
            system: SystemLimits::default(),
            processes: Vec::new(),
            sockets: Vec::new(),
            events: Vec::new(),
            dns: Vec::new(),
            namespaces: vec!["host".to_owned()],
            containers: Vec::new(),
            ruleset: nft::Ruleset::default(),
            addresses: Vec::new(),
        }
    }
}

impl Scenario {
    /// An empty machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Built-in scenario of this name, from [`SCENARIOS`].
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = SCENARIOS.iter().find(|(n, _)| *n == name)?;
        Self::parse(text).ok()
    }

    /// Adds a process.
    #[must_use]
    pub fn process(mut self, p: ProcessSpec) -> Self {
        self.processes.push(p);
        self
    }

    /// Adds a socket, or several copies of it ([`SocketSpec::copies`]).
    #[must_use]
    pub fn socket(mut self, s: SocketSpec) -> Self {
        self.sockets.push(s);
        self
    }
}

/// A process of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessSpec {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// Command name.
    pub comm: String,
    /// Command line.
    pub cmdline: String,
    /// User id.
    pub uid: u32,
    /// Age at the first poll, seconds.
    pub age_s: u64,
    /// Cgroup path.
    pub cgroup: Option<String>,
    /// Open descriptors; `None`: not even their number may be read.
    pub fds: Option<Series>,
    /// True if the targets of its descriptors may not be read.
    pub hidden: bool,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
    /// Reason why it does not run.
    pub halted: Option<Halted>,
    /// The poll in which it starts.
    pub from: u32,
    /// The first poll in which it is gone.
    pub until: u32,
}

impl ProcessSpec {
    /// A process of root with 8 open descriptors and limits of 1,024 and 524,288.
    pub fn new(pid: u32, comm: &str) -> Self {
        Self {
            pid,
            ppid: 1,
            comm: comm.to_owned(),
            cmdline: comm.to_owned(),
            uid: 0,
            age_s: 3600,
            cgroup: None,
            fds: Some(Series::from(8)),
            hidden: false,
            soft: 1024,
            hard: 524_288,
            halted: None,
            from: 0,
            until: u32::MAX,
        }
    }

    /// Sets open descriptors and limits.
    #[must_use]
    pub fn fds(mut self, open: impl Into<Series>, soft: u64, hard: u64) -> Self {
        (self.fds, self.soft, self.hard) = (Some(open.into()), soft, hard);
        self
    }

    /// Makes only the number of descriptors readable, as of another user's process.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Exists from poll `from` to before poll `until`.
    #[must_use]
    pub const fn during(mut self, from: u32, until: u32) -> Self {
        (self.from, self.until) = (from, until);
        self
    }
}

/// Owner of a socket: a process and its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerSpec {
    /// Process id.
    pub pid: u32,
    /// The descriptor; for copies, that of the first.
    pub fd: u32,
}

/// A socket of a scenario, or several copies of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketSpec {
    /// Protocol.
    pub proto: Proto,
    /// Family. An IPv6 socket can have IPv4 addresses.
    pub family: Family,
    /// Initial state.
    pub state: State,
    /// Local endpoint.
    pub local: Endpoint,
    /// Remote endpoint.
    pub remote: Endpoint,
    /// Owners.
    pub owners: Vec<OwnerSpec>,
    /// True if each copy has one of the owners, in turn, with increasing descriptors, instead of all of them.
    pub one_owner_each: bool,
    /// True if it has no owner (not yet accepted, or closed): inode 0.
    pub detached: bool,
    /// User id, if not that of the first owner.
    pub uid: Option<u32>,
    /// Index of the interface it is bound to.
    pub iface: u32,
    /// Receive queue; of a listener: connections to be accepted.
    pub recv_q: Series,
    /// Send queue; of a listener: the backlog.
    pub send_q: Series,
    /// Bytes received per poll.
    pub rx: Series,
    /// Bytes sent per poll.
    pub tx: Series,
    /// Segments retransmitted per poll.
    pub retrans: Series,
    /// Round-trip time, microseconds.
    pub rtt_us: Series,
    /// Total packets dropped.
    pub drops: Series,
    /// `IPV6_V6ONLY`.
    pub v6only: bool,
    /// Timer: kernel number and remaining milliseconds.
    pub timer: Option<(u8, u32)>,
    /// The poll in which the first copy opens.
    pub from: u32,
    /// Polls that each copy exists.
    pub lifetime: u32,
    /// State changes: polls after opening, and the new state.
    pub then: Vec<(u32, State)>,
    /// Number of copies. The first has the endpoints given; the others increasing remote ports, and remote addresses of all
    /// hosts; outgoing sockets and those without a peer have increasing local ports.
    pub copies: u32,
    /// True if it is outgoing, so that copies differ in their local ports.
    pub outgoing: bool,
    /// Number of remote hosts, with increasing addresses.
    pub hosts: u32,
    /// Polls between the openings of two copies; 0 opens all at once.
    pub open_interval: f64,
    /// Its network namespace: index in [`Scenario::namespaces`].
    pub netns: u16,
    /// Endpoint of the host that the client connected to, before the connection was forwarded here.
    pub via: Option<Endpoint>,
}

impl SocketSpec {
    /// A socket in this state; an IPv6 socket if an endpoint has an IPv6 address.
    pub fn new(proto: Proto, state: State, local: Endpoint, remote: Endpoint) -> Self {
        let is_v4 = |e: &Endpoint| e.addr.is_v4();
        let family =
            if is_v4(&local) || (is_v4(&remote) && !remote.is_none()) { Family::Inet } else { Family::Inet6 };
        let is_listener = state == State::Listen;
        Self {
            proto,
            family,
            state,
            local,
            remote,
            owners: Vec::new(),
            one_owner_each: false,
            detached: matches!(
                state,
                State::SynRecv
                    | State::TimeWait
                    | State::FinWait1
                    | State::FinWait2
                    | State::LastAck
                    | State::Closing
            ),
            uid: None,
            iface: 0,
            recv_q: Series::default(),
            send_q: Series::from(if is_listener { 128 } else { 0 }),
            rx: Series::default(),
            tx: Series::default(),
            retrans: Series::default(),
            rtt_us: Series::from(410),
            drops: Series::default(),
            v6only: false,
            timer: None,
            from: 0,
            lifetime: u32::MAX,
            then: Vec::new(),
            copies: 1,
            outgoing: state == State::SynSent,
            hosts: 1,
            open_interval: 0.0,
            netns: 0,
            via: None,
        }
    }

    /// A TCP listener.
    pub fn listen(local: Endpoint) -> Self {
        Self::new(Proto::Tcp, State::Listen, local, Endpoint::default())
    }

    /// A TCP connection in this state.
    pub fn tcp(state: State, local: Endpoint, remote: Endpoint) -> Self {
        Self::new(Proto::Tcp, state, local, remote)
    }

    /// Sets the queues.
    #[must_use]
    pub fn queues(mut self, recv: impl Into<Series>, send: impl Into<Series>) -> Self {
        (self.recv_q, self.send_q) = (recv.into(), send.into());
        self
    }

    /// Sets the bytes received and sent per poll.
    #[must_use]
    pub fn rates(mut self, rx: impl Into<Series>, tx: impl Into<Series>) -> Self {
        (self.rx, self.tx) = (rx.into(), tx.into());
        self
    }

    /// Opens in poll `from` and closes `lifetime` polls later.
    #[must_use]
    pub const fn during(mut self, from: u32, lifetime: u32) -> Self {
        (self.from, self.lifetime) = (from, lifetime);
        self
    }

    /// Changes to this state, so many polls after opening.
    #[must_use]
    pub fn then(mut self, after: u32, state: State) -> Self {
        self.then.push((after, state));
        self
    }

    /// Makes copies, from this number of hosts.
    #[must_use]
    pub const fn many(mut self, copies: u32, hosts: u32) -> Self {
        (self.copies, self.hosts) = (copies, hosts);
        self
    }
}
