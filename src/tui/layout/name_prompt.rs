//! Lines of the name that is entered: a path is broken rather than cut.

use crate::model::lang::tr;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::width;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Columns before the name: a blank, the question and a blank.
pub(crate) fn indent() -> u16 {
    2 + width(tr("save as"))
}

/// Columns for the name on each line, with one left for the cursor behind it.
pub(crate) fn room(total: u16) -> u16 {
    total.saturating_sub(indent() + 1).max(1)
}

/// The bytes of a text on each line of this width, at least one line.
pub(crate) fn broken(text: &str, room: u16) -> Vec<Range<usize>> {
    let (mut lines, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, cluster) in text.grapheme_indices(true) {
        let w = width(cluster);
        if used + w > room && at > start {
            lines.push(start..at);
            (start, used) = (at, 0);
        }
        used += w;
    }
    lines.push(start..text.len());
    lines
}

/// True if the name that is entered needs more than one line on a screen of this width.
pub(crate) fn is_long(app: &App, total: u16) -> bool {
    match &app.overlay {
        Some(Overlay::Name { text, .. }) => width(text) > room(total),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_whole_characters() {
        let lines =
            |text: &str| -> Vec<String> { broken(text, 4).into_iter().map(|r| text[r].to_owned()).collect() };
        assert_eq!(lines(""), [""]);
        assert_eq!(lines("/tmp"), ["/tmp"]);
        assert_eq!(lines("/tmp/a.csv"), ["/tmp", "/a.c", "sv"]);
        assert_eq!(lines("a한국어"), ["a한", "국어"], "a wide character is on one line");
    }
}
