//! What is wrong with a socket: rules over what the kernel tells, each with its threshold, what it means and where to
//! read on. Also a column and a filter: `finding:*`.

use super::in_state;
use crate::format::{age, thousands};
use crate::model::counter_window::CounterSnapshot;
use crate::model::{Missing, Proto, Snapshot, Socket, State, TimerKind};

/// One rule.
#[derive(Debug)]
pub struct Finding {
    /// Its name: `close-wait-leak`.
    pub name: &'static str,
    /// What it means, and what to do next, in one sentence.
    pub help: &'static str,
    /// The topic that explains it.
    pub topic: &'static str,
    /// What was seen, where it applies to this row.
    pub test: fn(&Snapshot, usize) -> Option<String>,
}

/// A minute in `CLOSE_WAIT` or `FIN_WAIT2` is longer than any program needs.
const STUCK_S: f64 = 60.0;
/// Unread bytes that no reader leaves lying who reads at all.
const UNREAD: u32 = 64 * 1024;
/// Seconds that something waits in a queue which does not become shorter, before nobody reads it.
const WAITS_S: f64 = 10.0;
/// Share of segments sent again above which a path loses noticeably.
const LOSS: f64 = 0.02;
/// Segments below which a share says nothing.
const ENOUGH: u32 = 50;
/// Seconds of watching after which what was long ago counts no more.
const WATCHED_S: f64 = 10.0;
/// Milliseconds with something to send below which a share of them says nothing.
const BUSY_MS: u32 = 1000;
/// Share of the busy time spent waiting for one thing that makes it the cause.
const LIMITED: f64 = 0.5;

/// A time in words, where it may be longer as that.
fn lasting(secs: f64, least: bool) -> String {
    format!("{}{}", if least { "at least " } else { "" }, age(secs))
}

/// Seconds that its receive queue has held something and not become shorter, where that is long.
fn waits(snap: &Snapshot, row: usize) -> Option<String> {
    let since = Some(snap.facts[row].waiting_since_ns).filter(|ns| *ns > 0)?;
    let secs = snap.sample.at.boot_ns.saturating_sub(since) as f64 / 1e9;
    // What it had when it was first seen it may have had for long.
    let least = snap.facts[row].older && since <= snap.facts[row].first_seen_ns;
    (secs >= WAITS_S).then(|| lasting(secs, least))
}

/// Whether a connection that is in this listener's accept queue now was there long ago: under load the queue is always
/// found with something in it, and never with the same.
fn waits_there(snap: &Snapshot, row: usize) -> bool {
    let l = snap.socket(row);
    let long = |r: usize| {
        let seen = snap.sample.at.boot_ns.saturating_sub(snap.facts[r].first_seen_ns);
        seen as f64 / 1e9 >= WAITS_S
    };
    let here = |s: &Socket| {
        s.id.netns == l.id.netns
            && s.proto == Proto::Tcp
            && s.local.port == l.local.port
            && (l.local.addr.is_any() || s.local.addr == l.local.addr)
            && s.state != State::Listen
    };
    (0..snap.live)
        .any(|r| here(snap.socket(r)) && snap.facts[r].owner_missing == Some(Missing::AcceptQueue) && long(r))
}

/// Whether a listener's accept queue is full. The kernel lets one more in than the limit says (`sk_acceptq_is_full`,
/// `unix_recvq_full`), so that of `listen(fd, 0)` is one.
fn full(snap: &Snapshot, s: &Socket) -> bool {
    let told = s.send_q > 0 || snap.sample.backend.backend.tells_backlogs();
    told && s.recv_q > 0 && s.recv_q >= s.send_q
}

fn who(snap: &Snapshot, row: usize) -> String {
    snap.owners(row).first().map_or_else(
        || "its program".to_owned(),
        |o| {
            let fd = o.fd().map_or_else(String::new, |fd| format!(" (descriptor {fd})"));
            format!("{} {}{fd}", snap.process(o).info.name(), snap.process(o).info.pid)
        },
    )
}

/// What was counted lately, and in words when: over the last half to whole minute where that is enough to go by, else, while
/// it was not watched for long (as by a single reading), since the connection began.
fn counted(
    snap: &Snapshot,
    row: usize,
    enough: fn(&CounterSnapshot) -> bool,
) -> Option<(CounterSnapshot, String)> {
    let lately = snap.recent_delta(row);
    let secs = lately.map_or(0.0, |m| m.at_ns as f64 / 1e9);
    match lately {
        Some(m) if enough(&m) => Some((m, format!("in the last {}", age(secs)))),
        _ if secs < WATCHED_S => {
            let ever =
                CounterSnapshot::new(snap.sample.at.boot_ns, &snap.attrs(row).tcp_info()?).filter(enough)?;
            Some((ever, "since it began".to_owned()))
        }
        _ => None,
    }
}

fn limited(snap: &Snapshot, row: usize, what: &str, by: fn(&CounterSnapshot) -> u32) -> Option<String> {
    let (m, when) = counted(snap, row, |m| m.busy_ms > BUSY_MS)?;
    let share = f64::from(by(&m)) / f64::from(m.busy_ms);
    (share >= LIMITED).then(|| format!("{:.0} % of its busy time {when} it waited for {what}", share * 100.0))
}

/// Every rule, the worst first.
pub const FINDINGS: &[Finding] = &[
    Finding {
        name: "accept-queue-full",
        help: "New clients are turned away or wait: the program does not accept fast enough, or its backlog is too small.",
        topic: "backlog",
        test: |snap, row| {
            let s = snap.socket(row);
            (s.state == State::Listen && full(snap, s)).then(|| {
                let (n, limit) = (thousands(u64::from(s.recv_q)), thousands(u64::from(s.send_q)));
                match s.recv_q {
                    1 => format!("1 connection waits to be accepted, and the limit is {limit}"),
                    _ => format!("{n} connections wait to be accepted, and the limit is {limit}"),
                }
            })
        },
    },
    Finding {
        name: "close-wait-leak",
        help: "The far end has closed and the program has not: look at how it treats connections that end.",
        topic: "close_wait",
        test: |snap, row| {
            let (secs, least) = in_state(snap, row);
            (snap.socket(row).state == State::CloseWait && secs >= STUCK_S).then(|| {
                format!("CLOSE_WAIT for {}: never closed by {}", lasting(secs, least), who(snap, row))
            })
        },
    },
    Finding {
        name: "not-reading",
        help: "The program leaves what it was sent unread: it is busy, stuck, or has forgotten the connection.",
        topic: "recv_q",
        test: |snap, row| {
            let s = snap.socket(row);
            // Nobody can read yet what waits in an accept queue, and the kernel's own sockets are not read at all.
            let owned = !snap.owners(row).is_empty()
                || !matches!(
                    snap.facts[row].owner_missing,
                    Some(Missing::AcceptQueue | Missing::Orphan | Missing::NoVisibleProcess)
                );
            // A FIN counts as one byte that is never read.
            let open = matches!(s.state, State::Established | State::Unconn) && s.recv_q > 1;
            let bytes = thousands(u64::from(s.recv_q));
            if s.state == State::Listen || s.proto == Proto::Netlink || !owned {
                return None;
            }
            match waits(snap, row).filter(|_| open) {
                // Bytes are counted: they are the same ones.
                Some(time) if snap.attrs(row).transfer().is_some() => {
                    Some(format!("nothing read for {time}, {bytes} bytes wait: {}", who(snap, row)))
                }
                Some(time) => Some(format!(
                    "the receive queue has not become shorter for {time}, {bytes} bytes wait: {}",
                    who(snap, row)
                )),
                None => (s.recv_q >= UNREAD)
                    .then(|| format!("{bytes} bytes wait to be read by {}", who(snap, row))),
            }
        },
    },
    Finding {
        name: "not-accepting",
        help: "Clients are connected and nobody takes them: the program is busy or blocked, or out of descriptors.",
        topic: "backlog",
        test: |snap, row| {
            let s = snap.socket(row);
            if s.state != State::Listen || full(snap, s) {
                return None;
            }
            let time = waits(snap, row).filter(|_| s.proto != Proto::Tcp || waits_there(snap, row))?;
            let n = match s.recv_q {
                1 => "1 client has".to_owned(),
                n => format!("{} clients have", thousands(u64::from(n))),
            };
            Some(format!("{n} waited {time} to be accepted by {}", who(snap, row)))
        },
    },
    Finding {
        name: "far-end-not-reading",
        help: "The far end has closed its window: its program does not read, and nothing more can be sent.",
        topic: "window",
        test: |snap, row| {
            let s = snap.socket(row);
            (s.timer.kind == TimerKind::Persist && s.send_q > 0)
                .then(|| format!("{} bytes wait for the far end to read", thousands(u64::from(s.send_q))))
        },
    },
    Finding {
        name: "no-answer",
        help: "What was sent is not acknowledged: the far end or the path is gone, or a firewall drops it.",
        topic: "retransmission",
        test: |snap, row| {
            let s = snap.socket(row);
            // Of SCTP all that ever went out again is counted.
            let sending = s.state != State::SynSent
                && s.proto != Proto::Sctp
                && s.timer.kind == TimerKind::On
                && s.timer.retrans >= 3;
            sending.then(|| format!("sent again {} times without an answer", s.timer.retrans))
        },
    },
    Finding {
        name: "no-answer-to-connect",
        help: "Nobody answers the connection request: a wrong address, a firewall, or a full accept queue there.",
        topic: "syn_sent",
        test: |snap, row| {
            let s = snap.socket(row);
            (s.state == State::SynSent && s.timer.retrans >= 1).then(|| {
                format!("asked {} times to connect without an answer", u32::from(s.timer.retrans) + 1)
            })
        },
    },
    Finding {
        name: "loss",
        help: "Segments are lost on the path: look at the link, its queues and its duplex, or at congestion.",
        topic: "retransmission",
        test: |snap, row| {
            let (m, when) = counted(snap, row, |m| m.sent >= ENOUGH)?;
            let share = f64::from(m.retransmitted) / f64::from(m.sent);
            let now = snap.rates(row).retrans.filter(|n| *n > 0.0);
            let now = now.map_or_else(String::new, |n| format!(", {n:.1} a second now"));
            (share >= LOSS)
                .then(|| format!("{:.1} % of its segments {when} were sent again{now}", share * 100.0))
        },
    },
    Finding {
        name: "receiver-limited",
        help: "The far end's window holds it back: its program reads slowly, or its receive buffer is small.",
        topic: "window",
        test: |snap, row| limited(snap, row, "the far end's window", |m| m.rwnd_ms),
    },
    Finding {
        name: "send-buffer-limited",
        help: "Its own send buffer holds it back: SO_SNDBUF or tcp_wmem is small for this path.",
        topic: "send_q",
        test: |snap, row| limited(snap, row, "room in its send buffer", |m| m.sndbuf_ms),
    },
    Finding {
        name: "half-closed",
        help: "This end has closed its half and the far end has not: it keeps the connection and its descriptor open.",
        topic: "fin_wait2",
        test: |snap, row| {
            let (secs, least) = in_state(snap, row);
            let held = !snap.owners(row).is_empty();
            (snap.socket(row).state == State::FinWait2 && held && secs >= STUCK_S)
                .then(|| format!("half closed for {}: {} keeps it", lasting(secs, least), who(snap, row)))
        },
    },
    Finding {
        name: "drops",
        help: "Datagrams came and found no room: the program reads too slowly, or SO_RCVBUF is too small.",
        topic: "drops",
        test: |snap, row| {
            let n = snap.attrs(row).drops().filter(|n| *n > 0)?;
            let datagrams =
                matches!(snap.socket(row).proto, Proto::Udp | Proto::UdpLite | Proto::Raw | Proto::Packet);
            datagrams.then(|| format!("{} dropped so far", thousands(u64::from(n))))
        },
    },
];

/// The rules that apply to a row of the table of sockets, the worst first, with what was seen.
pub fn findings(snap: &Snapshot, row: usize) -> impl Iterator<Item = (&'static Finding, String)> + '_ {
    let live = row < snap.live;
    FINDINGS.iter().filter(move |_| live).filter_map(move |f| Some((f, (f.test)(snap, row)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::topic;
    use crate::testing::{process, row, snapshot};

    #[test]
    fn every_rule_is_named_and_explained_once() {
        for (i, f) in FINDINGS.iter().enumerate() {
            assert!(FINDINGS[..i].iter().all(|o| o.name != f.name), "{}", f.name);
            assert!(f.help.ends_with('.') && topic(f.topic).is_some(), "{}", f.name);
        }
    }

    #[test]
    fn what_was_seen_is_said_with_who_and_how_long() {
        let mut r = row(Proto::Tcp, State::Established, "10.0.0.4:443", "203.0.113.5:50000", &[0]);
        (r.socket.recv_q, r.waiting_s) = (500, Some(40));
        let mut leak = row(Proto::Tcp, State::CloseWait, "10.0.0.4:443", "203.0.113.5:50001", &[0]);
        leak.age_s = 540;
        let snap = snapshot(vec![r, leak], vec![process(812, "nginx", 33, 10, 1024)], &[]);
        let said = |row| findings(&snap, row).map(|(_, seen)| seen).collect::<Vec<_>>();
        let unread =
            "the receive queue has not become shorter for 40s, 500 bytes wait: nginx 812 (descriptor 3)";
        assert_eq!(said(0), [unread]);
        assert_eq!(said(1), ["CLOSE_WAIT for 9m: never closed by nginx 812 (descriptor 4)"]);
    }

    #[test]
    fn rules_apply_where_they_should_and_nowhere_else() {
        let named = |change: &dyn Fn(&mut crate::testing::Row)| -> Vec<&'static str> {
            let mut r = row(Proto::Tcp, State::Established, "10.0.0.4:443", "203.0.113.5:50000", &[0]);
            change(&mut r);
            let snap = snapshot(vec![r], vec![process(812, "nginx", 33, 10, 1024)], &[]);
            findings(&snap, 0).map(|(f, _)| f.name).collect()
        };
        assert!(named(&|_| {}).is_empty());
        assert_eq!(named(&|r| r.socket.state = State::CloseWait), ["close-wait-leak"]);
        assert!(named(&|r| (r.socket.state, r.age_s) = (State::CloseWait, 5)).is_empty());
        assert_eq!(named(&|r| r.socket.recv_q = 70_000), ["not-reading"]);
        // A little that waits for long is as telling as much; a moment is not, nor the FIN that nobody reads.
        let unread = |q: u32, secs: u64| {
            move |r: &mut crate::testing::Row| (r.socket.recv_q, r.waiting_s) = (q, Some(secs))
        };
        assert_eq!(named(&unread(500, 40)), ["not-reading"]);
        assert!(named(&unread(500, 3)).is_empty() && named(&unread(1, 40)).is_empty());
        let deaf = |q: u32, secs: u64| {
            move |r: &mut crate::testing::Row| {
                (r.socket.state, r.socket.recv_q, r.socket.send_q) = (State::Listen, q, 128);
                r.waiting_s = Some(secs);
            }
        };
        // Only where one of them has waited as long: a busy listener's queue is never the same.
        assert!(named(&deaf(3, 40)).is_empty());
        let clients = |secs: u64| {
            let mut l = row(Proto::Tcp, State::Listen, "0.0.0.0:443", "*", &[0]);
            (l.socket.recv_q, l.socket.send_q, l.waiting_s) = (1, 128, Some(40));
            let mut c = row(Proto::Tcp, State::Established, "10.0.0.4:443", "203.0.113.5:50000", &[]);
            c.age_s = secs;
            let mut snap = snapshot(vec![l, c], vec![process(812, "nginx", 33, 10, 1024)], &[]);
            snap.facts[1].owner_missing = Some(Missing::AcceptQueue);
            findings(&snap, 0).map(|(f, _)| f.name).collect::<Vec<_>>()
        };
        assert_eq!((clients(40), clients(3)), (vec!["not-accepting"], vec![]));
        assert_eq!(named(&deaf(128, 40)), ["accept-queue-full"], "said once");
        assert!(named(&deaf(3, 3)).is_empty());
        let listen = |q: u32| {
            move |r: &mut crate::testing::Row| {
                (r.socket.state, r.socket.recv_q, r.socket.send_q) = (State::Listen, q, 128);
            }
        };
        assert_eq!(named(&listen(128)), ["accept-queue-full"]);
        assert!(named(&listen(100)).is_empty());
        // `listen(fd, 0)` has one place.
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
