//! Rows to send, as NDJSON: each has an id and a kind before the columns of its table.

use crate::cli::args::RowKind;
use crate::cli::list_plan::default_columns;
use crate::format::Column;
use crate::model::{Needs, Snapshot};
use crate::output::{Format, JsonHead, JsonKeys, Rows, json};
use crate::table::{EVENTS, Identity, LIMITS, PORTS, Table};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Time between two times at which all limits are sent, nanoseconds.
const LIMITS_EVERY: u64 = 60_000_000_000;
/// Time between two times at which all listeners are sent.
const LISTENERS_EVERY: u64 = 3_600_000_000_000;
/// Columns of a listener whose change is sent at once: who listens where. Queues and clients change at every poll.
const LISTENER_FACTS: [&str; 8] =
    ["local", "process", "user", "backlog", "exposure", "unit", "container", "iface"];
/// Columns of a limit whose change is sent at once.
const LIMIT_FACTS: [&str; 1] = ["level"];

/// A table that is sent.
struct Kind {
    of: RowKind,
    table: &'static Table,
    columns: Vec<&'static Column>,
    facts: Vec<&'static Column>,
    /// Time between two times at which all rows are sent; `None`: only those that are new, as events are.
    every: Option<u64>,
    /// Time of the last time, nanoseconds after boot.
    last: u64,
}

impl Kind {
    fn new(kind: RowKind) -> Self {
        let (table, facts, every): (_, &[&str], _) = match kind {
            RowKind::Events => (&EVENTS, &[], None),
            RowKind::Listeners => (&PORTS, &LISTENER_FACTS, Some(LISTENERS_EVERY)),
            RowKind::Limits => (&LIMITS, &LIMIT_FACTS, Some(LIMITS_EVERY)),
        };
        Self {
            of: kind,
            table,
            columns: default_columns(table, Format::Ndjson),
            facts: facts.iter().filter_map(|name| table.column(name)).collect(),
            every,
            last: 0,
        }
    }

    /// Keys of its rows, with the time and host of a poll.
    fn keys(&self, snap: &Snapshot) -> json::Keys {
        json::Keys::new(&self.columns, JsonKeys::PerProtocol(JsonHead::new(snap)))
    }
}

/// Makes rows of snapshots.
pub(super) struct RowWriter {
    kinds: Vec<Kind>,
    /// Start of the ids.
    run: String,
    number: u64,
    previous: Option<Arc<Snapshot>>,
    /// Events lost by their source that were sent.
    lost_events: u64,
}

impl RowWriter {
    /// Rows of these kinds, with ids that begin with `run`.
    pub(super) fn new(kinds: &[RowKind], run: &str) -> Self {
        Self {
            kinds: kinds.iter().copied().map(Kind::new).collect(),
            run: run.to_owned(),
            number: 0,
            previous: None,
            lost_events: 0,
        }
    }

    /// Needs of its columns, which the polls must read.
    pub(super) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for kind in &self.kinds {
            needs |= kind.table.always_needs;
            for column in &kind.columns {
                needs |= column.needs;
            }
        }
        needs
    }

    /// Appends the rows of a snapshot. Returns their number.
    pub(super) fn push(&mut self, snap: &Arc<Snapshot>, out: &mut String) -> u64 {
        let before = self.number;
        let mut kinds = std::mem::take(&mut self.kinds);
        for kind in &mut kinds {
            match kind.every {
                None => self.push_events(kind, snap, out),
                Some(every) => {
                    let now = snap.sample.at.boot_ns;
                    let all = self.previous.is_none() || now.saturating_sub(kind.last) >= every;
                    if all {
                        kind.last = now;
                    }
                    self.push_changes(kind, snap, all, out);
                }
            }
        }
        self.kinds = kinds;
        let lost = snap.events.lost.saturating_sub(self.lost_events);
        if lost > 0 && self.kinds.iter().any(|k| k.of == RowKind::Events) {
            self.push_loss(snap, "events not reported by their source", 0, lost, out);
        }
        self.lost_events = snap.events.lost;
        self.previous = Some(Arc::clone(snap));
        self.number - before
    }

    /// Appends a row about what was lost.
    pub(super) fn push_loss(
        &mut self,
        snap: &Snapshot,
        what: &str,
        batches: u64,
        rows: u64,
        out: &mut String,
    ) {
        self.begin("loss", None, out);
        json::push_head(out, JsonHead::new(snap));
        out.push_str(",\"lost\":");
        json::string(out, what);
        out.push_str(&format!(",\"batches\":{batches},\"rows\":{rows}}}\n"));
    }

    /// Begins an object.
    fn begin(&mut self, kind: &str, change: Option<&str>, out: &mut String) {
        out.push_str(&format!("{{\"id\":\"{}-{}\",\"kind\":\"{kind}\",", self.run, self.number));
        if let Some(change) = change {
            out.push_str(&format!("\"change\":\"{change}\","));
        }
        self.number += 1;
    }

    /// Appends a row of a table.
    fn push_row(
        &mut self,
        (kind, keys): (&Kind, &json::Keys),
        snap: &Snapshot,
        row: u32,
        change: Option<&str>,
        out: &mut String,
    ) {
        self.begin(kind.of.name(), change, out);
        let at = out.len();
        keys.push_object(out, &Rows { snap, columns: &kind.columns, rows: &[row] }, 0);
        // The brace is there already.
        out.remove(at);
        out.push('\n');
    }

    fn push_events(&mut self, kind: &Kind, snap: &Snapshot, out: &mut String) {
        let all = snap.events.rows.len();
        let keys = kind.keys(snap);
        for row in all - snap.events.new_rows().len()..all {
            self.push_row((kind, &keys), snap, row as u32, None, out);
        }
    }

    fn push_changes(&mut self, kind: &Kind, snap: &Arc<Snapshot>, all: bool, out: &mut String) {
        let rows = |s: &Snapshot| -> FxHashMap<Identity, u32> {
            let n = (kind.table.live)(s) as u32;
            (0..n).filter_map(|r| Some(((kind.table.identity)(s, r as usize)?, r))).collect()
        };
        let now = rows(snap);
        let keys = kind.keys(snap);
        let previous = self.previous.clone();
        let was = previous.as_deref().map(rows).unwrap_or_default();
        let mut order: Vec<(&Identity, &u32)> = now.iter().collect();
        order.sort_unstable_by_key(|(_, r)| **r);
        for (id, row) in order {
            let change = match (&previous, was.get(id)) {
                (Some(old), Some(before)) => {
                    let value = |c: &&'static Column, s: &Snapshot, r: u32| {
                        crate::format::exact(&c.value(s, r as usize))
                    };
                    let same = kind.facts.iter().all(|c| value(c, old, *before) == value(c, snap, *row));
                    if same { None } else { Some("changed") }
                }
                (Some(_), None) => Some("opened"),
                (None, _) => None,
            };
            if all || change.is_some() {
                self.push_row((kind, &keys), snap, *row, Some(change.unwrap_or("present")), out);
            }
        }
        let Some(old) = previous else { return };
        let mut gone: Vec<u32> =
            was.iter().filter(|(id, _)| !now.contains_key(id)).map(|(_, r)| *r).collect();
        gone.sort_unstable();
        for row in gone {
            // As it was; the time is that of this poll.
            self.push_row((kind, &keys), &old, row, Some("closed"), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Source;
    use crate::collect::scenario::{Scenario, ScenarioSource};
    use crate::derive::Engine;
    use crate::model::{ProtoSet, Wants};
    use std::collections::BTreeSet;

    #[test]
    fn columns_that_are_compared_exist() {
        for (kind, names) in [(RowKind::Listeners, &LISTENER_FACTS[..]), (RowKind::Limits, &LIMIT_FACTS)] {
            assert_eq!(Kind::new(kind).facts.len(), names.len());
        }
        for (i, (kind, name)) in RowKind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, kind.name()), (i, name));
        }
    }

    #[test]
    fn rows_have_ids_kinds_and_changes() {
        let kinds = RowKind::ALL.map(|(k, _)| k);
        let mut writer = RowWriter::new(&kinds, "run");
        let wants = Wants::new(writer.needs(), ProtoSet::TCP_UDP);
        let mut engine = Engine::new();
        let mut out = String::new();
        let mut step = |text: &str| {
            let mut source = ScenarioSource::new(Scenario::parse(text).unwrap());
            let snap = engine.step(source.sample(&wants).unwrap());
            let before = out.len();
            let n = writer.push(&snap, &mut out);
            let rows: Vec<serde_json::Value> =
                out[before..].lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            assert_eq!(rows.len() as u64, n);
            rows
        };
        let base = "process 7 api\ntcp LISTEN 0.0.0.0:80 own=7:3\n";
        let listeners = |rows: &[serde_json::Value]| -> Vec<String> {
            let of = rows.iter().filter(|r| r["kind"] == "listener");
            of.map(|r| format!("{} {}", r["change"].as_str().unwrap(), r["local"].as_str().unwrap()))
                .collect()
        };
        let first = step(base);
        assert_eq!(listeners(&first), ["present 0.0.0.0:80"]);
        assert!(first.iter().any(|r| r["kind"] == "limit"));
        assert!(first.iter().all(|r| r["hostname"].is_string() && r["time"].is_number()), "{first:?}");
        let second = step(&format!("{base}tcp LISTEN 127.0.0.1:90 own=7:4\n"));
        assert_eq!(listeners(&second), ["opened 127.0.0.1:90"]);
        let third = step(base);
        assert_eq!(listeners(&third), ["closed 127.0.0.1:90"]);
        let event = step(&format!("{base}event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=3 end=refused\n"));
        let failed: Vec<_> =
            event.iter().filter(|r| r["kind"] == "event" && r["event"] == "failed").collect();
        assert!(!failed.is_empty() && failed.iter().all(|r| r["remote"] == "10.0.0.9:5432"), "{event:?}");
        let all: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let ids: BTreeSet<&str> = all.iter().map(|r| r["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), all.len(), "each row has an id of its own");
    }
}
