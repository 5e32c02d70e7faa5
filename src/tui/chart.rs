//! A line chart of a number over time, in braille or in ASCII: zero is the base line, a constant is a flat line.

use crate::model::history::Slot;

/// Time that charts show, in the order of their key, seconds.
pub(crate) const SPANS: [u32; 3] = [60, 300, 3_600];

/// Points of a cell: columns and rows.
pub(crate) const fn points(ascii: bool) -> (usize, usize) {
    if ascii { (1, 2) } else { (2, 4) }
}

/// Bits of the points of a braille cell, by column and row from the top.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Lines of the chart from the top, each of as many cells as the slots fill. `top` is the value of the upper edge.
pub(crate) fn lines(slots: &[Slot], top: f64, height: usize, ascii: bool) -> Vec<String> {
    let (per_cell, rows) = points(ascii);
    let width = slots.len().div_ceil(per_cell);
    let highest = (height * rows).saturating_sub(1);
    let level = |v: f32| {
        let share = if top > 0.0 { (f64::from(v) / top).clamp(0.0, 1.0) } else { 0.0 };
        (share * highest as f64).round() as usize
    };
    // Points set in each column of points: lowest and highest level, joined to the column before.
    let mut set = vec![0u32; width * height];
    let mut before: Option<(usize, usize)> = None;
    for (x, slot) in slots.iter().enumerate() {
        let span = slot.map(|(low, high)| (level(low), level(high)));
        if let Some((low, high)) = span {
            let (from, to) = match before {
                Some((_, was_high)) if low > was_high + 1 => (was_high + 1, high),
                Some((was_low, _)) if high + 1 < was_low => (low, was_low - 1),
                _ => (low, high),
            };
            for y in from..=to {
                let (line, row) = (height - 1 - y / rows, rows - 1 - y % rows);
                if let Some(cell) = set.get_mut(line * width + x / per_cell) {
                    *cell |= if ascii { 1 << row } else { DOTS[x % 2][row] };
                }
            }
        }
        before = span;
    }
    let glyph = |bits: &u32| match (ascii, bits) {
        (_, 0) => ' ',
        (true, 1) => '\'',
        (true, 2) => '.',
        (true, _) => ':',
        (false, bits) => char::from_u32(0x2800 + bits).unwrap_or(' '),
    };
    set.chunks(width.max(1)).map(|line| line.iter().map(glyph).collect()).collect()
}

/// The round number at the upper edge of a chart of values up to `max`; `by` is the factor between units, 1000 or 1024.
pub(crate) fn round_top(max: f64, by: f64) -> f64 {
    if !max.is_finite() || max <= 1.0 {
        return 1.0;
    }
    let mut unit = 1.0;
    while max / unit >= by {
        unit *= by;
    }
    let decade = 10f64.powi((max / unit).log10().floor() as i32);
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.iter().find(|s| **s * decade * unit >= max).unwrap_or(&10.0);
    let top = step * decade * unit;
    // 1,5 of a unit that is a whole number.
    if unit <= 1.0 { top.ceil() } else { top }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slots(values: &[f32]) -> Vec<Slot> {
        values.iter().map(|v| Some((*v, *v))).collect()
    }

    #[test]
    fn zero_is_the_base_and_a_constant_is_a_flat_line() {
        assert_eq!(lines(&slots(&[0.0; 6]), 10.0, 2, false), ["   ", "⣀⣀⣀"]);
        assert_eq!(lines(&slots(&[10.0; 6]), 10.0, 2, false), ["⠉⠉⠉", "   "]);
        assert_eq!(lines(&slots(&[5.0; 4]), 20.0, 1, true), ["...."]);
        assert_eq!(lines(&slots(&[0.0, 10.0]), 10.0, 1, true), [".'"]);
        assert_eq!(lines(&[], 10.0, 2, false).len(), 0);
    }

    #[test]
    fn steps_are_joined_and_gaps_are_blank() {
        assert_eq!(lines(&slots(&[0.0, 0.0, 7.0, 7.0]), 7.0, 2, false), [" ⡏", "⣀⠇"]);
        let gap = [Some((1.0, 1.0)), None, None, Some((1.0, 1.0))];
        assert_eq!(lines(&gap, 10.0, 1, true), [".  ."]);
    }

    #[test]
    fn edge_of_the_scale_is_a_round_number_that_is_not_exceeded() {
        for (max, by, top) in [
            (0.0, 1000.0, 1.0),
            (2.0, 1000.0, 2.0),
            (7.0, 1000.0, 8.0),
            (13.0, 1000.0, 15.0),
            (907.0, 1000.0, 1000.0),
            (1_460.0, 1000.0, 1_500.0),
            (5.0 * 1024.0, 1024.0, 5.0 * 1024.0),
            (700.0 * 1024.0, 1024.0, 800.0 * 1024.0),
        ] {
            assert!((round_top(max, by) - top).abs() < 1e-6, "{max}: {}", round_top(max, by));
        }
    }

    proptest! {
        #[test]
        fn every_reading_has_a_point_at_its_height(values in prop::collection::vec(0f32..1000.0, 1..80), height in 1usize..6) {
            let top = round_top(f64::from(values.iter().copied().fold(0.0, f32::max)), 1000.0);
            let drawn = lines(&slots(&values), top, height, false);
            prop_assert_eq!(drawn.len(), height);
            let grid: Vec<Vec<char>> = drawn.iter().map(|l| l.chars().collect()).collect();
            for (x, v) in values.iter().enumerate() {
                let y = (f64::from(*v) / top * (height * 4 - 1) as f64).round() as usize;
                let bits = grid[height - 1 - y / 4][x / 2] as u32;
                prop_assert!(bits >= 0x2800 && bits & DOTS[x % 2][3 - y % 4] != 0, "{} at {}", v, x);
            }
        }
    }
}
