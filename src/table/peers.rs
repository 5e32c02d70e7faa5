//! The columns of the table of peers: remote addresses.

use super::cell::{any_comm, any_pid, holders, host, info, list, scope_tone, scopes};
use super::{Grouping, Table, TableId};
use crate::format::{Column, Kind, Needs, Role, Value};
use crate::model::snapshot::Peer;
use crate::model::{Container, Missing, Reads, Snapshot};

const RATES: Needs = Needs::RATES;

fn at(snap: &Snapshot, row: usize) -> &Peer {
    &snap.peers[row]
}

fn why(snap: &Snapshot) -> Missing {
    if snap.sample.wants.reads(Reads::OWNERS) { Missing::NoVisibleProcess } else { Missing::NotRead }
}

fn comm_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    any_comm(snap, snap.processes_with(at(snap, row)), why(snap), test)
}

fn states_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    at(snap, row).states.present().any(|(s, _)| test(&Value::State(s)))
}

/// The container whose address it is.
fn container(snap: &Snapshot, row: usize) -> Value<'_> {
    let addr = at(snap, row).addr;
    let found = snap.sample.containers.iter().find(|c| c.addrs.contains(&addr));
    Value::from_opt(found.map(Container::label), Missing::NotApplicable)
}

static COLUMNS: &[Column] = &[
    Column::new("addr", "ADDRESS", Kind::Addr, 0, |s, r| Value::Addr(at(s, r).addr), "The remote address.")
        .role(Role::RemoteAddr)
        .called(&["address", "remote", "remote_addr", "host", "peer", "dst"])
        .wide(12, 21, 39),
    Column::new(
        "remote_host",
        "NAME",
        Kind::Text,
        42,
        |s, r| host(s, Value::Addr(at(s, r).addr)),
        "Its name, as the system's resolver tells it (--resolve, n in the dashboard).",
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
        "Container of this machine that has the address, as its engine tells.",
    )
    .called(&["ctr"])
    .wide(9, 14, 32),
    Column::new(
        "scope",
        "SCOPE",
        Kind::Text,
        5,
        |s, r| Value::text(at(s, r).scope.name()),
        "How far the address reaches: loopback, link-local, private, multicast, public.",
    )
    .tone(|s, r| scope_tone(at(s, r).addr.scope()))
    .values(scopes)
    .called(&["remote_scope"])
    .wide(6, 10, 10),
    Column::new(
        "connections",
        "CONNS",
        Kind::Count,
        1,
        |s, r| Value::from(at(s, r).sockets.len() as u64),
        "Sockets connected with it.",
    )
    .called(&["conns", "sockets", "clients"]),
    Column::new(
        "sockets_by_state",
        "STATES",
        Kind::States,
        4,
        |s, r| Value::States(at(s, r).states),
        "Its connections, by state.",
    )
    .called(&["states", "state"])
    .wide(8, 24, 60)
    .any(states_any),
    Column::new(
        "ports",
        "PORTS",
        Kind::Count,
        6,
        |s, r| Value::from(at(s, r).ports),
        "Different ports used with it: its own where this machine connected, ours where it did.",
    ),
    Column::new(
        "owner",
        "PROCESS",
        Kind::Text,
        2,
        |s, r| holders(s, s.processes_with(at(s, r)), why(s)),
        "The process that talks with it, and how many more do.",
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
            s.processes_with(at(s, r))
                .first()
                .map_or_else(|| Value::Missing(why(s)), |p| Value::text(&info(s, *p as usize).comm))
        },
        "Command name of the first process that talks with it. A filter looks at all of them.",
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
            s.processes_with(at(s, r))
                .first()
                .map_or_else(|| Value::Missing(why(s)), |p| Value::from(info(s, *p as usize).pid))
        },
        "Process id of the first process that talks with it. A filter looks at all of them.",
    )
    .needs(Needs::OWNERS)
    .any(|s, r, t| any_pid(s, s.processes_with(at(s, r)), why(s), t)),
    Column::new(
        "processes",
        "PROCESSES",
        Kind::List,
        42,
        |s, r| list(s, s.processes_with(at(s, r))),
        "Every process that talks with it.",
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
        |s, r| Value::from_opt(at(s, r).rx, Missing::Pending),
        "Bytes received from it a second.",
    )
    .role(Role::Rx)
    .called(&["rx_per_s"])
    .needs(RATES),
    Column::new(
        "tx",
        "TX/s",
        Kind::BytesPerSec,
        3,
        |s, r| Value::from_opt(at(s, r).tx, Missing::Pending),
        "Bytes sent to it a second.",
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
            let secs = s.sample.at.boot_ns.saturating_sub(at(s, r).first_seen_ns) as f64 / 1e9;
            // Of the first poll this says nothing at all.
            if at(s, r).older && secs < 1.0 {
                Value::Missing(Missing::NotReported)
            } else {
                Value::from(secs)
            }
        },
        "Since it was first seen; at least that for one older than this program.",
    )
    .role(Role::Age)
    .dim()
    .called(&["age"])
    .wide(4, 5, 8),
];

/// One row a remote address.
pub static PEERS: Table = Table {
    id: TableId::Peers,
    name: "peers",
    title: "Peers",
    noun: "peers",
    help: "Every remote address with its connections and rates.",
    columns: COLUMNS,
    defaults: &["addr", "scope", "connections", "ports", "owner", "rx", "tx", "sockets_by_state", "age_s"],
    wide_columns: &[],
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
    remote_of: |s, r| s.peers.get(r).map(|p| p.addr),
    unread: |_| Vec::new(),
};
