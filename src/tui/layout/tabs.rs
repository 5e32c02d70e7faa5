//! Placement of the tabs in the header.

use crate::tui::app::App;
use crate::tui::canvas::width;
use ratatui::layout::Rect;

/// Tabs with their placement: index, first column, width.
pub(crate) fn tabs(app: &App, area: Rect) -> Vec<(usize, u16, u16)> {
    let host = app.snapshot.as_ref().map_or(0, |s| width(&s.sample.host).min(20) + 2);
    let named = area.width >= 100 + host;
    let mut x = area.x + 1 + if area.width >= 100 { 11 } else { 0 } + if named { host } else { 0 };
    let mut out = Vec::new();
    for (i, s) in app.view_states.iter().enumerate() {
        let w = 3 + width(s.view.table.title);
        let w = if area.width >= 56 {
            w + 1
        } else if area.width >= 30 || i == app.active {
            w
        } else {
            2
        };
        if x + w > area.right() {
            break;
        }
        out.push((i, x, w));
        x += w;
    }
    out
}
