//! Steps of the listener: whether a socket serves the endpoint, and whether it does so now.

use super::process::{idle, name};
use super::{Status, Step, path};
use crate::diagnose::cause::{
    BACKLOG_FULL, DNAT_DEAD, LOOPBACK_ONLY, NOT_ACCEPTED, NOTHING_LISTENS, OTHER_ADDRESS, OTHER_DEVICE,
    OTHER_FAMILY, OTHER_NAMESPACE, OTHER_PROTOCOL, UDP_FULL,
};
use crate::format::thousands;
use crate::model::path::Hop;
use crate::model::{Addr, Endpoint, Process, Proto, Scope, Snapshot, Socket};

/// Most endpoints that are named.
const MAX_NAMED: usize = 4;

/// Memory of the smallest packet in a receive buffer (`skb->truesize`).
const LEAST_PACKET: u32 = 768;

/// Place where a packet is delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Number of the namespace.
    pub(super) netns: u16,
    /// Interface by which it arrives.
    pub(super) iface: Option<u32>,
    /// Sent by the same namespace.
    pub(super) is_local: bool,
    /// By a rule that translated the destination.
    pub(super) translated: bool,
}

/// Relation of a socket to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It gets the packet; the higher, the more specific.
    Serves(u8),
    Device,
    Family,
    Address,
}

fn fit(snap: &Snapshot, row: usize, dest: &Addr, place: &Place) -> Fit {
    let s = snap.socket(row);
    let local = &s.local.addr;
    let by_family = if local.is_any() && !local.is_v4() {
        !dest.is_v4() || snap.attrs(row).v6only() != Some(true)
    } else {
        local.is_v4() == dest.is_v4()
    };
    if !by_family {
        return Fit::Family;
    }
    if !local.is_any() && local != dest {
        return Fit::Address;
    }
    if s.iface != 0 && place.iface.is_some_and(|i| i != s.iface) {
        return Fit::Device;
    }
    // A packet of this host to itself arrives by the loopback interface.
    if s.iface != 0 && place.is_local && snap.iface(s.id.netns, s.iface).is_some_and(|n| n != "lo") {
        return Fit::Device;
    }
    Fit::Serves(u8::from(!local.is_any()) * 2 + u8::from(local.is_v4()) + u8::from(s.iface != 0) * 4)
}

/// Rows of the sockets that serve a port, of any namespace and protocol.
fn rows_on(snap: &Snapshot, port: u16) -> Vec<usize> {
    (0..snap.live).filter(|r| snap.socket(*r).serves() && snap.socket(*r).local.port == port).collect()
}

/// Name of the process that holds a socket.
fn owner_name(snap: &Snapshot, row: usize) -> String {
    let all = snap.owners(row);
    let Some(o) = all.first() else { return "a process that is not visible".to_owned() };
    snap.process(o).info.name().into_owned()
}

fn end(snap: &Snapshot, s: &Socket) -> String {
    let device = if s.iface == 0 {
        String::new()
    } else {
        format!(" on {}", snap.iface_or_index(s.id.netns, s.iface))
    };
    format!("{}{device}", snap.end_text(s, &s.local))
}

/// `postgres listens on 127.0.0.1:5432`, for several sockets.
fn listing(snap: &Snapshot, rows: &[usize]) -> String {
    let mut names: Vec<String> = rows
        .iter()
        .map(|r| format!("{} listens on {}", owner_name(snap, *r), end(snap, snap.socket(*r))))
        .collect();
    names.dedup();
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let mut out = names.join(", ");
    if more > 0 {
        out.push_str(&format!(" and {more} more"));
    }
    out
}

/// `; nginx listens on 127.0.0.1:80`: the sockets of a namespace that serve a port. Empty without one.
pub(super) fn others(snap: &Snapshot, netns: u16, port: u16) -> String {
    let mut rows = rows_on(snap, port);
    rows.retain(|r| snap.socket(*r).id.netns == netns);
    if rows.is_empty() { String::new() } else { format!("; {}", listing(snap, &rows)) }
}

/// Steps for an endpoint of a namespace.
pub(super) fn steps(snap: &Snapshot, proto: Proto, dest: Endpoint, place: &Place) -> Vec<Step> {
    let all = rows_on(snap, dest.port);
    let is_here = |r: &usize| snap.socket(*r).id.netns == place.netns;
    let here: Vec<usize> = all.iter().copied().filter(is_here).collect();
    let same = |r: &&usize| snap.socket(**r).proto == proto || is_mptcp(snap, **r, proto);
    let candidates: Vec<(usize, Fit)> =
        here.iter().filter(same).map(|r| (*r, fit(snap, *r, &dest.addr, place))).collect();
    let best =
        candidates.iter().filter_map(|(_, f)| if let Fit::Serves(n) = f { Some(*n) } else { None }).max();
    if let Some(best) = best {
        let serving: Vec<usize> =
            candidates.iter().filter(|(_, f)| *f == Fit::Serves(best)).map(|(r, _)| *r).collect();
        return vec![health(snap, &serving, &dest.to_string(), true)];
    }
    vec![missing(snap, proto, dest, place, &candidates, &here, &all)]
}

fn is_mptcp(snap: &Snapshot, row: usize, proto: Proto) -> bool {
    proto == Proto::Tcp && snap.socket(row).proto == Proto::Mptcp
}

/// The step of an endpoint that no socket serves.
fn missing(
    snap: &Snapshot,
    proto: Proto,
    dest: Endpoint,
    place: &Place,
    candidates: &[(usize, Fit)],
    here: &[usize],
    all: &[usize],
) -> Step {
    let nothing = format!("nothing listens on {dest}");
    let nothing = if proto == Proto::Udp { format!("{nothing} (udp)") } else { nothing };
    if place.translated {
        let others = others(snap, place.netns, dest.port);
        return Step::fails(
            "listener",
            &DNAT_DEAD,
            format!("{nothing}, to which the rule translates{others}"),
        );
    }
    let of = |wanted: Fit| -> Vec<usize> {
        candidates.iter().filter(|(_, f)| *f == wanted).map(|(r, _)| *r).collect()
    };
    let by_device = of(Fit::Device);
    if !by_device.is_empty() {
        let text = format!("{nothing} for this interface; {} only", listing(snap, &by_device));
        return Step::fails("listener", &OTHER_DEVICE, text);
    }
    let by_address = of(Fit::Address);
    if !by_address.is_empty() {
        let loopback = |r: &usize| snap.socket(*r).local.addr.scope() == Scope::Loopback;
        let cause = if by_address.iter().all(loopback) && dest.addr.scope() != Scope::Loopback {
            &LOOPBACK_ONLY
        } else {
            &OTHER_ADDRESS
        };
        return Step::fails("listener", cause, format!("{nothing}; {} only", listing(snap, &by_address)));
    }
    let by_family = of(Fit::Family);
    if !by_family.is_empty() {
        return Step::fails(
            "listener",
            &OTHER_FAMILY,
            format!("{nothing}; {} only", listing(snap, &by_family)),
        );
    }
    let other = |r: &&usize| matches!(snap.socket(**r).proto, Proto::Tcp | Proto::Udp);
    let by_proto: Vec<usize> = here.iter().filter(other).copied().collect();
    if let Some(first) = by_proto.first() {
        let uses = snap.socket(*first).proto.name();
        let text = format!("{nothing} by {}; {} by {uses}", proto.name(), listing(snap, &by_proto));
        return Step::fails("listener", &OTHER_PROTOCOL, text);
    }
    let elsewhere = |r: &&usize| snap.socket(**r).id.netns != place.netns && snap.socket(**r).proto == proto;
    let elsewhere: Vec<usize> = all.iter().filter(elsewhere).copied().collect();
    if let Some(first) = elsewhere.first().filter(|_| place.is_local) {
        let name =
            snap.sample.namespaces.get(usize::from(snap.socket(*first).id.netns)).map_or("?", |n| &n.name);
        let text = format!("{nothing}; {} in namespace {name}", listing(snap, &elsewhere));
        return Step::fails("listener", &OTHER_NAMESPACE, text);
    }
    Step::fails("listener", &NOTHING_LISTENS, nothing)
}

/// Processes that hold these sockets.
fn owners<'a>(snap: &'a Snapshot, rows: &[usize]) -> Vec<&'a Process> {
    let mut out: Vec<&Process> = rows.iter().flat_map(|r| snap.owners(*r)).map(|o| snap.process(o)).collect();
    out.sort_by_key(|p| p.info.pid);
    out.dedup_by_key(|p| p.info.pid);
    out
}

/// The step of the sockets that serve an endpoint. Without `asks`: no client is known to be waiting.
pub(super) fn health(snap: &Snapshot, rows: &[usize], at: &str, asks: bool) -> Step {
    let holders = owners(snap, rows);
    let who = match &holders[..] {
        [] => "a process that is not visible".to_owned(),
        [one] => name(one),
        [first, rest @ ..] => format!("{} and {} more", name(first), rest.len()),
    };
    let full = |r: &&usize| {
        let s = snap.socket(**r);
        s.is_listener() && s.recv_q > s.send_q
    };
    let first = rows.first().map(|r| snap.socket(*r));
    let idle = idle(&holders);
    // One socket of a SO_REUSEPORT group that is full drops its share of the connections.
    if let Some(row) = rows.iter().find(full) {
        let s = snap.socket(*row);
        let (waiting, backlog) = (thousands(s.recv_q.into()), thousands(s.send_q.into()));
        let why = idle.map_or(String::new(), |(_, text, _)| format!("; {text}"));
        let text = format!("{who} on {at}: accept queue full, {waiting} of {backlog}{why}");
        let step = Step::fails("listener", &BACKLOG_FULL, text);
        return if rows.iter().all(|r| full(&r)) { step } else { step.likely() };
    }
    if let Some((cause, text, certain)) = idle {
        let step = Step::fails("server", cause, format!("{who} listens on {at}, and {text}"));
        return if certain { step } else { step.likely() };
    }
    if let Some(step) = rows.iter().find_map(|r| full_buffer(snap, *r, &who, at)) {
        return step;
    }
    let queue = first.filter(|s| s.is_listener());
    if let Some(s) = queue.filter(|s| s.recv_q > 0 && u64::from(s.recv_q) * 2 > u64::from(s.send_q)) {
        let (waiting, backlog) = (thousands(s.recv_q.into()), thousands(s.send_q.into()));
        let text = format!("{who} on {at}: {waiting} of {backlog} connections wait to be accepted");
        return Step::fails("listener", &NOT_ACCEPTED, text).likely();
    }
    let queue = queue.map_or(String::new(), |s| format!(", accept queue {}/{}", s.recv_q, s.send_q));
    let mut step = Step::ok("listener", format!("{who} on {at}{queue}"));
    if holders.is_empty() && asks {
        step.status = Status::NotVisible;
        step.evidence = format!("a socket listens on {at}{queue}, its process is not visible");
    }
    step
}

/// The step of a UDP socket whose receive buffer has no room.
fn full_buffer(snap: &Snapshot, row: usize, who: &str, at: &str) -> Option<Step> {
    let m = snap.attrs(row).skmem().filter(|_| snap.socket(row).proto == Proto::Udp)?;
    let (used, room) = (m.rmem_alloc()?, m.rcvbuf()?);
    let drops = m.drops().filter(|d| *d > 0)?;
    if room == 0 || used.saturating_mul(2) < room {
        return None;
    }
    let text = format!(
        "{who} on {at}: receive buffer {} of {}, {} dropped",
        thousands(used.into()),
        thousands(room.into()),
        thousands(drops.into())
    );
    let step = Step::fails("listener", &UDP_FULL, text);
    Some(if used.saturating_add(LEAST_PACKET) > room { step } else { step.likely() })
}

/// Steps of a port for clients of other hosts: of each hop that stands for an address of the namespace.
pub(super) fn port(snap: &Snapshot, proto: Proto, port: u16, netns: u16, hops: &[Hop]) -> Vec<Step> {
    let mut out = Vec::new();
    let all = rows_on(snap, port);
    let same = |r: &usize| {
        let s = snap.socket(*r);
        s.id.netns == netns && (s.proto == proto || is_mptcp(snap, *r, proto))
    };
    let rows: Vec<usize> = all.iter().copied().filter(same).collect();
    let mut verdicts: Vec<Step> = hops.iter().map(path::port_firewall).collect();
    let stopped = verdicts.iter().filter(|s| s.is_failure()).count();
    if stopped > 0 && stopped < verdicts.len() {
        // Some addresses are open.
        for step in verdicts.iter_mut().filter(|s| s.status == Status::Fails) {
            step.status = Status::Likely;
        }
    }
    out.append(&mut verdicts);
    if rows.is_empty() {
        let any = Endpoint::new(Addr::ANY4, port);
        let place = Place { netns, iface: None, is_local: true, translated: false };
        let here: Vec<usize> = all.iter().copied().filter(|r| snap.socket(*r).id.netns == netns).collect();
        let mut step = missing(snap, proto, any, &place, &[], &here, &all);
        step.evidence = step.evidence.replace(&any.to_string(), &format!("port {port}"));
        out.push(step);
        return out;
    }
    let open: Vec<usize> =
        rows.iter().copied().filter(|r| snap.socket(*r).local.addr.scope() != Scope::Loopback).collect();
    if open.is_empty() {
        let text = format!("{} only", listing(snap, &rows));
        out.push(Step::fails("listener", &LOOPBACK_ONLY, text));
        return out;
    }
    for row in open.iter().take(MAX_NAMED) {
        let s = snap.socket(*row);
        out.push(health(snap, &[*row], &end(snap, s), true));
    }
    out
}
