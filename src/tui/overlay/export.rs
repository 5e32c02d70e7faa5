//! List of export formats.

use super::list::{Entry, List};
use crate::model::lang::tr;
use crate::tui::export::forms;

pub(super) fn list(at: usize) -> List {
    List::new(tr("export to a file"), at, forms().map(|(name, text)| Entry::new(name, tr(text))).collect())
}
