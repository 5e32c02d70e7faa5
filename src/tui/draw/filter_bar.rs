//! The filter, the number of rows it matches, and its error.

use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use crate::tui::layout::filter_bar::{alert_area, summary, summary_start};
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;

/// Draws the filter and the number of rows it matches; the cursor position while it is edited.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) -> Option<Position> {
    if area.height == 0 {
        return None;
    }
    let theme = app.theme;
    let view_state = app.view_state();
    let y = area.y;
    let mut right = summary_start(app, area);
    if area.width >= 36 {
        canvas.put_right(area.right().saturating_sub(1), y, area.width, &summary(app), theme.dim);
    }
    // The top alert is here if the state bar has no room for it.
    if let Some(r) = alert_area(app, &app.layout_in(app.area)).filter(|r| r.y == y) {
        right = r.x.saturating_sub(2);
    }
    let typing = match &app.overlay {
        Some(Overlay::Filter { cursor, .. }) => Some(*cursor),
        _ => None,
    };
    let x = area.x + 1;
    let live = typing.is_some() || !view_state.text.is_empty();
    canvas.put(x, y, 1, "/", if live { theme.accent } else { theme.faint });
    let (x, room) = (x + 2, right.saturating_sub(x + 2));
    if view_state.text.is_empty() {
        // As many whole examples as fit.
        let mut at = x;
        for example in ["nginx", ":443", "state:close-wait", "fds>80%"] {
            if at + width(example) > x + room {
                break;
            }
            at = canvas.put(at, y, width(example), example, theme.faint) + 3;
        }
        return typing.map(|_| Position::new(x.min(area.right().saturating_sub(1)), y));
    }
    let skip = scrolled_bytes(app, room);
    let style = if view_state.error.is_some() {
        theme.warn
    } else if typing.is_some() {
        theme.strong
    } else {
        theme.accent
    };
    canvas.put(x, y, room, &view_state.text[skip..], style);
    if let Some(e) = &view_state.error {
        let column =
            |byte: usize| view_state.text.get(skip..byte.min(view_state.text.len())).map_or(0, width);
        let (from, to) = (column(e.span.start).min(room), column(e.span.end).min(room));
        let bad = theme.bad.add_modifier(Modifier::UNDERLINED);
        canvas.line(Rect::new(x + from, y, to.saturating_sub(from), 1), bad);
    }
    typing.map(|c| {
        let before = view_state.text.get(skip..c).map_or(0, width);
        Position::new((x + before).min(area.right().saturating_sub(1)), y)
    })
}

/// Bytes of the filter scrolled out on the left to keep the cursor visible.
fn scrolled_bytes(app: &App, room: u16) -> usize {
    let text = &app.view_state().text;
    let Some(Overlay::Filter { cursor, .. }) = &app.overlay else { return 0 };
    let cursor = (*cursor).min(text.len());
    let mut skip = 0;
    while text.get(skip..cursor).is_some_and(|t| width(t) + 1 > room.max(1)) {
        skip += text[skip..].chars().next().map_or(1, char::len_utf8);
    }
    skip
}

/// Draws the error of the filter, below its span.
pub(crate) fn draw_error(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let view_state = app.view_state();
    let Some(e) = view_state.error.as_ref().filter(|_| area.height > 0) else { return };
    let theme = app.theme;
    let skip = scrolled_bytes(app, area.width.saturating_sub(4));
    let column = |byte: usize| view_state.text.get(skip..byte.min(view_state.text.len())).map_or(0, width);
    let (from, to) = (column(e.span.start), column(e.span.end));
    let end = area.right().saturating_sub(1);
    let x = (area.x + 3 + from).min(end.saturating_sub(1));
    let marks = "^".repeat(usize::from((to.saturating_sub(from)).max(1)));
    let after = canvas.put(x, area.y, end.saturating_sub(x), &marks, theme.bad);
    // With the hint if it fits, right of the marks or left of them; else over the marks: the message matters more, and the
    // span is underlined in the filter.
    let full = e.hint.as_ref().map(|h| format!("{}; {h}", e.message));
    for text in full.iter().chain([&e.message]) {
        let w = width(text);
        if after + 1 + w <= end {
            canvas.put(after + 1, area.y, w, text, theme.warn);
            return;
        }
        if x > area.x + w + 2 {
            canvas.put(x - w - 1, area.y, w, text, theme.warn);
            return;
        }
    }
    let x = if from < 8 { after + 1 } else { area.x + 1 };
    canvas.put(x, area.y, end.saturating_sub(x), &e.message, theme.warn);
}
