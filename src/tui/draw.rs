//! The frame, part by part. Nothing here changes anything, and only what is visible is made into text.

pub(crate) mod header;
pub(crate) mod row;
pub(crate) mod table;

use super::App;
use super::canvas::{Canvas, width};
use super::command::{Command, Focus, key_label};
use super::details;
use super::event::Action;
use super::layout::LEAST;
use super::overlay::{confirm, explain, greeting, help, list, palette};
use crate::diagnose::visibility::hidden;
use crate::format::Style as Format;
use crate::model::{FaultKind, FaultSubject, Missing};
use crate::view::Line;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Draws the dashboard.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let l = app.layout_in(frame.area());
    let mut canvas = Canvas { buf: frame.buffer_mut(), glyphs: &app.glyphs };
    canvas.line(l.all, app.theme.ground);
    if l.tiny {
        let said = format!("too small: {}x{}, at least {}x{}", l.all.width, l.all.height, LEAST.0, LEAST.1);
        let text = if usize::from(l.all.width) < said.len() { "too small" } else { &said };
        canvas.put(l.all.x, l.all.y, l.all.width, text, app.theme.text);
        return;
    }
    header::header(app, &mut canvas, l.header);
    header::strip(app, &mut canvas, l.strip);
    let mut cursor = header::filter(app, &mut canvas, l.filter);
    header::worst(app, &mut canvas, &l);
    header::error(app, &mut canvas, l.error);
    table::head(app, &mut canvas, l.head);
    table::body(app, &mut canvas, l.body);
    if l.details.area() > 0 {
        details::pane(app, &mut canvas, l.details, l.beside);
    }
    status(app, &mut canvas, l.status);
    keys(app, &mut canvas, l.keys);
    match app.focus() {
        Focus::Help | Focus::Find => {
            cursor = help::overlay(app, &mut canvas, l.all);
            explain::overlay(app, &mut canvas, l.all);
        }
        Focus::Palette => cursor = palette::overlay(app, &mut canvas, l.all),
        Focus::Sort | Focus::Columns | Focus::Pick => list::overlay(app, &mut canvas, l.all),
        Focus::Confirm => confirm::overlay(app, &mut canvas, l.all),
        Focus::Filter => list::menu(app, &mut canvas, l.filter, l.all),
        Focus::Table => greeting::card(app, &mut canvas, l.body),
        Focus::States | Focus::Name => {}
    }
    if let Some(at) = cursor {
        frame.set_cursor_position(at);
    }
}

/// How values are written on this screen.
pub(crate) fn format(app: &App) -> Format {
    Format { numeric: app.options.numeric, ascii: app.options.ascii }
}

/// An empty box with a title, what lies under it erased; the room inside.
pub(crate) fn window(app: &App, canvas: &mut Canvas<'_>, all: Rect, w: u16, h: u16, title: &str) -> Rect {
    let w = w.min(all.width);
    let h = h.min(all.height);
    let r = Rect::new(all.x + (all.width - w) / 2, all.y + (all.height - h) / 2, w, h);
    for y in r.top()..r.bottom() {
        for x in r.left()..r.right() {
            if let Some(cell) = canvas.buf.cell_mut((x, y)) {
                cell.reset();
            }
        }
    }
    canvas.line(r, app.theme.ground.patch(app.theme.window));
    canvas.line(Rect { height: 1.min(r.height), ..r }, app.theme.band);
    canvas.put(r.x + 1, r.y, w.saturating_sub(2), title, app.theme.tab);
    let aside = u16::from(w > 2);
    Rect::new(r.x + aside, r.y + 1.min(h), w - 2 * aside, h.saturating_sub(1))
}

/// What is wrong or hidden, and where all this comes from.
fn status(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let theme = app.theme;
    let mut right = area.right().saturating_sub(1);
    let (x0, y) = (area.x + 1, area.y);
    let Some(snap) = &app.snapshot else {
        if let Some(why) = &app.failed {
            canvas.put(x0, y, right.saturating_sub(x0), why, theme.bad);
        }
        return;
    };
    let backend = &snap.sample.backend;
    let why = if backend.why.is_empty() { String::new() } else { format!(" ({})", backend.why) };
    let owners =
        snap.sample.owners_by.map_or_else(String::new, |by| format!(" · owners: {}", by.interface()));
    let source = format!("source: {}{why}{owners}", backend.backend.interface());
    let mut parts: Vec<(String, _)> = Vec::new();
    if let Some(why) = &app.failed {
        parts.push((format!("{} last poll failed: {why}", app.glyphs.alarm), theme.bad));
    }
    let holes = hidden(snap).into_iter().enumerate();
    let more = |i: usize| if i == 0 { " (? tells more)" } else { "" };
    parts.extend(holes.map(|(i, h)| (h.said + more(i), theme.warn)));
    for f in snap.sample.faults.iter() {
        // Said already, by what it hides.
        let owners = snap.hidden.iter().any(|(m, _)| *m == Missing::NotPermitted);
        let refused = f.kind == FaultKind::NotPermitted && owners;
        // What is read of every socket only for the details is said there, beside its name.
        let beside = matches!(f.subject, FaultSubject::BpfMaps | FaultSubject::SecurityContexts);
        if f.kind == FaultKind::Namespace || refused || beside {
            continue;
        }
        let style = if f.kind.hides_something() { theme.warn } else { theme.dim };
        parts.push((f.to_string(), style));
    }
    parts.extend(app.options.only.map(|only| (only.to_owned(), theme.dim)));
    if let Some(said) = &app.status_message {
        parts.insert(0, (said.clone(), theme.accent));
    }
    let needed: u16 = parts.iter().map(|(s, _)| width(s) + 3).sum();
    if x0 + needed + width(&source) + 2 <= right || parts.is_empty() {
        right = canvas.put_right(right, y, right.saturating_sub(x0), &source, theme.faint).saturating_sub(2);
    }
    let mut x = x0;
    for (i, (text, style)) in parts.iter().enumerate() {
        if i > 0 {
            x = canvas.put(x, y, right.saturating_sub(x), &format!(" {} ", app.glyphs.dot), theme.faint);
        }
        x = canvas.put(x, y, right.saturating_sub(x), text, *style);
    }
}

/// A key of the bar in its place.
pub(crate) struct KeySlot {
    /// Index in the command list.
    command: usize,
    x: u16,
    width: u16,
    word: &'static str,
}

/// The keys of the bar in their places. As many as fit, the most useful kept; quit stands on the right.
pub(crate) fn key_places(app: &App, area: Rect) -> Vec<KeySlot> {
    let place = app.focus();
    let map = &app.options.keymap;
    let applies = |(i, (c, keys)): (usize, (&'static Command, &[String]))| {
        let word = if c.applies(place) { word(app, c) } else { "" };
        (!word.is_empty() && !keys.is_empty()).then_some((i, c.rank, word))
    };
    let mut shown: Vec<_> = map.commands().enumerate().filter_map(applies).collect();
    shown.sort_by_key(|(_, rank, _)| *rank);
    let (mut x, mut end) = (area.x + 1, area.right().saturating_sub(1));
    let mut out = Vec::new();
    for (i, rank, word) in shown {
        let w = width(&key_label(&map.of(i)[0], app.glyphs.ascii)) + 1 + width(word);
        if rank == 0 {
            if x + w <= end {
                end -= w;
                out.push(KeySlot { command: i, x: end, width: w, word });
                end = end.saturating_sub(2);
            }
        } else if x + w <= end {
            out.push(KeySlot { command: i, x, width: w, word });
            x += w + 3;
        }
    }
    out
}

/// What a command does here and now, in a word; nothing where it does nothing.
pub(crate) fn word(app: &App, c: &Command) -> &'static str {
    if app.focus() != Focus::Table {
        return c.bar;
    }
    let view_state = app.view_state();
    match (c.action, view_state.lines.get(view_state.cursor)) {
        (Action::Enter, Some(Line::Group(g))) if view_state.is_group_closed(*g) => "open",
        (Action::Enter, Some(Line::Group(_))) => "close",
        (Action::Group(_), _) if view_state.view.table.groupings.len() < 2 => "",
        (Action::Pause, _) if app.paused => "go on",
        // On a row Enter says it.
        (Action::Enter, Some(Line::Row(_))) | (Action::Back, None | Some(Line::Group(_))) if app.details => {
            "close details"
        }
        (Action::Back, _) if app.details => "",
        (Action::Back, _) if !view_state.marks.is_empty() => "unmark",
        (Action::Back, _) if !view_state.text.is_empty() => "drop filter",
        (Action::Enter, None) | (Action::Back, _) => "",
        _ => c.bar,
    }
}

/// The command of the bar at a column.
pub(crate) fn key_at(app: &App, area: Rect, x: u16) -> Option<usize> {
    key_places(app, area).into_iter().find(|s| x >= s.x && x < s.x + s.width).map(|s| s.command)
}

/// The keys that matter here.
fn keys(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let theme = app.theme;
    canvas.line(area, theme.band);
    for s in key_places(app, area) {
        let label = key_label(&app.options.keymap.of(s.command)[0], app.glyphs.ascii);
        let after = canvas.put(s.x, area.y, s.width, &label, theme.key.patch(theme.on_band));
        canvas.put(after + 1, area.y, s.width, s.word, theme.band);
    }
}
