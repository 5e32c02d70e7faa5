//! Sets of values of one packet field, as sorted closed intervals.

use std::sync::Arc;

/// First and last value.
pub(in crate::derive) type Span = (u128, u128);

/// Set of values: intervals that are sorted and neither overlap nor touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::derive) enum Intervals {
    /// One interval.
    One(Span),
    /// None, or more than one. Shared: a set of a ruleset is a condition of many rules.
    Many(Arc<[Span]>),
}

impl Intervals {
    /// The values from one to another; empty if the last is below the first.
    pub(in crate::derive) fn span(first: u128, last: u128) -> Self {
        if first <= last { Self::One((first, last)) } else { Self::empty() }
    }

    pub(in crate::derive) fn value(value: u128) -> Self {
        Self::One((value, value))
    }

    pub(in crate::derive) fn empty() -> Self {
        Self::Many(Arc::from([]))
    }

    /// The union of intervals in any order.
    pub(in crate::derive) fn union_of(mut all: Vec<Span>) -> Self {
        all.retain(|(a, b)| a <= b);
        all.sort_unstable();
        let mut out: Vec<Span> = Vec::with_capacity(all.len());
        for (a, b) in all {
            match out.last_mut() {
                Some(last) if a <= last.1.saturating_add(1) => last.1 = last.1.max(b),
                _ => out.push((a, b)),
            }
        }
        Self::sorted(out)
    }

    fn sorted(all: Vec<Span>) -> Self {
        match all[..] {
            [only] => Self::One(only),
            _ => Self::Many(all.into()),
        }
    }

    pub(in crate::derive) fn spans(&self) -> &[Span] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }

    pub(in crate::derive) fn is_empty(&self) -> bool {
        self.spans().is_empty()
    }

    /// The value, if there is only one.
    pub(in crate::derive) fn single(&self) -> Option<u128> {
        match self {
            Self::One((a, b)) if a == b => Some(*a),
            _ => None,
        }
    }

    /// Lowest and highest value.
    pub(in crate::derive) fn hull(&self) -> Option<Span> {
        Some((self.spans().first()?.0, self.spans().last()?.1))
    }

    pub(in crate::derive) fn contains(&self, value: u128) -> bool {
        let spans = self.spans();
        let after = spans.partition_point(|s| s.1 < value);
        spans.get(after).is_some_and(|s| s.0 <= value)
    }

    /// The intervals that can overlap with one.
    fn near(&self, (first, last): Span) -> &[Span] {
        let spans = self.spans();
        let from = spans.partition_point(|s| s.1 < first);
        let len = spans[from..].partition_point(|s| s.0 <= last);
        &spans[from..from + len]
    }

    pub(in crate::derive) fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Many(a), Self::Many(b)) if Arc::ptr_eq(a, b) => self.clone(),
            (Self::One(a), all) | (all, Self::One(a)) => {
                let near = all.near(*a);
                if let (Self::Many(_), [first, .., last]) = (all, near)
                    && near.len() == all.spans().len()
                    && a.0 <= first.0
                    && last.1 <= a.1
                {
                    return all.clone();
                }
                Self::sorted(near.iter().map(|b| (a.0.max(b.0), a.1.min(b.1))).collect())
            }
            (a, b) => {
                let (mut a, mut b) = (a.spans(), b.spans());
                let mut out = Vec::new();
                while let (Some(x), Some(y)) = (a.first(), b.first()) {
                    if x.0.max(y.0) <= x.1.min(y.1) {
                        out.push((x.0.max(y.0), x.1.min(y.1)));
                    }
                    if x.1 < y.1 { a = &a[1..] } else { b = &b[1..] }
                }
                Self::sorted(out)
            }
        }
    }

    pub(in crate::derive) fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(a), all) | (all, Self::One(a)) => !all.near(*a).is_empty(),
            _ => !self.intersect(other).is_empty(),
        }
    }

    /// The values that another set does not have.
    pub(in crate::derive) fn subtract(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        for (first, last) in self.spans() {
            let mut from = Some(*first);
            for (a, b) in other.near((*first, *last)) {
                if let Some(f) = from.filter(|f| f < a) {
                    out.push((f, a - 1));
                }
                from = b.checked_add(1).filter(|f| f <= last);
            }
            if let Some(f) = from {
                out.push((f, *last));
            }
        }
        Self::sorted(out)
    }

    /// The values up to `max` that the set does not have.
    pub(in crate::derive) fn complement(&self, max: u128) -> Self {
        Self::span(0, max).subtract(self)
    }

    pub(in crate::derive) fn is_subset(&self, other: &Self) -> bool {
        self.spans().iter().all(|s| other.near(*s).iter().any(|o| o.0 <= s.0 && s.1 <= o.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u128 = 40;

    fn any_set() -> impl Strategy<Value = Intervals> {
        prop::collection::vec((0..=MAX, 0..=MAX), 0..6).prop_map(Intervals::union_of)
    }

    fn values(set: &Intervals) -> Vec<u128> {
        (0..=MAX).filter(|v| set.contains(*v)).collect()
    }

    fn is_canonical(set: &Intervals) -> bool {
        let ordered = set.spans().windows(2).all(|w| w[0].1 + 1 < w[1].0);
        ordered
            && set.spans().iter().all(|s| s.0 <= s.1)
            && (matches!(set, Intervals::One(_)) == (set.spans().len() == 1))
    }

    proptest! {
        #[test]
        fn operations_match_values_one_by_one(a in any_set(), b in any_set()) {
            let both = |f: &dyn Fn(bool, bool) -> bool| -> Vec<u128> {
                (0..=MAX).filter(|v| f(a.contains(*v), b.contains(*v))).collect()
            };
            for (set, want) in [
                (a.intersect(&b), both(&|x, y| x && y)),
                (a.subtract(&b), both(&|x, y| x && !y)),
                (a.complement(MAX), both(&|x, _| !x)),
            ] {
                prop_assert!(is_canonical(&set), "{set:?}");
                prop_assert_eq!(values(&set), want);
            }
            prop_assert_eq!(a.intersects(&b), !a.intersect(&b).is_empty());
            prop_assert_eq!(a.is_subset(&b), a.subtract(&b).is_empty());
        }
    }

    #[test]
    fn highest_value_has_no_successor() {
        let all = Intervals::span(0, u128::MAX);
        assert!(all.subtract(&all).is_empty());
        assert_eq!(Intervals::value(u128::MAX).complement(u128::MAX), Intervals::span(0, u128::MAX - 1));
        assert_eq!(Intervals::union_of(vec![(5, u128::MAX), (3, 3)]).spans(), [(3, 3), (5, u128::MAX)]);
    }
}
