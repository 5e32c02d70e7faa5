//! Parts of a listing that `list`, `--watch` and `check` share: what must be read, the view, host names, writing the rows.

use super::environment::Words;
use super::{Ending, RunError, reverse_dns};
use crate::cli::Plan;
use crate::cli::list_plan::ListPlan;
use crate::cli::settings::value::ColorArg;
use crate::format::{Role, Style};
use crate::model::{Addr, HostName, ProtoSet, Snapshot, Wants};
use crate::output::{self, Format, Grid, Listing, Rows};
use crate::table::with_namespaces;
use crate::tui::app::Color;
use crate::view::summary::Summary;
use crate::view::wants::wants;
use crate::view::{Arranged, View};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Time to wait for reverse DNS.
pub(super) const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Asks for the names of the far addresses of these rows, where they are asked for and shown; those that do not come in time
/// stay addresses. How many did not.
pub(super) fn name_hosts(list: &ListPlan, snap: &Snapshot, rows: &[u32]) -> usize {
    let shown = list.resolve && list.columns.iter().any(|c| c.is(Role::RemoteHost));
    if shown { ask_names(list, snap, rows) } else { 0 }
}

/// The same for every row, where rows are chosen or sorted by those names.
pub(super) fn name_all_hosts(list: &ListPlan, snap: &Snapshot) -> usize {
    if list.compared_columns().iter().any(|c| c.is(Role::RemoteHost)) {
        ask_names(list, snap, &(0..(list.table.len)(snap) as u32).collect::<Vec<_>>())
    } else {
        0
    }
}

fn ask_names(list: &ListPlan, snap: &Snapshot, rows: &[u32]) -> usize {
    let remote = |r: &u32| (list.table.remote_of)(snap, *r as usize);
    let addrs = rows.iter().filter_map(remote).filter(|a| !a.is_any());
    let unknown = |a: &Addr| snap.sample.hosts.get(a) == HostName::Unknown;
    let addrs: BTreeSet<_> = addrs.filter(unknown).collect();
    reverse_dns::resolve(addrs.iter().copied().collect(), &snap.sample.hosts, RESOLVE_WITHIN);
    addrs.into_iter().filter(unknown).count()
}

/// What must be read for a listing.
pub(super) fn wanted(list: &ListPlan) -> Wants {
    let mut out = wants(list.table, &list.columns, &list.filter, &list.sort, ProtoSet::TCP_UDP, true);
    let extra: Vec<_> = list.group.iter().filter_map(|g| g.column(list.table)).collect();
    let wait = list.wait.iter().map(|w| &w.filter);
    for more in std::iter::once(wants(list.table, &extra, &list.filter, &[], ProtoSet::TCP_UDP, true))
        .chain(wait.map(|f| wants(list.table, &[], f, &[], ProtoSet::TCP_UDP, false)))
    {
        out.needs |= more.needs;
    }
    out
}

/// The question of a listing.
pub(super) fn view(list: &ListPlan) -> View {
    View {
        table: list.table,
        filter: list.filter.clone(),
        sort: list.sort.clone(),
        group: list.group,
        closed: false,
    }
}

/// How cells look on this output.
pub(super) fn style(plan: &Plan, words: &Words) -> Style {
    Style { numeric: plan.settings.numeric, ascii: io::stdout().is_terminal() && !words.utf8() }
}

/// Writes what is arranged: rows, one line a group, or their number; at most `height` rows.
pub(super) fn write(
    out: &mut dyn Write,
    plan: &Plan,
    list: &ListPlan,
    snap: &Snapshot,
    arranged: &Arranged,
    height: Option<usize>,
) -> Result<Ending, RunError> {
    let terminal = io::stdout().is_terminal();
    let words = Words::read();
    let most = [list.top, height].into_iter().flatten().min().unwrap_or(usize::MAX);
    let mut columns = list.columns.clone();
    if !list.chosen && list.format == Format::Table {
        columns = with_namespaces(list.table, &columns, snap);
    }
    let summary;
    let each;
    let grid: &dyn Grid = if let Some(by) = list.group {
        let mut s = Summary::new(snap, list.table, arranged, by, &columns, &list.sort);
        s.rows.truncate(most);
        summary = s;
        &summary
    } else {
        let rows = &arranged.rows[..arranged.rows.len().min(most)];
        each = Rows { snap, columns: &columns, rows };
        &each
    };
    let ending = if grid.is_empty() { Ending::Nothing } else { Ending::Fine };
    if list.count {
        writeln!(out, "{}", grid.len()).map_err(RunError::stdout)?;
        return Ok(ending);
    }
    let listing = Listing {
        grid,
        header: list.header,
        style: &style(plan, &words),
        width: if terminal { terminal_size().map(|s| s.0) } else { None },
        color: match plan.settings.color {
            ColorArg::Always => true,
            ColorArg::Never => false,
            ColorArg::Auto => terminal && words.colors() != Color::None,
        },
    };
    output::write(out, list.format, &listing).map_err(RunError::stdout)?;
    Ok(ending)
}

/// Columns and lines of the terminal.
pub(super) fn terminal_size() -> Option<(u16, u16)> {
    crossterm::terminal::size().ok().filter(|(w, h)| *w > 0 && *h > 0)
}
