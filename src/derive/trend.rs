//! Trends: growth per minute and time until a limit is reached.

use crate::model::FullIn;

/// Readings sampled for pairwise slopes.
const SLOPE_READINGS: usize = 30;
/// Least readings for a growth rate.
const MIN_READINGS: usize = 5;
/// Least readings for a forecast.
const MIN_FORECAST_READINGS: usize = 8;
/// Most readings kept.
const MAX_READINGS: usize = 96;

/// Readings of one number, oldest first. Older readings are thinned out, so that a fixed number covers a long time.
#[derive(Clone, Debug)]
pub(super) struct Series<T = u64>(Vec<(u64, T)>);

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Series<T> {
    /// Appends a reading taken at this time, nanoseconds since boot.
    pub(super) fn push(&mut self, boot_ns: u64, value: T) {
        if self.0.len() >= MAX_READINGS {
            let mut i = 0;
            self.0.retain(|_| {
                i += 1;
                i > MAX_READINGS / 2 || i % 2 == 1
            });
        }
        self.0.push((boot_ns, value));
    }

    /// All readings.
    pub(super) fn points(&self) -> &[(u64, T)] {
        &self.0
    }
}

/// Quartiles of the slopes per second between all pairs of readings (Theil–Sen estimator, robust against outliers); of a long
/// series only some readings are used. `None` below [`MIN_READINGS`] or two seconds.
fn slopes(series: &[(u64, u64)]) -> Option<(f64, f64, f64)> {
    let (first, last) = (series.first()?, series.last()?);
    if series.len() < MIN_READINGS || last.0.saturating_sub(first.0) < 2_000_000_000 {
        return None;
    }
    if series.iter().all(|p| p.1 == first.1) {
        return Some((0.0, 0.0, 0.0));
    }
    let stride = series.len().div_ceil(SLOPE_READINGS);
    // The last reading is always used.
    let skip = (series.len() - 1) % stride;
    let mut slopes = Vec::with_capacity(SLOPE_READINGS * (SLOPE_READINGS - 1) / 2);
    for (i, a) in series.iter().enumerate().skip(skip).step_by(stride) {
        for b in series.get(i + stride..).unwrap_or(&[]).iter().step_by(stride) {
            if b.0 > a.0 {
                slopes.push((b.1 as f64 - a.1 as f64) / ((b.0 - a.0) as f64 / 1e9));
            }
        }
    }
    if slopes.is_empty() {
        return None;
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let quartile = |n: usize| slopes[(slopes.len() - 1) * n / 4];
    Some((quartile(1), slopes[slopes.len() / 2], quartile(3)))
}

/// Change per minute: the median slope.
pub(super) fn per_minute(series: &[(u64, u64)]) -> Option<f64> {
    slopes(series).map(|(_, median, _)| median * 60.0)
}

/// Change per minute and time until `max`, of the same slopes. A number that neither rises steadily nor falls does not change:
/// 0. `None` until there are readings enough for a forecast, unless it does not rise at all.
pub(super) fn growth(series: &[(u64, u64)], used: u64, max: Option<u64>) -> (Option<f64>, Option<FullIn>) {
    const UNIT: u64 = 1_000_000_000;
    let Some(rise) = full_in(series, 0, UNIT) else {
        let falls = per_minute(series).map(|n| n.min(0.0));
        let is_enough = series.len() >= MIN_FORECAST_READINGS || per_minute(series).is_some_and(|n| n <= 0.0);
        return (falls.filter(|_| is_enough), None);
    };
    (Some(UNIT as f64 / rise.likely * 60.0), max.and_then(|max| full_in(series, used, max)))
}

/// True if the number rises steadily over any growth window.
pub(super) fn is_rising(series: &[(u64, u64)]) -> bool {
    let used = series.last().map_or(0, |p| p.1);
    full_in(series, used, u64::MAX - 1).is_some()
}

/// Growth windows, as divisors of the time covered: all, the last half, quarter and eighth. A leak that started late shows a
/// steady rise only in a recent window.
const GROWTH_WINDOWS: [u64; 4] = [1, 2, 4, 8];

/// Time until `max` is reached at the present growth. `None` if the number does not rise steadily over any growth window:
/// in each at least a quarter of the slopes are not positive.
pub(super) fn full_in(series: &[(u64, u64)], used: u64, max: u64) -> Option<FullIn> {
    if max == u64::MAX {
        return None;
    }
    let (first, last) = (series.first()?.0, series.last()?.0);
    let forecast = |window: &u64| {
        let from = last - last.saturating_sub(first) / window;
        let (before, recent) = series.split_at(series.partition_point(|p| p.0 < from));
        if recent.len() < MIN_FORECAST_READINGS {
            return None;
        }
        // A number that was as high before and fell again fluctuates.
        let middle_value = recent[recent.len() / 2].1;
        if before.iter().any(|p| p.1 > middle_value) {
            return None;
        }
        let (low, median, high) = slopes(recent)?;
        let left = max.saturating_sub(used) as f64;
        let span = last.saturating_sub(recent[0].0) as f64 / 1e9;
        (low > 0.0).then(|| FullIn { low: left / high, likely: left / median, high: left / low, span })
    };
    let forecasts: Vec<FullIn> = GROWTH_WINDOWS.iter().filter_map(forecast).collect();
    // The longest window with uniform growth, or else the longest.
    forecasts.iter().find(|f| f.high <= 1.25 * f.low).or(forecasts.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::{FullIn, Series, full_in, per_minute};

    fn per_second(values: &[u64]) -> Vec<(u64, u64)> {
        values.iter().enumerate().map(|(i, v)| (i as u64 * 1_000_000_000, *v)).collect()
    }

    #[test]
    fn growth_is_the_median_slope() {
        assert_eq!(per_minute(&per_second(&[1, 2, 3])), None, "too few");
        assert_eq!(per_minute(&per_second(&[7; 20])), Some(0.0));
        assert_eq!(per_minute(&per_second(&[10, 11, 12, 13, 14, 15])), Some(60.0));
        assert_eq!(per_minute(&per_second(&[10, 11, 900, 13, 14, 15, 16])), Some(60.0), "one outlier");
        let fluctuation: Vec<u64> = (0..60).map(|i| 100 + (i % 10)).collect();
        assert!(per_minute(&per_second(&fluctuation)).unwrap().abs() < 15.0);
    }

    #[test]
    fn steady_growth_has_a_forecast_and_fluctuation_has_none() {
        let leak: Vec<u64> = (0..50).map(|i| 10 + i).collect();
        let FullIn { low, likely, high, span } = full_in(&per_second(&leak), 59, 110).unwrap();
        assert!(
            (low - 51.0).abs() < 0.1 && (likely - 51.0).abs() < 0.1 && (high - 51.0).abs() < 0.1,
            "{likely}"
        );
        assert!((span - 49.0).abs() < 0.1);
        // Uneven growth widens the range of the forecast.
        let uneven: Vec<u64> = (0..60).map(|i: u64| 10 + i + (i * 7919 % 5)).collect();
        let f = full_in(&per_second(&uneven), 71, 131).unwrap();
        assert!(f.low <= 60.0 && f.high >= 60.0 && (f.likely - 60.0).abs() < 12.0, "{f:?}");
        let fluctuation: Vec<u64> =
            (0..60).map(|i| 100 + (f64::from(i) / 3.0).sin().mul_add(40.0, 40.0) as u64).collect();
        assert_eq!(full_in(&per_second(&fluctuation), 150, 200), None);
        // Growth that started late is found in a recent window.
        let late: Vec<u64> = (0..60).map(|i| if i < 40 { 10 } else { 10 + (i - 40) * 3 }).collect();
        let f = full_in(&per_second(&late), 67, 127).unwrap();
        assert!((f.likely - 20.0).abs() < 2.0, "{f:?}");
        let falling: Vec<u64> = (0..20).map(|i| 100 - i).collect();
        assert_eq!(full_in(&per_second(&falling), 80, 200), None);
    }

    #[test]
    fn only_a_steady_rise_counts_as_rising() {
        let steps: Vec<u64> = (0..40).map(|i| i / 2).collect();
        assert!(super::is_rising(&per_second(&steps)));
        assert!(!super::is_rising(&per_second(&[7; 40])) && !super::is_rising(&per_second(&[1, 2, 3])));
        let fluctuation: Vec<u64> = (0..40).map(|i| i % 8).collect();
        assert!(!super::is_rising(&per_second(&fluctuation)));
    }

    #[test]
    fn long_series_is_thinned_out_and_keeps_its_start() {
        let mut s = Series::default();
        for i in 0..10_000u64 {
            s.push(i, i);
        }
        let p = s.points();
        assert!(p.len() <= 96 && p[0].0 == 0 && p[p.len() - 1].0 == 9_999);
        assert!(p.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(p[p.len() - 20..].windows(2).all(|w| w[1].0 - w[0].0 == 1), "recent readings are complete");
    }
}
