//! Scripted machines: scenes over several polls, with no kernel behind them.
//!
//! A [`Scene`] says which processes and sockets a machine has and how they change from poll to poll; a
//! [`ScriptSource`] plays it. Time is scripted too, so what is derived and drawn of a scene is the same
//! every time. Tests build scenes in code, pictures and the demo are made of the texts in [`SCENES`].

mod parse;
mod play;
#[cfg(test)]
mod tests;

pub use super::scenario::parse::SceneError;
pub use super::scenario::play::ScriptSource;

use crate::model::{Addr, Container, Endpoint, Family, NatRule, Proto, State, SystemLimits};
use std::collections::BTreeMap;

/// The scenes that come with the program: their names and texts.
pub const SCENES: &[(&str, &str)] = &[
    ("small", include_str!("../../assets/scenes/small.scene")),
    ("busy-web", include_str!("../../assets/scenes/busy-web.scene")),
    ("hostile", include_str!("../../assets/scenes/hostile.scene")),
    ("empty", include_str!("../../assets/scenes/empty.scene")),
];

/// A machine over several polls.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Name of the machine.
    pub host: String,
    /// How many polls it lasts before it begins anew.
    pub polls: u32,
    /// Time from poll to poll, milliseconds.
    pub interval_ms: u64,
    /// User names by id.
    pub users: BTreeMap<u32, String>,
    /// Interfaces by index.
    pub interfaces: BTreeMap<u32, String>,
    /// System-wide ceilings.
    pub system: SystemLimits,
    /// The processes.
    pub processes: Vec<Actor>,
    /// The sockets, in the order in which they are told.
    pub sockets: Vec<Line>,
    /// Names of its network namespaces; the first is its own, which sockets are in that name no other.
    pub namespaces: Vec<String>,
    /// What container engines say.
    pub containers: Vec<Container>,
    /// What is forwarded by rules; the connections that are tracked follow from the sockets ([`Line::via`]).
    pub rules: Vec<NatRule>,
    /// Addresses of the interfaces of the namespaces.
    pub addresses: Vec<(u16, Addr)>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            host: "scene".to_owned(),
            polls: 60,
            interval_ms: 1000,
            users: BTreeMap::from([(0, "root".to_owned())]),
            interfaces: BTreeMap::from([(1, "lo".to_owned()), (2, "eth0".to_owned())]),
            system: SystemLimits::default(),
            processes: Vec::new(),
            sockets: Vec::new(),
            namespaces: vec!["host".to_owned()],
            containers: Vec::new(),
            rules: Vec::new(),
            addresses: Vec::new(),
        }
    }
}

impl Scene {
    /// An empty machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// The scene of that name among [`SCENES`].
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = SCENES.iter().find(|(n, _)| *n == name)?;
        Self::parse(text).ok()
    }

    /// With one process more.
    #[must_use]
    pub fn process(mut self, p: Actor) -> Self {
        self.processes.push(p);
        self
    }

    /// With one socket more (or one kind of sockets, see [`Line::copies`]).
    #[must_use]
    pub fn socket(mut self, s: Line) -> Self {
        self.sockets.push(s);
        self
    }
}

/// A number that changes from poll to poll.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Course {
    /// At the first poll.
    pub start: f64,
    /// Added at each poll.
    pub step: f64,
    /// Whether it strays from that by up to a half, always in the same way.
    pub stray: bool,
}

impl From<u32> for Course {
    fn from(n: u32) -> Self {
        Self { start: f64::from(n), ..Self::default() }
    }
}

impl Course {
    /// Grows by `step` at each poll.
    #[must_use]
    pub const fn plus(mut self, step: f64) -> Self {
        self.step = step;
        self
    }

    /// Its value at a poll; `seed` tells the strays of different numbers apart.
    pub fn at(&self, poll: u32, seed: u64) -> f64 {
        let v = self.start + self.step * f64::from(poll);
        if self.stray { v * (0.5 + play::noise(seed, u64::from(poll))) } else { v }
    }

    /// Their sum over the polls before this one, never less than it was a poll before; where they stray, so does it.
    pub fn sum(&self, poll: u32, seed: u64) -> f64 {
        let n = f64::from(poll);
        let even = self.start * n + self.step * n * (n - 1.0) / 2.0;
        if !self.stray {
            return even;
        }
        even + 0.9 * (self.start + self.step * n) * play::noise(seed, u64::from(poll))
    }
}

/// A process of a scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Actor {
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
    /// Seconds it has run when the scene begins.
    pub age_s: u64,
    /// Path of its cgroup.
    pub cgroup: Option<String>,
    /// Open descriptors; `None` where not even their number may be read.
    pub fds: Option<Course>,
    /// Whether what they refer to must not be read.
    pub hidden: bool,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
    /// The poll at which it starts.
    pub from: u32,
    /// The poll at which it is gone.
    pub until: u32,
}

impl Actor {
    /// A process of root with eight descriptors open, of 1,024 to 524,288.
    pub fn new(pid: u32, comm: &str) -> Self {
        Self {
            pid,
            ppid: 1,
            comm: comm.to_owned(),
            cmdline: comm.to_owned(),
            uid: 0,
            age_s: 3600,
            cgroup: None,
            fds: Some(Course::from(8)),
            hidden: false,
            soft: 1024,
            hard: 524_288,
            from: 0,
            until: u32::MAX,
        }
    }

    /// With these descriptors open, and these limits.
    #[must_use]
    pub fn fds(mut self, open: impl Into<Course>, soft: u64, hard: u64) -> Self {
        (self.fds, self.soft, self.hard) = (Some(open.into()), soft, hard);
        self
    }

    /// With descriptors whose number is known and nothing else: another user's process.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// There from this poll until before that one.
    #[must_use]
    pub const fn during(mut self, from: u32, until: u32) -> Self {
        (self.from, self.until) = (from, until);
        self
    }
}

/// One of the processes that hold a socket, by this descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The descriptor; with copies, the first of them.
    pub fd: u32,
}

/// A socket of a scene, or many of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Protocol.
    pub proto: Proto,
    /// Family; an IPv6 socket can have IPv4 addresses.
    pub family: Family,
    /// State when it opens.
    pub state: State,
    /// This end.
    pub local: Endpoint,
    /// The far end.
    pub remote: Endpoint,
    /// Who holds it: all of them.
    pub holders: Vec<Holder>,
    /// Whether of several copies each goes to one of the holders, in turn, with descriptors counting up.
    pub spread: bool,
    /// Whether no process has it yet, or any more: inode 0.
    pub detached: bool,
    /// User id, where it is not the first holder's.
    pub uid: Option<u32>,
    /// Interface it is bound to.
    pub iface: u32,
    /// Receive queue; of a listener, waiting connections.
    pub recv_q: Course,
    /// Send queue; of a listener, the limit.
    pub send_q: Course,
    /// Bytes received a poll.
    pub rx: Course,
    /// Bytes sent a poll.
    pub tx: Course,
    /// Segments retransmitted a poll.
    pub retrans: Course,
    /// Round-trip time, microseconds.
    pub rtt_us: Course,
    /// Packets dropped so far.
    pub drops: Course,
    /// Whether an IPv6 socket refuses IPv4.
    pub v6only: bool,
    /// Timer: its kernel number and milliseconds.
    pub timer: Option<(u8, u32)>,
    /// The poll at which the first copy opens.
    pub from: u32,
    /// Polls that each copy lives.
    pub life: u32,
    /// State changes: polls after it opened, and the new state.
    pub then: Vec<(u32, State)>,
    /// How many there are. The first is as written; of the others the far end's port counts up, and its address over
    /// the hosts; of what was begun here, and of what has no far end, the local port.
    pub copies: u32,
    /// Whether this end began it, so that copies have local ports of their own.
    pub outgoing: bool,
    /// From how many hosts they come, counted up from the remote address.
    pub hosts: u32,
    /// Polls between the openings of two copies; 0 opens all at once.
    pub every: f64,
    /// The network namespace it is in: index in [`Scene::namespaces`].
    pub netns: u16,
    /// The endpoint of the first namespace that its far end asked for, from where it was forwarded.
    pub via: Option<Endpoint>,
}

impl Line {
    /// A socket of this kind in this state. An endpoint with an IPv6 address makes it an IPv6 socket.
    pub fn new(proto: Proto, state: State, local: Endpoint, remote: Endpoint) -> Self {
        let v4 = |e: &Endpoint| e.addr.is_v4();
        let family =
            if v4(&local) || (v4(&remote) && !remote.is_none()) { Family::Inet } else { Family::Inet6 };
        let server = state == State::Listen;
        Self {
            proto,
            family,
            state,
            local,
            remote,
            holders: Vec::new(),
            spread: false,
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
            recv_q: Course::default(),
            send_q: Course::from(if server { 128 } else { 0 }),
            rx: Course::default(),
            tx: Course::default(),
            retrans: Course::default(),
            rtt_us: Course::from(410),
            drops: Course::default(),
            v6only: false,
            timer: None,
            from: 0,
            life: u32::MAX,
            then: Vec::new(),
            copies: 1,
            outgoing: state == State::SynSent,
            hosts: 1,
            every: 0.0,
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

    /// Held by one process more.
    #[must_use]
    pub fn held(mut self, pid: u32, fd: u32) -> Self {
        self.holders.push(Holder { pid, fd });
        self.detached = false;
        self
    }

    /// With these queues.
    #[must_use]
    pub fn queues(mut self, recv: impl Into<Course>, send: impl Into<Course>) -> Self {
        (self.recv_q, self.send_q) = (recv.into(), send.into());
        self
    }

    /// Receiving and sending so many bytes a poll.
    #[must_use]
    pub fn rates(mut self, rx: impl Into<Course>, tx: impl Into<Course>) -> Self {
        (self.rx, self.tx) = (rx.into(), tx.into());
        self
    }

    /// Opened at this poll, gone so many polls later.
    #[must_use]
    pub const fn during(mut self, from: u32, life: u32) -> Self {
        (self.from, self.life) = (from, life);
        self
    }

    /// In another state so many polls after it opened.
    #[must_use]
    pub fn then(mut self, after: u32, state: State) -> Self {
        self.then.push((after, state));
        self
    }

    /// Many of it, from several hosts, with ports counting up.
    #[must_use]
    pub const fn many(mut self, copies: u32, hosts: u32) -> Self {
        (self.copies, self.hosts) = (copies, hosts);
        self
    }
}
