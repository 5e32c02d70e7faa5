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
    let (theme, y) = (app.theme, area.y);
    let state = charted(app);
    let mut x = area.x + 1;
    x += canvas.put(x, y, area.width, state.name(), theme.state(state)) - x + 1;
    x = canvas.put(x, y, area.right().saturating_sub(x), &clock(past.span_ns.0), theme.dim) + 1;
    let end = clock(past.span_ns.1);
    let bar = area.right().saturating_sub(x + width(&end) + 2);
    if bar == 0 || past.periods.is_empty() {
        return;
    }
    let column = |n: usize, all: usize| (n * usize::from(bar) / all.max(1)) as u16;
    let mut values = vec![0; usize::from(bar)];
    let mut filled = vec![false; usize::from(bar)];
    let (mut alerts, mut unknown) = (Vec::new(), Vec::new());
    for (n, period) in past.periods.iter().enumerate() {
        let c = column(n, past.periods.len());
        if let Some(states) = &period.states {
            let value = &mut values[usize::from(c)];
            *value = (*value).max(states.get(state));
        }
        filled[usize::from(c)] = true;
        match period.alert {
            Some(true) => alerts.push(c),
            Some(false) => {}
            None => unknown.push(c),
        }
    }
    // With fewer moments than columns each lasts until the next.
    for c in 1..values.len() {
        if !filled[c] {
            values[c] = values[c - 1];
        }
    }
    canvas.trend(x, y, bar, &values, theme.state(state));
    // Where alerts are not known yet the chart is dim.
    for c in unknown {
        canvas.line(Rect::new(x + c, y, 1, 1), theme.dim);
    }
    for c in alerts {
        canvas.line(Rect::new(x + c, y, 1, 1), theme.bad);
    }
    let (first, last) = past.span_ns;
    let marked = app.compare_from.as_ref().map(|s| s.sample.at.unix_ns);
    if let Some(marked) = marked.filter(|at| (first..=last).contains(at)) {
        let share = (marked - first) as f64 / (last - first).max(1) as f64;
        let c = (share * f64::from(bar - 1)) as u16;
        canvas.put(x + c, y, 1, app.glyphs.mark, theme.accent);
    }
    canvas.line(Rect::new(x + column(past.number, past.moments), y, 1, 1), theme.select);
    canvas.put(x + bar + 1, y, width(&end), &end, theme.dim);
}
