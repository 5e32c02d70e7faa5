//! Map of who talks to whom: nodes, and one edge for each client, server and service port.

use super::proto::Proto;
use super::state::StateCounts;

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
}

/// Nodes and edges.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Map {
    /// Nodes that an edge names.
    pub nodes: Vec<MapNode>,
    /// Edges, most connections first.
    pub edges: Vec<MapEdge>,
}
