//! Route of a forwarded connection: client, host endpoint, NAT rule or proxy, target, process.

mod legs;

use super::route::legs::Next;
use crate::format::{age, bytes};
use crate::model::lang::{noop, tr};
use crate::model::{Addr, Endpoint, Flow, Forward, ForwardKind, Snapshot, State};
use crate::msg;

/// Kind of a step of the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The client.
    Client,
    /// The endpoint of this machine that the client connected to.
    Host,
    /// The NAT rule or proxy that forwards.
    Via,
    /// The endpoint that it is forwarded to.
    Target,
    /// The process that serves the target.
    Process,
    /// No process serves the target.
    NoListener,
}

impl StepKind {
    /// Label of the step.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => noop("client"),
            Self::Host => noop("host"),
            Self::Via => noop("via"),
            Self::Target => noop("target"),
            Self::Process | Self::NoListener => noop("process"),
        }
    }
}

/// One step of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Kind.
    pub kind: StepKind,
    /// The endpoint, rule, proxy or process. Not escaped.
    pub what: String,
    /// Its network namespace, location of the rule, or command line. Not escaped.
    pub note: String,
    /// Known for certain; otherwise likely.
    pub certain: bool,
}

impl Step {
    fn new(kind: StepKind, what: impl Into<String>, note: impl Into<String>, certain: bool) -> Self {
        Self { kind, what: what.into(), note: note.into(), certain }
    }

    /// The step in place of a process where nothing listens.
    fn no_listener(certain: bool) -> Self {
        Self::new(StepKind::NoListener, tr("no listener"), tr("nothing listens on the target"), certain)
    }
}

/// The network namespace in words, if there are several.
fn netns_note(snap: &Snapshot, netns: u16) -> String {
    let all = &snap.sample.namespaces;
    match all.get(usize::from(netns)) {
        Some(n) if all.len() > 1 => format!("netns {}", n.name),
        _ => String::new(),
    }
}

/// The owner of a socket row: name, pid, descriptor.
fn owner_text(snap: &Snapshot, row: usize) -> String {
    match snap.owners(row) {
        [] => snap.facts[row].owner_missing.map_or_else(|| tr("unknown"), |m| tr(m.reason())).to_owned(),
        [o, rest @ ..] => {
            let p = &snap.process(o).info;
            let fd = o.fd().map_or_else(String::new, |fd| format!(" fd {fd}"));
            let more = if rest.is_empty() { String::new() } else { format!(" +{}", rest.len()) };
            format!("{} {}{fd}{more}", p.name(), p.pid)
        }
    }
}

/// Owners of the two connections of a proxy: `nginx 812 fd 7 → fd 8` if one process owns both.
fn owner_pair_text(snap: &Snapshot, accepted: usize, connected: usize) -> String {
    let (first, second) = (owner_text(snap, accepted), owner_text(snap, connected));
    match (snap.owners(accepted).first(), snap.owners(connected)) {
        (Some(a), [b, rest @ ..]) if a.process == b.process && a.fd().is_some() => match b.fd() {
            Some(fd) if rest.is_empty() => format!("{first} → fd {fd}"),
            Some(fd) => format!("{first} → fd {fd} +{}", rest.len()),
            None => format!("{first} → {second}"),
        },
        _ => format!("{first} → {second}"),
    }
}

/// The endpoint of the client before NAT or a proxy, if it differs from the remote endpoint, and whether it is certain.
/// Behind several forwards the client of the first.
pub fn original_client(snap: &Snapshot, row: usize) -> Option<(Endpoint, bool)> {
    origin(snap, row).map(|o| (o.client, o.certain))
}

/// The endpoint that the client connected to, if it differs from the local endpoint.
pub fn original_destination(snap: &Snapshot, row: usize) -> Option<Endpoint> {
    origin(snap, row)?.destination
}

/// Origin of a connection before NAT or a proxy.
struct Origin {
    client: Endpoint,
    destination: Option<Endpoint>,
    certain: bool,
}

fn origin(snap: &Snapshot, row: usize) -> Option<Origin> {
    let mut out: Option<Origin> = None;
    let mut row = row;
    for _ in 0..legs::MAX_LEGS {
        let s = snap.socket(row);
        let flows = snap.flows(row);
        if let (Some(last), Some(first)) = (flows.last(), flows.first()) {
            let inside = last.reply.0 == s.local && last.reply.1 == s.remote;
            let changed = inside && (last.is_redirected() || last.is_masqueraded());
            if s.state == State::Forwarded || changed {
                let destination = flows.iter().any(|f| f.is_redirected()).then_some(first.orig.1);
                let destination = destination
                    .filter(|d| *d != s.local)
                    .or_else(|| out.as_ref().and_then(|o| o.destination));
                out = Some(Origin {
                    client: first.orig.0,
                    destination,
                    certain: out.is_none_or(|o| o.certain),
                });
            }
        }
        let Some((accepted, certain)) = snap.accepted_for(row) else { break };
        let other = snap.socket(accepted);
        // The connection of the proxy ends here; the accepted one is already seen from its client.
        if other.remote == s.local {
            break;
        }
        let certain = certain && out.is_none_or(|o| o.certain);
        out = Some(Origin { client: other.remote, destination: Some(other.local), certain });
        row = accepted;
    }
    out
}

/// The route of the connection of a socket; empty if it is not forwarded.
pub fn socket_route(snap: &Snapshot, row: usize) -> Vec<Step> {
    let legs = legs::forward_legs(snap, row);
    let mut out = Vec::new();
    let Some(leg) = legs.first() else { return out };
    let note = leg.client.map_or(String::new(), |r| {
        let owner = if snap.owners(r).is_empty() { String::new() } else { owner_text(snap, r) };
        joined([owner, netns_note(snap, snap.socket(r).id.netns)])
    });
    out.push(Step::new(StepKind::Client, leg.from.to_string(), note, true));
    let mut certain = true;
    for leg in &legs {
        for flow in &leg.flows {
            let note = flow_note(snap, flow);
            out.push(Step::new(StepKind::Host, flow.orig.1.to_string(), note, certain));
            if flow.is_redirected() {
                match legs::forward_of_flow(snap, flow) {
                    Some(f) => {
                        let rules = f.known_via().filter(|s| s.kind.is_rule());
                        out.extend(
                            rules.map(|s| Step::new(StepKind::Via, s.kind.name(), s.detail.clone(), certain)),
                        );
                    }
                    None => out.push(Step::new(
                        StepKind::Via,
                        tr("kernel NAT rule"),
                        tr("seen in conntrack, rule not readable"),
                        certain,
                    )),
                }
            }
        }
        let accepted = leg.server.map(|r| (r, snap.socket(r)));
        match (&leg.next, accepted) {
            (Next::Proxy { by, to, certain: sure }, Some((r, s))) => {
                out.push(Step::new(
                    StepKind::Host,
                    snap.end_text(s, &s.local),
                    netns_note(snap, s.id.netns),
                    certain,
                ));
                certain &= *sure;
                let fds = match to {
                    Some(to) => owner_pair_text(snap, r, *to),
                    None => owner_text(snap, r),
                };
                out.push(Step::new(
                    StepKind::Via,
                    by.map_or_else(|| tr("proxy"), ForwardKind::name),
                    fds,
                    certain,
                ));
            }
            (Next::Unpaired(f), Some((r, s))) => {
                out.push(Step::new(
                    StepKind::Host,
                    snap.end_text(s, &s.local),
                    netns_note(snap, s.id.netns),
                    certain,
                ));
                let by =
                    f.known_via().find(|s| !s.kind.is_rule()).map_or_else(|| tr("proxy"), |s| s.kind.name());
                out.push(Step::new(StepKind::Via, by, owner_text(snap, r), certain));
                let begin = out.len();
                push_target(snap, f, &mut out);
                out.iter_mut().skip(begin).for_each(|s| s.certain = false);
            }
            _ => {
                let note = match leg.server.map(|r| snap.socket(r).id.netns).or(leg.netns) {
                    Some(n) => netns_note(snap, n),
                    None => tr("remote, or not visible from here").to_owned(),
                };
                out.push(Step::new(StepKind::Target, leg.to.to_string(), note, certain));
                let serving = leg.server.or(leg.listener);
                if let Some(r) = serving {
                    out.push(Step::new(StepKind::Process, owner_text(snap, r), "", certain));
                } else if leg.no_listener {
                    out.push(Step::no_listener(certain));
                }
            }
        }
    }
    out
}

/// Conntrack entry of a connection in words: state, namespace, timeout, bytes of both directions.
fn flow_note(snap: &Snapshot, flow: &Flow) -> String {
    let mut out = vec![flow.state().to_owned(), netns_note(snap, flow.netns)];
    if let Some(secs) = flow.timeout_s {
        out.push(msg!("expires in {}", age(f64::from(secs))));
    }
    if let Some((original, reply)) = flow.bytes {
        out.push(msg!("{} B original, {} B reply", bytes(original as f64), bytes(reply as f64)));
    }
    joined(out)
}

/// The parts that are not empty, separated by commas.
fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The route of a forward, without a client.
pub fn forward_route(snap: &Snapshot, f: &Forward) -> Vec<Step> {
    let iface = f.iface.as_deref().map_or_else(String::new, |iface| {
        iface.strip_prefix('!').map_or_else(|| msg!("via {}", iface), |i| msg!("not via {}", i))
    });
    let note = joined([netns_note(snap, f.netns), iface]);
    let mut out = vec![Step::new(StepKind::Host, host_text(f), note, true)];
    for s in f.known_via() {
        // A proxy is named with the descriptor it listens on, its command line follows.
        let owner = |r: u32| snap.owners(r as usize).first().map(|o| snap.process(o).info.name());
        let what = match s.listener {
            Some(r) if owner(r).is_some_and(|name| name.starts_with(s.kind.name())) => {
                owner_text(snap, r as usize)
            }
            Some(r) if s.process.is_some() => format!("{}: {}", s.kind.name(), owner_text(snap, r as usize)),
            _ => s.kind.name().to_owned(),
        };
        out.push(Step::new(StepKind::Via, what, s.detail.clone(), true));
    }
    push_target(snap, f, &mut out);
    out
}

/// Appends the target of a forward, and through further rules the process behind it.
fn push_target(snap: &Snapshot, f: &Forward, out: &mut Vec<Step>) {
    let Some(t) = f.target else {
        out.push(Step::new(
            StepKind::Target,
            tr("unknown"),
            tr("target address not exposed by the proxy"),
            false,
        ));
        return;
    };
    let ssh = f.via.iter().any(|s| s.kind == ForwardKind::Ssh);
    let note = match f.target_netns {
        Some(n) => netns_note(snap, n),
        None if ssh => tr("resolved by the SSH server").to_owned(),
        None => tr("remote, or not visible from here").to_owned(),
    };
    out.push(Step::new(StepKind::Target, target_text(f).unwrap_or_else(|| t.to_string()), note, true));
    // Another rule may redirect the target.
    let redirects = |o: &&Forward| {
        Some(o.netns) == f.target_netns && o.via.iter().any(|s| s.kind.is_rule()) && o.covers(&t)
    };
    let not_served_there = f.target_row.is_none_or(|r| {
        snap.socket(r as usize).local.port != t.port
            || snap.socket(r as usize).id.netns != f.target_netns.unwrap_or(f.netns)
    });
    if let Some(o) = snap
        .forward_rows()
        .iter()
        .find(redirects)
        .filter(|_| not_served_there && out.len() < 4 * legs::MAX_LEGS)
    {
        out.extend(
            o.known_via()
                .filter(|s| s.kind.is_rule())
                .map(|s| Step::new(StepKind::Via, s.kind.name(), s.detail.clone(), true)),
        );
        return push_target(snap, o, out);
    }
    match f.target_row {
        Some(r) => out.push(Step::new(StepKind::Process, owner_text(snap, r as usize), "", true)),
        None if f.listens == Some(false) => {
            out.push(Step::no_listener(true));
        }
        None => {}
    }
}

/// The target in words: a range if it is one of several.
pub fn target_text(f: &Forward) -> Option<String> {
    let first = f.target?;
    let Some(last) = f.target_last else { return Some(first.to_string()) };
    let ports =
        if last.port > first.port { format!("{}-{}", first.port, last.port) } else { first.port.to_string() };
    let addr = |a: &Addr| if a.is_v4() { a.to_string() } else { format!("[{a}]") };
    let addrs = if last.addr > first.addr {
        format!("{}-{}", addr(&first.addr), addr(&last.addr))
    } else {
        addr(&first.addr)
    };
    Some(format!("{addrs}:{}", if first.port == 0 { "*".to_owned() } else { ports }))
}

/// The host endpoint in words, with its range of ports or addresses.
pub fn host_text(f: &Forward) -> String {
    let addrs = match (f.bits, f.last_addr) {
        (Some(bits), _) => format!("{}/{bits}", f.host.addr),
        (None, Some(last)) => format!("{}-{last}", f.host.addr),
        (None, None) => f.host.addr.to_string(),
    };
    let first = match (f.host.port, f.host.addr.is_v4()) {
        _ if f.bits.is_none() && f.last_addr.is_none() => f.host.to_string(),
        (0, true) => format!("{addrs}:*"),
        (0, false) => format!("[{addrs}]:*"),
        (port, true) => format!("{addrs}:{port}"),
        (port, false) => format!("[{addrs}]:{port}"),
    };
    if f.last_port > f.host.port { format!("{first}-{}", f.last_port) } else { first }
}
