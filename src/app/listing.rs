//! Parts of a listing that `list`, `--watch` and `check` share: what must be read, the view, host names, writing the rows.

use super::environment::{self, TerminalEnv};
use super::exit_status::{ExitStatus, RunError};
use super::reverse_dns;
use crate::cli::Plan;
use crate::cli::list_plan::ListPlan;
use crate::cli::settings::value::ColorArg;
use crate::format::{Column, Role, Style};
use crate::model::{Addr, HostName, ProtoSet, Snapshot, Wants};
use crate::output::{self, Grid, JsonHead, JsonKeys, Listing, Rows};
use crate::tui::Color;
use crate::view::summary::Summary;
use crate::view::wants::wants as view_wants;
use crate::view::{Arranged, View};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Timeout of reverse DNS.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Resolves the remote addresses of these rows, if they are requested and shown. Returns the number that timed out; those
/// stay addresses.
pub(super) fn resolve_hosts(list: &ListPlan, snap: &Snapshot, rows: &[u32]) -> usize {
    let shown = list.resolve && list.columns.iter().any(|c| c.is(Role::RemoteHost));
    if shown { resolve_rows(list, snap, rows) } else { 0 }
}

/// The same for every row, if host names are filtered on or sorted by.
pub(super) fn resolve_all_hosts(list: &ListPlan, snap: &Snapshot) -> usize {
    if list.compared_columns().iter().any(|c| c.is(Role::RemoteHost)) {
        resolve_rows(list, snap, &(0..(list.table.len)(snap) as u32).collect::<Vec<_>>())
    } else {
        0
    }
}

fn resolve_rows(list: &ListPlan, snap: &Snapshot, rows: &[u32]) -> usize {
    let remote = |r: &u32| (list.table.remote_of)(snap, *r as usize);
    let addrs = rows.iter().filter_map(remote).filter(|a| !a.is_any());
    let unknown = |a: &Addr| snap.sample.hosts.get(a) == HostName::Unknown;
    let addrs: BTreeSet<_> = addrs.filter(unknown).collect();
    reverse_dns::resolve(addrs.iter().copied().collect(), &snap.sample.hosts, RESOLVE_TIMEOUT);
    addrs.into_iter().filter(unknown).count()
}

/// Data that a listing must read.
pub(super) fn wants(list: &ListPlan) -> Wants {
    let columns = [list.columns.clone(), optional_columns(list)].concat();
    let mut out = view_wants(list.table, &columns, &list.filter, &list.sort, ProtoSet::TCP_UDP, true);
    let extra: Vec<_> = list.group.iter().flat_map(|g| g.columns(list.table)).collect();
    let wait = list.wait.iter().map(|w| &w.filter);
    for more in std::iter::once(view_wants(list.table, &extra, &list.filter, &[], ProtoSet::TCP_UDP, true))
        .chain(wait.map(|f| view_wants(list.table, &[], f, &[], ProtoSet::TCP_UDP, false)))
    {
        out.needs |= more.needs;
    }
    out
}

/// The view of a listing.
pub(super) fn view(list: &ListPlan) -> View {
    View {
        table: list.table,
        filter: list.filter.clone(),
        sort: list.sort.clone(),
        group: list.group,
        closed: false,
    }
}

/// Style of cells for this output.
pub(super) fn style(plan: &Plan, env: &TerminalEnv) -> Style {
    Style { numeric: plan.settings.numeric, ascii: io::stdout().is_terminal() && !env.utf8() }
}

/// Returns true if a table has colors.
pub(super) fn colors(plan: &Plan, env: &TerminalEnv) -> bool {
    match plan.settings.color {
        ColorArg::Always => true,
        ColorArg::Never => false,
        ColorArg::Auto => env.forces_color() || (io::stdout().is_terminal() && env.colors() != Color::None),
    }
}

/// Start of a page of `--watch`, and the most rows it has: on a terminal it replaces the previous one, elsewhere an empty line
/// separates them.
pub(super) fn begin_page(list: &ListPlan, first: bool) -> (Vec<u8>, Option<usize>) {
    if io::stdout().is_terminal() {
        let height = terminal_size().map(|(_, h)| usize::from(h).saturating_sub(2).max(1));
        return (b"\x1b[H\x1b[2J".to_vec(), height);
    }
    (if first || list.count { Vec::new() } else { vec![b'\n'] }, None)
}

/// Writes the rows, one line per group, or their number; at most `height` rows.
pub(super) fn write(
    out: &mut dyn Write,
    plan: &Plan,
    list: &ListPlan,
    snap: &Snapshot,
    arranged: &Arranged,
    height: Option<usize>,
) -> Result<ExitStatus, RunError> {
    let limit = [list.top, height].into_iter().flatten().min().unwrap_or(usize::MAX);
    let mut columns = list.columns_of([snap]);
    let optional = optional_columns(list);
    columns.extend(&optional);
    let summary;
    let listed;
    let grid: &dyn Grid = if let Some(by) = list.group {
        let mut s = Summary::new(snap, list.table, arranged, by, &columns, &list.sort);
        if list.largest_first {
            s.largest_first();
        }
        s.rows.truncate(limit);
        summary = s;
        &summary
    } else {
        let rows = &arranged.rows[..arranged.rows.len().min(limit)];
        listed = Rows { snap, columns: &columns, rows };
        &listed
    };
    if list.format.is_graph() && !list.count {
        let status = if grid.is_empty() { ExitStatus::NoMatch } else { ExitStatus::Success };
        let rows = &arranged.rows[..arranged.rows.len().min(limit)];
        output::write_graph(out, list.format, snap.map(), rows).map_err(RunError::stdout)?;
        return Ok(status);
    }
    write_grid(out, plan, list, grid, Some(snap), optional.len())
}

/// Writes rows, or their number. `head`: the snapshot of the time and host name of rows that have none of their own; the last
/// `optional` columns are shown only if there is space.
pub(super) fn write_grid(
    out: &mut dyn Write,
    plan: &Plan,
    list: &ListPlan,
    grid: &dyn Grid,
    head: Option<&Snapshot>,
    optional: usize,
) -> Result<ExitStatus, RunError> {
    let env = TerminalEnv::read();
    let status = if grid.is_empty() { ExitStatus::NoMatch } else { ExitStatus::Success };
    if list.count {
        writeln!(out, "{}", grid.len()).map_err(RunError::stdout)?;
        return Ok(status);
    }
    // A group of several hosts is of none of them.
    let head = head.filter(|_| list.group.is_none() || !plan.hosts.is_named()).map(JsonHead::new);
    let listing = Listing {
        grid,
        header: list.header,
        style: &style(plan, &env),
        width: width(),
        optional,
        named: &list.named,
        keys: match head {
            None => JsonKeys::Columns,
            Some(head) if list.all_columns() => JsonKeys::All(head),
            // Rows of several moments differ by their time.
            Some(head) if list.chosen && plan.is_span() => JsonKeys::All(head),
            Some(_) if list.chosen => JsonKeys::Columns,
            Some(head) => JsonKeys::PerProtocol(head),
        },
        color: colors(plan, &env),
    };
    output::write(out, list.format, &listing).map_err(RunError::stdout)?;
    Ok(status)
}

/// Width from which on a table has room for more than its default columns.
const WIDE: u16 = 120;

/// Columns shown if there is space: none on a narrow terminal, so that nothing is read for them.
pub(super) fn optional_columns(list: &ListPlan) -> Vec<&'static Column> {
    if width().is_some_and(|w| w >= WIDE) { list.optional_columns() } else { Vec::new() }
}

/// Width of the table: that of the terminal, or of `COLUMNS` where standard output is none, as under watch(1); `None`: as wide
/// as the content.
pub(super) fn width() -> Option<u16> {
    if io::stdout().is_terminal() { terminal_size().map(|s| s.0) } else { environment::columns() }
}

/// Size of the terminal: columns, lines.
pub(super) fn terminal_size() -> Option<(u16, u16)> {
    crossterm::terminal::size().ok().filter(|(w, h)| *w > 0 && *h > 0)
}
