//! Plots of the history of the selected socket.

use super::{Builder, Pieces, pad};
use crate::format::{Kind, Value};
use crate::format::{age, cell};
use crate::msg;
use crate::table::SOCKETS;
use crate::tui::socket_history::RECORDED;

/// Height of a plot, lines.
const HEIGHT: usize = 2;
/// Width of the numbers after the plots.
const FIGURES: usize = 18;

impl Builder<'_> {
    /// Adds a plot of every recorded column that was not always zero.
    pub(super) fn plots(&mut self) {
        let app = self.app;
        let track = &app.socket_history;
        let room = self.width.saturating_sub(self.label() + 1 + FIGURES);
        let nonzero = |v: &Vec<Option<f64>>| v.len() > 1 && v.iter().any(|x| x.is_some_and(|x| x > 0.0));
        // Meaningless for a listener, though the kernel reports them.
        let listens = app.view_state().row().is_some_and(|r| self.snap.socket(r).is_listener());
        let applies = |name: &str| !listens || name == "recv_q";
        let shown: Vec<_> =
            RECORDED.iter().zip(&track.values).filter(|(n, v)| nonzero(v) && applies(n)).collect();
        if room < 10 || shown.is_empty() || !app.glyphs.moving {
            return;
        }
        let secs = track.span.1.saturating_sub(track.span.0) as f64 / 1e9;
        self.section(&msg!("history ({}, since selected)", age(secs)));
        let high = if self.compact { 1 } else { HEIGHT };
        for (name, values) in shown {
            let Some(column) = SOCKETS.column(name) else { continue };
            let seen = &values[values.len().saturating_sub(room)..];
            let most = seen.iter().flatten().copied().fold(0.0, f64::max);
            let format = |n: f64| {
                // Counts are shown as integers.
                let v = if column.kind == Kind::Count { Value::Uint(n as u64) } else { Value::Float(n) };
                cell(&v, column.kind, &self.form).into_owned()
            };
            let now = seen.last().copied().flatten().map_or_else(|| "-".to_owned(), format);
            for line in 0..high {
                let bottom = line + 1 == high;
                let mut pieces: Pieces = vec![
                    (pad(if bottom { column.title } else { "" }, self.label()), app.theme.dim),
                    (row_of(seen, most, high - 1 - line, high, app.glyphs.levels), app.theme.accent),
                ];
                if bottom {
                    pieces.push((format!(" {now:>6}"), app.theme.strong));
                    pieces.push((format!(" {}", msg!("max {}", format(most))), app.theme.faint));
                }
                self.out.push(pieces);
            }
        }
    }
}

/// One line of a plot of `high` lines, `up` lines above the lowest.
fn row_of(values: &[Option<f64>], most: f64, up: usize, high: usize, levels: &[&str]) -> String {
    let steps = levels.len();
    // Keeps a gap to the plot above.
    let full = (steps * high).saturating_sub(if high > 1 { steps / 4 } else { 0 }) as f64;
    let glyph = |v: &Option<f64>| {
        let Some(v) = v.filter(|_| most > 0.0) else { return " " };
        let height = (v / most * full).ceil().clamp(0.0, full) as usize;
        match height.saturating_sub(up * steps).min(steps) {
            // The baseline is drawn where there was a reading.
            0 if up == 0 => levels[0],
            0 => " ",
            n => levels[n - 1],
        }
    };
    values.iter().map(glyph).collect()
}

#[cfg(test)]
mod tests {
    use super::row_of;

    #[test]
    fn plot_is_scaled_to_the_maximum_and_blank_where_missing() {
        let levels = ["1", "2", "3", "4"];
        let v = [Some(0.0), Some(4.0), None, Some(8.0), Some(5.0)];
        assert_eq!(row_of(&v, 8.0, 0, 2, &levels), "14 44");
        assert_eq!(row_of(&v, 8.0, 1, 2, &levels), "   31");
        assert_eq!(row_of(&[Some(0.0)], 0.0, 0, 1, &levels), " ");
    }
}
