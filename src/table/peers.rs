//! Columns of the table of peers: remote addresses.

use super::cell::{
    any_comm, any_pid, host_name, peer_scope_tone, proc_info, process_list, process_names, scopes,
    summed_rate,
};
use super::definition::{Grouping, Table, TableId};
use super::event_columns::event_column;
use crate::format::{Column, Kind, Needs, Role, Tone, Value};
use crate::model::snapshot::Peer;
use crate::model::{Container, Endpoint, Missing, Reads, Snapshot};

const RATES: Needs = Needs::RATES;

fn peer(snap: &Snapshot, row: usize) -> &Peer {
    &snap.peers[row]
}

fn no_owner_reason(snap: &Snapshot) -> Missing {
    if snap.sample.wants.reads(Reads::OWNERS) { Missing::NoVisibleProcess } else { Missing::NotRead }
}

fn comm_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    any_comm(snap, snap.processes_with(peer(snap, row)), no_owner_reason(snap), test)
}

fn states_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    peer(snap, row).states.present().any(|(s, _)| test(&Value::State(s)))
}

/// The address, a link-local one with its interface.
fn address(snap: &Snapshot, row: usize) -> Value<'_> {
    let p = peer(snap, row);
    match p.zone {
        (_, 0) => Value::Addr(p.addr),
        (netns, iface) => {
            let end = Endpoint::new(p.addr, 0);
            Value::Zoned { end, with_port: false, zone: snap.iface_or_index(netns, iface) }
        }
    }
}

/// The local container with this address.
fn container(snap: &Snapshot, row: usize) -> Value<'_> {
    let addr = peer(snap, row).addr;
    let found = snap.sample.containers.iter().find(|c| c.addrs.contains(&addr));
    Value::from_opt(found.map(Container::label), Missing::NotApplicable)
}

static COLUMNS: &[Column] = &[
    Column::new(
        "addr",
        "ADDRESS",
        Kind::Addr,
        0,
        address,
        "Remote address; a link-local address is one peer per interface: fe80::2%eth0.",
    )
    .role(Role::RemoteAddr)
    .called(&["address", "remote", "remote_addr", "host", "peer", "dst"])
    .wide(12, 21, 39),
    Column::new(
        "remote_host",
        "NAME",
        Kind::Text,
        42,
        |s, r| host_name(s, Value::Addr(peer(s, r).addr)),
        "DNS name of the address (--resolve, n in the dashboard).",
    )
    .role(Role::RemoteHost)
    .called(&["name"])
    .wide(10, 24, 47),
    Column::new(
        "container",
        "CONTAINER",
        Kind::Text,
        8,
        container,
        "Local container with this address, as reported by the engine.",
    )
    .called(&["ctr"])
    .wide(9, 14, 32),
    Column::new(
        "scope",
        "SCOPE",
        Kind::Text,
        5,
        |s, r| Value::text(peer(s, r).scope.name()),
        "Scope of the address: loopback, link-local, private, multicast, public.",
    )
    .tone(|s, r| peer_scope_tone(peer(s, r).addr.scope()))
    .values(scopes)
    .called(&["remote_scope"])
    .wide(6, 10, 10),
    Column::new(
        "connections",
        "CONNS",
        Kind::Count,
        1,
        |s, r| Value::from(peer(s, r).sockets.len() as u64),
        "Connections with the address.",
    )
    .called(&["conns", "sockets", "clients"]),
    Column::new(
        "sockets_by_state",
        "STATES",
        Kind::States,
        4,
        |s, r| Value::States(peer(s, r).states),
        "Connections by state.",
    )
    .called(&["states", "state"])
    .wide(8, 24, 60)
    .any(states_any),
    Column::new(
        "ports",
        "PORTS",
        Kind::Count,
        6,
        |s, r| Value::from(peer(s, r).ports),
        "Distinct server ports: remote ones of outgoing connections, local ones of incoming connections.",
    ),
    Column::new(
        "owner",
        "PROCESS",
        Kind::Text,
        2,
        |s, r| process_names(s, s.processes_with(peer(s, r)), no_owner_reason(s)),
        "Process with connections to it, and number of further processes.",
    )
    .role(Role::Owner)
    .called(&["held_by"])
    .wide(8, 16, 32)
    .needs(Needs::OWNERS)
    .any(comm_any),
    Column::new(
        "process",
        "COMMAND",
        Kind::Text,
        40,
        |s, r| {
            s.processes_with(peer(s, r)).first().map_or_else(
                || Value::Missing(no_owner_reason(s)),
                |p| Value::text(&proc_info(s, *p as usize).comm),
            )
        },
        "Command name of the first process with connections to it. A filter tests all of them.",
    )
    .role(Role::Process)
    .called(&["proc", "comm", "program"])
    .wide(6, 15, 24)
    .needs(Needs::OWNERS)
    .any(comm_any),
    Column::new(
        "pid",
        "PID",
        Kind::Id,
        41,
        |s, r| {
            s.processes_with(peer(s, r)).first().map_or_else(
                || Value::Missing(no_owner_reason(s)),
                |p| Value::from(proc_info(s, *p as usize).pid),
            )
        },
        "Process ID of the first process with connections to it. A filter tests all of them.",
    )
    .needs(Needs::OWNERS)
    .any(|s, r, t| any_pid(s, s.processes_with(peer(s, r)), no_owner_reason(s), t)),
    Column::new(
        "processes",
        "PROCESSES",
        Kind::List,
        42,
        |s, r| process_list(s, s.processes_with(peer(s, r))),
        "Every process with connections to it.",
    )
    .role(Role::Owners)
    .needs(Needs::OWNERS)
    .wide(8, 24, 60)
    .any(comm_any),
    Column::new(
        "rx",
        "RX/s",
        Kind::BytesPerSec,
        3,
        |s, r| summed_rate(peer(s, r).rx, &peer(s, r).states),
        "Bytes received from it per second.",
    )
    .role(Role::Rx)
    .called(&["rx_per_s"])
    .needs(RATES),
    Column::new(
        "tx",
        "TX/s",
        Kind::BytesPerSec,
        3,
        |s, r| summed_rate(peer(s, r).tx, &peer(s, r).states),
        "Bytes sent to it per second.",
    )
    .role(Role::Tx)
    .called(&["tx_per_s"])
    .needs(RATES),
    Column::new(
        "age_s",
        "AGE",
        Kind::Secs,
        7,
        |s, r| {
            let secs = s.sample.at.boot_ns.saturating_sub(peer(s, r).first_seen_ns) as f64 / 1e9;
            // In the first poll this is not known.
            match peer(s, r).preexisting {
                true if secs < 1.0 => Value::Missing(Missing::NotReported),
                true => Value::AtLeast(secs),
                false => Value::from(secs),
            }
        },
        "Time since it was first seen; a lower bound if it predates sockscope.",
    )
    .role(Role::Age)
    .dim()
    .called(&["age"])
    .wide(4, 7, 8),
    event_column!(peers, opened_per_s),
    event_column!(peers, failed_per_s).tone(|s, r| {
        if s.events.window.peers.get(r).is_some_and(|w| w.failed > 0) { Tone::Warning } else { Tone::Plain }
    }),
    event_column!(peers, closed_per_s),
    event_column!(peers, duration_p50_us),
    event_column!(peers, duration_p99_us),
    super::host::HOSTNAME,
];

/// One row per remote address.
pub static PEERS: Table = Table {
    id: TableId::Peers,
    name: "peers",
    title: "Peers",
    noun: "peers",
    singular: "peer",
    help: "Every remote address with its connections and rates.",
    columns: COLUMNS,
    defaults: &["addr", "scope", "connections", "ports", "owner", "rx", "tx", "sockets_by_state", "age_s"],
    wide_columns: &["opened_per_s", "failed_per_s", "duration_p50_us", "duration_p99_us"],
    in_gauge: &[],
    netns_after: None,
    words: &["addr", "scope", "process", "pid", "container"],
    order: &[("connections", true), ("addr", false)],
    groupings: &[Grouping::FLAT],
    always_needs: Needs::NONE,
    topic: "socket",
    len: |s| s.peers.len(),
    live: |s| s.peers.len(),
    identity: crate::table::identity::peer,
    owners: |_, _| Vec::new(),
    process_of: |_, _| None,
    sockets: |s, r| s.peers.get(r).map_or_else(Vec::new, |p| s.sockets_with(p).to_vec()),
    remote_of: |s, r| s.peers.get(r).map(|p| p.addr),
    unread: super::unread_sockets,
};
