//! The lists that lie over the table: columns to sort by, columns to show, cells to filter by, saved filters.

use crate::diagnose::remedy;
use crate::format::Value;
use crate::format::cell;
use crate::model::Level;
use crate::table::limits::finding;
use crate::tui::act::offers;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use crate::tui::draw::window;
use crate::tui::export::forms;
use crate::tui::preset::saved;
use ratatui::layout::Rect;

/// One line of a list.
pub(crate) struct Entry {
    mark: &'static str,
    name: String,
    text: String,
}

/// Title, marked line and lines of the list that is open.
fn open(app: &App) -> Option<(&'static str, usize, Vec<Entry>)> {
    let view_state = app.view_state();
    let tick = app.glyphs.tick;
    Some(match &app.overlay {
        Some(Overlay::Sort(at)) => {
            let first = view_state.view.sort.first();
            let mark = |name: &str| match first {
                Some(k) if k.column.name == name && k.descending => app.glyphs.descending,
                Some(k) if k.column.name == name => app.glyphs.ascending,
                _ => " ",
            };
            let all = view_state.columns().map(|c| Entry {
                mark: mark(c.name),
                name: c.title.to_owned(),
                text: c.help.to_owned(),
            });
            ("sort by", *at, all.collect())
        }
        Some(Overlay::Columns(at)) => {
            let all = view_state.choices().into_iter().map(|(c, shown)| Entry {
                mark: if shown { tick } else { " " },
                name: c.name.to_owned(),
                text: c.help.to_owned(),
            });
            ("columns   space shows or hides, J K move, r resets", *at, all.collect())
        }
        Some(Overlay::Cells(at)) => {
            let (snap, row) = (app.snapshot.as_ref()?, view_state.row()?);
            let form = crate::tui::draw::format(app);
            let all = view_state.columns().map(|c| Entry {
                mark: " ",
                name: c.title.to_owned(),
                text: match c.value(snap, row) {
                    Value::Missing(m) => m.reason().to_owned(),
                    v => cell(&v, c.kind, &form).into_owned(),
                },
            });
            ("filter by", *at, all.collect())
        }
        Some(Overlay::Alerts(at)) => {
            let snap = app.snapshot.as_ref()?;
            let all = snap.alerts.iter().map(|a| Entry {
                mark: if a.level == Level::Critical { app.glyphs.alarm } else { app.glyphs.dot },
                name: snap.limits[a.limit as usize].ceiling.info().name.to_owned(),
                text: crate::model::text::escape(&finding(snap, a.limit as usize).unwrap_or_default())
                    .into_owned(),
            });
            ("alerts", *at, all.collect())
        }
        Some(Overlay::Write(at)) => {
            let entry =
                |(name, text): (&str, &str)| Entry { mark: " ", name: name.into(), text: text.into() };
            ("write to a file", *at, forms().map(entry).collect())
        }
        Some(Overlay::Act(at)) => {
            let all = offers(app).into_iter().map(|o| Entry { mark: " ", name: o.name, text: o.text });
            ("act", *at, all.collect())
        }
        Some(Overlay::Saved(at)) => {
            let all = saved(&app.options).into_iter().map(|(name, text)| Entry { mark: " ", name, text });
            ("saved filters and views", *at, all.collect())
        }
        _ => return None,
    })
}

/// How many lines the open list has.
pub(crate) fn len(app: &App) -> usize {
    open(app).map_or(0, |(.., all)| all.len())
}

fn size(app: &App, lines: usize, all: Rect) -> (u16, u16) {
    if matches!(app.overlay, Some(Overlay::Alerts(_))) {
        // Sentences, and below them what to do about the one that is chosen.
        let below = if lines > 0 { ADVICE } else { 0 };
        return (all.width.min(130), all.height.min(lines.max(1) as u16 + 2 + below));
    }
    (if all.width < 90 { all.width } else { 84 }, all.height.min(lines.max(1) as u16 + 2))
}

/// The colour of a line's mark: of alerts how bad they are.
fn mark_style(app: &App, line: usize) -> ratatui::style::Style {
    let alert = app.snapshot.as_ref().and_then(|s| s.alerts.get(line));
    match alert.filter(|_| matches!(app.overlay, Some(Overlay::Alerts(_)))).map(|a| a.level) {
        Some(Level::Critical) => app.theme.bad,
        Some(_) => app.theme.warn,
        None => app.theme.accent,
    }
}

/// Lines of advice below the alerts.
const ADVICE: u16 = 6;

/// What to do about the alert that is chosen; the lines that are left for the list.
fn advice(app: &App, canvas: &mut Canvas<'_>, r: Rect, at: usize) -> u16 {
    let Some(snap) = app.snapshot.as_ref().filter(|_| r.height > ADVICE) else { return r.height };
    let Some(row) = snap.alerts.get(at).map(|a| a.limit as usize) else { return r.height };
    let theme = app.theme;
    let y = r.bottom() - ADVICE;
    canvas.rule(r.x, y, r.width, theme.faint);
    let help = snap.limits[row].ceiling.info().help;
    let mut lines = vec![(help.to_owned(), theme.text)];
    lines.extend(remedy::steps(snap, row).into_iter().map(|s| {
        let style = if s.starts_with("  ") { theme.strong } else { theme.dim };
        (s, style)
    }));
    let room = usize::from(r.width.saturating_sub(2));
    let lines = lines.iter().flat_map(|(text, style)| {
        let exact = text.starts_with("  ");
        let text = crate::model::text::escape(text).into_owned();
        let parts = if exact { vec![text] } else { crate::format::wrap(&text, room) };
        parts.into_iter().map(|l| (l, *style))
    });
    for (y, (text, style)) in (y + 1..r.bottom().saturating_sub(1)).zip(lines) {
        canvas.put(r.x + 1, y, r.width.saturating_sub(2), &text, style);
    }
    canvas.put(r.x + 1, r.bottom() - 1, r.width, "Enter: all about it, and what is behind it", theme.faint);
    r.height - ADVICE
}

/// First visible line.
fn top(at: usize, height: u16) -> usize {
    (at + 1).saturating_sub(usize::from(height.max(1)))
}

/// The open list over the table.
pub(crate) fn overlay(app: &App, canvas: &mut Canvas<'_>, all: Rect) {
    let Some((title, at, entries)) = open(app) else { return };
    let theme = app.theme;
    let (wide, high) = size(app, entries.len(), all);
    let mut r = window(app, canvas, all, wide, high, title);
    if entries.is_empty() {
        let how = match app.overlay {
            Some(Overlay::Act(_)) => "nothing can be done here",
            Some(Overlay::Alerts(_)) => "nothing is about to run out",
            _ => "none yet: ^S saves the filter that is typed under a name, V the whole view",
        };
        canvas.put(r.x + 1, r.y, r.width.saturating_sub(1), how, theme.dim);
        return;
    }
    if matches!(app.overlay, Some(Overlay::Alerts(_))) {
        r.height = advice(app, canvas, r, at);
    }
    let names = entries.iter().map(|e| width(&e.name)).max().unwrap_or(0).clamp(6, 22);
    for (y, (i, e)) in (r.top()..r.bottom()).zip(entries.iter().enumerate().skip(top(at, r.height))) {
        canvas.put(r.x + 1, y, 1, e.mark, mark_style(app, i));
        canvas.put(r.x + 3, y, names.min(r.width.saturating_sub(3)), &e.name, theme.strong);
        if r.width > names + 8 {
            canvas.put(r.x + 4 + names, y, r.width - names - 5, &e.text, theme.dim);
        }
        if i == at {
            canvas.line(Rect::new(r.x, y, r.width, 1), theme.select);
            canvas.put(r.x, y, width(app.glyphs.edge), app.glyphs.edge, theme.accent);
        }
    }
}

/// The line of the open list at a cell of the screen.
pub(crate) fn line_at(app: &App, all: Rect, x: u16, y: u16) -> Option<usize> {
    let (_, at, entries) = open(app)?;
    let (width, rows) = size(app, entries.len(), all);
    let left = all.x + (all.width - width) / 2;
    let above = all.y + (all.height - rows) / 2 + 1;
    let below = if matches!(app.overlay, Some(Overlay::Alerts(_))) && rows > ADVICE + 1 { ADVICE } else { 0 };
    let height = rows.saturating_sub(1 + below);
    if x < left || x >= left + width || y < above || y >= above + height {
        return None;
    }
    let i = top(at, height) + usize::from(y - above);
    (i < entries.len()).then_some(i)
}

/// What can be typed at the cursor, under the filter bar.
pub(crate) fn menu(app: &App, canvas: &mut Canvas<'_>, bar: Rect, all: Rect) {
    let Some(Overlay::Filter { menu, .. }) = &app.overlay else { return };
    if !menu.is_open() || bar.height == 0 {
        return;
    }
    let theme = app.theme;
    let view_state = app.view_state();
    let before = view_state.text.get(..menu.found.span.start).map_or(0, width);
    let most = usize::from(all.bottom().saturating_sub(bar.y + 2)).min(8);
    let from = menu.at.map_or(0, |at| (at + 1).saturating_sub(most));
    let items: Vec<_> = menu.found.items.iter().enumerate().skip(from).take(most).collect();
    let names = items.iter().map(|(_, i)| width(&i.text)).max().unwrap_or(0).clamp(8, 30);
    let wide = (names + 44).min(all.width);
    let x = (bar.x + 3 + before).saturating_sub(1).min(all.right().saturating_sub(wide));
    for (y, (i, item)) in (bar.y + 1..).zip(items) {
        let line = Rect::new(x, y, wide, 1);
        for x in line.left()..line.right() {
            if let Some(c) = canvas.buf.cell_mut((x, y)) {
                c.reset();
            }
        }
        canvas.line(line, theme.window);
        canvas.put(x + 1, y, names.min(wide.saturating_sub(1)), &item.text, theme.strong);
        let help = crate::model::text::escape(&item.help);
        canvas.put(x + names + 2, y, wide.saturating_sub(names + 3), &help, theme.dim);
        if menu.at == Some(i) {
            canvas.line(line, theme.select);
        }
    }
}
