//! Questions: what is asked, by whom and from which namespace. Each row of the dashboard has one.

use crate::model::history::Subject;
use crate::model::map::MapEdge;
use crate::model::sample::EventKind;
use crate::model::snapshot::{Direction, DnsRow, EventRow, Peer, Port};
use crate::model::{Addr, Endpoint, Forward, Limit, LimitSubject, ProcInfo, Proto, Snapshot, Socket, State};
use serde::{Deserialize, Serialize};

/// Question about a connection of this machine to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// TCP or UDP.
    pub proto: Proto,
    /// Destination.
    pub dest: Endpoint,
    /// Source address, if it is fixed.
    pub source: Option<Addr>,
    /// Local endpoint of a socket that exists: its mark applies.
    pub local: Option<Endpoint>,
    /// Mark (`SO_MARK`).
    pub mark: u32,
    /// User; `None` for the one of the process, or of sockscope.
    pub uid: Option<u32>,
    /// Process that connects.
    pub pid: Option<u32>,
    /// Inode of the network namespace; 0 for the one of the process, or of sockscope.
    pub netns: u64,
}

/// Question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// A connection of this machine.
    Connection(Connection),
    /// Clients of a port of this machine.
    Port {
        /// TCP or UDP.
        proto: Proto,
        /// Port.
        port: u16,
        /// Address of the client, if it is known.
        source: Option<Addr>,
        /// Inode of the network namespace; 0 for that of sockscope.
        netns: u64,
    },
    /// The sockets of a process.
    Process(u32),
}

/// Protocol of a question: MPTCP is asked as TCP, whose packets it sends. `None` for others.
const fn asked(proto: Proto) -> Option<Proto> {
    match proto {
        Proto::Tcp | Proto::Mptcp => Some(Proto::Tcp),
        Proto::Udp => Some(Proto::Udp),
        _ => None,
    }
}

impl Question {
    /// The question in words, as an answer repeats it.
    pub fn subject(&self, snap: &Snapshot) -> String {
        match self {
            Self::Connection(c) => format!("{} {}", c.proto.name(), c.dest),
            Self::Port { proto, port, .. } => format!("{} :{port}", proto.name()),
            Self::Process(pid) => {
                let known = snap.sample.processes.iter().find(|p| p.info.pid == *pid);
                known.map_or_else(|| format!("pid {pid}"), |p| format!("{} {pid}", p.info.name()))
            }
        }
    }

    /// Question about a port.
    const fn port(proto: Option<Proto>, port: u16, netns: u64) -> Option<Self> {
        match proto {
            Some(proto) if port != 0 => Some(Self::Port { proto, port, source: None, netns }),
            _ => None,
        }
    }

    /// Question about a connection of a known process, or of none.
    fn connection(
        proto: Option<Proto>,
        dest: Endpoint,
        (pid, uid): (Option<u32>, Option<u32>),
        netns: u64,
    ) -> Option<Self> {
        let proto = proto.filter(|_| dest.port != 0 && !dest.addr.is_any())?;
        Some(Self::Connection(Connection {
            proto,
            dest,
            source: None,
            local: None,
            mark: 0,
            uid,
            pid,
            netns,
        }))
    }

    /// Question about a socket row: where it connects to, who connects to it, or else its process.
    pub fn of_socket(snap: &Snapshot, row: usize) -> Option<Self> {
        let s = snap.get_socket(row)?;
        let owner = snap.owners(row).first().map(|o| &snap.process(o).info);
        let of_process = || owner.map(|p| Self::Process(p.pid));
        let (proto, netns) = (asked(s.proto), snap.netns_inode(s.id.netns));
        let is_accepted = snap.facts.get(row).is_some_and(|f| f.direction == Direction::In);
        let question = if s.serves() || is_accepted {
            Self::port(proto, s.local.port, netns)
        } else {
            Self::connection(proto, s.remote, client(s, owner.map(|p| &**p)), netns)
        };
        let mut question = question.or_else(of_process)?;
        if let Self::Connection(c) = &mut question {
            c.local = Some(s.local);
            c.source = Some(s.local.addr).filter(|a| !a.is_any());
        }
        Some(question)
    }

    /// Question about an event: the target of a connect, the port of an accepted connection, or else its process.
    pub fn of_event(e: &EventRow) -> Option<Self> {
        let pid = e.process.as_ref().map(|p| p.pid);
        let uid = e.event.uid.or_else(|| e.process.as_ref().map(|p| p.uid));
        let is_served = e.direction == Direction::In || e.event.kind == EventKind::Listening;
        let proto = asked(e.event.proto);
        let question = match e.event.remote {
            _ if is_served => Self::port(proto, e.event.local.port, e.netns_inode),
            Some(remote) => Self::connection(proto, remote, (pid, uid), e.netns_inode),
            None => None,
        };
        question.or(pid.map(Self::Process))
    }

    /// Question about a DNS question: the resolver that was asked.
    pub fn of_dns(q: &DnsRow) -> Option<Self> {
        let client = (q.process.as_ref().map(|p| p.pid), q.process.as_ref().map(|p| p.uid));
        if q.query.inbound {
            Self::port(asked(q.query.proto), q.query.server.port, q.netns_inode)
        } else {
            Self::connection(asked(q.query.proto), q.query.server, client, q.netns_inode)
        }
    }

    /// Question about a served endpoint.
    pub fn of_port(snap: &Snapshot, p: &Port) -> Option<Self> {
        Self::port(asked(p.proto), p.local.port, snap.netns_inode(p.netns))
    }

    /// Question about a remote address: its connection that is not established, or else its first one.
    pub fn of_peer(snap: &Snapshot, p: &Peer) -> Option<Self> {
        Self::of_rows(snap, snap.sockets_with(p))
    }

    /// Question about an edge of the map.
    pub fn of_edge(snap: &Snapshot, e: &MapEdge) -> Option<Self> {
        Self::of_rows(snap, &e.sockets)
    }

    fn of_rows(snap: &Snapshot, rows: &[u32]) -> Option<Self> {
        let is_stuck = |r: &&u32| snap.get_socket(**r as usize).is_some_and(|s| s.state == State::SynSent);
        let row = rows.iter().find(is_stuck).or(rows.first())?;
        Self::of_socket(snap, *row as usize)
    }

    /// Question about a forwarded endpoint.
    pub fn of_forward(snap: &Snapshot, f: &Forward) -> Option<Self> {
        Self::port(asked(f.proto.unwrap_or(Proto::Tcp)), f.host.port, snap.netns_inode(f.netns))
    }

    /// Question about a limit; `None` for one that no connection is asked about.
    pub fn of_limit(snap: &Snapshot, l: &Limit) -> Option<Self> {
        let netns = snap.netns_inode(l.netns);
        match &l.subject {
            LimitSubject::Process(pid, _) => Some(Self::Process(*pid)),
            LimitSubject::Listener(proto, local, _) => Self::port(asked(*proto), local.port, netns),
            LimitSubject::Route(source, dest) => {
                let question = Self::connection(Some(Proto::Tcp), *dest, (None, None), netns)?;
                Some(match question {
                    Self::Connection(c) => {
                        Self::Connection(Connection { source: Some(*source).filter(|a| !a.is_any()), ..c })
                    }
                    other => other,
                })
            }
            _ => l.process.and_then(|p| snap.process_subject(p as usize)).and_then(|s| match s {
                Subject::Process(pid, _) => Some(Self::Process(pid)),
                _ => None,
            }),
        }
    }
}

/// Pid and uid of the client of a socket. The kernel reports no user of a socket in `TIME_WAIT`.
fn client(s: &Socket, owner: Option<&ProcInfo>) -> (Option<u32>, Option<u32>) {
    let uid = if s.state == State::TimeWait { None } else { Some(s.uid) };
    (owner.map(|p| p.pid), uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;

    #[test]
    fn connection_asks_for_its_target_and_listener_for_its_port() {
        let snap = machine();
        let row = |what: &dyn Fn(&Socket) -> bool| snap.live_sockets().iter().position(what).unwrap();
        let listener = row(&|s| s.state == State::Listen && s.proto == Proto::Tcp);
        let port = snap.socket(listener).local.port;
        assert!(
            matches!(Question::of_socket(&snap, listener), Some(Question::Port { port: p, .. }) if p == port)
        );
        for (row, s) in snap.live_sockets().iter().enumerate().filter(|(_, s)| s.proto == Proto::Tcp) {
            let asked = Question::of_socket(&snap, row);
            if let Some(Question::Connection(c)) = asked {
                assert_eq!((c.dest, c.local), (s.remote, Some(s.local)));
            }
        }
    }
}
