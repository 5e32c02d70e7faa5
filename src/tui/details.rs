//! Details of the selected row or group, as lines of styled text.

mod bottleneck;
mod charts;
mod descriptors;
mod dns;
mod event;
mod fields;
mod group;
mod lifecycle;
mod limit;
mod map;
mod paths;
mod peer;
mod port;
mod process;
mod route;
mod socket;

pub(crate) use charts::span_text;
pub(crate) use paths::draw_below;

use super::app::App;
use super::canvas::{Canvas, width};
use super::detail_probe::DetailProbe;
use super::remote;
use crate::format::Column;
use crate::format::{Style as Format, age, cell, wrap};
use crate::model::Snapshot;
use crate::model::lang::tr;
use crate::model::snapshot::RemoteHost;
use crate::model::text::escape;
use crate::msg;
use crate::table::TableId;
use crate::view::Line;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Width of the labels.
const LABEL: usize = 16;

/// Difference of two clocks that is shown, seconds.
const CLOCK_DIFFERS: u64 = 5;

/// A line of pieces.
type Pieces = Vec<(String, Style)>;

struct Builder<'a> {
    app: &'a App,
    snap: &'a Snapshot,
    form: Format,
    width: usize,
    /// The pane is low: blank lines and help texts are left out.
    compact: bool,
    out: Vec<Pieces>,
}

/// The last line that the details can be scrolled to.
pub(crate) fn extent(app: &App) -> usize {
    let area = app.layout().details;
    (lines(app, area.width).len() + 1).saturating_sub(usize::from(area.height))
}

/// The details pane.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect, beside: bool) {
    let theme = app.theme;
    let mut inner = area;
    if beside {
        for y in area.top()..area.bottom() {
            canvas.put(area.x, y, 1, app.glyphs.vertical, theme.faint);
        }
        inner.x += 2;
        inner.width = inner.width.saturating_sub(3);
    } else {
        canvas.rule(area.x, area.y, area.width, theme.faint);
        inner.y += 1;
        inner.height = inner.height.saturating_sub(1);
        inner.x += 1;
        inner.width = inner.width.saturating_sub(2);
    }
    let all = lines(app, area.width);
    if beside && all.len() > usize::from(inner.height) {
        // The last line shows the scroll position.
        inner.height = inner.height.saturating_sub(1);
    }
    let most = all.len().saturating_sub(usize::from(inner.height));
    let top = app.details_top.min(most);
    for (y, line) in (inner.top()..inner.bottom()).zip(all.iter().skip(top)) {
        let mut x = inner.x;
        for (text, style) in line {
            x = canvas.put(x, y, inner.right().saturating_sub(x), text, *style);
        }
    }
    if most > 0 {
        let label = format!(
            " {}  [ ] ",
            msg!("{}-{} of {}", top + 1, all.len().min(top + usize::from(inner.height)), all.len())
        );
        let y = if beside { area.bottom() - 1 } else { area.y };
        canvas.put_right(area.right().saturating_sub(1), y, area.width, &label, theme.faint);
    }
}

fn lines(app: &App, pane: u16) -> Vec<Pieces> {
    let Some(snap) = &app.snapshot else { return vec![] };
    let mut b = Builder::new(app, snap, pane.saturating_sub(3), !app.layout().beside);
    let view_state = app.view_state();
    match view_state.lines.get(view_state.cursor) {
        None => b.text(tr("nothing selected"), app.theme.dim),
        Some(Line::Group(g)) => b.group(*g as usize),
        Some(Line::Row(r)) => {
            if let Some(host) = snap.host_of(view_state.id(), *r as usize) {
                b.host(host);
            }
            let (on, r) = snap.at(view_state.id(), *r as usize);
            b.snap = on;
            match view_state.id() {
                TableId::Sockets => b.socket(r),
                TableId::Ports => b.port(r),
                TableId::Processes => b.process(r),
                TableId::Peers => b.peer(r),
                TableId::Limits => b.limit(r),
                TableId::Forwards => b.forward(r),
                TableId::Map => b.edge(r),
                TableId::Events => b.event(r),
                TableId::Dns => b.question(r),
            }
            if view_state.view.table.is_sockets() {
                b.route(r);
                b.peer_socket(r);
                b.socket_charts(r);
                b.multipath(r);
                b.bottleneck(r);
                b.lifecycle(r);
            }
            b.fields(r);
        }
    }
    b.out
}

impl<'a> Builder<'a> {
    fn new(app: &'a App, snap: &'a Snapshot, width: u16, compact: bool) -> Self {
        Self { app, snap, form: app.options.format(), width: usize::from(width), compact, out: Vec::new() }
    }
}

impl<'a> Builder<'a> {
    /// The probe of the selected row, if its host is the one whose rows are shown.
    fn probe(&self) -> Option<&'a DetailProbe> {
        let probe = self.app.detail_probe.as_ref()?;
        let is_of_host = probe.host.as_ref().is_none_or(|host| *host == self.snap.sample.host);
        (is_of_host && probe.host.is_some() == self.app.options.hosts).then_some(probe)
    }
}

impl Builder<'_> {
    fn text(&mut self, text: &str, style: Style) {
        for line in wrap(text, self.width) {
            self.out.push(vec![(line, style)]);
        }
    }

    /// Host of the row among several, and its state if the row is not of now.
    fn host(&mut self, host: &RemoteHost) {
        let theme = self.app.theme;
        let mut line =
            vec![(pad(tr("host"), self.label()), theme.dim), (escape(&host.name).into_owned(), theme.strong)];
        if host.is_late() {
            line.push((format!("  {}", remote::state(host)), theme.warn));
        }
        self.out.push(line);
        if host.is_late() && !host.reason.is_empty() {
            self.text(&escape(&host.reason), theme.warn);
        }
        // Within the time that an answer takes, clocks do not differ.
        if host.clock_s.unsigned_abs() >= CLOCK_DIFFERS {
            let by = age(host.clock_s.unsigned_abs() as f64);
            let text = match host.clock_s {
                1.. => msg!("its clock is {} ahead of this machine's", by),
                _ => msg!("its clock is {} behind this machine's", by),
            };
            self.text(&text, theme.dim);
        }
    }

    fn title(&mut self, text: &str) {
        let style = self.app.theme.strong;
        self.text(text, style);
    }

    fn section(&mut self, name: &str) {
        if !self.compact {
            self.out.push(vec![]);
        }
        self.out.push(vec![(name.to_owned(), self.app.theme.accent)]);
    }

    /// Width of the labels in this pane.
    fn label(&self) -> usize {
        LABEL.min(self.width / 2)
    }

    /// Adds a label and a text, wrapped.
    fn row(&mut self, name: &str, text: &str) {
        let (dim, plain) = (self.app.theme.dim, self.app.theme.text);
        let (label, mut name) = (self.label(), name);
        let text = escape(text);
        for line in wrap(&text, self.width.saturating_sub(label + 1)) {
            self.out.push(vec![(pad(name, label), dim), (line, plain)]);
            name = "";
        }
    }

    fn value(&self, c: &Column, row: usize) -> String {
        cell(&c.value(self.snap, row), c.kind, &self.form).into_owned()
    }
}

/// The text, filled up with blanks to `w` columns, and one more.
fn pad(s: &str, w: usize) -> String {
    format!("{s}{} ", " ".repeat(w.saturating_sub(usize::from(width(s)))))
}
