//! What is forwarded: rules and programs, joined with who serves the target and with the connections that come through.

mod chain;
mod proxy;
mod published;

use crate::model::nat::{Pair, Step};
use crate::model::snapshot::{Direction, Port, ProcessFacts, Rates, SocketFacts};
use crate::model::{
    Addr, Endpoint, Flow, Forward, ForwardKind, Forwards, Nat, NatRule, Proto, Sample, Scope, Socket, State,
    Unit,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// Two rows have these ends: none is meant.
const SEVERAL: u32 = u32::MAX;
/// Which belongs to which, by their indices, in the order of the first.
type Indices = Vec<(u32, u32)>;

/// Ports of a range that are looked up one by one.
const WIDE: u16 = 64;

/// What it is worked out of.
pub(super) struct Context<'a> {
    pub(super) sample: &'a Sample,
    /// How many of the sockets are live.
    pub(super) live: usize,
    pub(super) facts: &'a [SocketFacts],
    pub(super) rates: &'a [Rates],
    pub(super) ports: &'a [Port],
    pub(super) processes: &'a [ProcessFacts],
    pub(super) sockets_of: &'a [u32],
    pub(super) units: &'a [Unit],
}

/// Works it out.
pub(super) fn collect(c: &Context<'_>, nat: &Nat) -> Forwards {
    let mut rows: Vec<Forward> = nat.rules.iter().map(rule_forward).collect();
    detect_proxies(c, nat, &mut rows);
    rows = dedup_forwards(rows);
    published::add(c, nat, &mut rows);
    rows.sort_by_key(|f| (f.netns, f.host.port, f.proto, f.host.addr));
    let here: FxHashMap<Addr, u16> = unique_addresses(nat);
    for f in &mut rows {
        resolve_target(c, f, &here);
    }
    chain::sent_on(&mut rows);
    chain::not_told(c.sample, &mut rows);
    let (flows, earlier) = flows(c, nat, &mut rows);
    // Where some go to, their connections show.
    let untold: Vec<bool> = rows.iter().map(|f| f.target.is_none()).collect();
    let pairs = pairs(c, &mut rows);
    for (f, _) in rows.iter_mut().zip(untold).filter(|(_, untold)| *untold) {
        resolve_target(c, f, &here);
    }
    for f in &mut rows {
        if f.sockets.is_empty() && !c.rates.is_empty() {
            (f.rx, f.tx) = (Some(0.0), Some(0.0));
        }
        for row in &f.sockets {
            if let Some(r) = c.rates.get(*row as usize) {
                let add = |sum: &mut Option<f64>, x: Option<f32>| {
                    if let Some(x) = x {
                        *sum = Some(sum.unwrap_or(0.0) + f64::from(x));
                    }
                };
                add(&mut f.rx, r.rx);
                add(&mut f.tx, r.tx);
            }
        }
    }
    Forwards { rows, flows, earlier, pairs }
}

fn empty(netns: u16, proto: Option<Proto>, host: Endpoint, step: Step) -> Forward {
    Forward {
        netns,
        proto,
        host,
        bits: None,
        last_port: host.port,
        iface: None,
        steps: vec![step],
        target: None,
        target_last: None,
        shadowed_by: None,
        container: None,
        target_netns: None,
        target_row: None,
        listens: None,
        sockets: Vec::new(),
        clients: 0,
        rx: None,
        tx: None,
    }
}

fn rule_forward(r: &NatRule) -> Forward {
    let any = if r.family == Some(crate::model::Family::Inet6) { Addr::ANY6 } else { Addr::ANY4 };
    let (first, last) = r.ports.unwrap_or((0, 0));
    let host = Endpoint::new(r.to.map_or(any, |(a, _)| a), first);
    let by = if r.target.is_some() { ForwardKind::Dnat } else { ForwardKind::Redirect };
    let how = match (r.partial, r.conditions.is_empty()) {
        (false, _) => r.location.clone(),
        (true, true) => format!("{}, under more conditions", r.location),
        (true, false) => format!("{}, under more conditions: {}", r.location, r.conditions.join(", ")),
    };
    let how = match &r.shadowed_by {
        Some(place) => format!("{how}, never reached: {place} takes it"),
        None => how,
    };
    let step = Step { by, how, process: None, listener: None };
    // A range that keeps its ports goes to as many.
    let port = r.target_ports.map_or(if last > first { 0 } else { first }, |p| p.0);
    let whole = |a: &Addr| if a.is_v4() { 32 } else { 128 };
    Forward {
        bits: r.to.filter(|(a, n)| *n < whole(a)).map(|(_, n)| n),
        last_port: last,
        iface: r.iface.clone(),
        target: Some(Endpoint::new(r.target.unwrap_or(any), port)),
        target_last: last_target(r, port),
        shadowed_by: r.shadowed_by.clone(),
        ..empty(r.netns, r.proto, host, step)
    }
}

/// The last endpoint of those that a rule chooses between; `None` where it has but one.
fn last_target(r: &NatRule, port: u16) -> Option<Endpoint> {
    let addr = r.target_last.filter(|last| r.target.is_some_and(|first| first < *last));
    let last_port = r.target_ports.map_or(port, |p| p.1.max(port));
    let several = addr.is_some() || last_port > port;
    several.then(|| Endpoint::new(addr.or(r.target).unwrap_or(Addr::ANY4), last_port))
}

/// What programs forward: by their command lines, and what systemd listens to for others.
fn detect_proxies(c: &Context<'_>, nat: &Nat, out: &mut Vec<Forward>) {
    let sample = c.sample;
    for (i, p) in sample.processes.iter().enumerate() {
        let step =
            |by, listener| Step { by, how: p.info.cmdline.to_string(), process: Some(i as u32), listener };
        let (a, b) = c.processes.get(i).map_or((0, 0), |f| f.sockets);
        let own = c.sockets_of.get(a as usize..b as usize).unwrap_or(&[]);
        let serving = serving(c, i);
        let said = proxy::of(&p.info.comm, &p.info.cmdline);
        let mut told: Vec<u32> = Vec::new();
        for s in &said {
            let listens = |r: &&u32| {
                let row = &sample.sockets[**r as usize];
                row.proto == s.proto && s.host.is_none_or(|h| row.local.port == h.port)
            };
            let mut found = false;
            for row in serving.iter().filter(listens) {
                // What was said of this port stands before what is said of all others.
                if told.contains(row) {
                    continue;
                }
                told.push(*row);
                let socket = &sample.sockets[*row as usize];
                found = true;
                // It listens inside too, for what goes the other way.
                if s.by == ForwardKind::Pasta && socket.id.netns != sample.netns_of(p.info.pid) {
                    continue;
                }
                let f = empty(socket.id.netns, Some(s.proto), socket.local, step(s.by, Some(*row)));
                out.push(into_netns(c, nat, i, s, Forward { target: s.target, ..f }));
            }
            // Its descriptors are closed to us; what it was told to do is not. One that takes a single client has it, and
            // listens no more. A child that serves one client of many is none by itself.
            let (false, Some(host)) = (found, s.host) else { continue };
            if child_of_alike(sample, i) {
                continue;
            }
            let takes = |r: &&u32| {
                let k = &sample.sockets[**r as usize];
                (**r as usize) < c.live
                    && k.proto == s.proto
                    && k.local.port == host.port
                    && !k.remote.is_none()
            };
            let taken = own.iter().find(takes).map(|r| sample.sockets[*r as usize].id.netns);
            let hidden = p.fds_hidden.is_some().then(|| sample.netns_of(p.info.pid));
            if let Some(netns) = taken.or(hidden) {
                let f = empty(netns, Some(s.proto), host, step(s.by, None));
                out.push(into_netns(c, nat, i, s, Forward { target: s.target, ..f }));
            }
        }
    }
    activated(c, out);
}

/// Whether it is the child of a process of the same command line.
fn child_of_alike(sample: &Sample, process: usize) -> bool {
    let p = &sample.processes[process].info;
    sample.processes.iter().any(|o| o.info.pid == p.ppid && o.info.cmdline == p.cmdline)
}

/// What systemd listens to for others: that of the machine, of a user, or of a container with one of its own.
fn activated(c: &Context<'_>, out: &mut Vec<Forward>) {
    let sample = c.sample;
    for (i, p) in sample.processes.iter().enumerate().filter(|(_, p)| &*p.info.comm == "systemd") {
        for row in serving(c, i) {
            let s = &sample.sockets[row as usize];
            let (by, how) = (ForwardKind::SocketActivation, p.info.cmdline.to_string());
            let step = Step { by, how, process: Some(i as u32), listener: Some(row) };
            // The one it hands it to may be a proxy.
            match out.iter_mut().find(|f| f.steps.iter().any(|s| s.listener == Some(row))) {
                Some(f) => f.steps.insert(0, step),
                None => {
                    let f = empty(s.id.netns, Some(s.proto), s.local, step);
                    out.push(Forward { target: Some(s.local), target_netns: Some(s.id.netns), ..f });
                }
            }
        }
    }
}

/// The rows that a process serves endpoints of IP by.
fn serving(c: &Context<'_>, process: usize) -> Vec<u32> {
    let (a, b) = c.processes.get(process).map_or((0, 0), |f| f.sockets);
    let own = c.sockets_of.get(a as usize..b as usize).unwrap_or(&[]);
    let serves = |r: &u32| {
        let s = &c.sample.sockets[*r as usize];
        (*r as usize) < c.live && s.serves() && s.proto.is_inet()
    };
    own.iter().copied().filter(serves).collect()
}

/// The namespace that a program sends into, and the target there where its port is known: the namespace of the program
/// itself where it listens in another, of its child, or of the process that it was told.
fn into_netns(c: &Context<'_>, nat: &Nat, program: usize, said: &proxy::Said, f: Forward) -> Forward {
    if said.target.is_some()
        || !matches!(
            said.by,
            ForwardKind::Rootlessport
                | ForwardKind::Rootlesskit
                | ForwardKind::Slirp4netns
                | ForwardKind::Pasta
        )
    {
        return f;
    }
    let sample = c.sample;
    let p = &sample.processes[program].info;
    let children = sample.processes.iter().filter(|k| k.info.ppid == p.pid).map(|k| k.info.pid);
    let told = proxy::serves_netns_of(&p.cmdline);
    let mut all = [p.pid].into_iter().chain(children).chain(told).map(|pid| sample.netns_of(pid));
    let Some(netns) = all.find(|n| *n != f.netns) else { return f };
    let port = said.inside.map(|port| if port == 0 { f.host.port } else { port });
    let target = port.map(|port| Endpoint::new(address_in(nat, netns, f.host.addr), port));
    Forward { target, target_netns: Some(netns), ..f }
}

/// The address that a namespace is reached by, for what comes to this address: one of the same kind, of IPv4 where it is
/// any; any where none is known.
fn address_in(nat: &Nat, netns: u16, host: Addr) -> Addr {
    let v4 = host.is_v4() || host.is_any();
    let own = nat.addresses.iter().filter(|(n, a)| *n == netns && a.scope() != Scope::LinkLocal);
    let fits = own.map(|(_, a)| *a).find(|a| a.is_v4() == v4);
    fits.unwrap_or(if v4 { Addr::ANY4 } else { Addr::ANY6 })
}

/// One row for what is the same forward by several ways: Docker's rule and Docker's proxy.
fn dedup_forwards(all: Vec<Forward>) -> Vec<Forward> {
    let mut out: Vec<Forward> = Vec::new();
    for f in all {
        let same = |o: &&mut Forward| {
            (o.netns, o.proto, o.host, o.last_port, o.target)
                == (f.netns, f.proto, f.host, f.last_port, f.target)
                && f.target.is_some()
        };
        match out.iter_mut().find(same) {
            Some(o) => {
                // What a rule does not come to another one, or a program, may.
                let instead = o.shadowed_by.is_some() && f.shadowed_by.is_none();
                if instead {
                    o.steps.retain(|s| f.steps.iter().all(|k| k.by != s.by));
                    o.shadowed_by = None;
                }
                let new: Vec<Step> =
                    f.steps.into_iter().filter(|s| !o.steps.iter().any(|k| k.by == s.by)).collect();
                o.steps.extend(new);
                o.target_netns = o.target_netns.or(f.target_netns);
            }
            None => out.push(f),
        }
    }
    out
}

/// The namespace of each address that only one has.
fn unique_addresses(nat: &Nat) -> FxHashMap<Addr, u16> {
    let mut out: FxHashMap<Addr, u16> = FxHashMap::default();
    let mut twice = FxHashSet::default();
    for (netns, addr) in &nat.addresses {
        if out.insert(*addr, *netns).is_some_and(|o| o != *netns) {
            twice.insert(*addr);
        }
    }
    out.retain(|a, _| !twice.contains(a));
    out
}

/// Finds who serves the target.
fn resolve_target(c: &Context<'_>, f: &mut Forward, here: &FxHashMap<Addr, u16>) {
    let Some(target) = f.target else { return };
    // What is asked for at the far end of ssh is reached from there.
    if f.steps.iter().any(|s| s.by == ForwardKind::Ssh) {
        return;
    }
    let own = target.addr.is_any() || target.addr.scope() == Scope::Loopback;
    let last = f.target_last.unwrap_or(target);
    let among = |a: &Addr| (target.addr..=last.addr).contains(a);
    let by_addr = || {
        let first = here.get(&target.addr).or_else(|| here.iter().find(|(a, _)| among(a)).map(|(_, n)| n));
        if own { Some(f.netns) } else { first.copied() }
    };
    f.target_netns = f.target_netns.or_else(by_addr);
    let Some(netns) = f.target_netns else { return };
    // It may be one of several addresses, each in a namespace of its own.
    let there = |p: &Port| {
        if last.addr == target.addr {
            p.netns == netns && (p.local.addr == target.addr || p.local.addr.is_any() || target.addr.is_any())
        } else {
            among(&p.local.addr)
                || p.local.addr.is_any() && here.iter().any(|(a, n)| *n == p.netns && among(a))
        }
    };
    let serves = |p: &&Port| {
        f.proto.is_none_or(|proto| p.proto == proto)
            && if target.port == 0 {
                (f.host.port..=f.last_port).contains(&p.local.port)
            } else {
                (target.port..=last.port).contains(&p.local.port)
            }
            && there(p)
            && fits(&p.local.addr, &target.addr)
    };
    let port = c.ports.iter().filter(serves).max_by_key(|p| p.local.addr == target.addr);
    f.target_row = port.and_then(|p| p.sockets.first().copied());
    // Of several addresses not all may be here.
    f.listens = Some(f.target_row.is_some()).filter(|l| *l || last.addr == target.addr);
}

/// Whether an address that is listened at takes what is sent to this one: `[::]` takes IPv4 too.
fn fits(local: &Addr, target: &Addr) -> bool {
    local.is_v4() == target.is_v4() || !local.is_v4() && local.is_any()
}

/// The rows behind tracked connections, and the connections that come through each forward by a rule.
/// Gives the tracked connection of each row, and of those that several namespaces translate the one before.
fn flows(c: &Context<'_>, nat: &Nat, rows: &mut [Forward]) -> (Indices, Indices) {
    // Loopback addresses are those of each namespace; few connections there are translated.
    let loopback = |e: &Endpoint| e.addr.scope() == Scope::Loopback;
    let near = |f: &Flow| [f.orig.0, f.orig.1, f.reply.0, f.reply.1].iter().any(loopback);
    let any_near = nat.flows.iter().any(|f| f.is_redirected() && near(f));
    let mut own: FxHashMap<(u16, Proto, Endpoint, Endpoint), u32> = FxHashMap::default();
    let mut by_ends: FxHashMap<(Proto, Endpoint, Endpoint), u32> = FxHashMap::default();
    let mut passing: FxHashMap<crate::model::SocketId, u32> = FxHashMap::default();
    for (row, s) in c.sample.sockets.iter().enumerate().take(c.live) {
        if s.state == State::Forwarded {
            passing.insert(s.id, row as u32);
        } else if !s.proto.is_inet() || s.remote.is_none() {
        } else if loopback(&s.local) || loopback(&s.remote) {
            if any_near {
                own.insert((s.id.netns, s.proto, s.local, s.remote), row as u32);
            }
        } else {
            let known = by_ends.entry((s.proto, s.local, s.remote)).or_insert(row as u32);
            *known = if *known == row as u32 { *known } else { SEVERAL };
        }
    }
    let mut by_port: FxHashMap<(u16, u16), Vec<usize>> = FxHashMap::default();
    let mut wide = Vec::new();
    for (i, f) in rows
        .iter()
        .enumerate()
        .filter(|(_, f)| f.ways().any(|s| s.by.is_rule() || s.by == ForwardKind::Engine))
    {
        if f.host.port == 0 || f.last_port.saturating_sub(f.host.port) > WIDE {
            wide.push(i);
            continue;
        }
        for port in f.host.port..=f.last_port {
            by_port.entry((f.netns, port)).or_default().push(i);
        }
    }
    let mut out: FxHashMap<u32, u32> = FxHashMap::default();
    for (i, flow) in nat.flows.iter().enumerate() {
        let i = i as u32;
        if let Some(row) = passing.get(&flow.row_id()) {
            out.insert(*row, i);
        }
        let near = any_near && flow.is_redirected() && near(flow);
        let find = |(local, remote): (Endpoint, Endpoint)| {
            let here = near.then(|| own.get(&(flow.netns, flow.proto, local, remote))).flatten();
            here.or_else(|| by_ends.get(&(flow.proto, local, remote))).filter(|r| **r != SEVERAL)
        };
        let (at_target, at_client) = (find(flow.reply), find(flow.orig));
        for row in at_target.into_iter().chain(at_client) {
            // Of what several namespaces tell of it, the one that changes something.
            let told = out.entry(*row).or_insert(i);
            if flow.is_redirected() && !nat.flows[*told as usize].is_redirected() {
                *told = i;
            }
        }
        if !flow.is_redirected() {
            continue;
        }
        let exact = by_port.get(&(flow.netns, flow.orig.1.port));
        let through = exact.into_iter().flatten().chain(&wide).copied().find(|f| rows[*f].takes(flow));
        if let Some(f) = through.filter(|_| !flow.is_over()) {
            rows[f].clients += 1;
            rows[f].sockets.extend(at_target);
        }
    }
    let mut out: Vec<(u32, u32)> = out.into_iter().collect();
    out.sort_unstable();
    (out, chain::earlier(nat))
}

/// The connections of user-space proxies: those they accepted, and those they made for them.
fn pairs(c: &Context<'_>, rows: &mut [Forward]) -> Vec<Pair> {
    let sample = c.sample;
    let mut out = Vec::new();
    for f in rows.iter_mut() {
        let proxy = |s: &&Step| {
            !s.by.is_rule() && !matches!(s.by, ForwardKind::SocketActivation | ForwardKind::Engine)
        };
        let Some(by) = f.steps.iter().find(proxy) else { continue };
        // It listens no more once it has its single client, and nothing tells then who began the connection.
        let single = by.listener.is_none();
        let (host, by, program) = (f.host, by.by, by.process);
        let accepted = |s: &Socket| {
            s.local.port == host.port
                && !s.remote.is_none()
                && (host.addr.is_any() || s.local.addr == host.addr)
        };
        // Inside the namespace it sends into, every address is its own.
        let inside = f.target_netns.filter(|n| *n != f.netns);
        let goes_to = |s: &Socket, t: Endpoint| {
            s.remote == t || s.remote.port == t.port && (t.addr.is_any() || inside == Some(s.id.netns))
        };
        // A program that begins a child for each client is the same program there.
        let same: Vec<usize> = match program {
            Some(p) => (0..sample.processes.len())
                .filter(|i| {
                    let (a, b) = (&sample.processes[*i].info, &sample.processes[p as usize].info);
                    *i == p as usize || a.ppid == b.pid && a.cmdline == b.cmdline
                })
                .collect(),
            None => Vec::new(),
        };
        for p in same {
            let (a, b) = c.processes.get(p).map_or((0, 0), |f| f.sockets);
            let own = c.sockets_of.get(a as usize..b as usize).unwrap_or(&[]);
            let fd = |row: &u32| {
                let (a, b) = c.facts[*row as usize].owners;
                let owners = sample.owners.get(a as usize..b as usize).unwrap_or(&[]);
                owners.iter().find(|o| o.process as usize == p).map(|o| o.fd)
            };
            let mut ins: Vec<u32> = Vec::new();
            let mut outs: Vec<u32> = Vec::new();
            for row in own.iter().filter(|r| (**r as usize) < c.live) {
                let s = &sample.sockets[*row as usize];
                if s.serves() || s.remote.is_none() || !s.proto.is_inet() {
                    continue;
                }
                if accepted(s) && (single || c.facts[*row as usize].direction != Direction::Out) {
                    ins.push(*row);
                } else if f.target.is_none_or(|t| goes_to(s, t)) {
                    outs.push(*row);
                }
            }
            ins.sort_by_key(fd);
            outs.sort_by_key(fd);
            f.clients += ins.len() as u32;
            f.sockets.extend(&ins);
            if matches!(by, ForwardKind::Slirp4netns | ForwardKind::Pasta) {
                ins.retain(|row| {
                    let found = direct(c, f, *row, inside);
                    let pair = |to| Pair { accepted: *row, connected: to, direct: true, certain: false };
                    out.extend(found.map(pair));
                    found.is_none()
                });
            }
            // All that comes through goes by the one connection to the far machine.
            if by == ForwardKind::Ssh {
                continue;
            }
            let certain = ins.len() == 1 && outs.len() == 1;
            if let (true, None, [to]) = (certain, f.target, &outs[..]) {
                // What it does not say its connection shows.
                let s = &sample.sockets[*to as usize];
                (f.target, f.target_netns) = (Some(s.remote), f.target_netns.or(Some(s.id.netns)));
            }
            if ins.len() == outs.len() {
                let pair =
                    |(a, c): (&u32, &u32)| Pair { accepted: *a, connected: *c, direct: false, certain };
                out.extend(ins.iter().zip(&outs).map(pair));
            }
        }
    }
    out.sort_by_key(|p| p.accepted);
    out
}

/// The socket at the target that a program speaks with by packets for a connection that it accepted: inside, from the same
/// port of the client. `None` where there is none, or more than one.
fn direct(c: &Context<'_>, f: &Forward, accepted: u32, inside: Option<u16>) -> Option<u32> {
    let (inside, target) = (inside?, f.target?);
    let a = &c.sample.sockets[accepted as usize];
    let at_target = |s: &Socket| {
        s.id.netns == inside
            && s.proto == a.proto
            && s.local.port == target.port
            && s.remote.port == a.remote.port
            && s.remote.addr.scope() != Scope::Loopback
    };
    let mut found = (0u32..).zip(&c.sample.sockets[..c.live]).filter(|(_, s)| at_target(s));
    let first = found.next()?;
    found.next().is_none().then_some(first.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::Engine;
    use crate::model::Reads;
    use crate::model::{
        Backend, BackendInfo, Family, Namespace, Owner, ProcInfo, Process, SocketId, Stamp, Wants,
    };
    use std::sync::Arc;

    pub(super) fn end(s: &str) -> Endpoint {
        let a: std::net::SocketAddr = s.parse().unwrap();
        Endpoint::new(a.ip().into(), a.port())
    }

    pub(super) fn machine() -> Sample {
        let info = Arc::new(BackendInfo { backend: Backend::Script, why: String::new() });
        let wants = Wants::default().with(Reads::NAT | Reads::LOCAL_PEERS);
        let at = Stamp { boot_ns: 1_000_000_000, unix_ns: 0 };
        let mut sample = Sample::empty(at, "x".into(), info, wants);
        let space = |inode, name: &str| Namespace {
            inode,
            name: name.into(),
            interfaces: std::collections::BTreeMap::new(),
        };
        sample.namespaces = Arc::from([space(1, "host"), space(2, "web")]);
        let process = |pid, comm: &str, cmdline: &str| Process {
            info: Arc::new(ProcInfo {
                pid,
                ppid: 1,
                start_ns: 5,
                comm: comm.into(),
                cmdline: cmdline.into(),
                uid: 0,
                cgroup: None,
            }),
            fds: Err(crate::model::Missing::NotRead),
            fds_hidden: None,
            fd_targets: Arc::from([]),
        };
        sample.processes = vec![
            process(10, "nginx", "nginx: master"),
            process(
                20,
                "docker-proxy",
                "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80",
            ),
        ];
        let mut owners = Vec::new();
        let mut add = |netns, state, local: &str, remote: &str, owner: u32, fd| {
            let n = sample.sockets.len() as u64 + 1;
            let mut s = Socket::new(SocketId { netns, cookie: n }, Family::Inet, Proto::Tcp, state);
            (s.inode, s.local) = (n, end(local));
            s.remote = if remote.is_empty() { Endpoint::new(Addr::ANY4, 0) } else { end(remote) };
            owners.push(Owner { inode: n, process: owner, fd });
            sample.sockets.push(s);
        };
        let e = State::Established;
        add(0, State::Listen, "0.0.0.0:8080", "", 1, 4);
        add(1, State::Listen, "0.0.0.0:80", "", 0, 6);
        // Through the rule: the container sees the client itself.
        add(1, e, "172.17.0.2:80", "203.0.113.5:50000", 0, 7);
        // Through the proxy: it sees the proxy.
        add(0, e, "127.0.0.1:8080", "127.0.0.1:41000", 1, 5);
        add(0, e, "172.17.0.1:42000", "172.17.0.2:80", 1, 6);
        add(1, e, "172.17.0.2:80", "172.17.0.1:42000", 0, 8);
        sample.owners = owners.into();
        let flow = |id, orig: (&str, &str), reply: (&str, &str)| Flow {
            netns: 0,
            proto: Proto::Tcp,
            orig: (end(orig.0), end(orig.1)),
            reply: (end(reply.0), end(reply.1)),
            status: 0x2e,
            tcp_state: Some(3),
            timeout_s: Some(100),
            bytes: None,
            mark: 0,
            zone: 0,
            id,
        };
        let rule = |ports, target: &str, port| NatRule {
            netns: 0,
            family: Some(Family::Inet),
            proto: Some(Proto::Tcp),
            to: None,
            ports: Some((ports, ports)),
            iface: Some("!docker0".into()),
            target: target.parse().ok(),
            target_ports: Some((port, port)),
            target_last: None,
            shadowed_by: None,
            partial: false,
            conditions: Vec::new(),
            location: "ip nat DOCKER handle 7".into(),
        };
        sample.nat = Some(Nat {
            rules: vec![
                rule(8080, "172.17.0.2", 80),
                rule(9090, "172.17.0.2", 90),
                rule(7070, "10.9.9.9", 70),
            ],
            flows: vec![
                flow(1, ("203.0.113.5:50000", "10.0.0.1:8080"), ("172.17.0.2:80", "203.0.113.5:50000")),
                Flow {
                    tcp_state: Some(7),
                    ..flow(3, ("203.0.113.5:49999", "10.0.0.1:8080"), ("172.17.0.2:80", "203.0.113.5:49999"))
                },
                flow(2, ("198.51.100.1:1", "10.0.0.1:22"), ("10.0.0.1:22", "198.51.100.1:1")),
            ],
            addresses: vec![
                (0, "10.0.0.1".parse().unwrap()),
                (0, "172.17.0.1".parse().unwrap()),
                (1, "172.17.0.2".parse().unwrap()),
            ],
        });
        sample
    }

    #[test]
    fn a_published_port_is_one_row_by_rule_and_proxy() {
        let snap = Engine::new().step(machine());
        let f = snap.forwards.as_ref().unwrap();
        assert_eq!(f.rows.len(), 3);
        let web = f.rows.iter().find(|r| r.host.port == 8080).unwrap();
        let by: Vec<_> = web.steps.iter().map(|s| s.by.name()).collect();
        assert_eq!(by, ["dnat", "docker-proxy"]);
        assert_eq!(
            (web.target, web.target_netns, web.target_row, web.listens),
            (Some(end("172.17.0.2:80")), Some(1), Some(1), Some(true))
        );
        assert_eq!((web.clients, web.sockets.as_slice()), (2, &[2, 3][..]));
        // Nothing listens there; nobody here has that address.
        let of = |port| f.rows.iter().find(|r| r.host.port == port).unwrap();
        assert_eq!((of(9090).listens, of(9090).target_netns), (Some(false), Some(1)));
        assert_eq!((of(7070).listens, of(7070).target_netns), (None, None));
    }

    #[test]
    fn the_real_client_is_known() {
        let snap = Engine::new().step(machine());
        // By the kernel's table.
        assert_eq!(snap.flow(2).unwrap().orig.0, end("203.0.113.5:50000"));
        assert_eq!(snap.flow(1), None);
        // By the proxy's two connections.
        assert_eq!(snap.other_end(5), Some(4));
        assert_eq!(snap.proxied(4), Some((3, true)));
        assert_eq!(snap.proxied(3), Some((4, true)));
        assert_eq!(snap.proxied(2), None);
        let client = |row| crate::diagnose::route::original_client(&snap, row).map(|(e, _)| e);
        assert_eq!(client(5), Some(end("127.0.0.1:41000")));
        assert_eq!((client(3), client(4)), (None, None), "they are on the client's side");
    }

    #[test]
    fn what_systemd_holds_is_served_by_whom_it_hands_it_to() {
        let mut sample = machine();
        // The manager of a user or of a container: not the first process of this machine.
        let mut manager = sample.processes[0].clone();
        let info = Arc::make_mut(&mut manager.info);
        (info.pid, info.comm, info.cmdline) = (5, "systemd".into(), "/lib/systemd/systemd --user".into());
        sample.processes.push(manager);
        let n = sample.sockets.len() as u64 + 1;
        let mut s = Socket::new(SocketId { netns: 0, cookie: n }, Family::Inet, Proto::Tcp, State::Listen);
        (s.inode, s.local, s.remote) = (n, end("0.0.0.0:6000"), Endpoint::new(Addr::ANY4, 0));
        sample.sockets.push(s);
        let held = |process, fd| Owner { inode: n, process, fd };
        let mut owners = sample.owners.to_vec();
        owners.extend([held(2, 30), held(0, 3)]);
        sample.owners = owners.clone().into();
        let served = |snap: &crate::model::Snapshot| {
            let rows = &snap.forwards.as_ref().unwrap().rows;
            let row = rows.iter().position(|f| f.host.port == 6000).unwrap();
            let column = crate::table::table("forwards").and_then(|t| t.column("pid")).unwrap();
            let by: Vec<_> = rows[row].ways().map(|s| s.by.name()).collect();
            (by, rows[row].listens, column.value(snap, row).number())
        };
        let snap = Engine::new().step(sample.clone());
        assert_eq!(served(&snap), (vec!["socket-activation"], Some(true), Some(10.0)), "nginx");
        // Nobody was started yet.
        owners.pop();
        sample.owners = owners.into();
        let snap = Engine::new().step(sample);
        assert_eq!(served(&snap), (vec!["socket-activation"], Some(true), Some(5.0)), "itself");
    }
}
