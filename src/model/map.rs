//! Map of who talks to whom: nodes, and one edge for each client, server and service port.

use super::proto::Proto;
use super::state::StateCounts;
use rustc_hash::FxHashMap;

/// Kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapNodeKind {
    /// Container.
    Container,
    /// Systemd unit outside containers.
    Unit,
    /// Processes of one name without unit or container.
    Process,
    /// Remote address.
    Remote,
    /// Several remote addresses of one scope.
    Remotes,
    /// Socket of this host whose process is not visible.
    Unknown,
}

impl MapNodeKind {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Container, "container"),
        (Self::Unit, "unit"),
        (Self::Process, "process"),
        (Self::Remote, "remote"),
        (Self::Remotes, "remotes"),
        (Self::Unknown, "unknown"),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// True for a node of another host.
    pub const fn is_remote(self) -> bool {
        matches!(self, Self::Remote | Self::Remotes)
    }
}

/// A node of the map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapNode {
    /// Its kind.
    pub kind: MapNodeKind,
    /// Its name as the machine reports it. Not escaped.
    pub name: Box<str>,
}

/// Connections of one client to one service.
#[derive(Clone, Debug, PartialEq)]
pub struct MapEdge {
    /// Index of the client in [`Map::nodes`].
    pub client: u32,
    /// Index of the server in [`Map::nodes`].
    pub server: u32,
    /// Transport protocol.
    pub proto: Proto,
    /// Port of the service.
    pub port: u16,
    /// Connections, those within this host once.
    pub connections: u32,
    /// Distinct remote addresses; 0 for connections within this host.
    pub hosts: u32,
    /// Connections by state of the counted socket.
    pub states: StateCounts,
    /// Bytes per second from the client to the server.
    pub to_server: Option<f64>,
    /// Bytes per second from the server to the client.
    pub to_client: Option<f64>,
    /// Processes of the client, ordered; empty for a remote one.
    pub client_processes: Vec<u32>,
    /// Processes of the server, ordered; empty for a remote one.
    pub server_processes: Vec<u32>,
    /// Rows of the connections, and of their local peers.
    pub sockets: Vec<u32>,
    /// True if one end is a service of another host that is shown, whose processes are not those of this one.
    pub is_between_hosts: bool,
}

/// Nodes and edges.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Map {
    /// Nodes that an edge names.
    pub nodes: Vec<MapNode>,
    /// Edges, most connections first.
    pub edges: Vec<MapEdge>,
}

impl Map {
    /// Map of these edges, each by its map and its index there; equal nodes are one. Their processes and sockets are left out, as
    /// they are numbers of one host.
    pub fn of_edges<'a>(edges: impl Iterator<Item = (&'a Self, usize)>) -> Self {
        let (mut out, mut known) = (Self::default(), FxHashMap::default());
        for (map, edge) in edges {
            let mut number = |n: u32| {
                let node = map.nodes.get(n as usize)?;
                Some(*known.entry(node).or_insert_with(|| {
                    out.nodes.push(node.clone());
                    out.nodes.len() as u32 - 1
                }))
            };
            let Some(e) = map.edges.get(edge) else { continue };
            let (Some(client), Some(server)) = (number(e.client), number(e.server)) else { continue };
            let (client_processes, server_processes, sockets) = (Vec::new(), Vec::new(), Vec::new());
            out.edges.push(MapEdge {
                client,
                server,
                client_processes,
                server_processes,
                sockets,
                ..e.clone()
            });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_nodes_of_two_maps_are_one() {
        let map = |client: &str| {
            let node = |kind, name: &str| MapNode { kind, name: name.into() };
            let edge = MapEdge {
                client: 1,
                server: 0,
                proto: Proto::Tcp,
                port: 5432,
                connections: 1,
                hosts: 0,
                states: StateCounts::default(),
                to_server: None,
                to_client: None,
                client_processes: vec![3],
                server_processes: vec![],
                sockets: vec![7],
                is_between_hosts: true,
            };
            let nodes = vec![node(MapNodeKind::Unit, "db/postgres"), node(MapNodeKind::Unit, client)];
            Map { nodes, edges: vec![edge] }
        };
        let (a, b) = (map("web-1/api"), map("web-2/api"));
        let all = Map::of_edges([(&a, 0), (&b, 0), (&b, 1)].into_iter());
        let names: Vec<&str> = all.nodes.iter().map(|n| &*n.name).collect();
        assert_eq!(names, ["web-1/api", "db/postgres", "web-2/api"]);
        let ends: Vec<_> = all.edges.iter().map(|e| (e.client, e.server, e.sockets.len())).collect();
        assert_eq!(ends, [(0, 1, 0), (2, 1, 0)]);
    }
}
