//! Columns of the table of ports: listening endpoints.

use super::cell::{
    accept_limit as listener_limit, any_comm, any_pid, applicable, na, netns_tone, proc_info, process_list,
    process_names, protos, scope_tone, scopes, summed_rate, user_value, without_port,
};
use super::definition::{Grouping, Table, TableId};
use super::event_columns::event_column;
use super::units::{self, unit_column};
use crate::format::{Column, Gauge, Kind, Needs, Role, RowProtos, TextMatch, Tone, Value};
use crate::model::snapshot::Port;
use crate::model::{
    AttrSet, Backend, FaultKind, FilterVerdict, Missing, Proto, ProtoSet, Reads, Scope, Snapshot, State,
};

const RATES: Needs = Needs::RATES;

const fn row_protos(protos: ProtoSet) -> RowProtos {
    RowProtos { protos, proto_of: |s, r| s.ports[r].proto }
}

const LISTENERS: RowProtos = row_protos(ProtoSet::TCP_STATES);
const DATAGRAMS: RowProtos = row_protos(ProtoSet::INET.difference(ProtoSet::TCP_STATES));

fn port(snap: &Snapshot, row: usize) -> &Port {
    &snap.ports[row]
}

fn why_no_owner(snap: &Snapshot, p: &Port) -> Missing {
    let known = p.sockets.first().and_then(|r| snap.facts.get(*r as usize)).and_then(|f| f.owner_missing);
    known.unwrap_or(if snap.sample.wants.reads(Reads::OWNERS) {
        Missing::NoVisibleProcess
    } else {
        Missing::NotRead
    })
}

fn comm_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    let p = port(snap, row);
    any_comm(snap, &p.processes, why_no_owner(snap, p), test)
}

fn listens(p: &Port) -> bool {
    p.state == State::Listen
}

fn states_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    port(snap, row).states.present().any(|(s, _)| test(&Value::State(s)))
}

/// Sum of a queue over the sockets of an endpoint, if the backend reports it.
fn queue<'a>(snap: &Snapshot, n: u64, is_reported: fn(Backend) -> bool) -> Value<'a> {
    if is_reported(snap.sample.backend.backend) {
        Value::from(n)
    } else {
        Value::Missing(Missing::NotReported)
    }
}

fn service(snap: &Snapshot, row: usize) -> Value<'_> {
    let p = port(snap, row);
    if matches!(p.proto, Proto::Raw | Proto::Icmp) {
        return na();
    }
    Value::from_opt(snap.sample.services.name(p.local.port, p.proto == Proto::Udp), Missing::NotApplicable)
}

/// The accept queue of the endpoint.
fn accept_limit(snap: &Snapshot, row: usize) -> Option<usize> {
    let p = snap.ports.get(row)?;
    listener_limit(snap, p.netns, p.proto, p.local, p.iface)
}

/// Result of the firewall for connections of other hosts.
fn firewall(snap: &Snapshot, row: usize) -> Value<'_> {
    let p = port(snap, row);
    match &p.filtered {
        Some(f) => Value::from(f.text()),
        None if p.scope == Scope::Loopback => na(),
        None if snap.faults().any(|f| f.kind == FaultKind::NotPermitted && f.subject.is_nat()) => {
            Value::Missing(Missing::NotPermitted)
        }
        None => Value::Missing(Missing::NotRead),
    }
}

/// The endpoint, a link-local one with its interface.
fn local(snap: &Snapshot, row: usize) -> Value<'_> {
    let p = port(snap, row);
    if p.iface == 0 || !p.local.addr.needs_zone() {
        return Value::Endpoint(p.local);
    }
    Value::Zoned { end: p.local, with_port: true, zone: snap.iface_or_index(p.netns, p.iface) }
}

static COLUMNS: &[Column] = &[
    Column::new(
        "proto",
        "PROTO",
        Kind::Text,
        1,
        |s, r| Value::text(port(s, r).proto.name()),
        "Transport protocol.",
    )
    .role(Role::Proto)
    .dim()
    .values(protos)
    .called(&["protocol", "netid"])
    .wide(3, 5, 8),
    Column::new(
        "state",
        "STATE",
        Kind::State,
        20,
        |s, r| Value::State(port(s, r).state),
        "LISTEN, or UNCONN for a datagram socket.",
    )
    .called(&["st"]),
    Column::new("local", "ENDPOINT", Kind::Endpoint, 0, local, "Listening endpoint: address and port.")
        .called(&["endpoint", "src", "listen"])
        .wide(12, 21, 47),
    Column::new("local_addr", "ADDR", Kind::Addr, 40, |s, r| without_port(local(s, r)), "Listening address.")
        .called(&["addr", "address"]),
    Column::new(
        "local_port",
        "PORT",
        Kind::Port,
        40,
        |s, r| Value::from(port(s, r).local.port),
        "Listening port.",
    )
    .called(&["port", "lport", "sport"]),
    Column::new(
        "service",
        "SERVICE",
        Kind::Text,
        12,
        service,
        "Service name of the port, from /etc/services.",
    )
    .role(Role::Service)
    .dim()
    .text_match(TextMatch::Whole)
    .wide(4, 9, 16),
    Column::new(
        "owner",
        "PROCESS",
        Kind::Text,
        0,
        |s, r| process_names(s, &port(s, r).processes, why_no_owner(s, port(s, r))),
        "Process that listens, and number of further processes.",
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
        41,
        |s, r| {
            port(s, r).processes.first().map_or_else(
                || Value::Missing(why_no_owner(s, port(s, r))),
                |p| Value::text(&proc_info(s, *p as usize).comm),
            )
        },
        "Command name of the first process that listens. A filter tests all of them.",
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
            port(s, r).processes.first().map_or_else(
                || Value::Missing(why_no_owner(s, port(s, r))),
                |p| Value::from(proc_info(s, *p as usize).pid),
            )
        },
        "Process ID of the first process that listens. A filter tests all of them.",
    )
    .needs(Needs::OWNERS)
    .any(|s, r, t| any_pid(s, &port(s, r).processes, why_no_owner(s, port(s, r)), t)),
    Column::new(
        "processes",
        "PROCESSES",
        Kind::List,
        43,
        |s, r| process_list(s, &port(s, r).processes),
        "Every process that listens.",
    )
    .role(Role::Owners)
    .needs(Needs::OWNERS)
    .wide(8, 24, 60)
    .any(comm_any),
    Column::new(
        "user",
        "USER",
        Kind::Text,
        30,
        |s, r| {
            port(s, r)
                .sockets
                .first()
                .and_then(|k| s.get_socket(*k as usize))
                .map_or(Value::Missing(Missing::Gone), |k| user_value(s, k.uid))
        },
        "User of the socket.",
    )
    .role(Role::User)
    .dim()
    .text_match(TextMatch::Whole)
    .wide(4, 8, 16),
    Column::new(
        "accept_q",
        "QUEUE",
        Kind::Count,
        3,
        |s, r| if listens(port(s, r)) { queue(s, port(s, r).recv_q, Backend::reports_queues) } else { na() },
        "Connections in the accept queue.",
    )
    .called(&["queue"])
    .protos(LISTENERS)
    .percent_column("accept_pct"),
    Column::new(
        "backlog",
        "BACKLOG",
        Kind::Count,
        4,
        |s, r| {
            if listens(port(s, r)) { queue(s, port(s, r).backlog, Backend::reports_backlogs) } else { na() }
        },
        "Limit of the accept queue.",
    )
    .protos(LISTENERS)
    .percent_column("accept_pct"),
    Column::new(
        "accept_pct",
        "QUEUE%",
        Kind::Percent,
        3,
        |s, r| {
            let p = port(s, r);
            if listens(p) && !s.sample.backend.backend.reports_backlogs() {
                Value::Missing(Missing::NotReported)
            } else {
                applicable(p.fullest.map(|q| q.share() * 100.0))
            }
        },
        "Usage of the fullest accept queue; 100% is backlog + 1.",
    )
    .gauge(Gauge { amounts: Some(|s, r| (port(s, r).recv_q, port(s, r).backlog)), limit: accept_limit })
    .protos(LISTENERS)
    .called(&["queue_pct"])
    .wide(4, 6, 14),
    Column::new(
        "recv_q",
        "RECV-Q",
        Kind::Bytes,
        42,
        |s, r| if listens(port(s, r)) { na() } else { queue(s, port(s, r).recv_q, Backend::reports_queues) },
        "Bytes received and not read (datagram sockets).",
    )
    .protos(DATAGRAMS)
    .role(Role::RecvQ)
    .called(&["recvq"]),
    Column::new(
        "clients",
        "CLIENTS",
        Kind::Count,
        5,
        |s, r| Value::from(port(s, r).clients.len() as u64),
        "Current connections to the port.",
    )
    .called(&["connections", "conns"]),
    Column::new(
        "hosts",
        "HOSTS",
        Kind::Count,
        6,
        |s, r| Value::from(port(s, r).hosts),
        "Distinct client addresses.",
    ),
    Column::new(
        "sockets_by_state",
        "STATES",
        Kind::States,
        13,
        |s, r| Value::States(port(s, r).states),
        "Connections by state.",
    )
    .called(&["states"])
    .wide(8, 24, 60)
    .any(states_any),
    Column::new(
        "rx",
        "RX/s",
        Kind::BytesPerSec,
        10,
        |s, r| summed_rate(port(s, r).rx, &port(s, r).states),
        "Bytes received per second by its connections.",
    )
    .role(Role::Rx)
    .called(&["rx_per_s"])
    .needs(RATES),
    Column::new(
        "tx",
        "TX/s",
        Kind::BytesPerSec,
        11,
        |s, r| summed_rate(port(s, r).tx, &port(s, r).states),
        "Bytes sent per second by its connections.",
    )
    .role(Role::Tx)
    .called(&["tx_per_s"])
    .needs(RATES),
    Column::new(
        "drops",
        "DROPS",
        Kind::Count,
        14,
        |s, r| Value::from_opt(port(s, r).drops, Missing::NotReported),
        "Packets dropped because the receive buffer was full.",
    )
    .needs(Needs::attrs(AttrSet::SKMEM)),
    Column::new(
        "exposure",
        "EXPOSURE",
        Kind::Text,
        7,
        |s, r| Value::text(port(s, r).scope.name()),
        "Scope of the listening address: loopback, link-local, private, public; any for all addresses.",
    )
    .tone(|s, r| scope_tone(port(s, r).scope))
    .values(scopes)
    .called(&["scope"])
    .wide(6, 10, 10),
    Column::new(
        "firewall",
        "FIREWALL",
        Kind::Text,
        34,
        firewall,
        "Filter rules of its namespace (raw, mangle, filter; prerouting, input) for new connections of other hosts: accepted; dropped, rejected or queued, and by which rule; partly, with the packets that are accepted; or not evaluated, and why. Not what a router, a cloud provider or BPF programs drop.",
    )
    .called(&["filter", "filtered"])
    .needs(Needs::FIREWALL)
    .wide(8, 20, 80)
    .tone(|s, r| match port(s, r).filtered.as_ref().map(|f| f.verdict) {
        Some(FilterVerdict::Stopped) => Tone::Critical,
        Some(FilterVerdict::NotEvaluated) => Tone::Warning,
        _ => Tone::Plain,
    }),
    Column::new(
        "sockets",
        "SOCKETS",
        Kind::Count,
        31,
        |s, r| Value::from(port(s, r).sockets.len() as u64),
        "Number of listening sockets.",
    ),
    Column::new(
        "iface",
        "IFACE",
        Kind::Text,
        32,
        |s, r| match port(s, r).iface {
            0 => na(),
            i => s.iface(port(s, r).netns, i).map_or_else(|| Value::from(format!("if{i}")), Value::text),
        },
        "Interface that it is bound to.",
    )
    .role(Role::Iface)
    .text_match(TextMatch::Exact)
    .called(&["dev", "device"])
    .wide(4, 8, 15),
    unit_column!(units::UNIT, units::port_units),
    unit_column!(units::SLICE, units::port_units),
    unit_column!(units::CONTAINER, units::port_units),
    unit_column!(units::CONTAINER_ID, units::port_units),
    unit_column!(units::ENGINE, units::port_units),
    unit_column!(units::IMAGE, units::port_units),
    unit_column!(units::POD, units::port_units),
    unit_column!(units::PUBLISHED, units::port_units),
    Column::new(
        "netns",
        "NETNS",
        Kind::Text,
        33,
        |s, r| {
            s.sample
                .namespaces
                .get(usize::from(port(s, r).netns))
                .map_or(Value::Missing(Missing::NotReported), |n| Value::text(&n.name))
        },
        "Network namespace.",
    )
    .role(Role::Netns)
    .tone(|s, r| netns_tone(port(s, r).netns))
    .text_match(TextMatch::Whole)
    .called(&["ns", "namespace"])
    .wide(4, 10, 24),
    event_column!(ports, opened_per_s),
    event_column!(ports, closed_per_s),
    event_column!(ports, duration_p50_us),
    event_column!(ports, duration_p99_us),
    super::host::HOSTNAME,
];

/// One row per listening endpoint.
pub static PORTS: Table = Table {
    id: TableId::Ports,
    name: "ports",
    title: "Ports",
    noun: "ports",
    singular: "port",
    help: "Every listening endpoint with its accept queue, clients and processes.",
    columns: COLUMNS,
    defaults: &[
        "proto",
        "local",
        "service",
        "owner",
        "accept_q",
        "backlog",
        "accept_pct",
        "clients",
        "hosts",
        "rx",
        "tx",
        "exposure",
        "sockets_by_state",
    ],
    wide_columns: &["user", "opened_per_s", "duration_p50_us", "duration_p99_us"],
    in_gauge: &["accept_q", "backlog"],
    netns_after: Some("local"),
    words: &["proto", "local", "service", "process", "pid", "user", "exposure", "container"],
    order: &[("local_port", false), ("proto", false), ("local_addr", false)],
    groupings: &[Grouping::FLAT],
    always_needs: Needs::NONE,
    topic: "backlog",
    len: |s| s.ports.len(),
    live: |s| s.ports.len(),
    identity: crate::table::identity::port,
    owners: |s, r| s.ports.get(r).map_or_else(Vec::new, |p| p.processes.clone()),
    process_of: |s, r| s.ports.get(r)?.processes.first().copied(),
    sockets: |s, r| s.ports.get(r).map_or_else(Vec::new, |p| p.sockets.clone()),
    remote_of: |_, _| None,
    unread: super::unread_sockets,
};
