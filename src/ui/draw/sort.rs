//! The list of columns to sort by.

use super::super::app::{App, Over};
use super::super::pen::{Pen, width};
use super::window;
use ratatui::layout::Rect;

fn size(app: &App, all: Rect) -> (u16, u16) {
    let n = app.sheet().columns().count() as u16;
    (if all.width < 90 { all.width } else { 76 }, all.height.min(n + 2))
}

/// First visible line.
fn top(at: usize, height: u16) -> usize {
    (at + 1).saturating_sub(usize::from(height.max(1)))
}

/// The list of columns over the table.
pub(super) fn overlay(app: &App, pen: &mut Pen<'_>, all: Rect) {
    let Some(Over::Sort(at)) = app.over else { return };
    let theme = app.theme;
    let (wide, high) = size(app, all);
    let r = window(app, pen, all, wide, high, "sort by");
    let first = app.sheet().view.sort.first();
    for (y, (i, c)) in (r.top()..r.bottom()).zip(app.sheet().columns().enumerate().skip(top(at, r.height))) {
        let mark = match first {
            Some(k) if k.column.name == c.name && k.descending => app.glyphs.descending,
            Some(k) if k.column.name == c.name => app.glyphs.ascending,
            _ => " ",
        };
        pen.put(r.x + 1, y, 1, mark, theme.accent);
        pen.put(r.x + 3, y, 12.min(r.width.saturating_sub(3)), c.title, theme.strong);
        if r.width > 24 {
            pen.put(r.x + 16, y, r.width - 17, c.help, theme.dim);
        }
        if i == at {
            pen.line(Rect::new(r.x, y, r.width, 1), theme.select);
            pen.put(r.x, y, width(app.glyphs.edge), app.glyphs.edge, theme.accent);
        }
    }
}

/// The line of the list at a cell.
pub(in crate::ui) fn line_at(app: &App, all: Rect, x: u16, y: u16) -> Option<usize> {
    let Some(Over::Sort(at)) = app.over else { return None };
    let (width, rows) = size(app, all);
    let left = all.x + (all.width - width) / 2;
    let above = all.y + (all.height - rows) / 2 + 1;
    let height = rows.saturating_sub(1);
    if x < left || x >= left + width || y < above || y >= above + height {
        return None;
    }
    let i = top(at, height) + usize::from(y - above);
    (i < app.sheet().columns().count()).then_some(i)
}
