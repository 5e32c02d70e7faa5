//! A listing printed once, and `--wait-for`.

use super::exit_status::{ExitStatus, RunError};
use super::listing::{RESOLVE_TIMEOUT, resolve_all_hosts, resolve_hosts, view, wants, write};
use super::print::print_error;
use super::reader::Reader;
use super::{check, watch};
use crate::cli::Plan;
use crate::cli::list_plan::{ListPlan, Wait};
use crate::diagnose::{unjudged, visibility::hidden};
use crate::format::{Role, Style, duration, thousands};
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::model::{
    Fault, FaultKind, FaultSubject, Missing, Netns, Proto, ProtoSet, Reads, Snapshot, Verify, Wants,
};
use crate::msg;
use crate::output::Format;
use crate::table::{TableId, forwards};
use crate::view::wants::wants as view_wants;
use crate::view::{Arranged, NoMatch, View};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Poll interval of `--wait-for` if none was set.
pub(super) const WAIT_INTERVAL: Duration = Duration::from_millis(200);

/// Prints the listing.
pub(super) fn run(plan: &Plan, list: &ListPlan) -> Result<ExitStatus, RunError> {
    if let Some(every) = list.watch {
        return watch::run(plan, list, every);
    }
    let mut reader = Reader::open(plan, wants(list))?;
    if let Some(wait) = &list.wait {
        reader.set_wants(Wants { verify: Verify::All, ..wants(list) });
        return wait_for(plan, list, wait, &mut reader);
    }
    if plan.is_span() {
        return each_moment(plan, list, &mut reader);
    }
    let mut snap = reader.poll()?;
    // Rates need two polls, whether they are shown, sorted by or filtered on.
    let over_time = list.columns.iter().chain(&list.compared_columns()).any(|c| c.is_over_time());
    if over_time && !reader.is_recorded() {
        std::thread::sleep(plan.interval());
        snap = reader.poll()?;
    }
    let mut unresolved = resolve_all_hosts(list, &snap);
    let rows = view(list).arrange(&snap);
    unresolved = unresolved.max(resolve_hosts(list, &snap, &rows.rows));
    let status = print_rows(plan, list, &snap, &rows)?;
    let is_empty = rows.rows.is_empty();
    if is_empty && !list.count {
        print_no_match(list, &snap, rows, &mut reader)?;
        if let Some(note) = &plan.mistyped {
            print_error(note);
        }
    }
    print_missing(plan, list, &snap, is_empty);
    if unresolved > 0 {
        let addresses = if unresolved == 1 { "address" } else { "addresses" };
        let (count, secs) = (thousands(unresolved as u64), RESOLVE_TIMEOUT.as_secs());
        let _ =
            writeln!(io::stderr(), "sockscope: reverse DNS timed out after {secs} s for {count} {addresses}");
    }
    Ok(status)
}

/// Prints the rows of every sample.
fn each_moment(plan: &Plan, list: &ListPlan, reader: &mut Reader) -> Result<ExitStatus, RunError> {
    let mut status = ExitStatus::NoMatch;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    while let Some(snap) = reader.poll_next()? {
        resolve_all_hosts(list, &snap);
        let rows = view(list).arrange(&snap);
        resolve_hosts(list, &snap, &rows.rows);
        if write(&mut out, plan, list, &snap, &rows, None)? == ExitStatus::Success {
            status = ExitStatus::Success;
        }
    }
    out.flush().map_err(RunError::stdout)?;
    Ok(status)
}

/// Polls until a row matches, then prints the matching rows.
fn wait_for(plan: &Plan, list: &ListPlan, wait: &Wait, reader: &mut Reader) -> Result<ExitStatus, RunError> {
    let start = Instant::now();
    let every = plan.settings.interval.set().unwrap_or(WAIT_INTERVAL);
    loop {
        let Some(snap) = reader.poll_next()? else { return Ok(ExitStatus::NoMatch) };
        resolve_all_hosts(list, &snap);
        let mut rows = view(list).arrange(&snap);
        let matcher = wait.filter.over(&snap);
        rows.rows.retain(|r| matcher.matches(*r as usize));
        if !rows.rows.is_empty() {
            resolve_hosts(list, &snap, &rows.rows);
            let status = print_rows(plan, list, &snap, &rows)?;
            print_missing(plan, list, &snap, false);
            return Ok(status);
        }
        let left = match wait.timeout {
            Some(timeout) => timeout.saturating_sub(start.elapsed()),
            None => every,
        };
        if left.is_zero() {
            let shown = view(list).arrange(&snap);
            let reason = match shown.no_match {
                Some(reason) => no_match_lines(list, &snap, &reason),
                None => {
                    let waited_for = View { filter: wait.filter.clone(), ..view(list) }.arrange(&snap);
                    waited_for.no_match.map_or_else(Vec::new, |n| n.lines(list.table))
                }
            };
            let waited = duration(start.elapsed().as_secs_f64(), &Style::default());
            let _ = writeln!(io::stderr(), "sockscope: timed out after {waited}");
            print_lines(reason);
            return Ok(ExitStatus::NoMatch);
        }
        if !reader.is_recorded() {
            std::thread::sleep(every.min(left));
        }
    }
}

/// Prints the rows.
fn print_rows(
    plan: &Plan,
    list: &ListPlan,
    snap: &Snapshot,
    rows: &Arranged,
) -> Result<ExitStatus, RunError> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let status = write(&mut out, plan, list, snap, rows, None)?;
    out.flush().map_err(RunError::stdout)?;
    Ok(status)
}

/// Prints on standard error what is missing from the rows.
fn print_missing(plan: &Plan, list: &ListPlan, snap: &Snapshot, is_empty: bool) {
    let interactive = list.format == Format::Table && io::stderr().is_terminal();
    let unread_netns =
        if is_empty && !interactive { unread_namespaces(plan, list, snap) } else { Vec::new() };
    for line in unavailable(list, snap).into_iter().chain(unread_netns).chain(read_errors(snap, interactive))
    {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Prints the reason why no row matches. What the kernel filtered is read again whole, so that the reason counts all rows.
pub(super) fn print_no_match(
    list: &ListPlan,
    snap: &Snapshot,
    rows: Arranged,
    reader: &mut Reader,
) -> Result<(), RunError> {
    let all = view_wants(list.table, &[], &list.filter, &[], ProtoSet::TCP_UDP, false);
    let narrowed = (&snap.sample.wants.states, snap.sample.wants.protos) != (&all.states, all.protos)
        || snap.sample.wants.prefilter.is_some();
    let whole;
    let (snap, no_match) = if narrowed && !reader.is_recorded() {
        reader.set_wants(all);
        whole = reader.poll()?;
        (&*whole, view(list).arrange(&whole).no_match)
    } else {
        (snap, rows.no_match)
    };
    if let Some(no_match) = no_match {
        print_lines(no_match_lines(list, snap, &no_match));
    }
    Ok(())
}

/// Lines with the reason why no row of this snapshot matches.
pub(super) fn no_match_lines(list: &ListPlan, snap: &Snapshot, no_match: &NoMatch) -> Vec<String> {
    let mut lines = no_match.lines(list.table);
    if let Some(filter) = &list.any_state {
        let any_state = View { filter: filter.clone(), ..view(list) }.arrange(snap);
        // The states are the reason, or they are not: the rest of the filter is.
        lines.truncate(1);
        lines.extend(match any_state.rows.len() {
            0 => any_state.no_match.and_then(|n| n.near_miss()),
            1 => Some(tr("1 matches with -a").to_owned()),
            n => Some(msg!("{} match with -a", thousands(n as u64))),
        });
    }
    lines
}

pub(super) fn print_lines(lines: Vec<String>) {
    for line in lines {
        let _ = writeln!(io::stderr(), "sockscope: {}", escape(&line));
    }
}

/// Requested data that is unavailable, with the reason: protocols that the filter names, security contexts, BPF maps, forwards.
/// Printed for scripts too, since otherwise no row could mean that there is none.
pub(super) fn unavailable(list: &ListPlan, snap: &Snapshot) -> Vec<String> {
    // A family names many protocols without requesting any single one.
    let named = list.filter.columns().iter().any(|c| c.is(Role::Proto));
    let requested = if named { list.filter.protos() } else { ProtoSet::empty() };
    let mut out: Vec<String> = Vec::new();
    for (p, name) in Proto::ALL.into_iter().filter(|(p, _)| requested.has(*p)) {
        let mut faults = snap.sample.faults.iter();
        let unread = faults.find(|f| f.kind == FaultKind::Unsupported && f.subject.is_table_of(p));
        if let Some(f) = unread.filter(|_| !snap.sockets().any(|s| s.proto == p)) {
            let line = format!("sockscope: {name}: {}", f.detail);
            out.push(escape(&line).into_owned());
        }
    }
    // `--columns all` and the defaults of a format do not request any single column.
    let chosen = list.chosen && !list.all_columns();
    let compared = list.compared_columns();
    let requested = chosen
        || compared.iter().any(|c| c.needs.reads.intersects(Reads::PROC_CTX | Reads::SOCK_CTX | Reads::BPF));
    let is_extra = |f: &&Fault| matches!(f.subject, FaultSubject::SecurityContexts | FaultSubject::BpfMaps);
    for f in snap.sample.faults.iter().filter(|_| requested).filter(is_extra) {
        out.push(format!("sockscope: {}: {}", f.subject, f.detail));
    }
    out.extend(unjudged_limits(list, snap));
    if list.table.id == TableId::Processes && snap.sample.privileges.hidepid {
        out.push(
            "sockscope: processes of other users are hidden: /proc is mounted with hidepid, run as root to see them"
                .to_owned(),
        );
    }
    // Other errors are printed by `read_errors`.
    for f in forwards::unread(snap).filter(|f| f.kind == FaultKind::NotPermitted) {
        out.push(escape(&format!("sockscope: {f}")).into_owned());
    }
    out
}

/// Limits that could not be read, of the kinds that the filter selects.
fn unjudged_limits(list: &ListPlan, snap: &Snapshot) -> Vec<String> {
    if list.table.id != TableId::Limits {
        return Vec::new();
    }
    let lines = unjudged::lines(snap, &|kind| check::filter_selects(list, snap, kind));
    lines.iter().map(|l| escape(&format!("sockscope: not judged: {l}")).into_owned()).collect()
}

/// Network namespaces that could not be entered or were not searched for, where no row was found.
fn unread_namespaces(plan: &Plan, list: &ListPlan, snap: &Snapshot) -> Vec<String> {
    let is_unread = |f: &&Fault| matches!(f.kind, FaultKind::Namespace | FaultKind::NotSearched);
    let faults = snap.sample.faults.iter().filter(is_unread);
    let mut out: Vec<String> = faults.map(|f| escape(&format!("sockscope: {f}")).into_owned()).collect();
    // Another user's process may keep one in which no process is.
    let is_searched =
        matches!(plan.settings.netns, Netns::All) && plan.demo.is_none() && plan.proc_root.is_none();
    let hidden = snap.sample.processes.iter().filter(|p| p.fds_hidden == Some(Missing::NotPermitted)).count();
    if is_searched
        && hidden > 0
        && matches!(list.table.id, TableId::Sockets | TableId::Ports | TableId::Peers | TableId::Map)
    {
        let processes = if hidden == 1 { "1 process".to_owned() } else { format!("{hidden} processes") };
        out.push(format!(
            "sockscope: network namespaces: not searched for: those that only threads or descriptors of {processes} keep: not permitted"
        ));
    }
    out
}

/// Read errors that hide rows or values: on a terminal all of them, for scripts only parse errors and failures.
pub(super) fn read_errors(snap: &Snapshot, interactive: bool) -> Vec<String> {
    let mut out = Vec::new();
    if interactive {
        out.extend(hidden(snap).into_iter().map(|h| escape(&h.summary).into_owned()));
    }
    let shown = |f: &&Fault| match f.kind {
        FaultKind::Malformed | FaultKind::Failed | FaultKind::NotCaptured => true,
        // Without a detail it is covered by `hidden`.
        FaultKind::NotPermitted => interactive && !f.detail.is_empty(),
        FaultKind::Namespace | FaultKind::NotSearched => false,
        kind => interactive && kind.hides_data(),
    };
    let prefix = if interactive { "" } else { "sockscope: " };
    for f in snap.faults().filter(shown) {
        out.push(escape(&format!("{prefix}{f}")).into_owned());
    }
    out
}
