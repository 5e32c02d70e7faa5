//! The name that is entered, on the line of the filter and the one below.

use crate::model::lang::tr;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use crate::tui::layout::name_prompt::{broken, indent, room};
use ratatui::layout::{Position, Rect};

/// Draws the name; the cursor position. `None`: no name is entered.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, first: Rect, second: Rect) -> Option<Position> {
    let Some(Overlay::Name { text, cursor, proposed, .. }) = &app.overlay else { return None };
    let theme = app.theme;
    canvas.put(first.x + 1, first.y, first.width, tr("save as"), theme.accent);
    let x = first.x + indent();
    let lines = broken(text, room(first.width));
    let areas = [first, second].into_iter().filter(|r| r.height > 0);
    let most = areas.clone().count();
    // The lines up to that of the cursor; a longer text is scrolled.
    let here = lines.iter().rposition(|line| line.start <= *cursor).unwrap_or(0);
    let skip = (here + 1).saturating_sub(most);
    if skip > 0 {
        canvas.put(x - 1, first.y, 1, app.glyphs.cut, theme.dim);
    }
    // A proposed name is selected: what is typed replaces it.
    let style = if *proposed { theme.strong.patch(theme.select) } else { theme.strong };
    let mut at = None;
    for ((i, line), area) in lines.iter().enumerate().skip(skip).zip(areas) {
        canvas.put(x, area.y, area.right().saturating_sub(x), &text[line.clone()], style);
        if i == here {
            let before = text.get(line.start..*cursor).map_or(0, width);
            at = Some(Position::new((x + before).min(area.right().saturating_sub(1)), area.y));
        }
    }
    at
}
