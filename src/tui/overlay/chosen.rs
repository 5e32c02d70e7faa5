//! Consequences of Enter in an overlay.

use super::super::event::{Action, Effect};
use crate::tui::compare::Comparison;
use std::sync::Arc;

/// Consequences of Enter in an overlay, beside the change of state.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Effects for the runner.
    pub(crate) effects: Vec<Effect>,
    /// Action to carry out next.
    pub(crate) action: Option<Action>,
    /// Index of the export format to write, and the differences if they are meant.
    pub(crate) export: Option<(usize, Option<Arc<Comparison>>)>,
}
