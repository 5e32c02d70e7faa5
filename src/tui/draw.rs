//! The frame, part by part. Nothing here changes state, and only visible rows are formatted.

pub(crate) mod filter_bar;
pub(crate) mod header;
pub(crate) mod hosts;
pub(crate) mod key_bar;
mod name_prompt;
pub(crate) mod row;
mod service;
pub(crate) mod state_bar;
pub(crate) mod status;
pub(crate) mod table;
mod time_bar;

use super::app::{App, Overlay};
use super::canvas::{Canvas, width};
use super::layout::MIN_SIZE;
use super::{details, overlay};
use crate::model::lang::tr;
use crate::msg;
use crate::table::TableId;
use ratatui::Frame;
use ratatui::layout::Position;

/// Draws the dashboard.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let l = app.layout_in(frame.area());
    let mut canvas = Canvas { buf: frame.buffer_mut(), glyphs: &app.glyphs };
    canvas.line(l.all, app.theme.ground);
    if l.tiny {
        let full =
            msg!("too small: {}x{}, at least {}x{}", l.all.width, l.all.height, MIN_SIZE.0, MIN_SIZE.1);
        let text = if l.all.width < width(&full) { tr("too small") } else { &full };
        canvas.put(l.all.x, l.all.y, l.all.width, text, app.theme.text);
        return;
    }
    header::draw(app, &mut canvas, l.header);
    hosts::draw(app, &mut canvas, l.hosts);
    state_bar::draw(app, &mut canvas, l.state_bar);
    time_bar::draw(app, &mut canvas, l.time_bar);
    let filter_cursor = if matches!(app.overlay, Some(Overlay::Name { .. })) {
        name_prompt::draw(app, &mut canvas, l.filter, l.error)
    } else {
        filter_bar::draw_error(app, &mut canvas, l.error);
        filter_bar::draw(app, &mut canvas, l.filter)
    };
    state_bar::draw_top_alert(app, &mut canvas, &l);
    table::head(app, &mut canvas, l.head);
    table::body(app, &mut canvas, l.body);
    if (l.beside || l.details.area() == 0) && app.view_state().id() == TableId::Forwards {
        details::draw_below(app, &mut canvas, l.body);
    }
    if l.details.area() > 0 {
        details::draw(app, &mut canvas, l.details, l.beside);
    }
    status::draw(app, &mut canvas, l.status, l.header);
    key_bar::draw(app, &mut canvas, l.keys);
    // A screen reader follows the cursor.
    let line = app.options.calm.then(|| app.view_state().cursor.checked_sub(app.view_state().top)).flatten();
    let line = line.and_then(|n| u16::try_from(n).ok()).filter(|n| *n < l.body.height);
    let selected = line.filter(|_| app.overlay.is_none()).map(|n| Position::new(l.body.x, l.body.y + n));
    if let Some(at) = overlay::draw(app, &mut canvas, &l).or(filter_cursor).or(selected) {
        frame.set_cursor_position(at);
    }
}
