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
    // The top alert is here if there is room; else in the filter bar, and its room is used for trends. Its place is kept free
    // without an alert too, so that nothing moves when there is one.
    let aside = if has_alert_place(area, fixed) { top_alert::PLACE + 2 } else { 0 };
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

/// True if the bar keeps a place for the top alert behind states of this width.
const fn has_alert_place(area: Rect, states: u16) -> bool {
    1 + top_alert::PLACE + 2 + states < area.width
}

/// Columns that the state bar has for the top alert; `None` if it has no place for it.
pub(crate) fn alert_room(app: &App, area: Rect) -> Option<u16> {
    let slots = slots(app, area);
    let states = slots.iter().map(|s| s.width + 2 - if s.trend > 0 { s.trend + 1 } else { 0 }).sum();
    if area.height == 0 || !has_alert_place(area, states) {
        return None;
    }
    let end = slots.last().map_or(area.x, |s| s.x + s.width);
    area.right().checked_sub(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;
    use crate::tui::app::Options;
    use crate::tui::event::Event;
    use std::sync::Arc;

    #[test]
    fn alert_moves_no_state() {
        let mut snap = machine();
        snap.history = Arc::new(vec![(snap.sample.at, snap.states); 4]);
        let mut app = App::new(Options::default());
        app.handle(Event::from(Arc::new(snap)));
        for columns in [40, 60, 80, 120, 160, 200] {
            let area = Rect::new(0, 1, columns, 1);
            let places = |app: &App| -> Vec<(u16, u16, u16)> {
                slots(app, area).iter().map(|s| (s.x, s.width, s.trend)).collect()
            };
            app.worst = None;
            let without = places(&app);
            app.worst = Some((0, 0.92));
            assert!(top_alert::text(&app).is_some());
            assert_eq!(places(&app), without, "{columns}");
        }
        assert!(alert_room(&app, Rect::new(0, 1, 200, 1)).is_some_and(|room| room >= top_alert::PLACE));
        assert_eq!(alert_room(&app, Rect::new(0, 1, 40, 1)), None);
    }
}
