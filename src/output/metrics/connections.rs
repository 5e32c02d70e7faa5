//! Connections by their events, sockets by state, findings, and the program itself.

use super::Input;
use super::series::{Number, Point, counter_points};
use super::totals::{BOUNDS, CAUSES};
use crate::model::limit::LIMIT_KINDS;
use crate::model::sample::{ClosedBy, EventSource};
use crate::model::{Level, Missing, Proto, Reads, State};

/// Source of events, if they are read.
fn source(i: Input<'_>) -> Option<EventSource> {
    let sample = &i.snap.sample;
    sample.events.source.filter(|_| sample.wants.reads(Reads::EVENTS))
}

/// Returns whether opened and failed connections are reported: `sock_diag` reports closes only.
fn sees_all(i: Input<'_>) -> bool {
    source(i).is_some_and(|s| s != EventSource::SockDiag)
}

fn by_cause(counts: [f64; CAUSES]) -> Vec<Point> {
    let names = ClosedBy::ALL.iter().map(|(_, name)| *name).chain(["unknown"]);
    names.zip(counts).map(|(name, n)| Point::new([name], n)).collect()
}

pub(super) fn opened(i: Input<'_>) -> Vec<Point> {
    if !sees_all(i) {
        return Vec::new();
    }
    ["in", "out", "unknown"].into_iter().zip(i.totals.opened).map(|(d, n)| Point::new([d], n)).collect()
}

pub(super) fn closed(i: Input<'_>) -> Vec<Point> {
    source(i).map_or(Vec::new(), |_| by_cause(i.totals.closed))
}

pub(super) fn failed(i: Input<'_>) -> Vec<Point> {
    if sees_all(i) { by_cause(i.totals.failed) } else { Vec::new() }
}

pub(super) fn failed_by(i: Input<'_>) -> Vec<Point> {
    if sees_all(i) { counter_points(&i.totals.failed_by) } else { Vec::new() }
}

pub(super) fn durations(i: Input<'_>) -> Vec<Point> {
    if source(i).is_none() {
        return Vec::new();
    }
    let totals = i.totals;
    let mut sum = 0;
    let buckets = BOUNDS.iter().zip(totals.durations).map(|(bound, n)| {
        sum += n;
        (*bound, sum)
    });
    let buckets: Vec<_> = buckets.collect();
    let count = totals.durations.iter().sum();
    vec![Point { labels: Vec::new(), value: Number::Histogram(buckets, count, totals.durations_sum) }]
}

pub(super) fn events_lost(i: Input<'_>) -> Vec<Point> {
    source(i).map_or(Vec::new(), |_| vec![Point::single(i.snap.events.lost as f64)])
}

/// Sockets by protocol and state. Of TCP `CLOSE_WAIT` and `ESTABLISHED` are there with 0.
pub(super) fn sockets(i: Input<'_>) -> Vec<Point> {
    let mut counts = std::collections::BTreeMap::new();
    for state in [State::Established, State::CloseWait] {
        counts.insert((Proto::Tcp, state), 0_u64);
    }
    for s in i.snap.live_sockets() {
        *counts.entry((s.proto, s.state)).or_default() += 1;
    }
    counts.into_iter().map(|((p, s), n)| Point::new([p.name(), s.name()], n as f64)).collect()
}

/// Sockets whose process is unknown, by reason. Those of the kernel have none.
pub(super) fn hidden(i: Input<'_>) -> Vec<Point> {
    let none = |m: &Missing| {
        matches!(m, Missing::AcceptQueue | Missing::Orphan | Missing::TimeWait | Missing::Handshake)
    };
    let name = |m| serde_json::to_value(m).ok().and_then(|v| v.as_str().map(str::to_owned));
    let hidden = i.snap.hidden.iter().filter(|(m, _)| !none(m));
    hidden.filter_map(|(m, n)| Some(Point::new([name(m)?], f64::from(*n)))).collect()
}

pub(super) fn unjudged(i: Input<'_>) -> Vec<Point> {
    let unjudged = &i.snap.unjudged;
    let count = |kind| unjudged.iter().filter(|u| u.kind == kind).count();
    let kinds = LIMIT_KINDS.iter().filter(|k| count(k.kind) > 0);
    kinds.map(|k| Point::new([k.name], count(k.kind) as f64)).collect()
}

pub(super) fn findings(i: Input<'_>) -> Vec<Point> {
    let each = i.findings.iter();
    each.map(|f| Point::new([f.name, f.severity.name()], f.count as f64)).collect()
}

pub(super) fn alerts(i: Input<'_>) -> Vec<Point> {
    let alerts = &i.snap.alerts;
    let levels = [Level::Warning, Level::Critical].into_iter();
    let count = |level| alerts.iter().filter(|a| a.level == level).count();
    levels.map(|level| Point::new([level.name()], count(level) as f64)).collect()
}

pub(super) fn info(i: Input<'_>) -> Vec<Point> {
    let sample = &i.snap.sample;
    let owners_by = sample.owners_by.map_or("", |o| o.interface());
    let events = source(i).map_or("none", EventSource::interface);
    vec![Point::new([i.own.version, owners_by, sample.backend.backend.name(), events], 1.0)]
}

pub(super) fn poll_time(i: Input<'_>) -> Vec<Point> {
    vec![Point::single(i.snap.sample.at.unix_ns as f64 / 1e9)]
}

pub(super) fn poll_duration(i: Input<'_>) -> Vec<Point> {
    vec![Point::single(i.snap.sample.duration_us as f64 / 1e6)]
}

pub(super) fn polls(i: Input<'_>) -> Vec<Point> {
    vec![Point::single(i.own.polls as f64)]
}

pub(super) fn poll_errors(i: Input<'_>) -> Vec<Point> {
    vec![Point::single(i.own.poll_errors as f64)]
}

pub(super) fn cpu(i: Input<'_>) -> Vec<Point> {
    vec![Point::single(i.own.cpu_s)]
}
