//! Measured times and their summary.

use std::time::{Duration, Instant};

/// Durations of repeated runs, sorted.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Durations measured by the caller.
    pub(crate) fn new(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// Runs `f` `n` times, after one warm-up run.
    pub(crate) fn measure(n: usize, mut f: impl FnMut()) -> Self {
        f();
        let time = |f: &mut dyn FnMut()| {
            let began = Instant::now();
            f();
            began.elapsed()
        };
        Self::new((0..n).map(|_| time(&mut f)).collect())
    }

    /// Quantile.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let i = (self.0.len().saturating_sub(1)) as f64 * share;
        self.0.get(i.round() as usize).copied().unwrap_or_default()
    }

    /// Median.
    pub(crate) fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// Prints minimum, median, 99th percentile, and whether the target was met.
    pub(crate) fn line(&self, what: &str, target: Option<f64>) {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        let verdict = target.map_or_else(String::new, |t| {
            format!("   target {t} ms {}", if ms(self.quantile(0.99)) <= t { "met" } else { "MISSED" })
        });
        println!(
            "{what:<46} min {:>8.3}  median {:>8.3}  p99 {:>8.3} ms{verdict}",
            ms(self.quantile(0.0)),
            ms(self.median()),
            ms(self.quantile(0.99))
        );
    }
}
