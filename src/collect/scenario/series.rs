//! Values over time, with reproducible jitter.

/// A value that changes from poll to poll.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Series {
    /// Value in the first poll.
    pub start: f64,
    /// Increase per poll.
    pub step: f64,
    /// True if it deviates by up to a half, reproducibly.
    pub jitter: bool,
}

impl From<u32> for Series {
    fn from(n: u32) -> Self {
        Self { start: f64::from(n), ..Self::default() }
    }
}

impl Series {
    /// Value in a poll; `seed` makes the jitter of different series differ.
    pub fn at(&self, poll: u32, seed: u64) -> f64 {
        let v = self.start + self.step * f64::from(poll);
        if self.jitter { v * (0.5 + noise(seed, u64::from(poll))) } else { v }
    }

    /// Sum over all previous polls, which never decreases; with the jitter of the values.
    pub fn sum(&self, poll: u32, seed: u64) -> f64 {
        let n = f64::from(poll);
        let without_jitter = self.start * n + self.step * n * (n - 1.0) / 2.0;
        if !self.jitter {
            return without_jitter;
        }
        without_jitter + 0.9 * (self.start + self.step * n) * noise(seed, u64::from(poll))
    }
}

/// Pseudo-random number from 0 to 1, the same for the same arguments.
pub(super) fn noise(seed: u64, n: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^= x >> 32;
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// Pseudo-random number below `n`.
pub(super) fn noise_below(seed: u64, n: u64) -> u64 {
    (noise(seed, 7) * n as f64) as u64
}
