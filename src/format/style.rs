//! Formatting choices.

/// Formatting choices of a whole screen or output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Numbers as they are: no units, no thousands.
    pub numeric: bool,
    /// ASCII only: `us` for `µs`, `..` for `…`.
    pub ascii: bool,
}
