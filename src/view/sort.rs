//! Sorting rows.

use crate::format::value::float_key;
use crate::format::{Column, Value};
use crate::model::{Addr, Endpoint, Snapshot};
use crate::table::{QueryError, Table, error};
use std::cmp::Ordering;

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
/// the earlier ones.
pub fn sort(rows: &mut [u32], snap: &Snapshot, keys: &[SortKey]) {
    let Some((key, rest)) = keys.split_first() else { return };
    if rows.len() < 2 {
        return;
    }
    let descending = key.descending;
    match read(rows, snap, key.column) {
        Keys::Numbers(mut numbers) => {
            if descending {
                numbers.iter_mut().filter(|k| !k.0).for_each(|k| k.1 = !k.1);
            }
            let index = sorted_indexes(numbers.iter().copied());
            place(&index, |a, b| numbers[a as usize] == numbers[b as usize], rows, snap, rest);
        }
        Keys::Ends(ends) => {
            // An IPv4 endpoint fits into the prefix; for IPv6 the prefix nearly always decides.
            let prefix = |e: &Option<Endpoint>| match e {
                Some(e) if descending => (false, !endpoint_prefix(e)),
                Some(e) => (false, endpoint_prefix(e)),
                None => (true, 0),
            };
            let mut index = sorted_indexes(ends.iter().map(prefix));
            let end = |i: u32| &ends[i as usize];
            let long = |i: u32| end(i).is_some_and(|e| !e.addr.is_v4());
            for run in index.chunk_by_mut(|a, b| prefix(end(*a)) == prefix(end(*b))) {
                if run.len() > 1 && long(run[0]) {
                    run.sort_by(|a, b| if descending { end(*b).cmp(end(*a)) } else { end(*a).cmp(end(*b)) });
                }
            }
            place(&index, |a, b| ends[a as usize] == ends[b as usize], rows, snap, rest);
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
            let index: Vec<u32> = index.into_iter().map(|(_, _, i)| i).collect();
            let equal = |a: u32, b: u32| compare(&texts[a as usize], &texts[b as usize]).is_eq();
            place(&index, equal, rows, snap, rest);
        }
        Keys::Values(values) => {
            let mut index: Vec<u32> = (0..rows.len() as u32).collect();
            index.sort_by(|a, b| compare(&values[*a as usize], &values[*b as usize], descending));
            let equal =
                |a: u32, b: u32| compare(&values[a as usize], &values[b as usize], descending).is_eq();
            place(&index, equal, rows, snap, rest);
        }
    }
}

/// One sort key of all rows. The flag is true if the value is missing.
enum Keys<'a> {
    Numbers(Vec<(bool, u64)>),
    Ends(Vec<Option<Endpoint>>),
    Texts(Vec<Value<'a>>),
    Values(Vec<Value<'a>>),
}

fn read<'a>(rows: &[u32], snap: &'a Snapshot, column: &Column) -> Keys<'a> {
    let each = || rows.iter().map(|r| column.value(snap, *r as usize));
    // Most columns hold values of one kind: assume that of the first value, and store nothing else.
    match each().find(|v| !v.is_missing()) {
        first @ (None | Some(Value::Uint(_) | Value::Bool(_) | Value::State(_) | Value::States(_))) => {
            let rank = first.map(|v| v.rank());
            let number = |v: Value<'_>| match v {
                Value::Missing(_) => Some((true, 0)),
                v if Some(v.rank()) != rank => None,
                Value::Uint(n) => Some((false, n)),
                Value::Bool(b) => Some((false, u64::from(b))),
                Value::State(s) => Some((false, s.rank())),
                Value::States(c) => Some((false, u64::from(c.total()))),
                _ => None,
            };
            if let Some(numbers) = each().map(number).collect() {
                return Keys::Numbers(numbers);
            }
        }
        Some(Value::Addr(_) | Value::Endpoint(_)) => {
            let end = |v: Value<'_>| match v {
                Value::Addr(a) => Some(Some(Endpoint::new(a, 0))),
                Value::Endpoint(e) => Some(Some(e)),
                Value::Missing(_) => Some(None),
                _ => None,
            };
            if let Some(ends) = each().map(end).collect() {
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
            values.iter().map(|v| v.number().map_or((true, 0), |n| (false, float_key(n)))).collect(),
        );
    }
    if all(|v| matches!(v, Value::Text(_))) { Keys::Texts(values) } else { Keys::Values(values) }
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

/// Indexes of these keys in ascending order, missing ones last. Key and index share one integer: that sorts fastest, and
/// since all integers differ, equal keys keep their order.
fn sorted_indexes(keys: impl Iterator<Item = (bool, u64)>) -> Vec<u32> {
    let packed = |(i, (missing, key)): (usize, (bool, u64))| {
        u128::from(missing) << 96 | u128::from(key) << 32 | i as u128
    };
    let mut all: Vec<u128> = keys.enumerate().map(packed).collect();
    all.sort_unstable();
    all.into_iter().map(|k| k as u32).collect()
}

/// Reorders rows by the index and sorts runs of equal rows by the other keys.
fn place(
    index: &[u32],
    equal: impl Fn(u32, u32) -> bool,
    rows: &mut [u32],
    snap: &Snapshot,
    rest: &[SortKey],
) {
    let sorted: Vec<u32> = index.iter().map(|i| rows[*i as usize]).collect();
    rows.copy_from_slice(&sorted);
    runs(rows, |a, b| equal(index[a], index[b]), snap, rest);
}

fn runs(rows: &mut [u32], equal: impl Fn(usize, usize) -> bool, snap: &Snapshot, rest: &[SortKey]) {
    if rest.is_empty() {
        return;
    }
    let mut start = 0;
    for i in 1..=rows.len() {
        if i == rows.len() || !equal(start, i) {
            sort(&mut rows[start..i], snap, rest);
            start = i;
        }
    }
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
