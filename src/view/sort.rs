//! Sorting rows.

use crate::format::value::float_key;
use crate::format::{Column, Value};
use crate::model::{Addr, Endpoint, Snapshot};
use crate::table::{QueryError, Table, error};
use std::cmp::Ordering;
use std::ops::Range;

/// One level of a sort order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: &'static Column,
    /// Largest first. Missing values are last either way.
    pub descending: bool,
}

/// Parses a sort order: `rx:desc,pid`. `-rx` is `rx:desc`. Without a direction rates, queues, counts and percentages sort
/// largest first, everything else smallest first.
pub fn parse(text: &str, table: &'static Table) -> Result<Vec<SortKey>, QueryError> {
    let mut out: Vec<SortKey> = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let (word, direction) = match part.split_once(':') {
            Some((w, d)) => (w.trim(), Some(d.trim())),
            None => match part.strip_prefix('-') {
                Some(w) => (w, Some("desc")),
                None => (part, None),
            },
        };
        let column = error::column(word, table)?;
        let descending = match direction {
            None => largest_first(column),
            Some(d) if ["asc", "ascending", "up"].iter().any(|w| w.eq_ignore_ascii_case(d)) => false,
            Some(d) if ["desc", "descending", "down"].iter().any(|w| w.eq_ignore_ascii_case(d)) => true,
            Some(d) => {
                let word = d.chars().take(60).collect();
                return Err(QueryError::Direction { word, column: column.name });
            }
        };
        if !out.iter().any(|k| k.column == column) {
            out.push(SortKey { column, descending });
        }
    }
    Ok(out)
}

/// Default sort order of a table.
pub fn default(table: &'static Table) -> Vec<SortKey> {
    table
        .order
        .iter()
        .filter_map(|(name, descending)| {
            Some(SortKey { column: table.column(name)?, descending: *descending })
        })
        .collect()
}

/// True if this column sorts largest first by default.
pub fn largest_first(column: &Column) -> bool {
    use crate::format::Kind;
    matches!(
        column.kind,
        Kind::Count
            | Kind::Amount
            | Kind::Bytes
            | Kind::BytesPerSec
            | Kind::PerSec
            | Kind::PerMin
            | Kind::Percent
            | Kind::Micros
            | Kind::Millis
            | Kind::Secs
            | Kind::States
    )
}

/// Sorts row numbers in place. Stable: rows that are equal by every key keep their order.
///
/// Values are read once per row and key, as integers if possible; a later key is read only for rows that compare equal by
/// the earlier ones, when the values of those are not held any more.
pub fn sort(rows: &mut [u32], snap: &Snapshot, keys: &[SortKey]) {
    let Some((key, rest)) = keys.split_first() else { return };
    if rows.len() < 2 {
        return;
    }
    for run in sort_by_key(rows, snap, key, !rest.is_empty()) {
        sort(&mut rows[run], snap, rest);
    }
}

/// Sorts by one key; returns the runs of several equal rows if they are asked for.
fn sort_by_key(rows: &mut [u32], snap: &Snapshot, key: &SortKey, with_runs: bool) -> Vec<Range<usize>> {
    let descending = key.descending;
    match read(rows, snap, key) {
        Keys::Numbers(mut packed) => {
            packed.sort_unstable();
            let same = |_: &[u32], a, b| is_same_key(packed[a], packed[b]);
            place(packed.iter().map(|k| *k as u32), same, rows, with_runs)
        }
        Keys::Ends(mut packed) => {
            packed.sort_unstable();
            // An IPv4 endpoint fits into the prefix; for IPv6 the prefix nearly always decides.
            let end = |row: u32| endpoint(&key.column.value(snap, row as usize)).ok().flatten();
            for run in packed.chunk_by_mut(|a, b| is_same_key(*a, *b)) {
                if run.len() > 1 && is_long(run[0], descending) {
                    let end = |k: &u128| end(rows[*k as u32 as usize]);
                    run.sort_by(|a, b| if descending { end(b).cmp(&end(a)) } else { end(a).cmp(&end(b)) });
                }
            }
            let same = |rows: &[u32], a, b| {
                is_same_key(packed[a], packed[b])
                    && (!is_long(packed[a], descending) || end(rows[a]) == end(rows[b]))
            };
            place(packed.iter().map(|k| *k as u32), same, rows, with_runs)
        }
        Keys::Texts(texts) => {
            let compare = |a: &Value<'_>, b: &Value<'_>| compare(a, b, descending);
            // The first 16 bytes nearly always decide, without touching the text itself.
            let mut index: Vec<(bool, (u64, u64), u32)> = texts
                .iter()
                .zip(0..)
                .map(|(v, i)| match v {
                    Value::Text(s) if descending => (false, (!text_prefix(s, 0), !text_prefix(s, 8)), i),
                    Value::Text(s) => (false, (text_prefix(s, 0), text_prefix(s, 8)), i),
                    _ => (true, (0, 0), i),
                })
                .collect();
            index.sort_by(|a, b| {
                (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| compare(&texts[a.2 as usize], &texts[b.2 as usize]))
            });
            let text = |i: usize| &texts[index[i].2 as usize];
            let same = |_: &[u32], a, b| compare(text(a), text(b)).is_eq();
            place(index.iter().map(|(_, _, i)| *i), same, rows, with_runs)
        }
        Keys::Values(values) => {
            let mut index: Vec<u32> = (0..rows.len() as u32).collect();
            index.sort_by(|a, b| compare(&values[*a as usize], &values[*b as usize], descending));
            let value = |i: usize| &values[index[i] as usize];
            let same = |_: &[u32], a, b| compare(value(a), value(b), descending).is_eq();
            place(index.iter().copied(), same, rows, with_runs)
        }
    }
}

/// One sort key of all rows.
enum Keys<'a> {
    /// Key and index, packed.
    Numbers(Vec<u128>),
    /// Prefixes of endpoints, likewise.
    Ends(Vec<u128>),
    Texts(Vec<Value<'a>>),
    Values(Vec<Value<'a>>),
}

/// Lowest bit of the key in a packed one: below it is the index. Key and index share one integer: that sorts fastest, and since all
/// integers differ, equal keys keep their order.
const KEY_BIT: u32 = 32;
/// Set if the value is missing: last in both directions.
const MISSING: u128 = 1 << 96;

/// Key and index as one integer; `None` for a missing value.
fn packed((i, key): (usize, Option<u64>), descending: bool) -> u128 {
    let key = key.map_or(MISSING, |key| u128::from(if descending { !key } else { key }) << KEY_BIT);
    key | i as u128
}

const fn is_same_key(a: u128, b: u128) -> bool {
    a >> KEY_BIT == b >> KEY_BIT
}

/// True if a packed prefix is that of an IPv6 endpoint, which it is a part of.
const fn is_long(packed: u128, descending: bool) -> bool {
    let prefix = (packed >> KEY_BIT) as u64;
    packed & MISSING == 0 && (if descending { !prefix } else { prefix }) >> 62 != 1
}

/// A value is not of the kind of the first one.
struct OtherKind;

/// Endpoint of a value; `None` for a missing one.
fn endpoint(v: &Value<'_>) -> Result<Option<Endpoint>, OtherKind> {
    match v {
        Value::Addr(a) => Ok(Some(Endpoint::new(*a, 0))),
        Value::Endpoint(e) => Ok(Some(*e)),
        Value::Missing(_) => Ok(None),
        _ => Err(OtherKind),
    }
}

fn read<'a>(rows: &[u32], snap: &'a Snapshot, key: &SortKey) -> Keys<'a> {
    let each = || rows.iter().map(|r| key.column.value(snap, *r as usize));
    let pack = |k| packed(k, key.descending);
    // Most columns hold values of one kind: assume that of the first value, and store nothing else.
    match each().find(|v| !v.is_missing()) {
        first @ (None | Some(Value::Uint(_) | Value::Bool(_) | Value::State(_) | Value::States(_))) => {
            let rank = first.map(|v| v.rank());
            let number = |v: Value<'_>| match v {
                Value::Missing(_) => Ok(None),
                v if Some(v.rank()) != rank => Err(OtherKind),
                Value::Uint(n) => Ok(Some(n)),
                Value::Bool(b) => Ok(Some(u64::from(b))),
                Value::State(s) => Ok(Some(s.rank())),
                Value::States(c) => Ok(Some(u64::from(c.total()))),
                _ => Err(OtherKind),
            };
            if let Ok(numbers) = all_packed(rows.len(), each().map(number), pack) {
                return Keys::Numbers(numbers);
            }
        }
        Some(Value::Addr(_) | Value::Endpoint(_)) => {
            let prefix = |v: Value<'_>| endpoint(&v).map(|e| e.as_ref().map(endpoint_prefix));
            if let Ok(ends) = all_packed(rows.len(), each().map(prefix), pack) {
                return Keys::Ends(ends);
            }
        }
        Some(_) => {}
    }
    let values: Vec<Value<'a>> = each().collect();
    let all = |is: fn(&Value<'_>) -> bool| values.iter().all(|v| v.is_missing() || is(v));
    // Larger integers have no exact float.
    let is_number = |v: &Value<'_>| match v {
        Value::Uint(n) => *n <= 1 << 53,
        v => matches!(v, Value::Float(_) | Value::AtLeast(_)),
    };
    if all(is_number) {
        return Keys::Numbers(
            values.iter().map(|v| v.number().map(float_key)).enumerate().map(pack).collect(),
        );
    }
    if all(|v| matches!(v, Value::Text(_))) { Keys::Texts(values) } else { Keys::Values(values) }
}

/// The keys, packed, in a list that does not grow.
fn all_packed(
    len: usize,
    keys: impl Iterator<Item = Result<Option<u64>, OtherKind>>,
    pack: impl Fn((usize, Option<u64>)) -> u128,
) -> Result<Vec<u128>, OtherKind> {
    let mut out = Vec::with_capacity(len);
    for (i, key) in keys.enumerate() {
        out.push(pack((i, key?)));
    }
    Ok(out)
}

/// Prefix of an endpoint as an integer, in the order of endpoints.
fn endpoint_prefix(e: &Endpoint) -> u64 {
    let bits = u128::from_be_bytes(*e.addr.octets());
    if e.addr.is_v4() {
        return 1 << 62 | (bits as u32 as u64) << 16 | u64::from(e.port);
    }
    let below = e.addr < Addr::ANY4;
    if below { (bits >> 66) as u64 } else { 2 << 62 | (bits >> 66) as u64 }
}

/// Eight bytes of a text from an offset as an integer, in the order of texts.
fn text_prefix(s: &str, from: usize) -> u64 {
    let rest = s.as_bytes().get(from..).unwrap_or(&[]);
    let mut b = [0u8; 8];
    let n = rest.len().min(8);
    b[..n].copy_from_slice(&rest[..n]);
    u64::from_be_bytes(b)
}

/// Puts the rows in the order of the index and returns their runs: several rows that are the `same` by the sorted positions of two
/// neighbours. Empty unless they are asked for.
fn place(
    index: impl Iterator<Item = u32>,
    same: impl Fn(&[u32], usize, usize) -> bool,
    rows: &mut [u32],
    with_runs: bool,
) -> Vec<Range<usize>> {
    let sorted: Vec<u32> = index.map(|i| rows[i as usize]).collect();
    rows.copy_from_slice(&sorted);
    let mut runs = Vec::new();
    if !with_runs {
        return runs;
    }
    let mut start = 0;
    for i in 1..=rows.len() {
        if i == rows.len() || !same(rows, i - 1, i) {
            if i - start > 1 {
                runs.push(start..i);
            }
            start = i;
        }
    }
    runs
}

/// Merges sorted rows of several snapshots into one order: snapshot and row. Rows that are equal by every key are in the order of
/// the snapshots.
pub fn merge(parts: &[(&Snapshot, &[u32])], keys: &[SortKey]) -> Vec<(u32, u32)> {
    let mut out: Vec<(u32, u32)> =
        parts.iter().zip(0..).flat_map(|((_, rows), i)| rows.iter().map(move |r| (i, *r))).collect();
    // A stable sort takes the rows of each part as one run.
    out.sort_by(|a, b| {
        let value =
            |k: &SortKey, (part, row): &(u32, u32)| k.column.value(parts[*part as usize].0, *row as usize);
        let order = |k: &SortKey| compare(&value(k, a), &value(k, b), k.descending);
        keys.iter().map(order).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    });
    out
}

fn compare(a: &Value<'_>, b: &Value<'_>, descending: bool) -> Ordering {
    match (a.is_missing(), b.is_missing()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => b.order(a),
        (false, false) => a.order(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SOCKETS;
    use crate::testing::{machine, many};

    #[test]
    fn sort_order_is_parsed() {
        let get = |t: &str| {
            parse(t, &SOCKETS).map(|k| k.iter().map(|k| (k.column.name, k.descending)).collect::<Vec<_>>())
        };
        assert_eq!(get("rx:desc,pid"), Ok(vec![("rx", true), ("pid", false)]));
        assert_eq!(get("rx"), Ok(vec![("rx", true)]), "rates: largest first");
        assert_eq!(get("rx:asc,-pid"), Ok(vec![("rx", false), ("pid", true)]));
        assert_eq!(get("age"), Ok(vec![("age_s", true)]));
        assert!(get("bogus").is_err() && get("rx:sideways").is_err() && get("").is_err());
        assert_eq!(
            get("lcoal").unwrap_err().to_string(),
            "no column \"lcoal\" in the table of sockets; did you mean \"local\"?"
        );
    }

    #[test]
    fn missing_values_are_last_in_both_directions() {
        let snap = machine();
        for column in SOCKETS.columns {
            for descending in [false, true] {
                let mut rows: Vec<u32> = (0..snap.live as u32).collect();
                sort(&mut rows, &snap, &[SortKey { column, descending }]);
                let missing: Vec<bool> =
                    rows.iter().map(|r| column.value(&snap, *r as usize).is_missing()).collect();
                assert!(missing.is_sorted(), "{} {descending}: {missing:?}", column.name);
            }
        }
    }

    #[test]
    fn result_equals_a_stable_sort() {
        let snap = many(700);
        let second = SOCKETS.column("recv_q").unwrap();
        for column in SOCKETS.columns {
            for descending in [false, true] {
                let keys =
                    [SortKey { column, descending }, SortKey { column: second, descending: !descending }];
                for keys in [&keys[..1], &keys[..]] {
                    let mut got: Vec<u32> = (0..snap.live as u32).rev().collect();
                    let mut want = got.clone();
                    sort(&mut got, &snap, keys);
                    want.sort_by(|a, b| {
                        keys.iter().fold(Ordering::Equal, |o, k| {
                            o.then_with(|| {
                                let value = |r: &u32| k.column.value(&snap, *r as usize);
                                compare(&value(a), &value(b), k.descending)
                            })
                        })
                    });
                    assert_eq!(got, want, "{} {descending}", column.name);
                }
            }
        }
    }
}
