//! Placement of the tabs in the header.

use crate::model::lang::tr;
use crate::tui::app::App;
use crate::tui::canvas::width;
use crate::tui::event::Recorded;
use ratatui::layout::Rect;

/// Width of a tab without its title.
const NUMBER: u16 = 2;

/// Room kept for the poll state: mark, word and interval.
const MARK: u16 = 14;
/// The same for a recording and the past: mark, time, and the interval or how long ago it was.
const MARK_OF_TIME: u16 = 19;

/// Words beside the poll state: what is shown is not the real name, and what is written.
pub(crate) fn badges(app: &App) -> (Option<&'static str>, Option<&'static str>) {
    let redacted = app.snapshot.as_ref().is_some_and(|s| s.sample.redacted);
    let written = match app.recording {
        Recorded::Off => None,
        Recorded::On => Some(tr("rec")),
        Recorded::Paused => Some(tr("rec paused")),
    };
    (redacted.then(|| tr("redacted")), written)
}

/// Tabs with their placement: index, first column, width.
pub(crate) fn tabs(app: &App, area: Rect) -> Vec<(usize, u16, u16)> {
    let host = app.snapshot.as_ref().map_or(0, |s| width(&s.sample.host).min(20) + 2);
    let named = area.width >= 100 + host;
    let mut x = area.x + 1 + if area.width >= 100 { 11 } else { 0 } + if named { host } else { 0 };
    let mut widths: Vec<u16> = app.view_states.iter().map(|s| 3 + width(s.view.table.title)).collect();
    if area.width >= 56 {
        for w in &mut widths {
            *w += 1;
        }
    }
    let (redacted, written) = badges(app);
    let mark = if app.past.is_some() || app.recorded { MARK_OF_TIME } else { MARK };
    let room = mark + redacted.into_iter().chain(written).map(|badge| width(badge) + 2).sum::<u16>();
    // Where not all titles fit, tabs from the right are only numbers; never the active one.
    for i in (0..widths.len()).rev() {
        if x + widths.iter().sum::<u16>() + room > area.right() && i != app.active {
            widths[i] = NUMBER;
        }
    }
    let mut out = Vec::new();
    for (i, w) in widths.into_iter().enumerate() {
        if x + w > area.right() {
            break;
        }
        out.push((i, x, w));
        x += w;
    }
    out
}
