//! The time bar: the moments that are kept, with a chart of one state, alerts, and the moment that is shown.

use crate::format::clock;
use crate::model::State;
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
use ratatui::layout::Rect;

/// State of the chart: the one that is filtered by, else the connections that are open.
fn charted(app: &App) -> State {
    app.filtered_state().unwrap_or(State::Established)
}

/// Draws the time bar; nothing while what is shown is live.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let Some(past) = app.past.as_ref().filter(|_| area.height > 0) else { return };
    let (Some(first), Some(last)) = (past.marks.first(), past.marks.last()) else { return };
    let (theme, y) = (app.theme, area.y);
    let state = charted(app);
    let mut x = area.x + 1;
    x += canvas.put(x, y, area.width, state.name(), theme.state(state)) - x + 1;
    x = canvas.put(x, y, area.right().saturating_sub(x), &clock(first.at.unix_ns), theme.dim) + 1;
    let end = clock(last.at.unix_ns);
    let bar = area.right().saturating_sub(x + width(&end) + 2);
    if bar == 0 {
        return;
    }
    let column = |n: usize| (n * usize::from(bar) / past.marks.len().max(1)) as u16;
    let mut values = vec![0; usize::from(bar)];
    let mut filled = vec![false; usize::from(bar)];
    for (n, mark) in past.marks.iter().enumerate() {
        let c = usize::from(column(n));
        values[c] = values[c].max(mark.states.get(state));
        filled[c] = true;
    }
    // With fewer moments than columns each lasts until the next.
    for c in 1..values.len() {
        if !filled[c] {
            values[c] = values[c - 1];
        }
    }
    canvas.trend(x, y, bar, &values, theme.state(state));
    for (n, pair) in past.marks.windows(2).enumerate() {
        if pair[1].alerts > pair[0].alerts {
            canvas.line(Rect::new(x + column(n + 1), y, 1, 1), theme.bad);
        }
    }
    canvas.line(Rect::new(x + column(past.number), y, 1, 1), theme.select);
    canvas.put(x + bar + 1, y, width(&end), &end, theme.dim);
}
