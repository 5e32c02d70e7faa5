//! One row per group, as printed by `--group-by`.

use super::arranged::Arranged;
use super::group::{Group, GroupBy};
use super::sort::SortKey;
use crate::format::{Column, Kind, Role, Value, exact};
use crate::model::durations::{Durations, class};
use crate::model::sample::DnsOutcome;
use crate::model::{Missing, Snapshot};
use crate::table::{Table, TableId};
use rustc_hash::FxHashMap;
use std::cmp::Ordering;

/// Number of rows of a group.
static COUNT: Column = Column::new(
    "count",
    "COUNT",
    Kind::Count,
    1,
    |_, _| Value::Missing(Missing::NotApplicable),
    "Rows in the group.",
);

/// Number of remote addresses of the sockets of a group.
static HOSTS: Column = Column::new(
    "hosts",
    "HOSTS",
    Kind::Count,
    3,
    |_, _| Value::Missing(Missing::NotApplicable),
    "Distinct remote addresses in the group.",
);

/// Percentiles of the latencies of a group of DNS questions, and the percent they stand for.
static LATENCIES: [(Column, u64); 2] = [
    (
        Column::new(
            "latency_p50_us",
            "P50",
            Kind::Micros,
            4,
            |_, _| Value::Missing(Missing::NotApplicable),
            "Median latency of the answers in the group.",
        ),
        50,
    ),
    (
        Column::new(
            "latency_p99_us",
            "P99",
            Kind::Micros,
            4,
            |_, _| Value::Missing(Missing::NotApplicable),
            "99th percentile of the latencies in the group.",
        ),
        99,
    ),
];

/// Latencies of these rows, if they are DNS questions.
pub fn latencies(snap: &Snapshot, table: &'static Table, members: &[u32]) -> Option<Durations> {
    (table.id == TableId::Dns).then(|| {
        let mut out = Durations::new();
        let rows = members.iter().filter_map(|r| {
            let (snap, row) = snap.at(TableId::Dns, *r as usize);
            snap.dns.rows.get(row)
        });
        for row in rows.filter(|r| r.query.outcome != DnsOutcome::Timeout) {
            out.add(class(row.query.took_ns / 1000), 1);
        }
        out
    })
}

/// Values of the columns of percentiles.
fn percentiles<'v>(of: &Durations) -> [Value<'v>; 2] {
    LATENCIES.each_ref().map(|(_, percent)| Value::from_opt(of.percentile(*percent), Missing::NotApplicable))
}

/// Groups as rows: key, number of rows, and sums.
#[derive(Debug)]
pub struct Summary<'a> {
    /// Columns of the rows.
    pub columns: Vec<&'static Column>,
    /// One row per group, one value per column.
    pub rows: Vec<Vec<Value<'a>>>,
    /// Latencies of each row, of DNS questions only.
    pub latencies: Vec<Durations>,
}

/// True if values of this column can be summed.
pub const fn sums(c: &Column) -> bool {
    matches!(
        c.kind,
        Kind::Count | Kind::Amount | Kind::Bytes | Kind::BytesPerSec | Kind::PerSec | Kind::PerMin
    )
}

impl<'a> Summary<'a> {
    /// Sums up the outermost groups of an arranged view: the sums are those of the summable `columns`, and
    /// the groups are ordered by the first key of `sort` if it is one of them.
    pub fn new(
        snap: &'a Snapshot,
        table: &'static Table,
        arranged: &Arranged,
        by: GroupBy,
        columns: &[&'static Column],
        sort: &[SortKey],
    ) -> Self {
        let heads = by.key_columns(table);
        let sockets = table.is_sockets();
        let counts_hosts = sockets && !heads.iter().any(|c| c.is(Role::RemoteAddr));
        // The number of failures is what groups of questions are compared by.
        let failures = table.column("failures").filter(|_| table.id == TableId::Dns);
        let summed: Vec<&'static Column> = failures
            .into_iter()
            .chain(columns.iter().copied().filter(|c| Some(*c) != failures))
            .filter(|c| sums(c) && !heads.contains(c) && *c != &COUNT)
            .collect();
        let mut out = heads.clone();
        out.push(&COUNT);
        if counts_hosts {
            out.push(&HOSTS);
        }
        out.extend(&summed);
        if failures.is_some() {
            out.extend(LATENCIES.iter().map(|(c, _)| c));
        }
        let mut rows: Vec<(Vec<Value<'a>>, Durations)> = Vec::new();
        for g in arranged.groups.iter().filter(|g| g.depth == 0) {
            let members = &arranged.rows[g.start as usize..(g.start + g.len) as usize];
            let Some(first) = members.first().map(|r| *r as usize) else { continue };
            let mut row: Vec<Value<'a>> = heads.iter().map(|c| c.value(snap, first)).collect();
            row.push(Value::from(count(snap, table, members)));
            if counts_hosts {
                row.push(Value::from(g.hosts));
            }
            row.extend(summed.iter().map(|c| sum(snap, c, members, g, sockets)));
            let latencies = latencies(snap, table, members);
            row.extend(latencies.iter().flat_map(percentiles));
            rows.push((row, latencies.unwrap_or_default()));
        }
        let key = sort.first().and_then(|k| {
            let at = out.iter().position(|c| *c == k.column)?;
            summed.contains(&k.column).then_some((at, k.descending))
        });
        if let Some((at, descending)) = key {
            rows.sort_by(|a, b| by_number(&a.0[at], &b.0[at], descending));
        }
        let (rows, latencies) = rows.into_iter().unzip();
        Self { columns: out, rows, latencies }
    }
}

impl Summary<'_> {
    /// Orders the groups by their number of rows, the largest first.
    pub fn largest_first(&mut self) {
        if let Some(at) = self.columns.iter().position(|c| *c == &COUNT) {
            self.rows.sort_by(|a, b| by_number(&a[at], &b[at], true));
        }
    }
}

/// Number of rows of a group; of events their number, where a row stands for several.
fn count(snap: &Snapshot, table: &'static Table, members: &[u32]) -> u64 {
    if table.id == TableId::Events {
        return members.iter().filter_map(|r| snap.events.rows.get(*r as usize)).map(|e| e.count).sum();
    }
    members.len() as u64
}

/// Most groups of [`Totals`]; the rows of further ones are only counted.
const GROUPS_MAX: usize = 100_000;

/// Sums of the same groups over several snapshots.
#[derive(Debug, Default)]
pub struct Totals {
    columns: Vec<&'static Column>,
    rows: FxHashMap<String, (Vec<Value<'static>>, Durations)>,
    /// Rows of groups beyond the greatest number.
    pub further: u64,
}

impl Totals {
    /// Adds the groups of one snapshot.
    pub fn add(&mut self, summary: Summary<'_>) {
        let Some(keys) = summary.columns.iter().position(|c| *c == &COUNT) else { return };
        self.columns = summary.columns;
        let mut latencies = summary.latencies.into_iter();
        for row in summary.rows {
            let spread = latencies.next().unwrap_or_default();
            let key = row[..keys].iter().map(exact).collect::<Vec<_>>().join("\u{1f}");
            let known = self.rows.len();
            match self.rows.get_mut(&key) {
                Some((total, of)) => {
                    of.merge(&spread);
                    for (t, v) in total.iter_mut().zip(row).skip(keys) {
                        *t = added(std::mem::replace(t, Value::Uint(0)), v);
                    }
                }
                None if known < GROUPS_MAX => {
                    self.rows.insert(key, (row.into_iter().map(Value::into_owned).collect(), spread));
                }
                None => self.further += row.get(keys).and_then(Value::number).unwrap_or(0.0) as u64,
            }
        }
    }

    /// The groups: in the order of the first sort key if it is one of the sums, else the largest first.
    pub fn into_summary(self, sort: &[SortKey], top: Option<usize>) -> Summary<'static> {
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let first = self.columns.iter().position(|c| *c == &LATENCIES[0].0);
        let finished = |(_, (mut row, of)): (String, (Vec<Value<'static>>, Durations))| {
            if let Some(first) = first {
                row.splice(first.., percentiles(&of));
            }
            row
        };
        let rows = rows.into_iter().map(finished).collect();
        let mut out = Summary { columns: self.columns, rows, latencies: Vec::new() };
        let key = sort.first().and_then(|k| {
            let at = out.columns.iter().position(|c| *c == k.column)?;
            sums(k.column).then_some((at, k.descending))
        });
        match key {
            Some((at, descending)) => out.rows.sort_by(|a, b| by_number(&a[at], &b[at], descending)),
            None => out.largest_first(),
        }
        out.rows.truncate(top.unwrap_or(usize::MAX));
        out
    }
}

/// Sum of two values.
fn added(a: Value<'static>, b: Value<'_>) -> Value<'static> {
    match (a, b) {
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a.saturating_add(b)),
        (a, b) => match (a.number(), b.number()) {
            (Some(a), Some(b)) => Value::from(a + b),
            (Some(_), None) => a,
            (None, _) => b.into_owned(),
        },
    }
}

/// Missing values are last either way.
fn by_number(a: &Value<'_>, b: &Value<'_>, descending: bool) -> Ordering {
    match (a.number(), b.number()) {
        (Some(a), Some(b)) if descending => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// The sum over the rows that have the value. The queues of listeners count connections and their limit, not
/// bytes: they are added up only among themselves.
fn sum<'a>(snap: &Snapshot, c: &'static Column, members: &[u32], g: &Group, sockets: bool) -> Value<'a> {
    let queue = sockets && matches!(c.name, "recv_q" | "send_q");
    let only_listeners = g.states.get(crate::model::State::Listen) == g.len;
    let (mut whole, mut float, mut any, mut is_float) = (0u64, 0f64, false, false);
    for r in members {
        let r = *r as usize;
        if queue && !only_listeners && snap.socket(r).is_listener() {
            continue;
        }
        match c.value(snap, r) {
            Value::Uint(n) => {
                whole = whole.saturating_add(n);
                any = true;
            }
            Value::Float(n) | Value::AtLeast(n) => {
                float += n;
                any = true;
                is_float = true;
            }
            _ => {}
        }
    }
    match (any, is_float) {
        (false, _) => Value::Missing(Missing::NotApplicable),
        (true, false) => Value::Uint(whole),
        (true, true) => Value::from(float + whole as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::exact;
    use crate::table::columns;
    use crate::table::{PROCESSES, SOCKETS};
    use crate::testing::machine;
    use crate::view::View;
    use crate::view::sort;

    fn lines(table: &'static Table, by: &str, cols: &str, sort: Option<&str>) -> Vec<String> {
        let snap = machine();
        let by = GroupBy::parse(by, table).unwrap();
        let sort = sort.map_or_else(Vec::new, |s| sort::parse(s, table).unwrap());
        let view = View { group: Some(by), sort: sort.clone(), ..View::new(table) };
        let s = Summary::new(&snap, table, &view.arrange(&snap), by, &columns(cols, table).unwrap(), &sort);
        let head: Vec<&str> = s.columns.iter().map(|c| c.name).collect();
        let mut out = vec![head.join(",")];
        out.extend(s.rows.iter().map(|r| r.iter().map(exact).collect::<Vec<_>>().join(",")));
        out
    }

    #[test]
    fn each_group_is_a_row_with_sums() {
        let by_state = lines(&SOCKETS, "state", "recv_q,local", None);
        assert_eq!(by_state[0], "state,count,hosts,recv_q", "what cannot be added up is left out");
        let total: u64 =
            by_state[1..].iter().map(|l| l.split(',').nth(1).unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(total, machine().live as u64);
        let by_process = lines(&SOCKETS, "process", "recv_q", None);
        assert!(by_process[0].starts_with("process,pid,count"), "{by_process:?}");
        let by_both = lines(&SOCKETS, "process, state", "recv_q", None);
        assert!(by_both[0].starts_with("process,pid,state,count,hosts"), "{by_both:?}");
        let keys: Vec<Vec<&str>> = by_both[1..].iter().map(|l| l.split(',').take(3).collect()).collect();
        assert!(
            keys.len() > by_process.len() - 1 && keys.iter().enumerate().all(|(i, k)| !keys[..i].contains(k))
        );
        let total: u64 =
            by_both[1..].iter().map(|l| l.split(',').nth(3).unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(total, machine().live as u64);
        assert!(
            GroupBy::parse("state,nosuch", &SOCKETS).is_err() && GroupBy::parse("state,", &SOCKETS).is_err()
        );
        assert!(GroupBy::parse("proto,family,state,uid,user,netns,iface,pid,inode", &SOCKETS).is_err());
        let by_user = lines(&PROCESSES, "user", "fds_open", Some("fds_open:desc"));
        assert_eq!(by_user[0], "user,count,fds_open");
        let sums: Vec<u64> =
            by_user[1..].iter().filter_map(|l| l.rsplit(',').next().unwrap().parse().ok()).collect();
        assert!(!sums.is_empty() && sums.is_sorted_by(|a, b| a >= b), "{by_user:?}");
    }
}
