//! The question before anything is ended.

use super::super::act::question;
use super::super::app::{App, Over};
use super::super::pen::Pen;
use super::window;
use ratatui::layout::Rect;

/// What would be hit, and the keys that decide.
pub(super) fn overlay(app: &App, pen: &mut Pen<'_>, all: Rect) {
    let Some(Over::Confirm(act)) = &app.over else { return };
    let theme = app.theme;
    let (title, lines) = question(app, act);
    let wide = if all.width < 100 { all.width } else { 96 };
    let r = window(app, pen, all, wide, lines.len() as u16 + 4, &title);
    for (y, line) in (r.top()..r.bottom().saturating_sub(2)).zip(&lines) {
        pen.put(r.x + 1, y, r.width.saturating_sub(1), line, theme.text);
    }
    let y = r.bottom().saturating_sub(1);
    let x = pen.put(r.x + 1, y, r.width, "y", theme.key);
    let x = pen.put(x + 1, y, r.width, "does it", theme.dim);
    let x = pen.put(x + 3, y, r.width, "Esc", theme.key);
    pen.put(x + 1, y, r.width, "does not", theme.dim);
}
