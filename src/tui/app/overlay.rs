//! State of the overlay that is open.

use crate::model::State;
use crate::tui::act::Act;
use crate::tui::answer_page::AnswerPage;
use crate::tui::compare::Comparison;
use crate::tui::completion_menu::Menu;
use crate::tui::export::Export;
use std::sync::Arc;

/// Object to be named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NamePrompt {
    /// The filter.
    Filter,
    /// The whole view.
    View,
    /// The file of an export, which was made when its format was chosen.
    Export(Box<Export>),
}

/// The overlay that is open, or the part of the screen that has the focus instead of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Overlay {
    /// Editing the filter: previous text, cursor in bytes, completions.
    Filter { before: String, cursor: usize, menu: Menu },
    /// Entering the name of a saved filter or view, or of the file of an export. A name that was proposed is replaced by the first
    /// character typed.
    Name { text: String, cursor: usize, proposed: bool, prompt: NamePrompt },
    /// Selecting a state in the state bar.
    States(State),
    /// List of sort columns, with the selected line.
    Sort(usize),
    /// List of columns to show.
    Columns(usize),
    /// List of cells of the selected row to filter by.
    Cells(usize),
    /// List of saved filters and views.
    Saved(usize),
    /// List of actions.
    Act(usize),
    /// List of alerts.
    Alerts(usize),
    /// List of export formats: of these differences, or of what the table shows.
    Write(usize, Option<Arc<Comparison>>),
    /// List of differences.
    Differences(usize, Arc<Comparison>),
    /// Confirmation of an action, with the scroll position.
    Confirm(Act, usize),
    /// Answer to why a row does not work, with the scroll position.
    Why(Box<AnswerPage>, usize),
    /// Explanation of a topic, with the scroll position.
    Explain { text: String, top: usize },
    /// The help: scroll position, search text, and the cursor while the search is edited.
    Help { top: usize, find: String, typing: Option<usize> },
    /// Command palette: search text, cursor, selected line.
    Palette { text: String, cursor: usize, at: usize },
}

impl Overlay {
    /// The selected line of a list, or the scroll position of a text.
    pub(crate) const fn position(&mut self) -> Option<&mut usize> {
        match self {
            Self::Sort(at)
            | Self::Columns(at)
            | Self::Cells(at)
            | Self::Saved(at)
            | Self::Act(at)
            | Self::Alerts(at)
            | Self::Write(at, _)
            | Self::Differences(at, _)
            | Self::Confirm(_, at)
            | Self::Why(_, at)
            | Self::Explain { top: at, .. }
            | Self::Help { top: at, .. }
            | Self::Palette { at, .. } => Some(at),
            Self::Filter { .. } | Self::Name { .. } | Self::States(_) => None,
        }
    }

    /// True if it is a list to choose from.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Sort(_)
                | Self::Columns(_)
                | Self::Cells(_)
                | Self::Saved(_)
                | Self::Act(_)
                | Self::Alerts(_)
                | Self::Write(..)
                | Self::Differences(..)
                | Self::Palette { .. }
        )
    }
}
