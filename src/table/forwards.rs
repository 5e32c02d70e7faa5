//! The columns of the table of forwards.

use super::cell::{any_comm, any_pid, holders, info, na, netns_tone, protos};
use super::{Grouping, Table, TableId};
use crate::diagnose::finding::forward_diagnosis;
use crate::diagnose::route;
use crate::format::{Column, Kind, Needs, Role, TextMatch, Tone, Value};
use crate::model::{Container, Fault, Forward, ForwardKind, Level, Missing, Snapshot};

const NAT: Needs = Needs::NAT;

fn at(snap: &Snapshot, row: usize) -> &Forward {
    &snap.forward_rows()[row]
}

fn space(snap: &Snapshot, netns: Option<u16>) -> Value<'_> {
    let Some(n) = netns else { return na() };
    let found = snap.sample.namespaces.get(usize::from(n));
    found.map_or(Value::Missing(Missing::NotReported), |n| Value::text(&n.name))
}

/// What of the rules and tracked connections could not be read: why a forward may be missing.
pub fn unread(snap: &Snapshot) -> impl Iterator<Item = &Fault> {
    snap.sample.faults.iter().filter(|f| f.subject.is_nat())
}

/// By what, in words.
fn by(snap: &Snapshot, row: usize) -> Value<'_> {
    let names: Vec<&str> = at(snap, row).ways().map(|s| s.by.name()).collect();
    Value::from(names.join(" + "))
}

/// Where it was learnt.
fn how(snap: &Snapshot, row: usize) -> Value<'_> {
    let f = at(snap, row);
    let all: Vec<&str> = f.steps.iter().map(|s| s.how.as_str()).collect();
    let several = route::target_text(f).filter(|_| f.target_last.is_some());
    let several = several.map_or_else(String::new, |t| format!(", to one of {t}"));
    Value::from(all.join("; ") + &several)
}

/// The container that has the target: by whose process serves it, else as an engine says, else by who is in the
/// namespace of the target.
fn container(snap: &Snapshot, row: usize) -> Option<&Container> {
    let f = at(snap, row);
    let serving = f.target_row.and_then(|r| snap.container_of(r as usize));
    let told = || snap.sample.containers.get(f.container? as usize);
    serving.or_else(told).or_else(|| {
        let netns = f.target_netns.filter(|n| *n != f.netns)?;
        let inside =
            (0..snap.sample.processes.len()).filter(|p| snap.sample.netns_of(info(snap, *p).pid) == netns);
        inside.filter_map(|p| snap.unit_of_process(p)).find_map(|u| u.container.as_ref())
    })
}

/// The processes that serve the target.
fn servers(snap: &Snapshot, row: usize) -> Vec<u32> {
    let Some(r) = at(snap, row).target_row else { return Vec::new() };
    let mut out: Vec<u32> = snap.owners(r as usize).iter().map(|o| o.process).collect();
    out.dedup();
    // systemd holds it for another, and answers by itself where there is none yet.
    let holds = |p: &u32| {
        let mut steps = at(snap, row).steps.iter();
        steps.any(|s| s.by == ForwardKind::SocketActivation && s.process == Some(*p))
    };
    if out.iter().any(|p| !holds(p)) {
        out.retain(|p| !holds(p));
    }
    out
}

/// Why there are none.
fn why(snap: &Snapshot, row: usize) -> Missing {
    match at(snap, row).target_row {
        Some(r) => snap.facts[r as usize].owner_missing.unwrap_or(Missing::NoVisibleProcess),
        None => Missing::NotApplicable,
    }
}

fn process(snap: &Snapshot, row: usize) -> Value<'_> {
    let of = servers(snap, row);
    holders(snap, &of, why(snap, row))
}

/// The programs that forward.
fn programs(snap: &Snapshot, row: usize) -> Vec<u32> {
    at(snap, row).steps.iter().filter_map(|s| s.process).collect()
}

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column::new("proto", "PROTO", Kind::Text, 5,
        |s, r| at(s, r).proto.map_or(Value::text("any"), |p| Value::text(p.name())), "Protocol.").role(Role::Proto).dim().values(protos)
        .called(&["protocol", "netid"]).needs(NAT).wide(5, 5, 8),
    Column::new("host", "HOST", Kind::Text, 0, |s, r| Value::from(route::host_text(at(s, r))),
        "The endpoint of this machine that clients ask for; the address 0.0.0.0 or [::] is any.")
        .called(&["local", "from"]).needs(NAT).wide(13, 20, 47),
    Column::new("host_addr", "HOST ADDRESS", Kind::Addr, 40, |s, r| Value::Addr(at(s, r).host.addr),
        "The address of this machine that clients ask for.").called(&["local_addr"]).needs(NAT),
    Column::new("host_port", "HOST PORT", Kind::Port, 41, |s, r| Value::from(at(s, r).host.port),
        "The port that clients ask for; of a range the first.").called(&["port", "local_port", "lport"]).needs(NAT).wide(5, 9, 15),
    Column::new("by", "BY", Kind::Text, 1, by,
        "What sends it on: a rule (dnat, redirect) or a program (docker-proxy, rootlessport, socat, ssh …); engine: only its engine tells.").tone(|_, _| Tone::Accent)
        .called(&["via", "kind"]).needs(NAT).wide(6, 19, 30)
        .any(|s, r, t| at(s, r).steps.iter().any(|x| t(&Value::text(x.by.name())))),
    Column::new("target", "TARGET", Kind::Endpoint, 0, |s, r| Value::from_opt(at(s, r).target.map(Value::Endpoint), Missing::NotReported),
        "Where it goes; where a rule chooses between several, the first.").called(&["remote", "to"]).needs(NAT).wide(12, 20, 47),
    Column::new("target_addr", "TARGET ADDRESS", Kind::Addr, 42, |s, r| Value::from_opt(at(s, r).target.map(|t| Value::Addr(t.addr)), Missing::NotReported),
        "The address it goes to.").called(&["remote_addr", "addr"]).needs(NAT),
    Column::new("target_port", "TARGET PORT", Kind::Port, 43, |s, r| Value::from_opt(at(s, r).target.map(|t| u64::from(t.port)), Missing::NotReported),
        "The port it goes to.").called(&["remote_port", "rport"]).needs(NAT).wide(5, 11, 15),
    Column::new("target_netns", "IN", Kind::Text, 4, |s, r| space(s, at(s, r).target_netns),
        "The network namespace that has the target's address: a container, as it is called.")
        .called(&["in"]).needs(NAT).wide(6, 16, 30),
    Column::new("process", "SERVED BY", Kind::Text, 1, process, "The process that serves the target, and how many more do.").role(Role::Process)
        .called(&["proc", "comm", "owner", "served_by"]).needs(NAT).wide(13, 16, 30)
        .any(|s, r, t| any_comm(s, &servers(s, r), why(s, r), t)),
    Column::new("pid", "PID", Kind::Id, 44,
        |s, r| servers(s, r).first().map_or_else(|| Value::Missing(why(s, r)), |p| Value::from(info(s, *p as usize).pid)),
        "Process id of the first that serves the target.").needs(NAT)
        .any(|s, r, t| any_pid(s, &servers(s, r), why(s, r), t)),
    Column::new("container", "CONTAINER", Kind::Text, 34,
        |s, r| Value::from_opt(container(s, r).map(|c| Value::text(c.label())), Missing::NotApplicable),
        "The container that the target is in: its name where the engine tells it, else the short id.")
        .called(&["ctr"]).needs(NAT.or(Needs::CGROUPS)).wide(9, 14, 32)
        .any(|s, r, t| match container(s, r) {
            Some(c) => t(&Value::text(c.label())) || t(&Value::text(&c.id)),
            None => t(&na()),
        }),
    Column::new("listens", "LISTENS", Kind::Bool, 3, |s, r| Value::from_opt(at(s, r).listens, Missing::NotReported),
        "Whether something serves the target; missing where that cannot be seen from here.").needs(NAT).wide(3, 7, 7),
    Column::new("clients", "CLIENTS", Kind::Count, 2, |s, r| Value::from(at(s, r).clients),
        "Connections that come through now.").called(&["connections", "conns"]).needs(NAT),
    Column::new("rx", "RX/s", Kind::BytesPerSec, 4, |s, r| Value::from_opt(at(s, r).rx, Missing::Pending),
        "Bytes towards the target a second, over its TCP connections that can be seen.").role(Role::Rx)
        .called(&["rx_per_s"]).needs(NAT.or(Needs::RATES)),
    Column::new("tx", "TX/s", Kind::BytesPerSec, 4, |s, r| Value::from_opt(at(s, r).tx, Missing::Pending),
        "Bytes from the target a second, over its TCP connections that can be seen.").role(Role::Tx)
        .called(&["tx_per_s"]).needs(NAT.or(Needs::RATES)),
    Column::new("proxy", "PROXY", Kind::Text, 30,
        |s, r| holders(s, &programs(s, r), Missing::NotApplicable),
        "The program that forwards it; a rule of the kernel has none.").needs(NAT).wide(8, 18, 30)
        .any(|s, r, t| any_comm(s, &programs(s, r), Missing::NotApplicable, t)),
    Column::new("how", "HOW", Kind::Text, 6, how,
        "Where it was learnt: the rule's place (family, table, chain, handle), the program's command line, what the engine says.").dim()
        .called(&["learnt", "rule"]).needs(NAT).wide(10, 24, 80),
    Column::new("finding", "FINDING", Kind::Text, 3, |s, r| Value::from_opt(forward_diagnosis(s, r).map(|d| d.finding.name), Missing::NotApplicable),
        "What is wrong with it: no-listener: nothing listens on the target; shadowed: an earlier rule matches first.").tone(|s, r| match forward_diagnosis(s, r).map(|d| d.severity) {
            Some(Level::Critical) => Tone::Critical,
            _ => Tone::Warning,
        })
        .any(|s, r, t| match forward_diagnosis(s, r) {
            Some(d) => d.names().any(|n| t(&Value::text(n))),
            None => t(&na()),
        }).called(&["findings"]).needs(NAT).wide(11, 11, 50),
    Column::new("iface", "IFACE", Kind::Text, 31, |s, r| Value::from_opt(at(s, r).iface.as_deref().map(Value::text), Missing::NotApplicable),
        "The interface it must come in by; with ! before it, must not.").role(Role::Iface).text_match(TextMatch::Exact).called(&["dev", "interface"]).needs(NAT),
    Column::new("netns", "NETNS", Kind::Text, 32, |s, r| space(s, Some(at(s, r).netns)),
        "The network namespace whose endpoint it is.").role(Role::Netns).tone(|s, r| netns_tone(at(s, r).netns)).text_match(TextMatch::Whole).called(&["ns", "namespace"]).needs(NAT).wide(6, 12, 30),
];

/// One row a forward.
pub static FORWARDS: Table = Table {
    id: TableId::Forwards,
    name: "forwards",
    title: "Forwarding",
    noun: "forwards",
    help: "Every port forward: which endpoint of this machine goes where, by what, and who answers there.",
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
    topic: "socket",
    len: |s| s.forward_rows().len(),
    live: |s| s.forward_rows().len(),
    identity: crate::table::identity::forward,
    owners: |_, _| Vec::new(),
    process_of: |s, r| s.owners(s.forward_rows().get(r)?.target_row? as usize).first().map(|o| o.process),
    remote_of: |_, _| None,
    unread: |s| unread(s).collect(),
};
