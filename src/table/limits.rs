//! Columns of the table of limits.

use super::cell::{applicable, na, netns_tone};
use super::definition::{Collapsed, Grouping, Table, TableId};
use super::identity::Identity;
use crate::diagnose::finding::limit_diagnosis;
use crate::diagnose::limit::{process, set_by, subject};
use crate::diagnose::remedy;
use crate::format::{Column, Gauge, Kind, Needs, Role, TextMatch, Tone, Value};
use crate::model::lang::tr;
use crate::model::limit::{Level, Limit, LimitSubject};
use crate::model::{Missing, Snapshot};

fn limit(snap: &Snapshot, row: usize) -> &Limit {
    &snap.limits[row]
}

fn netns(snap: &Snapshot, row: usize) -> Value<'_> {
    match limit(snap, row).subject {
        LimitSubject::Net
        | LimitSubject::Listener(..)
        | LimitSubject::NamedListener(..)
        | LimitSubject::Route(..)
        | LimitSubject::LocalPorts(..) => {
            let netns = snap.sample.namespaces.get(usize::from(limit(snap, row).netns));
            netns.map_or(Value::Missing(Missing::NotReported), |n| Value::text(&n.name))
        }
        _ => na(),
    }
}

fn forecast<'a>(snap: &Snapshot, row: usize, get: fn(&crate::model::FullIn) -> f64) -> Value<'a> {
    let l = limit(snap, row);
    match &l.full_in {
        Some(f) => Value::from(get(f)),
        // Without a limit, full already, or falling.
        None if l.share().is_none_or(|s| s >= 1.0) || l.per_min.is_some_and(|n| n < 0.0) => na(),
        None if l.per_min.is_none() => Value::Missing(Missing::Pending),
        None => Value::Missing(Missing::Stable),
    }
}

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column::new("limit", "RESOURCE", Kind::Text, 0, |s, r| Value::text(limit(s, r).kind.info().name),
        "Resource, as in check --only.")
        .called(&["resource", "ceiling", "kind"]).wide(10, 10, 16),
    Column::new("title", "DESCRIPTION", Kind::Text, 20, |s, r| Value::text(tr(limit(s, r).kind.info().title)),
        "Resource in words.").dim().wide(8, 20, 32),
    Column::new("subject", "OWNER", Kind::Text, 0, |s, r| Value::from(subject(s, r)),
        "Owner: a process, a listener, a destination, a user, a unit, or the host.")
        .role(Role::Subject).called(&["owner", "whose", "of"]).wide(12, 16, 60),
    Column::new("used", "USED", Kind::Amount, 2, |s, r| Value::from(limit(s, r).used), "Amount in use.")
        .called(&["taken"]),
    Column::new("max", "LIMIT", Kind::Amount, 3, |s, r| applicable(limit(s, r).max),
        "Limit; none for loss counters.").called(&["of_max", "size"]),
    Column::new("pct", "%", Kind::Percent, 1, |s, r| applicable(limit(s, r).share().map(|x| x * 100.0)),
        "Usage in percent.").gauge(Gauge::PERCENT).called(&["percent", "full"]),
    Column::new("left", "LEFT", Kind::Amount, 30,
        |s, r| applicable(limit(s, r).capacity().map(|m| m.saturating_sub(limit(s, r).used))), "Amount left."),
    Column::new("per_min", "/MIN", Kind::PerMin, 5, |s, r| Value::from_opt(limit(s, r).per_min, Missing::Pending),
        "Change per minute: median slope over all polls (Theil-Sen estimator)."),
    Column::new("full_in_s", "FULL IN", Kind::Secs, 4, |s, r| forecast(s, r, |f| f.likely),
        "Time until full at the current rate; empty while stable.").called(&["full_in", "eta"]),
    Column::new("full_in_low_s", "EARLIEST", Kind::Secs, 31, |s, r| forecast(s, r, |f| f.low),
        "Earliest time until full: upper quartile of the slopes."),
    Column::new("full_in_high_s", "LATEST", Kind::Secs, 32, |s, r| forecast(s, r, |f| f.high),
        "Latest time until full: lower quartile of the slopes."),
    Column::new("drops", "LOST", Kind::Count, 6, |s, r| applicable(limit(s, r).drops),
        "Losses in total because it was full: connections of a listener, datagrams, messages.")
        .called(&["overflows", "losses"]).needs(Needs::LIMITS),
    Column::new("drops_new", "LOST/POLL", Kind::Count, 7, |s, r| applicable(limit(s, r).drops_new),
        "Losses since the previous poll.").tone(|s, r| if limit(s, r).drops_new > Some(0) { Tone::Critical } else { Tone::Faint }).needs(Needs::LIMITS),
    Column::new("level", "LEVEL", Kind::Text, 2, |s, r| Value::text(limit(s, r).level.name()),
        "Severity: ok, warning, critical.").tone(|s, r| match limit(s, r).level {
            Level::Critical => Tone::Critical,
            Level::Warning => Tone::Warning,
            Level::Ok => Tone::Dim,
        }).wide(5, 8, 8),
    Column::new("severity", "SEVERITY", Kind::Count, 49, |s, r| Value::from(limit(s, r).level as u64),
        "Severity as a number: 0 ok, 1 warning, 2 critical."),
    Column::new("finding", "FINDING", Kind::Text, 35, |s, r| applicable(limit_diagnosis(s, r).map(|d| d.evidence)),
        "Diagnosis in one sentence.").tone(|_, _| Tone::Warning).wide(10, 40, 100),
    Column::new("set_by", "SET BY", Kind::Text, 15, |s, r| Value::from(set_by(limit(s, r))),
        "Setting that defines the limit.").dim().wide(12, 30, 80),
    Column::new("advice", "ADVICE", Kind::Text, 36, |s, r| Value::text(tr(limit(s, r).kind.info().help)),
        "Effect when full, and remedy.").dim().wide(12, 40, 130),
    Column::new("steps", "STEPS", Kind::List, 38,
        |s, r| applicable(Some(remedy::steps(s, r)).filter(|all| !all.is_empty()).map(|all| {
            Value::List(all.iter().map(|l| Value::from(l.trim().to_owned())).collect())
        })),
        "Steps to take, including commands to raise the limit permanently.")
        .called(&["remedy", "do"]).wide(12, 40, 160),
    Column::new("process", "COMMAND", Kind::Text, 33, |s, r| applicable(process(s, r).map(|p| &*p.comm)),
        "Process, if there is exactly one.").role(Role::Process).tone(|_, _| Tone::Strong).called(&["comm", "proc"]).wide(6, 16, 24),
    Column::new("pid", "PID", Kind::Id, 34, |s, r| applicable(process(s, r).map(|p| p.pid)), "Process ID."),
    Column::new("netns", "NETNS", Kind::Text, 37, netns, "Network namespace, if the limit is per namespace.").role(Role::Netns).tone(|s, r| netns_tone(limit(s, r).netns)).text_match(TextMatch::Whole)
        .called(&["ns", "namespace"]).wide(4, 10, 24),
    super::host::HOSTNAME,
];

fn identity(snap: &Snapshot, row: usize) -> Option<Identity> {
    use std::hash::{Hash, Hasher};
    let l = snap.limits.get(row)?;
    let mut h = rustc_hash::FxHasher::default();
    l.subject.hash(&mut h);
    Some(Identity::Limit(l.kind, l.netns, h.finish()))
}

/// One row per limit.
pub static LIMITS: Table = Table {
    id: TableId::Limits,
    name: "limits",
    title: "Limits",
    noun: "limits",
    singular: "limit",
    help: "Resource limits of sockets and processes: usage, growth, time until full, and where each is configured.",
    columns: COLUMNS,
    defaults: &[
        "limit",
        "subject",
        "used",
        "max",
        "pct",
        "per_min",
        "full_in_s",
        "drops",
        "drops_new",
        "level",
        "set_by",
        "finding",
    ],
    wide_columns: &["title"],
    in_gauge: &[],
    netns_after: Some("subject"),
    words: &["limit", "subject", "process", "pid", "level", "netns"],
    order: &[("severity", true), ("pct", true), ("drops_new", true), ("limit", false)],
    groupings: &[
        Grouping::by("level", "level").collapsed(Collapsed::Value("ok")).by_first_row(),
        Grouping::by("limit", "kind"),
        Grouping::FLAT,
    ],
    always_needs: Needs::LIMITS,
    topic: "limits",
    len: |s| s.limits.len(),
    live: |s| s.limits.len(),
    identity,
    owners: |_, _| Vec::new(),
    process_of: |s, r| s.limits.get(r)?.process,
    sockets: |_, _| Vec::new(),
    remote_of: |_, _| None,
    unread: |_| Vec::new(),
};
