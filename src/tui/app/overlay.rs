//! State of the overlay that is open.

use crate::model::State;
use crate::tui::act::Act;
use crate::tui::completion_menu::Menu;

/// What gets a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamePrompt {
    /// The filter in the bar.
    Filter,
    /// The whole view.
    View,
}

/// What lies over the table, or has the keys instead of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Overlay {
    /// The filter is typed: how it stood before, the cursor in bytes, and what can be typed there.
    Filter { before: String, cursor: usize, menu: Menu },
    /// The name to save the filter or the view under is typed.
    Name { text: String, cursor: usize, prompt: NamePrompt },
    /// One moves in the state strip.
    States(State),
    /// The columns to sort by; the line one stands at.
    Sort(usize),
    /// The columns to show; the line one stands at.
    Columns(usize),
    /// The cells of the selected row to filter by.
    Cells(usize),
    /// The saved filters.
    Saved(usize),
    /// What can be done; the line one stands at.
    Act(usize),
    /// The alerts; the line one stands at.
    Alerts(usize),
    /// What can be written to a file; the line one stands at.
    Write(usize),
    /// The question before it is done, its list scrolled by this.
    Confirm(Act, usize),
    /// A topic, scrolled by this.
    Explain { text: String, top: usize },
    /// The help, scrolled by this; only what has this in it; whether that is being typed, and where the cursor stands.
    Help { top: usize, find: String, typing: Option<usize> },
    /// Everything that can be done: the letters typed, the line one stands at.
    Palette { text: String, cursor: usize, at: usize },
}

impl Overlay {
    /// The selected line of a list, or the first visible line of a text that scrolls.
    pub(crate) const fn position(&mut self) -> Option<&mut usize> {
        match self {
            Self::Sort(at)
            | Self::Columns(at)
            | Self::Cells(at)
            | Self::Saved(at)
            | Self::Act(at)
            | Self::Alerts(at)
            | Self::Write(at)
            | Self::Confirm(_, at)
            | Self::Explain { top: at, .. }
            | Self::Help { top: at, .. }
            | Self::Palette { at, .. } => Some(at),
            Self::Filter { .. } | Self::Name { .. } | Self::States(_) => None,
        }
    }

    /// Whether it is a list to choose a line of.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Sort(_)
                | Self::Columns(_)
                | Self::Cells(_)
                | Self::Saved(_)
                | Self::Act(_)
                | Self::Alerts(_)
                | Self::Write(_)
                | Self::Palette { .. }
        )
    }
}
