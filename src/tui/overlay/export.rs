//! List of export formats.

use super::list::{Entry, List};
use crate::tui::export::forms;

pub(super) fn list(at: usize) -> List {
    List::new("export to a file", at, forms().map(|(name, text)| Entry::new(name, text)).collect())
}
