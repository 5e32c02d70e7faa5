//! Sorting rows.

use super::{Column, QueryError, Table, Value, error};
use crate::model::Snapshot;
use std::cmp::Ordering;

/// One level of a sort order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// By which column.
    pub column: &'static Column,
    /// Largest first. What is missing is last either way.
    pub descending: bool,
}

/// An order from text: `rx:desc,pid`. A direction is `asc` or `desc`; `-rx` is `rx:desc`. Without one,
/// rates, queues, counts and shares go largest first, all else smallest first.
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

/// The order a table has when nobody chose.
pub fn default(table: &'static Table) -> Vec<SortKey> {
    table
        .order
        .iter()
        .filter_map(|(name, descending)| {
            Some(SortKey { column: table.column(name)?, descending: *descending })
        })
        .collect()
}

/// Whether a person who sorts by this column wants the largest first.
pub fn largest_first(column: &Column) -> bool {
    use super::Kind;
    matches!(
        column.kind,
        Kind::Count
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

/// Sorts row numbers in place. Stable: rows that are equal by every key stay as they were.
pub fn sort(rows: &mut [u32], snap: &Snapshot, keys: &[SortKey]) {
    let Some((first, rest)) = keys.split_first() else { return };
    let values: Vec<Value<'_>> = rows.iter().map(|r| first.column.value(snap, *r as usize)).collect();
    if rest.is_empty() || rows.len() < 2 {
        if let Some(mut numbers) = plain_numbers(&values, rows, first.descending) {
            numbers.sort_by_key(|(k, _)| *k);
            for (slot, (_, row)) in rows.iter_mut().zip(numbers) {
                *slot = row;
            }
            return;
        }
    }
    let more: Vec<Vec<Value<'_>>> =
        rest.iter().map(|k| rows.iter().map(|r| k.column.value(snap, *r as usize)).collect()).collect();
    let mut index: Vec<u32> = (0..rows.len() as u32).collect();
    index.sort_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        let mut o = compare(&values[a], &values[b], first.descending);
        for (k, column) in rest.iter().zip(&more) {
            if o != Ordering::Equal {
                break;
            }
            o = compare(&column[a], &column[b], k.descending);
        }
        o
    });
    let sorted: Vec<u32> = index.into_iter().map(|i| rows[i as usize]).collect();
    rows.copy_from_slice(&sorted);
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

/// Keys as pairs of plain integers where all values are numbers or missing.
fn plain_numbers(values: &[Value<'_>], rows: &[u32], descending: bool) -> Option<Vec<((bool, u64), u32)>> {
    let turn = |n: u64| if descending { !n } else { n };
    values
        .iter()
        .zip(rows)
        .map(|(v, row)| {
            let key = match v {
                Value::Missing(_) => (true, 0),
                Value::Uint(n) => (false, turn(*n)),
                _ => return None,
            };
            Some((key, *row))
        })
        .collect()
}
