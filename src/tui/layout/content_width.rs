//! Content widths of the visible cells.

use crate::format::{Align, Column, Kind, Role, Value};
use crate::format::{Style as Format, cell, thousands as count};
use crate::model::{Snapshot, State};
use crate::tui::app::App;
use crate::tui::canvas::width;
use crate::view::Line;
use crate::view::group::Group;

/// Text beside a gauge.
pub(crate) fn gauge_text(snap: &Snapshot, c: &Column, row: usize, form: Format) -> String {
    match c.gauge.and_then(|g| g.amounts) {
        Some(amounts) => {
            let (used, max) = amounts(snap, row);
            format!("{}/{}", count(used), count(max))
        }
        None => cell(&c.value(snap, row), Kind::Percent, &form).into_owned(),
    }
}

/// Width of the content of a cell.
fn content_width(snap: &Snapshot, c: &Column, row: usize, form: Format) -> u16 {
    match c.value(snap, row) {
        Value::States(n) => {
            let pair_width = |(s, n)| width(short_state(s)) + 1 + width(&count(u64::from(n)));
            n.present().map(|p| pair_width(p) + 2).sum::<u16>().saturating_sub(2)
        }
        // With the symbol of a nearly full gauge.
        _ if c.shows_amounts() => 1 + width(&gauge_text(snap, c, row, form)),
        v => width(&cell(&v, c.kind, &form)),
    }
}

pub(crate) const fn short_state(s: State) -> &'static str {
    match s {
        State::Established => "ESTAB",
        State::SynSent => "SYN_S",
        State::SynRecv => "SYN_R",
        State::FinWait1 => "FIN1",
        State::FinWait2 => "FIN2",
        State::TimeWait => "TIME_W",
        State::CloseWait => "CLOSE_W",
        other => other.info().name,
    }
}

/// Total of a group in this column, if it has one there.
pub(crate) fn total(g: &Group, c: &Column, form: Format) -> Option<String> {
    let bytes = |n: u64| cell(&Value::Uint(n), Kind::Bytes, &form).into_owned();
    let rate = |r: f64| cell(&Value::Float(r), Kind::BytesPerSec, &form).into_owned();
    match c.role? {
        Role::RecvQ if g.recv_q > 0 => Some(bytes(g.recv_q)),
        Role::SendQ if g.send_q > 0 => Some(bytes(g.send_q)),
        Role::Rx => g.rx.filter(|r| *r >= 0.5).map(rate),
        Role::Tx => g.tx.filter(|r| *r >= 0.5).map(rate),
        _ => None,
    }
}

/// Widens text columns to the visible lines, with `--numeric` those of numbers too; they never shrink, so that the table does not
/// jitter.
pub(crate) fn measure(app: &mut App, snap: &Snapshot, height: usize) {
    let form = app.options.format();
    let view_state = app.view_state();
    let measured = |c: &&Column| c.align == Align::Left || c.shows_amounts() || form.numeric;
    let columns: Vec<_> = view_state.columns().filter(measured).collect();
    let mut widths = vec![0; columns.len()];
    for line in view_state.lines.iter().skip(view_state.top).take(height) {
        let r = match line {
            Line::Row(r) => r,
            Line::Group(g) if form.numeric => {
                let Some(g) = view_state.arranged.groups.get(*g as usize) else { continue };
                for (c, w) in columns.iter().zip(&mut widths) {
                    *w = total(g, c, form).map_or(0, |text| width(&text)).max(*w);
                }
                continue;
            }
            Line::Group(_) => continue,
        };
        for (c, w) in columns.iter().zip(&mut widths) {
            let (snap, row) = snap.at(view_state.id(), *r as usize);
            *w = content_width(snap, c, row, form).max(*w);
        }
    }
    let view_state = app.view_state_mut();
    for (c, w) in columns.iter().zip(widths) {
        view_state.widen(c, w);
    }
}
