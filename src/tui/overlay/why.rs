//! Answer to why a row does not work: the answer first, then the steps of the kernel with their evidence.

use super::window::{edges, put_range, window};
use crate::diagnose::why::{Answer, Status, Step, Verdict};
use crate::format::{clock, wrap};
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::msg;
use crate::tui::answer_page::AnswerPage;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Columns of a status with its mark, and of the name of a step.
const STATUS: usize = 15;
const NAME: usize = 13;
/// Least width of a page whose evidence is beside the names of the steps.
const BESIDE: usize = 60;
/// Columns that evidence below the names is indented by.
const INDENT: usize = 4;

type Pieces = Vec<(String, Style)>;

/// Lines of a page of a width.
struct Page<'a> {
    app: &'a App,
    room: usize,
    out: Vec<Pieces>,
}

impl Page<'_> {
    fn text(&mut self, text: &str, style: Style) {
        for line in wrap(&escape(text), self.room) {
            self.out.push(vec![(line, style)]);
        }
    }

    /// Text behind a start that is `used` columns wide, which is repeated as blanks before every further line.
    fn behind(&mut self, mut start: Pieces, used: usize, text: &str, style: Style) {
        for line in wrap(&escape(text), self.room.saturating_sub(used).max(1)) {
            start.push((line, style));
            self.out.push(std::mem::replace(&mut start, vec![(" ".repeat(used), style)]));
        }
    }

    fn answer(&mut self, a: &Answer) {
        let theme = self.app.theme;
        let style = match a.verdict {
            Verdict::Reachable => theme.good,
            Verdict::Cause => theme.bad,
            Verdict::Unknown => theme.warn,
        };
        self.text(&a.line(), style);
        self.out.push(vec![]);
        let first = a.steps.iter().position(Step::is_failure);
        for (i, s) in a.steps.iter().enumerate() {
            self.step(s, first == Some(i));
        }
    }

    fn step(&mut self, s: &Step, is_answer: bool) {
        let (theme, glyphs) = (self.app.theme, self.app.glyphs);
        let (mark, style) = match s.status {
            Status::Ok => (glyphs.tick, theme.good),
            Status::Fails => (glyphs.alarm, theme.bad),
            Status::Likely => (glyphs.notice, theme.warn),
            Status::NotVisible => ("?", theme.dim),
        };
        let status = format!("{mark} {}", tr(s.status.name()));
        let rest = STATUS.saturating_sub(usize::from(width(&status)));
        let mut start =
            vec![(status, style), (" ".repeat(rest), theme.text), (pad(&s.name, NAME), theme.dim)];
        let mut used = STATUS + NAME;
        if self.room < BESIDE {
            self.out.push(std::mem::replace(&mut start, vec![(" ".repeat(INDENT), theme.text)]));
            used = INDENT;
        }
        let at = s.netns.as_ref().map_or(String::new(), |n| format!("[{n}] "));
        let plain = if s.is_failure() { theme.strong } else { theme.text };
        self.behind(start, used, &format!("{at}{}", s.evidence), plain);
        if let Some(cause) = s.cause.filter(|_| is_answer) {
            let start = vec![(" ".repeat(used), theme.dim)];
            self.behind(start, used, tr(cause.remedy), theme.accent);
        }
    }
}

/// The text, filled up with blanks to `w` columns.
fn pad(s: &str, w: usize) -> String {
    format!("{s}{}", " ".repeat(w.saturating_sub(usize::from(width(s)))))
}

fn lines(app: &App, page: &AnswerPage, room: usize) -> Vec<Pieces> {
    let theme = app.theme;
    let mut p = Page { app, room, out: Vec::new() };
    p.text(&page.subject, theme.strong);
    let state = match &page.answer {
        _ if page.reading => Some(match (&page.waiting, &app.snapshot) {
            (Some(waiting), Some(snap)) => waiting.text(snap),
            _ => tr("reading the path").to_owned(),
        }),
        Some(Ok((ns, _))) => {
            Some(msg!("read at {}; {} reads again", clock(*ns), app.key_label("why-refresh")))
        }
        _ => None,
    };
    if let Some(state) = state {
        p.text(&state, theme.dim);
    }
    if let Some(Err(why)) = &page.answer {
        p.text(why, theme.warn);
    }
    if let Some(answer) = page.shown() {
        p.out.push(vec![]);
        if !matches!(page.answer, Some(Ok(_))) {
            p.text(tr("by the moment that is shown:"), theme.dim);
        }
        p.answer(answer);
    }
    if !page.findings.is_empty() {
        p.out.push(vec![]);
        p.out.push(vec![(tr("findings").to_owned(), theme.accent)]);
        for (evidence, help) in &page.findings {
            p.text(evidence, theme.text);
            p.text(tr(help), theme.dim);
        }
    }
    p.out
}

fn size(all: Rect) -> (u16, u16) {
    (if all.width < 100 { all.width } else { all.width.min(120) }, all.height)
}

/// The last line that can be scrolled to.
pub(super) fn extent(app: &App) -> usize {
    let Some(Overlay::Why(page, _)) = &app.overlay else { return 0 };
    let (w, h) = size(app.layout().windows());
    lines(app, page, usize::from(w.saturating_sub(4)))
        .len()
        .saturating_sub(usize::from(h.saturating_sub(edges(app))))
}

/// Draws the page.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, all: Rect) {
    let Some(Overlay::Why(page, top)) = &app.overlay else { return };
    let (w, h) = size(all);
    let all_lines = lines(app, page, usize::from(w.saturating_sub(4)));
    let h = h.min(all_lines.len() as u16 + edges(app));
    let title = match &page.host {
        Some(host) => msg!("why on {}   Esc close", escape(host)),
        None => tr("why   Esc close").to_owned(),
    };
    let r = window(app, canvas, all, w, h, &title);
    let most = all_lines.len().saturating_sub(usize::from(r.height));
    for (y, line) in (r.top()..r.bottom()).zip(all_lines.iter().skip((*top).min(most))) {
        let mut x = r.x + 1;
        for (text, style) in line {
            x = canvas.put(x, y, r.right().saturating_sub(x), text, *style);
        }
    }
    put_range(app, canvas, r, (*top).min(most), all_lines.len());
}
