//! The frame.

use super::App;
use ratatui::Frame;
use ratatui::text::Line;

/// Draws the dashboard.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let line = match &app.snapshot {
        Some(s) => format!(" sockscope  {}  {} sockets", s.sample.host, s.live),
        None => " sockscope  reading".into(),
    };
    let mut area = frame.area();
    area.height = area.height.min(1);
    frame.render_widget(Line::from(line), area);
}
