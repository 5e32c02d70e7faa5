//! List of export formats.

use super::list::{Entry, List};
use crate::model::lang::tr;
use crate::tui::export::{ROWS, forms};

/// All formats, or those of rows.
pub(super) fn list(at: usize, rows: bool) -> List {
    let forms = forms().take(if rows { ROWS.len() } else { usize::MAX });
    List::new(
        tr("export to a file"),
        at,
        forms.map(|(name, text)| Entry::new(name, tr(text))).collect::<Vec<_>>(),
    )
}
