//! Formatting choices.

/// Formatting choices of a whole screen or output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Counts, bytes and rates as they are: no `K`, no thousands.
    pub numeric: bool,
    /// ASCII only: `us` for `µs`, `..` for `…`.
    pub ascii: bool,
}
