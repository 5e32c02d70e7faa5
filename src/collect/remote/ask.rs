//! Questions to an agent beside samples, and its replies: details of one row, why a connection does not work, and acts.
//!
//! A question is the body of a message of kind [`super::Kind::Ask`], its reply that of one of kind [`super::Kind::Reply`], both
//! JSON. The list of variants is closed: what an agent does not know it refuses by [`Reply::Refused`]. An agent names in its hello
//! what it answers ([`AskKind`]), since one of an older version skips kinds of messages that it does not know.
//!
//! Acts carry the identity of what they are meant for, not a number of a row: pid and start time, or cookie, network namespace and
//! both endpoints. It is compared when the act is carried out.

use super::methods::Methods;
use crate::model::sample::Namespace;
use crate::model::signal::{SIGNALS, SignalInfo};
use crate::model::{Endpoint, Family, ProcInfo, Proto, Socket, SocketId, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most processes or sockets of one act: a message holds as many. A screen sends several for more.
pub const MAX_TARGETS: usize = 128;

/// Question to an agent. `W` is the question why a connection does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask<W> {
    /// Open the source of the samples, by these methods: the reply has the error if there is none.
    Open(Methods),
    /// Read what only the details of one row show.
    Probe(ProbeOf),
    /// Answer why a connection does not work.
    Why(W),
    /// The same, after one real connect in at most this time, milliseconds.
    Connect(W, u64),
    /// Carry out an act.
    Act(ActOn),
}

/// Row whose details are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeOf {
    /// The process.
    pub process: ProcessId,
    /// A descriptor of the process and the inode of its socket.
    pub socket: Option<(u32, u64)>,
    /// An IP socket.
    pub inet: Option<SocketTarget>,
}

/// Act, with the identity of each target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActOn {
    /// Send these processes a signal of [`SIGNALS`], by its name.
    Signal(Vec<ProcessId>, Box<str>),
    /// Close these sockets.
    Close(Vec<SocketTarget>),
    /// Set the fd limits of this process: soft and hard.
    FdLimit(ProcessId, (u64, u64)),
}

/// Identity of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id.
    pub pid: u32,
    /// Start time, nanoseconds after boot.
    pub start_ns: u64,
    /// Command name, for errors.
    pub comm: Box<str>,
}

impl From<&ProcInfo> for ProcessId {
    fn from(p: &ProcInfo) -> Self {
        Self { pid: p.pid, start_ns: p.start_ns, comm: p.comm.clone() }
    }
}

impl ProcessId {
    /// The process, of which nothing but its identity is known.
    pub fn info(&self) -> ProcInfo {
        ProcInfo {
            pid: self.pid,
            ppid: 0,
            start_ns: self.start_ns,
            comm: self.comm.clone(),
            cmdline: "".into(),
            uid: ProcInfo::NO_UID,
            cgroup: None,
        }
    }
}

/// Identity of an IP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketTarget {
    /// Inode of its network namespace; 0 for that of the agent.
    pub netns: u64,
    /// Cookie of the kernel.
    pub cookie: u64,
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub proto: Proto,
    /// Local endpoint.
    pub local: Endpoint,
    /// Remote endpoint.
    pub remote: Endpoint,
    /// Index of the interface it is bound to, 0 for none.
    pub iface: u32,
    /// Uid that was shown. It is not trusted.
    pub uid: u32,
}

impl SocketTarget {
    /// Identity of a socket in a network namespace with this inode; 0 for that of the agent.
    pub const fn new(s: &Socket, netns: u64) -> Self {
        Self {
            netns,
            cookie: s.id.cookie,
            family: s.family,
            proto: s.proto,
            local: s.local,
            remote: s.remote,
            iface: s.iface,
            uid: s.uid,
        }
    }

    /// The socket, of which nothing but its identity is known; its namespace is number 1 of [`Self::namespaces`], or 0.
    pub fn socket(&self) -> Socket {
        let id = SocketId { netns: u16::from(self.netns != 0), cookie: self.cookie };
        Socket {
            local: self.local,
            remote: self.remote,
            iface: self.iface,
            uid: self.uid,
            ..Socket::new(id, self.family, self.proto, State::Closed)
        }
    }

    /// The namespace of the agent, and that of the socket.
    pub fn namespaces(&self) -> Arc<[Namespace]> {
        let namespace = |inode| Namespace { inode, name: String::new(), interfaces: BTreeMap::new() };
        [namespace(0), namespace(self.netns)].into()
    }
}

/// Signal of this name among those that are offered.
pub fn signal_named(name: &str) -> Option<SignalInfo> {
    SIGNALS.into_iter().find(|s| s.name == name)
}

/// Reply of an agent. `P` is what the details show, `A` the answer why a connection does not work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply<P, A> {
    /// The source is open.
    Opened,
    /// Reply to [`Ask::Probe`].
    Probed(P),
    /// Reply to [`Ask::Why`] and [`Ask::Connect`]: the time of the answer, nanoseconds since 1970, and the answer; or the reason why there is none.
    Answered(Result<(u64, A), String>),
    /// Reply to [`Ask::Act`].
    Acted(Outcome),
    /// The question is not answered: the reason.
    Refused(String),
}

/// Outcome of an act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Targets that it was carried out on.
    pub done: usize,
    /// First error.
    pub error: Option<String>,
}

/// Kind of a question, as a hello names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskKind {
    /// [`Ask::Open`].
    Open,
    /// [`Ask::Probe`].
    Probe,
    /// [`Ask::Why`].
    Why,
    /// [`Ask::Connect`].
    Connect,
    /// [`Ask::Act`].
    Act,
}

impl AskKind {
    /// Name in a hello.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Probe => "probe",
            Self::Why => "why",
            Self::Connect => "connect",
            Self::Act => "act",
        }
    }
}

impl<W> Ask<W> {
    /// Kind of the question.
    pub const fn kind(&self) -> AskKind {
        match self {
            Self::Open(_) => AskKind::Open,
            Self::Probe(_) => AskKind::Probe,
            Self::Why(_) => AskKind::Why,
            Self::Connect(..) => AskKind::Connect,
            Self::Act(_) => AskKind::Act,
        }
    }

    /// True if an act has more targets than [`MAX_TARGETS`].
    pub const fn is_too_large(&self) -> bool {
        match self {
            Self::Act(ActOn::Signal(processes, _)) => processes.len() > MAX_TARGETS,
            Self::Act(ActOn::Close(sockets)) => sockets.len() > MAX_TARGETS,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::remote::{Kind, message};

    fn target() -> SocketTarget {
        let end = |port| Endpoint::new(std::net::IpAddr::from([255; 16]).into(), port);
        SocketTarget {
            netns: u64::MAX,
            cookie: SocketId::SYNTHETIC - 1,
            family: Family::Inet6,
            proto: Proto::Tcp,
            local: end(u16::MAX),
            remote: end(u16::MAX - 1),
            iface: u32::MAX,
            uid: u32::MAX,
        }
    }

    fn process() -> ProcessId {
        ProcessId { pid: u32::MAX, start_ns: u64::MAX, comm: "\u{1}\"\\ abcdefghij".into() }
    }

    #[test]
    fn questions_are_read_back_and_the_largest_fit_in_a_message() {
        let asks: [Ask<u32>; 7] = [
            Ask::Open(Methods::default()),
            Ask::Probe(ProbeOf { process: process(), socket: Some((7, 8)), inet: Some(target()) }),
            Ask::Why(7),
            Ask::Connect(7, u64::MAX),
            Ask::Act(ActOn::Signal(vec![process(); MAX_TARGETS], "SIGTERM".into())),
            Ask::Act(ActOn::Close(vec![target(); MAX_TARGETS])),
            Ask::Act(ActOn::FdLimit(process(), (1024, u64::MAX))),
        ];
        for ask in asks {
            let body = serde_json::to_vec(&ask).unwrap();
            assert!(message(Kind::Ask, &body).is_ok(), "{} bytes", body.len());
            assert_eq!(serde_json::from_slice::<Ask<u32>>(&body).unwrap(), ask);
            assert!(!ask.is_too_large());
        }
        let many = Ask::<u32>::Act(ActOn::Close(vec![target(); MAX_TARGETS + 1]));
        assert!(many.is_too_large());
    }

    #[test]
    fn unknown_questions_are_errors_and_unknown_signals_none() {
        for wrong in [
            "",
            "7",
            "{}",
            r#"{"run":"sh"}"#,
            r#"{"act":{"reboot":[]}}"#,
            r#"{"act":{"signal":[[{"pid":-1}],"SIGTERM"]}}"#,
            r#"{"act":{"close":[{"netns":0,"cookie":1}]}}"#,
            r#"{"why":1,"act":2}"#,
        ] {
            assert!(serde_json::from_str::<Ask<u32>>(wrong).is_err(), "{wrong}");
        }
        assert_eq!(signal_named("SIGSTOP"), None);
        assert_eq!(signal_named("SIGKILL").map(|s| s.number), Some(9));
    }

    #[test]
    fn socket_of_another_namespace_keeps_its_inode() {
        let other = target();
        let (s, all) = (other.socket(), other.namespaces());
        assert_eq!(all[usize::from(s.id.netns)].inode, other.netns);
        assert_eq!(SocketTarget::new(&s, other.netns), other);
        assert_eq!(SocketTarget { netns: 0, ..other }.socket().id.netns, 0);
    }
}
