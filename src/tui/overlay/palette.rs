//! The palette over the table: a line to type in, and what it finds.

use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use crate::tui::draw::window;
use crate::tui::palette::found;
use ratatui::layout::{Position, Rect};

/// Lines that are shown at most, the one to type in among them.
const MOST: u16 = 18;

fn place(all: Rect) -> Rect {
    let w = if all.width < 100 { all.width } else { 96 };
    let h = MOST.min(all.height);
    // It hangs from the top, where one looks, and stays there while what it finds gets less.
    let y = if all.height > MOST + 6 { all.y + 4 } else { all.y };
    Rect::new(all.x + (all.width - w) / 2, y, w, h)
}

/// First visible line.
fn top(at: usize, height: u16) -> usize {
    (at + 1).saturating_sub(usize::from(height.max(1)))
}

/// The palette; where its cursor stands.
pub(crate) fn overlay(app: &App, canvas: &mut Canvas<'_>, all: Rect) -> Option<Position> {
    let Some(Overlay::Palette { text, cursor, at }) = &app.overlay else { return None };
    let theme = app.theme;
    let lines = found(app, text);
    let r = place(all);
    let r = window(app, canvas, r, r.width, r.height, "");
    let (x, y) = (r.x + 1, r.y.saturating_sub(1));
    canvas.put(x, y, 1, ":", theme.tab);
    if text.is_empty() {
        let hint = "a few letters of a command, view, column, saved filter or theme";
        canvas.put(x + 2, y, r.width.saturating_sub(3), hint, theme.band);
    } else {
        canvas.put(x + 2, y, r.width.saturating_sub(3), text, theme.window.patch(theme.strong));
    }
    if lines.is_empty() {
        canvas.put(x + 2, r.y, r.width.saturating_sub(3), "nothing of that name", theme.dim);
    }
    let names = lines.iter().map(|f| width(&f.name)).max().unwrap_or(0).clamp(12, 26);
    for (y, (i, f)) in (r.top()..r.bottom()).zip(lines.iter().enumerate().skip(top(*at, r.height))) {
        let keys = if f.key.is_empty() { 0 } else { width(&f.key) + 2 };
        canvas.put(x + 2, y, names.min(r.width.saturating_sub(3)), &f.name, theme.strong);
        let from = x + 4 + names;
        canvas.put(from, y, r.right().saturating_sub(from + 1 + keys), &f.text, theme.dim);
        canvas.put_right(r.right().saturating_sub(1), y, keys, &f.key, theme.key);
        if i == *at {
            canvas.line(Rect::new(r.x, y, r.width, 1), theme.select);
            canvas.put(r.x, y, 1, app.glyphs.edge, theme.accent);
        }
    }
    let before = text.get(..*cursor).map_or(0, width);
    Some(Position::new((x + 2 + before).min(all.right().saturating_sub(1)), y))
}

/// The line at a cell of the screen.
pub(crate) fn line_at(app: &App, all: Rect, x: u16, y: u16) -> Option<usize> {
    let Some(Overlay::Palette { text, at, .. }) = &app.overlay else { return None };
    let r = place(all);
    if x < r.x || x >= r.right() || y <= r.y || y >= r.bottom() {
        return None;
    }
    let i = top(*at, r.height.saturating_sub(1)) + usize::from(y - r.y - 1);
    (i < found(app, text).len()).then_some(i)
}
