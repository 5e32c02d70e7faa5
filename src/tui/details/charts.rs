//! Charts of the history of a socket, a process, a limit or a state.

use super::{Builder, Pieces, pad};
use crate::format::{Kind, Value, cell};
use crate::model::Limit;
use crate::model::history::{Metric, Series, Subject};
use crate::model::lang::{noop, tr};
use crate::msg;
use crate::table::{SOCKETS, TableId};
use crate::tui::canvas::width;
use crate::tui::chart;

/// Columns of sockets with a chart.
const CHARTED: [(Metric, &str); 9] = [
    (Metric::Rx, "rx"),
    (Metric::Tx, "tx"),
    (Metric::Retrans, "retrans_rate"),
    (Metric::Rtt, "rtt_us"),
    (Metric::Cwnd, "snd_cwnd"),
    (Metric::DeliveryRate, "delivery_rate"),
    (Metric::PacingRate, "pacing_rate"),
    (Metric::RecvQ, "recv_q"),
    (Metric::SendQ, "send_q"),
];

/// Width of the titles.
const TITLE: usize = 9;
/// Width of the scale.
const SCALE: usize = 7;
/// Most cells of a chart.
const MAX_CELLS: usize = 120;

/// A chart before it is drawn.
struct Chart<'a> {
    title: &'a str,
    kind: Kind,
    series: Series,
    /// The value that is the limit.
    max: Option<u64>,
    height: usize,
}

impl Builder<'_> {
    /// Adds the charts of a socket.
    pub(super) fn socket_charts(&mut self, row: usize) {
        let s = self.snap.socket(row);
        let subject = Subject::Socket(s.id);
        let height = if self.compact { 2 } else { 3 };
        let charts = CHARTED.iter().filter_map(|(metric, name)| {
            // Meaningless for a listener, though the kernel reports them.
            if s.is_listener() && *metric != Metric::RecvQ {
                return None;
            }
            let column = SOCKETS.column(name)?;
            let series = self.snap.numbers.series(&subject, *metric)?;
            let max = Some(u64::from(s.send_q)).filter(|_| s.is_listener());
            Some(Chart { title: column.title, kind: column.kind, series, max, height })
        });
        self.charts(charts.collect());
    }

    /// Adds the charts of the throughput of a process.
    pub(super) fn traffic_charts(&mut self, row: usize) {
        let Some(subject) = self.snap.process_subject(row) else { return };
        let height = if self.compact { 2 } else { 3 };
        let charts =
            [(Metric::Rx, "RX/s"), (Metric::Tx, "TX/s")].into_iter().filter_map(|(metric, title)| {
                let series = self.snap.numbers.series(&subject, metric)?;
                Some(Chart { title, kind: Kind::BytesPerSec, series, max: None, height })
            });
        self.charts(charts.collect());
    }

    /// Adds the chart of the open descriptors of a process, up to their limit. The page of a limit has its own.
    pub(super) fn fd_chart(&mut self, row: usize, max: Option<u64>) {
        let is_process = self.app.view_state().id() == TableId::Processes;
        let Some(subject) = self.snap.process_subject(row).filter(|_| is_process) else { return };
        let height = if self.compact { 2 } else { 4 };
        let series = self.snap.numbers.series(&subject, Metric::Fds);
        let chart = series.map(|series| Chart { title: "FDS", kind: Kind::Count, series, max, height });
        self.pictures(chart.into_iter().collect());
    }

    /// Adds the chart of a limit.
    pub(super) fn limit_chart(&mut self, limit: &Limit) {
        let subject = self.snap.limit_subject(limit);
        let height = if self.compact { 3 } else { 5 };
        let title = if limit.max.is_none() && limit.drops.is_some() { noop("drops") } else { noop("used") };
        let series = self.snap.numbers.series(&subject, Metric::Used);
        let max = limit.capacity();
        let chart = series.map(|series| Chart { title: tr(title), kind: Kind::Amount, series, max, height });
        self.charts(chart.into_iter().collect());
    }

    /// Adds the chart of the number of sockets in a state.
    pub(super) fn state_chart(&mut self, state: crate::model::State) {
        let series = self.snap.numbers.series(&Subject::State(state), Metric::Used);
        let height = if self.compact { 3 } else { 5 };
        let chart =
            series.map(|series| Chart { title: tr("sockets"), kind: Kind::Count, series, max: None, height });
        self.charts(chart.into_iter().collect());
    }

    fn charts(&mut self, charts: Vec<Chart<'_>>) {
        if charts.is_empty() || self.width < TITLE + SCALE + 12 {
            return;
        }
        let span = chart::SPANS[self.app.chart_span % chart::SPANS.len()];
        let key = self.app.options.keymap.label("chart-span", self.app.glyphs.ascii);
        self.section(&msg!("last {} ({}: change)", span_text(span), key));
        if !self.pictures(charts) {
            self.text(tr("always 0"), self.app.theme.dim);
        }
    }

    /// Adds the charts and their time axis; false if there is nothing to show.
    fn pictures(&mut self, charts: Vec<Chart<'_>>) -> bool {
        let app = self.app;
        let span = chart::SPANS[app.chart_span % chart::SPANS.len()];
        let until = self.snap.sample.at.boot_ns;
        let room = self.width.saturating_sub(TITLE + 2 + SCALE).min(MAX_CELLS);
        if room < 10 {
            return false;
        }
        let cells = room * chart::points(app.glyphs.ascii).0;
        let shown = charts.into_iter().map(|c| (c.series.slots(until, span, cells), c));
        // An amount that was 0 all the time is not worth a chart.
        let mut shown: Vec<_> =
            shown.filter(|(slots, _)| slots.iter().flatten().any(|(_, high)| *high > 0.0)).collect();
        if shown.is_empty() {
            return false;
        }
        if !app.glyphs.moving {
            // The figures without a picture.
            for (slots, c) in shown {
                let text = self.extent_text(&slots, c.kind);
                self.row(c.title, &text);
            }
            return true;
        }
        for (slots, c) in &mut shown {
            self.chart(slots, c);
        }
        self.time_axis(span, room);
        true
    }

    /// Adds one chart with its title, present value and scale.
    fn chart(&mut self, slots: &[crate::model::history::Slot], c: &Chart<'_>) {
        let theme = self.app.theme;
        let glyphs = &self.app.glyphs;
        let highest = slots.iter().flatten().map(|(_, high)| f64::from(*high)).fold(0.0, f64::max);
        let by = if matches!(c.kind, Kind::Bytes | Kind::BytesPerSec) { 1024.0 } else { 1000.0 };
        // The scale ends at the limit if that is in sight.
        let limit = c.max.map(|max| max as f64).filter(|max| highest <= *max && highest * 4.0 >= *max);
        let top = limit.unwrap_or_else(|| chart::round_top(highest, by));
        let now = slots
            .last()
            .copied()
            .flatten()
            .map_or_else(|| "-".to_owned(), |(_, v)| self.figure(f64::from(v), c.kind));
        let (mark, wall, base) = if glyphs.ascii { ("+", "|", "+") } else { ("┤", "│", "┼") };
        let lines = chart::lines(slots, top, c.height, glyphs.ascii);
        for (i, line) in lines.into_iter().enumerate() {
            let (label, style) = match i {
                0 => (c.title.to_owned(), theme.dim),
                1 => (now.clone(), theme.strong),
                _ => (String::new(), theme.dim),
            };
            let (scale, edge) = match i {
                0 => (self.figure(top, c.kind), mark),
                _ if i + 1 == c.height => ("0".to_owned(), base),
                _ => (String::new(), wall),
            };
            let indent = " ".repeat(SCALE.saturating_sub(usize::from(width(&scale))));
            let mut pieces: Pieces = vec![
                (pad(&label, TITLE), style),
                (format!("{indent}{scale}"), theme.dim),
                (edge.to_owned(), theme.faint),
                (line, theme.accent),
            ];
            if i == 0 && limit.is_some() {
                pieces[1].1 = theme.text;
            }
            self.out.push(pieces);
        }
    }

    /// Adds the times under the charts.
    fn time_axis(&mut self, span: u32, room: usize) {
        let (first, middle, last) =
            (format!("-{}", span_text(span)), format!("-{}", span_text(span / 2)), tr("now"));
        let indent = " ".repeat(TITLE + 2 + SCALE);
        let gap = |taken: usize, to: usize| " ".repeat(to.saturating_sub(taken));
        let mut text = first;
        let at = (room / 2).saturating_sub(middle.len() / 2);
        if room >= 30 {
            text = format!("{text}{}{middle}", gap(text.len(), at));
        }
        let at = room.saturating_sub(usize::from(width(last)));
        let text = format!("{text}{}{last}", gap(text.len(), at));
        self.out.push(vec![(format!("{indent}{text}"), self.app.theme.dim)]);
    }

    /// Least and greatest value, and the present one.
    fn extent_text(&self, slots: &[crate::model::history::Slot], kind: Kind) -> String {
        let seen = || slots.iter().flatten();
        let low = seen().map(|(low, _)| f64::from(*low)).fold(f64::INFINITY, f64::min);
        let high = seen().map(|(_, high)| f64::from(*high)).fold(0.0, f64::max);
        let now = seen().next_back().map_or(0.0, |(_, v)| f64::from(*v));
        let text = |n: f64| self.figure(n, kind);
        msg!("{} now, {} to {}", text(now), text(low), text(high))
    }

    fn figure(&self, n: f64, kind: Kind) -> String {
        // Counts are shown as integers.
        let whole = matches!(kind, Kind::Count | Kind::Amount);
        let v = if whole { Value::Uint(n as u64) } else { Value::Float(n) };
        cell(&v, kind, &self.form).into_owned()
    }
}

/// A span as on the time axis: `30s`, `5m`, `2m30s`, `1h`.
pub(crate) fn span_text(secs: u32) -> String {
    crate::format::age(f64::from(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charted_columns_exist() {
        for (_, name) in CHARTED {
            assert!(SOCKETS.column(name).is_some(), "{name}");
        }
    }
}
