//! Placement of the counts by state.

use super::top_alert;
use crate::format::thousands as count;
use crate::model::State;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::width;
use ratatui::layout::Rect;

/// A state with its placement in the state bar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateSlot {
    pub(crate) state: State,
    pub(crate) x: u16,
    pub(crate) width: u16,
    /// Width of its count.
    pub(crate) digits: u16,
    /// Width of its trend, 0 for none.
    pub(crate) trend: u16,
}

/// States by priority where there is no room for all.
const PRIORITY: [State; 13] = [
    State::CloseWait,
    State::Established,
    State::Listen,
    State::TimeWait,
    State::SynRecv,
    State::SynSent,
    State::FinWait2,
    State::LastAck,
    State::FinWait1,
    State::Closing,
    State::Unconn,
    State::Closed,
    State::Unknown(0),
];

/// States with trends, by priority.
const TRENDS: [State; 10] = [
    State::CloseWait,
    State::Established,
    State::TimeWait,
    State::SynRecv,
    State::SynSent,
    State::FinWait2,
    State::FinWait1,
    State::LastAck,
    State::Closing,
    State::Closed,
];

/// States that occurred in the retained polls, with their maximum count.
pub(crate) fn states(app: &App) -> Vec<(State, u32)> {
    let Some(snap) = &app.snapshot else { return vec![] };
    State::all()
        .map(|s| {
            let past = snap.history.iter().map(|(_, c)| c.get(s)).max().unwrap_or(0);
            (s, past.max(snap.states.get(s)))
        })
        .filter(|(_, most)| *most > 0)
        .collect()
}

/// Placement of every state. Widths fit the maximum counts retained, so nothing moves when a count changes; trends get
/// the room left, by priority.
pub(crate) fn slots(app: &App, area: Rect) -> Vec<StateSlot> {
    let Some(snap) = &app.snapshot else { return vec![] };
    let mut slots: Vec<StateSlot> = states(app)
        .into_iter()
        .map(|(state, most)| {
            let digits = width(&count(u64::from(most)));
            let mark = u16::from(state == State::CloseWait) * 2;
            StateSlot { state, x: 0, width: width(state.name()) + 1 + digits + mark, digits, trend: 0 }
        })
        .collect();
    let fixed: u16 = slots.iter().map(|s| s.width + 2).sum();
    // The top alert is here if there is room; else in the filter bar, and its room is used for trends.
    let aside = top_alert::text(app).map_or(0, |(t, _)| width(&t) + 2);
    let aside = if 1 + aside + fixed < area.width { aside } else { 0 };
    let mut left = area.width.saturating_sub(1 + aside + fixed);
    if snap.history.len() >= 2 {
        for columns in [4, 8] {
            for state in TRENDS {
                let Some(s) = slots.iter_mut().find(|s| s.state == state) else { continue };
                let more = if s.trend == 0 { columns + 1 } else { columns - s.trend };
                if more <= left {
                    left -= more;
                    s.width += more;
                    s.trend = columns;
                }
            }
        }
    }
    // States without room are dropped by priority; never the selected one.
    let at = match app.overlay {
        Some(Overlay::States(s)) => Some(s),
        _ => None,
    };
    while slots.iter().map(|s| s.width + 2).sum::<u16>() > area.width {
        let rank = |s: State| PRIORITY.iter().position(|t| *t == s).unwrap_or(PRIORITY.len());
        let least =
            (0..slots.len()).filter(|i| Some(slots[*i].state) != at).max_by_key(|i| rank(slots[*i].state));
        let Some(i) = least else { break };
        slots.remove(i);
    }
    let mut x = area.x + 1;
    slots.retain_mut(|s| {
        s.x = x;
        x += s.width + 2;
        s.x + s.width <= area.right()
    });
    slots
}

/// True if the state bar has room for the top alert.
pub(crate) fn alert_fits(app: &App, area: Rect) -> bool {
    let end = slots(app, area).last().map_or(area.x, |s| s.x + s.width);
    top_alert::text(app).is_some_and(|(t, _)| area.height > 0 && end + 2 + width(&t) < area.right())
}
