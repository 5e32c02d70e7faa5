//! Order of limits by their share in use.

/// Order by share of the maximum, the largest first. Exact for any counts: `a / b` against `c / d` is `a * d` against
/// `c * b`, and a maximum of 0 counts as 1.
pub(super) fn fullest_first(a: (u64, u64), b: (u64, u64)) -> std::cmp::Ordering {
    let product = |used: u64, max: u64| u128::from(used) * u128::from(max.max(1));
    product(b.0, a.1).cmp(&product(a.0, b.1))
}
