//! `sockscope diff`: what is different between two moments.

use super::environment::TerminalEnv;
use super::exit_status::{ExitStatus, RunError};
use super::listing::{colors, style, width};
use super::open_source::open_path;
use super::print::print_error;
use super::reader::Reader;
use crate::cli::diff::{DiffPlan, DiffSide};
use crate::cli::{Plan, UsageError};
use crate::format::{Column, Kind, Value, date_and_time};
use crate::model::{Missing, Snapshot, Wants};
use crate::output::{self, Format, Grid, JsonKeys, Listing};
use crate::view::diff::{Difference, differences, is_same_boot};
use std::io::{self, Write};
use std::sync::Arc;

/// Prints the differences. Exit status 1 if there are any.
pub(super) fn run(plan: &Plan, diff: &DiffPlan) -> Result<ExitStatus, RunError> {
    let [before, after] = &diff.sides;
    let (before, after) = (snapshot(plan, before)?, snapshot(plan, after)?);
    let mut rows = differences(&before, &after);
    rows.retain(|d| diff.only.contains(&d.subject));
    let time = |s: &Snapshot| date_and_time(s.sample.at.unix_ns);
    let hosts = match (&*before.sample.host, &*after.sample.host) {
        (a, b) if a == b => String::new(),
        (a, b) => format!(" ({a} and {b})"),
    };
    print_error(&format!("{} to {} UTC{hosts}", time(&before), time(&after)));
    if !is_same_boot(&before, &after) {
        print_error("another host or another boot: compared by name and endpoint");
    }
    let columns: Vec<&'static Column> = COLUMNS.iter().collect();
    let listing = Listing {
        grid: &Rows { rows: &rows, columns: &columns },
        header: diff.header,
        style: &style(plan, &TerminalEnv::read()),
        width: width(),
        optional: 0,
        keys: JsonKeys::Columns,
        color: colors(plan, &TerminalEnv::read()),
    };
    let mut out = io::stdout().lock();
    // A table of nothing has no header either.
    if !(rows.is_empty() && diff.format == Format::Table) {
        output::write(&mut out, diff.format, &listing)
            .and_then(|()| out.flush())
            .map_err(RunError::stdout)?;
    }
    if rows.is_empty() {
        print_error("no difference");
        return Ok(ExitStatus::Success);
    }
    Ok(ExitStatus::NoMatch)
}

fn snapshot(plan: &Plan, side: &DiffSide) -> Result<Arc<Snapshot>, RunError> {
    let (path, at) = match side {
        DiffSide::Now => return Reader::open_live(plan, Wants::recording())?.poll(),
        DiffSide::Recording(path, at) => (path.as_path(), *at),
        DiffSide::Moment(at) => {
            let path = plan.recording.as_ref().and_then(|r| r.path.as_deref());
            let unnamed = || UsageError("diff: a time requires --from".to_owned());
            (path.ok_or_else(unnamed)?, Some(*at))
        }
    };
    Reader::of_recording(plan, open_path(path, at)?, Wants::recording()).poll()
}

/// Differences as rows.
struct Rows<'a> {
    rows: &'a [Difference],
    columns: &'a [&'static Column],
}

/// Column of [`Rows`]: its values are not those of a snapshot. Of lower `priority` is what gives way first on a narrow terminal.
const fn column(
    name: &'static str,
    title: &'static str,
    kind: Kind,
    priority: u8,
    help: &'static str,
) -> Column {
    Column::new(name, title, kind, priority, |_, _| Value::Missing(Missing::NotApplicable), help)
}

static COLUMNS: [Column; 9] = [
    column("change", "CHANGE", Kind::Text, 0, "Kind of the difference: new, gone or changed.").wide(7, 7, 7),
    column(
        "subject",
        "SUBJECT",
        Kind::Text,
        0,
        "Thing that differs: listener, connections, process or limit.",
    )
    .wide(11, 11, 11),
    column("name", "NAME", Kind::Text, 0, "Endpoint, process, or owner of the limit.").wide(12, 30, 60),
    column("process", "PROCESS", Kind::Text, 20, "Names of the processes."),
    column("netns", "NETNS", Kind::Text, 30, "Network namespace."),
    column("before", "BEFORE", Kind::Text, 0, "State before.").wide(8, 24, 60),
    column("after", "AFTER", Kind::Text, 0, "State after.").wide(8, 24, 60),
    column("opened", "OPENED", Kind::Count, 10, "Connections opened in between and still open."),
    column("closed", "CLOSED", Kind::Count, 10, "Connections closed in between."),
];

impl Grid for Rows<'_> {
    fn columns(&self) -> &[&'static Column] {
        self.columns
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let d = &self.rows[row];
        let text = |t: &'_ String| {
            if t.is_empty() { Value::Missing(Missing::NotApplicable) } else { Value::from(t.clone()) }
        };
        let count = |n: Option<u64>| n.map_or(Value::Missing(Missing::NotApplicable), Value::from);
        match column {
            0 => Value::text(d.change.name()),
            1 => Value::text(d.subject.name()),
            2 => text(&d.name),
            3 => text(&d.process),
            4 => text(&d.netns),
            5 => text(&d.before),
            6 => text(&d.after),
            7 => count(d.turnover.map(|t| t.0)),
            _ => count(d.turnover.map(|t| t.1)),
        }
    }
}
