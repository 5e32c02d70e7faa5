//! The question before anything is ended.

use super::window;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::Canvas;
use crate::tui::offers::question;
use ratatui::layout::Rect;

/// Lines of the window that are not the list: its title, a blank, the keys.
const FRAME: usize = 3;

/// How far the list can be scrolled.
pub(super) fn extent(app: &App) -> usize {
    let Some(Overlay::Confirm(act, _)) = &app.overlay else { return 0 };
    let room = usize::from(app.layout().all.height).saturating_sub(FRAME);
    question(app, act).1.len().saturating_sub(room)
}

/// What would be hit, and the keys that decide.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, all: Rect) {
    let Some(Overlay::Confirm(act, top)) = &app.overlay else { return };
    let theme = app.theme;
    let (title, lines) = question(app, act);
    let wide = if all.width < 100 { all.width } else { 96 };
    let height = (lines.len() + FRAME).min(usize::from(all.height)) as u16;
    let r = window(app, canvas, all, wide, height, &title);
    let room = usize::from(r.height.saturating_sub(2));
    let top = (*top).min(lines.len().saturating_sub(room));
    for (y, line) in (r.top()..r.bottom().saturating_sub(2)).zip(lines.iter().skip(top)) {
        canvas.put(r.x + 1, y, r.width.saturating_sub(1), line, theme.text);
    }
    let y = r.bottom().saturating_sub(1);
    if lines.len() > room {
        let label = format!("{}-{} of {}", top + 1, (top + room).min(lines.len()), lines.len());
        canvas.put_right(r.right().saturating_sub(1), y, r.width, &label, theme.faint);
    }
    let x = canvas.put(r.x + 1, y, r.width, "y", theme.key);
    let x = canvas.put(x + 1, y, r.width, "confirm", theme.dim);
    let x = canvas.put(x + 3, y, r.width, "Esc", theme.key);
    canvas.put(x + 1, y, r.width, "cancel", theme.dim);
}
