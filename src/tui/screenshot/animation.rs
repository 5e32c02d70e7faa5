//! Animated SVG of several screens, such as those after each key of a script. A line that stays the same is written once.

use super::{CELL, EDGE, GROUND, drawn, ground, head, push_row};
use crate::tui::app::App;
use std::fmt::Write as _;

/// One screen of an animation.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its lines as SVG, and below them the caption.
    lines: Vec<String>,
    /// Time for which it is shown, milliseconds.
    ms: u32,
}

/// The current screen, with a caption below it.
pub fn frame(app: &App, caption: &str, ms: u32) -> Frame {
    let buffer = drawn(app);
    let line = |row| {
        let mut out = String::new();
        push_row(&mut out, &buffer, row);
        out
    };
    let mut lines: Vec<String> = (0..buffer.area.height).map(line).collect();
    lines.push(caption_line(caption, buffer.area.height));
    Frame { lines, ms }
}

/// The keys pressed, below the screen.
fn caption_line(caption: &str, row: u16) -> String {
    let y = EDGE + (f32::from(row) + 1.0) * CELL.1 + 13.5;
    let safe = caption.replace('&', "&amp;").replace('<', "&lt;");
    match safe.trim() {
        "" => String::new(),
        safe => {
            format!("<text x=\"{EDGE:.1}\" y=\"{y:.1}\" fill=\"#{:06x}\">keys: {safe}</text>\n", GROUND.1)
        }
    }
}

/// The frames one after another, again and again. Without animation, as in a printed page, the last one is shown.
pub fn animation(app: &App, frames: &[Frame]) -> String {
    let total = u64::from(frames.iter().map(|f| f.ms).sum::<u32>()).max(1);
    let size = app.size();
    let mut out = head(size.width, size.height + 2, ground(app));
    let count = frames.iter().map(|f| f.lines.len()).max().unwrap_or(0);
    for line in 0..count {
        for (text, shown) in line_spans(frames, line) {
            push_line(&mut out, text, &shown, total);
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Beginning and end, milliseconds.
type Span = (u64, u64);

/// The texts of a line, each with the times at which it is shown.
fn line_spans(frames: &[Frame], line: usize) -> Vec<(&str, Vec<Span>)> {
    let mut out: Vec<(&str, Vec<Span>)> = Vec::new();
    let mut begin = 0;
    for frame in frames {
        let end = begin + u64::from(frame.ms);
        let text = frame.lines.get(line).map_or("", String::as_str);
        match out.iter_mut().find(|(known, _)| *known == text) {
            Some((_, spans)) => match spans.last_mut().filter(|s| s.1 == begin) {
                Some(last) => last.1 = end,
                None => spans.push((begin, end)),
            },
            None => out.push((text, vec![(begin, end)])),
        }
        begin = end;
    }
    out.retain(|(text, _)| !text.is_empty());
    out
}

fn push_line(out: &mut String, text: &str, spans: &[Span], total: u64) {
    if spans == [(0, total)] {
        out.push_str(text);
        return;
    }
    let (mut values, mut times) = (Vec::new(), Vec::new());
    let mut push = |at: u64, value: &'static str| {
        values.push(value);
        times.push(format!("{:.4}", at as f64 / total as f64));
    };
    if spans.first().is_some_and(|s| s.0 > 0) {
        push(0, "none");
    }
    for (begin, end) in spans {
        push(*begin, "inline");
        if *end < total {
            push(*end, "none");
        }
    }
    let at_rest = if spans.last().is_some_and(|s| s.1 == total) { "inline" } else { "none" };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<g display=\"{at_rest}\"><animate attributeName=\"display\" values=\"{}\" keyTimes=\"{}\" calcMode=\"discrete\" \
         dur=\"{:.1}s\" repeatCount=\"indefinite\"/>\n{text}</g>",
        values.join(";"),
        times.join(";"),
        total as f64 / 1000.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(lines: &[&[&str]]) -> Vec<Frame> {
        let line = |l: &&[&str]| Frame { lines: l.iter().map(|t| (*t).to_owned()).collect(), ms: 500 };
        lines.iter().map(line).collect()
    }

    #[test]
    fn line_that_stays_is_written_once() {
        let all = frames(&[&["a", "x"], &["a", "y"], &["a", "x"], &["a", ""]]);
        assert_eq!(line_spans(&all, 0), [("a", vec![(0, 2000)])]);
        assert_eq!(line_spans(&all, 1), [("x", vec![(0, 500), (1000, 1500)]), ("y", vec![(500, 1000)])]);
        let mut out = String::new();
        push_line(&mut out, "x", &[(0, 500), (1000, 1500)], 2000);
        assert!(
            out.contains("values=\"inline;none;inline;none\" keyTimes=\"0.0000;0.2500;0.5000;0.7500\""),
            "{out}"
        );
        assert!(out.starts_with("<g display=\"none\">") && out.contains("dur=\"2.0s\""), "{out}");
        let mut out = String::new();
        push_line(&mut out, "z", &[(1500, 2000)], 2000);
        assert!(
            out.starts_with("<g display=\"inline\">") && out.contains("keyTimes=\"0.0000;0.7500\""),
            "{out}"
        );
    }
}
