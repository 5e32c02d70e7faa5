//! Answer to why a connection does not work: the steps of the kernel in order, each with its evidence, and the first that fails.

mod cgroup;
mod listener;
mod path;
mod probe;
mod process;
mod proxied;
mod question;
mod recent;
mod sockets;
mod source;
mod text;

use super::cause::{CAUSES, Cause, Effect};
use crate::model::cgroup_bpf::CgroupPrograms;
use crate::model::lang::noop;
use crate::model::path::{Hop, Stage};
use crate::model::{Addr, Endpoint, Proto, Sample, Snapshot};
pub use proxied::Proxied;
pub use question::{Connection, Question};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
pub use text::text;

/// Status of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// No step fails.
    Ok,
    /// The connection fails here.
    Fails,
    /// It probably fails here: a condition is not known.
    Likely,
    /// Not readable from here.
    NotVisible,
}

impl Status {
    /// Name, as printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => noop("ok"),
            Self::Fails => noop("fails"),
            Self::Likely => noop("likely"),
            Self::NotVisible => noop("not visible"),
        }
    }
}

/// One step of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Part of the kernel: `route`, `firewall`, `listener`.
    pub name: Cow<'static, str>,
    /// Network namespace, if it is not that of the question.
    pub netns: Option<String>,
    /// Status.
    pub status: Status,
    /// Evidence, in one line. Names from outside are not escaped.
    pub evidence: String,
    /// Cause of a failure.
    #[serde(deserialize_with = "cause_named")]
    pub cause: Option<&'static Cause>,
    /// Effect on the client, of a failure.
    pub effect: Option<Effect>,
}

/// Reads the name of a cause; one that this version does not know is an error.
fn cause_named<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'static Cause>, D::Error> {
    let named = |name: String| {
        let known = CAUSES.iter().find(|c| c.name == name).copied();
        known.ok_or_else(|| serde::de::Error::custom(format!("unknown cause {name:?}")))
    };
    Option::<String>::deserialize(from)?.map(named).transpose()
}

impl Step {
    fn new(name: &'static str, status: Status, evidence: impl Into<String>) -> Self {
        Self { name: name.into(), netns: None, status, evidence: evidence.into(), cause: None, effect: None }
    }

    fn ok(name: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, evidence)
    }

    fn not_visible(name: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(name, Status::NotVisible, evidence)
    }

    fn fails(name: &'static str, cause: &'static Cause, evidence: impl Into<String>) -> Self {
        let step = Self::new(name, Status::Fails, evidence);
        Self { cause: Some(cause), effect: Some(cause.effect), ..step }
    }

    fn likely(self) -> Self {
        Self { status: Status::Likely, ..self }
    }

    /// True if the connection does not get past this step.
    pub const fn is_failure(&self) -> bool {
        matches!(self.status, Status::Fails | Status::Likely)
    }
}

/// Certainty of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The evidence leaves no other answer.
    Certain,
    /// Something was not visible, or depends on what is not known.
    Likely,
    /// The evidence is not enough.
    Unknown,
}

impl Certainty {
    /// Name, as printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Unknown => "unknown",
        }
    }
}

/// Verdict of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No step fails.
    Reachable,
    /// A cause was found.
    Cause,
    /// The evidence is not enough.
    Unknown,
}

/// Answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The question in words: `tcp 10.0.0.4:5432`.
    pub subject: String,
    /// Verdict.
    pub verdict: Verdict,
    /// Certainty of the verdict.
    pub certainty: Certainty,
    /// Answer in one line.
    pub headline: String,
    /// Steps in the order of the kernel.
    pub steps: Vec<Step>,
}

/// A process that asks.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its pid; `None` for a process that is not named.
    pub pid: Option<u32>,
    /// Number of its network namespace in the snapshot.
    pub netns: u16,
}

/// Question for a connection to an endpoint.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// TCP or UDP.
    pub proto: Proto,
    /// Source address, if one was named.
    pub source: Option<Addr>,
    /// Destination.
    pub dest: Endpoint,
    /// Client.
    pub client: Client,
}

/// BPF programs of cgroups; `None` for one without cgroup v2, or that is not of this machine.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// Those in effect for the client.
    pub client: Option<CgroupPrograms>,
    /// Those in effect for the process that listens at the destination.
    pub server: Option<CgroupPrograms>,
}

/// End of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathEnd {
    /// At a hop, by its route or delivered to a socket there.
    AtHop,
    /// At a host that is not a namespace of this machine: its address.
    Remote(Addr),
    /// At a namespace that was not entered: its name and the reason.
    NotEntered(String, String),
}

/// Answers for a connection of this machine to an endpoint, by the hops of its path. `pairs` has the connections of the namespace of
/// the client, which is number `pairs.1` there. `programs` are those of the cgroups, `proxied` is the forward of the proxy that listens at the end.
pub fn outgoing(
    snap: &Snapshot,
    pairs: (&Snapshot, u16),
    programs: &Programs,
    q: &Outgoing,
    (hops, end): (&[Hop], &PathEnd),
    proxied: Option<&Proxied<'_>>,
) -> Answer {
    let mut steps = process::client(snap, &q.client);
    let mut of_cgroup = cgroup::steps(programs.client.as_ref(), q);
    // Few cgroups have programs: without the right to look, a failure behind them is as certain as before.
    let unread =
        if programs.client.as_ref().is_some_and(|p| p.programs.is_err()) { of_cgroup.pop() } else { None };
    steps.extend(of_cgroup);
    if let Some(first) = hops.first() {
        steps.extend(source::steps(pairs, q, first));
    }
    steps.extend(path_steps(snap, (q.proto, q.client.netns), (hops, end), programs, proxied));
    let mut recent = recent::pair(pairs, q, hops.last().map_or(q.dest, Hop::dest));
    recent.blame_mtu(hops);
    steps.extend(recent.steps);
    steps.extend(unread);
    let subject = format!("{} {}", q.proto.name(), q.dest);
    conclude(subject.clone(), steps, &subject, recent.is_connected)
}

/// Steps of the hops from a namespace on, and of the listener behind the last.
fn path_steps(
    snap: &Snapshot,
    (proto, from): (Proto, u16),
    (hops, end): (&[Hop], &PathEnd),
    programs: &Programs,
    proxied: Option<&Proxied<'_>>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for hop in hops {
        let mut of_hop = path::steps(hop);
        if of_hop.iter().any(|s| s.status == Status::Fails) {
            // A namespace of this machine that drops the packet does not answer ARP for it either.
            steps.retain(|s: &Step| s.name != "neighbour" || !s.is_failure());
        }
        let own = steps.len();
        steps.append(&mut of_hop);
        for step in &mut steps[own..] {
            step.netns = (hop.netns != from).then(|| hop.net.name.to_string());
        }
    }
    match (end, hops.last()) {
        (PathEnd::AtHop, Some(last)) if last.is_delivered() => {
            let at = listener::Place {
                netns: last.netns,
                iface: last.packet.iif.as_ref().map(|(index, _)| *index),
                is_local: last.stage == Stage::Output,
                translated: hops.iter().any(|h| h.translation.is_some()),
            };
            let mut found = cgroup::server_steps(programs.server.as_ref());
            found.extend(listener::steps(snap, proto, last.dest(), &at));
            if last.netns != from {
                for step in &mut found {
                    step.netns = Some(last.net.name.to_string());
                }
            }
            let is_served = !found.iter().any(Step::is_failure);
            steps.extend(found);
            steps.extend(proxied.filter(|_| is_served).and_then(proxied::step));
        }
        (PathEnd::AtHop, _) => {}
        (PathEnd::Remote(addr), _) => {
            let text = format!("{addr} is not a namespace of this machine");
            steps.push(Step::not_visible("target", text));
        }
        (PathEnd::NotEntered(name, why), _) => {
            steps.push(Step::not_visible("target", format!("namespace {name}: {why}")));
        }
    }
    steps
}

/// Answers for clients of a port of this machine: `hops` are its addresses; `forwarded` is the path of a packet whose destination a
/// rule translates, `proxied` the forward of the proxy that listens.
pub fn incoming(
    snap: &Snapshot,
    (proto, port): (Proto, u16),
    netns: u16,
    (hops, forwarded): (&[Hop], Option<&(Vec<Hop>, PathEnd)>),
    programs: &Programs,
    proxied: Option<&Proxied<'_>>,
) -> Answer {
    let subject = format!("{} :{port}", proto.name());
    let steps = match forwarded {
        Some((path, end)) => path_steps(snap, (proto, netns), (path, end), programs, proxied),
        None => {
            let mut steps = listener::port(snap, proto, port, netns, hops);
            let at = steps.iter().position(|s| s.name == "listener").unwrap_or(steps.len());
            steps.splice(at..at, cgroup::server_steps(programs.server.as_ref()));
            let is_served = !steps[at..].iter().any(Step::is_failure);
            steps.extend(proxied.filter(|_| is_served).and_then(proxied::step));
            steps
        }
    };
    conclude(subject, steps, &format!("{} port {port} from other hosts", proto.name()), false)
}

/// Answers for the sockets of a process.
pub fn of_process(snap: &Snapshot, pid: u32) -> Option<Answer> {
    let at = snap.sample.processes.iter().position(|p| p.info.pid == pid)?;
    let p = &snap.sample.processes[at];
    let subject = format!("{} {pid}", p.info.name());
    let client = Client { pid: Some(pid), netns: snap.sample.netns_of(pid).unwrap_or(Sample::UNREAD_NETNS) };
    let mut steps = process::client(snap, &client);
    steps.extend(sockets::steps(snap, at));
    let mut answer = conclude(subject.clone(), steps, &subject, false);
    if answer.verdict == Verdict::Reachable {
        answer.headline = format!("no problem found: {subject}");
    }
    Some(answer)
}

/// The answer by its steps: the first failure in the order of the kernel.
fn conclude(subject: String, steps: Vec<Step>, what: &str, is_connected: bool) -> Answer {
    let first = steps.iter().position(Step::is_failure);
    let blind = |steps: &[Step]| steps.iter().any(|s| s.status == Status::NotVisible);
    let (verdict, certainty, headline) = match first {
        Some(at) => {
            let step = &steps[at];
            // A likely failure and a certain one behind it: the connection fails either way.
            let is_certain = step.status == Status::Fails && !blind(&steps[..at]);
            let certainty = if is_certain { Certainty::Certain } else { Certainty::Likely };
            let effect = step.effect.map_or("fails", Effect::text);
            let at = step.netns.as_ref().map_or(String::new(), |n| format!(" (in {n})"));
            (Verdict::Cause, certainty, format!("{effect}: {}{at}", step.evidence))
        }
        None if is_connected => {
            let certainty = if blind(&steps) { Certainty::Likely } else { Certainty::Certain };
            (Verdict::Reachable, certainty, format!("reachable: {what}, connections are open"))
        }
        None if blind(&steps) => {
            let step = steps.iter().find(|s| s.status == Status::NotVisible);
            let why = step.map_or(String::new(), |s| format!("; {}: {}", s.name, s.evidence));
            (Verdict::Unknown, Certainty::Unknown, format!("no cause visible: {what}{why}"))
        }
        // Programs of BPF and security modules can still refuse: only a connection is proof.
        None => (Verdict::Reachable, Certainty::Likely, format!("reachable: {what}, no step fails")),
    };
    Answer { subject, verdict, certainty, headline, steps }
}

impl Answer {
    /// The cause of the verdict.
    pub fn cause(&self) -> Option<&'static Cause> {
        self.steps.iter().find(|s| s.is_failure())?.cause
    }
}
