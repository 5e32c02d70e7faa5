//! Port forwards: NAT rules, user-space proxies and published ports, joined with the target's listener and the connections
//! that pass through.

mod chain;
mod cmdline;
mod context;
mod detect;
mod flows;
mod pairs;
mod published;
mod row;
#[cfg(test)]
mod tests;

use super::nat_rules::NatRule;
use crate::model::nat::Via;
use crate::model::snapshot::Port;
use crate::model::{Addr, Endpoint, Forward, ForwardKind, Forwards, Hooks, Proto, Scope};
pub(super) use context::Context;
use row::new_forward;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// Derives the forwards of these NAT rules, of user-space proxies and of container engines.
pub(super) fn collect(c: &Context<'_>, rules: &[NatRule]) -> Forwards {
    let mut rows: Vec<Forward> = rules.iter().map(rule_forward).collect();
    detect::detect_proxies(c, &mut rows);
    rows = dedup_forwards(rows);
    published::add_published(c, &mut rows);
    rows.sort_by_key(|f| (f.netns, f.host.port, f.proto, f.host.addr));
    let lookup = Lookup::new(c);
    for f in &mut rows {
        resolve_target(&lookup, f);
    }
    chain::follow_chained(&mut rows);
    chain::clear_uncertain(c.sample, &mut rows);
    let (flows, earlier) = flows::match_flows(c, &mut rows);
    // The target of some proxies is known only from their connections.
    let without_target: Vec<bool> = rows.iter().map(|f| f.target.is_none()).collect();
    let pairs = pairs::proxy_pairs(c, &mut rows);
    for (f, _) in rows.iter_mut().zip(without_target).filter(|(_, without)| *without) {
        resolve_target(&lookup, f);
    }
    for f in &mut rows {
        if let Some(by) = f.shadowed_by.as_ref().filter(|_| f.clients == 0)
            && let Some(step) = f.via.iter_mut().find(|s| s.kind.is_rule())
        {
            step.detail.push_str(&format!(", never reached: {by} takes it"));
        }
        if f.sockets.is_empty() && !c.rates.is_empty() {
            (f.rx, f.tx) = (Some(0.0), Some(0.0));
        }
        for row in &f.sockets {
            if let Some(r) = c.rates.get(*row as usize).map(|r| r.unpack()) {
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

/// True if the process forwards connections, by its name and command line.
pub fn is_proxy(comm: &str, cmdline: &str) -> bool {
    !cmdline::parse(comm, cmdline).is_empty()
}

fn rule_forward(r: &NatRule) -> Forward {
    let any = if r.host.v6 { Addr::ANY6 } else { Addr::ANY4 };
    let (first, last) = r.host.ports.unwrap_or((0, 0));
    let host = Endpoint::new(r.host.addrs.map_or(any, |(a, _)| a), first);
    let mut names: Vec<&str> = r.conditions.iter().filter_map(|c| c.name.as_deref()).collect();
    names.dedup();
    let how = if names.is_empty() {
        r.location.clone()
    } else {
        format!("{}, under more conditions: {}", r.location, names.join(", "))
    };
    let step = Via { kind: r.kind, detail: how, process: None, listener: None };
    Forward {
        bits: r.host.bits,
        last_addr: r.host.addrs.filter(|(a, b)| r.host.bits.is_none() && a < b).map(|(_, b)| b),
        hooks: r.hooks,
        conditions: r.conditions.iter().map(|c| c.text.clone()).collect(),
        packets: r.packets.clone(),
        last_port: last,
        iface: r.iface.clone(),
        target: r.target,
        target_last: r.target_last,
        shadowed_by: r.shadowed_by.clone(),
        filtered: r.filtered.clone(),
        ..new_forward(r.netns, r.proto, host, step)
    }
}

/// Host endpoint and target, by which a rule and a proxy are the same forward.
type ForwardKey = (u16, Option<Proto>, Endpoint, u16, Option<Endpoint>);

fn forward_key(f: &Forward) -> ForwardKey {
    (f.netns, f.proto, f.host, f.last_port, f.target)
}

/// Merges rows of the same forward, such as Docker's rule and Docker's proxy. Rows of rules differ already.
fn dedup_forwards(all: Vec<Forward>) -> Vec<Forward> {
    let mut out: Vec<Forward> = Vec::with_capacity(all.len());
    let mut index: FxHashMap<ForwardKey, usize> = FxHashMap::default();
    for f in all {
        let is_rule = f.via.iter().any(|s| s.kind.is_rule());
        let known = index.get(&forward_key(&f)).copied().filter(|_| f.target.is_some());
        match known.and_then(|i| out.get_mut(i)).filter(|o| !is_rule || o.hooks == Hooks::default()) {
            Some(o) => {
                // A shadowed rule does not apply; a proxy does.
                if o.shadowed_by.take().is_some() {
                    o.via.clear();
                }
                let new: Vec<Via> =
                    f.via.into_iter().filter(|s| !o.via.iter().any(|k| k.kind == s.kind)).collect();
                o.via.extend(new);
                o.target_netns = o.target_netns.or(f.target_netns);
            }
            None => {
                // A proxy joins the rule for connections that arrive.
                if f.shadowed_by.is_none() && f.hooks != (Hooks { prerouting: false, output: true })
                    || known.is_none()
                {
                    index.entry(forward_key(&f)).or_insert(out.len());
                }
                out.push(f);
            }
        }
    }
    out
}

/// Namespace by address, of addresses that only one namespace has.
fn unique_addresses(addresses: &[(u16, Addr)]) -> FxHashMap<Addr, u16> {
    let mut out: FxHashMap<Addr, u16> = FxHashMap::default();
    let mut ambiguous = FxHashSet::default();
    for (netns, addr) in addresses {
        if out.insert(*addr, *netns).is_some_and(|o| o != *netns) {
            ambiguous.insert(*addr);
        }
    }
    out.retain(|a, _| !ambiguous.contains(a));
    out
}

/// Addresses and listening ports, for the targets of all forwards.
struct Lookup<'a> {
    /// Namespaces that were read.
    read: BTreeSet<u16>,
    netns_by_addr: FxHashMap<Addr, u16>,
    ports: &'a [Port],
    by_port: FxHashMap<u16, Vec<&'a Port>>,
}

impl<'a> Lookup<'a> {
    fn new(c: &Context<'a>) -> Self {
        let mut by_port: FxHashMap<u16, Vec<&Port>> = FxHashMap::default();
        for p in c.ports {
            by_port.entry(p.local.port).or_default().push(p);
        }
        Self {
            read: c.sample.read_namespaces(),
            netns_by_addr: unique_addresses(&c.sample.addresses),
            ports: c.ports,
            by_port,
        }
    }
}

/// Finds the namespace of the target and the socket that serves it.
fn resolve_target(lookup: &Lookup<'_>, f: &mut Forward) {
    let netns_by_addr = &lookup.netns_by_addr;
    let Some(target) = f.target else { return };
    // The target of an ssh tunnel is reached from the remote host.
    if f.via.iter().any(|s| s.kind == ForwardKind::Ssh) {
        return;
    }
    let own = target.addr.is_any() || target.addr.scope() == Scope::Loopback;
    let last = f.target_last.unwrap_or(target);
    let among = |a: &Addr| (target.addr..=last.addr).contains(a);
    let by_addr = || {
        let first = netns_by_addr
            .get(&target.addr)
            .or_else(|| netns_by_addr.iter().find(|(a, _)| among(a)).map(|(_, n)| n));
        if own { Some(f.netns) } else { first.copied() }
    };
    f.target_netns = f.target_netns.or_else(by_addr);
    let Some(netns) = f.target_netns else { return };
    // There may be several addresses, each in its own namespace.
    let at_target = |p: &Port| {
        if last.addr == target.addr {
            p.netns == netns && (p.local.addr == target.addr || p.local.addr.is_any() || target.addr.is_any())
        } else {
            among(&p.local.addr)
                || p.local.addr.is_any() && netns_by_addr.iter().any(|(a, n)| *n == p.netns && among(a))
        }
    };
    let serves = |p: &&Port| {
        f.proto.is_none_or(|proto| p.proto == proto)
            && if target.port == 0 {
                (f.host.port..=f.last_port).contains(&p.local.port)
            } else {
                (target.port..=last.port).contains(&p.local.port)
            }
            && at_target(p)
            && accepts(&p.local.addr, &target.addr)
    };
    let best = |a: &&Port, b: &&Port| (a.local.addr == target.addr).cmp(&(b.local.addr == target.addr));
    let port = if target.port != 0 && last.port == target.port {
        let there = lookup.by_port.get(&target.port).map_or(&[][..], Vec::as_slice);
        there.iter().copied().filter(serves).max_by(best)
    } else {
        lookup.ports.iter().filter(serves).max_by(best)
    };
    f.target_row = port.and_then(|p| p.sockets.first().copied());
    // Of several addresses some may be remote, and a namespace that was not read has no rows.
    let is_known = |listens: &bool| *listens || last.addr == target.addr && lookup.read.contains(&netns);
    f.listens = Some(f.target_row.is_some()).filter(is_known);
}

/// True if a listener on `local` accepts connections to `target`: `[::]` accepts IPv4 too.
fn accepts(local: &Addr, target: &Addr) -> bool {
    local.is_v4() == target.is_v4() || !local.is_v4() && local.is_any()
}
