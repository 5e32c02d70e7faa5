//! Columns of the table of DNS questions.

use super::cell::{netns_tone, reported, user_value, without_port};
use super::definition::{Grouping, Table, TableId};
use super::units::{self, unit_column};
use crate::diagnose::finding::dns_diagnoses;
use crate::format::{Column, Kind, Needs, Role, TextMatch, Tone, Value};
use crate::model::sample::{DnsOutcome, dns_type_name, dns_types};
use crate::model::snapshot::{DnsRow, ProcessBy};
use crate::model::{FaultSubject, Missing, ProcInfo, Proto, Snapshot, Unit};
use crate::table::Identity;

fn question(snap: &Snapshot, row: usize) -> &DnsRow {
    &snap.dns.rows[row]
}

fn name(snap: &Snapshot, row: usize) -> Value<'_> {
    match &*question(snap, row).query.name {
        // The root of all names (RFC 1034, 3.1).
        "" => Value::text("."),
        name => Value::text(name),
    }
}

fn latency(snap: &Snapshot, row: usize) -> Value<'_> {
    let q = &question(snap, row).query;
    let answered = q.outcome != DnsOutcome::Timeout;
    Value::from_opt(answered.then_some(q.took_ns / 1000), Missing::NotApplicable)
}

fn outcome_tone(snap: &Snapshot, row: usize) -> Tone {
    match question(snap, row).query.outcome {
        outcome if outcome.is_failure() => Tone::Warning,
        DnsOutcome::Answered(0) => Tone::Plain,
        _ => Tone::Dim,
    }
}

fn latency_tone(snap: &Snapshot, row: usize) -> Tone {
    if question(snap, row).is_slow() { Tone::Warning } else { Tone::Plain }
}

/// Reason why there is no process: it is on another host, or it is not known.
fn no_process<'a>(q: &DnsRow) -> Value<'a> {
    Value::Missing(if q.query.inbound { Missing::NotApplicable } else { Missing::NotReported })
}

fn owner(snap: &Snapshot, row: usize) -> Value<'_> {
    let q = question(snap, row);
    q.process.as_ref().map_or_else(|| no_process(q), |p| Value::from(format!("{} {}", p.comm, p.pid)))
}

fn owner_tone(snap: &Snapshot, row: usize) -> Tone {
    if question(snap, row).process_by == ProcessBy::Event { Tone::Strong } else { Tone::Dim }
}

fn comm(snap: &Snapshot, row: usize) -> Value<'_> {
    let q = question(snap, row);
    q.process.as_ref().map_or_else(|| no_process(q), |p| Value::text(&p.comm))
}

fn uid(q: &DnsRow) -> Option<u32> {
    q.query.uid.or_else(|| q.process.as_ref().map(|p| p.uid)).filter(|u| *u != ProcInfo::NO_UID)
}

fn user(snap: &Snapshot, row: usize) -> Value<'_> {
    uid(question(snap, row)).map_or(Value::Missing(Missing::NotReported), |uid| user_value(snap, uid))
}

fn dns_units<'a>(snap: &'a Snapshot, row: usize, f: &mut dyn FnMut(&'a Unit) -> bool) -> bool {
    question(snap, row).unit().is_some_and(f)
}

fn addresses(snap: &Snapshot, row: usize) -> Value<'_> {
    let addrs = &question(snap, row).query.addrs;
    if addrs.is_empty() {
        return Value::Missing(Missing::NotApplicable);
    }
    Value::List(addrs.iter().map(|a| Value::Addr(*a)).collect())
}

fn finding(snap: &Snapshot, row: usize) -> Value<'_> {
    match dns_diagnoses(snap, question(snap, row))[..] {
        [] => Value::Missing(Missing::NotApplicable),
        [ref only] => Value::text(only.finding.name),
        ref several => Value::from(several.iter().map(|d| d.finding.name).collect::<Vec<_>>().join(",")),
    }
}

fn transports() -> Vec<&'static str> {
    vec![Proto::Udp.name(), Proto::Tcp.name()]
}

fn directions() -> Vec<&'static str> {
    vec!["in", "out"]
}

fn origins() -> Vec<&'static str> {
    [ProcessBy::Event, ProcessBy::Poll].into_iter().filter_map(ProcessBy::name).collect()
}

/// Control groups of the processes; no socket is read for them.
const UNITS: Needs = Needs::reads(crate::model::Reads::CGROUPS);

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column::new("answer_time", "TIME (UTC)", Kind::Time, 5, |s, r| Value::from(question(s, r).unix_ns as f64 / 1e9),
        "Time of the answer, or at which the question was given up, seconds since 1970.").dim().called(&["time", "at", "when"]),
    Column::new("ago_s", "AGO", Kind::Secs, 40, |s, r| Value::from(s.sample.at.boot_ns.saturating_sub(question(s, r).done_ns()) as f64 / 1e9),
        "Time since the answer.").role(Role::Age).dim().called(&["ago", "age", "age_s"]).wide(4, 7, 8),
    Column::new("name", "NAME", Kind::Text, 0, name, "Name that was asked for, in lower case; other octets than printable ASCII as \\DDD.")
        .called(&["question", "domain", "host"]).wide(12, 28, 64),
    Column::new("type", "TYPE", Kind::Text, 0, |s, r| Value::Text(dns_type_name(question(s, r).query.qtype)),
        "Type of record that was asked for: A, AAAA, PTR, SRV.").values(dns_types).called(&["qtype", "record"]).dim().wide(4, 4, 10),
    Column::new("result", "RESULT", Kind::Text, 0, |s, r| Value::Text(question(s, r).query.outcome.name()),
        "Response code: NOERROR, NXDOMAIN (no such name), SERVFAIL, REFUSED; TIMEOUT without an answer within 5 s.")
        .values(DnsOutcome::names).tone(outcome_tone).called(&["rcode", "status", "code"]).wide(8, 8, 10),
    Column::new("latency_us", "LATENCY", Kind::Micros, 1, latency,
        "Time from the question to its answer, by the kernel's time stamps.").tone(latency_tone).called(&["latency", "took", "duration"]).wide(5, 7, 8),
    Column::new("resolver", "RESOLVER", Kind::Endpoint, 2, |s, r| Value::Endpoint(question(s, r).query.server),
        "Address and port of the resolver.").role(Role::Remote).called(&["server", "remote", "nameserver", "dst"]).wide(11, 14, 47),
    Column::new("resolver_addr", "RESOLVER ADDR", Kind::Addr, 41, |s, r| without_port(Value::Endpoint(question(s, r).query.server)),
        "Address of the resolver.").role(Role::RemoteAddr).called(&["server_addr", "remote_addr", "rhost"]),
    Column::new("local", "CLIENT", Kind::Endpoint, 9, |s, r| Value::Endpoint(question(s, r).query.client),
        "Address and port that asked.").role(Role::Local).called(&["client", "src"]).wide(12, 21, 47),
    Column::new("local_addr", "CLIENT ADDR", Kind::Addr, 42, |s, r| without_port(Value::Endpoint(question(s, r).query.client)),
        "Address that asked.").role(Role::LocalAddr).called(&["client_addr", "lhost"]),
    Column::new("owner", "PROCESS", Kind::Text, 1, owner, "Process that asked and its PID; see process_by.").role(Role::Owner)
        .tone(owner_tone).called(&["held_by"]).wide(8, 16, 32)
        .any(|s, r, t| t(&comm(s, r)) || t(&owner(s, r))),
    Column::new("process", "COMMAND", Kind::Text, 40, comm, "Command name of the process that asked.").role(Role::Process)
        .called(&["proc", "comm", "program"]).wide(6, 15, 24),
    Column::new("pid", "PID", Kind::Id, 41, |s, r| {
        let q = question(s, r);
        q.process.as_ref().map_or_else(|| no_process(q), |p| Value::from(p.pid))
    }, "Process ID."),
    Column::new("process_by", "PROCESS BY", Kind::Text, 50, |s, r| reported(question(s, r).process_by.name()),
        "Origin of the process: event (known when it asked) or poll (owner of the socket in a poll).")
        .values(origins).wide(5, 10, 10),
    Column::new("uid", "UID", Kind::Id, 43, |s, r| reported(uid(question(s, r))), "User ID of the socket that asked, else of the process."),
    Column::new("user", "USER", Kind::Text, 42, user, "User of the socket that asked, else of the process.").role(Role::User).wide(4, 9, 16),
    unit_column!(units::UNIT, dns_units).needs(UNITS),
    unit_column!(units::SLICE, dns_units).needs(UNITS),
    unit_column!(units::CONTAINER, dns_units).needs(UNITS),
    unit_column!(units::CONTAINER_ID, dns_units).needs(UNITS),
    unit_column!(units::ENGINE, dns_units).needs(UNITS),
    unit_column!(units::IMAGE, dns_units).needs(UNITS),
    unit_column!(units::POD, dns_units).needs(UNITS),
    Column::new("tries", "TRIES", Kind::Count, 7, |s, r| Value::from(u64::from(question(s, r).query.tries)),
        "Number of times the question was sent to this resolver.").called(&["retries", "attempts"]).wide(5, 5, 7),
    Column::new("failures", "FAILED", Kind::Count, 45, |s, r| Value::from(u64::from(question(s, r).query.outcome.is_failure())),
        "1 if there was no answer, or one that a client cannot use: anything but NOERROR and NXDOMAIN. In groups their number.").called(&["failed"]).wide(5, 6, 9),
    Column::new("answers", "ANSWERS", Kind::Count, 46, |s, r| Value::from(u64::from(question(s, r).query.answers)),
        "Number of records in the answer.").called(&["records"]).wide(4, 7, 9),
    Column::new("addresses", "ADDRESSES", Kind::List, 8, addresses, "First addresses of the answer, at most four.")
        .called(&["answer", "addrs"]).wide(9, 16, 60),
    Column::new("truncated", "TRUNCATED", Kind::Bool, 47, |s, r| Value::Bool(question(s, r).query.truncated),
        "The answer was cut short: the client asks once more by TCP.").called(&["tc"]),
    Column::new("proto", "PROTO", Kind::Text, 44, |s, r| Value::text(question(s, r).query.proto.name()),
        "Transport protocol: udp or tcp.").role(Role::Proto).dim().values(transports).called(&["protocol", "transport"]).wide(3, 5, 8),
    Column::new("direction", "DIR", Kind::Text, 48, |s, r| Value::text(if question(s, r).query.inbound { "in" } else { "out" }),
        "Direction of the question: out (asked by this network namespace) or in (asked by another host, or forwarded).")
        .role(Role::Direction).values(directions).dim().called(&["dir"]).wide(3, 3, 3),
    Column::new("finding", "FINDING", Kind::Text, 35, finding, "Findings about the resolver, separated by commas: see sockscope explain.")
        .tone(|_, _| Tone::Warning).called(&["findings"]).wide(10, 16, 40)
        .any(|s, r, t| {
            let found = dns_diagnoses(s, question(s, r));
            found.iter().any(|d| d.names().any(|n| t(&Value::text(n)))) || t(&finding(s, r))
        }),
    Column::new("dns_id", "ID", Kind::Hex, 60, |s, r| Value::from(u64::from(question(s, r).query.id)), "Identifier of the message.").called(&["id"]),
    Column::new("netns", "NETNS", Kind::Text, 32, |s, r| Value::text(&question(s, r).netns_name), "Network namespace.").role(Role::Netns)
        .tone(|s, r| netns_tone(question(s, r).query.netns)).text_match(TextMatch::Whole).called(&["ns", "namespace"]).wide(6, 12, 30),
    Column::new("seq", "SEQ", Kind::Id, 61, |s, r| Value::from(question(s, r).number), "Sequence number of the question since sockscope started.")
        .called(&["number"]),
    super::host::HOSTNAME,
];

fn process_of(snap: &Snapshot, row: usize) -> Option<u32> {
    let q = snap.dns.rows.get(row)?;
    snap.process_of_dns(q).and_then(|p| u32::try_from(p).ok())
}

/// One row per DNS question.
pub static DNS: Table = Table {
    id: TableId::Dns,
    name: "dns",
    title: "DNS",
    noun: "questions",
    singular: "question",
    help: "DNS questions with their answers and latency, by the process that asked.",
    columns: COLUMNS,
    defaults: &[
        "answer_time",
        "owner",
        "name",
        "type",
        "result",
        "latency_us",
        "resolver",
        "tries",
        "addresses",
    ],
    wide_columns: &["local", "unit"],
    in_gauge: &[],
    netns_after: Some("type"),
    words: &[
        "name",
        "type",
        "result",
        "resolver",
        "local",
        "process",
        "pid",
        "unit",
        "container",
        "addresses",
    ],
    order: &[("answer_time", true), ("seq", true)],
    groupings: &[
        Grouping::FLAT,
        Grouping::by("process", "process"),
        Grouping::by("resolver", "resolver"),
        Grouping::by("name", "name"),
        Grouping::by("result", "result"),
    ],
    always_needs: Needs::DNS,
    topic: "dns",
    len: |s| s.dns.rows.len(),
    live: |s| s.dns.rows.len(),
    identity: |s, r| s.dns.rows.get(r).map(|q| Identity::Dns(q.number)),
    owners: |s, r| process_of(s, r).into_iter().collect(),
    process_of,
    sockets: |_, _| Vec::new(),
    remote_of: |s, r| s.dns.rows.get(r).map(|q| q.query.server.addr),
    unread: |s| s.sample.faults.iter().filter(|f| f.subject == FaultSubject::Dns).collect(),
};
