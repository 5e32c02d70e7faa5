//! Lists over the table: their window, their lines and the line under the mouse.

use super::window::{edges, put_range, window};
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
pub(super) use crate::tui::entry::Entry;
use ratatui::layout::Rect;
use std::borrow::Cow;
use std::sync::Arc;

/// A list to choose from.
pub(super) struct List {
    pub(super) title: Cow<'static, str>,
    /// Index of the selected line.
    pub(super) selected: usize,
    pub(super) entries: Arc<[Entry]>,
    /// Text shown when there are no entries.
    pub(super) empty: &'static str,
    /// Width on a wide screen.
    pub(super) width: u16,
    /// Lines kept free below the entries.
    pub(super) below: u16,
    /// Most columns for the names.
    pub(super) names: u16,
}

impl List {
    pub(super) fn new(
        title: impl Into<Cow<'static, str>>,
        selected: usize,
        entries: impl Into<Arc<[Entry]>>,
    ) -> Self {
        let entries = entries.into();
        Self { title: title.into(), selected, entries, empty: "", width: 84, below: 0, names: 22 }
    }
}

/// Index of the entry on each line; `None` for a heading.
fn lines(list: &List) -> Vec<Option<usize>> {
    let entries = list.entries.iter().enumerate();
    entries.flat_map(|(i, e)| e.heading.map(|_| None).into_iter().chain([Some(i)])).collect()
}

fn size(list: &List, all: Rect) -> (u16, u16) {
    let below = if list.entries.is_empty() { 0 } else { list.below };
    let wide = if all.width < list.width + 6 { all.width } else { list.width };
    (wide, all.height.min(lines(list).len().max(1) as u16 + 2 + below))
}

/// First visible line.
fn top(lines: &[Option<usize>], at: usize, height: u16) -> usize {
    let line = lines.iter().position(|l| *l == Some(at)).unwrap_or(0);
    (line + 1).saturating_sub(usize::from(height.max(1)))
}

/// Draws the list; the area left below its entries.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, all: Rect, list: &List) -> Rect {
    let theme = app.theme;
    let (wide, high) = size(list, all);
    let mut r = window(app, canvas, all, wide, high, &list.title);
    if list.entries.is_empty() {
        canvas.put(r.x + 1, r.y, r.width.saturating_sub(1), list.empty, theme.dim);
        return Rect::default();
    }
    let below = if r.height > list.below { list.below } else { 0 };
    r.height -= below;
    let names = list
        .entries
        .iter()
        .map(|e| width(&e.name))
        .max()
        .unwrap_or(0)
        .clamp(6, list.names.min(r.width / 2).max(6));
    let at = list.selected;
    let lines = lines(list);
    let first = top(&lines, at, r.height);
    put_range(app, canvas, r, first, lines.len());
    for (y, (n, line)) in (r.top()..r.bottom()).zip(lines.iter().enumerate().skip(first)) {
        let Some(i) = *line else {
            // The entry below has the heading.
            let next = lines.get(n + 1).copied().flatten().and_then(|i| list.entries.get(i)?.heading);
            canvas.put(r.x + 1, y, r.width.saturating_sub(1), next.unwrap_or(""), theme.accent);
            continue;
        };
        let Some(e) = list.entries.get(i) else { continue };
        canvas.put(r.x + 1, y, 1, e.mark, (e.mark_style)(&theme));
        canvas.put(r.x + 3, y, names.min(r.width.saturating_sub(3)), &e.name, theme.strong);
        if r.width > names + 8 {
            canvas.put(r.x + 4 + names, y, r.width - names - 5, &e.text, theme.dim);
        }
        if i == at {
            canvas.line(Rect::new(r.x, y, r.width, 1), theme.select);
            canvas.put(r.x, y, width(app.glyphs.edge), app.glyphs.edge, theme.accent);
        }
    }
    Rect { y: r.bottom(), height: below, ..r }
}

/// The line at a cell of the screen.
pub(super) fn line_at(app: &App, list: &List, all: Rect, x: u16, y: u16) -> Option<usize> {
    let (width, rows) = size(list, all);
    let left = all.x + (all.width - width) / 2;
    let above = all.y + (all.height - rows) / 2 + 1;
    let inside = rows.saturating_sub(edges(app));
    let height = if inside > list.below { inside - list.below } else { inside };
    if x < left || x >= left + width || y < above || y >= above + height {
        return None;
    }
    let lines = lines(list);
    let first = top(&lines, list.selected, height);
    lines.get(first + usize::from(y - above)).copied().flatten()
}
