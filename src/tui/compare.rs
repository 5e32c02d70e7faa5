//! Comparison of two moments.

use super::entry::Entry;
use crate::model::Snapshot;
use crate::view::diff::{Change, Difference, differences};
use std::sync::{Arc, OnceLock};

/// Two moments to compare.
#[derive(Clone, Debug)]
pub struct TwoMoments(pub Arc<Snapshot>, pub Arc<Snapshot>);

impl PartialEq for TwoMoments {
    /// Equal if they are the same snapshots.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) && Arc::ptr_eq(&self.1, &other.1)
    }
}

/// Differences between two moments.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Times of both, nanoseconds since 1970, the earlier one first.
    pub times_ns: (u64, u64),
    /// The differences, by subject.
    pub rows: Vec<Difference>,
    /// Their lines in the list, once they were drawn.
    pub(crate) lines: OnceLock<Arc<[Entry]>>,
}

impl PartialEq for Comparison {
    fn eq(&self, other: &Self) -> bool {
        (self.times_ns, &self.rows) == (other.times_ns, &other.rows)
    }
}

impl Comparison {
    /// Compares two moments, in the order of their times.
    pub fn new(one: &Snapshot, other: &Snapshot) -> Self {
        let time = |s: &Snapshot| s.sample.at.unix_ns;
        let (before, after) = if time(one) <= time(other) { (one, other) } else { (other, one) };
        let mut rows = differences(before, after);
        // Connections of which others came for those that went, after what has moved.
        rows.sort_by_key(|d| (d.subject, d.change == Change::Changed && d.before == d.after));
        Self { times_ns: (time(before), time(after)), rows, lines: OnceLock::new() }
    }
}
