//! Drawing into the frame's buffer: clipped text, gauges, trends.

use super::theme::Glyphs;
use crate::model::text::escape;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Display width of a text.
pub(crate) fn width(s: &str) -> u16 {
    if s.is_ascii() { s.len() as u16 } else { s.width().min(usize::from(u16::MAX)) as u16 }
}

/// The buffer of a frame and the glyphs to draw with.
pub(crate) struct Canvas<'a> {
    pub(crate) buf: &'a mut Buffer,
    pub(crate) glyphs: &'a Glyphs,
}

impl Canvas<'_> {
    /// Writes text in at most `max` columns from `x`, clipped with a mark if it is longer; returns the column after it.
    /// Control characters are escaped, and nothing outside the buffer is touched.
    pub(crate) fn put(&mut self, x: u16, y: u16, max: u16, text: &str, style: Style) -> u16 {
        let area = self.buf.area;
        if y >= area.bottom() || x >= area.right() || max == 0 {
            return x;
        }
        let max = max.min(area.right() - x);
        let text = escape(text);
        let w = width(&text);
        if w <= max {
            return self.raw(x, y, max, &text, style);
        }
        self.raw(x, y, max - 1, &text, style);
        // The mark is in the last column even if a wide character leaves a gap before it, so that what
        // follows does not move.
        self.raw(x + max - 1, y, 1, self.glyphs.cut, style)
    }

    fn raw(&mut self, x: u16, y: u16, max: u16, text: &str, style: Style) -> u16 {
        if self.glyphs.ascii && !text.is_ascii() {
            let plain: String = text.graphemes(true).map(|g| if g.is_ascii() { g } else { "?" }).collect();
            return self.buf.set_stringn(x, y, plain, usize::from(max), style).0;
        }
        self.buf.set_stringn(x, y, text, usize::from(max), style).0
    }

    /// Writes text right-aligned before column `end`, in at most `max` columns; returns its first column.
    pub(crate) fn put_right(&mut self, end: u16, y: u16, max: u16, text: &str, style: Style) -> u16 {
        let w = width(&escape(text)).min(max);
        let x = end.saturating_sub(w);
        self.put(x, y, end - x, text, style);
        x
    }

    /// Empties an area. A wide character that reaches into it from the left is replaced by a blank.
    pub(crate) fn clear(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            let before = area.left().checked_sub(1).and_then(|x| self.buf.cell_mut((x, y)));
            if let Some(cell) = before.filter(|c| width(c.symbol()) > 1) {
                cell.set_symbol(" ");
            }
            for x in area.left()..area.right() {
                if let Some(cell) = self.buf.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// Styles a whole line.
    pub(crate) fn line(&mut self, area: Rect, style: Style) {
        self.buf.set_style(area.intersection(self.buf.area), style);
    }

    /// Draws a horizontal rule.
    pub(crate) fn rule(&mut self, x: u16, y: u16, w: u16, style: Style) {
        for i in x..x.saturating_add(w) {
            self.put(i, y, 1, self.glyphs.horizontal, style);
        }
    }

    /// Draws a gauge of `w` columns, filled to `share`; a share above zero shows at least the thinnest part.
    pub(crate) fn gauge(&mut self, x: u16, y: u16, w: u16, share: f64, style: Style, track: Style) {
        if !self.glyphs.moving {
            return;
        }
        let steps = self.glyphs.parts.len() as u32 + 1;
        let total = u32::from(w) * steps;
        let mut fill = (share.clamp(0.0, 1.0) * f64::from(total)).round() as u32;
        if share > 0.0 {
            fill = fill.max(1);
        }
        if share < 1.0 {
            fill = fill.min(total.saturating_sub(1));
        }
        for i in 0..w {
            let here = fill.saturating_sub(u32::from(i) * steps).min(steps);
            let (glyph, style) = match here {
                0 => (self.glyphs.empty, track),
                n if n == steps => (self.glyphs.full, style),
                n => (self.glyphs.parts[n as usize - 1], style),
            };
            self.put(x + i, y, 1, glyph, style);
        }
    }

    /// Draws a sparkline of the last `w` values, scaled from their minimum; a flat line is low, and a level is at least one.
    pub(crate) fn trend(&mut self, x: u16, y: u16, w: u16, values: &[u32], style: Style) {
        if !self.glyphs.moving {
            return;
        }
        let values = &values[values.len().saturating_sub(usize::from(w))..];
        let (Some(low), Some(high)) = (values.iter().min(), values.iter().max()) else { return };
        let top = self.glyphs.levels.len() as u32 - 1;
        for (i, v) in values.iter().enumerate() {
            // The span is at least an eighth of the maximum and as many as there are levels, so that small changes look small:
            // from 1 to 2 is one level, not a full block.
            let span = (high - low).max(high / 8).max(top);
            let level = (u64::from(v - low) * u64::from(top)).div_ceil(u64::from(span)).min(u64::from(top));
            self.put(x + i as u16, y, 1, self.glyphs.levels[level as usize], style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{ASCII, UNICODE};

    #[test]
    fn level_of_a_sparkline_is_at_least_one_and_small_changes_look_small() {
        let drawn = |values: &[u32], glyphs: &Glyphs| -> String {
            let mut buf = Buffer::empty(Rect::new(0, 0, 8, 1));
            Canvas { buf: &mut buf, glyphs }.trend(0, 0, 8, values, Style::new());
            (0..8).map(|x| buf[(x, 0)].symbol()).collect::<String>().trim_end().to_owned()
        };
        for (values, unicode) in [
            (&[5, 5, 5][..], "▁▁▁"),
            (&[1, 2, 2], "▁▂▂"),
            (&[0, 1, 3, 7], "▁▂▄█"),
            (&[0, 70], "▁█"),
            (&[1000, 1010], "▁▂"),
            (&[0, u32::MAX], "▁█"),
        ] {
            assert_eq!(drawn(values, &UNICODE), unicode, "{values:?}");
        }
        assert_eq!(drawn(&[1, 2, 3], &ASCII), "_.-");
    }
}
