//! Moments of the past, in figures.

use super::sample::Stamp;
use super::state::StateCounts;

/// One moment, in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Time of the sample.
    pub at: Stamp,
    /// Alerts at that time.
    pub alerts: u32,
    /// Sockets by state.
    pub states: StateCounts,
}
