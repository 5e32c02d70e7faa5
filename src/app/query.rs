//! `sockscope query`: an SQL statement over one or many moments.

use super::environment::TerminalEnv;
use super::exit_status::{ExitStatus, RunError};
use super::export::by_time;
use super::print::print_error;
use super::reader::{Extent, Reader};
use super::{fleet, listing};
use crate::cli::query::QueryPlan;
use crate::cli::{Plan, UsageError};
use crate::format::{Align, Column, Kind, Value, Width, width};
use crate::model::{Missing, ProtoSet, Wants};
use crate::output::json;
use crate::output::{Format, Grid, JsonKeys, Listing, TableStream, csv};
use crate::sql::{Answer, Cell, Database, Source, Statement};
use crate::view::View;
use crate::view::wants::wants as view_wants;
use std::io::{self, BufWriter, Write};

/// Rows printed at once.
const ROWS: usize = 1024;

/// Answers the statement; exit status 1 without a row.
pub(super) fn run(plan: &Plan, query: &QueryPlan) -> Result<ExitStatus, RunError> {
    let mut db = Database::new(Statement::parse(&query.sql)?)?;
    let sources = db.statement().sources().to_vec();
    let partial = !sources.is_empty() && load(plan, query, &sources, &mut db)?;
    let status = db.answer(|answer| print(plan, query, answer))??;
    Ok(if partial { ExitStatus::Partial } else { status })
}

/// Fills the tables that the statement reads; true if some hosts did not answer.
fn load(plan: &Plan, query: &QueryPlan, sources: &[Source], db: &mut Database) -> Result<bool, RunError> {
    let stream = sources.iter().find(|s| s.table.is_stream()).map(|s| s.table);
    let events = stream.is_some();
    if let Some(table) = stream
        && plan.recording.is_none()
    {
        let (noun, command) = (table.noun, table.name);
        let why = format!(
            "{noun} of this machine are printed as they happen: use sockscope {command}, or record and name it with --from"
        );
        return Err(UsageError(format!("query: {why}")).into());
    }
    if let Some(noun) = stream.map(|t| t.noun).filter(|_| query.every.is_some()) {
        let why = format!("--every leaves out samples, and with them {noun}: not with the table {noun}");
        return Err(UsageError(format!("query: {why}")).into());
    }
    let over_time = sources.iter().flat_map(|s| &s.columns).any(|c| c.is_over_time());
    // In a stable order, whatever the statement does with it.
    let view = |s: &Source| View { sort: by_time(s.table), ..View::new(s.table) };
    let views: Vec<View> = sources.iter().map(view).collect();
    if plan.hosts.is_named() {
        let (snaps, partial) = fleet::snapshots(plan, wants(sources), over_time)?;
        for snap in &snaps {
            for (source, view) in sources.iter().zip(&views) {
                db.add(source, snap, &view.arrange(snap).rows)?;
            }
        }
        return Ok(partial);
    }
    let extent = Extent { every: query.every, events, one_moment: true, whole: false };
    let mut reader = Reader::open_extent(plan, wants(sources), extent)?;
    reader.keep_events(0);
    let mut next = reader.poll_next()?;
    if over_time && !reader.is_recorded() {
        std::thread::sleep(plan.interval());
        next = reader.poll_next()?;
    }
    while let Some(snap) = next {
        // With events one sample more is read.
        let in_span = reader.spans(snap.sample.at.unix_ns);
        for (source, view) in sources.iter().zip(&views) {
            if source.table.is_stream() {
                let mut rows = view.arrange(&snap).rows;
                rows.retain(|r| reader.spans(source.table.unix_ns(&snap, *r as usize)));
                db.add(source, &snap, &rows)?;
            } else if in_span {
                db.add(source, &snap, &view.arrange(&snap).rows)?;
            }
        }
        next = if reader.is_recorded() { reader.poll_next()? } else { None };
    }
    Ok(false)
}

/// Data that the columns need.
fn wants(sources: &[Source]) -> Wants {
    let mut all: Option<Wants> = None;
    for s in sources {
        let more = view_wants(s.table, &s.columns, &View::new(s.table).filter, &[], ProtoSet::TCP_UDP, false);
        all = Some(match all {
            None => more,
            Some(mut out) => {
                out.needs |= more.needs;
                out.protos |= more.protos;
                out
            }
        });
    }
    all.unwrap_or_default()
}

/// Prints the rows.
fn print(plan: &Plan, query: &QueryPlan, mut answer: Answer<'_>) -> Result<ExitStatus, RunError> {
    let env = TerminalEnv::read();
    let (style, color) = (listing::style(plan, &env), listing::colors(plan, &env));
    let mut table = TableStream::new(listing::width());
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut columns: Vec<&'static Column> = Vec::new();
    let mut printed = 0;
    loop {
        let mut rows = Vec::new();
        while let Some(row) = if rows.len() < ROWS { answer.next_row()? } else { None } {
            rows.push(row);
        }
        let first = printed == 0;
        if rows.is_empty() && !first {
            break;
        }
        if first {
            columns = result_columns(&answer.columns, &rows);
        }
        let grid = Cells { rows: &rows, columns: &columns, is_table: query.format == Format::Table };
        let listing = Listing {
            grid: &grid,
            header: query.header && first,
            style: &style,
            width: None,
            optional: 0,
            named: &[],
            keys: JsonKeys::Columns,
            color,
        };
        let written = match query.format {
            Format::Table if rows.is_empty() => Ok(()),
            Format::Table => table.write(&mut out, &listing),
            Format::Csv => csv::write(&mut out, &listing),
            Format::Json => {
                write_objects(&mut out, &answer.columns, &rows, if first { "[\n" } else { ",\n" }, ",\n")
            }
            _ => write_objects(&mut out, &answer.columns, &rows, if first { "" } else { "\n" }, "\n"),
        };
        written.map_err(RunError::stdout)?;
        printed += rows.len();
        if rows.len() < ROWS {
            break;
        }
    }
    let end: &[u8] = match query.format {
        Format::Json if printed == 0 => b"[]\n",
        Format::Json => b"\n]\n",
        Format::Ndjson if printed > 0 => b"\n",
        _ => b"",
    };
    out.write_all(end).and_then(|()| out.flush()).map_err(RunError::stdout)?;
    if printed == 0 {
        print_error("no row");
        return Ok(ExitStatus::NoMatch);
    }
    Ok(ExitStatus::Success)
}

/// Columns of the answer, numbers to the right. One run has one answer: they are never freed.
fn result_columns(names: &[String], rows: &[Vec<Cell>]) -> Vec<&'static Column> {
    let column = |(i, name): (usize, &String)| -> &'static Column {
        let shown = rows.iter().filter_map(|r| r.get(i)).map(|c| width(&readable(c))).max();
        let shown = shown.unwrap_or(0).max(width(name)).clamp(1, 400) as u16;
        let numbers = rows.iter().all(|r| !matches!(r.get(i), Some(Cell::Text(_))));
        let name: &'static str = Box::leak(name.clone().into_boxed_str());
        let title: &'static str = Box::leak(name.to_uppercase().into_boxed_str());
        let missing = |_: &'_ crate::model::Snapshot, _| Value::Missing(Missing::NotApplicable);
        let mut column = Column::new(name, title, Kind::Text, 0, missing, "Column of the statement.");
        column.width = Width { min: shown.min(6), normal: shown, max: shown };
        column.align = if numbers { Align::Right } else { Align::Left };
        Box::leak(Box::new(column))
    };
    names.iter().enumerate().map(column).collect()
}

/// Objects without brackets; not the first ones of an answer follow a separator, as `before`.
fn write_objects(
    out: &mut dyn Write,
    names: &[String],
    rows: &[Vec<Cell>],
    before: &str,
    between: &str,
) -> io::Result<()> {
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        text.push_str(if i == 0 { before } else { between });
        text.push('{');
        for (i, (name, cell)) in names.iter().zip(row).enumerate() {
            if i > 0 {
                text.push(',');
            }
            json::string(&mut text, name);
            text.push(':');
            match cell {
                Cell::Text(s) => json::string(&mut text, s),
                Cell::Real(n) if !n.is_finite() => text.push_str("null"),
                Cell::Null => text.push_str("null"),
                Cell::Integer(_) | Cell::Real(_) => text.push_str(&exact(cell)),
            }
        }
        text.push('}');
    }
    out.write_all(text.as_bytes())
}

/// A number with all its digits.
fn exact(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(n) => n.to_string(),
        Cell::Real(n) => n.to_string(),
        Cell::Text(s) => s.clone(),
    }
}

/// A value in a table, which is read by people.
fn readable(cell: &Cell) -> String {
    match cell {
        Cell::Real(n) if n.abs() >= 0.01 => ((n * 1000.0).round() / 1000.0).to_string(),
        other => exact(other),
    }
}

/// Rows of the answer.
struct Cells<'a> {
    rows: &'a [Vec<Cell>],
    columns: &'a [&'static Column],
    is_table: bool,
}

impl Grid for Cells<'_> {
    fn columns(&self) -> &[&'static Column] {
        self.columns
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        match &self.rows[row][column] {
            Cell::Null => Value::Missing(Missing::NotApplicable),
            Cell::Text(text) => Value::text(text),
            number if self.is_table => Value::from(readable(number)),
            number => Value::from(exact(number)),
        }
    }
}
