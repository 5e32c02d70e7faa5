//! One number over time, as the times at which it changed.

/// Ages beyond which readings are thinned out, and the step, both in tenths of a second.
const STEPS: [(u32, u32); 2] = [(600, 30), (3_000, 300)];
/// Longest time kept, tenths of a second.
const KEPT: u32 = 36_000;
/// Readings are thinned out at intervals of this, tenths of a second.
const THIN_EVERY: u32 = 300;
/// Shortest time without a reading that counts as a gap, tenths of a second, unless readings are that far apart.
const GAP: u32 = 100;
/// Tenths of a second, in nanoseconds.
const TENTH_NS: u64 = 100_000_000;

/// Lowest and highest value in a part of the time shown; `None` if there was no reading.
pub type Slot = Option<(f32, f32)>;

/// Readings of one number, oldest first. Only changes are kept: a value holds until the next one.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Time in tenths of a second after boot, and value; NaN: not read.
    points: Vec<(u32, f32)>,
    /// Time of the last reading, changed or not.
    last: u32,
    /// Time between the last two readings.
    interval: u32,
    thinned: u32,
}

/// Tenths of a second after boot.
fn tenths(boot_ns: u64) -> u32 {
    u32::try_from(boot_ns / TENTH_NS).unwrap_or(u32::MAX)
}

impl Series {
    /// Adds a reading; `None`: it could not be read, or was not asked for.
    pub fn push(&mut self, boot_ns: u64, value: Option<f64>) {
        let (now, value) = (tenths(boot_ns), value.map_or(f32::NAN, |v| v as f32));
        if let Some((at, kept)) = self.points.last_mut() {
            let passed = now.saturating_sub(self.last);
            let is_gap = passed > GAP.max(self.interval.saturating_mul(4));
            (self.interval, self.last) = (passed, now);
            let same = kept.to_bits() == value.to_bits();
            if is_gap && !kept.is_nan() {
                self.points.push((now.saturating_sub(passed) + 1, f32::NAN));
            } else if same {
                return;
            } else if *at == now {
                *kept = value;
                return;
            }
        }
        (self.last, self.thinned) = (now, if self.points.is_empty() { now } else { self.thinned });
        self.points.push((now, value));
        if now.saturating_sub(self.thinned) >= THIN_EVERY {
            self.thinned = now;
            self.thin();
        }
    }

    /// Keeps the lowest, highest and last value of each step, and nothing that is too old.
    fn thin(&mut self) {
        let now = self.last;
        let step = |at: u32| {
            let age = now.saturating_sub(at);
            STEPS.iter().rev().find(|(from, _)| age > *from).map(|(_, step)| (at / step, *step))
        };
        let old = self.points.partition_point(|(at, _)| now.saturating_sub(*at) > KEPT);
        // The last of the old ones holds until the first of the others.
        let points = &self.points[old.saturating_sub(1)..];
        let mut out: Vec<(u32, f32)> = Vec::with_capacity(points.len());
        let mut i = 0;
        while i < points.len() {
            let group = step(points[i].0);
            let end = match group {
                None => i + 1,
                Some(_) => i + points[i..].iter().take_while(|(at, _)| step(*at) == group).count(),
            };
            let part = &points[i..end];
            let by_value = |a: &&(u32, f32), b: &&(u32, f32)| a.1.total_cmp(&b.1);
            let numbers = || part.iter().filter(|p| !p.1.is_nan());
            let (low, high) = (numbers().min_by(by_value), numbers().max_by(by_value));
            let kept =
                |p: &(u32, f32)| [low, high, part.last()].into_iter().flatten().any(|k| std::ptr::eq(k, p));
            out.extend(part.iter().filter(|p| kept(p)));
            i = end;
        }
        self.points = out;
    }

    /// Number of readings kept.
    #[allow(clippy::len_without_is_empty)] // A series is created with its first reading.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Lowest and highest value in each of `n` equal parts of the `span_s` seconds up to a time, oldest first.
    pub fn slots(&self, until_ns: u64, span_s: u32, n: usize) -> Vec<Slot> {
        let until = f64::from(tenths(until_ns));
        let from = until - f64::from(span_s) * 10.0;
        let width = f64::from(span_s) * 10.0 / n.max(1) as f64;
        let mut out: Vec<Slot> = vec![None; n];
        // A value holds until the reading before the next one; the time between the two is filled afterwards.
        for holds in [true, false] {
            for (i, (at, value)) in self.points.iter().enumerate() {
                let next = self.points.get(i + 1).map_or(self.last + 1, |p| p.0);
                let held = f64::from(next.saturating_sub(self.interval.max(1)).max(*at));
                let (at, next) = (f64::from(*at), f64::from(next));
                if value.is_nan() || next <= from || at > until || (holds && held <= from) {
                    continue;
                }
                // A part reaches from its start, excluded, to its end.
                let part = |time: f64| ((time - from) / width).ceil().max(1.0) as usize - 1;
                let first = if holds || held <= from { part(at) } else { part(held) + 1 };
                // What was not read is a gap.
                let end = if holds { part(held) + 1 } else { part(next) };
                for slot in out.get_mut(first..end.min(n)).into_iter().flatten() {
                    match slot {
                        Some((low, high)) if holds => (*low, *high) = (low.min(*value), high.max(*value)),
                        Some(_) => {}
                        None => *slot = Some((*value, *value)),
                    }
                }
            }
        }
        out
    }

    /// Time from the first reading kept to this one, seconds.
    pub fn covers_s(&self, until_ns: u64) -> f64 {
        self.points.first().map_or(0.0, |p| f64::from(tenths(until_ns).saturating_sub(p.0)) / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn series(values: &[Option<f64>]) -> Series {
        let mut s = Series::default();
        for (i, v) in values.iter().enumerate() {
            s.push((i as u64 + 1) * S, *v);
        }
        s
    }

    #[test]
    fn constant_takes_one_reading_and_fills_the_time_since_the_first() {
        let s = series(&[Some(7.0); 60]);
        assert_eq!(s.len(), 1);
        let slots = s.slots(60 * S, 120, 4);
        assert_eq!(slots, [None, None, Some((7.0, 7.0)), Some((7.0, 7.0))]);
    }

    #[test]
    fn value_that_was_not_read_is_a_gap() {
        let s = series(&[Some(1.0), Some(2.0), None, None, Some(3.0)]);
        let one = |v| Some((v, v));
        assert_eq!(s.slots(5 * S, 5, 5), [one(1.0), one(2.0), None, None, one(3.0)]);
        // So is the time in which the program was stopped.
        let mut s = series(&[Some(1.0), Some(1.0)]);
        s.push(60 * S, Some(1.0));
        assert_eq!(s.slots(60 * S, 60, 3), [one(1.0), None, one(1.0)]);
    }

    #[test]
    fn paused_reader_sees_nothing_newer_than_its_snapshot() {
        let s = series(&[Some(1.0), Some(2.0), Some(50.0)]);
        assert_eq!(s.slots(2 * S, 2, 2), [Some((1.0, 1.0)), Some((2.0, 2.0))]);
    }

    #[test]
    fn spike_survives_thinning_for_an_hour_and_no_longer() {
        let mut s = Series::default();
        for second in 1..=4_000u64 {
            s.push(second * S, Some(if second == 1_000 { 900.0 } else { (second % 5) as f64 }));
            let spike = s.slots(second * S, 3_600, 120).iter().flatten().any(|(_, high)| *high > 899.0);
            assert_eq!(spike, (1_000..4_600).contains(&second), "{second}");
            assert!(s.len() < 750, "{}", s.len());
        }
        s.push(4_700 * S, Some(1.0));
        assert!(s.slots(4_700 * S, 3_600, 120).iter().flatten().all(|(_, high)| *high < 900.0));
    }

    proptest! {
        #[test]
        fn extremes_of_the_last_minute_are_exact(values in prop::collection::vec(0u16..500, 1..400)) {
            let numbers: Vec<Option<f64>> = values.iter().map(|v| Some(f64::from(*v))).collect();
            let s = series(&numbers);
            let recent = &values[values.len().saturating_sub(60)..];
            let slots = s.slots(values.len() as u64 * S, 60, 60);
            let shown: Vec<f32> = slots.iter().flatten().map(|(_, high)| *high).collect();
            let expected: Vec<f32> = recent.iter().map(|v| f32::from(*v)).collect();
            prop_assert_eq!(shown, expected);
        }
    }
}
