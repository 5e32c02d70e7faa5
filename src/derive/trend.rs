//! Where a number is heading.

use crate::model::FullIn;

/// Readings whose slopes are compared.
const READINGS: usize = 30;
/// Readings before anything is said.
const LEAST: usize = 5;
/// Readings before it is said when something is full.
const LEAST_FORECAST: usize = 8;
/// Readings that are kept.
const KEEP: usize = 96;

/// Readings of one number, oldest first: the recent ones all, older ones ever sparser, so that it reaches far back.
#[derive(Clone, Debug)]
pub(super) struct Series<T = u64>(Vec<(u64, T)>);

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Series<T> {
    /// One more reading: nanoseconds after boot, and how much.
    pub(super) fn push(&mut self, at: u64, value: T) {
        if self.0.len() >= KEEP {
            let mut i = 0;
            self.0.retain(|_| {
                i += 1;
                i > KEEP / 2 || i % 2 == 1
            });
        }
        self.0.push((at, value));
    }

    /// All of them.
    pub(super) fn points(&self) -> &[(u64, T)] {
        &self.0
    }
}

/// Quartiles of the slopes a second between all pairs of readings (Theil and Sen), which a few odd readings do not move.
/// Of many readings some are enough. `None` below five readings or two seconds.
fn slopes(series: &[(u64, u64)]) -> Option<(f64, f64, f64)> {
    let (first, last) = (series.first()?, series.last()?);
    if series.len() < LEAST || last.0.saturating_sub(first.0) < 2_000_000_000 {
        return None;
    }
    if series.iter().all(|p| p.1 == first.1) {
        return Some((0.0, 0.0, 0.0));
    }
    let every = series.len().div_ceil(READINGS);
    // The last reading is among them.
    let skip = (series.len() - 1) % every;
    let mut slopes = Vec::with_capacity(READINGS * (READINGS - 1) / 2);
    for (i, a) in series.iter().enumerate().skip(skip).step_by(every) {
        for b in series.get(i + every..).unwrap_or(&[]).iter().step_by(every) {
            if b.0 > a.0 {
                slopes.push((b.1 as f64 - a.1 as f64) / ((b.0 - a.0) as f64 / 1e9));
            }
        }
    }
    if slopes.is_empty() {
        return None;
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| slopes[(slopes.len() - 1) * share / 4];
    Some((at(1), slopes[slopes.len() / 2], at(3)))
}

/// The change a minute.
pub(super) fn per_minute(series: &[(u64, u64)]) -> Option<f64> {
    slopes(series).map(|(_, middle, _)| middle * 60.0)
}

/// Whether it rises steadily in any of the newer parts.
pub(super) fn rises(series: &[(u64, u64)]) -> bool {
    let used = series.last().map_or(0, |p| p.1);
    full_in(series, used, u64::MAX - 1).is_some()
}

/// Parts of the series (all, the newer half, quarter, eighth) in which a steady rise is looked for: a leak that began
/// late rises only in the newer ones.
const PARTS: [u64; 4] = [1, 2, 4, 8];

/// When it is full, if it goes on like this. `None` where it does not rise steadily in any of the newer parts: a quarter
/// of the slopes or more are not upwards.
pub(super) fn full_in(series: &[(u64, u64)], used: u64, max: u64) -> Option<FullIn> {
    if max == u64::MAX {
        return None;
    }
    let (first, last) = (series.first()?.0, series.last()?.0);
    let of = |part: &u64| {
        let from = last - last.saturating_sub(first) / part;
        let (before, recent) = series.split_at(series.partition_point(|p| p.0 < from));
        if recent.len() < LEAST_FORECAST {
            return None;
        }
        // What was as high before and came down again breathes.
        let half = recent[recent.len() / 2].1;
        if before.iter().any(|p| p.1 > half) {
            return None;
        }
        let (low, middle, high) = slopes(recent)?;
        let left = max.saturating_sub(used) as f64;
        let span = last.saturating_sub(recent[0].0) as f64 / 1e9;
        (low > 0.0).then(|| FullIn { low: left / high, likely: left / middle, high: left / low, span })
    };
    let found: Vec<FullIn> = PARTS.iter().filter_map(of).collect();
    // The longest that is even; else the longest.
    found.iter().find(|f| f.high <= 1.25 * f.low).or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::{FullIn, Series, full_in, per_minute};

    fn at(values: &[u64]) -> Vec<(u64, u64)> {
        values.iter().enumerate().map(|(i, v)| (i as u64 * 1_000_000_000, *v)).collect()
    }

    #[test]
    fn slopes() {
        assert_eq!(per_minute(&at(&[1, 2, 3])), None, "too few");
        assert_eq!(per_minute(&at(&[7; 20])), Some(0.0));
        assert_eq!(per_minute(&at(&[10, 11, 12, 13, 14, 15])), Some(60.0));
        assert_eq!(per_minute(&at(&[10, 11, 900, 13, 14, 15, 16])), Some(60.0), "one odd reading");
        let breath: Vec<u64> = (0..60).map(|i| 100 + (i % 10)).collect();
        assert!(per_minute(&at(&breath)).unwrap().abs() < 15.0);
    }

    #[test]
    fn a_leak_is_full_when_it_is_full_and_a_breath_never() {
        let leak: Vec<u64> = (0..50).map(|i| 10 + i).collect();
        let FullIn { low, likely, high, span } = full_in(&at(&leak), 59, 110).unwrap();
        assert!(
            (low - 51.0).abs() < 0.1 && (likely - 51.0).abs() < 0.1 && (high - 51.0).abs() < 0.1,
            "{likely}"
        );
        assert!((span - 49.0).abs() < 0.1);
        // One that leaks unevenly has a range around it.
        let uneven: Vec<u64> = (0..60).map(|i: u64| 10 + i + (i * 7919 % 5)).collect();
        let f = full_in(&at(&uneven), 71, 131).unwrap();
        assert!(f.low <= 60.0 && f.high >= 60.0 && (f.likely - 60.0).abs() < 12.0, "{f:?}");
        let breath: Vec<u64> =
            (0..60).map(|i| 100 + (f64::from(i) / 3.0).sin().mul_add(40.0, 40.0) as u64).collect();
        assert_eq!(full_in(&at(&breath), 150, 200), None);
        // One that began late is found in the newer part.
        let late: Vec<u64> = (0..60).map(|i| if i < 40 { 10 } else { 10 + (i - 40) * 3 }).collect();
        let f = full_in(&at(&late), 67, 127).unwrap();
        assert!((f.likely - 20.0).abs() < 2.0, "{f:?}");
        let falling: Vec<u64> = (0..20).map(|i| 100 - i).collect();
        assert_eq!(full_in(&at(&falling), 80, 200), None);
    }

    #[test]
    fn a_rise_is_steady_or_none() {
        let steps: Vec<u64> = (0..40).map(|i| i / 2).collect();
        assert!(super::rises(&at(&steps)));
        assert!(!super::rises(&at(&[7; 40])) && !super::rises(&at(&[1, 2, 3])));
        let breath: Vec<u64> = (0..40).map(|i| i % 8).collect();
        assert!(!super::rises(&at(&breath)));
    }

    #[test]
    fn a_long_series_reaches_far_back() {
        let mut s = Series::default();
        for i in 0..10_000u64 {
            s.push(i, i);
        }
        let p = s.points();
        assert!(p.len() <= 96 && p[0].0 == 0 && p[p.len() - 1].0 == 9_999);
        assert!(p.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(p[p.len() - 20..].windows(2).all(|w| w[1].0 - w[0].0 == 1), "the recent ones are all there");
    }
}
