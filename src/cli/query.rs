//! The plan of `sockscope query`.

use super::args::{FormatArg, Query};
use super::error::UsageError;
use super::settings::value::flag_duration;
use crate::output::Format;
use std::time::Duration;

/// An SQL statement to answer.
#[derive(Clone, Debug)]
pub struct QueryPlan {
    /// The statement, not parsed yet.
    pub sql: String,
    /// Least time between two samples.
    pub every: Option<Duration>,
    /// Output format.
    pub format: Format,
    /// Header line.
    pub header: bool,
}

impl QueryPlan {
    pub(super) fn new(q: &Query) -> Result<Self, UsageError> {
        let format = match q.output.format() {
            FormatArg::Table => Format::Table,
            FormatArg::Json => Format::Json,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Csv => Format::Csv,
            FormatArg::Dot | FormatArg::Mermaid => {
                return Err(UsageError("query: --format takes table, json, ndjson or csv".into()));
            }
        };
        Ok(Self {
            sql: q.sql.clone().unwrap_or_default(),
            every: q.every.as_deref().map(|t| flag_duration("--every", t)).transpose()?,
            format,
            header: !q.output.no_header,
        })
    }
}
