//! Map of who talks to whom: connections added up by client, server and service port.

use crate::model::map::{Map, MapEdge, MapNode, MapNodeKind};
use crate::model::snapshot::{Direction, HostLink};
use crate::model::{Addr, Proto, Rates, Reads, Scope, Snapshot, State, StateCounts};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Most remote addresses of one service, or that one client connects to at one port, with an edge each.
const MAX_ADDRESSES: usize = 8;

/// True if the map can be derived: owners, units and local peers were read.
pub(super) fn is_wanted(snap: &Snapshot) -> bool {
    [Reads::OWNERS, Reads::CGROUPS, Reads::LOCAL_PEERS].into_iter().all(|r| snap.sample.wants.reads(r))
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    /// A node of this host, by its index.
    Local(u32),
    /// A remote address.
    Remote(Addr),
    /// Remote addresses of a scope.
    Remotes(Scope),
}

type Key = (End, End, Proto, u16);

/// Sums of one edge.
#[derive(Default)]
struct Sums {
    connections: u32,
    addrs: FxHashSet<Addr>,
    states: StateCounts,
    to_server: Option<f64>,
    to_client: Option<f64>,
    clients: Vec<u32>,
    servers: Vec<u32>,
    sockets: Vec<u32>,
    is_between_hosts: bool,
}

impl Sums {
    fn merge(&mut self, o: Self) {
        let add = |a: &mut Option<f64>, b: Option<f64>| {
            if let Some(b) = b {
                *a = Some(a.unwrap_or(0.0) + b);
            }
        };
        self.connections += o.connections;
        self.addrs.extend(o.addrs);
        self.states.merge(&o.states);
        add(&mut self.to_server, o.to_server);
        add(&mut self.to_client, o.to_client);
        self.clients.extend(o.clients);
        self.servers.extend(o.servers);
        self.sockets.extend(o.sockets);
        self.is_between_hosts |= o.is_between_hosts;
    }
}

/// Nodes of this host by the first process that owns a socket.
struct Nodes<'a> {
    snap: &'a Snapshot,
    /// Names begin with that of the host.
    named_by_host: bool,
    all: Vec<MapNode>,
    index: FxHashMap<MapNode, u32>,
    by_process: FxHashMap<u32, u32>,
    /// First process that listens at a port of a namespace.
    listeners: FxHashMap<(u16, Proto, u16), u32>,
}

/// The processes of listeners by namespace, protocol and port.
fn listeners(snap: &Snapshot) -> FxHashMap<(u16, Proto, u16), u32> {
    let by_port =
        snap.ports.iter().filter_map(|p| Some(((p.netns, p.proto, p.local.port), *p.processes.first()?)));
    // The first of several addresses.
    by_port.rev().collect()
}

impl<'a> Nodes<'a> {
    fn new(snap: &'a Snapshot, named_by_host: bool) -> Self {
        Self {
            snap,
            named_by_host,
            all: Vec::new(),
            index: FxHashMap::default(),
            by_process: FxHashMap::default(),
            listeners: listeners(snap),
        }
    }

    fn number(&mut self, node: MapNode) -> u32 {
        match self.index.entry(node) {
            Entry::Occupied(e) => *e.get(),
            Entry::Vacant(e) => {
                let n = self.all.len() as u32;
                self.all.push(e.key().clone());
                *e.insert(n)
            }
        }
    }

    /// The node of a socket: container, unit, process.
    fn socket_node(&mut self, row: usize) -> u32 {
        let snap = self.snap;
        let s = snap.socket(row);
        // A connection that was not accepted yet, or whose process has closed it, belongs to the service at its port.
        let of_port = || {
            let serves = snap.facts[row].direction == Direction::In;
            self.listeners.get(&(s.id.netns, s.proto, s.local.port)).filter(|_| serves).copied()
        };
        let process = snap.owners(row).first().map(|o| o.process).or_else(of_port);
        if let Some(n) = process.and_then(|p| self.by_process.get(&p)) {
            return *n;
        }
        let unit = match process {
            Some(p) => snap.unit_of_process(p as usize),
            None => snap.unit_of(row),
        };
        let service = || unit?.name.as_deref().filter(|n| n.strip_suffix(".scope").is_none());
        let host = if self.named_by_host { format!("{}/", snap.sample.host) } else { String::new() };
        let node = |kind, name: &str| MapNode { kind, name: format!("{host}{name}").into() };
        let node = if let Some(c) = unit.and_then(|u| u.container.as_ref()) {
            node(MapNodeKind::Container, c.label())
        } else if let Some(name) = service() {
            node(MapNodeKind::Unit, name)
        } else if let Some(p) = process.and_then(|p| snap.sample.processes.get(p as usize)) {
            node(MapNodeKind::Process, &p.info.name())
        } else {
            let why = snap.facts[row].owner_missing.map(|m| format!("unknown ({})", m.reason()));
            node(MapNodeKind::Unknown, why.as_deref().unwrap_or("unknown"))
        };
        let n = self.number(node);
        if let Some(p) = process {
            self.by_process.insert(p, n);
        }
        n
    }
}

/// Nodes of other hosts by the rows of this host whose connections they have, and whether they serve.
type Others = FxHashMap<u32, Other>;

/// Other end of a connection on another host.
struct Other {
    node: MapNode,
    /// Its local port.
    port: u16,
    /// The connection is counted there.
    is_counted: bool,
}

/// Derives the maps of several hosts whose connections were joined: nodes have the name of their host before their own, and
/// a connection between two hosts is an edge of the host of its client. Linear in their sockets.
pub(super) fn collect_joined(hosts: &[Arc<Snapshot>]) {
    let wanted: Vec<bool> = hosts.iter().map(|h| is_wanted(h)).collect();
    let links: Vec<Vec<HostLink>> = hosts.iter().map(|h| h.host_peers.links()).collect();
    // The end of each link as a node, by host and row.
    let mut ends: FxHashMap<(u32, u32), MapNode> = FxHashMap::default();
    for ((host, snap), (links, wanted)) in (0u32..).zip(hosts).zip(links.iter().zip(&wanted)) {
        let mut nodes = Nodes::new(snap, true);
        for link in links.iter().filter(|_| *wanted) {
            let node = nodes.socket_node(link.row as usize);
            ends.insert((host, link.row), nodes.all[node as usize].clone());
        }
    }
    for ((host, snap), (links, wanted)) in (0u32..).zip(hosts).zip(links.iter().zip(&wanted)) {
        let other = |l: &HostLink| {
            let node = ends.get(&(l.host, l.peer))?.clone();
            let there = hosts.get(l.host as usize)?;
            let serves = snap.facts.get(l.row as usize)?.direction == Direction::In;
            let is_served = there.facts.get(l.peer as usize)?.direction == Direction::In;
            let port = there.get_socket(l.peer as usize)?.local.port;
            // Counted once, at the client.
            let is_counted = (serves && !is_served) || (serves == is_served && l.host < host);
            Some((l.row, Other { node, port, is_counted }))
        };
        if *wanted {
            snap.host_peers.set_map(|| collect_with(snap, &links.iter().filter_map(other).collect(), true));
        }
    }
}

/// Derives the map of a snapshot. Linear in its sockets.
pub(super) fn collect(snap: &Snapshot) -> Map {
    collect_with(snap, &Others::default(), false)
}

fn collect_with(snap: &Snapshot, others: &Others, named_by_host: bool) -> Map {
    let mut nodes = Nodes::new(snap, named_by_host);
    let mut edges: FxHashMap<Key, Sums> = FxHashMap::default();
    for row in 0..snap.live {
        if let Some((key, sums)) = connection(snap, row, others, &mut nodes) {
            edges.entry(key).or_default().merge(sums);
        }
    }
    let edges = fold_addresses(edges);
    let mut out = Map::default();
    for ((client, server, proto, port), mut sums) in edges {
        let mut number = |end| {
            nodes.number(match end {
                End::Local(n) => return n,
                End::Remote(a) => MapNode { kind: MapNodeKind::Remote, name: a.to_string().into() },
                End::Remotes(scope) => {
                    MapNode { kind: MapNodeKind::Remotes, name: format!("{} addresses", scope.name()).into() }
                }
            })
        };
        for processes in [&mut sums.clients, &mut sums.servers] {
            processes.sort_unstable();
            processes.dedup();
        }
        out.edges.push(MapEdge {
            client: number(client),
            server: number(server),
            proto,
            port,
            connections: sums.connections,
            hosts: sums.addrs.len() as u32,
            states: sums.states,
            to_server: sums.to_server,
            to_client: sums.to_client,
            client_processes: sums.clients,
            server_processes: sums.servers,
            sockets: sums.sockets,
            is_between_hosts: sums.is_between_hosts,
        });
    }
    let name = |n: u32| &nodes.all[n as usize];
    out.edges.sort_by(|a, b| {
        let ends = |e: &MapEdge| (name(e.server), name(e.client), e.proto, e.port);
        b.connections.cmp(&a.connections).then_with(|| ends(a).cmp(&ends(b)))
    });
    out.nodes = nodes.all;
    out
}

/// The edge of a connection and its part of the sums; `None` for what is no connection, or is counted at its peer.
fn connection(snap: &Snapshot, row: usize, others: &Others, nodes: &mut Nodes<'_>) -> Option<(Key, Sums)> {
    let s = snap.socket(row);
    let is_open = !matches!(s.state, State::Listen | State::TimeWait | State::Closed | State::Forwarded);
    if !s.proto.is_inet() || s.remote.is_none() || !is_open {
        return None;
    }
    let serves = snap.facts[row].direction == Direction::In;
    let peer = snap.local_peer(row).filter(|p| *p < snap.live && *p != row);
    if let Some(p) = peer {
        let peer_serves = snap.facts[p].direction == Direction::In;
        // Counted once, at the client.
        if (serves && !peer_serves) || (serves == peer_serves && p < row) {
            return None;
        }
    }
    let elsewhere = others.get(&(row as u32)).filter(|_| peer.is_none());
    if elsewhere.is_some_and(|o| o.is_counted) {
        return None;
    }
    let own = End::Local(nodes.socket_node(row));
    let other = match (peer, elsewhere) {
        (Some(p), _) => End::Local(nodes.socket_node(p)),
        (None, Some(o)) => End::Local(nodes.number(o.node.clone())),
        (None, None) => End::Remote(s.remote.addr),
    };
    let processes = |row: usize| snap.owners(row).iter().map(|o| o.process).collect::<Vec<_>>();
    let Rates { rx, tx, .. } = snap.rates(row);
    let (rx, tx) = (rx.map(f64::from), tx.map(f64::from));
    let mut sums = Sums { connections: 1, ..Sums::default() };
    sums.states.add(s.state);
    sums.sockets.extend([row as u32].into_iter().chain(peer.map(|p| p as u32)));
    sums.is_between_hosts = elsewhere.is_some();
    if peer.is_none() && elsewhere.is_none() {
        sums.addrs.insert(s.remote.addr);
    }
    let others = peer.map_or_else(Vec::new, processes);
    Some(if serves {
        (sums.to_server, sums.to_client) = (rx, tx);
        (sums.clients, sums.servers) = (others, processes(row));
        ((other, own, s.proto, s.local.port), sums)
    } else {
        (sums.to_server, sums.to_client) = (tx, rx);
        (sums.clients, sums.servers) = (processes(row), others);
        // Through NAT the port of the service is that of its socket.
        ((own, other, s.proto, elsewhere.map_or(s.remote.port, |o| o.port)), sums)
    })
}

/// Replaces many remote addresses at one end by one node for each scope.
fn fold_addresses(edges: FxHashMap<Key, Sums>) -> FxHashMap<Key, Sums> {
    // The other end with protocol and port, and whether the remote end is the client.
    let group = |(client, server, proto, port): &Key| match (client, server) {
        (End::Remote(_), other) => Some((true, *other, *proto, *port)),
        (other, End::Remote(_)) => Some((false, *other, *proto, *port)),
        _ => None,
    };
    let mut count: FxHashMap<_, usize> = FxHashMap::default();
    for key in edges.keys() {
        if let Some(g) = group(key) {
            *count.entry(g).or_default() += 1;
        }
    }
    let mut out: FxHashMap<Key, Sums> = FxHashMap::default();
    for (key, sums) in edges {
        let many = group(&key).is_some_and(|g| count.get(&g).is_some_and(|n| *n > MAX_ADDRESSES));
        let fold = |end| match end {
            End::Remote(a) if many => End::Remotes(a.scope()),
            end => end,
        };
        let (client, server, proto, port) = key;
        out.entry((fold(client), fold(server), proto, port)).or_default().merge(sums);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Row, port, process, row, snapshot};

    const ESTABLISHED: State = State::Established;

    fn serving(mut r: Row) -> Row {
        r.direction = Direction::In;
        r.rates = Rates { rx: Some(100.0), tx: Some(900.0), retrans: None };
        r
    }

    fn calling(mut r: Row) -> Row {
        r.direction = Direction::Out;
        r.rates = Rates { rx: Some(7.0), tx: Some(3.0), retrans: None };
        r
    }

    /// `client -> server:port n, to server/to client, hosts`.
    fn lines(snap: &Snapshot) -> Vec<String> {
        let map = collect(snap);
        let name = |n: u32| format!("{} {}", map.nodes[n as usize].kind.name(), map.nodes[n as usize].name);
        let line = |e: &MapEdge| {
            let (to, back) = (e.to_server.unwrap_or(-1.0), e.to_client.unwrap_or(-1.0));
            format!(
                "{} -> {}:{} {} {to}/{back} {}",
                name(e.client),
                name(e.server),
                e.port,
                e.connections,
                e.hosts
            )
        };
        map.edges.iter().map(line).collect()
    }

    #[test]
    fn connection_within_the_host_is_counted_once_from_client_to_server() {
        let rows = vec![
            row(Proto::Tcp, State::Listen, "127.0.0.1:5432", "*", &[1]),
            serving(row(Proto::Tcp, ESTABLISHED, "127.0.0.1:5432", "127.0.0.1:40000", &[1])),
            calling(row(Proto::Tcp, ESTABLISHED, "127.0.0.1:40000", "127.0.0.1:5432", &[0])),
        ];
        let processes = vec![process(10, "api", 0, 1, 9), process(20, "postgres", 0, 1, 9)];
        let mut snap = snapshot(rows, processes, &[]);
        snap.local_peers = vec![u32::MAX, 2, 1];
        assert_eq!(lines(&snap), ["unit api.service -> unit postgres.service:5432 1 3/7 0"]);
        let edge = &collect(&snap).edges[0];
        assert_eq!((&*edge.client_processes, &*edge.server_processes), (&[0][..], &[1][..]));
    }

    #[test]
    fn connection_without_a_process_belongs_to_the_listener_at_its_port() {
        let rows = vec![
            row(Proto::Tcp, State::Listen, "0.0.0.0:443", "*", &[0]),
            serving(row(Proto::Tcp, ESTABLISHED, "10.0.0.4:443", "203.0.113.1:5000", &[])),
            calling(row(Proto::Tcp, State::FinWait1, "10.0.0.4:444", "203.0.113.2:443", &[])),
        ];
        let mut snap = snapshot(rows, vec![process(10, "nginx", 0, 1, 9)], &[]);
        snap.ports = vec![port(snap.socket(0).local, &[0], &[0])];
        let found = lines(&snap);
        assert!(found.iter().any(|l| l.contains("-> unit nginx.service:443")), "{found:?}");
        assert!(found.iter().any(|l| l.starts_with("unknown ")), "{found:?}");
    }

    #[test]
    fn remote_clients_and_servers_have_an_edge_each_until_there_are_many() {
        let clients = |n: u32| -> Vec<Row> {
            let remote = |i| format!("203.0.113.{i}:5000");
            (0..n).map(|i| serving(row(Proto::Tcp, ESTABLISHED, "10.0.0.4:443", &remote(i), &[0]))).collect()
        };
        let snap = |mut rows: Vec<Row>| {
            rows.push(calling(row(Proto::Tcp, ESTABLISHED, "10.0.0.4:40000", "10.0.0.9:5432", &[0])));
            rows.push(row(Proto::Tcp, State::TimeWait, "10.0.0.4:40001", "10.0.0.9:5432", &[]));
            snapshot(rows, vec![process(10, "nginx", 0, 1, 9)], &[])
        };
        assert_eq!(
            lines(&snap(clients(1))),
            [
                "remote 203.0.113.0 -> unit nginx.service:443 1 100/900 1",
                "unit nginx.service -> remote 10.0.0.9:5432 1 3/7 1",
            ]
        );
        assert_eq!(lines(&snap(clients(8))).len(), 9);
        let many = lines(&snap(clients(50)));
        assert_eq!(many.len(), 2, "{many:?}");
        assert!(many[0].ends_with("-> unit nginx.service:443 50 5000/45000 50"), "{many:?}");
    }

    #[test]
    fn connection_between_hosts_is_one_edge_of_the_host_of_its_client() {
        let on = |host: &str, row: Row, comm: &str| {
            let mut snap = snapshot(vec![row], vec![process(10, comm, 0, 1, 9)], &[]);
            snap.sample.host = host.into();
            snap.sample.wants.needs |= crate::model::Needs::LOCAL_PEERS | crate::model::Needs::CGROUPS;
            Arc::new(snap)
        };
        let client = row(Proto::Tcp, ESTABLISHED, "203.0.113.1:40000", "203.0.113.2:5432", &[0]);
        let server = row(Proto::Tcp, ESTABLISHED, "203.0.113.2:5432", "203.0.113.1:40000", &[0]);
        let hosts = [on("db", serving(server), "postgres"), on("web", calling(client), "api")];
        let link = |host| HostLink { row: 0, host, peer: 0, certain: true, nat: None };
        let weak: Arc<[_]> = hosts.iter().map(Arc::downgrade).collect();
        hosts[0].host_peers.set(vec![link(1)], Arc::clone(&weak));
        hosts[1].host_peers.set(vec![link(0)], weak);
        collect_joined(&hosts);
        assert!(hosts[0].map().edges.is_empty());
        let map = hosts[1].map();
        let [edge] = &map.edges[..] else { panic!("{}", map.edges.len()) };
        let name = |n: u32| &*map.nodes[n as usize].name;
        assert_eq!((name(edge.client), name(edge.server)), ("web/api.service", "db/postgres.service"));
        assert_eq!((edge.port, edge.connections, edge.hosts), (5432, 1, 0));
    }

    #[test]
    fn socket_without_visible_process_keeps_the_reason() {
        let rows = vec![calling(row(Proto::Tcp, ESTABLISHED, "10.0.0.4:40000", "10.0.0.9:5432", &[]))];
        let lines = lines(&snapshot(rows, vec![], &[]));
        assert!(lines[0].starts_with("unknown "), "{lines:?}");
    }
}
