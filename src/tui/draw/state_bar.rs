//! Counts by state with their trends, and the top alert.

use crate::format::thousands as count;
use crate::model::{LimitKind, Snapshot, State};
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::Canvas;
use crate::tui::layout::{Layout, filter_bar, state_bar, top_alert};
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// Draws the counts by state with their trends.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let Some(snap) = app.snapshot.as_ref().filter(|_| area.height > 0) else { return };
    let theme = app.theme;
    let y = area.y;
    let chosen = app.filtered_state();
    let at = match app.overlay {
        Some(Overlay::States(s)) => Some(s),
        _ => None,
    };
    let mut values = Vec::with_capacity(snap.history.len());
    for slot in state_bar::slots(app, area) {
        let s = slot.state;
        values.clear();
        values.extend(snap.history.iter().map(|(_, c)| c.get(s)));
        let n = snap.states.get(s);
        let style = if n == 0 { theme.faint } else { theme.state(s) };
        let mut x = canvas.put(slot.x, y, slot.width, s.name(), style) + 1 + slot.digits;
        canvas.put_right(
            x,
            y,
            slot.digits,
            &count(u64::from(n)),
            if n == 0 { theme.faint } else { theme.strong },
        );
        if slot.trend > 0 {
            let flat = values.iter().all(|v| Some(v) == values.first());
            canvas.trend(x + 1, y, slot.trend, &values, if flat { theme.faint } else { style });
            x += 1 + slot.trend;
        }
        if s == State::CloseWait && leaks(snap) {
            canvas.put(x + 1, y, 1, app.glyphs.up, theme.bad);
        }
        if at == Some(s) {
            canvas.line(Rect::new(slot.x, y, slot.width, 1), theme.select);
        } else if chosen == Some(s) {
            canvas.line(Rect::new(slot.x, y, slot.width, 1), theme.text.add_modifier(Modifier::UNDERLINED));
        }
    }
}

/// Draws the top alert.
pub(crate) fn draw_top_alert(app: &App, canvas: &mut Canvas<'_>, l: &Layout) {
    if let Some(r) = filter_bar::alert_area(app, l)
        && let Some((text, share)) = top_alert::fitted(app, r.width)
    {
        let style = if share >= 0.75 { app.theme.pressure(share) } else { app.theme.dim };
        canvas.put(r.x, r.y, r.width, &text, style);
    }
}

/// True if an application leaks connections in `CLOSE_WAIT`: by their age, since counts go up and down.
fn leaks(snap: &Snapshot) -> bool {
    let leaks = |snap: &Snapshot| {
        let by_limit = |a: &crate::model::Alert| {
            snap.limits.get(a.limit as usize).is_some_and(|l| l.kind == LimitKind::CloseWait)
        };
        snap.processes.iter().any(|p| p.close_wait_leak) || snap.alerts.iter().any(by_limit)
    };
    snap.each_host().any(leaks)
}
