//! The key bar.

use crate::tui::app::App;
use crate::tui::canvas::Canvas;
use crate::tui::key;
use crate::tui::layout::key_bar;
use ratatui::layout::Rect;

/// The keys that matter here.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let theme = app.theme;
    canvas.line(area, theme.band);
    for s in key_bar::slots(app, area) {
        let label = key::label(app.options.keymap.keys(s.command)[0], app.glyphs.ascii);
        let after = canvas.put(s.x, area.y, s.width, &label, theme.key.patch(theme.on_band));
        canvas.put(after + 1, area.y, s.width, s.word, theme.band);
    }
}
