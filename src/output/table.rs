//! Aligned columns for people: fitted to a terminal's width, as wide as the content when piped; never wrapped.

use super::Listing;
use crate::model::text::escape;
use crate::query::fit::{Wish, fit};
use crate::query::format::{cell, shorten, thousands, width};
use crate::query::{Align, Column, Value};
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

/// Writes the rows, under a title for each group where they are grouped.
pub fn write(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    let n = list.columns.len();
    if n == 0 {
        return Ok(());
    }
    let mut naturals: Vec<u16> =
        list.columns.iter().map(|c| if list.header { width(c.title) as u16 } else { 0 }).collect();
    let mut cells = Cells { text: String::new(), ends: Vec::with_capacity(list.rows.rows.len() * n) };
    for row in &list.rows.rows {
        for (c, natural) in list.columns.iter().zip(&mut naturals) {
            let v = c.value(list.snap, *row as usize);
            let w = match &v {
                Value::Missing(_) => cells.push("-"),
                v => cells.push(&cell(v, c.kind, list.style)),
            };
            *natural = (*natural).max(w);
        }
    }
    let widths: Vec<Option<u16>> = match list.width {
        Some(total) => {
            let wishes: Vec<Wish> = list
                .columns
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
        for (c, w) in list.columns.iter().zip(&widths) {
            put(&mut line, c.title, width(c.title) as u16, *w, c, list);
        }
        end(out, &mut line, list.color.then_some("\x1b[1m"))?;
    }
    let mut groups = list.rows.groups.iter().peekable();
    for i in 0..list.rows.rows.len() {
        while let Some(g) = groups.next_if(|g| g.start as usize == i) {
            if i > 0 && g.depth == 0 {
                out.write_all(b"\n")?;
            }
            line.push_str(&"  ".repeat(usize::from(g.depth)));
            line.push_str(&escape(&g.title));
            line.push_str("  ");
            line.push_str(&thousands(u64::from(g.len)));
            end(out, &mut line, list.color.then_some("\x1b[1m"))?;
        }
        for (j, (c, w)) in list.columns.iter().zip(&widths).enumerate() {
            let (text, natural) = cells.get(i * n + j);
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
        short = shorten(text, usize::from(width), list.style);
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
