//! The window of an overlay.

use super::super::app::App;
use super::super::canvas::Canvas;
use ratatui::layout::Rect;

/// Draws an empty window with a title; the area inside.
pub(super) fn window(app: &App, canvas: &mut Canvas<'_>, all: Rect, w: u16, h: u16, title: &str) -> Rect {
    let w = w.min(all.width);
    let h = h.min(all.height);
    let r = Rect::new(all.x + (all.width - w) / 2, all.y + (all.height - h) / 2, w, h);
    canvas.clear(r);
    canvas.line(r, app.theme.ground.patch(app.theme.window));
    if app.theme.framed && w > 2 {
        for y in r.y + 1..r.bottom() {
            canvas.put(r.x, y, 1, app.glyphs.vertical, app.theme.window);
            canvas.put(r.right() - 1, y, 1, app.glyphs.vertical, app.theme.window);
        }
    }
    canvas.line(Rect { height: 1.min(r.height), ..r }, app.theme.title);
    let style = if app.theme.framed { app.theme.title } else { app.theme.tab };
    canvas.put(r.x + 1, r.y, w.saturating_sub(2), title, style);
    let aside = u16::from(w > 2);
    Rect::new(r.x + aside, r.y + 1.min(h), w - 2 * aside, h.saturating_sub(1))
}
