//! Paths of forwarded connections as boxes from the client to the process, one beside the other.

use super::{Builder, Pieces};
use crate::diagnose::finding::forward_diagnosis;
use crate::diagnose::route::{Step, StepKind, forward_route, host_text};
use crate::format::{shorten, width};
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::model::{Forward, Level, Snapshot};
use crate::msg;
use crate::tui::app::App;
use crate::tui::canvas::Canvas;
use crate::view::Line;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Width of the arrow between two boxes.
const ARROW: usize = 4;
/// Frame and blanks of a box.
const FRAME: usize = 4;
/// Least lines of the paths below the table.
const MIN_LINES: u16 = 5;

/// Parts of a frame: corners, horizontal, vertical.
struct Frame {
    top: [&'static str; 2],
    bottom: [&'static str; 2],
    flat: &'static str,
    side: &'static str,
}

const PLAIN: Frame = Frame { top: ["╭", "╮"], bottom: ["╰", "╯"], flat: "─", side: "│" };
/// A hop that nothing serves, distinct without colour.
const DEAD: Frame = Frame { top: ["┏", "┓"], bottom: ["┗", "┛"], flat: "━", side: "┃" };
const ASCII: Frame = Frame { top: ["+", "+"], bottom: ["+", "+"], flat: "-", side: "|" };
const ASCII_DEAD: Frame = Frame { top: ["#", "#"], bottom: ["#", "#"], flat: "=", side: "#" };

/// Draws the paths of the forwards in the part of the table that has no rows, from the selected one on.
pub(crate) fn draw_below(app: &App, canvas: &mut Canvas<'_>, body: Rect) {
    let Some(snap) = &app.snapshot else { return };
    let view_state = app.view_state();
    let used = view_state.lines.len().min(usize::from(body.height)) as u16;
    if view_state.lines.is_empty() || body.height - used < MIN_LINES + 1 {
        return;
    }
    let area = Rect { y: body.y + used + 1, height: body.height - used - 1, ..body };
    let mut b = Builder::new(app, snap, area.width.saturating_sub(3), false);
    let rows =
        view_state.lines.iter().filter_map(|l| if let Line::Row(r) = l { Some(*r as usize) } else { None });
    let (before, from): (Vec<_>, Vec<_>) = rows.enumerate().partition(|(i, _)| *i < view_state.cursor);
    // All of them in their order if they fit, else from the selected one on.
    let count = before.len() + from.len();
    let all_fit = count * 6 <= usize::from(area.height);
    let ordered = if all_fit { [before, from].concat() } else { from };
    // Notes have lines of their own where there is room for all.
    for compact in [false, true] {
        b = Builder::new(app, snap, area.width.saturating_sub(3), compact);
        for (i, number) in &ordered {
            if b.out.len() > usize::from(area.height) {
                break;
            }
            let row;
            (b.snap, row) = snap.at(view_state.id(), *number);
            b.path_title(row, *i == view_state.cursor);
            b.forward_path(row);
        }
        if b.out.len() <= usize::from(area.height) {
            break;
        }
    }
    for (y, line) in (area.top()..area.bottom()).zip(&b.out) {
        let mut x = area.x + 1;
        for (text, style) in line {
            x = canvas.put(x, y, area.right().saturating_sub(x), text, *style);
        }
    }
}

impl Builder<'_> {
    /// Adds the endpoint of a forward, and its finding.
    fn path_title(&mut self, row: usize, selected: bool) {
        let theme = self.app.theme;
        let Some(f) = self.snap.forward_rows().get(row) else { return };
        let proto = f.proto.map_or("any", |p| p.name());
        let edge = if selected { self.app.glyphs.edge } else { " " };
        let mut line: Pieces = vec![
            (edge.to_owned(), theme.accent),
            (format!("{proto} {}", escape(&host_text(f))), if selected { theme.strong } else { theme.text }),
        ];
        if let Some(d) = forward_diagnosis(self.snap, row) {
            let style = if d.severity == Level::Critical { theme.bad } else { theme.warn };
            line.push(("  ".to_owned(), theme.text));
            line.push((escape(&d.evidence).into_owned(), style));
        }
        self.out.push(line);
    }

    /// Adds the path of a forward: boxes beside each other, or steps below each other where they do not fit.
    pub(super) fn forward_path(&mut self, row: usize) {
        let Some(f) = self.snap.forward_rows().get(row) else { return };
        let mut steps = vec![clients(f)];
        steps.extend(forward_route(self.snap, f));
        match self.boxes(&steps, rates(self.snap, f)) {
            Some(lines) => self.out.extend(lines),
            None => self.steps(&steps),
        }
    }

    /// The steps as boxes; `None` if they do not fit.
    fn boxes(&self, steps: &[Step], rates: Option<String>) -> Option<Vec<Pieces>> {
        let theme = self.app.theme;
        let ascii = self.app.glyphs.ascii;
        let mut texts: Vec<(String, String)> =
            steps.iter().map(|s| (escape(&s.what).into_owned(), escape(&s.note).into_owned())).collect();
        if let (Some(first), Some(rates)) = (texts.first_mut(), rates) {
            first.1 = rates;
        }
        let least = |i: usize| width(&texts[i].0).max(width(tr(steps[i].kind.name())) + 2);
        let taken = (steps.len() - 1) * ARROW + steps.len() * FRAME;
        let needed: usize = (0..steps.len()).map(least).sum();
        let mut spare = self.width.checked_sub(taken + needed)?;
        // Room that is left goes to the notes, from the client on.
        let widths: Vec<usize> = (0..steps.len())
            .map(|i| {
                let more = width(&texts[i].1).saturating_sub(least(i)).min(spare).min(24);
                spare -= more;
                least(i) + more
            })
            .collect();
        let mut lines: [Pieces; 4] = Default::default();
        for (i, (step, (what, note))) in steps.iter().zip(&texts).enumerate() {
            let dead = step.kind == StepKind::NoListener;
            let frame = match (ascii, dead) {
                (false, false) => PLAIN,
                (false, true) => DEAD,
                (true, false) => ASCII,
                (true, true) => ASCII_DEAD,
            };
            let edge = if dead { theme.bad } else { theme.faint };
            if i > 0 {
                let arrow = match (ascii, dead) {
                    (false, false) => "──▶ ",
                    (false, true) => "──✗ ",
                    (true, false) => "--> ",
                    (true, true) => "--x ",
                };
                for (y, line) in lines.iter_mut().enumerate() {
                    let text = if y == 1 { arrow.to_owned() } else { " ".repeat(ARROW) };
                    line.push((text, if dead { plain_bad(theme.bad) } else { theme.dim }));
                }
            }
            let w = widths[i];
            let title = tr(step.kind.name());
            let likely = if step.certain { "" } else { "?" };
            let rule = frame.flat.repeat((w + 1).saturating_sub(width(title) + 1 + width(likely)));
            lines[0].extend([
                (format!("{} ", frame.top[0]), edge),
                (format!("{title}{likely}"), theme.dim),
                (format!(" {rule}{}", frame.top[1]), edge),
            ]);
            let what_style = match step.kind {
                StepKind::Via => theme.accent,
                StepKind::NoListener => theme.bad,
                _ => theme.strong,
            };
            for (y, text, style) in [(1, what, what_style), (2, note, theme.dim)] {
                let text = shorten(text, w, &self.form);
                let fill = " ".repeat(w.saturating_sub(width(&text)));
                lines[y].extend([
                    (format!("{} ", frame.side), edge),
                    (text, style),
                    (format!("{fill} {}", frame.side), edge),
                ]);
            }
            let rule = frame.flat.repeat(w + 2);
            lines[3].push((format!("{}{rule}{}", frame.bottom[0], frame.bottom[1]), edge));
        }
        Some(lines.into())
    }
}

/// Without the underline, which would join the arrow and the box.
pub(super) fn plain_bad(style: Style) -> Style {
    style.remove_modifier(ratatui::style::Modifier::UNDERLINED)
}

/// The clients of a forward as the first step.
fn clients(f: &Forward) -> Step {
    let what = match f.clients {
        0 => tr("no active connections").to_owned(),
        1 => tr("1 active connection").to_owned(),
        n => msg!("{} active connections", n),
    };
    Step { kind: StepKind::Client, what, note: String::new(), certain: true }
}

/// Rates of a forward, if it has any.
fn rates(_: &Snapshot, f: &Forward) -> Option<String> {
    let rate = |n: Option<f64>| n.map(crate::format::bytes);
    Some(format!("RX {}/s TX {}/s", rate(f.rx)?, rate(f.tx)?)).filter(|_| f.clients > 0)
}
