//! The way of a connection through a port forward: client, host endpoint, rule or program, target, process.

use super::format::endpoint;
use crate::model::{Endpoint, Forward, Snapshot, State};

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

/// The client's own endpoint before it was translated or proxied, where that is another than the socket's far end; and
/// whether it is certain.
pub fn client(snap: &Snapshot, row: usize) -> Option<(Endpoint, bool)> {
    let s = snap.socket(row);
    if let Some(flow) = snap.flow(row) {
        let inside = flow.reply.0 == s.local && flow.reply.1 == s.remote;
        if s.state == State::Forwarded || inside && (flow.is_redirected() || flow.is_masqueraded()) {
            return Some((flow.orig.0, true));
        }
    }
    let (accepted, certain) = snap.accepted_for(row)?;
    let other = snap.socket(accepted);
    // What the proxy made ends here; what it accepted is seen from the client's side.
    (other.remote != s.local).then_some((other.remote, certain))
}

/// The endpoint that the client asked for, where it is another than the socket's own.
pub fn asked_for(snap: &Snapshot, row: usize) -> Option<Endpoint> {
    let s = snap.socket(row);
    if let Some(flow) = snap.flow(row).filter(|f| f.is_redirected())
        && flow.reply.0 == s.local
    {
        return Some(flow.orig.1);
    }
    let (accepted, _) = snap.accepted_for(row)?;
    let other = snap.socket(accepted);
    (other.remote != s.local).then_some(other.local)
}

/// The forward that a connection of this row comes or goes through.
pub fn forward_of(snap: &Snapshot, row: usize) -> Option<&Forward> {
    let mut rows = vec![row as u32];
    rows.extend(snap.proxied(row).map(|(r, _)| r as u32));
    if let Some(other) = snap.other_end(row) {
        rows.push(other as u32);
        rows.extend(snap.proxied(other).map(|(r, _)| r as u32));
    }
    let all = snap.forward_rows();
    all.iter().find(|f| f.sockets.iter().any(|s| rows.contains(s))).or_else(|| {
        let flow = snap.flow(row).filter(|flow| flow.is_redirected())?;
        all.iter().find(|f| {
            f.steps.iter().any(|s| s.by.is_rule())
                && f.netns == flow.netns
                && (f.host.port..=f.last_port.max(f.host.port)).contains(&flow.orig.1.port)
                && f.target.is_some_and(|t| {
                    (t.port == 0 || t.port == flow.reply.0.port)
                        && (t.addr == flow.reply.0.addr
                            || t.addr.is_any() && t.addr.is_v4() == flow.reply.0.addr.is_v4())
                })
        })
    })
}

/// The way of the connection of a socket row; empty where it is none that is forwarded.
pub fn of_socket(snap: &Snapshot, row: usize) -> Vec<Step> {
    let s = snap.socket(row);
    let flow = snap.flow(row).filter(|f| f.is_redirected() || s.state == State::Forwarded);
    let pair = snap.proxied(row).or_else(|| snap.proxied(snap.other_end(row)?));
    let mut out = Vec::new();
    if let Some(flow) = flow {
        let space_of = |e: &Endpoint| {
            let on = |s: &crate::model::Socket| s.local == *e && !s.remote.is_none();
            snap.sample.sockets[..snap.live].iter().find(|s| on(s)).map(|s| s.id.netns)
        };
        let here = space_of(&flow.orig.0).map_or(String::new(), |n| space(snap, n));
        out.push(step(Place::Client, endpoint(&flow.orig.0), here, true));
        let note = format!("{} {}", flow.state(), space(snap, flow.netns));
        out.push(step(Place::Host, endpoint(&flow.orig.1), note.trim_end(), true));
        if flow.is_redirected() {
            match forward_of(snap, row) {
                Some(f) => by(f, true, &mut out),
                None => {
                    out.push(step(
                        Place::By,
                        "a rule of the kernel",
                        "connection tracking tells of it",
                        true,
                    ));
                }
            }
        }
        target(
            snap,
            flow.reply.0,
            Some(row).filter(|_| s.local == flow.reply.0),
            forward_of(snap, row),
            &mut out,
        );
    } else if let Some((_, certain)) = pair {
        // Of the four sockets of a proxied connection: the two of the proxy, and the one at the target.
        let mine = if snap.proxied(row).is_some() { Some(row) } else { snap.other_end(row) };
        let Some(mine) = mine else { return out };
        let Some(pair) = snap.pair_of(mine).copied() else { return out };
        let f = forward_of(snap, row);
        let (accepted, connected) = (pair.accepted as usize, pair.connected as usize);
        let (a, c) = (snap.socket(accepted), snap.socket(connected));
        let from = snap.other_end(accepted).map_or(String::new(), |o| holder(snap, o));
        out.push(step(Place::Client, endpoint(&a.remote), from, true));
        out.push(step(Place::Host, endpoint(&a.local), space(snap, a.id.netns), true));
        let how = f.and_then(|f| f.ways().find(|s| !s.by.is_rule())).map_or("", |s| s.by.name());
        let accepts = holder(snap, accepted);
        let (fds, end, at) = if pair.direct {
            (accepts, c.local, Some(connected))
        } else {
            let fds = format!("{accepts} → {}", holder(snap, connected));
            (fds, c.remote, snap.other_end(connected))
        };
        out.push(step(Place::By, how, fds, certain));
        target(snap, end, at, f, &mut out);
        for s in out.iter_mut().skip(3) {
            s.certain &= certain;
        }
    }
    out
}

/// The way that a forward makes, without a client.
pub fn of_forward(snap: &Snapshot, f: &Forward) -> Vec<Step> {
    let mut note = space(snap, f.netns);
    if let Some(iface) = &f.iface {
        let by = iface.strip_prefix('!').map_or_else(|| format!("by {iface}"), |i| format!("not by {i}"));
        note = [note.as_str(), by.as_str()].join(" ").trim_start().into();
    }
    let mut out = vec![step(Place::Host, host(f), note, true)];
    by(f, true, &mut out);
    if let Some(t) = f.target {
        target(snap, t, None, Some(f), &mut out);
    } else {
        out.push(step(Place::Target, "not told", "the program does not say where to", false));
    }
    out
}

fn by(f: &Forward, certain: bool, out: &mut Vec<Step>) {
    out.extend(f.ways().map(|s| step(Place::By, s.by.name(), s.how.clone(), certain)));
}

fn target(snap: &Snapshot, at: Endpoint, row: Option<usize>, f: Option<&Forward>, out: &mut Vec<Step>) {
    let netns = row.map(|r| snap.socket(r).id.netns).or_else(|| f.and_then(|f| f.target_netns));
    let place = netns.map_or_else(|| "not on this machine, or not to be seen".to_owned(), |n| space(snap, n));
    out.push(step(Place::Target, endpoint(&at), place, true));
    let serving = row.or_else(|| f.and_then(|f| f.target_row).map(|r| r as usize));
    match serving {
        Some(r) => out.push(step(Place::Process, holder(snap, r), "", true)),
        None if f.and_then(|f| f.listens) == Some(false) => {
            out.push(step(Place::Process, "nobody", "nothing listens there", true));
        }
        None => {}
    }
}

/// The host endpoint in words: a range where it is one.
pub fn host(f: &Forward) -> String {
    let first = match (f.bits, f.host.addr.is_v4()) {
        (None, _) => endpoint(&f.host),
        (Some(bits), true) => format!("{}/{bits}:{}", f.host.addr, f.host.port),
        (Some(bits), false) => format!("[{}/{bits}]:{}", f.host.addr, f.host.port),
    };
    if f.last_port > f.host.port { format!("{first}-{}", f.last_port) } else { first }
}
