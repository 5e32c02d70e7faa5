//! The table: column titles, groups, rows.

use super::row::{owner, row};
use super::service::service;
use crate::format::thousands as count;
use crate::format::{Align, Role};
use crate::format::{Style as Format, age, duration};
use crate::model::lang::tr;
use crate::model::snapshot::{HostState, RemoteHost};
use crate::model::{FaultSubject, Reads, Snapshot, State};
use crate::msg;
use crate::table::{HOSTNAME_COLUMN, TableId};
use crate::tui::app::App;
use crate::tui::arrange::GroupSummary;
use crate::tui::canvas::{Canvas, width};
use crate::tui::layout::slots::{self, Slot};
use crate::tui::layout::{content_width, scroll_bar};
use crate::tui::theme::Theme;
use crate::tui::view_state::ViewState;
use crate::view::Line;
use crate::view::group::{Group, Key};
use ratatui::buffer::Cell;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use std::borrow::Cow;

/// Draws the column titles.
pub(crate) fn head(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let theme = app.theme;
    canvas.line(area, theme.head);
    let sorted = app.view_state().view.sort.first();
    for s in slots::slots(app, area) {
        let by = sorted.filter(|k| k.column.name == s.column.name);
        let arrow = by.map(|k| if k.descending { app.glyphs.descending } else { app.glyphs.ascending });
        let style = if by.is_some() { theme.sorted } else { theme.head };
        let title = s.column.title;
        if s.column.align == Align::Right && s.bar == 0 {
            // The mark is in the gap, so that title and numbers stay aligned.
            let x = canvas.put_right(s.x + s.width, area.y, s.width, title, style);
            if let Some(a) = arrow {
                canvas.put(x.saturating_sub(1), area.y, 1, a, style);
            }
        } else {
            let end = canvas.put(s.x, area.y, s.width, title, style);
            if let Some(a) = arrow {
                canvas.put(end, area.y, 1, a, style);
            }
        }
    }
}

/// Draws the visible lines.
pub(crate) fn body(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let theme = app.theme;
    let Some(snap) = &app.snapshot else {
        let text =
            if app.failed.is_some() { tr("no data: the first poll failed") } else { tr("reading sockets") };
        canvas.put(area.x + slots::INDENT, area.y, area.width.saturating_sub(slots::INDENT), text, theme.dim);
        return;
    };
    let view_state = app.view_state();
    if view_state.lines.is_empty() {
        empty(app, snap, canvas, area);
        return;
    }
    let slots = slots::slots(app, area);
    let form = app.options.format();
    let mut nested = view_state.nested_until(view_state.top);
    let shown = view_state.lines.iter().enumerate().skip(view_state.top).take(usize::from(area.height));
    for (y, (i, line)) in (area.y..).zip(shown) {
        let place = Rect::new(area.x, y, area.width, 1);
        let selected = i == view_state.cursor;
        match *line {
            Line::Group(g) => {
                nested = view_state.nested_end(i, g);
                group(app, snap, canvas, place, g, &slots, form);
            }
            Line::Row(r) => {
                row(app, snap, canvas, place, r as usize, &slots, form);
                if i < nested {
                    canvas.put(area.x + 2, y, 1, app.glyphs.nested, theme.faint);
                }
            }
        }
        if selected {
            let keep = canvas.buf.cell((place.x + 1, y)).map(|c| c.symbol().to_owned());
            select(&theme, canvas, place);
            if keep.as_deref() == Some(" ") || place.width > 1 {
                canvas.put(place.x, y, 1, app.glyphs.edge, theme.accent);
            }
            let cell = slots.iter().find(|s| Some(s.column.name) == view_state.selected_column);
            if let (Some(s), Line::Row(_)) = (cell, line) {
                canvas.line(Rect::new(s.x, y, s.width, 1), theme.cell);
            }
        }
    }
    thumb(app, canvas, area, view_state);
}

/// Styles a line as selected. Dim text becomes plain; colours that carry a meaning stay.
fn select(theme: &Theme, canvas: &mut Canvas<'_>, place: Rect) {
    for x in place.x..place.right() {
        if let Some(cell) = canvas.buf.cell_mut((x, place.y)) {
            select_cell(theme, cell);
        }
    }
}

fn select_cell(theme: &Theme, cell: &mut Cell) {
    let quiet = [theme.dim.fg, theme.faint.fg, theme.text.fg, Some(Color::Reset)];
    let fg = cell.fg;
    if theme.select.add_modifier.contains(Modifier::REVERSED) {
        // Reversed, a foreground colour would become a patch of background.
        cell.set_fg(Color::Reset).set_bg(Color::Reset);
        cell.modifier.remove(Modifier::DIM);
        cell.set_style(theme.select);
        return;
    }
    cell.set_style(theme.select);
    if theme.select_keeps && !quiet.contains(&Some(fg)) {
        cell.set_fg(fg);
    }
}

/// Draws the scroll position of a long list.
fn thumb(app: &App, canvas: &mut Canvas<'_>, area: Rect, view_state: &ViewState) {
    let thumb = scroll_bar::thumb(view_state.lines.len(), view_state.top, usize::from(area.height));
    for i in thumb.into_iter().flatten() {
        canvas.put(area.right() - 1, area.y + i as u16, 1, app.glyphs.thumb, app.theme.faint);
    }
}

/// Draws the reason why there are no rows.
fn empty(app: &App, snap: &Snapshot, canvas: &mut Canvas<'_>, area: Rect) {
    let view_state = app.view_state();
    // Sockets that have just closed are not counted, as in the filter bar.
    let total = view_state.view.table.live_rows(snap) as u64;
    let noun = tr(view_state.view.table.noun);
    let no_match = view_state.arranged.no_match.as_ref();
    let is_connecting = |h: &RemoteHost| h.state == HostState::Connecting;
    let text = if total == 0 && snap.merged.as_ref().is_some_and(|m| m.hosts.iter().any(is_connecting)) {
        tr("reading sockets").to_owned()
    } else if total == 0 {
        no_match.map_or_else(|| msg!("no {}", noun), |n| n.none(view_state.view.table))
    } else {
        msg!("none of {} {} match the filter (Esc clears it)", count(total), noun)
    };
    let room = area.width.saturating_sub(slots::INDENT + 1);
    canvas.put(area.x + slots::INDENT, area.y, room, &text, app.theme.dim);
    let near = no_match.filter(|_| total > 0).and_then(|n| n.near_miss());
    let near = near.map(|line| (line, app.theme.dim));
    // Read errors may be the reason.
    let unread = snap.each_host().flat_map(|s| (view_state.view.table.unread)(s));
    let unread = unread.map(|f| (f.to_string(), app.theme.warn));
    let advice = (total == 0 && view_state.id() == TableId::Dns).then(|| {
        let one = snap.each_host().next().unwrap_or(snap);
        (capture_advice(app, one), app.theme.dim)
    });
    for (y, (line, style)) in (area.y + 1..area.bottom()).zip(near.into_iter().chain(unread).chain(advice)) {
        canvas.put(area.x + slots::INDENT, y, room, &crate::model::text::escape(&line), style);
    }
}

/// Advice on how to see DNS questions, or since when they are captured.
fn capture_advice(app: &App, snap: &Snapshot) -> String {
    let dns = &snap.sample.dns;
    let refused = snap.sample.faults.iter().any(|f| f.subject == FaultSubject::Dns);
    if app.recorded && !dns.on {
        return tr("not recorded: sockscope record --dns records them").to_owned();
    }
    if dns.on {
        let secs = snap.sample.at.boot_ns.saturating_sub(dns.since_ns) as f64 / 1e9;
        return msg!("captured on port 53 for {}, while this view is open (--dns: always)", age(secs));
    }
    if snap.sample.wants.reads(Reads::DNS) && !refused {
        return msg!("the {} backend captures none", snap.sample.backend.backend.name());
    }
    if refused {
        return tr("run as root, or add cap_net_raw to the capabilities of sockscope (setcap)").to_owned();
    }
    String::new()
}

/// Draws the head of a group: title, count, note, and totals in their columns.
fn group(
    app: &App,
    snap: &Snapshot,
    canvas: &mut Canvas<'_>,
    area: Rect,
    index: u32,
    slots: &[Slot],
    form: Format,
) {
    let theme = app.theme;
    let view_state = app.view_state();
    let g = &view_state.arranged.groups[index as usize];
    let closed = view_state.is_group_closed(index);
    if let Key::Service(s) = &g.key {
        service(app, snap, canvas, area, (s, view_state.arranged.members(g), closed), slots, form);
        return;
    }
    let y = area.y;
    let mut x = area.x + 1 + u16::from(g.depth) * 2;
    x = canvas.put(x, y, 2, if closed { app.glyphs.closed } else { app.glyphs.open }, theme.dim) + 1;
    let state = g.state().filter(|_| view_state.grouping_name() == Some("state") && g.depth == 0);
    // Totals and owner have their columns; the text gets the room before them.
    let totals = g.depth > 0 || state.is_none();
    let mut end = area.right().saturating_sub(1);
    let summary = view_state.group_summaries.get(index as usize).copied().unwrap_or_default();
    let holder = summary.process.filter(|_| view_state.grouping_name() != Some("process"));
    for s in slots.iter().rev() {
        let text = match s.column.role {
            Some(Role::RecvQ | Role::SendQ | Role::Rx | Role::Tx) if totals => {
                content_width::total(g, s.column, form).unwrap_or_default()
            }
            Some(Role::Owner) => {
                match holder.and_then(|(p, more)| Some((snap.process_row(p as usize)?, more))) {
                    Some((p, more)) => {
                        let others = if more > 0 { format!(" +{more}") } else { String::new() };
                        format!("{} {}{others}", p.info.name(), p.info.pid)
                    }
                    None => continue,
                }
            }
            _ => continue,
        };
        if text.is_empty() {
            continue;
        }
        if s.column.align == Align::Right {
            let from = canvas.put_right(s.x + s.width, y, s.width, &text, theme.text);
            end = end.min(from);
        } else {
            owner(canvas, s, y, &text, theme.text, theme.dim);
            end = end.min(s.x);
        }
    }
    let room = |x: u16| end.saturating_sub(x + 1);
    let title_style = match state {
        Some(s) => theme.bold(theme.state(s)),
        None => theme.strong,
    };
    x = canvas.put(x, y, room(x), &g.title(snap), title_style);
    let (mut words, short) = facts(g, summary, view_state, state, form);
    if let Some(short) = short.filter(|_| width(&words) > room(x + 2)) {
        words = short;
    }
    let words = leading_parts(&words, room(x + 2), app.glyphs.cut);
    x = canvas.put(x + 2, y, room(x + 2), &words, if state.is_some() { theme.strong } else { theme.dim });
    if let Some(note) = g.note
        && room(x + 2) > 8
    {
        canvas.put(x + 2, y, room(x + 2), tr(note), theme.dim);
    }
    let of_one_host = g.host.is_some() || view_state.grouping_name() == Some(HOSTNAME_COLUMN);
    let first = view_state.arranged.members(g).first().filter(|_| of_one_host);
    if first.and_then(|r| snap.host_of(view_state.id(), *r as usize)).is_some_and(RemoteHost::is_late) {
        if g.depth > 0 {
            canvas.put(area.x + 1, y, 1, app.glyphs.late, theme.dim);
        }
        canvas.line(area, theme.dim);
    }
}

/// The first parts of a list that fit, with the mark of what is left out: no count is cut in two.
fn leading_parts<'a>(text: &'a str, room: u16, cut: &str) -> Cow<'a, str> {
    let fits = |end: &usize| width(&text[..*end]) + width(cut) <= room;
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let mut ends = text.rmatch_indices(", ").map(|(i, _)| i);
    ends.find(fits).map_or(Cow::Borrowed(text), |end| Cow::Owned(format!("{}{cut}", &text[..end])))
}

/// Summary of a group, and a shorter one: `1,180 clients from 212 hosts`, `1,180 clients`.
fn facts(
    g: &Group,
    summary: GroupSummary,
    view_state: &ViewState,
    state: Option<State>,
    form: Format,
) -> (String, Option<String>) {
    let live = if view_state.view.table.is_sockets() { summary.live } else { g.len };
    let n = count(u64::from(live));
    if live == 0 {
        return (msg!("{} closed", count(u64::from(g.len))), None);
    }
    if let Some(dns) = summary.dns {
        return dns_facts(live, dns, form);
    }
    if state.is_some() || !view_state.view.table.is_sockets() {
        return (n, None);
    }
    let connections_of = |n: u32| match n {
        1 => tr("1 connection").to_owned(),
        n => msg!("{} connections", count(u64::from(n))),
    };
    let served = g.states.get(State::Listen) + g.states.get(State::Unconn);
    let connections = live.saturating_sub(served);
    match view_state.grouping_name() {
        Some("state" | "local") if connections > 0 && g.hosts > 0 => {
            if matches!(g.key, Key::To(..)) {
                return (connections_of(connections), None);
            }
            let hosts = match g.hosts {
                1 => tr("1 host").to_owned(),
                n => msg!("{} hosts", count(u64::from(n))),
            };
            if summary.inbound || served > 0 {
                let clients = match connections {
                    1 => tr("1 client").to_owned(),
                    n => msg!("{} clients", count(u64::from(n))),
                };
                (msg!("{} from {}", clients, hosts), Some(clients))
            } else {
                let connections = connections_of(connections);
                (msg!("{} to {}", connections, hosts), Some(connections))
            }
        }
        Some("remote") => (connections_of(live), None),
        _ => {
            let states: Vec<String> = g
                .states
                .present()
                .take(4)
                .map(|(s, n)| format!("{} {}", count(u64::from(n)), s.name()))
                .collect();
            (if states.is_empty() { n } else { states.join(", ") }, None)
        }
    }
}

/// Summary of a group of DNS questions, and one without the latencies.
fn dns_facts(n: u32, (failed, took): (u32, [Option<u64>; 2]), form: Format) -> (String, Option<String>) {
    let questions = match n {
        1 => tr("1 question").to_owned(),
        n => msg!("{} questions", count(u64::from(n))),
    };
    let short = match failed {
        0 => questions,
        failed => msg!("{}, {} failed", questions, count(u64::from(failed))),
    };
    let [Some(p50), Some(p99)] = took.map(|us| us.map(|us| duration(us as f64 / 1e6, &form))) else {
        return (short, None);
    };
    (msg!("{}, median {}, 99th percentile {}", short, p50, p99), Some(short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{Color as Depth, Palette};
    use ratatui::style::Style;

    #[test]
    fn list_of_counts_is_cut_between_them() {
        let text = "1,204 ESTABLISHED, 12 LISTEN, 3 TIME_WAIT";
        for (room, want) in [
            (60, text),
            (41, text),
            (40, "1,204 ESTABLISHED, 12 LISTEN\u{2026}"),
            (28, "1,204 ESTABLISHED\u{2026}"),
            (18, "1,204 ESTABLISHED\u{2026}"),
            (17, text),
        ] {
            assert_eq!(leading_parts(text, room, "\u{2026}"), want, "{room}");
        }
    }

    #[test]
    fn reversed_line_has_one_style() {
        for depth in [Depth::Basic, Depth::None] {
            let theme = Theme::new(Palette::for_ground(None), depth, false);
            let selected = |style: Style| {
                let mut cell = Cell::default();
                cell.set_style(style);
                select_cell(&theme, &mut cell);
                (cell.fg, cell.bg, cell.modifier - Modifier::BOLD - Modifier::UNDERLINED)
            };
            for style in [theme.text, theme.dim, theme.faint, theme.warn, theme.bad, theme.track] {
                assert_eq!(
                    selected(style),
                    (Color::Reset, Color::Reset, Modifier::REVERSED),
                    "{depth:?} {style:?}"
                );
            }
        }
    }
}
