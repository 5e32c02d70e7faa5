//! Placement of the scroll bar's thumb beside a list that is longer than its area.

use std::ops::Range;

/// Lines of the area that the thumb covers; `None`: the list fits.
pub(crate) fn thumb(lines: usize, top: usize, height: usize) -> Option<Range<usize>> {
    if lines <= height || height < 3 {
        return None;
    }
    let size = (height * height / lines).clamp(1, height);
    let at = (top * (height - size) / (lines - height)).min(height - size);
    Some(at..at + size)
}

/// First line of the list while the thumb's middle is dragged to this line of the area.
pub(crate) fn top_at(lines: usize, line: usize, height: usize) -> usize {
    let Some(thumb) = thumb(lines, 0, height) else { return 0 };
    let way = height - thumb.len();
    let at = line.saturating_sub(thumb.len() / 2).min(way);
    (at * (lines - height)).checked_div(way).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumb_dragged_to_either_end_shows_the_first_and_the_last_line() {
        for height in 3..60 {
            for lines in [height + 1, height * 2, 1_000, 100_000] {
                assert_eq!(top_at(lines, 0, height), 0);
                assert_eq!(top_at(lines, height - 1, height), lines - height, "{lines} in {height}");
                let mut before = 0;
                for line in 0..height {
                    let top = top_at(lines, line, height);
                    assert!(top >= before && top <= lines - height);
                    let thumb = thumb(lines, top, height).unwrap();
                    assert!(thumb.end <= height && !thumb.is_empty(), "{lines} in {height}: {thumb:?}");
                    before = top;
                }
            }
            assert_eq!(thumb(height, 0, height), None);
        }
    }
}
