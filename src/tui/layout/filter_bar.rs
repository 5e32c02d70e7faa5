//! The right end of the filter bar, and the top alert if the state bar has no room for it.

use super::{Layout, state_bar, top_alert};
use crate::format::thousands as count;
use crate::model::lang::tr;
use crate::msg;
use crate::table::Grouping;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::width;
use ratatui::layout::Rect;

/// Area of the top alert: in the state bar, or in the filter bar if it is at a warning level and does not fit there.
pub(crate) fn alert_area(app: &App, l: &Layout) -> Option<Rect> {
    let (_, share) = top_alert::text(app)?;
    let line = |area: Rect, end: u16, w: u16| {
        Rect::new(end.saturating_sub(w).max(area.x), area.y, w.min(end - area.x), 1)
    };
    if let Some(room) = state_bar::alert_room(app, l.state_bar)
        && let Some((text, _)) = top_alert::fitted(app, room).filter(|(text, _)| width(text) <= room)
    {
        return Some(line(l.state_bar, l.state_bar.right() - 1, width(&text)));
    }
    // A name that is entered has the whole line.
    let naming = matches!(app.overlay, Some(Overlay::Name { .. }));
    if share < 0.75 || l.filter.width < 60 || l.filter.height == 0 || naming {
        return None;
    }
    // The filter itself is never covered: the alert is shortened, or left out.
    let (start, end) = (filter_end(app, l.filter) + 2, summary_start(app, l.filter));
    let room = Rect::new(start, l.filter.y, end.checked_sub(start).filter(|room| *room >= MIN_ALERT)?, 1);
    let (text, _) = top_alert::fitted(app, room.width)?;
    Some(line(room, end, width(&text)))
}

/// Least width of a top alert beside the filter, in columns: mark, process name and a percentage.
const MIN_ALERT: u16 = 16;

/// First column after the filter.
fn filter_end(app: &App, area: Rect) -> u16 {
    let cursor = u16::from(matches!(app.overlay, Some(Overlay::Filter { .. })));
    area.x.saturating_add(3).saturating_add(width(&app.view_state().text) + cursor)
}

/// Number of rows that match the filter, or the grouping.
pub(crate) fn summary(app: &App) -> String {
    let view_state = app.view_state();
    let Some(snap) = &app.snapshot else { return String::new() };
    if view_state.text.is_empty() {
        return match view_state.grouping_now() {
            _ if view_state.groupings().count() < 2 => String::new(),
            Grouping { name: None, .. } => tr("not grouped").to_owned(),
            by => msg!("by {}", tr(by.title)),
        };
    }
    // Sockets that have just closed are shown and not counted.
    let total = view_state.view.table.live_rows(snap);
    msg!("{} of {}", count(view_state.shown as u64), count(total as u64))
}

/// First column of the summary.
pub(crate) fn summary_start(app: &App, area: Rect) -> u16 {
    let right = area.right().saturating_sub(1);
    match width(&summary(app)) {
        0 => right,
        _ if area.width < 36 => right,
        w => right.saturating_sub(w + 2).max(area.x),
    }
}
