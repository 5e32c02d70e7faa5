//! Records of the BPF program `assets/bpf/events.bpf.c`, and the events they stand for.

use crate::model::sample::{ClosedBy, Event, EventCount, EventKind, EventProcess};
use crate::model::{Addr, Endpoint, Family, Proto, SocketId, State, text};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Number of TCP states, from 0.
pub(super) const STATES: usize = 13;
/// Flag of a record: a connection to a listener of this host.
pub(super) const INBOUND: u8 = 1;
/// Flag of a record: an incoming connection that no process has used.
pub(super) const NOT_ACCEPTED: u8 = 2;
/// Flag of a record: at least one segment was sent.
pub(super) const SENT: u8 = 4;

/// Process of a record: `struct process` of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ProcessRecord {
    pub(super) start_ns: u64,
    pub(super) cgroup: u64,
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) comm: [u8; 16],
}

/// One event: `struct record` of the program.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Record {
    pub(super) at_ns: u64,
    pub(super) start_ns: u64,
    pub(super) opened_ns: u64,
    pub(super) cookie: u64,
    pub(super) tx: u64,
    pub(super) rx: u64,
    pub(super) process: ProcessRecord,
    pub(super) local: [u8; 16],
    pub(super) remote: [u8; 16],
    pub(super) netns: u32,
    pub(super) iface: u32,
    pub(super) owner_uid: u32,
    pub(super) retrans: u32,
    pub(super) rtt_us: u32,
    pub(super) error: u32,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) family: u8,
    pub(super) protocol: u8,
    pub(super) kind: u8,
    pub(super) old_state: u8,
    /// 1: this end closed first, 2: the peer did.
    pub(super) side: u8,
    pub(super) flags: u8,
    pad: [u8; 2],
    pub(super) state_us: [u32; STATES],
}

/// `struct count_key` of the program.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct CountKey {
    pub(super) netns: u32,
    pub(super) pid: u32,
    pub(super) error: u32,
    pub(super) port: u16,
    pub(super) kind: u8,
    /// [`INBOUND`], and [`NOT_ACCEPTED`] at the end of an established connection that no process used.
    pub(super) flags: u8,
    pub(super) remote: [u8; 16],
}

/// `struct count` of the program.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Count {
    pub(super) events: u64,
    pub(super) tx: u64,
    pub(super) rx: u64,
    pub(super) comm: [u8; 16],
}

/// Processes remembered, so that the events of one share it.
const PROCESSES_MAX: usize = 4096;

/// Events of records.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    processes: FxHashMap<ProcessRecord, Arc<EventProcess>>,
}

impl Decoder {
    /// Appends the event of a record, and before the end of a connection that no process used its accept.
    pub(super) fn push(&mut self, r: &Record, netns: u16, out: &mut Vec<Event>) {
        let Some((kind, _)) = EventKind::ALL.get(usize::from(r.kind)) else { return };
        let family = if r.family == 2 { Family::Inet } else { Family::Inet6 };
        let proto = if r.protocol == 17 { Proto::Udp } else { Proto::Tcp };
        let known = r.start_ns != 0 || r.opened_ns != 0;
        let from = (proto == Proto::Tcp && r.old_state != 0).then(|| State::from_kernel_tcp(r.old_state));
        let remote = Endpoint::new(address(&r.remote, family), r.remote_port);
        let mut event = Event {
            at_ns: r.at_ns,
            kind: *kind,
            id: SocketId { netns, cookie: r.cookie },
            family,
            proto,
            local: Endpoint::new(address(&r.local, family), r.local_port),
            remote: (from != Some(State::Listen) && *kind != EventKind::Listening).then_some(remote),
            iface: r.iface,
            process: self.process(&r.process),
            uid: Some(r.owner_uid),
            inbound: known.then_some(r.flags & INBOUND != 0),
            start_ns: r.start_ns,
            opened_ns: r.opened_ns,
            tx: (proto == Proto::Tcp).then_some(r.tx),
            rx: (proto == Proto::Tcp).then_some(r.rx),
            retrans: (proto == Proto::Tcp).then_some(r.retrans),
            rtt_us: (r.rtt_us != 0).then_some(r.rtt_us),
            closed_by: closed_by(r, *kind),
            errno: u16::try_from(r.error).unwrap_or(u16::MAX),
            from,
            state_us: (*kind == EventKind::Closed && r.state_us != [0; STATES]).then(|| Arc::new(r.state_us)),
        };
        if *kind == EventKind::Closed && r.flags & NOT_ACCEPTED != 0 && r.opened_ns != 0 {
            let closed = Event { kind: EventKind::Closed, ..event.clone() };
            event.kind = EventKind::Accepted;
            (event.closed_by, event.errno, event.state_us, event.from) = (None, 0, None, None);
            (event.tx, event.rx) = (Some(0), Some(0));
            out.push(event);
            out.push(closed);
        } else {
            out.push(event);
        }
    }

    fn process(&mut self, p: &ProcessRecord) -> Option<Arc<EventProcess>> {
        if p.start_ns == 0 {
            return None;
        }
        if self.processes.len() > PROCESSES_MAX {
            self.processes.clear();
        }
        let known = self.processes.entry(*p).or_insert_with(|| {
            Arc::new(EventProcess {
                pid: p.pid,
                start_ns: p.start_ns,
                comm: comm(&p.comm),
                uid: p.uid,
                cgroup_id: p.cgroup,
            })
        });
        Some(Arc::clone(known))
    }
}

/// Appends the counted events of an entry, and before the ends of connections that no process used their accepts.
pub(super) fn push_counts(key: &CountKey, count: &Count, netns: u16, out: &mut Vec<EventCount>) {
    let Some((kind, _)) = EventKind::ALL.get(usize::from(key.kind)) else { return };
    let mapped = key.remote[4..] == [0; 12];
    let family = if mapped { Family::Inet } else { Family::Inet6 };
    let counted = EventCount {
        netns,
        kind: *kind,
        remote: Endpoint::new(address(&key.remote, family), key.port),
        inbound: key.flags & INBOUND != 0,
        pid: key.pid,
        comm: comm(&count.comm),
        errno: u16::try_from(key.error).unwrap_or(u16::MAX),
        events: count.events,
        tx: count.tx,
        rx: count.rx,
    };
    if *kind == EventKind::Closed && key.flags & NOT_ACCEPTED != 0 {
        out.push(EventCount { kind: EventKind::Accepted, errno: 0, tx: 0, rx: 0, ..counted.clone() });
    }
    out.push(counted);
}

fn address(bytes: &[u8; 16], family: Family) -> Addr {
    match family {
        Family::Inet => Addr::v4([bytes[0], bytes[1], bytes[2], bytes[3]]),
        _ => Addr::v6(*bytes),
    }
}

fn comm(bytes: &[u8; 16]) -> Box<str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    text::from_bytes(&bytes[..end]).into()
}

/// Cause of an end, by the error of the socket, the end that closed first, and the state it left.
fn closed_by(r: &Record, kind: EventKind) -> Option<ClosedBy> {
    const EPIPE: u32 = 32;
    const ECONNRESET: u32 = 104;
    const ETIMEDOUT: u32 = 110;
    const ECONNREFUSED: u32 = 111;
    if !matches!(kind, EventKind::Closed | EventKind::Failed) {
        return None;
    }
    let from = State::from_kernel_tcp(r.old_state);
    match (r.error, kind) {
        (ECONNRESET | EPIPE, _) => Some(ClosedBy::Reset),
        (ETIMEDOUT, _) => Some(ClosedBy::Timeout),
        (ECONNREFUSED, _) => Some(ClosedBy::Refused),
        (0, EventKind::Failed) if r.flags & SENT == 0 => Some(ClosedBy::Unsent),
        (0, EventKind::Failed) => Some(ClosedBy::Abandoned),
        (0, _) => match (r.side, from) {
            (1, _) | (_, State::FinWait1 | State::FinWait2 | State::Closing | State::Listen) => {
                Some(ClosedBy::Here)
            }
            (2, _) | (_, State::CloseWait | State::LastAck) => Some(ClosedBy::Peer),
            _ => None,
        },
        _ => Some(ClosedBy::Error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_size_of_the_bpf_source() {
        assert_eq!((size_of::<Record>(), size_of::<CountKey>(), size_of::<Count>()), (208, 32, 40));
    }

    fn record() -> Record {
        Record::read_from_bytes(&[0; size_of::<Record>()]).unwrap()
    }

    #[test]
    fn cause_of_the_end_is_the_error_then_the_first_fin_then_the_state() {
        use ClosedBy::{Abandoned, Error, Here, Peer, Refused, Reset, Timeout, Unsent};
        // Kind, error, side, state before, flags.
        for (kind, error, side, old_state, flags, want) in [
            (2, 104, 2, 8, SENT, Some(Reset)),
            (2, 32, 2, 8, SENT, Some(Reset)),
            (2, 110, 0, 1, SENT, Some(Timeout)),
            (2, 113, 0, 1, SENT, Some(Error)),
            (2, 103, 0, 1, SENT, Some(Error)),
            (2, 0, 1, 5, SENT, Some(Here)),
            (2, 0, 2, 9, SENT, Some(Peer)),
            // Closing began before the events were watched.
            (2, 0, 0, 4, SENT, Some(Here)),
            (2, 0, 0, 9, SENT, Some(Peer)),
            (2, 0, 0, 10, 0, Some(Here)),
            (2, 0, 0, 3, SENT, None),
            (3, 111, 0, 2, SENT, Some(Refused)),
            (3, 110, 0, 2, SENT, Some(Timeout)),
            (3, 0, 0, 2, SENT, Some(Abandoned)),
            (3, 0, 0, 2, 0, Some(Unsent)),
            (0, 0, 1, 2, SENT, None),
        ] {
            let r = Record { error, kind, old_state, side, flags, ..record() };
            assert_eq!(closed_by(&r, EventKind::ALL[usize::from(kind)].0), want, "{r:?}");
        }
    }

    #[test]
    fn connection_that_no_process_used_is_accepted_when_it_closes() {
        let mut out = Vec::new();
        let flags = INBOUND | NOT_ACCEPTED | SENT;
        let r = Record {
            at_ns: 9,
            start_ns: 1,
            opened_ns: 2,
            kind: 2,
            old_state: 1,
            flags,
            error: 104,
            rx: 5,
            ..record()
        };
        Decoder::default().push(&r, 3, &mut out);
        let kinds: Vec<_> = out.iter().map(|e| (e.kind, e.closed_by, e.rx, e.id.netns)).collect();
        let reset = Some(ClosedBy::Reset);
        assert_eq!(kinds, [(EventKind::Accepted, None, Some(0), 3), (EventKind::Closed, reset, Some(5), 3)]);
        assert!(out.iter().all(|e| e.inbound == Some(true) && e.process.is_none()));
    }

    #[test]
    fn counted_ends_of_connections_that_no_process_used_are_accepts_too() {
        let flags = INBOUND | NOT_ACCEPTED;
        let key = CountKey { netns: 1, pid: 0, error: 104, port: 80, kind: 2, flags, remote: [10; 16] };
        let count = Count { events: 7, tx: 1, rx: 2, comm: [0; 16] };
        let mut out = Vec::new();
        push_counts(&key, &count, 3, &mut out);
        push_counts(&CountKey { flags: INBOUND, ..key }, &count, 3, &mut out);
        let all: Vec<_> = out.iter().map(|c| (c.kind, c.events, c.errno, c.rx, c.inbound, c.netns)).collect();
        let closed = (EventKind::Closed, 7, 104, 2, true, 3);
        assert_eq!(all, [(EventKind::Accepted, 7, 0, 0, true, 3), closed, closed]);
    }

    #[test]
    fn kinds_are_numbered_as_in_the_bpf_source() {
        let source = include_str!("../../../assets/bpf/events.bpf.c");
        let line = source.lines().find_map(|l| l.strip_prefix("enum kind { ")?.strip_suffix(" };")).unwrap();
        let here: Vec<String> = EventKind::ALL.iter().map(|(k, _)| format!("{k:?}").to_uppercase()).collect();
        assert_eq!(line, here.join(", "));
    }
}
