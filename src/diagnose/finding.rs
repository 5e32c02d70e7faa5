//! Findings: rules about sockets, forwards and limits, one entry each, and the diagnosis of a row by them.

use super::dns_rules::{self, DnsRule};
use super::event_rules::{self, EventRule};
use super::{forward, limit, remedy, socket_rules};
use crate::model::snapshot::{DnsRow, EventFlow, EventRow, FlowCounts, Resolver};
use crate::model::{Level, Snapshot};

/// One rule.
#[derive(Debug)]
pub struct Finding {
    /// Its name: `close-wait-leak`.
    pub name: &'static str,
    /// Former names; a filter and `explain` accept them.
    pub aliases: &'static [&'static str],
    /// Meaning and next step, in one sentence.
    pub help: &'static str,
    /// The topic that explains it.
    pub topic: &'static str,
    /// Severity; of limits that of the row. `Ok` for a remark: a bulk transfer is always limited by something.
    pub severity: Level,
    /// The rows it is about, and the test.
    pub check: Check,
}

/// Evidence of a finding in a row; `None` if the finding does not apply.
pub type Evidence = fn(&Snapshot, usize) -> Option<String>;

/// The table that a rule tests.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// A row of the table of sockets.
    Socket(Evidence),
    /// A row of the table of forwards.
    Forward(Evidence),
    /// A row of the table of limits.
    Limit(Evidence),
    /// The connections of the last seconds between a process and a service, and the rows of the table of events that are
    /// about them.
    Events(EventRule),
    /// The resolvers asked in the last seconds, and the rows of the table of DNS questions that count for the rule.
    Dns(DnsRule),
}

/// A finding that applies to a row.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The rule.
    pub finding: &'static Finding,
    /// Observed values, in one sentence. Names from outside are not escaped.
    pub evidence: String,
    /// Severity.
    pub severity: Level,
    /// Meaning and next step, in one sentence.
    pub help: &'static str,
    row: usize,
}

impl Diagnosis {
    /// The name of the rule, then its former names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.finding.name).chain(self.finding.aliases.iter().copied())
    }

    /// Steps to take beside [`Diagnosis::help`]. A line that starts with blanks is for copying verbatim.
    pub fn steps(&self, snap: &Snapshot) -> Vec<String> {
        match self.finding.check {
            Check::Limit(_) => remedy::steps(snap, self.row),
            Check::Socket(_) | Check::Forward(_) | Check::Events(_) | Check::Dns(_) => Vec::new(),
        }
    }
}

/// Every rule. Of a socket all that apply are shown, of a forward or a limit the first.
pub const FINDINGS: &[Finding] = &[
    Finding {
        name: "accept-queue-full",
        aliases: &[],
        help: "New connections are dropped or delayed: the application accepts too slowly, or its backlog is too small.",
        topic: "backlog",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::accept_queue_full),
    },
    Finding {
        name: "owner-halted",
        aliases: &["stopped"],
        help: "The process does not run while clients wait for it: continue it, thaw its cgroup, or find what it waits for.",
        topic: "backlog",
        severity: Level::Critical,
        check: Check::Socket(socket_rules::owner_halted),
    },
    Finding {
        name: "close-wait-leak",
        aliases: &[],
        help: "The peer has closed and the application has not: check how it handles closed connections.",
        topic: "close_wait",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::close_wait_leak),
    },
    Finding {
        name: "not-reading",
        aliases: &[],
        help: "The application does not read received data: it is busy, blocked, or has lost track of the connection.",
        topic: "recv_q",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::not_reading),
    },
    Finding {
        name: "not-accepting",
        aliases: &[],
        help: "Connections are established but not accept()ed: the application is busy, blocked, or out of file descriptors.",
        topic: "backlog",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::not_accepting),
    },
    Finding {
        name: "peer-not-reading",
        aliases: &["far-end-not-reading"],
        help: "The peer has closed its receive window: its application does not read, so nothing can be sent.",
        topic: "window",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::peer_not_reading),
    },
    Finding {
        name: "neighbour-failed",
        aliases: &["neighbor-failed"],
        help: "The next hop does not answer: check that it is up, has this address, and is on this network.",
        topic: "retransmission",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::neighbour_failed),
    },
    Finding {
        name: "no-answer",
        aliases: &[],
        help: "Sent data is not acknowledged: the peer or the path is gone, or a firewall drops packets.",
        topic: "retransmission",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::no_answer),
    },
    Finding {
        name: "no-answer-to-connect",
        aliases: &[],
        help: "The SYN is not answered: wrong address, host down, firewall, or a full accept queue at the peer.",
        topic: "syn_sent",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::no_answer_to_connect),
    },
    Finding {
        name: "loss",
        aliases: &[],
        help: "Segments are lost on the path: check link errors, duplex, queue drops and congestion.",
        topic: "retransmission",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::loss),
    },
    Finding {
        name: "receiver-limited",
        aliases: &[],
        help: "The peer's receive window limits throughput: its application reads slowly, or its receive buffer is small.",
        topic: "window",
        severity: Level::Ok,
        check: Check::Socket(socket_rules::receiver_limited),
    },
    Finding {
        name: "send-buffer-limited",
        aliases: &[],
        help: "The local send buffer limits throughput: SO_SNDBUF or tcp_wmem is too small for this path.",
        topic: "send_q",
        severity: Level::Ok,
        check: Check::Socket(socket_rules::send_buffer_limited),
    },
    Finding {
        name: "firewalled",
        aliases: &[],
        help: "Connections of other hosts do not reach this listener: accept its port before that rule, or bind it to loopback.",
        topic: "port-forwarding",
        severity: Level::Ok,
        check: Check::Socket(socket_rules::firewalled),
    },
    Finding {
        name: "half-closed",
        aliases: &[],
        help: "This end has shut down sending and the peer has not closed: the connection and its descriptor stay open.",
        topic: "fin_wait2",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::half_closed),
    },
    Finding {
        name: "drops",
        aliases: &[],
        help: "Packets were dropped because the receive buffer was full: the application reads too slowly, or SO_RCVBUF is too small.",
        topic: "drops",
        severity: Level::Warning,
        check: Check::Socket(socket_rules::drops),
    },
    Finding {
        name: "connects-refused",
        aliases: &[],
        help: "Nothing listens on the remote port, or a firewall rejects: start the service, or correct the address and port.",
        topic: "syn_sent",
        severity: Level::Warning,
        check: Check::Events(event_rules::REFUSED_RULE),
    },
    Finding {
        name: "connects-unanswered",
        aliases: &[],
        help: "The remote host does not answer the SYN: it is down, its accept queue is full, or a firewall drops packets.",
        topic: "syn_sent",
        severity: Level::Warning,
        check: Check::Events(event_rules::UNANSWERED_RULE),
    },
    Finding {
        name: "connects-failed",
        aliases: &[],
        help: "Connects fail for another reason: no route, no free local port, or a local firewall; see the column error.",
        topic: "ephemeral-ports",
        severity: Level::Warning,
        check: Check::Events(event_rules::FAILED_RULE),
    },
    Finding {
        name: "connection-churn",
        aliases: &[],
        help: "Many short connections to one service: keep-alive or a connection pool saves their handshakes and local ports.",
        topic: "ephemeral-ports",
        severity: Level::Ok,
        check: Check::Events(event_rules::CHURN_RULE),
    },
    Finding {
        name: "resets-sent",
        aliases: &[],
        help: "This host ends connections with a RST: closed with unread data, or SO_LINGER 0; the peer may lose data.",
        topic: "closed",
        severity: Level::Ok,
        check: Check::Events(event_rules::ABORTED_RULE),
    },
    Finding {
        name: "never-accepted",
        aliases: &[],
        help: "Clients give up before a process reads or writes their connection: the application accepts too slowly or is blocked.",
        topic: "backlog",
        severity: Level::Warning,
        check: Check::Events(event_rules::UNACCEPTED_RULE),
    },
    Finding {
        name: "failing-resolver",
        aliases: &[],
        help: "A resolver does not answer or answers with errors: check that it runs and is reachable, its upstream, and /etc/resolv.conf.",
        topic: "dns",
        severity: Level::Warning,
        check: Check::Dns(dns_rules::FAILING_RULE),
    },
    Finding {
        name: "slow-resolver",
        aliases: &[],
        help: "Answers of a resolver take long: each connection by name waits for them. A nearer resolver or a local cache helps.",
        topic: "dns",
        severity: Level::Warning,
        check: Check::Dns(dns_rules::SLOW_RULE),
    },
    Finding {
        name: "shadowed",
        aliases: &[],
        help: "An earlier rule matches first: remove one of the two rules or reorder them.",
        topic: "port-forwarding",
        severity: Level::Warning,
        check: Check::Forward(forward::shadowed),
    },
    Finding {
        name: "filtered",
        aliases: &[],
        help: "A filter rule drops or rejects what this forward translates: add a rule before it that accepts these packets.",
        topic: "port-forwarding",
        severity: Level::Warning,
        check: Check::Forward(forward::filtered),
    },
    Finding {
        name: "on-loopback",
        aliases: &[],
        help: "Connections through the forward are refused: bind the service to the address of the target, or to 0.0.0.0 or ::.",
        topic: "port-forwarding",
        severity: Level::Critical,
        check: Check::Forward(forward::on_loopback),
    },
    Finding {
        name: "no-listener",
        aliases: &["dead"],
        help: "Connections are refused or time out: start a listener on the target, or remove the rule or the published port.",
        topic: "port-forwarding",
        severity: Level::Critical,
        check: Check::Forward(forward::no_listener),
    },
    Finding {
        name: "process-halted",
        aliases: &[],
        help: "A process is stopped, traced, frozen or blocked while clients wait for it.",
        topic: "limits",
        severity: Level::Critical,
        check: Check::Limit(limit::process_halted),
    },
    Finding {
        name: "connection-leak",
        aliases: &[],
        help: "Connections in CLOSE_WAIT keep growing: the application does not close them.",
        topic: "close_wait",
        severity: Level::Warning,
        check: Check::Limit(limit::connection_leak),
    },
    Finding {
        name: "near-limit",
        aliases: &[],
        help: "A resource is nearly used up, or requests were lost because it was.",
        topic: "limits",
        severity: Level::Warning,
        check: Check::Limit(limit::near_limit),
    },
];

/// Findings of a socket, the most severe first. A closed one has none.
pub fn socket_diagnoses(snap: &Snapshot, row: usize) -> impl Iterator<Item = Diagnosis> + '_ {
    let live = row < snap.live;
    FINDINGS.iter().filter(move |_| live).filter_map(move |finding| match finding.check {
        Check::Socket(evidence) => Some(Diagnosis {
            finding,
            evidence: evidence(snap, row)?,
            severity: finding.severity,
            help: finding.help,
            row,
        }),
        Check::Forward(_) | Check::Limit(_) | Check::Events(_) | Check::Dns(_) => None,
    })
}

/// The finding of a forward.
pub fn forward_diagnosis(snap: &Snapshot, row: usize) -> Option<Diagnosis> {
    FINDINGS.iter().find_map(|finding| match finding.check {
        Check::Forward(evidence) => Some(Diagnosis {
            finding,
            evidence: evidence(snap, row)?,
            severity: finding.severity,
            help: finding.help,
            row,
        }),
        Check::Socket(_) | Check::Limit(_) | Check::Events(_) | Check::Dns(_) => None,
    })
}

/// Findings of the flows that `is_wanted` selects, the most severe first.
pub fn flow_diagnoses(snap: &Snapshot, is_wanted: &dyn Fn(&EventFlow) -> bool) -> Vec<Diagnosis> {
    let mut out = Vec::new();
    for flow in snap.events.window.flows.iter().filter(|f| is_wanted(f)) {
        let found = FINDINGS.iter().filter_map(|f| event_diagnosis(snap, flow, f, |c| c(&flow.counts)));
        out.extend(found);
    }
    out.sort_by_key(|d| std::cmp::Reverse(d.severity));
    out
}

/// Findings of an event.
pub fn event_diagnoses(snap: &Snapshot, row: &EventRow) -> Vec<Diagnosis> {
    let found = event_findings(snap, row);
    let Some(flow) = snap.events.window.flow(row).filter(|_| !found.is_empty()) else { return Vec::new() };
    found.into_iter().filter_map(|f| event_diagnosis(snap, flow, f, |_| 1)).collect()
}

/// Findings of an event, without their evidence.
pub fn event_findings(snap: &Snapshot, row: &EventRow) -> Vec<&'static Finding> {
    let counts = FlowCounts::of_row(row);
    let counted = FINDINGS.iter().filter_map(|f| match f.check {
        Check::Events(rule) if (rule.count)(&counts) > 0 => Some((f, rule.applies)),
        _ => None,
    });
    let mut counted = counted.peekable();
    // Most events count for none: their flow need not be looked up.
    if counted.peek().is_none() {
        return Vec::new();
    }
    let Some(flow) = snap.events.window.flow(row) else { return Vec::new() };
    counted.filter(|(_, applies)| applies(snap, flow)).map(|(f, _)| f).collect()
}

/// A finding of a flow, if it applies and `number` of its connections is not zero.
fn event_diagnosis(
    snap: &Snapshot,
    flow: &EventFlow,
    finding: &'static Finding,
    number: impl Fn(fn(&FlowCounts) -> u64) -> u64,
) -> Option<Diagnosis> {
    let Check::Events(rule) = finding.check else { return None };
    (number(rule.count) > 0 && (rule.applies)(snap, flow)).then(|| Diagnosis {
        finding,
        evidence: (rule.evidence)(snap, flow),
        severity: finding.severity,
        help: finding.help,
        row: 0,
    })
}

/// Findings of the resolver of a question for which the question counts.
pub fn dns_diagnoses(snap: &Snapshot, row: &DnsRow) -> Vec<Diagnosis> {
    let Some(resolver) = snap.dns.resolver(row) else { return Vec::new() };
    let found = FINDINGS.iter().filter_map(|finding| match finding.check {
        Check::Dns(rule) if (rule.counts)(row) && (rule.applies)(resolver) => Some(Diagnosis {
            finding,
            evidence: (rule.evidence)(snap, resolver),
            severity: finding.severity,
            help: finding.help,
            row: 0,
        }),
        _ => None,
    });
    found.collect()
}

/// Findings of one resolver.
pub fn resolver_findings(resolver: &Resolver) -> impl Iterator<Item = (&'static Finding, DnsRule)> {
    FINDINGS.iter().filter_map(|finding| match finding.check {
        Check::Dns(rule) if (rule.applies)(resolver) => Some((finding, rule)),
        _ => None,
    })
}

/// Findings of every resolver asked in the last seconds.
pub fn resolver_diagnoses(snap: &Snapshot) -> Vec<Diagnosis> {
    let diagnosis = |r, (finding, rule): (&'static Finding, DnsRule)| Diagnosis {
        finding,
        evidence: (rule.evidence)(snap, r),
        severity: finding.severity,
        help: finding.help,
        row: 0,
    };
    let resolvers = snap.dns.resolvers.iter();
    resolvers.flat_map(|r| resolver_findings(r).map(move |found| diagnosis(r, found))).collect()
}

/// The finding of a limit; `None` while its level is ok.
pub fn limit_diagnosis(snap: &Snapshot, row: usize) -> Option<Diagnosis> {
    let l = snap.limits.get(row).filter(|l| l.level != Level::Ok)?;
    FINDINGS.iter().find_map(|finding| match finding.check {
        Check::Limit(evidence) => Some(Diagnosis {
            finding,
            evidence: evidence(snap, row)?,
            severity: l.level,
            help: l.kind.info().help,
            row,
        }),
        Check::Socket(_) | Check::Forward(_) | Check::Events(_) | Check::Dns(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::topic;
    use crate::model::{Missing, Proto, State, TimerKind};
    use crate::testing::{process, row, snapshot};

    #[test]
    fn finding_names_are_unique_and_topics_exist() {
        for (i, f) in FINDINGS.iter().enumerate() {
            assert!(FINDINGS[..i].iter().all(|o| o.name != f.name), "{}", f.name);
            assert!(f.help.ends_with('.') && topic(f.topic).is_some(), "{}", f.name);
        }
    }

    #[test]
    fn evidence_names_process_and_duration() {
        let mut r = row(Proto::Tcp, State::Established, "10.0.0.4:443", "203.0.113.5:50000", &[0]);
        (r.socket.recv_q, r.waiting_s) = (500, Some(40));
        let mut leak = row(Proto::Tcp, State::CloseWait, "10.0.0.4:443", "203.0.113.5:50001", &[0]);
        leak.age_s = 540;
        let snap = snapshot(vec![r, leak], vec![process(812, "nginx", 33, 10, 1024)], &[]);
        let evidence = |row| socket_diagnoses(&snap, row).map(|d| d.evidence).collect::<Vec<_>>();
        let unread = "receive queue not shrinking for 40s, 500 bytes unread: nginx 812 (fd 3)";
        assert_eq!(evidence(0), [unread]);
        assert_eq!(evidence(1), ["CLOSE_WAIT for 9m, not closed by nginx 812 (fd 4)"]);
    }

    #[test]
    fn sender_names_the_process_on_the_other_host_that_does_not_read() {
        use crate::model::snapshot::HostLink;
        use std::sync::Arc;
        let mut sender = row(Proto::Tcp, State::Established, "10.0.0.4:5000", "10.0.0.9:80", &[0]);
        sender.socket.send_q = 120_000;
        let mut reader = row(Proto::Tcp, State::Established, "10.0.0.9:80", "10.0.0.4:5000", &[0]);
        (reader.socket.recv_q, reader.waiting_s) = (70_000, Some(40));
        let on = |host: &str, row, comm| {
            let mut snap = snapshot(vec![row], vec![process(812, comm, 33, 10, 1024)], &[]);
            snap.sample.host = host.into();
            Arc::new(snap)
        };
        let (web, db) = (on("web", sender, "api"), on("db", reader, "nginx"));
        assert_eq!(socket_diagnoses(&web, 0).count(), 0, "bytes in a send queue are no finding");
        let hosts: Arc<[_]> = [Arc::downgrade(&web), Arc::downgrade(&db)].into();
        let link = |certain| HostLink { row: 0, host: 1, peer: 0, certain, nat: None };
        web.host_peers.set(vec![link(true)], Arc::clone(&hosts));
        let evidence = || {
            let found = socket_diagnoses(&web, 0).find(|d| d.finding.name == "peer-not-reading");
            found.map(|d| d.evidence).unwrap_or_default()
        };
        let unread = "receive queue not shrinking for 40s, 70,000 bytes unread: nginx 812 (fd 3)";
        assert_eq!(evidence(), format!("120,000 bytes in the send queue; on db: {unread}"));
        web.host_peers.set(vec![link(false)], hosts);
        assert!(evidence().contains("; on db (likely): "), "{}", evidence());
    }

    #[test]
    fn socket_rules_apply_above_their_thresholds_only() {
        let named = |change: &dyn Fn(&mut crate::testing::Row)| -> Vec<&'static str> {
            let mut r = row(Proto::Tcp, State::Established, "10.0.0.4:443", "203.0.113.5:50000", &[0]);
            change(&mut r);
            let snap = snapshot(vec![r], vec![process(812, "nginx", 33, 10, 1024)], &[]);
            socket_diagnoses(&snap, 0).map(|d| d.finding.name).collect()
        };
        assert!(named(&|_| {}).is_empty());
        assert_eq!(named(&|r| r.socket.state = State::CloseWait), ["close-wait-leak"]);
        assert!(named(&|r| (r.socket.state, r.age_s) = (State::CloseWait, 5)).is_empty());
        // One reading is no finding, however much is unread.
        assert!(named(&|r| r.socket.recv_q = 70_000).is_empty());
        assert!(named(&|r| (r.socket.recv_q, r.waiting_s) = (70_000, Some(3))).is_empty());
        // A few bytes unread for long count like many; a short wait does not, nor the byte of an unread FIN.
        let unread = |q: u32, secs: u64| {
            move |r: &mut crate::testing::Row| (r.socket.recv_q, r.waiting_s) = (q, Some(secs))
        };
        assert_eq!(named(&unread(500, 40)), ["not-reading"]);
        assert!(named(&unread(500, 3)).is_empty() && named(&unread(1, 40)).is_empty());
        let stalled_listener = |q: u32, secs: u64| {
            move |r: &mut crate::testing::Row| {
                (r.socket.state, r.socket.recv_q, r.socket.send_q) = (State::Listen, q, 128);
                r.waiting_s = Some(secs);
            }
        };
        // One of the queued connections must have waited as long: the queue of a busy listener is never empty.
        assert!(named(&stalled_listener(3, 40)).is_empty());
        let clients = |secs: u64| {
            let mut l = row(Proto::Tcp, State::Listen, "0.0.0.0:443", "*", &[0]);
            (l.socket.recv_q, l.socket.send_q, l.waiting_s) = (1, 128, Some(40));
            let mut c = row(Proto::Tcp, State::Established, "10.0.0.4:443", "203.0.113.5:50000", &[]);
            c.age_s = secs;
            let mut snap = snapshot(vec![l, c], vec![process(812, "nginx", 33, 10, 1024)], &[]);
            snap.facts[1].owner_missing = Some(Missing::AcceptQueue);
            socket_diagnoses(&snap, 0).map(|d| d.finding.name).collect::<Vec<_>>()
        };
        assert_eq!((clients(40), clients(3)), (vec!["not-accepting"], vec![]));
        assert_eq!(
            named(&stalled_listener(129, 40)),
            ["accept-queue-full"],
            "only the more severe of the two"
        );
        assert!(named(&stalled_listener(3, 3)).is_empty());
        let listen = |q: u32| {
            move |r: &mut crate::testing::Row| {
                (r.socket.state, r.socket.recv_q, r.socket.send_q) = (State::Listen, q, 128);
            }
        };
        // The kernel admits one more than the backlog.
        assert_eq!(named(&listen(129)), ["accept-queue-full"]);
        assert!(named(&listen(128)).is_empty());
        // `listen(fd, 0)` admits one connection.
        let single = |q: u32| {
            move |r: &mut crate::testing::Row| {
                (r.socket.state, r.socket.recv_q, r.socket.send_q) = (State::Listen, q, 0);
            }
        };
        assert_eq!(named(&single(1)), ["accept-queue-full"]);
        assert!(named(&single(0)).is_empty());
        assert_eq!(
            named(&|r| {
                r.socket.timer = crate::model::Timer { kind: TimerKind::On, retrans: 4, expires_ms: 1 };
            }),
            ["no-answer"]
        );
        assert_eq!(
            named(&|r| {
                r.socket.state = State::SynSent;
                r.socket.timer = crate::model::Timer { kind: TimerKind::On, retrans: 2, expires_ms: 1 };
            }),
            ["no-answer-to-connect"]
        );
    }
}
