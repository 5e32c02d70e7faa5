//! Durations, counted in classes of about the same ratio, and their percentiles.

/// Binary digits of a duration that are kept: within 1/64.
const DIGITS: u32 = 5;

/// Durations by class. Sparse: most groups have few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations(Vec<(u16, u32)>);

/// Class of a duration in microseconds.
pub fn class(us: u64) -> u16 {
    let shift = (u64::BITS - us.leading_zeros()).saturating_sub(DIGITS + 1);
    ((u64::from(shift) << DIGITS) + (us >> shift)) as u16
}

/// Middle of a class.
pub fn middle(class: u16) -> u64 {
    let class = u64::from(class);
    let shift = (class >> DIGITS).saturating_sub(1);
    let low = (class - (shift << DIGITS)) << shift;
    low + ((1 << shift) >> 1)
}

impl Durations {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds `n` durations of a class.
    pub fn add(&mut self, class: u16, n: u32) {
        match self.0.binary_search_by_key(&class, |c| c.0) {
            Ok(i) => self.0[i].1 = self.0[i].1.saturating_add(n),
            Err(i) => self.0.insert(i, (class, n)),
        }
    }

    /// Removes one.
    pub fn remove(&mut self, class: u16) {
        if let Ok(i) = self.0.binary_search_by_key(&class, |c| c.0) {
            self.0[i].1 -= 1;
            if self.0[i].1 == 0 {
                self.0.remove(i);
            }
        }
    }

    /// Appends those of another; they are out of order until [`Durations::sort`].
    pub fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Orders the classes; one may stand there several times.
    pub fn sort(&mut self) {
        self.0.sort_unstable_by_key(|c| c.0);
    }

    /// Adds those of another, class by class.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(class, n)| self.add(*class, *n));
    }

    /// The least duration in microseconds that `percent` of all do not exceed, within 2 %; `None` without one.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let total: u64 = self.0.iter().map(|c| u64::from(c.1)).sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(class, n)| {
            seen += u64::from(*n);
            (seen >= rank).then(|| middle(*class))
        })
    }
}
