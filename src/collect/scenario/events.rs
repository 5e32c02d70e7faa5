//! Events of a scenario: short connections and failed connects in every poll.

use super::copies::nth_endpoint;
use super::event_spec::EventSpec;
use super::spec::Scenario;
use crate::model::sample::{ClosedBy, Event, EventKind, EventProcess, EventSource, Events};
use crate::model::{Family, Sample, SocketId, State};
use std::sync::Arc;

/// Cookies of events begin here, above those of sockets.
const COOKIE: u64 = 1 << 52;

/// Events of poll `total`, since the poll before.
pub(super) fn events(scenario: &Scenario, total: u32, sample: &Sample) -> Events {
    let mut list = Vec::new();
    for (i, spec) in scenario.events.iter().enumerate() {
        let process = scenario.processes.iter().find(|p| p.pid == spec.pid).map(|p| {
            Arc::new(EventProcess {
                pid: p.pid,
                start_ns: 0,
                comm: p.comm.as_str().into(),
                uid: p.uid,
                cgroup_id: 0,
            })
        });
        let n = spec.number.at(total, i as u64).max(0.0).round() as u32;
        let interval = scenario.interval_ms * 1_000_000;
        for k in 0..n {
            let before = interval - interval * u64::from(k + 1) / u64::from(n + 1);
            let number = total.wrapping_mul(n) + k;
            let base = Event {
                at_ns: sample.at.boot_ns.saturating_sub(before),
                id: SocketId { netns: 0, cookie: COOKIE + ((i as u64) << 36) + u64::from(number) },
                process: process.clone(),
                uid: process.as_ref().map(|p| p.uid),
                ..blank(spec, number)
            };
            push(&mut list, spec, &base);
        }
    }
    list.sort_by_key(|e| e.at_ns);
    let polls = u64::from(total) + 1;
    let since_ns = sample.at.boot_ns.saturating_sub(polls * scenario.interval_ms * 1_000_000);
    Events { source: Some(EventSource::Script), since_ns, list, ..Events::default() }
}

/// An event of the spec without time and process.
fn blank(spec: &EventSpec, number: u32) -> Event {
    let (mut local, mut remote) = (spec.local, spec.remote);
    if spec.inbound {
        remote = nth_endpoint(spec.remote, number, spec.hosts.max(1));
    } else {
        local.port = nth_endpoint(spec.local, number, 1).port;
    }
    Event {
        at_ns: 0,
        kind: EventKind::Closed,
        id: SocketId { netns: 0, cookie: 0 },
        family: if spec.local.addr.is_v4() { Family::Inet } else { Family::Inet6 },
        proto: spec.proto,
        local,
        remote: Some(remote),
        iface: 0,
        process: None,
        uid: None,
        inbound: Some(spec.inbound),
        start_ns: 0,
        opened_ns: 0,
        tx: Some(0),
        rx: Some(0),
        retrans: Some(0),
        rtt_us: None,
        closed_by: None,
        errno: 0,
        from: None,
        state_us: None,
    }
}

/// Appends a failed connect, or the beginning and the end of a connection.
fn push(list: &mut Vec<Event>, spec: &EventSpec, base: &Event) {
    let begin = base.at_ns.saturating_sub(spec.took_us * 1000);
    let mut end = Event {
        start_ns: begin,
        closed_by: Some(spec.end),
        errno: match spec.end {
            ClosedBy::Refused => 111,
            ClosedBy::Timeout => 110,
            ClosedBy::Reset => 104,
            _ => 0,
        },
        ..base.clone()
    };
    let fails =
        matches!(spec.end, ClosedBy::Refused | ClosedBy::Timeout | ClosedBy::Abandoned | ClosedBy::Unsent);
    if fails {
        (end.kind, end.from) = (EventKind::Failed, Some(State::SynSent));
        list.push(end);
        return;
    }
    let opened = begin + u64::from(spec.rtt_us) * 1000;
    let kind = if spec.inbound { EventKind::Accepted } else { EventKind::Opened };
    list.push(Event { at_ns: opened, kind, start_ns: begin, opened_ns: opened, ..base.clone() });
    let mut us = [0; 13];
    us[1] = u32::try_from(spec.took_us).unwrap_or(u32::MAX);
    end.from = Some(match spec.end {
        _ if spec.aborts => State::Established,
        ClosedBy::Here => State::FinWait2,
        _ => State::LastAck,
    });
    (end.opened_ns, end.rtt_us, end.state_us) = (opened, Some(spec.rtt_us), Some(Arc::new(us)));
    (end.rx, end.tx) = (Some(spec.bytes.0), Some(spec.bytes.1));
    list.push(end);
}
