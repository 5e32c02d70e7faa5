//! Placement of the table columns.

use crate::format::column_layout::{Candidate, fit, fit_whole, is_whole};
use crate::format::{Align, Column, Gauge, Kind, Width};
use crate::tui::app::App;
use ratatui::layout::Rect;

/// Width left of the first cell: the selection edge and the group mark.
pub(crate) const INDENT: u16 = 3;

/// Gap between two columns.
const GAP: u16 = 2;

/// Width of a gauge with its gap, beside its number, on a screen of this width.
const fn bar_of(total: u16) -> u16 {
    match total {
        0..50 => 0,
        50..100 => 6,
        _ => 9,
    }
}

/// A column with its placement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) column: &'static Column,
    pub(crate) x: u16,
    pub(crate) width: u16,
    /// Width of the gauge within it.
    pub(crate) bar: u16,
}

/// True for a column with a gauge.
fn has_bar(c: &Column) -> bool {
    c.gauge.is_some()
}

/// Columns that fit, with their placement.
///
/// A column is dropped before its neighbours become unreadable: the others keep at least their normal width (numbers) or
/// that of their content (text). Only the last few are squeezed below that.
pub(crate) fn slots(app: &App, area: Rect) -> Vec<Slot> {
    let view_state = app.view_state();
    let numeric = app.options.numeric;
    let total = area.width.saturating_sub(INDENT + 1);
    let mut candidates: Vec<Candidate> = view_state
        .columns()
        .map(|column| Candidate {
            column,
            named: false,
            natural: match column.align {
                Align::Right if !column.shows_amounts() && !numeric => column.width.normal,
                Align::Right if numeric => view_state.content_width(column).max(column.width.normal),
                _ => view_state.content_width(column),
            },
        })
        .collect();
    let bar = bar_of(total);
    let bars = |w: &[Candidate]| w.iter().filter(|w| has_bar(w.column)).count() as u16 * bar;
    // Columns for wide screens are dropped first, until every address fits; then by drop rank.
    let mut extra = candidates.iter().any(|w| !view_state.is_usual(w.column));
    loop {
        let most = |w: &Candidate| {
            let Width { min, normal, max } = w.column.width;
            if numeric && is_whole(w.column) {
                return w.natural;
            }
            let whole = extra && matches!(w.column.kind, Kind::Endpoint | Kind::Addr);
            w.natural.clamp(min, if whole { max } else { normal }.max(min))
        };
        let need: u16 =
            candidates.iter().map(|w| most(w) + GAP).sum::<u16>().saturating_sub(GAP) + bars(&candidates);
        let rank = |i: usize| (!view_state.is_usual(candidates[i].column), candidates[i].column.drop, i);
        let victim = (0..candidates.len())
            .filter(|i| rank(*i).0 || candidates[*i].column.drop > 3)
            .max_by_key(|i| rank(*i));
        if extra && need > total && victim.is_none_or(|i| !rank(i).0) {
            extra = false;
            continue;
        }
        match victim {
            Some(i) if need > total => {
                candidates.remove(i);
            }
            _ => break,
        }
    }
    let gap = if total < 50 { 1 } else { GAP };
    let total = total.saturating_sub(bars(&candidates));
    let mut x = area.x + INDENT;
    let mut out = Vec::new();
    let fit = if numeric { fit_whole } else { fit };
    for (w, width) in candidates.iter().zip(fit(&candidates, total, gap)) {
        let Some(width) = width else { continue };
        let bar = if has_bar(w.column) { bar } else { 0 };
        out.push(Slot { column: w.column, x, width: width + bar, bar });
        x += width + bar + gap;
    }
    out
}

/// The column at this x position.
pub(crate) fn column_at(app: &App, area: Rect, x: u16) -> Option<&'static Column> {
    slots(app, area).iter().find(|s| x + 1 >= s.x && x < s.x + s.width + 1).map(|s| s.column)
}

/// The gauge at this x position.
pub(crate) fn gauge_at(app: &App, area: Rect, x: u16) -> Option<Gauge> {
    slots(app, area).iter().find(|s| s.bar > 0 && x >= s.x && x < s.x + s.width)?.column.gauge
}
