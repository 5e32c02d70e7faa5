//! Selection of a state in the state bar.

use crate::model::State;
use crate::tui::app::{App, Overlay};
use crate::tui::layout::state_bar;

/// Moves to another state.
pub(super) fn go(app: &mut App, by: isize) {
    let Some(Overlay::States(now)) = app.overlay else { return };
    let states = state_bar::states(app);
    let at = states.iter().position(|(s, _)| *s == now).unwrap_or(0);
    let to = at.saturating_add_signed(by).min(states.len().saturating_sub(1));
    if let Some((s, _)) = states.get(to) {
        app.overlay = Some(Overlay::States(*s));
    }
}

/// Filters to the state, or clears that filter.
pub(super) fn enter(app: &mut App, state: State) {
    app.overlay = None;
    app.toggle_state_filter(state);
}
