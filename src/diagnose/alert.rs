//! Alerts as JSON, for hooks and `check --format json`.

use super::fd_leak::{self, Suspect};
use super::finding::limit_diagnosis;
use super::limit::{fd_process, label, process, set_by, subject};
use super::remedy;
use crate::model::Snapshot;
use crate::model::lang::in_english;
use crate::model::limit::Level;
use crate::model::text::escape_json;

/// An alert as JSON, with English texts.
pub fn alert_json(snap: &Snapshot, row: usize) -> String {
    escape_json(&in_english(|| alert_fields(snap, row)).to_string()).into_owned()
}

fn alert_fields(snap: &Snapshot, row: usize) -> serde_json::Value {
    let l = &snap.limits[row];
    let mut out = serde_json::Map::new();
    let mut field = |key: &str, v: serde_json::Value| drop(out.insert(key.to_owned(), v));
    field("hostname", (*snap.sample.host).into());
    field("time", ((snap.sample.at.unix_ns / 1_000_000) as f64 / 1e3).into());
    field("limit", l.kind.info().name.into());
    field("subject", subject(snap, row).into());
    field("label", label(snap, row).into());
    field("level", l.level.name().into());
    field("used", l.used.into());
    field("max", l.max.into());
    field("pct", l.share().map(|s| s * 100.0).into());
    field("per_min", l.per_min.into());
    field("full_in_s", l.full_in.map(|f| f.likely).into());
    field("full_in_low_s", l.full_in.map(|f| f.low).into());
    field("full_in_high_s", l.full_in.map(|f| f.high).into());
    field("drops", l.drops.into());
    field("drops_new", l.drops_new.into());
    field("pid", process(snap, row).map(|p| p.pid).into());
    field("process", process(snap, row).map(|p| &*p.comm).into());
    field("finding", limit_diagnosis(snap, row).map(|d| d.evidence).into());
    field("set_by", set_by(l).into());
    field("advice", l.kind.info().help.into());
    field("steps", remedy::steps(snap, row).into());
    let suspects = fd_process(snap, row).filter(|_| l.level > Level::Ok).map(|p| fd_leak::suspects(snap, p));
    let lines: Vec<String> = suspects.iter().flatten().map(Suspect::line).collect();
    field("fds_suspects", lines.into());
    serde_json::Value::Object(out)
}
