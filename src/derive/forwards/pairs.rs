//! Connections of user-space proxies: the accepted one and the one to the target.

use super::context::Context;
use crate::model::nat::{Pair, Via};
use crate::model::snapshot::Direction;
use crate::model::{Endpoint, Forward, ForwardKind, Scope, Socket};

/// Pairs the connections that user-space proxies accepted with those they opened for them, and adds them to the forwards.
pub(super) fn proxy_pairs(c: &Context<'_>, rows: &mut [Forward]) -> Vec<Pair> {
    let sample = c.sample;
    let mut out = Vec::new();
    for f in rows.iter_mut() {
        let is_proxy = |s: &&Via| {
            !s.kind.is_rule() && !matches!(s.kind, ForwardKind::SocketActivation | ForwardKind::Engine)
        };
        let Some(by) = f.via.iter().find(is_proxy) else { continue };
        // It accepts a single client and stopped listening: the direction of its connections is unknown.
        let single = by.listener.is_none();
        let (host, by, program) = (f.host, by.kind, by.process);
        let accepted = |s: &Socket| {
            s.local.port == host.port
                && !s.remote.is_none()
                && (host.addr.is_any() || s.local.addr == host.addr)
        };
        // Inside the target namespace any address is the target.
        let inside = f.target_netns.filter(|n| *n != f.netns);
        let goes_to = |s: &Socket, t: Endpoint| {
            s.remote == t || s.remote.port == t.port && (t.addr.is_any() || inside == Some(s.id.netns))
        };
        // A proxy that forks a child for each client.
        let workers: Vec<usize> = match program {
            Some(p) => (0..sample.processes.len())
                .filter(|i| {
                    let (a, b) = (&sample.processes[*i].info, &sample.processes[p as usize].info);
                    *i == p as usize || a.ppid == b.pid && a.cmdline == b.cmdline
                })
                .collect(),
            None => Vec::new(),
        };
        for p in workers {
            let fd = |row: &u32| {
                let (a, b) = c.facts[*row as usize].owners;
                let owners = sample.owners.get(a as usize..b as usize).unwrap_or(&[]);
                owners.iter().find(|o| o.process as usize == p).map(|o| o.fd)
            };
            let mut ins: Vec<u32> = Vec::new();
            let mut outs: Vec<u32> = Vec::new();
            for row in c.sockets_of(p) {
                let s = &c.sockets[*row as usize];
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
                    let found = direct_peer(c, f, *row, inside);
                    let pair = |to| Pair { accepted: *row, connected: to, direct: true, certain: false };
                    out.extend(found.map(pair));
                    found.is_none()
                });
            }
            // All clients share one connection to the remote host.
            if by == ForwardKind::Ssh {
                continue;
            }
            let certain = ins.len() == 1 && outs.len() == 1;
            if let (true, None, [to]) = (certain, f.target, &outs[..]) {
                // Its only connection shows the target.
                let s = &c.sockets[*to as usize];
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

/// The target's socket of a connection accepted by a proxy that forwards packets: it has the same client port. `None` if
/// there is none, or more than one.
fn direct_peer(c: &Context<'_>, f: &Forward, accepted: u32, inside: Option<u16>) -> Option<u32> {
    let (inside, target) = (inside?, f.target?);
    let a = &c.sockets[accepted as usize];
    let at_target = |s: &Socket| {
        s.id.netns == inside
            && s.proto == a.proto
            && s.local.port == target.port
            && s.remote.port == a.remote.port
            && s.remote.addr.scope() != Scope::Loopback
    };
    let mut found = (0u32..).zip(c.sockets).filter(|(_, s)| at_target(s));
    let first = found.next()?;
    found.next().is_none().then_some(first.0)
}
