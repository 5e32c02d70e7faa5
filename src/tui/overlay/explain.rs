//! Explanation of the selected cell, state or table.

use super::window::{edges, put_range, window};
use crate::model::lang::tr;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use ratatui::layout::Rect;

/// Wrapped lines of a topic: text, and whether it is a title.
fn lines(text: &str, room: usize) -> Vec<(String, bool)> {
    let mut out: Vec<(String, bool)> = Vec::new();
    for paragraph in text.split("\n\n") {
        if !out.is_empty() {
            out.push((String::new(), false));
        }
        let mut open = false;
        for line in paragraph.lines() {
            // A diagram is not wrapped.
            if let Some(drawn) = line.strip_prefix("    ") {
                out.push((drawn.to_owned(), false));
                open = false;
                continue;
            }
            let title = line.starts_with('#');
            let numbered = line.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
            let item = line.trim_start().starts_with("- ") || numbered;
            let line = line.trim_start_matches('#').replace('`', "");
            // A paragraph is one text; titles and list items start new lines.
            if title || item || !open {
                out.push((String::new(), title));
            }
            open = !title;
            let list = |l: &str| l.starts_with("- ") || l.starts_with("1. ");
            let indent = if item || list(paragraph.trim_start()) { "  " } else { "" };
            for word in line.split_whitespace() {
                let Some((now, _)) = out.last_mut() else { break };
                let wide = usize::from(width(now)) + 1 + usize::from(width(word));
                if now.trim().is_empty() {
                    now.push_str(word);
                } else if wide > room {
                    out.push((format!("{indent}{word}"), false));
                } else {
                    now.push(' ');
                    now.push_str(word);
                }
            }
        }
    }
    out
}

fn size(all: Rect) -> (u16, u16) {
    (if all.width < 100 { all.width } else { 92 }, all.height)
}

/// The last line that can be scrolled to.
pub(super) fn extent(app: &App) -> usize {
    let Some(Overlay::Explain { text, .. }) = &app.overlay else { return 0 };
    let (w, h) = size(app.layout().windows());
    lines(text, usize::from(w.saturating_sub(4)))
        .len()
        .saturating_sub(usize::from(h.saturating_sub(edges(app))))
}

/// Draws the explanation.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, all: Rect) {
    let Some(Overlay::Explain { text, top }) = &app.overlay else { return };
    let theme = app.theme;
    let (w, h) = size(all);
    let all_lines = lines(text, usize::from(w.saturating_sub(4)));
    let h = h.min(all_lines.len() as u16 + edges(app));
    let r = window(app, canvas, all, w, h, tr("explain   Esc close"));
    put_range(app, canvas, r, *top, all_lines.len());
    for (y, (line, title)) in (r.top()..r.bottom()).zip(all_lines.iter().skip(*top)) {
        let style = if *title { theme.accent } else { theme.text };
        canvas.put(r.x + 1, y, r.width.saturating_sub(1), line.trim_end(), style);
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn diagrams_are_kept_and_text_is_wrapped() {
        let text = "# T\n\nsome words\nmore\n\n    a ──▶ b\n      c\n\n## S\n1. one two\n2. three\n- four";
        let all: Vec<String> = lines(text, 12).into_iter().map(|(l, _)| l.trim_end().to_owned()).collect();
        assert_eq!(
            all,
            [
                "T",
                "",
                "some words",
                "more",
                "",
                "a ──▶ b",
                "  c",
                "",
                "S",
                "1. one two",
                "2. three",
                "- four"
            ]
        );
    }
}
