//! Times, and how they are told.

use std::time::{Duration, Instant};

/// Times of one thing, done again and again.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Those measured elsewhere.
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// Does it `n` times, after one that does not count.
    pub(crate) fn measure(n: usize, mut f: impl FnMut()) -> Self {
        f();
        let one = |f: &mut dyn FnMut()| {
            let began = Instant::now();
            f();
            began.elapsed()
        };
        Self::of((0..n).map(|_| one(&mut f)).collect())
    }

    /// The time below which this share of them lies.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let i = (self.0.len().saturating_sub(1)) as f64 * share;
        self.0.get(i.round() as usize).copied().unwrap_or_default()
    }

    /// Half of them took less.
    pub(crate) fn median(&self) -> Duration {
        self.at(0.5)
    }

    /// One line: least, median, 99 of 100, and what was aimed at.
    pub(crate) fn line(&self, what: &str, target: Option<f64>) {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        let goal = target.map_or_else(String::new, |t| {
            format!("   target {t} ms {}", if ms(self.at(0.99)) <= t { "met" } else { "MISSED" })
        });
        println!(
            "{what:<46} min {:>8.3}  median {:>8.3}  p99 {:>8.3} ms{goal}",
            ms(self.at(0.0)),
            ms(self.median()),
            ms(self.at(0.99))
        );
    }
}
