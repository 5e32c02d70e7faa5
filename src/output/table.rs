//! Aligned columns: fitted to the terminal width, as wide as the content when piped; never wrapped.

use super::grid::{BLOCK, Listing};
use crate::format::column_layout::{Candidate, fit_rows, is_whole};
use crate::format::{Align, Column, Role};
use crate::format::{push_cell, shorten, shorten_middle, shorten_name, width};
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
    /// Content width of each column.
    content_widths: Vec<u16>,
}

impl Cells {
    /// Formats these rows.
    fn new(rows: Range<usize>, list: &Listing<'_>) -> Self {
        let (grid, columns) = (list.grid, list.grid.columns());
        let mut out = Self {
            // Typical width of addresses and numbers.
            text: String::with_capacity(rows.len() * columns.len() * 10),
            ends: Vec::with_capacity(rows.len() * columns.len()),
            content_widths: vec![0; columns.len()],
        };
        for row in rows {
            for (i, (c, natural)) in columns.iter().zip(&mut out.content_widths).enumerate() {
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
                push_padded(&mut out, from, text, natural, *w, c, list);
            }
            end_line(&mut out, from);
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
        Cells::new(i * BLOCK..((i + 1) * BLOCK).min(list.grid.len()), list)
    });
    let title = |c: &&Column| if list.header { width(c.title) as u16 } else { 0 };
    let mut content_widths: Vec<u16> = columns.iter().map(title).collect();
    for block in &blocks {
        content_widths.iter_mut().zip(&block.content_widths).for_each(|(n, w)| *n = (*n).max(*w));
    }
    let widths: Vec<Option<u16>> = match list.width {
        Some(total) => {
            let taken = |n: usize| -> usize {
                let widths = columns.iter().zip(&content_widths).take(n);
                let most = |c: &Column, w: u16| if is_whole(c) { w } else { w.min(c.width.max) };
                widths.map(|(c, w)| usize::from(most(c, *w) + GAP)).sum::<usize>()
            };
            // Optional columns take only what the others leave.
            let least = columns.len().saturating_sub(list.optional);
            let shown = (least..=columns.len()).rev().find(|n| taken(*n) <= usize::from(total + GAP));
            let candidates: Vec<Candidate> = columns
                .iter()
                .zip(&content_widths)
                .take(shown.unwrap_or(least))
                .map(|(column, natural)| Candidate {
                    column,
                    natural: *natural,
                    named: list.named.contains(column),
                })
                .collect();
            let mut widths = fit_rows(&candidates, total, GAP);
            widths.resize(columns.len(), None);
            widths
        }
        None => content_widths.iter().map(|w| Some(*w)).collect(),
    };
    if list.header {
        write_header(out, &widths, list)?;
    }
    // A few blocks at a time, to bound memory.
    for chunk in blocks.chunks(cores()) {
        for lines in par_map(chunk.len(), |i| chunk[i].lines(&widths, list)) {
            out.write_all(lines.as_bytes())?;
        }
    }
    Ok(())
}

/// A table that is written in parts: the widths stay, and grow only where there is room.
#[derive(Debug)]
pub struct TableStream {
    /// Width of the terminal; `None`: as wide as the content.
    total: Option<u16>,
    widths: Vec<Option<u16>>,
}

impl TableStream {
    /// A table of this width.
    pub const fn new(total: Option<u16>) -> Self {
        Self { total, widths: Vec::new() }
    }

    /// Writes the next rows, after the header if the listing has one.
    pub fn write(&mut self, out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
        let columns = list.grid.columns();
        let cells = Cells::new(0..list.grid.len(), list);
        if self.widths.len() != columns.len() {
            let natural = |(c, w): (&&'static Column, &u16)| Candidate {
                column: c,
                natural: c.width.normal.max(width(c.title) as u16).max((*w).min(c.width.max)),
                named: list.named.contains(c),
            };
            let all: Vec<Candidate> = columns.iter().zip(&cells.content_widths).map(natural).collect();
            self.widths = match self.total {
                Some(total) => fit_rows(&all, total, GAP),
                None => all.iter().map(|c| Some(c.natural)).collect(),
            };
        }
        if self.total.is_none() {
            for (w, content) in self.widths.iter_mut().zip(&cells.content_widths) {
                *w = w.map(|w| w.max(*content));
            }
        }
        if list.header {
            write_header(out, &self.widths, list)?;
        }
        out.write_all(cells.lines(&self.widths, list).as_bytes())
    }
}

/// Writes the titles of the columns.
fn write_header(out: &mut dyn Write, widths: &[Option<u16>], list: &Listing<'_>) -> io::Result<()> {
    let mut line = String::new();
    for (c, w) in list.grid.columns().iter().zip(widths) {
        push_padded(&mut line, 0, c.title, width(c.title) as u16, *w, c, list);
    }
    end_line(&mut line, 0);
    let line = line.trim_end_matches('\n');
    if list.color { writeln!(out, "\x1b[1m{line}\x1b[0m") } else { writeln!(out, "{line}") }
}

/// Appends one cell in its width to the line that begins at `from`, with the gap before it.
fn push_padded(
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
    // A number is never cut: the line is longer.
    let (text, taken) = if natural > width && !is_whole(c) {
        // An address is cut in the middle, since both ends matter.
        short = if c.keeps_end() {
            shorten_middle(text, usize::from(width), list.style)
        } else if c.is(Role::Owner) {
            shorten_name(text, usize::from(width), list.style)
        } else {
            shorten(text, usize::from(width), list.style)
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

/// Appends `n` blanks.
fn blanks(out: &mut String, mut n: usize) {
    const SOME: &str = "                                ";
    while n > 0 {
        let now = n.min(SOME.len());
        out.push_str(&SOME[..now]);
        n -= now;
    }
}

/// Ends the line that begins at `from`, without trailing blanks.
fn end_line(out: &mut String, from: usize) {
    out.truncate(from + out[from..].trim_end().len());
    out.push('\n');
}
