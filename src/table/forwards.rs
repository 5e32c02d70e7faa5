//! Columns of the table of forwards.

use super::cell::{any_comm, any_pid, na, netns_tone, proc_info, process_names, protos};
use super::definition::{Grouping, Table, TableId};
use crate::diagnose::finding::forward_diagnosis;
use crate::diagnose::route;
use crate::format::{Column, Kind, Needs, Role, TextMatch, Tone, Value};
use crate::model::{Container, Fault, FilterVerdict, Forward, ForwardKind, Level, Missing, Snapshot};

const NAT: Needs = Needs::NAT;

fn forward(snap: &Snapshot, row: usize) -> &Forward {
    &snap.forward_rows()[row]
}

fn netns_name(snap: &Snapshot, netns: Option<u16>) -> Value<'_> {
    let Some(n) = netns else { return na() };
    let found = snap.sample.namespaces.get(usize::from(n));
    found.map_or(Value::Missing(Missing::NotReported), |n| Value::text(&n.name))
}

/// Read errors of NAT rules and conntrack: the reason why a forward may be missing.
pub fn unread(snap: &Snapshot) -> impl Iterator<Item = &Fault> {
    snap.faults().filter(|f| f.subject.is_nat())
}

/// Rules and proxies in words.
fn via(snap: &Snapshot, row: usize) -> Value<'_> {
    let names: Vec<&str> = forward(snap, row).known_via().map(|s| s.kind.name()).collect();
    Value::from(names.join(" + "))
}

/// Sources in words.
fn source(snap: &Snapshot, row: usize) -> Value<'_> {
    let f = forward(snap, row);
    let all: Vec<&str> = f.via.iter().map(|s| s.detail.as_str()).collect();
    let several = route::target_text(f).filter(|_| f.target_last.is_some());
    let several = several.map_or_else(String::new, |t| format!(", to one of {t}"));
    Value::from(all.join("; ") + &several)
}

/// The container of the target: that of its process, else as reported by the engine, else that of a process in the network
/// namespace of the target.
fn container(snap: &Snapshot, row: usize) -> Option<&Container> {
    let f = forward(snap, row);
    let serving = f.target_row.and_then(|r| snap.container_of(r as usize));
    let published = || snap.sample.containers.get(f.container? as usize);
    serving.or_else(published).or_else(|| {
        let netns = f.target_netns.filter(|n| *n != f.netns)?;
        let inside = (0..snap.sample.processes.len())
            .filter(|p| snap.sample.netns_of(proc_info(snap, *p).pid) == netns);
        inside.filter_map(|p| snap.unit_of_process(p)).find_map(|u| u.container.as_ref())
    })
}

/// Processes that listen on the target.
fn target_processes(snap: &Snapshot, row: usize) -> Vec<u32> {
    let Some(r) = forward(snap, row).target_row else { return Vec::new() };
    let mut out: Vec<u32> = snap.owners(r as usize).iter().map(|o| o.process).collect();
    out.dedup();
    // With socket activation systemd owns the socket too; it counts only until the service has started.
    let is_activator = |p: &u32| {
        let mut steps = forward(snap, row).via.iter();
        steps.any(|s| s.kind == ForwardKind::SocketActivation && s.process == Some(*p))
    };
    if out.iter().any(|p| !is_activator(p)) {
        out.retain(|p| !is_activator(p));
    }
    out
}

/// The reason why there are none.
fn no_process_reason(snap: &Snapshot, row: usize) -> Missing {
    match forward(snap, row).target_row {
        Some(r) => snap.facts[r as usize].owner_missing.unwrap_or(Missing::NoVisibleProcess),
        None => Missing::NotApplicable,
    }
}

fn hook(f: &Forward) -> Value<'_> {
    let names: Vec<&str> = f.hooks.names().collect();
    if names.is_empty() { na() } else { Value::from(names.join(", ")) }
}

fn list_text(list: &[Box<str>]) -> Value<'_> {
    if list.is_empty() { na() } else { Value::from(list.join(", ")) }
}

fn process(snap: &Snapshot, row: usize) -> Value<'_> {
    let processes = target_processes(snap, row);
    process_names(snap, &processes, no_process_reason(snap, row))
}

/// Processes of the proxies.
fn proxies(snap: &Snapshot, row: usize) -> Vec<u32> {
    forward(snap, row).via.iter().filter_map(|s| s.process).collect()
}

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column::new("proto", "PROTO", Kind::Text, 5,
        |s, r| forward(s, r).proto.map_or(Value::text("any"), |p| Value::text(p.name())), "Transport protocol.").role(Role::Proto).dim().values(protos)
        .called(&["protocol", "netid"]).needs(NAT).wide(5, 5, 8),
    Column::new("host", "HOST", Kind::Text, 0, |s, r| Value::from(route::host_text(forward(s, r))),
        "Endpoint of this host that clients connect to; 0.0.0.0 or [::] means any address.")
        .called(&["local", "from"]).needs(NAT).wide(13, 20, 47),
    Column::new("host_addr", "HOST ADDRESS", Kind::Addr, 40, |s, r| Value::Addr(forward(s, r).host.addr),
        "Address of this host that clients connect to.").called(&["local_addr"]).needs(NAT),
    Column::new("host_port", "HOST PORT", Kind::Port, 41, |s, r| Value::from(forward(s, r).host.port),
        "Port that clients connect to; the first of a range. A filter finds each port of a range.").called(&["port", "local_port", "lport"]).needs(NAT).wide(5, 9, 15)
        .any(|s, r, t| {
            let f = forward(s, r);
            (f.host.port..=f.last_port.max(f.host.port)).any(|p| t(&Value::from(p)))
        }),
    Column::new("by", "VIA", Kind::Text, 1, via,
        "NAT rule (dnat, redirect) or proxy (docker-proxy, rootlessport, socat, ssh …); engine: known only from the container engine.").tone(|_, _| Tone::Accent)
        .called(&["via", "kind"]).needs(NAT).wide(6, 19, 30)
        .any(|s, r, t| forward(s, r).via.iter().any(|x| t(&Value::text(x.kind.name())))),
    Column::new("target", "TARGET", Kind::Endpoint, 0, |s, r| Value::from_opt(forward(s, r).target.map(Value::Endpoint), Missing::NotReported),
        "Target endpoint; the first if a rule selects one of several.").called(&["remote", "to"]).needs(NAT).wide(12, 20, 47),
    Column::new("target_addr", "TARGET ADDRESS", Kind::Addr, 42, |s, r| Value::from_opt(forward(s, r).target.map(|t| Value::Addr(t.addr)), Missing::NotReported),
        "Target address.").called(&["remote_addr", "addr"]).needs(NAT),
    Column::new("target_port", "TARGET PORT", Kind::Port, 43, |s, r| Value::from_opt(forward(s, r).target.map(|t| u64::from(t.port)), Missing::NotReported),
        "Target port.").called(&["remote_port", "rport"]).needs(NAT).wide(5, 11, 15),
    Column::new("target_netns", "TARGET NETNS", Kind::Text, 4, |s, r| netns_name(s, forward(s, r).target_netns),
        "Network namespace of the target, such as that of a container.")
        .called(&["in"]).needs(NAT).wide(6, 16, 30),
    Column::new("process", "PROCESS", Kind::Text, 1, process, "Process that listens on the target, and number of further processes.").role(Role::Process)
        .called(&["proc", "comm", "owner", "served_by"]).needs(NAT).wide(13, 16, 30)
        .any(|s, r, t| any_comm(s, &target_processes(s, r), no_process_reason(s, r), t)),
    Column::new("pid", "PID", Kind::Id, 44,
        |s, r| target_processes(s, r).first().map_or_else(|| Value::Missing(no_process_reason(s, r)), |p| Value::from(proc_info(s, *p as usize).pid)),
        "Process ID of the first process that listens on the target.").needs(NAT)
        .any(|s, r, t| any_pid(s, &target_processes(s, r), no_process_reason(s, r), t)),
    Column::new("container", "CONTAINER", Kind::Text, 34,
        |s, r| Value::from_opt(container(s, r).map(|c| Value::text(c.label())), Missing::NotApplicable),
        "Container of the target: its name if the engine reports it, else the short ID.")
        .called(&["ctr"]).needs(NAT.or(Needs::CGROUPS)).wide(9, 14, 32)
        .any(|s, r, t| match container(s, r) {
            Some(c) => t(&Value::text(c.label())) || t(&Value::text(&c.id)),
            None => t(&na()),
        }),
    Column::new("listens", "LISTENS", Kind::Bool, 3, |s, r| Value::from_opt(forward(s, r).listens, Missing::NotReported),
        "Listener on the target: yes or no; empty if it is not visible from here.").needs(NAT).wide(3, 7, 7),
    Column::new("clients", "CLIENTS", Kind::Count, 2, |s, r| Value::from(forward(s, r).clients),
        "Active forwarded connections.").called(&["connections", "conns"]).needs(NAT),
    Column::new("rx", "RX/s", Kind::BytesPerSec, 4, |s, r| Value::from_opt(forward(s, r).rx, Missing::Pending),
        "Bytes per second to the target, over visible TCP connections.").role(Role::Rx)
        .called(&["rx_per_s"]).needs(NAT.or(Needs::RATES)),
    Column::new("tx", "TX/s", Kind::BytesPerSec, 4, |s, r| Value::from_opt(forward(s, r).tx, Missing::Pending),
        "Bytes per second from the target, over visible TCP connections.").role(Role::Tx)
        .called(&["tx_per_s"]).needs(NAT.or(Needs::RATES)),
    Column::new("proxy", "PROXY", Kind::Text, 30,
        |s, r| process_names(s, &proxies(s, r), Missing::NotApplicable),
        "Proxy process; none for a kernel rule.").needs(NAT).wide(8, 18, 30)
        .any(|s, r, t| any_comm(s, &proxies(s, r), Missing::NotApplicable, t)),
    Column::new("how", "SOURCE", Kind::Text, 6, source,
        "Source: location of the rule (family, table, chain, handle), command line of the proxy, or container engine.").dim()
        .called(&["source", "learnt", "rule"]).needs(NAT).wide(10, 24, 80),
    Column::new("finding", "FINDING", Kind::Text, 3, |s, r| Value::from_opt(forward_diagnosis(s, r).map(|d| d.finding.name), Missing::NotApplicable),
        "Finding: no-listener (nothing listens on the target), on-loopback (a service listens there on loopback only), shadowed (an earlier rule matches first) or filtered (a filter rule drops its packets).").tone(|s, r| match forward_diagnosis(s, r).map(|d| d.severity) {
            Some(Level::Critical) => Tone::Critical,
            _ => Tone::Warning,
        })
        .any(|s, r, t| match forward_diagnosis(s, r) {
            Some(d) => d.names().any(|n| t(&Value::text(n))),
            None => t(&na()),
        }).called(&["findings"]).needs(NAT).wide(11, 11, 50),
    Column::new("iface", "IFACE", Kind::Text, 31, |s, r| Value::from_opt(forward(s, r).iface.as_deref().map(Value::text), Missing::NotApplicable),
        "Required input interface; with ! any but this one.").any(|s, r, t| match forward(s, r).iface.as_deref() {
            Some(names) => names.split(',').any(|n| t(&Value::text(n))),
            None => t(&na()),
        }).role(Role::Iface).text_match(TextMatch::Exact).called(&["dev", "interface"]).needs(NAT),
    Column::new("hook", "HOOK", Kind::Text, 36, |s, r| hook(forward(s, r)),
        "Hook of the rule: prerouting (connections that arrive) or output (connections of processes of this host); none for a proxy.").needs(NAT).wide(6, 10, 18)
        .any(|s, r, t| match forward(s, r).hooks.names().collect::<Vec<_>>() {
            names if names.is_empty() => t(&na()),
            names => names.iter().any(|n| t(&Value::text(n))),
        }),
    Column::new("conditions", "CONDITIONS", Kind::Text, 37, |s, r| list_text(&forward(s, r).conditions),
        "Further conditions of the rule: source, mark, interfaces, what earlier rules take, and what sockscope does not evaluate.").needs(NAT).wide(10, 20, 60),
    Column::new("packets", "PACKETS", Kind::Text, 38,
        |s, r| Some(&forward(s, r).packets).filter(|p| !p.is_empty()).map_or_else(na, |p| Value::text(p)),
        "Packets that the rule translates, field by field; | between alternatives, ! before excluded values.").needs(NAT).wide(10, 20, 80),
    Column::new("filter", "FILTER", Kind::Text, 39, |s, r| forward(s, r).filtered.as_ref().map_or_else(na, |f| Value::from(f.text())),
        "Filter rules behind the translation (raw, mangle, filter, security) for the first packet of a connection: accepted; dropped, rejected or queued, and by which rule; partly, with the packets that each rule stops, as in packets; or not evaluated, and why.")
        .called(&["firewall", "filtered"]).needs(NAT).wide(8, 20, 80).tone(|s, r| match forward(s, r).filtered.as_ref().map(|f| f.verdict) {
            Some(FilterVerdict::Stopped) => Tone::Critical,
            Some(FilterVerdict::NotEvaluated) => Tone::Warning,
            _ => Tone::Plain,
        }),
    Column::new("netns", "NETNS", Kind::Text, 32, |s, r| netns_name(s, Some(forward(s, r).netns)),
        "Network namespace of the host endpoint.").role(Role::Netns).tone(|s, r| netns_tone(forward(s, r).netns)).text_match(TextMatch::Whole).called(&["ns", "namespace"]).needs(NAT).wide(6, 12, 30),
    super::host::HOSTNAME,
];

/// One row per forward.
pub static FORWARDS: Table = Table {
    id: TableId::Forwards,
    name: "forwards",
    title: "Forwarding",
    noun: "forwards",
    singular: "forward",
    help: "Every port forward: host endpoint, NAT rule or proxy, target and its process.",
    columns: COLUMNS,
    defaults: &[
        "proto",
        "host",
        "by",
        "target",
        "target_netns",
        "process",
        "clients",
        "rx",
        "tx",
        "finding",
        "how",
    ],
    wide_columns: &[],
    in_gauge: &[],
    netns_after: None,
    words: &["host", "target", "by", "process", "target_netns", "how", "host_port", "target_port"],
    order: &[("host_port", false), ("proto", false)],
    groupings: &[Grouping::FLAT],
    always_needs: Needs::NAT,
    topic: "port-forwarding",
    len: |s| s.forward_rows().len(),
    live: |s| s.forward_rows().len(),
    identity: crate::table::identity::forward,
    owners: |_, _| Vec::new(),
    process_of: |s, r| s.owners(s.forward_rows().get(r)?.target_row? as usize).first().map(|o| o.process),
    sockets: |s, r| s.forward_rows().get(r).and_then(|f| f.target_row).into_iter().collect(),
    remote_of: |_, _| None,
    unread: |s| unread(s).collect(),
};
