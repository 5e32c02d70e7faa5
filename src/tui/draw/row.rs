//! One row of the table: each cell by the kind of its column.

use crate::format::{Align, Column, Role, Tone, Value};
use crate::format::{Style as Format, cell, shorten_middle, thousands as count};
use crate::model::snapshot::RemoteHost;
use crate::model::{HostName, Missing, Snapshot, State, StateCounts};
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
use crate::tui::layout::content_width::{gauge_text, short_state};
use crate::tui::layout::slots::Slot;
use crate::tui::theme::Theme;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Draws one row.
pub(crate) fn row(
    app: &App,
    snap: &Snapshot,
    canvas: &mut Canvas<'_>,
    area: Rect,
    row: usize,
    slots: &[Slot],
    form: Format,
) {
    let theme = app.theme;
    let y = area.y;
    let is_marked = app.view_state().is_marked(snap, row);
    let is_late = snap.host_of(app.view_state().id(), row).is_some_and(RemoteHost::is_late);
    let (snap, row) = snap.at(app.view_state().id(), row);
    let sockets = app.view_state().view.table.is_sockets();
    let gone = sockets && row >= snap.live;
    let new = sockets && !gone && !is_late && is_new(snap, row);
    if is_marked {
        canvas.put(area.x + 1, y, 1, app.glyphs.mark, theme.accent);
    } else if gone {
        canvas.put(area.x + 1, y, 1, app.glyphs.gone, theme.faint);
    } else if is_late {
        canvas.put(area.x + 1, y, 1, app.glyphs.late, theme.faint);
    } else if new {
        canvas.put(area.x + 1, y, 1, app.glyphs.new, theme.good);
        canvas.line(area, theme.fresh);
    }
    for s in slots {
        let value = s.column.value(snap, row);
        if s.bar > 0 {
            gauge(app, snap, canvas, s, row, y, form);
            continue;
        }
        if let Value::States(c) = &value {
            states(app, canvas, s, y, c);
            continue;
        }
        let named = if app.names { host(snap, &value, s.column) } else { None };
        let text = match named {
            Some(name) => std::borrow::Cow::Owned(name),
            None => cell(&value, s.column.kind, &form),
        };
        let style = if gone { theme.gone } else { cell_style(&theme, snap, row, s.column, &value) };
        if s.column.align == Align::Right {
            canvas.put_right(s.x + s.width, y, s.width, &text, style);
        } else if s.column.keeps_end() && width(&text) > s.width {
            let text = shorten_middle(&text, usize::from(s.width), &form);
            canvas.put(s.x, y, s.width, &text, style);
        } else if s.column.is(Role::Owner) && !gone {
            owner(canvas, s, y, &text, style, theme.dim);
        } else {
            canvas.put(s.x, y, s.width, &text, style);
        }
    }
    if is_late {
        // Also over gauges and states: nothing in it is of now.
        canvas.line(area, theme.dim);
    }
}

/// Host name of a remote address, if the resolver knows one.
fn host(snap: &Snapshot, value: &Value<'_>, column: &Column) -> Option<String> {
    if !matches!(column.role, Some(Role::Remote | Role::RemoteAddr)) {
        return None;
    }
    let (addr, port) = match value {
        Value::Endpoint(e) => (&e.addr, Some(e.port)),
        Value::Addr(a) => (a, None),
        _ => return None,
    };
    match snap.sample.hosts.get(addr) {
        HostName::Name(name) => Some(port.map_or_else(|| name.to_string(), |p| format!("{name}:{p}"))),
        HostName::None | HostName::Unknown => None,
    }
}

/// Draws a process: its name, and its pid dim. The name is cut if both do not fit.
pub(crate) fn owner(canvas: &mut Canvas<'_>, s: &Slot, y: u16, text: &str, style: Style, dim: Style) {
    let text = crate::model::text::escape(text);
    let (name, pid) = text.split_at(name_end(&text));
    let room = if width(&text) <= s.width { s.width } else { s.width.saturating_sub(width(pid)) };
    let x = canvas.put(s.x, y, room, name, style);
    canvas.put(x, y, (s.x + s.width).saturating_sub(x), pid, dim);
}

/// End of the name in `nginx 812 +4`; names may contain spaces.
fn name_end(text: &str) -> usize {
    let mut end = text.len();
    while let Some((head, tail)) = text[..end].rsplit_once(' ') {
        let digits = tail.strip_prefix('+').unwrap_or(tail);
        if head.is_empty() || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        end = head.len();
        if digits.len() == tail.len() {
            break;
        }
    }
    end
}

/// True for a socket first seen in this poll or the previous one, but not in the first.
fn is_new(snap: &Snapshot, row: usize) -> bool {
    let Some(f) = snap.facts.get(row).filter(|f| !f.preexisting) else { return false };
    let n = snap.history.len();
    let since = snap.history.get(n.saturating_sub(2)).map_or(u64::MAX, |(at, _)| at.boot_ns);
    f.first_seen_ns >= since
}

fn cell_style(theme: &Theme, snap: &Snapshot, row: usize, c: &Column, v: &Value<'_>) -> Style {
    match v {
        Value::Missing(Missing::NotPermitted) => theme.warn,
        Value::Missing(_) => theme.faint,
        Value::State(s) => theme.state(*s),
        _ => match (c.tone, c.gauge) {
            (Some(tone), _) => tone_style(theme, tone(snap, row)),
            (None, Some(_)) => v.number().map_or(theme.text, |n| theme.pressure(n / 100.0)),
            (None, None) if c.align == Align::Right && v.number() == Some(0.0) => theme.faint,
            (None, None) => theme.text,
        },
    }
}

const fn tone_style(theme: &Theme, tone: Tone) -> Style {
    match tone {
        Tone::Plain => theme.text,
        Tone::Strong => theme.strong,
        Tone::Dim => theme.dim,
        Tone::Faint => theme.faint,
        Tone::Accent => theme.accent,
        Tone::Warning => theme.warn,
        Tone::Critical => theme.bad,
    }
}

/// Symbol of a share near its limit, for screens without colour.
const fn mark(app: &App, share: f64) -> &'static str {
    if share >= 0.9 {
        app.glyphs.alarm
    } else if share >= 0.75 {
        app.glyphs.notice
    } else {
        ""
    }
}

/// Draws a share as a gauge with its percentage or amounts.
fn gauge(app: &App, snap: &Snapshot, canvas: &mut Canvas<'_>, s: &Slot, row: usize, y: u16, form: Format) {
    let theme = app.theme;
    let number = s.width - s.bar;
    let v = s.column.value(snap, row);
    let Some(pct) = v.number() else {
        canvas.put_right(s.x + s.width, y, s.width, "-", theme.faint);
        return;
    };
    let share = pct / 100.0;
    let mut style = theme.pressure(share);
    let text = format!("{}{}", mark(app, share), gauge_text(snap, s.column, row, form));
    if share == 0.0 {
        style = theme.faint;
    }
    let w = width(&text);
    // Amounts wider than the column shrink the gauge until the column has grown.
    let bar = s.bar.min(s.width.saturating_sub(w.max(number) + 1)).max(2);
    canvas.gauge(s.x, y, bar, share, style, theme.track);
    canvas.put_right(s.x + s.width, y, s.width - bar, &text, style);
}

/// Draws counts by state: `LISTEN 2  ESTAB 40`.
fn states(app: &App, canvas: &mut Canvas<'_>, slot: &Slot, y: u16, c: &StateCounts) {
    let (mut x, end) = (slot.x, slot.x + slot.width);
    if c.total() == 0 {
        canvas.put(x, y, slot.width, "-", app.theme.faint);
    }
    let mut present: Vec<_> = c.present().collect();
    // CLOSE_WAIT first, then by count.
    present.sort_by_key(|(st, n)| (*st != State::CloseWait, std::cmp::Reverse(*n)));
    for (state, n) in present {
        let name = short_state(state);
        let text = count(u64::from(n));
        let w = width(name) + 1 + width(&text);
        if x + w > end {
            canvas.put(x.min(end - 1), y, 1, app.glyphs.cut, app.theme.faint);
            break;
        }
        x = canvas.put(x, y, end - x, name, app.theme.state(state));
        x = canvas.put(x + 1, y, end - x, &text, app.theme.text) + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::Port;
    use crate::table::{PORTS, SOCKETS};
    use crate::testing::{machine, port};

    #[test]
    fn accept_queue_gauge_of_a_socket_shows_its_own_queue() {
        let mut snap = machine();
        let listener = (0..snap.live).find(|r| snap.socket(*r).is_listener()).unwrap();
        let socket = &mut snap.sample.sockets[listener];
        (socket.recv_q, socket.send_q) = (3, 511);
        // A port row with the index of the socket and a different queue.
        let port = Port { recv_q: 7, backlog: 128, ..port(snap.socket(listener).local, &[], &[]) };
        snap.ports = vec![port; listener + 1];
        let text = |table: &crate::table::Table| {
            gauge_text(&snap, table.column("accept_pct").unwrap(), listener, Format::default())
        };
        assert_eq!(text(&SOCKETS), "3/511");
        assert_eq!(text(&PORTS), "7/128");
    }
}
