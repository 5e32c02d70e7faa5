//! The line of a service: the sockets of both address families, drawn as a row.

use super::row::row;
use crate::format::Style as Format;
use crate::format::{Align, Column, Role, Value, cell};
use crate::model::{Snapshot, Socket};
use crate::msg;
use crate::table::TableId;
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
use crate::tui::layout::slots::Slot;
use crate::view::group::Service;
use crate::view::summary::sums;
use ratatui::layout::Rect;

/// Short name of both address families.
const FAMILIES: &str = "v4+v6";

/// Draws the line of a service, with its rows and true if it is collapsed. Queues are those of the fullest listener;
/// other values are common to all rows, summed, or listed.
pub(super) fn service(
    app: &App,
    snap: &Snapshot,
    canvas: &mut Canvas<'_>,
    area: Rect,
    (service, rows, closed): (&Service, &[u32], bool),
    slots: &[Slot],
    form: Format,
) {
    let theme = app.theme;
    let y = area.y;
    let Some(fullest) = rows.iter().copied().max_by(|a, b| {
        let share = |r: u32| {
            let (snap, row) = snap.at(TableId::Sockets, r as usize);
            fill(snap.socket(row))
        };
        // The first of several.
        share(*a).total_cmp(&share(*b)).then(b.cmp(a))
    }) else {
        return;
    };
    row(app, snap, canvas, area, fullest as usize, slots, form);
    if !rows.iter().all(|r| app.view_state().is_marked(snap, *r as usize)) {
        canvas.put(area.x + 1, y, 2, if closed { app.glyphs.closed } else { app.glyphs.open }, theme.dim);
    }
    for s in slots {
        let blank = |canvas: &mut Canvas<'_>| {
            canvas.put(s.x, y, s.width, &" ".repeat(usize::from(s.width)), theme.text);
        };
        if s.column.is(Role::Local) {
            blank(canvas);
            let end = canvas.put(s.x, y, s.width, &service.endpoint(), theme.text);
            let room = (s.x + s.width).saturating_sub(end + 1);
            if room >= width(FAMILIES) {
                canvas.put(end + 1, y, room, FAMILIES, theme.dim);
            }
            continue;
        }
        if s.bar > 0 || matches!(s.column.role, Some(Role::RecvQ | Role::SendQ)) {
            continue;
        }
        let Some(text) = combined(snap, s.column, rows, usize::from(s.width), form) else { continue };
        blank(canvas);
        if s.column.align == Align::Right {
            canvas.put_right(s.x + s.width, y, s.width, &text, theme.text);
        } else {
            canvas.put(s.x, y, s.width, &text, theme.text);
        }
    }
}

/// Share of the accept queue in use.
fn fill(s: &Socket) -> f64 {
    f64::from(s.recv_q) / f64::from(s.send_q.max(1))
}

/// Text of values that differ between the rows: their sum, else all of them if they fit, else their number.
fn combined(snap: &Snapshot, column: &Column, rows: &[u32], room: usize, form: Format) -> Option<String> {
    let value = |r: &u32| {
        let (snap, row) = snap.at(TableId::Sockets, *r as usize);
        column.value(snap, row)
    };
    let values: Vec<Value<'_>> = rows.iter().map(value).collect();
    let mut texts: Vec<String> = Vec::new();
    for v in &values {
        let text = cell(v, column.kind, &form).into_owned();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if sums(column) {
        let known: Vec<f64> = values.iter().filter_map(Value::number).collect();
        let sum = Some(known.iter().sum::<f64>()).filter(|n| *n > 0.0);
        return sum.map(|n| cell(&Value::Float(n), column.kind, &form).into_owned());
    }
    if texts.len() < 2 {
        return None;
    }
    let list = texts.join(", ");
    Some(if usize::from(width(&list)) <= room { list } else { msg!("{} values", texts.len()) })
}
