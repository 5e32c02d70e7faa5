//! The columns of the table of limits.

use super::cell::{na, netns_tone, opt_na};
use super::{Grouping, Identity, Table, TableId};
use crate::diagnose::finding::limit_diagnosis;
use crate::diagnose::limit::{process, subject};
use crate::diagnose::remedy;
use crate::format::{Column, Gauge, Kind, Needs, Role, TextMatch, Tone, Value};
use crate::model::limit::{Level, Limit, Subject};
use crate::model::{Missing, Snapshot};

fn at(snap: &Snapshot, row: usize) -> &Limit {
    &snap.limits[row]
}

fn netns(snap: &Snapshot, row: usize) -> Value<'_> {
    match at(snap, row).subject {
        Subject::Net | Subject::Listener(..) | Subject::Route(..) => {
            let space = snap.sample.namespaces.get(usize::from(at(snap, row).netns));
            space.map_or(Value::Missing(Missing::NotReported), |n| Value::text(&n.name))
        }
        _ => na(),
    }
}

fn secs<'a>(snap: &Snapshot, row: usize, get: fn(&crate::model::FullIn) -> f64) -> Value<'a> {
    let l = at(snap, row);
    match &l.full_in {
        Some(f) => Value::from(get(f)),
        None if l.max.is_none() => na(),
        None if l.per_min.is_none() => Value::Missing(Missing::Pending),
        None => Value::Missing(Missing::Steady),
    }
}

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column::new("limit", "LIMIT", Kind::Text, 0, |s, r| Value::text(at(s, r).ceiling.info().name),
        "Which kind of ceiling: a word of check --only.")
        .called(&["ceiling", "kind"]).wide(6, 10, 16),
    Column::new("title", "WHAT", Kind::Text, 20, |s, r| Value::text(at(s, r).ceiling.info().title),
        "What fills up.").dim().wide(8, 20, 32),
    Column::new("subject", "WHOSE", Kind::Text, 0, |s, r| Value::from(subject(s, r)),
        "Whom it holds for: a process, a listener, a destination, a user, a unit, the machine.")
        .called(&["whose", "of"]).wide(12, 16, 60),
    Column::new("used", "USED", Kind::Amount, 2, |s, r| Value::from(at(s, r).used), "How much is taken.")
        .called(&["taken"]),
    Column::new("max", "LIMIT AT", Kind::Amount, 3, |s, r| opt_na(at(s, r).max),
        "How much there is; a counter of losses has none.").called(&["of_max", "size"]),
    Column::new("pct", "%", Kind::Percent, 1, |s, r| opt_na(at(s, r).share().map(|x| x * 100.0)),
        "The share that is taken.").gauge(Gauge::PERCENT).called(&["percent", "full"]),
    Column::new("left", "LEFT", Kind::Amount, 30,
        |s, r| opt_na(at(s, r).max.map(|m| m.saturating_sub(at(s, r).used))), "How much is left."),
    Column::new("per_min", "/MIN", Kind::PerMin, 5, |s, r| Value::from_opt(at(s, r).per_min, Missing::Pending),
        "Change a minute: the median of the slopes between all readings (Theil and Sen)."),
    Column::new("full_in_s", "FULL IN", Kind::Secs, 4, |s, r| secs(s, r, |f| f.likely),
        "When it is full if it goes on like this; nothing while it is steady.").called(&["full_in", "eta"]),
    Column::new("full_in_low_s", "AT EARLIEST", Kind::Secs, 31, |s, r| secs(s, r, |f| f.low),
        "When it is full at the earliest: by the upper quartile of the slopes."),
    Column::new("full_in_high_s", "AT LATEST", Kind::Secs, 32, |s, r| secs(s, r, |f| f.high),
        "When it is full at the latest: by the lower quartile of the slopes."),
    Column::new("drops", "LOST", Kind::Count, 6, |s, r| opt_na(at(s, r).drops),
        "What was lost so far because it was full: connections of a listener, datagrams, messages.")
        .called(&["overflows", "losses"]).needs(Needs::LIMITS),
    Column::new("drops_new", "LOST NOW", Kind::Count, 7, |s, r| opt_na(at(s, r).drops_new),
        "Lost since the poll before.").tone(|s, r| if at(s, r).drops_new > Some(0) { Tone::Critical } else { Tone::Faint }).needs(Needs::LIMITS),
    Column::new("level", "LEVEL", Kind::Text, 8, |s, r| Value::text(at(s, r).level.name()),
        "Severity: ok, warning, critical.").tone(|s, r| match at(s, r).level {
            Level::Critical => Tone::Critical,
            Level::Warning => Tone::Warning,
            Level::Ok => Tone::Dim,
        }).wide(5, 8, 8),
    Column::new("severity", "RANK", Kind::Count, 49, |s, r| Value::from(at(s, r).level as u64),
        "How bad it is as a number, for sorting: 0 ok, 1 warning, 2 critical."),
    Column::new("finding", "FINDING", Kind::Text, 35, |s, r| opt_na(limit_diagnosis(s, r).map(|d| d.evidence)),
        "What is wrong, in a sentence.").tone(|_, _| Tone::Warning).wide(10, 40, 100),
    Column::new("set_by", "SET BY", Kind::Text, 15, |s, r| Value::text(at(s, r).ceiling.info().set_by),
        "Where the ceiling is set.").dim().wide(12, 30, 80),
    Column::new("advice", "ADVICE", Kind::Text, 36, |s, r| Value::text(at(s, r).ceiling.info().help),
        "What happens when it is full, and what to do.").dim().wide(12, 40, 130),
    Column::new("do", "WHAT TO DO", Kind::Text, 38,
        |s, r| opt_na(Some(remedy::steps(s, r)).filter(|all| !all.is_empty()).map(|all| {
            all.iter().map(|l| l.trim()).collect::<Vec<_>>().join("; ")
        })),
        "The next steps, with the line to write where the limit is set for good.")
        .called(&["remedy", "steps"]).wide(12, 40, 160),
    Column::new("comm", "COMMAND", Kind::Text, 33, |s, r| opt_na(process(s, r).map(|p| &*p.comm)),
        "The process, where one can be named.").role(Role::Process).tone(|_, _| Tone::Strong).called(&["process", "proc"]).wide(6, 16, 24),
    Column::new("pid", "PID", Kind::Id, 34, |s, r| opt_na(process(s, r).map(|p| p.pid)), "Its process id."),
    Column::new("netns", "NETNS", Kind::Text, 37, netns, "Network namespace, where it holds for one.").role(Role::Netns).tone(|s, r| netns_tone(at(s, r).netns)).text_match(TextMatch::Whole)
        .called(&["ns", "namespace"]).wide(4, 10, 24),
];

fn identity(snap: &Snapshot, row: usize) -> Option<Identity> {
    use std::hash::{Hash, Hasher};
    let l = snap.limits.get(row)?;
    let mut h = rustc_hash::FxHasher::default();
    l.subject.hash(&mut h);
    Some(Identity::Limit(l.ceiling, l.netns, h.finish()))
}

/// One row a ceiling.
pub static LIMITS: Table = Table {
    id: TableId::Limits,
    name: "limits",
    title: "Limits",
    noun: "limits",
    help: "Every ceiling a socket can hit: how full, how fast it fills, when it is full, where it is set.",
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
    words: &["limit", "subject", "comm", "pid", "level", "netns"],
    order: &[("severity", true), ("pct", true), ("drops_new", true), ("limit", false)],
    groupings: &[Grouping::FLAT],
    always_needs: Needs::LIMITS,
    topic: "limits",
    len: |s| s.limits.len(),
    live: |s| s.limits.len(),
    identity,
    owners: |_, _| Vec::new(),
    process_of: |s, r| s.limits.get(r)?.process,
    remote_of: |_, _| None,
    unread: |_| Vec::new(),
};
