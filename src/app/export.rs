//! `sockscope export`: rows of one or many moments, to a file or standard output.

use super::exit_status::{ExitStatus, RunError};
use super::print::print_error;
use super::reader::{Extent, Reader};
use super::{fleet, list, listing};
use crate::cli::args::ExportFormat;
use crate::cli::export::ExportPlan;
use crate::cli::{Plan, UsageError, user_file};
use crate::format::{Column, Style, thousands};
use crate::model::Snapshot;
#[cfg(feature = "parquet")]
use crate::output::parquet::ParquetWriter;
use crate::output::{JsonKeys, Listing, TIME, TimedRows, csv, json};
use crate::table::Table;
use crate::view::View;
use crate::view::sort::{self, SortKey};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most distinct lines about data that could not be read.
const NOTES: usize = 20;

/// Writes the rows of every sample; exit status 1 without any.
pub(super) fn run(plan: &Plan, export: &ExportPlan) -> Result<ExitStatus, RunError> {
    let file = export.file.as_deref().filter(|f| *f != Path::new("-"));
    #[cfg(feature = "parquet")]
    if export.format == ExportFormat::Parquet && file.is_none() && io::IsTerminal::is_terminal(&io::stdout())
    {
        let why = "a Parquet file is binary: name a file with -o, or redirect standard output";
        return Err(UsageError(format!("export: {why}")).into());
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let watched = signal_hook::flag::register(signal, Arc::clone(&stop));
        watched.map_err(|e| RunError::Dashboard(format!("watch signals: {e}")))?;
    }
    let mut moments = open(plan, export)?;
    let counts = match file {
        None => write(&mut moments, export, io::stdout(), &stop, &RunError::stdout)?,
        Some(file) => {
            let failed = |e: io::Error| RunError::Dashboard(format!("write {}: {e}", file.display()));
            let counts =
                user_file::write_whole(file, failed, |out| write(&mut moments, export, out, &stop, &failed))?;
            let rows = if counts.rows == 1 { "row" } else { "rows" };
            let samples = if counts.samples == 1 { "sample" } else { "samples" };
            print_error(&format!(
                "{} {rows} of {} {samples} written to {}",
                thousands(counts.rows),
                thousands(counts.samples),
                file.display()
            ));
            counts
        }
    };
    for note in &moments.notes {
        let _ = writeln!(io::stderr(), "{note}");
    }
    if moments.partial {
        return Ok(ExitStatus::Partial);
    }
    if counts.rows > 0 {
        return Ok(ExitStatus::Success);
    }
    export.mistyped.iter().for_each(|note| print_error(note));
    Ok(ExitStatus::NoMatch)
}

/// Snapshots of the samples to write.
struct Moments {
    /// Reader of a recording, or of this machine.
    reader: Option<Reader>,
    /// Snapshots that were read: the first one, or those of several hosts.
    ready: VecDeque<Arc<Snapshot>>,
    notes: BTreeSet<String>,
    /// Some hosts did not answer.
    partial: bool,
}

/// Rows and samples that were written.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: u64,
    samples: u64,
}

fn open(plan: &Plan, export: &ExportPlan) -> Result<Moments, RunError> {
    let list = &export.list;
    let events = list.table.is_stream();
    if events && plan.recording.is_none() {
        let (noun, command) = (list.table.noun, list.table.name);
        let why = format!("{noun} of this machine are printed as they happen: use sockscope {command}");
        return Err(UsageError(format!("export: {why}")).into());
    }
    // Rates need two polls, whether they are shown or filtered on.
    let over_time = list.columns.iter().chain(&list.compared_columns()).any(|c| c.is_over_time());
    if plan.hosts.is_named() {
        let (snaps, partial) = fleet::snapshots(plan, listing::wants(list), over_time)?;
        return Ok(Moments { reader: None, ready: snaps.into(), notes: BTreeSet::new(), partial });
    }
    let extent = Extent { whole: true, one_moment: true, every: export.every, events };
    let mut reader = Reader::open_extent(plan, listing::wants(list), extent)?;
    reader.keep_events(0);
    let mut next = reader.poll_next()?;
    if over_time && !reader.is_recorded() {
        std::thread::sleep(plan.interval());
        next = reader.poll_next()?;
    }
    let ready = next.into_iter().collect();
    Ok(Moments { reader: Some(reader), ready, notes: BTreeSet::new(), partial: false })
}

impl Moments {
    /// The next snapshot; live there is one for each host.
    fn next(&mut self) -> Result<Option<Arc<Snapshot>>, RunError> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(Some(ready));
        }
        match &mut self.reader {
            Some(reader) if reader.is_recorded() => reader.poll_next(),
            _ => Ok(None),
        }
    }

    /// True if a time, nanoseconds since 1970, is in the span of the command line.
    fn spans(&self, unix_ns: u64) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.spans(unix_ns))
    }
}

/// Order of the rows of a moment: that of a list, of events that in which they happened.
pub(super) fn by_time(table: &'static Table) -> Vec<SortKey> {
    let number = table.column("seq").filter(|_| table.is_stream());
    number.map_or_else(|| sort::default(table), |column| vec![SortKey { column, descending: false }])
}

/// Writes all moments to an output.
fn write<W: Write + Send>(
    moments: &mut Moments,
    export: &ExportPlan,
    out: W,
    stop: &AtomicBool,
    failed: &dyn Fn(io::Error) -> RunError,
) -> Result<Counts, RunError> {
    let list = &export.list;
    let mut columns: Vec<&'static Column> = vec![&TIME];
    columns.extend(&list.columns);
    let out = BufWriter::with_capacity(1 << 16, out);
    let mut sink = Sink::new(out, export, &columns).map_err(failed)?;
    let view = View { sort: by_time(list.table), ..listing::view(list) };
    let mut counts = Counts::default();
    while let Some(snap) = moments.next()? {
        if stop.load(Ordering::Relaxed) {
            return Err(RunError::Dashboard("export: interrupted".to_owned()));
        }
        listing::resolve_all_hosts(list, &snap);
        let mut rows = view.arrange(&snap).rows;
        listing::resolve_hosts(list, &snap, &rows);
        if list.table.is_stream() {
            rows.retain(|r| moments.spans(list.table.unix_ns(&snap, *r as usize)));
        }
        let rows = TimedRows { snap: &snap, table: list.table, columns: &columns, rows: &rows };
        sink.write(&rows).map_err(failed)?;
        counts.rows += rows.rows.len() as u64;
        counts.samples += 1;
        let notes = list::unavailable(list, &snap).into_iter().chain(list::read_errors(&snap, false));
        let left = NOTES.saturating_sub(moments.notes.len());
        moments.notes.extend(notes.take(left));
    }
    sink.finish().map_err(failed)?;
    Ok(counts)
}

/// Output in one of the formats.
enum Sink<W: Write + Send> {
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetWriter<W>>),
    Ndjson(W),
    /// With a header line still to be written.
    Csv(W, bool),
}

impl<W: Write + Send> Sink<W> {
    #[cfg_attr(not(feature = "parquet"), allow(clippy::unnecessary_wraps))]
    fn new(out: W, export: &ExportPlan, columns: &[&'static Column]) -> io::Result<Self> {
        // Without Parquet no format needs them from the beginning.
        let _ = columns;
        Ok(match export.format {
            #[cfg(feature = "parquet")]
            ExportFormat::Parquet => Self::Parquet(Box::new(ParquetWriter::new(out, columns)?)),
            ExportFormat::Ndjson => Self::Ndjson(out),
            ExportFormat::Csv => Self::Csv(out, export.list.header),
        })
    }

    fn write(&mut self, rows: &TimedRows<'_>) -> io::Result<()> {
        let style = Style::default();
        let listing = |header: bool| Listing {
            grid: rows,
            header,
            style: &style,
            width: None,
            optional: 0,
            named: &[],
            keys: JsonKeys::Columns,
            color: false,
        };
        match self {
            #[cfg(feature = "parquet")]
            Self::Parquet(writer) => writer.write(rows),
            Self::Ndjson(out) => json::write_lines(out, &listing(false)),
            Self::Csv(out, header) => csv::write(out, &listing(std::mem::replace(header, false))),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            #[cfg(feature = "parquet")]
            Self::Parquet(writer) => writer.finish()?.flush(),
            Self::Ndjson(mut out) | Self::Csv(mut out, _) => out.flush(),
        }
    }
}
