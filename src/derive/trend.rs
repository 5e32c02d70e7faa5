//! Where a number is heading.

/// Readings whose slopes are compared.
const READINGS: usize = 30;

/// The change a minute over a series of (nanoseconds, value): the median of the slopes between all pairs (Theil and
/// Sen), which a few odd readings do not move. Of many readings every other one is enough. `None` below five readings
/// or two seconds.
pub(super) fn per_minute(series: &[(u64, u32)]) -> Option<f64> {
    let (first, last) = (series.first()?, series.last()?);
    if series.len() < 5 || last.0.saturating_sub(first.0) < 2_000_000_000 {
        return None;
    }
    if series.iter().all(|p| p.1 == first.1) {
        return Some(0.0);
    }
    let every = series.len().div_ceil(READINGS);
    // The last reading is among them.
    let skip = (series.len() - 1) % every;
    let mut slopes = Vec::with_capacity(READINGS * (READINGS - 1) / 2);
    for (i, a) in series.iter().enumerate().skip(skip).step_by(every) {
        for b in series.get(i + every..).unwrap_or(&[]).iter().step_by(every) {
            if b.0 > a.0 {
                slopes.push((f64::from(b.1) - f64::from(a.1)) / ((b.0 - a.0) as f64 / 60e9));
            }
        }
    }
    let middle = slopes.len() / 2;
    if slopes.is_empty() {
        return None;
    }
    let (_, m, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*m)
}

#[cfg(test)]
mod tests {
    use super::per_minute;

    fn at(values: &[u32]) -> Vec<(u64, u32)> {
        values.iter().enumerate().map(|(i, v)| (i as u64 * 1_000_000_000, *v)).collect()
    }

    #[test]
    fn slopes() {
        assert_eq!(per_minute(&at(&[1, 2, 3])), None, "too few");
        assert_eq!(per_minute(&at(&[7; 20])), Some(0.0));
        assert_eq!(per_minute(&at(&[10, 11, 12, 13, 14, 15])), Some(60.0));
        assert_eq!(per_minute(&at(&[10, 11, 900, 13, 14, 15, 16])), Some(60.0), "one odd reading");
        let breath: Vec<u32> = (0..60).map(|i| 100 + (i % 10)).collect();
        assert!(per_minute(&at(&breath)).unwrap().abs() < 15.0);
    }
}
