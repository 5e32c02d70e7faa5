//! Tracked connections: the socket rows they belong to, and the forwards they pass through.

use super::chain;
use super::context::{Context, IndexPairs, MAX_INDEXED_RANGE};
use crate::model::{Endpoint, Flow, Forward, ForwardKind, Proto, Scope, SocketId, State};
use rustc_hash::FxHashMap;

/// Several rows have these endpoints: none is assigned.
const AMBIGUOUS: u32 = u32::MAX;

/// Adds to each forward by a rule the connections that pass through it. Returns the flow of each socket row, and of flows that
/// several namespaces translate the previous one.
pub(super) fn match_flows(c: &Context<'_>, rows: &mut [Forward]) -> (IndexPairs, IndexPairs) {
    let all = &c.sample.flows;
    // Every namespace has its own loopback addresses; connections there are rarely translated.
    let loopback = |e: &Endpoint| e.addr.scope() == Scope::Loopback;
    let on_loopback = |f: &Flow| [f.orig.0, f.orig.1, f.reply.0, f.reply.1].iter().any(loopback);
    let any_on_loopback = all.iter().any(|f| f.is_redirected() && on_loopback(f));
    let mut loopback_rows: FxHashMap<(u16, Proto, Endpoint, Endpoint), u32> = FxHashMap::default();
    let mut by_ends: FxHashMap<(Proto, Endpoint, Endpoint), u32> = FxHashMap::default();
    let mut forwarded: FxHashMap<SocketId, u32> = FxHashMap::default();
    for (row, s) in c.sockets.iter().enumerate() {
        if s.state == State::Forwarded {
            forwarded.insert(s.id, row as u32);
        } else if !s.proto.is_inet() || s.remote.is_none() {
        } else if loopback(&s.local) || loopback(&s.remote) {
            if any_on_loopback {
                loopback_rows.insert((s.id.netns, s.proto, s.local, s.remote), row as u32);
            }
        } else {
            let known = by_ends.entry((s.proto, s.local, s.remote)).or_insert(row as u32);
            *known = if *known == row as u32 { *known } else { AMBIGUOUS };
        }
    }
    let mut by_port: FxHashMap<(u16, u16), Vec<usize>> = FxHashMap::default();
    let mut wide = Vec::new();
    for (i, f) in rows
        .iter()
        .enumerate()
        .filter(|(_, f)| f.known_via().any(|s| s.kind.is_rule() || s.kind == ForwardKind::Engine))
    {
        if f.host.port == 0 || f.last_port.saturating_sub(f.host.port) > MAX_INDEXED_RANGE {
            wide.push(i);
            continue;
        }
        for port in f.host.port..=f.last_port {
            by_port.entry((f.netns, port)).or_default().push(i);
        }
    }
    let mut out: FxHashMap<u32, u32> = FxHashMap::default();
    for (i, flow) in all.iter().enumerate() {
        let i = i as u32;
        if let Some(row) = forwarded.get(&flow.row_id()) {
            out.insert(*row, i);
        }
        let on_loopback = any_on_loopback && flow.is_redirected() && on_loopback(flow);
        let find = |(local, remote): (Endpoint, Endpoint)| {
            let here =
                on_loopback.then(|| loopback_rows.get(&(flow.netns, flow.proto, local, remote))).flatten();
            here.or_else(|| by_ends.get(&(flow.proto, local, remote))).filter(|r| **r != AMBIGUOUS)
        };
        let (at_target, at_client) = (find(flow.reply), find(flow.orig));
        for row in at_target.into_iter().chain(at_client) {
            // Of the flows of several namespaces, the one that is translated.
            let known = out.entry(*row).or_insert(i);
            if flow.is_redirected() && !all[*known as usize].is_redirected() {
                *known = i;
            }
        }
        if !flow.is_redirected() {
            continue;
        }
        let exact = by_port.get(&(flow.netns, flow.orig.1.port));
        let through = exact.into_iter().flatten().chain(&wide).copied().find(|f| rows[*f].translated(flow));
        if let Some(f) = through.filter(|_| !flow.is_over()) {
            rows[f].clients += 1;
            rows[f].sockets.extend(at_target);
        }
    }
    let mut out: Vec<(u32, u32)> = out.into_iter().collect();
    out.sort_unstable();
    (out, chain::earlier_flows(all))
}
