//! Aligned columns for people: fitted to a terminal's width, as wide as the content when piped; never wrapped.

use super::{BLOCK, Listing};
use crate::format::column_layout::{Candidate, fit};
use crate::format::{Align, Column, Kind};
use crate::format::{push_cell, shorten, shorten_middle, width};
use crate::sync::{cores, par_map};
use std::io::{self, Write};
use std::ops::Range;

/// Blanks between neighbours.
const GAP: u16 = 2;

/// The cells of some rows of a table, all text in one allocation.
#[derive(Default)]
struct Cells {
    text: String,
    /// End of each cell in `text`, and its width in screen columns, row by row.
    ends: Vec<(u32, u16)>,
    /// The widest of each column.
    naturals: Vec<u16>,
}

impl Cells {
    /// Of these rows.
    fn of(rows: Range<usize>, list: &Listing<'_>) -> Self {
        let (grid, columns) = (list.grid, list.grid.columns());
        let mut out = Self {
            // What a row of addresses and numbers mostly takes.
            text: String::with_capacity(rows.len() * columns.len() * 10),
            ends: Vec::with_capacity(rows.len() * columns.len()),
            naturals: vec![0; columns.len()],
        };
        for row in rows {
            for (i, (c, natural)) in columns.iter().zip(&mut out.naturals).enumerate() {
                let w = push_cell(&mut out.text, &grid.value(row, i), c.kind, list.style);
                let w = w.min(usize::from(u16::MAX)) as u16;
                out.ends.push((out.text.len() as u32, w));
                *natural = (*natural).max(w);
            }
        }
        out
    }

    fn get(&self, i: usize) -> (&str, u16) {
        let start = if i == 0 { 0 } else { self.ends[i - 1].0 as usize };
        let (end, w) = self.ends[i];
        (&self.text[start..end as usize], w)
    }

    /// The lines of its rows.
    fn lines(&self, widths: &[Option<u16>], list: &Listing<'_>) -> String {
        let columns = list.grid.columns();
        let wide: usize = widths.iter().flatten().map(|w| usize::from(*w + GAP)).sum();
        let mut out = String::with_capacity(self.ends.len() / columns.len() * (wide + 1));
        for row in 0..self.ends.len() / columns.len() {
            let from = out.len();
            for (j, (c, w)) in columns.iter().zip(widths).enumerate() {
                let (text, natural) = self.get(row * columns.len() + j);
                put(&mut out, from, text, natural, *w, c, list);
            }
            end(&mut out, from);
        }
        out
    }
}

/// Writes the rows.
pub fn write(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    let columns = list.grid.columns();
    if columns.is_empty() {
        return Ok(());
    }
    let blocks = par_map(list.grid.len().div_ceil(BLOCK), |i| {
        Cells::of(i * BLOCK..((i + 1) * BLOCK).min(list.grid.len()), list)
    });
    let title = |c: &&Column| if list.header { width(c.title) as u16 } else { 0 };
    let mut naturals: Vec<u16> = columns.iter().map(title).collect();
    for block in &blocks {
        naturals.iter_mut().zip(&block.naturals).for_each(|(n, w)| *n = (*n).max(*w));
    }
    let widths: Vec<Option<u16>> = match list.width {
        Some(total) => {
            let candidates: Vec<Candidate> = columns
                .iter()
                .zip(&naturals)
                .map(|(column, natural)| Candidate { column, natural: *natural })
                .collect();
            fit(&candidates, total, GAP)
        }
        None => naturals.iter().map(|w| Some(*w)).collect(),
    };
    if list.header {
        let mut line = String::new();
        for (c, w) in columns.iter().zip(&widths) {
            put(&mut line, 0, c.title, width(c.title) as u16, *w, c, list);
        }
        end(&mut line, 0);
        let line = line.trim_end_matches('\n');
        if list.color {
            writeln!(out, "\x1b[1m{line}\x1b[0m")?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    // A few at a time, so that the lines of all rows are never there at once.
    for some in blocks.chunks(cores()) {
        for lines in par_map(some.len(), |i| some[i].lines(&widths, list)) {
            out.write_all(lines.as_bytes())?;
        }
    }
    Ok(())
}

/// Appends one cell in its width to the line that begins at `from`, with the gap before it.
fn put(
    out: &mut String,
    from: usize,
    text: &str,
    natural: u16,
    width: Option<u16>,
    c: &Column,
    list: &Listing<'_>,
) {
    let Some(width) = width else { return };
    if out.len() > from {
        blanks(out, usize::from(GAP));
    }
    let short;
    let (text, taken) = if natural > width {
        // Of an address both ends tell something.
        short = match c.kind {
            Kind::Endpoint | Kind::Addr => shorten_middle(text, usize::from(width), list.style),
            _ => shorten(text, usize::from(width), list.style),
        };
        (short.as_ref(), crate::format::width(&short) as u16)
    } else {
        (text, natural)
    };
    let pad = usize::from(width.saturating_sub(taken));
    if c.align == Align::Right {
        blanks(out, pad);
    }
    out.push_str(text);
    if c.align == Align::Left {
        blanks(out, pad);
    }
}

/// Appends so many blanks.
fn blanks(out: &mut String, mut n: usize) {
    const SOME: &str = "                                ";
    while n > 0 {
        let now = n.min(SOME.len());
        out.push_str(&SOME[..now]);
        n -= now;
    }
}

/// Ends the line that begins at `from`: no blanks at its end.
fn end(out: &mut String, from: usize) {
    out.truncate(from + out[from..].trim_end().len());
    out.push('\n');
}
