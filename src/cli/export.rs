//! The plan of `sockscope export`.

use super::args::{Export, ExportFormat, FormatArg, List, Output};
use super::error::UsageError;
use super::list_plan::{Inputs, ListPlan};
use super::settings::value::flag_duration;
use crate::format::did_you_mean;
use crate::table::{self, SOCKETS, TABLES, Table};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An export, checked.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// Table, filter and columns.
    pub list: ListPlan,
    /// File; `None`: standard output.
    pub file: Option<PathBuf>,
    /// Output format.
    pub format: ExportFormat,
    /// Least time between two samples.
    pub every: Option<Duration>,
    /// A note on the first word, which looks like a mistyped table; shown if nothing matches.
    pub mistyped: Option<String>,
}

impl ExportPlan {
    /// Checks the command line. The table alone, as an error, if its columns are asked for.
    pub(super) fn new(e: &Export, inputs: Inputs<'_>) -> Result<Result<Self, &'static Table>, UsageError> {
        let named = e.words.first().and_then(|word| table::table(word));
        let filter = if named.is_some() { &e.words[1..] } else { &e.words[..] };
        let table = named.unwrap_or(&SOCKETS);
        if e.columns.as_deref() == Some("help") {
            return Ok(Err(table));
        }
        let every = e.every.as_deref().map(|t| flag_duration("--every", t)).transpose()?;
        if every.is_some() && table.is_stream() {
            let noun = table.noun;
            return Err(UsageError(format!(
                "--every leaves out samples, and with them {noun}: not for {noun}"
            )));
        }
        let list = List {
            filter: filter.to_vec(),
            columns: e.columns.clone(),
            // Its columns and keys are those of every format.
            output: Output { format: FormatArg::Json, ..Output::default() },
            ..List::default()
        };
        let mut list = ListPlan::new(table, &list, inputs)?;
        list.header = !e.no_header;
        let format = match (e.format, e.output.as_deref()) {
            (Some(format), _) => format,
            (None, Some(file)) => by_ending(file)?,
            (None, None) => ExportFormat::Ndjson,
        };
        Ok(Ok(Self {
            list,
            file: e.output.clone(),
            format,
            every,
            mistyped: e.words.first().filter(|_| named.is_none()).and_then(|word| like_table(word)),
        }))
    }
}

/// Format by the ending of a file's name.
fn by_ending(file: &Path) -> Result<ExportFormat, UsageError> {
    let ending = file.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        #[cfg(feature = "parquet")]
        Some("parquet" | "pq") => Ok(ExportFormat::Parquet),
        Some("ndjson" | "jsonl" | "json") => Ok(ExportFormat::Ndjson),
        Some("csv") => Ok(ExportFormat::Csv),
        _ => Err(UsageError(format!("-o {}: unknown ending: name the format with --format", file.display()))),
    }
}

/// A note if a word looks like a mistyped table.
fn like_table(word: &str) -> Option<String> {
    let near = did_you_mean::nearest(word, TABLES.iter().map(|t| t.noun))?;
    Some(format!("{word:?} taken as a filter; did you mean the table {near:?}?"))
}
