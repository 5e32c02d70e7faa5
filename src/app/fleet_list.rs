//! Listings of several hosts: `list --host`, `list --watch --host`.

use super::exit_status::{ExitStatus, RunError};
use super::fleet::Fleet;
use super::list::{WAIT_INTERVAL, no_match_lines, print_lines, read_errors, unavailable};
use super::listing::{self, resolve_all_hosts, resolve_hosts, view};
use super::print::print_error;
use super::watch::{Events, is_closed_within};
use crate::cli::Plan;
use crate::cli::list_plan::{ListPlan, Wait};
use crate::diagnose::visibility::hidden;
use crate::format::{Style, duration};
use crate::model::map::Map;
use crate::model::snapshot::{HostState, RemoteHost, Viewer};
use crate::model::{Needs, ProtoSet, Snapshot, StateSet, Verify, Wants};
use crate::output::{self, Format, Grid, HostRows};
use crate::table::TableId;
use crate::view::Arranged;
use crate::view::sort;
use crate::view::summary::{Summary, Totals};
use crate::view::wants::wants as view_wants;
use rustc_hash::FxHashSet;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Data that a listing must read of several hosts: a map joins the connections between them.
fn wants(list: &ListPlan) -> Wants {
    let mut out = listing::wants(list);
    if list.table.id == TableId::Map {
        out.needs |= Needs::JOINED;
    }
    out
}

/// Prints the listing once.
pub(super) fn run(plan: &Plan, list: &ListPlan) -> Result<ExitStatus, RunError> {
    if let Some(every) = list.watch {
        return watch(plan, list, every);
    }
    if let Some(wait) = &list.wait {
        return wait_for(plan, list, wait);
    }
    let mut fleet = Fleet::open(plan, wants(list))?;
    let mut polled = fleet.poll();
    if list.columns.iter().chain(&list.compared_columns()).any(|c| c.is_over_time()) {
        std::thread::sleep(plan.interval());
        polled = fleet.poll();
    }
    let snaps: Vec<Arc<Snapshot>> = polled.into_iter().map(|(_, snap)| snap).collect();
    let status = print(plan, list, &fleet, &snaps)?;
    if !list.count && merged(list, &snaps).0.iter().all(|arranged| arranged.rows.is_empty()) {
        print_no_match(plan, list, &mut fleet);
    }
    Ok(status)
}

/// Prints the reason why no row of any host matches. All rows are read for it, without the filter.
fn print_no_match(plan: &Plan, list: &ListPlan, fleet: &mut Fleet) {
    let all = view_wants(list.table, &[], &list.filter, &[], ProtoSet::TCP_UDP, false);
    fleet.set_wants(all.clone());
    let host = |(_, snap): (usize, Arc<Snapshot>)| RemoteHost {
        name: Arc::clone(&snap.sample.host),
        state: HostState::Up,
        reason: String::new(),
        age_s: 0,
        clock_s: 0,
        is_new: true,
        snap,
    };
    let hosts: Vec<RemoteHost> = fleet.poll().into_iter().map(host).collect();
    let Some(at) = hosts.first().map(|h| h.snap.sample.at) else { return };
    let viewer = Viewer {
        seq: 1,
        at,
        label: Arc::from(""),
        wants: all,
        services: Arc::clone(&plan.services),
        names: Arc::default(),
        history: Arc::default(),
    };
    let all = Snapshot::merge(viewer, hosts);
    if let Some(no_match) = view(list).arrange(&all).no_match {
        print_lines(no_match_lines(list, &all, &no_match));
    }
    if let Some(note) = &plan.mistyped {
        print_error(note);
    }
}

/// Prints the rows, and on standard error what is missing from them.
pub(super) fn print(
    plan: &Plan,
    list: &ListPlan,
    fleet: &Fleet,
    snaps: &[Arc<Snapshot>],
) -> Result<ExitStatus, RunError> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let status = write(&mut out, plan, list, snaps, None)?;
    out.flush().map_err(RunError::stdout)?;
    drop(out);
    let interactive = list.format == Format::Table && io::stderr().is_terminal();
    for snap in snaps {
        let agent = fleet.unreadable(&snap.sample.host).filter(|_| interactive && !hidden(snap).is_empty());
        for line in unavailable(list, snap).into_iter().chain(read_errors(snap, interactive)).chain(agent) {
            let line = line.strip_prefix("sockscope: ").unwrap_or(&line);
            let _ = writeln!(io::stderr(), "sockscope: {}: {line}", snap.sample.host);
        }
    }
    Ok(partial(fleet, status))
}

/// The status of a command whose hosts did not all answer.
pub(super) fn partial(fleet: &Fleet, status: ExitStatus) -> ExitStatus {
    if fleet.missing().next().is_some() { ExitStatus::Partial } else { status }
}

/// The rows of all hosts, sorted together.
fn merged(list: &ListPlan, snaps: &[Arc<Snapshot>]) -> (Vec<Arranged>, Vec<(u32, u32)>) {
    let view = view(list);
    let arranged: Vec<Arranged> = snaps
        .iter()
        .map(|snap| {
            resolve_all_hosts(list, snap);
            let mut rows = view.arrange(snap);
            if let Some(wait) = &list.wait {
                let matcher = wait.filter.over(snap);
                rows.rows.retain(|r| matcher.matches(*r as usize));
            }
            resolve_hosts(list, snap, &rows.rows);
            rows
        })
        .collect();
    let parts: Vec<(&Snapshot, &[u32])> =
        snaps.iter().zip(&arranged).map(|(s, a)| (&**s, a.rows.as_slice())).collect();
    let rows = if list.group.is_some() { Vec::new() } else { sort::merge(&parts, &view.keys()) };
    (arranged, rows)
}

/// Writes the rows, one line a group, or their number; at most `height` rows.
fn write(
    out: &mut dyn Write,
    plan: &Plan,
    list: &ListPlan,
    snaps: &[Arc<Snapshot>],
    height: Option<usize>,
) -> Result<ExitStatus, RunError> {
    let limit = [list.top, height].into_iter().flatten().min();
    let (arranged, mut rows) = merged(list, snaps);
    if list.format.is_graph() && !list.count {
        rows.truncate(limit.unwrap_or(usize::MAX));
        let edges =
            rows.iter().filter_map(|(host, row)| Some((snaps.get(*host as usize)?.map(), *row as usize)));
        let map = Map::of_edges(edges);
        let all: Vec<u32> = (0..map.edges.len() as u32).collect();
        output::write_graph(out, list.format, &map, &all).map_err(RunError::stdout)?;
        return Ok(if all.is_empty() { ExitStatus::NoMatch } else { ExitStatus::Success });
    }
    let mut columns = list.columns_of(snaps.iter().map(|snap| &**snap));
    let optional = listing::optional_columns(list);
    columns.extend(&optional);
    let (summary, listed);
    let grid: &dyn Grid = match list.group {
        Some(by) => {
            let mut totals = Totals::default();
            for (snap, arranged) in snaps.iter().zip(&arranged) {
                totals.add(Summary::new(snap, list.table, arranged, by, &columns, &list.sort));
            }
            summary = totals.into_summary(&list.sort, limit);
            &summary
        }
        None => {
            rows.truncate(limit.unwrap_or(usize::MAX));
            listed = HostRows { snaps, columns: &columns, rows: &rows };
            &listed
        }
    };
    listing::write_grid(out, plan, list, grid, snaps.first().map(|s| &**s), optional.len())
}

/// Polls until a row of any host matches, then prints the matching rows.
fn wait_for(plan: &Plan, list: &ListPlan, wait: &Wait) -> Result<ExitStatus, RunError> {
    let start = Instant::now();
    let every = plan.settings.interval.set().unwrap_or(WAIT_INTERVAL);
    let mut fleet = Fleet::open(plan, Wants { verify: Verify::All, ..wants(list) })?;
    loop {
        let snaps: Vec<Arc<Snapshot>> = fleet.poll().into_iter().map(|(_, snap)| snap).collect();
        if merged(list, &snaps).0.iter().any(|arranged| !arranged.rows.is_empty()) {
            return print(plan, list, &fleet, &snaps);
        }
        let left = wait.timeout.map_or(every, |timeout| timeout.saturating_sub(start.elapsed()));
        if left.is_zero() {
            let waited = duration(start.elapsed().as_secs_f64(), &Style::default());
            print_error(&format!("timed out after {waited}"));
            return Ok(partial(&fleet, ExitStatus::NoMatch));
        }
        std::thread::sleep(every.min(left));
    }
}

/// Prints the listing at every interval until the output pipe is closed or the timeout is over.
fn watch(plan: &Plan, list: &ListPlan, every: Duration) -> Result<ExitStatus, RunError> {
    let wants = wants(list);
    let mut fleet = Fleet::open(plan, Wants { states: StateSet::ALL, verify: Verify::All, ..wants })?;
    let mut events: Vec<Events> = fleet.names().map(|_| Events::default()).collect();
    let deadline = list.watch_timeout.map(|t| Instant::now() + t);
    let mut first = true;
    loop {
        let start = Instant::now();
        let polled = fleet.poll();
        let mut page = Vec::new();
        if list.format == Format::Ndjson {
            for (i, snap) in polled {
                if let Some(events) = events.get_mut(i) {
                    events.write(&mut page, list, snap, FxHashSet::default()).map_err(RunError::stdout)?;
                }
            }
        } else {
            let height;
            (page, height) = listing::begin_page(list, first);
            let snaps: Vec<Arc<Snapshot>> = polled.into_iter().map(|(_, snap)| snap).collect();
            write(&mut page, plan, list, &snaps, height)?;
        }
        first = false;
        let mut out = io::stdout().lock();
        out.write_all(&page).and_then(|()| out.flush()).map_err(RunError::stdout)?;
        drop(out);
        let next = every.saturating_sub(start.elapsed());
        match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            Some(left) if left <= next => {
                let _ = is_closed_within(left);
                return Ok(partial(&fleet, ExitStatus::Success));
            }
            _ if is_closed_within(next) => return Ok(ExitStatus::Success),
            _ => {}
        }
    }
}
