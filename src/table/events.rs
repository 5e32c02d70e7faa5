//! Columns of the table of events.

use super::cell::{applicable, families, host_name, netns_tone, protos, reported, user_value, without_port};
use super::definition::{Grouping, Table, TableId};
use super::units::{self, unit_column};
use crate::diagnose::finding::{event_diagnoses, event_findings};
use crate::format::column::{SharedKey, SharedKeyFn};
use crate::format::{Column, Kind, Needs, Role, TextMatch, Tone, Value};
use crate::model::sample::{ClosedBy, EventKind};
use crate::model::snapshot::{Direction, EventRow, ProcessBy};
use crate::model::{Endpoint, Missing, Snapshot, SocketId, State, Unit};
use crate::table::Identity;
use std::sync::Arc;

fn event(snap: &Snapshot, row: usize) -> &EventRow {
    &snap.events.rows[row]
}

/// Current number of the network namespace of a row.
fn netns(snap: &Snapshot, e: &EventRow) -> Option<u16> {
    let number = e.event.id.netns;
    let is_same = |n: usize| snap.sample.namespaces.get(n).is_some_and(|n| n.inode == e.netns_inode);
    if is_same(usize::from(number)) {
        return Some(number);
    }
    (0..snap.sample.namespaces.len()).find(|n| is_same(*n)).and_then(|n| u16::try_from(n).ok())
}

/// An end, a link-local one with its interface.
fn zoned<'a>(snap: &'a Snapshot, e: &EventRow, end: Endpoint) -> Value<'a> {
    match netns(snap, e).filter(|_| e.event.iface != 0 && end.addr.needs_zone()) {
        Some(n) => Value::Zoned { end, with_port: true, zone: snap.iface_or_index(n, e.event.iface) },
        None => Value::Endpoint(end),
    }
}

fn local(snap: &Snapshot, row: usize) -> Value<'_> {
    let e = event(snap, row);
    match e.event.local {
        end if e.counted && end.port == 0 => Value::Missing(Missing::NotReported),
        end => zoned(snap, e, end),
    }
}

/// Reason why there is no remote end.
fn no_remote(e: &EventRow) -> Missing {
    let listens = e.event.kind == EventKind::Listening || e.event.from == Some(State::Listen);
    if listens { Missing::NotApplicable } else { Missing::NotReported }
}

fn remote(snap: &Snapshot, row: usize) -> Value<'_> {
    let e = event(snap, row);
    e.event.remote.map_or_else(|| Value::Missing(no_remote(e)), |end| zoned(snap, e, end))
}

/// Everything that the columns with a shared key are computed from, apart from what is the same for the whole snapshot. `None`
/// for counted events.
fn shared_key(snap: &Snapshot, row: usize) -> Option<SharedKey<'_>> {
    let row = event(snap, row);
    let e = &row.event;
    if row.counted {
        return None;
    }
    // Small numbers, one after the other in their bits.
    let mut kind = u64::from(e.errno);
    for (number, bits) in [
        (e.kind as u64, 4),
        (e.proto as u64, 8),
        (e.family as u64, 4),
        (row.direction as u64, 2),
        (row.process_by as u64, 2),
        (e.closed_by.map_or(0, |c| c as u64 + 1), 4),
        (e.from.map_or(0, |s| s.rank() + 1), 9),
        (u64::from(e.uid.is_some()), 1),
    ] {
        kind = kind << bits | number;
    }
    let process = row.process.as_ref().map_or(0, |p| Arc::as_ptr(p).addr() as u64);
    let unit = row.unit().map_or(0, |u| std::ptr::from_ref(u).addr() as u64);
    Some(([kind, u64::from(e.uid.unwrap_or_default()), process, unit], row.netns_name.as_bytes()))
}

const KEY: SharedKeyFn = shared_key;

fn port<'a>(e: &EventRow, end: Option<Endpoint>) -> Value<'a> {
    match end.map(|e| e.port).filter(|p| *p != 0) {
        Some(port) => Value::from(port),
        None => Value::Missing(no_remote(e)),
    }
}

/// Port of the service.
fn service_port(snap: &Snapshot, row: usize) -> Value<'_> {
    let e = event(snap, row);
    match e.direction {
        Direction::Out => port(e, e.event.remote),
        Direction::In => port(e, Some(e.event.local)),
        Direction::None => port(e, e.event.remote.is_none().then_some(e.event.local)),
    }
}

fn ports_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    let e = event(snap, row);
    test(&service_port(snap, row)) || test(&port(e, Some(e.event.local))) || test(&port(e, e.event.remote))
}

fn owner(snap: &Snapshot, row: usize) -> Value<'_> {
    match &event(snap, row).process {
        Some(p) => Value::from(format!("{} {}", p.comm, p.pid)),
        None => Value::Missing(Missing::NotReported),
    }
}

/// Dims a process that was not reported with the event.
fn owner_tone(snap: &Snapshot, row: usize) -> Tone {
    if event(snap, row).process_by == ProcessBy::Event { Tone::Strong } else { Tone::Dim }
}

fn comm(snap: &Snapshot, row: usize) -> Value<'_> {
    reported(event(snap, row).process.as_ref().map(|p| &*p.comm))
}

fn uid(e: &EventRow) -> Option<u32> {
    e.event.uid.or_else(|| e.process.as_ref().map(|p| p.uid))
}

fn user(snap: &Snapshot, row: usize) -> Value<'_> {
    uid(event(snap, row)).map_or(Value::Missing(Missing::NotReported), |uid| user_value(snap, uid))
}

fn event_units<'a>(snap: &'a Snapshot, row: usize, f: &mut dyn FnMut(&'a Unit) -> bool) -> bool {
    event(snap, row).unit().is_some_and(f)
}

/// Nanoseconds as microseconds.
fn micros<'a>(ns: Option<u64>, is_lower_bound: bool) -> Value<'a> {
    match ns {
        Some(ns) if is_lower_bound => Value::AtLeast((ns / 1000) as f64),
        ns => Value::from_opt(ns.map(|ns| ns / 1000), Missing::NotApplicable),
    }
}

fn duration(snap: &Snapshot, row: usize) -> Value<'_> {
    let e = event(snap, row);
    let ends = matches!(e.event.kind, EventKind::Closed | EventKind::Failed);
    match e.duration_ns {
        None if ends => Value::Missing(Missing::NotReported),
        ns => micros(ns, e.is_lower_bound),
    }
}

/// Time in each state, in the order of the kernel's numbers.
fn states(snap: &Snapshot, row: usize) -> Value<'_> {
    let Some(us) = &event(snap, row).event.state_us else { return Value::Missing(Missing::NotApplicable) };
    let mut passed = Vec::with_capacity(6);
    for (us, number) in us.iter().zip(0..).filter(|(us, _)| **us > 0) {
        passed.push((State::from_kernel_tcp(number).name(), Value::from(*us)));
    }
    Value::Record(passed)
}

fn finding(snap: &Snapshot, row: usize) -> Value<'_> {
    match event_findings(snap, event(snap, row))[..] {
        [] => Value::Missing(Missing::NotApplicable),
        [only] => Value::text(only.name),
        ref several => Value::from(several.iter().map(|f| f.name).collect::<Vec<_>>().join(",")),
    }
}

fn kinds() -> Vec<&'static str> {
    EventKind::ALL.iter().map(|(_, n)| *n).collect()
}

fn causes() -> Vec<&'static str> {
    ClosedBy::ALL.iter().map(|(_, n)| *n).collect()
}

fn origins() -> Vec<&'static str> {
    ProcessBy::ALL.iter().filter_map(|(_, n)| *n).collect()
}

fn directions() -> Vec<&'static str> {
    vec!["in", "out"]
}

/// Returns whether a connection failed or ended by an error.
fn is_bad(e: &EventRow) -> bool {
    let by = matches!(
        e.event.closed_by,
        Some(ClosedBy::Reset | ClosedBy::Timeout | ClosedBy::Refused | ClosedBy::Error)
    );
    by || e.is_failed_connect()
}

fn kind_tone(snap: &Snapshot, row: usize) -> Tone {
    match event(snap, row) {
        e if is_bad(e) => Tone::Warning,
        e if e.event.kind == EventKind::Retransmit => Tone::Warning,
        e if matches!(e.event.kind, EventKind::Opened | EventKind::Accepted) => Tone::Accent,
        _ => Tone::Plain,
    }
}

fn cause_tone(snap: &Snapshot, row: usize) -> Tone {
    if is_bad(event(snap, row)) { Tone::Warning } else { Tone::Plain }
}

/// Name of an error (errno(3)) that a socket can have.
fn error_name(errno: u16) -> Option<&'static str> {
    use rustix::io::Errno;
    const NAMES: [(Errno, &str); 16] = [
        (Errno::CONNREFUSED, "ECONNREFUSED"),
        (Errno::TIMEDOUT, "ETIMEDOUT"),
        (Errno::CONNRESET, "ECONNRESET"),
        (Errno::PIPE, "EPIPE"),
        (Errno::CONNABORTED, "ECONNABORTED"),
        (Errno::HOSTUNREACH, "EHOSTUNREACH"),
        (Errno::NETUNREACH, "ENETUNREACH"),
        (Errno::HOSTDOWN, "EHOSTDOWN"),
        (Errno::NETDOWN, "ENETDOWN"),
        (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (Errno::ACCESS, "EACCES"),
        (Errno::PERM, "EPERM"),
        (Errno::PROTO, "EPROTO"),
        (Errno::MSGSIZE, "EMSGSIZE"),
        (Errno::NOPROTOOPT, "ENOPROTOOPT"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    ];
    NAMES.iter().find(|(e, _)| e.raw_os_error() == i32::from(errno)).map(|(_, name)| *name)
}

fn error(snap: &Snapshot, row: usize) -> Value<'_> {
    match event(snap, row).event.errno {
        0 => Value::Missing(Missing::NotApplicable),
        n => error_name(n).map_or_else(|| Value::from(format!("errno {n}")), Value::text),
    }
}

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column::new("event_time", "TIME (UTC)", Kind::Time, 2, |s, r| Value::from(event(s, r).unix_ns as f64 / 1e9),
        "Time of the event, seconds since 1970; of its receipt if the kernel sends no time.").dim().called(&["time", "at", "when"]),
    Column::new("ago_s", "AGO", Kind::Secs, 40, |s, r| Value::from(s.sample.at.boot_ns.saturating_sub(event(s, r).event.at_ns) as f64 / 1e9),
        "Time since the event.").role(Role::Age).dim().called(&["ago", "age", "age_s"]).wide(4, 7, 8),
    Column::new("event", "EVENT", Kind::Text, 0, |s, r| Value::text(event(s, r).event.kind.name()),
        "Kind of the event: opened (connect succeeded, or first use of a UDP socket), accepted, closed, failed (connect), retransmit, listening.")
        .values(kinds).tone(kind_tone).called(&["kind", "what"]).wide(8, 10, 10).shared(KEY),
    Column::new("proto", "PROTO", Kind::Text, 5, |s, r| match event(s, r) {
        e if e.counted => Value::Missing(Missing::NotReported),
        e => Value::text(e.event.proto.name()),
    }, "Transport protocol.").role(Role::Proto).dim().values(protos).called(&["protocol", "netid"]).wide(3, 5, 8).shared(KEY),
    Column::new("family", "FAMILY", Kind::Text, 45, |s, r| Value::text(event(s, r).event.family.name()),
        "Address family of the socket.").role(Role::Family).values(families).called(&["fam"]).wide(4, 6, 8).shared(KEY),
    Column::new("local", "LOCAL", Kind::Endpoint, 6, local, "Local endpoint.").role(Role::Local)
        .called(&["src", "source", "laddr"]).wide(12, 21, 47),
    Column::new("remote", "REMOTE", Kind::Endpoint, 0, remote,
        "Remote endpoint; unknown for a failed connect that sock_diag reports.").role(Role::Remote)
        .called(&["dst", "dest", "destination", "peer", "raddr"]).wide(12, 21, 47),
    Column::new("local_addr", "LOCAL ADDR", Kind::Addr, 40, |s, r| without_port(local(s, r)), "Local address.").role(Role::LocalAddr).called(&["lhost"]),
    Column::new("local_port", "LPORT", Kind::Port, 40, |s, r| port(event(s, r), Some(event(s, r).event.local)), "Local port.")
        .role(Role::LocalPort).called(&["lport", "sport"]),
    Column::new("remote_addr", "REMOTE ADDR", Kind::Addr, 40, |s, r| without_port(remote(s, r)), "Remote address.").role(Role::RemoteAddr)
        .called(&["host", "rhost"]),
    Column::new("remote_host", "REMOTE HOST", Kind::Text, 42, |s, r| host_name(s, remote(s, r)),
        "DNS name of the remote address (--resolve, n in the dashboard).").role(Role::RemoteHost).called(&["rname"]).wide(10, 24, 47),
    Column::new("remote_port", "RPORT", Kind::Port, 40, |s, r| port(event(s, r), event(s, r).event.remote), "Remote port.")
        .role(Role::RemotePort).called(&["rport", "dport"]),
    Column::new("port", "PORT", Kind::Port, 41, service_port,
        "Port of the service: the local one of incoming connections, the remote one of outgoing ones. A filter tests both.").any(ports_any),
    Column::new("owner", "PROCESS", Kind::Text, 1, owner, "Process and its PID; see process_by.").role(Role::Owner)
        .tone(owner_tone).called(&["held_by"]).wide(8, 16, 32)
        .any(|s, r, t| t(&comm(s, r)) || t(&owner(s, r))).shared(KEY),
    Column::new("process", "COMMAND", Kind::Text, 40, comm, "Command name of the process.").role(Role::Process)
        .called(&["proc", "comm", "program"]).wide(6, 15, 24).shared(KEY),
    Column::new("pid", "PID", Kind::Id, 41, |s, r| reported(event(s, r).process.as_ref().map(|p| p.pid)), "Process ID.").shared(KEY),
    Column::new("process_by", "PROCESS BY", Kind::Text, 50, |s, r| reported(event(s, r).process_by.name()),
        "Origin of the process: event (reported with it), poll (owner of the socket in a poll) or listener (no process used the connection: owner of the listener).")
        .values(origins).wide(5, 10, 10).shared(KEY),
    Column::new("uid", "UID", Kind::Id, 43, |s, r| reported(uid(event(s, r)).filter(|u| *u != crate::model::ProcInfo::NO_UID)),
        "User ID of the socket, else of the process.").shared(KEY),
    Column::new("user", "USER", Kind::Text, 42, user, "User of the socket, else of the process.").role(Role::User).wide(4, 9, 16).shared(KEY),
    unit_column!(units::UNIT, event_units).needs(UNITS).shared(KEY),
    unit_column!(units::SLICE, event_units).needs(UNITS).shared(KEY),
    unit_column!(units::CONTAINER, event_units).needs(UNITS).shared(KEY),
    unit_column!(units::CONTAINER_ID, event_units).needs(UNITS).shared(KEY),
    unit_column!(units::ENGINE, event_units).needs(UNITS).shared(KEY),
    unit_column!(units::IMAGE, event_units).needs(UNITS).shared(KEY),
    unit_column!(units::POD, event_units).needs(UNITS).shared(KEY),
    Column::new("direction", "DIR", Kind::Text, 5, |s, r| applicable(event(s, r).direction.name()),
        "Direction of the connection: in (accepted by a local listener) or out.").role(Role::Direction).values(directions).dim()
        .called(&["dir"]).wide(3, 3, 3).shared(KEY),
    Column::new("duration_us", "DURATION", Kind::Micros, 4, duration,
        "Time from the connection or first use to the close, or from the SYN to the failure; a lower bound if the socket was open before sockscope saw it.")
        .called(&["duration", "lifetime"]).wide(5, 8, 8),
    Column::new("duration_min", "OPEN BEFORE", Kind::Bool, 52, |s, r| applicable(event(s, r).duration_ns.map(|_| event(s, r).is_lower_bound)),
        "The duration is a lower bound."),
    Column::new("connect_us", "CONNECT", Kind::Micros, 44, |s, r| micros(event(s, r).connect_ns(), false),
        "Time from the SYN to the established connection; of connects.").called(&["handshake"]),
    Column::new("rx_bytes", "RX", Kind::Bytes, 6, |s, r| reported(event(s, r).event.rx), "Bytes received so far; at a close, in all.")
        .called(&["received", "rx"]),
    Column::new("tx_bytes", "TX", Kind::Bytes, 6, |s, r| reported(event(s, r).event.tx), "Bytes sent so far without retransmissions; at a close, in all.")
        .called(&["sent", "tx"]),
    Column::new("total_retrans", "RETRANS", Kind::Count, 7, |s, r| reported(event(s, r).event.retrans), "Segments retransmitted so far.")
        .called(&["retrans", "retransmits"]).wide(4, 7, 9),
    Column::new("rtt_us", "RTT", Kind::Micros, 8, |s, r| reported(event(s, r).event.rtt_us), "Smoothed round-trip time.").called(&["rtt"]),
    Column::new("closed_by", "CLOSED BY", Kind::Text, 4, |s, r| applicable(event(s, r).event.closed_by.map(ClosedBy::name)),
        "Cause of the end: here or peer (who sent the first FIN; here also for an abort), reset, timeout, refused, abandoned (the program gave up), unsent (no SYN was sent), error.")
        .values(causes).tone(cause_tone).called(&["ended_by", "cause"]).wide(7, 9, 9).shared(KEY),
    Column::new("error", "ERROR", Kind::Text, 9, error, "Error of the socket.").tone(cause_tone).wide(5, 12, 16).shared(KEY),
    Column::new("errno", "ERRNO", Kind::Id, 53, |s, r| applicable(Some(u64::from(event(s, r).event.errno)).filter(|n| *n != 0)),
        "Number of the error of the socket.").shared(KEY),
    Column::new("finding", "FINDING", Kind::Text, 35, finding, "Findings about the process and the service, separated by commas: see sockscope explain.")
        .tone(|_, _| Tone::Warning).called(&["findings"]).wide(10, 16, 60)
        .any(|s, r, t| {
            let found = event_diagnoses(s, event(s, r));
            found.iter().any(|d| d.names().any(|n| t(&Value::text(n)))) || t(&finding(s, r))
        }),
    Column::new("state_before", "STATE BEFORE", Kind::State, 54, |s, r| applicable(event(s, r).event.from.map(Value::State)),
        "State before the event.").called(&["from"]).shared(KEY),
    Column::new("state_us", "TIME IN STATES", Kind::List, 55, states, "Time in each TCP state, microseconds, by state; at a close.").wide(8, 24, 80),
    Column::new("events", "EVENTS", Kind::Count, 56, |s, r| Value::from(event(s, r).count),
        "Number of events: more than 1 for those that were only counted, because there were too many."),
    Column::new("cookie", "COOKIE", Kind::Hex, 60, |s, r| reported(Some(event(s, r).event.id.cookie).filter(|c| *c != 0)),
        "Socket cookie.").called(&["sk"]),
    Column::new("netns", "NETNS", Kind::Text, 32, |s, r| Value::text(&event(s, r).netns_name), "Network namespace.").role(Role::Netns)
        .tone(|s, r| netns_tone(event(s, r).event.id.netns)).text_match(TextMatch::Whole).called(&["ns", "namespace"]).wide(6, 12, 30).shared(KEY),
    Column::new("seq", "SEQ", Kind::Id, 61, |s, r| Value::from(event(s, r).number), "Sequence number of the event since sockscope started.")
        .called(&["number"]),
    super::host::HOSTNAME,
];

/// Control groups of the processes of events; no socket is read for them.
const UNITS: Needs = Needs::reads(crate::model::Reads::CGROUPS);

/// The live socket of an event.
fn live_socket(snap: &Snapshot, row: usize) -> Option<usize> {
    let e = snap.events.rows.get(row).filter(|e| e.event.id.cookie != 0)?;
    snap.find(SocketId { netns: netns(snap, e)?, cookie: e.event.id.cookie })
}

/// One row per event.
pub static EVENTS: Table = Table {
    id: TableId::Events,
    name: "events",
    title: "Events",
    noun: "events",
    singular: "event",
    help: "Connections opened, accepted, closed and failed, also between two polls.",
    columns: COLUMNS,
    defaults: &[
        "event_time",
        "event",
        "proto",
        "local",
        "remote",
        "owner",
        "direction",
        "duration_us",
        "rx_bytes",
        "tx_bytes",
        "closed_by",
        "error",
    ],
    wide_columns: &["rtt_us", "unit"],
    in_gauge: &[],
    netns_after: Some("proto"),
    words: &["event", "local", "remote", "process", "pid", "closed_by", "error", "unit", "container"],
    order: &[("event_time", true), ("seq", true)],
    groupings: &[
        Grouping::FLAT,
        Grouping::by("event", "event"),
        Grouping::by("process", "process"),
        Grouping::by("remote_addr", "remote address"),
        Grouping::by("closed_by", "cause of the end"),
        Grouping::by("finding", "finding"),
    ],
    always_needs: Needs::EVENTS,
    topic: "connection",
    len: |s| s.events.rows.len(),
    live: |s| s.events.rows.len(),
    identity: |s, r| s.events.rows.get(r).map(|e| Identity::Event(e.number)),
    owners: |s, r| process_of(s, r).into_iter().collect(),
    process_of,
    sockets: |s, r| live_socket(s, r).and_then(|r| u32::try_from(r).ok()).into_iter().collect(),
    remote_of: |s, r| Some(s.events.rows.get(r)?.event.remote?.addr),
    unread: |s| s.sample.faults.iter().filter(|f| f.subject == crate::model::FaultSubject::Events).collect(),
};

fn process_of(snap: &Snapshot, row: usize) -> Option<u32> {
    let e = snap.events.rows.get(row)?;
    snap.process_of_event(e).and_then(|p| u32::try_from(p).ok())
}
