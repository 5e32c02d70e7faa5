//! The window of an overlay.

use super::super::app::App;
use super::super::canvas::{Canvas, width};
use crate::msg;
use ratatui::layout::Rect;

/// Lines of a window beside its content: the title, and the lower edge of a frame.
pub(super) const fn edges(app: &App) -> u16 {
    if app.theme.framed { 2 } else { 1 }
}

/// Draws an empty window with a title; the area inside.
pub(super) fn window(app: &App, canvas: &mut Canvas<'_>, all: Rect, w: u16, h: u16, title: &str) -> Rect {
    let w = w.min(all.width);
    let h = h.min(all.height);
    let r = Rect::new(all.x + (all.width - w) / 2, all.y + (all.height - h) / 2, w, h);
    canvas.clear(r);
    canvas.line(r, app.theme.ground.patch(app.theme.window));
    if app.theme.framed && w > 2 && h > 1 {
        let (right, bottom) = (r.right() - 1, r.bottom() - 1);
        for y in r.y + 1..bottom {
            canvas.put(r.x, y, 1, app.glyphs.vertical, app.theme.window);
            canvas.put(right, y, 1, app.glyphs.vertical, app.theme.window);
        }
        canvas.rule(r.x + 1, bottom, w - 2, app.theme.window);
        canvas.put(r.x, bottom, 1, app.glyphs.corners[0], app.theme.window);
        canvas.put(right, bottom, 1, app.glyphs.corners[1], app.theme.window);
    }
    canvas.line(Rect { height: 1.min(r.height), ..r }, app.theme.title);
    let style = if app.theme.framed { app.theme.title } else { app.theme.tab };
    canvas.put(r.x + 1, r.y, w.saturating_sub(2), title, style);
    let aside = u16::from(w > 2);
    Rect::new(r.x + aside, r.y + 1.min(h), w - 2 * aside, h.saturating_sub(edges(app)))
}

/// Columns that [`put_range`] takes at the right end of the title.
pub(super) fn range_width(first: usize, height: u16, total: usize) -> u16 {
    range(first, height, total).map_or(0, |label| width(&label) + 2)
}

/// Lines that are visible, if not all are: `1-21 of 222`.
fn range(first: usize, height: u16, total: usize) -> Option<String> {
    let last = (first + usize::from(height)).min(total);
    (first > 0 || last < total).then(|| msg!("{}-{} of {}", (first + 1).min(total), last, total))
}

/// Shows at the right end of the title of a window with this inner area which of its lines are visible, if not all are.
pub(super) fn put_range(app: &App, canvas: &mut Canvas<'_>, inner: Rect, first: usize, total: usize) {
    let Some(label) = range(first, inner.height, total).filter(|_| inner.y > 0) else { return };
    // With a blank before it where a title is longer.
    let label = format!(" {label}");
    canvas.put_right(inner.right().saturating_sub(1), inner.y - 1, inner.width, &label, app.theme.title);
}
