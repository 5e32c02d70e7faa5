//! One value of a filter as it was typed, and the errors about it.

use super::error::{FilterError, Problem};
use super::state_sets;
use crate::format::did_you_mean;
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::msg;
use std::ops::Range;

/// One value as typed.
pub(crate) struct RawValue {
    /// Text with quotes and backslashes resolved.
    pub(crate) text: String,
    /// Position in the filter, in bytes.
    pub(crate) span: Range<usize>,
    /// In quotes: always text.
    pub(crate) quoted: bool,
    /// Contains a `*` or `?` outside quotes and not escaped.
    pub(crate) wild: bool,
}

/// An error at this position.
pub(crate) fn error_at(
    kind: Problem,
    span: Range<usize>,
    message: impl Into<String>,
    hint: Option<String>,
) -> FilterError {
    FilterError { kind, span, message: message.into(), hint }
}

/// The error for an unknown state, with the nearest name as the hint.
pub(crate) fn unknown_state(name: &str, span: Range<usize>) -> FilterError {
    let near = did_you_mean::nearest(name, state_sets::words());
    let hint = near.map_or_else(
        || tr("such as listen, established, close-wait or time-wait").to_owned(),
        |n| msg!("did you mean {}?", n.to_ascii_lowercase().replace('_', "-")),
    );
    error_at(Problem::BadValue, span, msg!("unknown state {}", shown(name)), Some(hint))
}

/// Text for a message: in quotes, escaped, at most 40 characters.
pub(crate) fn shown(s: &str) -> String {
    let cut: String = s.chars().take(40).collect();
    let dots = if cut.len() < s.len() { "…" } else { "" };
    format!("\"{}{dots}\"", escape(&cut))
}
