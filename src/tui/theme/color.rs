//! Colors of a theme.

/// Colour depth of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Color {
    /// 24 bits.
    #[default]
    True,
    /// The 256 of xterm.
    Indexed,
    /// The 16 ANSI colours.
    Basic,
    /// None: bold, dim, reverse and underline only.
    None,
}

impl Color {
    /// The lower depth of the two.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        self.max(other)
    }
}
