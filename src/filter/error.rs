//! Errors of the filter language.

use std::ops::Range;

/// Kind of a filter error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Text too long.
    TooLong,
    /// Nested too deeply.
    TooDeep,
    /// Unbalanced parenthesis.
    Parenthesis,
    /// Unterminated quote.
    Quote,
    /// An operand or value is missing.
    Incomplete,
    /// Unexpected text.
    Unexpected,
    /// A field that the table does not have.
    UnknownField,
    /// Invalid value for the field.
    BadValue,
    /// Invalid or too large regular expression.
    BadPattern,
}

/// A filter error with its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map_or_else(String::new, |h| format!(" ({h})")))]
pub struct FilterError {
    /// Kind of error.
    pub kind: Problem,
    /// Position, in bytes of the text.
    pub span: Range<usize>,
    /// Message; safe to show.
    pub message: String,
    /// Suggestion, if any; safe to show.
    pub hint: Option<String>,
}
