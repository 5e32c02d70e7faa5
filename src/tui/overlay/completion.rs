//! Completions of the filter, below the filter bar.

use crate::model::lang::tr;
use crate::msg;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use ratatui::layout::Rect;

/// Draws the completions.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, bar: Rect, all: Rect) {
    let Some(Overlay::Filter { menu, .. }) = &app.overlay else { return };
    if !menu.is_open() || bar.height == 0 {
        return;
    }
    let theme = app.theme;
    let view_state = app.view_state();
    let before = view_state.text.get(..menu.found.span.start).map_or(0, width);
    let most = usize::from(all.bottom().saturating_sub(bar.y + 2)).min(8);
    let from = menu.at.map_or(0, |at| (at + 1).saturating_sub(most));
    let items: Vec<_> = menu.found.items.iter().enumerate().skip(from).take(most).collect();
    let names = items.iter().map(|(_, i)| width(&i.text)).max().unwrap_or(0).clamp(8, 30);
    let wide = (names + 44).min(all.width);
    let x = (bar.x + 3 + before).saturating_sub(1).min(all.right().saturating_sub(wide));
    for (y, (i, item)) in (bar.y + 1..).zip(items) {
        let line = Rect::new(x, y, wide, 1);
        canvas.clear(line);
        canvas.line(line, theme.window);
        if theme.framed {
            canvas.put(x, y, 1, app.glyphs.vertical, theme.window);
        }
        canvas.put(x + 1, y, names.min(wide.saturating_sub(1)), &item.text, theme.strong);
        // Number and noun of the rows that have the value.
        let help = match item.help.split_once(' ') {
            Some((n, noun)) if n.parse::<u32>().is_ok() => msg!("{} {}", n, tr(noun)),
            _ => tr(&item.help).to_owned(),
        };
        let help = crate::model::text::escape(&help);
        canvas.put(x + names + 2, y, wide.saturating_sub(names + 3), &help, theme.dim);
        if menu.at == Some(i) {
            canvas.line(line, theme.select);
        }
    }
}
