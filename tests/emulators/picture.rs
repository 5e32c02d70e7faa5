//! Pixels of a terminal, cell by cell.

use std::collections::HashMap;
use std::ops::Range;

/// The picture of a terminal: its cells fill it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    /// Pixels of a line.
    pub(crate) width: usize,
    /// Red, green and blue of each, line by line.
    pub(crate) pixels: Vec<u32>,
    /// Size in cells.
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

fn luminance(rgb: u32) -> f64 {
    let linear = |shift: u32| {
        let c = f64::from(rgb >> shift & 0xff) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0)
}

/// Contrast of two colours, 1 to 21 (WCAG 2.2).
fn ratio(a: u32, b: u32) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

impl Picture {
    /// Pixels of a cell: columns and lines.
    fn area(&self, column: usize, row: usize) -> (Range<usize>, Range<usize>) {
        let height = self.pixels.len() / self.width;
        (
            column * self.width / self.columns..(column + 1) * self.width / self.columns,
            row * height / self.rows..(row + 1) * height / self.rows,
        )
    }

    /// Number of lines of pixels with ink in a cell.
    fn lines_of_ink(&self, column: usize, row: usize) -> usize {
        let (behind, ink) = self.cell(column, row);
        let (xs, ys) = self.area(column, row);
        // Bold letters reach one pixel into the cells beside them.
        let xs = xs.start + 1..xs.end - 1;
        let inked = |y: &usize| xs.clone().any(|x| self.pixels[y * self.width + x] != behind);
        if ink.is_some() { ys.filter(inked).count() } else { 0 }
    }

    /// Colour behind the text of a cell, and the strongest contrast of a colour on it; `None` in a blank cell.
    fn cell(&self, column: usize, row: usize) -> (u32, Option<f64>) {
        let (xs, ys) = self.area(column, row);
        let mut colors: HashMap<u32, usize> = HashMap::new();
        for y in ys {
            for x in xs.clone() {
                *colors.entry(self.pixels[y * self.width + x]).or_default() += 1;
            }
        }
        let behind = colors.iter().max_by_key(|(rgb, n)| (**n, **rgb)).map_or(0, |(rgb, _)| *rgb);
        let pixels: usize = colors.values().sum();
        let ink = colors.iter().filter(|(rgb, n)| **rgb != behind && **n > 1).map(|(rgb, n)| {
            // No letter fills so much: a block of a gauge or of the scroll bar, for which 3 is enough (WCAG 1.4.11).
            let block = *n * 100 > pixels * 44;
            ratio(*rgb, behind) * if block { 1.5 } else { 1.0 }
        });
        (behind, ink.max_by(f64::total_cmp))
    }

    /// Lowest contrast of a cell's text, and its place.
    pub(crate) fn lowest_contrast(&self) -> (f64, String) {
        let cells = (0..self.rows).flat_map(|y| (0..self.columns).map(move |x| (x, y)));
        cells
            .filter_map(|(x, y)| {
                let (behind, contrast) = self.cell(x, y);
                Some((contrast?, format!("line {}, column {}, on {behind:06x}", y + 1, x + 1)))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((f64::INFINITY, "no text".to_owned()))
    }

    /// Writes it into the folder of `SOCKSCOPE_TEST_PICTURES`, if set, to look at (PPM).
    pub(crate) fn keep(&self, name: &str) {
        let Some(folder) = std::env::var_os("SOCKSCOPE_TEST_PICTURES") else { return };
        let mut out = format!("P6 {} {} 255\n", self.width, self.pixels.len() / self.width).into_bytes();
        out.extend(self.pixels.iter().flat_map(|p| p.to_be_bytes().into_iter().skip(1)));
        std::fs::write(
            std::path::Path::new(&folder).join(format!("{}.ppm", name.replace([' ', '#'], "-"))),
            out,
        )
        .unwrap();
    }

    /// A cell that has ink where the text is blank, or the other way round; `None` if the picture shows this text. Some glyphs
    /// of other fonts are wider than their cell: a full screen may have a few such cells, a line not.
    /// A single line of ink in a blank cell is an underline. Blocks (`█ ▄ ▏`) stand for anything: one that fills its cell has no ink, one that is empty neither.
    pub(crate) fn difference(&self, text: &str) -> Option<String> {
        let mut lines = text.lines();
        let mut allowed = text.split_whitespace().count() / 10;
        for y in 0..self.rows {
            let mut line = lines.next().unwrap_or("").chars();
            for x in 0..self.columns {
                let wanted = line.next().unwrap_or(' ');
                let block = ('\u{2580}'..='\u{259f}').contains(&wanted);
                let wrong =
                    if wanted == ' ' { self.lines_of_ink(x, y) > 1 } else { self.lines_of_ink(x, y) == 0 };
                if wrong && !block && allowed > 0 {
                    allowed -= 1;
                } else if wrong && !block {
                    return Some(format!("line {}, column {}: {wanted:?} expected", y + 1, x + 1));
                }
            }
        }
        None
    }
}
