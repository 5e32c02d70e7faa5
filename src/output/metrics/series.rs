//! Series of a family, and groups of rows of which the first have series of their own.

use rustc_hash::FxHashMap;
use std::hash::Hash;

/// Label value of the groups that have no series of their own.
pub(super) const OTHER: &str = "other";

/// One series, or one histogram.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Values of the labels of the family.
    pub(super) labels: Vec<String>,
    /// Value.
    pub(super) value: Number,
}

/// Value of a [`Point`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Number {
    /// Gauge or counter.
    Plain(f64),
    /// Histogram: upper bounds with the number of observations up to each, all observations, and their sum.
    Histogram(Vec<(f64, u64)>, u64, f64),
}

impl Point {
    /// A gauge or counter.
    pub(super) fn new(labels: impl IntoIterator<Item = impl Into<String>>, value: f64) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), value: Number::Plain(value) }
    }

    /// A gauge or counter without labels.
    pub(super) const fn single(value: f64) -> Self {
        Self { labels: Vec::new(), value: Number::Plain(value) }
    }
}

/// Number of series of these points.
pub(super) fn series_count(points: &[Point]) -> usize {
    points
        .iter()
        .map(|p| match &p.value {
            Number::Plain(_) => 1,
            // The bucket without a bound, count and sum.
            Number::Histogram(buckets, ..) => buckets.len() + 3,
        })
        .sum()
}

/// Values of a group of rows.
pub(super) trait Group: Default {
    /// Adds another group.
    fn merge(&mut self, other: Self);
    /// Order of the groups: those with the highest have series of their own.
    fn pressure(&self) -> [f64; 3];
}

/// The `top` groups by pressure, ordered by labels, and the rest as one with the label [`OTHER`].
pub(super) fn top_groups<const N: usize, G: Group>(
    groups: FxHashMap<[String; N], G>,
    top: usize,
) -> Vec<([String; N], G)> {
    let mut all: Vec<([String; N], G)> = groups.into_iter().collect();
    all.sort_by(|(a, x), (b, y)| {
        let (x, y) = (x.pressure(), y.pressure());
        let by_pressure = y.iter().zip(&x).map(|(y, x)| y.total_cmp(x)).find(|o| o.is_ne());
        by_pressure.unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.cmp(b))
    });
    let rest = all.split_off(all.len().min(top));
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    if !rest.is_empty() {
        let mut sum = G::default();
        for (_, g) in rest {
            sum.merge(g);
        }
        all.push((std::array::from_fn(|_| OTHER.to_owned()), sum));
    }
    all
}

/// Counters by label values, of which a bounded number have series of their own. One that has such a series keeps it, and what was
/// counted as [`OTHER`] stays there: none ever decreases.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counters<K: Eq + Hash> {
    slots: FxHashMap<K, Slot>,
    other: f64,
    has_other: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slot {
    total: f64,
    seen_ns: u64,
}

/// Time after which a series of its own is given up, nanoseconds.
const IDLE_NS: u64 = 3_600_000_000_000;

impl<K: Eq + Hash + Clone + Ord> Counters<K> {
    /// Adds to the counter of a group at a time after boot. With `n` 0 it gets a series if one is left; above that it replaces one
    /// that has counted nothing.
    pub(super) fn add(&mut self, key: K, n: f64, now_ns: u64, top: usize) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.total += n;
            slot.seen_ns = now_ns;
            return;
        }
        if self.slots.len() >= top {
            let unused = (n > 0.0).then(|| self.slots.iter().find(|(_, s)| s.total == 0.0)).flatten();
            let Some(unused) = unused.map(|(k, _)| k.clone()) else {
                self.other += n;
                self.has_other = true;
                return;
            };
            self.slots.remove(&unused);
        }
        self.slots.insert(key, Slot { total: n, seen_ns: now_ns });
    }

    /// Gives up series of groups that were not seen for an hour.
    pub(super) fn expire(&mut self, now_ns: u64) {
        self.slots.retain(|_, s| now_ns.saturating_sub(s.seen_ns) < IDLE_NS);
    }

    /// The counters ordered by key, and that of all others.
    pub(super) fn values(&self) -> (Vec<(&K, f64)>, Option<f64>) {
        let mut out: Vec<_> = self.slots.iter().map(|(k, s)| (k, s.total)).collect();
        out.sort_by(|a, b| a.0.cmp(b.0));
        (out, self.has_other.then_some(self.other))
    }
}

/// Points of counters whose keys are their label values.
pub(super) fn counter_points<const N: usize>(counters: &Counters<[String; N]>) -> Vec<Point> {
    let (each, other) = counters.values();
    let own = each.into_iter().map(|(labels, n)| Point::new(labels.iter().map(String::as_str), n));
    own.chain(other.map(|n| Point::new([OTHER; N], n))).collect()
}
