//! Ephemeral ports in use, counted as the kernel does when it looks for a free one.
//!
//! Three searches, each with a ceiling of its own:
//!
//! - connect(2) of an unbound TCP socket, or of one bound with `IP_BIND_ADDRESS_NO_PORT` (`__inet_hash_connect`): a port is
//!   free if no connection has the same four values and no bound socket has the port, whatever its address. One ceiling per
//!   destination. `EADDRNOTAVAIL`.
//! - bind(2) of a TCP socket to port 0 (`inet_csk_find_open_port`): a port is free if no socket at all has it at this local
//!   address or at the wildcard, connections and `TIME_WAIT` included. One ceiling per local address. `EADDRINUSE`.
//! - bind(2) to port 0, connect(2) or send(2) of an unbound UDP socket (`udp_lib_get_port`): the same; connect and send
//!   search at the wildcard address, before the route chooses a local one. `EAGAIN`.

use super::context::Context;
use super::fullest::fullest_first;
use crate::model::limit::{Limit, LimitKind, LimitSubject, NetCounters};
use crate::model::snapshot::Direction;
use crate::model::{Addr, Endpoint, Proto, Socket, State};
use rustc_hash::FxHashMap;

/// Most destinations and local addresses with a row of ephemeral ports.
const MAX_ROUTES: usize = 10;

/// Length of `TIME_WAIT`, milliseconds (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_MS: u32 = 60_000;
/// Age from which connect(2) may take over a socket in `TIME_WAIT` (`tcp_tw_reuse`, `tcp_tw_reuse_delay`), milliseconds.
const REUSE_MS: u32 = 1_000;

/// A set of port numbers.
#[derive(Clone)]
struct PortSet(Box<[u64; 1024]>);

impl PortSet {
    fn new() -> Self {
        Self(Box::new([0; 1024]))
    }

    fn insert(&mut self, port: u16) {
        self.0[usize::from(port / 64)] |= 1 << (port % 64);
    }

    /// Number of ports in both sets.
    fn common(&self, other: &Self) -> u64 {
        self.0.iter().zip(&*other.0).map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    fn union(&mut self, other: &Self) {
        self.0.iter_mut().zip(&*other.0).for_each(|(a, b)| *a |= b);
    }

    fn len(&self) -> u64 {
        self.common(self)
    }
}

/// The ports that the kernel chooses from in one namespace.
struct Range {
    low: u16,
    /// All of them.
    ports: PortSet,
    /// Number of them that TCP is certain to find: it walks the range in steps of two from a random start, and of an odd
    /// number the last one may be left out.
    tcp: u64,
    /// `tcp_tw_reuse`.
    tw_reuse: u64,
}

impl Range {
    fn new(n: &NetCounters) -> Option<Self> {
        let (low, high, _) = n.ports?;
        let is_reserved = |p: u16| n.reserved_ports.iter().any(|(a, b)| (*a..=*b).contains(&p));
        let mut ports = PortSet::new();
        (low..=high).filter(|p| !is_reserved(*p)).for_each(|p| ports.insert(p));
        let odd = low < high && (high - low) % 2 == 0 && !is_reserved(high);
        let tcp = ports.len() - u64::from(odd);
        Some(Self { low, ports, tcp, tw_reuse: n.tw_reuse.unwrap_or(2) })
    }

    /// True if bind(2) prefers this port and connect(2) does not: they start with different parities, so that they do not
    /// take each other's ports.
    const fn is_bind_parity(&self, port: u16) -> bool {
        port.wrapping_sub(self.low) % 2 == 1
    }

    /// True if connect(2) takes the port over from this socket in `TIME_WAIT`.
    fn is_reusable(&self, s: &Socket) -> bool {
        let loopback = |a: Addr| a.scope() == crate::model::Scope::Loopback;
        let allowed = match self.tw_reuse {
            0 => false,
            1 => true,
            _ => loopback(s.local.addr) || loopback(s.remote.addr),
        };
        s.state == State::TimeWait && allowed && TIME_WAIT_MS.saturating_sub(s.timer.expires_ms) > REUSE_MS
    }
}

/// Connections from one address to one destination.
struct Route {
    ports: PortSet,
    /// Row of the first one.
    row: u32,
    /// Sockets at ports that bind(2) prefers, and the others.
    bind_parity: u32,
    connect_parity: u32,
}

/// Sockets of one protocol at one local address.
struct Local {
    ports: PortSet,
    /// Row of a client: not a listener, and not accepted from one.
    client: Option<u32>,
}

/// Rows of ephemeral ports, the fullest first.
pub(super) fn add_ports(c: &Context<'_>, out: &mut Vec<Limit>) {
    let Some(counters) = &c.sample.counters else { return };
    let mut all = Vec::new();
    for n in &counters.nets {
        let Some(range) = Range::new(n) else { continue };
        add_tcp(c, n.netns, &range, &mut all);
        add_udp(c, n.netns, &range, &mut all);
    }
    all.sort_by(|a, b| {
        let key = |l: &Limit| (l.used, l.max.unwrap_or(0));
        fullest_first(key(a), key(b)).then_with(|| order(&a.subject).cmp(&order(&b.subject)))
    });
    all.truncate(MAX_ROUTES);
    out.extend(all);
}

/// Order of rows that are equally full.
fn order(s: &LimitSubject) -> (u8, Option<(Addr, Endpoint)>, Option<Addr>) {
    match s {
        LimitSubject::Route(from, to) => (u8::MAX, Some((*from, *to)), None),
        LimitSubject::LocalPorts(proto, addr) => (*proto as u8, None, Some(*addr)),
        _ => (0, None, None),
    }
}

fn in_netns<'a>(c: &'a Context<'_>, netns: u16, proto: Proto) -> impl Iterator<Item = (usize, &'a Socket)> {
    let sockets = c.sockets.iter().enumerate().take(c.facts.len());
    sockets.filter(move |(_, s)| s.id.netns == netns && s.proto == proto && s.local.port != 0)
}

/// Row of one ceiling, with the first owner of this socket.
fn row(
    c: &Context<'_>,
    netns: u16,
    subject: LimitSubject,
    used: u64,
    max: u64,
    socket: Option<u32>,
) -> Limit {
    let mut l = Limit::new(LimitKind::Ports, netns, subject, used, Some(max.max(1)));
    let owners = socket.and_then(|r| c.facts.get(r as usize)).map_or((0, 0), |f| f.owners);
    l.process =
        c.sample.owners.get(owners.0 as usize..owners.1 as usize).and_then(|o| o.first()).map(|o| o.process);
    l
}

fn add_tcp(c: &Context<'_>, netns: u16, range: &Range, out: &mut Vec<Limit>) {
    let mut routes: FxHashMap<(Addr, Endpoint), Route> = FxHashMap::default();
    let mut locals: FxHashMap<Addr, Local> = FxHashMap::default();
    // Ports of bound sockets: no connect(2) takes one, whatever the destination.
    let mut bound = PortSet::new();
    for (row, s) in in_netns(c, netns, Proto::Tcp) {
        let port = s.local.port;
        // Accepted connections share the port of their listener, which stays bound when the listener is closed.
        let client = s.state != State::Listen && c.facts[row].direction != Direction::In;
        let local =
            locals.entry(s.local.addr).or_insert_with(|| Local { ports: PortSet::new(), client: None });
        local.ports.insert(port);
        if !client || s.remote.is_none() {
            bound.insert(port);
            continue;
        }
        local.client.get_or_insert(row as u32);
        let new = || Route { ports: PortSet::new(), row: row as u32, bind_parity: 0, connect_parity: 0 };
        let route = routes.entry((s.local.addr, s.remote)).or_insert_with(new);
        if range.is_bind_parity(port) {
            route.bind_parity += 1;
        } else {
            route.connect_parity += 1;
        }
        if !range.is_reusable(s) {
            route.ports.insert(port);
        }
    }
    // Sockets at ports of the parity of bind(2), although connect(2) still had others: they were bound before they connected.
    let half = range.tcp / 2;
    let is_bound_first =
        |r: &Route| r.bind_parity > 0 && u64::from(r.bind_parity + r.connect_parity) < half.max(2);
    let mut bind_first: FxHashMap<Addr, bool> = FxHashMap::default();
    for ((addr, _), r) in &routes {
        if is_bound_first(r) {
            bind_first.insert(*addr, true);
            bound.union(&r.ports);
        }
    }
    let size = range.tcp;
    for ((from, to), mut r) in routes {
        r.ports.union(&bound);
        let used = r.ports.common(&range.ports).min(size);
        if used > 0 {
            out.push(row(c, netns, LimitSubject::Route(from, to), used, size, Some(r.row)));
        }
    }
    for (addr, used, client) in used_at(&locals, &range.ports) {
        let used = used.min(size);
        if bind_first.contains_key(&addr) {
            out.push(row(c, netns, LimitSubject::LocalPorts(Proto::Tcp, addr), used, size, client));
        }
    }
}

fn add_udp(c: &Context<'_>, netns: u16, range: &Range, out: &mut Vec<Limit>) {
    for proto in [Proto::Udp, Proto::UdpLite] {
        let mut locals: FxHashMap<Addr, Local> = FxHashMap::default();
        for (row, s) in in_netns(c, netns, proto) {
            let local =
                locals.entry(s.local.addr).or_insert_with(|| Local { ports: PortSet::new(), client: None });
            local.ports.insert(s.local.port);
            local.client.get_or_insert(row as u32);
        }
        if locals.is_empty() {
            continue;
        }
        // connect(2) and send(2) search at the wildcard, where every socket is in the way; that of IPv6 covers IPv4.
        let size = range.ports.len();
        let six = locals.keys().any(|a| !a.is_v4());
        let four = locals.iter().filter(|(a, _)| a.is_v4() || **a == Addr::ANY6);
        let union = |ports: &mut dyn Iterator<Item = (&Addr, &Local)>| {
            let mut all = PortSet::new();
            let mut client = None;
            for (_, l) in ports {
                all.union(&l.ports);
                client = client.or(l.client);
            }
            (all.common(&range.ports), client)
        };
        let mut most = 0;
        let (used, client) = union(&mut { four });
        if used > 0 && locals.keys().any(|a: &Addr| a.is_v4()) {
            most = used;
            out.push(row(c, netns, LimitSubject::LocalPorts(proto, Addr::ANY4), used, size, client));
        }
        let (used, client) = union(&mut locals.iter());
        if used > 0 && six {
            most = most.max(used);
            out.push(row(c, netns, LimitSubject::LocalPorts(proto, Addr::ANY6), used, size, client));
        }
        for (addr, used, client) in used_at(&locals, &range.ports) {
            // A row at the wildcard with as many ports fails at the same time.
            if !addr.is_any() && used > 0 && used < most {
                out.push(row(c, netns, LimitSubject::LocalPorts(proto, addr), used, size, client));
            }
        }
    }
}

/// Ports of the range in use at each local address, those at the wildcard included, and the row of a client.
fn used_at(locals: &FxHashMap<Addr, Local>, range: &PortSet) -> Vec<(Addr, u64, Option<u32>)> {
    let at = |addr: Addr| locals.get(&addr).map(|l| &l.ports);
    let used = |addr: &Addr, l: &Local| {
        let mut all = l.ports.clone();
        // The IPv6 wildcard accepts IPv4 too, unless the socket is IPv6 only.
        let wildcards = [Addr::ANY6, Addr::ANY4];
        wildcards[..if addr.is_v4() { 2 } else { 1 }]
            .iter()
            .filter_map(|a| at(*a))
            .for_each(|w| all.union(w));
        all.common(range)
    };
    locals.iter().map(|(addr, l)| (*addr, used(addr, l), l.client)).collect()
}
