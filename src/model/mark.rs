//! Moments of the past, in figures.

use super::sample::Stamp;
use super::state::StateCounts;

/// One moment, in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Time of the sample.
    pub at: Stamp,
    /// True if an alert began with it; `None` while nothing was derived from the sample.
    pub alert: Option<bool>,
    /// Sockets by state; `None` while the sample was not read.
    pub states: Option<StateCounts>,
}

/// Moments in a row, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Period {
    /// Largest number of sockets by state; `None` if no sample was read.
    pub states: Option<StateCounts>,
    /// True if an alert began; `None` if none is known and nothing was derived from some of the samples.
    pub alert: Option<bool>,
}
