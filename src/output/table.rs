//! Aligned columns for people: fitted to a terminal's width, as wide as the content when piped; never wrapped.

use super::Listing;
use crate::query::fit::{Wish, fit};
use crate::query::format::{cell, shorten, shorten_middle, width};
use crate::query::{Align, Column, Kind, Value};
use std::io::{self, Write};

/// Blanks between neighbours.
const GAP: u16 = 2;

/// The cells of a table, all text in one allocation.
struct Cells {
    text: String,
    /// End of each cell in `text`, and its width in screen columns, row by row.
    ends: Vec<(u32, u16)>,
}

impl Cells {
    fn push(&mut self, s: &str) -> u16 {
        self.text.push_str(s);
        let w = width(s).min(usize::from(u16::MAX)) as u16;
        self.ends.push((self.text.len() as u32, w));
        w
    }

    fn get(&self, i: usize) -> (&str, u16) {
        let start = if i == 0 { 0 } else { self.ends[i - 1].0 as usize };
        let (end, w) = self.ends[i];
        (&self.text[start..end as usize], w)
    }
}

/// Writes the rows.
pub fn write(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    let (grid, columns) = (list.grid, list.grid.columns());
    let n = columns.len();
    if n == 0 {
        return Ok(());
    }
    let mut naturals: Vec<u16> =
        columns.iter().map(|c| if list.header { width(c.title) as u16 } else { 0 }).collect();
    let mut cells = Cells { text: String::new(), ends: Vec::with_capacity(grid.len() * n) };
    for row in 0..grid.len() {
        for (i, (c, natural)) in columns.iter().zip(&mut naturals).enumerate() {
            let w = match grid.value(row, i) {
                Value::Missing(_) => cells.push("-"),
                v => cells.push(&cell(&v, c.kind, list.style)),
            };
            *natural = (*natural).max(w);
        }
    }
    let widths: Vec<Option<u16>> = match list.width {
        Some(total) => {
            let wishes: Vec<Wish> = columns
                .iter()
                .zip(&naturals)
                .map(|(column, natural)| Wish { column, natural: *natural })
                .collect();
            fit(&wishes, total, GAP)
        }
        None => naturals.iter().map(|w| Some(*w)).collect(),
    };
    let mut line = String::new();
    if list.header {
        for (c, w) in columns.iter().zip(&widths) {
            put(&mut line, c.title, width(c.title) as u16, *w, c, list);
        }
        end(out, &mut line, list.color.then_some("\x1b[1m"))?;
    }
    for row in 0..grid.len() {
        for (j, (c, w)) in columns.iter().zip(&widths).enumerate() {
            let (text, natural) = cells.get(row * n + j);
            put(&mut line, text, natural, *w, c, list);
        }
        end(out, &mut line, None)?;
    }
    Ok(())
}

/// Appends one cell in its width, with the gap before it.
fn put(line: &mut String, text: &str, natural: u16, width: Option<u16>, c: &Column, list: &Listing<'_>) {
    let Some(width) = width else { return };
    if !line.is_empty() {
        line.extend(std::iter::repeat_n(' ', usize::from(GAP)));
    }
    let short;
    let (text, taken) = if natural > width {
        // Of an address both ends tell something.
        short = match c.kind {
            Kind::Endpoint | Kind::Addr => shorten_middle(text, usize::from(width), list.style),
            _ => shorten(text, usize::from(width), list.style),
        };
        (short.as_ref(), crate::query::format::width(&short) as u16)
    } else {
        (text, natural)
    };
    let pad = usize::from(width.saturating_sub(taken));
    if c.align == Align::Right {
        line.extend(std::iter::repeat_n(' ', pad));
    }
    line.push_str(text);
    if c.align == Align::Left {
        line.extend(std::iter::repeat_n(' ', pad));
    }
}

/// Ends the line: no blanks at its end.
fn end(out: &mut dyn Write, line: &mut String, paint: Option<&str>) -> io::Result<()> {
    line.truncate(line.trim_end().len());
    match paint {
        Some(code) => writeln!(out, "{code}{line}\x1b[0m")?,
        None => writeln!(out, "{line}")?,
    }
    line.clear();
    Ok(())
}
