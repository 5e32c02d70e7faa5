//! The plan of `sockscope events` and `sockscope dns`.

use super::args::{Events, List};
use super::error::UsageError;
use super::list_plan::{Inputs, ListPlan};
use super::moment::RecordingPlan;
use super::settings::value::flag_duration;
use crate::output::Format;
use crate::table::Table;
use std::time::Duration;

/// Printing events or DNS questions, checked.
#[derive(Clone, Debug)]
pub struct EventsPlan {
    /// Filter, columns, format and grouping.
    pub list: ListPlan,
    /// Time to watch; `None`: until interrupted.
    pub during: Option<Duration>,
    /// Number of rows after which it ends.
    pub count: Option<u64>,
}

impl EventsPlan {
    pub(super) fn new(
        table: &'static Table,
        e: Events,
        recording: Option<&RecordingPlan>,
        inputs: Inputs<'_>,
    ) -> Result<Self, UsageError> {
        let during = e.during.as_deref().map(|t| flag_duration("--for", t)).transpose()?;
        if during.is_some() && recording.is_some_and(|r| r.between.is_some()) {
            return Err(UsageError("--for cannot be combined with --between, which has an end".into()));
        }
        let ends = during.is_some() || e.count.is_some() || recording.is_some();
        if e.group_by.is_none() && (e.sort.is_some() || e.top.is_some()) {
            let noun = table.noun;
            return Err(UsageError(format!(
                "--sort and --top require --group-by: {noun} are printed as they happen"
            )));
        }
        let list = List {
            filter: e.filter,
            columns: e.columns,
            sort: e.sort,
            group_by: e.group_by,
            top: e.top,
            output: e.output,
            resolve: e.resolve,
            ..List::default()
        };
        let list = ListPlan::new(table, &list, inputs)?;
        if !ends && list.group.is_some() {
            return Err(UsageError(
                "--group-by requires --for or --count: groups are printed at the end".into(),
            ));
        }
        if !ends && list.format == Format::Json {
            return Err(UsageError(
                "--format json requires --for or --count: use ndjson for a stream".into(),
            ));
        }
        Ok(Self { list, during, count: e.count })
    }
}
