//! Columns of the map: who talks to whom.

use super::cell::{any_comm, any_pid, na, process_names, protos, summed_rate};
use super::definition::{Grouping, Table, TableId};
use super::identity::Identity;
use crate::format::{Column, Kind, Needs, Role, Tone, Value};
use crate::model::map::{MapEdge, MapNode, MapNodeKind};
use crate::model::{Addr, Missing, Snapshot};

const MAP: Needs = Needs::LOCAL_PEERS.or(Needs::CGROUPS);

fn edge(snap: &Snapshot, row: usize) -> &MapEdge {
    &snap.map().edges[row]
}

fn client(snap: &Snapshot, row: usize) -> &MapNode {
    &snap.map().nodes[edge(snap, row).client as usize]
}

fn server(snap: &Snapshot, row: usize) -> &MapNode {
    &snap.map().nodes[edge(snap, row).server as usize]
}

fn kinds() -> Vec<&'static str> {
    MapNodeKind::ALL.iter().map(|(_, name)| *name).collect()
}

fn processes(
    snap: &Snapshot,
    node: fn(&Snapshot, usize) -> &MapNode,
    list: &[u32],
    row: usize,
) -> Value<'static> {
    let is_elsewhere = node(snap, row).kind.is_remote() || edge(snap, row).is_between_hosts;
    let why = if is_elsewhere { Missing::NotApplicable } else { Missing::NoVisibleProcess };
    match process_names(snap, list, why) {
        Value::Missing(m) => Value::Missing(m),
        v => Value::from(crate::format::exact(&v)),
    }
}

const fn tone(kind: MapNodeKind) -> Tone {
    match kind {
        MapNodeKind::Container => Tone::Accent,
        MapNodeKind::Unit | MapNodeKind::Process => Tone::Strong,
        MapNodeKind::Remote | MapNodeKind::Remotes => Tone::Plain,
        MapNodeKind::Unknown => Tone::Dim,
    }
}

/// The service: name of the server and port.
fn service(snap: &Snapshot, row: usize) -> Value<'_> {
    let name = &server(snap, row).name;
    let port = edge(snap, row).port;
    Value::from(if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") })
}

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column::new("from", "CLIENT", Kind::Text, 0, |s, r| Value::text(&client(s, r).name),
        "Client: container, systemd unit, processes of one name, or remote address.")
        .tone(|s, r| tone(client(s, r).kind)).called(&["client", "source"]).needs(MAP).wide(12, 26, 60),
    Column::new("to", "SERVICE", Kind::Text, 0, service,
        "Server and port: container, systemd unit, processes of one name, or remote address.")
        .tone(|s, r| tone(server(s, r).kind)).called(&["service"]).needs(MAP).wide(14, 28, 66),
    Column::new("proto", "PROTO", Kind::Text, 5, |s, r| Value::text(edge(s, r).proto.name()), "Transport protocol.")
        .role(Role::Proto).dim().values(protos).called(&["protocol", "netid"]).needs(MAP).wide(5, 5, 8),
    Column::new("connections", "CONNS", Kind::Count, 1, |s, r| Value::from(u64::from(edge(s, r).connections)),
        "Connections; those between shown hosts are counted once.").called(&["conns", "sockets"]).needs(MAP),
    Column::new("hosts", "HOSTS", Kind::Count, 6, |s, r| match edge(s, r).hosts {
            0 => na(),
            n => Value::from(u64::from(n)),
        }, "Distinct remote addresses; none between shown hosts.").needs(MAP),
    Column::new("request_rate", "REQUEST/s", Kind::BytesPerSec, 4,
        |s, r| summed_rate(edge(s, r).to_server, &edge(s, r).states),
        "Bytes per second from the client to the server.").called(&["request"]).needs(MAP.or(Needs::RATES)).wide(8, 11, 11),
    Column::new("reply_rate", "REPLY/s", Kind::BytesPerSec, 4,
        |s, r| summed_rate(edge(s, r).to_client, &edge(s, r).states),
        "Bytes per second from the server to the client.").called(&["reply"]).needs(MAP.or(Needs::RATES)).wide(8, 11, 11),
    Column::new("sockets_by_state", "STATES", Kind::States, 4, |s, r| Value::States(edge(s, r).states),
        "Connections by state.").called(&["states", "state"]).needs(MAP).wide(12, 24, 50)
        .any(|s, r, t| edge(s, r).states.present().any(|(st, _)| t(&Value::State(st)))),
    Column::new("from_kind", "CLIENT KIND", Kind::Text, 20, |s, r| Value::text(client(s, r).kind.name()),
        "Kind of the client: container, unit, process, remote, remotes (several addresses), unknown.")
        .values(kinds).needs(MAP).wide(7, 11, 11),
    Column::new("from_process", "CLIENT PROCESS", Kind::Text, 8,
        |s, r| processes(s, client, &edge(s, r).client_processes, r),
        "Process of the client, and number of further processes.").needs(MAP).wide(12, 18, 30)
        .any(|s, r, t| any_comm(s, &edge(s, r).client_processes, Missing::NotApplicable, t)),
    Column::new("from_pid", "CLIENT PID", Kind::Id, 40,
        |s, r| first_pid(s, &edge(s, r).client_processes), "Process ID of the client; a filter finds each of them.").needs(MAP).wide(6, 10, 10)
        .any(|s, r, t| any_pid(s, &edge(s, r).client_processes, Missing::NotApplicable, t)),
    Column::new("to_node", "SERVER", Kind::Text, 30, |s, r| Value::text(&server(s, r).name),
        "Server without its port.").needs(MAP).wide(12, 26, 60),
    Column::new("to_kind", "SERVER KIND", Kind::Text, 21, |s, r| Value::text(server(s, r).kind.name()),
        "Kind of the server, as that of the client.").values(kinds).needs(MAP).wide(7, 11, 11),
    Column::new("to_process", "SERVER PROCESS", Kind::Text, 7,
        |s, r| processes(s, server, &edge(s, r).server_processes, r),
        "Process of the server, and number of further processes.").needs(MAP).wide(12, 18, 30)
        .any(|s, r, t| any_comm(s, &edge(s, r).server_processes, Missing::NotApplicable, t)),
    Column::new("to_pid", "SERVER PID", Kind::Id, 41,
        |s, r| first_pid(s, &edge(s, r).server_processes), "Process ID of the server; a filter finds each of them.").needs(MAP).wide(6, 10, 10)
        .any(|s, r, t| any_pid(s, &edge(s, r).server_processes, Missing::NotApplicable, t)),
    Column::new("to_port", "PORT", Kind::Port, 31, |s, r| Value::from(edge(s, r).port), "Port of the service.").called(&["port"]).needs(MAP).wide(5, 6, 15),
    super::host::HOSTNAME,
];

fn first_pid(snap: &Snapshot, list: &[u32]) -> Value<'static> {
    let first = list.first().and_then(|p| snap.sample.processes.get(*p as usize));
    Value::from_opt(first.map(|p| p.info.pid), Missing::NotApplicable)
}

fn identity(snap: &Snapshot, row: usize) -> Option<Identity> {
    use std::hash::{Hash, Hasher};
    let e = snap.map().edges.get(row)?;
    let node = |n: u32| snap.map().nodes.get(n as usize);
    let mut h = rustc_hash::FxHasher::default();
    (node(e.client)?, node(e.server)?).hash(&mut h);
    Some(Identity::Edge(e.proto, e.port, h.finish()))
}

fn remote(snap: &Snapshot, row: usize) -> Option<Addr> {
    let node = [client(snap, row), server(snap, row)].into_iter().find(|n| n.kind == MapNodeKind::Remote)?;
    node.name.parse().ok()
}

/// One row per client and service.
pub static MAP_TABLE: Table = Table {
    id: TableId::Map,
    name: "map",
    title: "Map",
    noun: "edges",
    singular: "edge",
    help: "Who talks to whom: connections and rates from each container, unit, process or remote address to each service.",
    columns: COLUMNS,
    defaults: &[
        "from",
        "to",
        "proto",
        "connections",
        "hosts",
        "request_rate",
        "reply_rate",
        "sockets_by_state",
    ],
    wide_columns: &["from_process", "to_process"],
    in_gauge: &[],
    netns_after: None,
    words: &["from", "to", "from_process", "to_process", "to_port"],
    order: &[("connections", true), ("to", false), ("from", false)],
    groupings: &[Grouping::FLAT, Grouping::by("from", "client"), Grouping::by("to", "service")],
    always_needs: MAP,
    topic: "connection",
    len: |s| s.map().edges.len(),
    live: |s| s.map().edges.len(),
    identity,
    owners: |_, _| Vec::new(),
    process_of: |s, r| {
        let e = s.map().edges.get(r)?;
        e.server_processes.first().or(e.client_processes.first()).copied()
    },
    sockets: |s, r| s.map().edges.get(r).map_or_else(Vec::new, |e| e.sockets.clone()),
    remote_of: remote,
    unread: super::unread_sockets,
};
