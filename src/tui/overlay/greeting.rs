//! Card with the first keys to know, shown at the first start until a key is pressed.

use super::window::{edges, window};
use crate::model::lang::{noop, tr};
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
use crate::tui::command::COMMANDS;
use crate::tui::key;
use ratatui::layout::Rect;

/// The commands, with a description for new users.
const THREE: [(&str, &str); 3] = [
    ("filter", noop("filter as you type: nginx  :443  state:close-wait")),
    ("details", noop("show details of the selected line")),
    ("help", noop("list all keys (any key closes this card)")),
];

/// Draws the card at the lower edge of the table.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, body: Rect) {
    let high = THREE.len() as u16 + edges(app);
    if !app.greeting || body.height < high + 3 || body.width < 40 {
        return;
    }
    let wide = 68.min(body.width);
    let area = Rect::new(body.x, body.bottom() - high - 1, body.width, high);
    let r = window(app, canvas, area, wide, high, tr("getting started"));
    for (y, (name, text)) in (r.y..).zip(THREE) {
        let Some(i) = COMMANDS.iter().position(|c| c.name == name) else { continue };
        let Some(key) = app.options.keymap.keys(i).first() else { continue };
        let label = key::label(*key, app.glyphs.ascii);
        canvas.put(r.x + 1, y, 6, &label, app.theme.key);
        canvas.put(r.x + 2 + width(&label).max(5), y, r.width.saturating_sub(8), tr(text), app.theme.text);
    }
}
