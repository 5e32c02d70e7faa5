//! Names in the filter language: quoting, saved filters, names that a filter may use.

use crate::model::Services;
use std::collections::BTreeMap;

/// Text as a filter value, in quotes if needed.
pub fn quote(text: &str) -> String {
    super::ast::quoted(text, |s| !super::ast::plain_value(s))
}

/// Saved filters by name.
pub type Saved = BTreeMap<String, String>;

/// True if a filter can be saved under this name: `@name` must be one word.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 40
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Names that a filter may use beside fields and values.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Ports by name.
    pub services: &'a Services,
    /// Filters by name: `@name`.
    pub saved: &'a Saved,
}
