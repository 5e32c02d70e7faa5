//! The way of a connection through a port forward: client, host endpoint, rule or program, target, process.

mod legs;

use super::route::legs::Next;
use crate::format::{age, bytes};
use crate::model::{Addr, Endpoint, Flow, Forward, ForwardKind, Snapshot, State};

/// What stands at one place of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Who began it.
    Client,
    /// The endpoint of this machine that it came to.
    Host,
    /// What sends it on.
    By,
    /// The endpoint that it goes to.
    Target,
    /// Who serves it there.
    Process,
}

impl Place {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Host => "host",
            Self::By => "by",
            Self::Target => "target",
            Self::Process => "served by",
        }
    }
}

/// One place of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub place: Place,
    /// What stands there.
    pub what: String,
    /// Where it is: a namespace, a rule's place, a command line.
    pub note: String,
    /// Whether it is certain; else it is likely.
    pub certain: bool,
}

fn step(place: Place, what: impl Into<String>, note: impl Into<String>, certain: bool) -> Step {
    Step { place, what: what.into(), note: note.into(), certain }
}

/// The name of a namespace, where there are several.
fn space(snap: &Snapshot, netns: u16) -> String {
    let all = &snap.sample.namespaces;
    match all.get(usize::from(netns)) {
        Some(n) if all.len() > 1 => format!("in {}", n.name),
        _ => String::new(),
    }
}

/// Who holds a socket row: command, pid, descriptor.
fn holder(snap: &Snapshot, row: usize) -> String {
    match snap.owners(row) {
        [] => snap.facts[row].owner_missing.map_or("not known", |m| m.reason()).to_owned(),
        [o, rest @ ..] => {
            let p = &snap.process(o).info;
            let fd = o.fd().map_or_else(String::new, |fd| format!(" fd {fd}"));
            let more = if rest.is_empty() { String::new() } else { format!(" +{}", rest.len()) };
            format!("{} {}{fd}{more}", p.name(), p.pid)
        }
    }
}

/// Forwards that a connection may come through one after the other, at the most.
const MOST_LEGS: usize = 8;

/// Who holds the two connections of a proxy: of the second the descriptor alone where it is the same process.
fn both(first: &str, second: &str) -> String {
    let split = |s: &'_ str| s.split_once(" fd ").map(|(who, fd)| (who.to_owned(), fd.to_owned()));
    match (split(first), split(second)) {
        (Some((a, _)), Some((b, fd))) if a == b => format!("{first} → fd {fd}"),
        _ => format!("{first} → {second}"),
    }
}

/// The client's own endpoint before it was translated or proxied, where that is another than the socket's far end; and
/// whether it is certain. Through several forwards it is that of the first.
pub fn client(snap: &Snapshot, row: usize) -> Option<(Endpoint, bool)> {
    first(snap, row).map(|f| (f.client, f.certain))
}

/// The endpoint that the client asked for, where it is another than the socket's own.
pub fn asked_for(snap: &Snapshot, row: usize) -> Option<Endpoint> {
    first(snap, row)?.asked
}

/// Where a connection began, before it was translated or proxied.
struct First {
    client: Endpoint,
    asked: Option<Endpoint>,
    certain: bool,
}

fn first(snap: &Snapshot, row: usize) -> Option<First> {
    let mut out: Option<First> = None;
    let mut row = row;
    for _ in 0..MOST_LEGS {
        let s = snap.socket(row);
        let flows = snap.flows(row);
        if let (Some(last), Some(first)) = (flows.last(), flows.first()) {
            let inside = last.reply.0 == s.local && last.reply.1 == s.remote;
            let changed = inside && (last.is_redirected() || last.is_masqueraded());
            if s.state == State::Forwarded || changed {
                let asked = flows.iter().any(|f| f.is_redirected()).then_some(first.orig.1);
                let asked = asked.filter(|a| *a != s.local).or_else(|| out.as_ref().and_then(|o| o.asked));
                out = Some(First { client: first.orig.0, asked, certain: out.is_none_or(|o| o.certain) });
            }
        }
        let Some((accepted, certain)) = snap.accepted_for(row) else { break };
        let other = snap.socket(accepted);
        // What the proxy made ends here; what it accepted is seen from the client's side.
        if other.remote == s.local {
            break;
        }
        let certain = certain && out.is_none_or(|o| o.certain);
        out = Some(First { client: other.remote, asked: Some(other.local), certain });
        row = accepted;
    }
    out
}

/// The way of the connection of a socket row; empty where it is none that is forwarded.
pub fn of_socket(snap: &Snapshot, row: usize) -> Vec<Step> {
    let legs = legs::of(snap, row);
    let mut out = Vec::new();
    let Some(leg) = legs.first() else { return out };
    let who = leg.client.map_or(String::new(), |r| {
        let holder = match snap.owners(r) {
            [] => String::new(),
            _ => holder(snap, r),
        };
        [holder, space(snap, snap.socket(r).id.netns)].join(" ").trim().to_owned()
    });
    out.push(step(Place::Client, leg.from.to_string(), who, true));
    let mut certain = true;
    for leg in &legs {
        for flow in &leg.flows {
            let note = tracked(snap, flow);
            out.push(step(Place::Host, flow.orig.1.to_string(), note, certain));
            if flow.is_redirected() {
                match legs::forward_of_flow(snap, flow) {
                    Some(f) => {
                        let rules = f.ways().filter(|s| s.by.is_rule());
                        out.extend(rules.map(|s| step(Place::By, s.by.name(), s.how.clone(), certain)));
                    }
                    None => out.push(step(
                        Place::By,
                        "a rule of the kernel",
                        "connection tracking tells of it",
                        certain,
                    )),
                }
            }
        }
        let accepted = leg.server.map(|r| (r, snap.socket(r)));
        match (&leg.next, accepted) {
            (Next::Proxy { by, to, certain: sure }, Some((r, s))) => {
                out.push(step(Place::Host, s.local.to_string(), space(snap, s.id.netns), certain));
                certain &= *sure;
                let fds = match to {
                    Some(to) => both(&holder(snap, r), &holder(snap, *to)),
                    None => holder(snap, r),
                };
                out.push(step(Place::By, by.map_or("a program", ForwardKind::name), fds, certain));
            }
            (Next::Unpaired(f), Some((r, s))) => {
                out.push(step(Place::Host, s.local.to_string(), space(snap, s.id.netns), certain));
                let by = f.ways().find(|s| !s.by.is_rule()).map_or("a program", |s| s.by.name());
                out.push(step(Place::By, by, holder(snap, r), certain));
                let begin = out.len();
                going_to(snap, f, &mut out);
                out.iter_mut().skip(begin).for_each(|s| s.certain = false);
            }
            _ => {
                let place = match leg.server.map(|r| snap.socket(r).id.netns).or(leg.netns) {
                    Some(n) => space(snap, n),
                    None => "not on this machine, or not to be seen".to_owned(),
                };
                out.push(step(Place::Target, leg.to.to_string(), place, certain));
                let serving = leg.server.or(leg.listener);
                if let Some(r) = serving {
                    out.push(step(Place::Process, holder(snap, r), "", certain));
                } else if leg.nobody {
                    out.push(step(Place::Process, "nobody", "nothing listens there", certain));
                }
            }
        }
    }
    out
}

/// What connection tracking says of a connection: its state, how long it is kept, and how much went there and back.
fn tracked(snap: &Snapshot, flow: &Flow) -> String {
    let mut out = vec![flow.state().to_owned(), space(snap, flow.netns)];
    if let Some(secs) = flow.timeout_s {
        out.push(format!("kept {} more", age(f64::from(secs))));
    }
    if let Some((there, back)) = flow.bytes {
        out.push(format!("{} B there, {} B back", bytes(there as f64), bytes(back as f64)));
    }
    out.retain(|s| !s.is_empty());
    out.join(", ").replacen(", in ", " in ", 1)
}

/// The way that a forward makes, without a client.
pub fn of_forward(snap: &Snapshot, f: &Forward) -> Vec<Step> {
    let mut note = space(snap, f.netns);
    if let Some(iface) = &f.iface {
        let by = iface.strip_prefix('!').map_or_else(|| format!("by {iface}"), |i| format!("not by {i}"));
        note = [note.as_str(), by.as_str()].join(" ").trim_start().into();
    }
    let mut out = vec![step(Place::Host, host(f), note, true)];
    for s in f.ways() {
        // The program itself, with the descriptor it listens by; its command line behind it.
        let what = match s.listener.map(|r| holder(snap, r as usize)) {
            Some(holder) if holder.starts_with(s.by.name()) => holder,
            Some(holder) if s.process.is_some() => format!("{}: {holder}", s.by.name()),
            _ => s.by.name().to_owned(),
        };
        out.push(step(Place::By, what, s.how.clone(), true));
    }
    going_to(snap, f, &mut out);
    out
}

/// Where a forward goes, by itself.
fn going_to(snap: &Snapshot, f: &Forward, out: &mut Vec<Step>) {
    let Some(t) = f.target else {
        out.push(step(Place::Target, "not told", "no address is told, see what forwards it", false));
        return;
    };
    let far = f.steps.iter().any(|s| s.by == ForwardKind::Ssh);
    let place = match f.target_netns {
        Some(n) => space(snap, n),
        None if far => "as the far machine reaches it".to_owned(),
        None => "not on this machine, or not to be seen".to_owned(),
    };
    out.push(step(Place::Target, target(f).unwrap_or_else(|| t.to_string()), place, true));
    // A rule sends on what comes there.
    let on = |o: &&Forward| {
        Some(o.netns) == f.target_netns && o.steps.iter().any(|s| s.by.is_rule()) && o.is_for(&t)
    };
    let sent_on = f.target_row.is_none_or(|r| {
        snap.socket(r as usize).local.port != t.port
            || snap.socket(r as usize).id.netns != f.target_netns.unwrap_or(f.netns)
    });
    if let Some(o) = snap.forward_rows().iter().find(on).filter(|_| sent_on && out.len() < 4 * MOST_LEGS) {
        out.extend(
            o.ways().filter(|s| s.by.is_rule()).map(|s| step(Place::By, s.by.name(), s.how.clone(), true)),
        );
        return going_to(snap, o, out);
    }
    match f.target_row {
        Some(r) => out.push(step(Place::Process, holder(snap, r as usize), "", true)),
        None if f.listens == Some(false) => {
            out.push(step(Place::Process, "nobody", "nothing listens there", true));
        }
        None => {}
    }
}

/// The target in words: a range where it is one of several.
pub fn target(f: &Forward) -> Option<String> {
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

/// The host endpoint in words: a range where it is one.
pub fn host(f: &Forward) -> String {
    let first = match (f.bits, f.host.addr.is_v4()) {
        (None, _) => f.host.to_string(),
        (Some(bits), true) => format!("{}/{bits}:{}", f.host.addr, f.host.port),
        (Some(bits), false) => format!("[{}/{bits}]:{}", f.host.addr, f.host.port),
    };
    if f.last_port > f.host.port { format!("{first}-{}", f.last_port) } else { first }
}
