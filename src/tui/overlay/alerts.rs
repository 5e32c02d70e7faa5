//! List of alerts, with advice on the selected one.

use super::list::{Entry, List};
use crate::diagnose::finding::limit_diagnosis;
use crate::diagnose::remedy;
use crate::format::wrap;
use crate::model::Level;
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::table::TableId;
use crate::tui::app::App;
use crate::tui::canvas::Canvas;
use crate::tui::navigate;
use ratatui::layout::Rect;

/// Lines of advice below the alerts.
const ADVICE_LINES: u16 = 6;

pub(super) fn list(app: &App, at: usize) -> Option<List> {
    let snap = app.snapshot.as_ref()?;
    let entry = |a: &crate::model::Alert| {
        let critical = a.level == Level::Critical;
        let (snap, limit) = snap.at(TableId::Limits, a.limit as usize);
        let text = escape(&limit_diagnosis(snap, limit).map(|d| d.evidence).unwrap_or_default()).into_owned();
        let text = on_host(app, a.limit as usize, &text);
        Entry {
            mark: if critical { app.glyphs.alarm } else { app.glyphs.dot },
            mark_style: if critical { |t| t.bad } else { |t| t.warn },
            ..Entry::new(snap.limits[limit].kind.info().name, text)
        }
    };
    let entries: Vec<Entry> = snap.alerts.iter().map(entry).collect();
    Some(List {
        empty: tr("no alerts"),
        width: 130,
        below: ADVICE_LINES,
        ..List::new(tr("alerts"), at, entries)
    })
}

/// The text, after the name of the host of a limit among several.
fn on_host(app: &App, limit: usize, text: &str) -> String {
    let host = app.snapshot.as_ref().and_then(|s| s.host_of(TableId::Limits, limit));
    host.map_or_else(|| text.to_owned(), |h| format!("{}  {text}", escape(&h.name)))
}

/// Opens the limit of the alert with its details.
pub(super) fn enter(app: &mut App, at: usize) {
    app.overlay = None;
    let limit = app.snapshot.as_ref().and_then(|s| s.alerts.get(at)).map(|a| a.limit as usize);
    if let Some(limit) = limit {
        app.details = true;
        navigate::to_limit(app, limit);
    }
}

/// Draws the advice on the selected alert.
pub(super) fn draw_advice(app: &App, canvas: &mut Canvas<'_>, r: Rect, at: usize) {
    let Some(snap) = app.snapshot.as_ref().filter(|_| r.height > 0) else { return };
    let Some(alert) = snap.alerts.get(at) else { return };
    let (snap, row) = snap.at(TableId::Limits, alert.limit as usize);
    let theme = app.theme;
    canvas.rule(r.x, r.y, r.width, theme.faint);
    let help = snap.limits[row].kind.info().help;
    let mut lines = vec![(tr(help).to_owned(), theme.text)];
    lines.extend(remedy::steps(snap, row).into_iter().map(|s| {
        let style = if s.starts_with("  ") { theme.strong } else { theme.dim };
        (s, style)
    }));
    let room = usize::from(r.width.saturating_sub(2));
    let lines = lines.iter().flat_map(|(text, style)| {
        let exact = text.starts_with("  ");
        let text = escape(text).into_owned();
        let parts = if exact { vec![text] } else { wrap(&text, room) };
        parts.into_iter().map(|l| (l, *style))
    });
    // Cut before a line that announces what does not fit.
    let mut lines: Vec<_> = lines.collect();
    let height = usize::from(r.height.saturating_sub(2));
    if lines.len() > height {
        lines.truncate(height);
        while lines.last().is_some_and(|(text, _)| text.ends_with(':')) {
            lines.pop();
        }
    }
    for (y, (text, style)) in (r.y + 1..r.bottom().saturating_sub(1)).zip(lines) {
        canvas.put(r.x + 1, y, r.width.saturating_sub(2), &text, style);
    }
    canvas.put(r.x + 1, r.bottom() - 1, r.width, tr("Enter: open in Limits with details"), theme.faint);
}
