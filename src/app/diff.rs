//! `sockscope diff`: what is different between two moments.

use super::environment::TerminalEnv;
use super::exit_status::{ExitStatus, RunError};
use super::fleet::Fleet;
use super::listing::{colors, style, width};
use super::open_source::open_path;
use super::print::print_error;
use super::reader::Reader;
use crate::cli::diff::{DiffPlan, DiffSide};
use crate::cli::{Plan, UsageError};
use crate::format::{Column, date_and_time};
use crate::model::{Snapshot, Wants};
use crate::output::{self, Differences, Format, JsonKeys, Listing};
use crate::view::diff::{differences, is_same_boot};
use std::io::{self, Write};
use std::sync::Arc;

/// Prints the differences. Exit status 1 if there are any.
pub(super) fn run(plan: &Plan, diff: &DiffPlan) -> Result<ExitStatus, RunError> {
    let [before, after] = &diff.sides;
    let mut hosts = host_snapshots(plan, diff)?.into_iter();
    let (before, after) = (snapshot(plan, before, &mut hosts)?, snapshot(plan, after, &mut hosts)?);
    let mut rows = differences(&before, &after);
    rows.retain(|d| diff.only.contains(&d.subject));
    let time = |s: &Snapshot| date_and_time(s.sample.at.unix_ns);
    let hosts = match (&*before.sample.host, &*after.sample.host) {
        (a, b) if a == b => String::new(),
        (a, b) => format!(" ({a} and {b})"),
    };
    print_error(&format!("{} to {} UTC{hosts}", time(&before), time(&after)));
    if before.sample.redacted || after.sample.redacted {
        print_error("redacted: addresses, names and arguments are not the real ones");
        // Each recording is redacted with a key of its own.
        if !diff.is_of_one_recording() {
            print_error(
                "the two sides cannot be compared by address or name: each recording has its own replacements",
            );
        }
    }
    if !is_same_boot(&before, &after) {
        print_error("another host or another boot: compared by name and endpoint");
    }
    let columns: Vec<&'static Column> = Differences::COLUMNS.iter().collect();
    let listing = Listing {
        grid: &Differences { rows: &rows, columns: &columns },
        header: diff.header,
        style: &style(plan, &TerminalEnv::read()),
        width: width(),
        optional: 0,
        named: &[],
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

/// Snapshots of the hosts of the command line, one for each side that is now.
fn host_snapshots(plan: &Plan, diff: &DiffPlan) -> Result<Vec<Arc<Snapshot>>, RunError> {
    if !plan.hosts.is_named() {
        return Ok(Vec::new());
    }
    let mut fleet = Fleet::open(plan, Wants::recording())?;
    let (hosts, sides) = (fleet.names().count(), diff.sides.iter().filter(|s| **s == DiffSide::Now).count());
    if hosts != sides {
        let why = format!("hosts: {hosts}, sides that are now: {sides}: name one for each");
        return Err(UsageError(format!("diff: --host: {why}")).into());
    }
    let snaps = fleet.poll().into_iter().map(|(_, snap)| snap).collect();
    match fleet.missing().next() {
        Some((host, why)) => Err(RunError::Dashboard(format!("diff: {host}: {why}"))),
        None => Ok(snaps),
    }
}

fn snapshot(
    plan: &Plan,
    side: &DiffSide,
    hosts: &mut impl Iterator<Item = Arc<Snapshot>>,
) -> Result<Arc<Snapshot>, RunError> {
    let (path, at) = match side {
        DiffSide::Now if plan.hosts.is_named() => {
            return hosts.next().ok_or_else(|| RunError::Dashboard("diff: --host: no sample".to_owned()));
        }
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
