//! Port forwards: NAT rules, user-space proxies and published ports, joined with the target's listener and the connections
//! that pass through.

mod chain;
mod cmdline;
mod detect;
mod flows;
mod pairs;
mod published;
#[cfg(test)]
mod tests;

use crate::model::nat::Via;
use crate::model::snapshot::{Port, ProcessFacts, Rates, SocketFacts};
use crate::model::{
    Addr, Endpoint, Forward, ForwardKind, Forwards, NatRule, Proto, Sample, Scope, Socket, Unit,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// Pairs of indexes, in the order of the first.
type IndexPairs = Vec<(u32, u32)>;

/// Largest port range whose ports are indexed one by one.
const MAX_INDEXED_RANGE: u16 = 64;

/// The parts of the snapshot that forwards are derived from.
pub(super) struct Context<'a> {
    pub(super) sample: &'a Sample,
    /// The live rows.
    pub(super) sockets: &'a [Socket],
    pub(super) facts: &'a [SocketFacts],
    pub(super) rates: &'a [Rates],
    pub(super) ports: &'a [Port],
    pub(super) processes: &'a [ProcessFacts],
    pub(super) sockets_of: &'a [u32],
    pub(super) units: &'a [Unit],
}

impl<'a> Context<'a> {
    /// Rows of the sockets of a process.
    fn sockets_of(&self, process: usize) -> &'a [u32] {
        let (a, b) = self.processes.get(process).map_or((0, 0), |f| f.sockets);
        self.sockets_of.get(a as usize..b as usize).unwrap_or(&[])
    }
}

/// Derives the forwards of these NAT rules, of user-space proxies and of container engines.
pub(super) fn collect(c: &Context<'_>, rules: &[NatRule]) -> Forwards {
    let mut rows: Vec<Forward> = rules.iter().map(rule_forward).collect();
    detect::detect_proxies(c, &mut rows);
    rows = dedup_forwards(rows);
    published::add_published(c, &mut rows);
    rows.sort_by_key(|f| (f.netns, f.host.port, f.proto, f.host.addr));
    let netns_by_addr = unique_addresses(&c.sample.addresses);
    for f in &mut rows {
        resolve_target(c, f, &netns_by_addr);
    }
    chain::follow_chained(&mut rows);
    chain::clear_uncertain(c.sample, &mut rows);
    let (flows, earlier) = flows::match_flows(c, &mut rows);
    // The target of some proxies is known only from their connections.
    let without_target: Vec<bool> = rows.iter().map(|f| f.target.is_none()).collect();
    let pairs = pairs::proxy_pairs(c, &mut rows);
    for (f, _) in rows.iter_mut().zip(without_target).filter(|(_, without)| *without) {
        resolve_target(c, f, &netns_by_addr);
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

fn new_forward(netns: u16, proto: Option<Proto>, host: Endpoint, step: Via) -> Forward {
    Forward {
        netns,
        proto,
        host,
        bits: None,
        last_port: host.port,
        iface: None,
        via: vec![step],
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
    let host = Endpoint::new(r.dest.map_or(any, |(a, _)| a), first);
    let kind = if r.target.is_some() { ForwardKind::Dnat } else { ForwardKind::Redirect };
    let how = match (r.partial, r.conditions.is_empty()) {
        (false, _) => r.location.clone(),
        (true, true) => format!("{}, under more conditions", r.location),
        (true, false) => format!("{}, under more conditions: {}", r.location, r.conditions.join(", ")),
    };
    let how = match &r.shadowed_by {
        Some(place) => format!("{how}, never reached: {place} takes it"),
        None => how,
    };
    let step = Via { kind, detail: how, process: None, listener: None };
    // A range without target ports keeps its ports.
    let port = r.target_ports.map_or(if last > first { 0 } else { first }, |p| p.0);
    let whole = |a: &Addr| if a.is_v4() { 32 } else { 128 };
    Forward {
        bits: r.dest.filter(|(a, n)| *n < whole(a)).map(|(_, n)| n),
        last_port: last,
        iface: r.iface.clone(),
        target: Some(Endpoint::new(r.target.unwrap_or(any), port)),
        target_last: last_target(r, port),
        shadowed_by: r.shadowed_by.clone(),
        ..new_forward(r.netns, r.proto, host, step)
    }
}

/// The last endpoint of a rule with several targets.
fn last_target(r: &NatRule, port: u16) -> Option<Endpoint> {
    let addr = r.target_last.filter(|last| r.target.is_some_and(|first| first < *last));
    let last_port = r.target_ports.map_or(port, |p| p.1.max(port));
    let several = addr.is_some() || last_port > port;
    several.then(|| Endpoint::new(addr.or(r.target).unwrap_or(Addr::ANY4), last_port))
}

/// Merges rows of the same forward, such as Docker's rule and Docker's proxy.
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
                // A shadowed rule does not apply; another rule or a proxy may.
                let instead = o.shadowed_by.is_some() && f.shadowed_by.is_none();
                if instead {
                    o.via.retain(|s| f.via.iter().all(|k| k.kind != s.kind));
                    o.shadowed_by = None;
                }
                let new: Vec<Via> =
                    f.via.into_iter().filter(|s| !o.via.iter().any(|k| k.kind == s.kind)).collect();
                o.via.extend(new);
                o.target_netns = o.target_netns.or(f.target_netns);
            }
            None => out.push(f),
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

/// Finds the namespace of the target and the socket that serves it.
fn resolve_target(c: &Context<'_>, f: &mut Forward, netns_by_addr: &FxHashMap<Addr, u16>) {
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
    let port = c.ports.iter().filter(serves).max_by_key(|p| p.local.addr == target.addr);
    f.target_row = port.and_then(|p| p.sockets.first().copied());
    // Of several addresses some may be remote.
    f.listens = Some(f.target_row.is_some()).filter(|l| *l || last.addr == target.addr);
}

/// True if a listener on `local` accepts connections to `target`: `[::]` accepts IPv4 too.
fn accepts(local: &Addr, target: &Addr) -> bool {
    local.is_v4() == target.is_v4() || !local.is_v4() && local.is_any()
}
