//! One line of a list over the table.

use super::theme::Theme;
use ratatui::style::Style;

/// One line of a list.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) mark: &'static str,
    /// Style of the mark.
    pub(crate) mark_style: fn(&Theme) -> Style,
    pub(crate) name: String,
    pub(crate) text: String,
    /// Title of the entries from here on, on a line above.
    pub(crate) heading: Option<&'static str>,
}

impl Entry {
    /// A line without a mark.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { mark: " ", mark_style: |t| t.accent, name: name.into(), text: text.into(), heading: None }
    }
}
