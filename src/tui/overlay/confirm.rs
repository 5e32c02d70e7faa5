//! Confirmation of an action.

use super::window::{edges, window};
use crate::model::lang::tr;
use crate::msg;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::Canvas;
use crate::tui::offers::confirmation;
use ratatui::layout::Rect;

/// Lines of the window inside beside the list: blank line, keys.
const BELOW: usize = 2;

/// The last line that can be scrolled to.
pub(super) fn extent(app: &App) -> usize {
    let Some(Overlay::Confirm(act, _)) = &app.overlay else { return 0 };
    let room = usize::from(app.layout().windows().height).saturating_sub(BELOW + usize::from(edges(app)));
    confirmation(app, act).1.len().saturating_sub(room)
}

/// Draws the affected sockets or processes, and the keys.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, all: Rect) {
    let Some(Overlay::Confirm(act, top)) = &app.overlay else { return };
    let theme = app.theme;
    let (title, lines) = confirmation(app, act);
    let wide = if all.width < 100 { all.width } else { 96 };
    let height = (lines.len() + BELOW + usize::from(edges(app))).min(usize::from(all.height)) as u16;
    let r = window(app, canvas, all, wide, height, &title);
    let room = usize::from(r.height.saturating_sub(2));
    let top = (*top).min(lines.len().saturating_sub(room));
    for (y, line) in (r.top()..r.bottom().saturating_sub(2)).zip(lines.iter().skip(top)) {
        canvas.put(r.x + 1, y, r.width.saturating_sub(1), line, theme.text);
    }
    let y = r.bottom().saturating_sub(1);
    if lines.len() > room {
        let label = msg!("{}-{} of {}", top + 1, (top + room).min(lines.len()), lines.len());
        canvas.put_right(r.right().saturating_sub(1), y, r.width, &label, theme.faint);
    }
    let x = canvas.put(r.x + 1, y, r.width, "y", theme.key);
    let x = canvas.put(x + 1, y, r.width, tr("confirm"), theme.dim);
    let x = canvas.put(x + 3, y, r.width, "Esc", theme.key);
    canvas.put(x + 1, y, r.width, tr("cancel"), theme.dim);
}
