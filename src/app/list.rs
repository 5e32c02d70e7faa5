//! One shot: read, derive, arrange, print. Also: wait until something matches.

use super::listing::{RESOLVE_WITHIN, name_all_hosts, name_hosts, view, wanted, write};
use super::reader::Reader;
use super::{Ending, RunError, watch};
use crate::cli::Plan;
use crate::cli::list_plan::{ListPlan, Wait};
use crate::diagnose::visibility::hidden;
use crate::format::{Role, thousands};
use crate::model::text::escape;
use crate::model::{Fault, FaultKind, FaultSubject, Netns, Proto, ProtoSet, Reads, Snapshot};
use crate::output::Format;
use crate::table::forwards;
use crate::view::Arranged;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Time between two polls while waiting, when nobody said.
const WAIT_INTERVAL: Duration = Duration::from_millis(200);

/// Reads and prints as planned.
pub(super) fn run(plan: &Plan, list: &ListPlan) -> Result<Ending, RunError> {
    if let Some(every) = list.watch {
        return watch::run(plan, list, every);
    }
    let mut reader = Reader::open(plan, wanted(list))?;
    if let Some(wait) = &list.wait {
        return until(plan, list, wait, &mut reader);
    }
    let mut snap = reader.poll()?;
    // A rate is the difference of two polls, whether it is shown, sorted by or only asked for.
    if list.columns.iter().chain(&list.compared_columns()).any(|c| c.kind.is_over_time()) {
        std::thread::sleep(plan.interval());
        snap = reader.poll()?;
    }
    let mut late = name_all_hosts(list, &snap);
    let rows = view(list).arrange(&snap);
    late = late.max(name_hosts(list, &snap, &rows.rows));
    let ending = print(plan, list, &snap, &rows)?;
    if late > 0 {
        let addresses = if late == 1 { "address" } else { "addresses" };
        let (late, secs) = (thousands(late as u64), RESOLVE_WITHIN.as_secs());
        let _ = writeln!(io::stderr(), "sockscope: no name within {secs} s for {late} far {addresses}");
    }
    Ok(ending)
}

/// Polls until a row matches, then prints those that do.
fn until(plan: &Plan, list: &ListPlan, wait: &Wait, reader: &mut Reader) -> Result<Ending, RunError> {
    let began = Instant::now();
    let every = plan.settings.interval.set().unwrap_or(WAIT_INTERVAL);
    loop {
        let snap = reader.poll()?;
        name_all_hosts(list, &snap);
        let mut rows = view(list).arrange(&snap);
        let matcher = wait.filter.over(&snap);
        rows.rows.retain(|r| matcher.matches(*r as usize));
        if !rows.rows.is_empty() {
            name_hosts(list, &snap, &rows.rows);
            return print(plan, list, &snap, &rows);
        }
        let left = match wait.timeout {
            Some(timeout) => timeout.saturating_sub(began.elapsed()),
            None => every,
        };
        if left.is_zero() {
            return Ok(Ending::Nothing);
        }
        std::thread::sleep(every.min(left));
    }
}

/// Prints what is arranged.
fn print(plan: &Plan, list: &ListPlan, snap: &Snapshot, rows: &Arranged) -> Result<Ending, RunError> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let ending = write(&mut out, plan, list, snap, rows, None)?;
    out.flush().map_err(RunError::stdout)?;
    drop(out);
    let person = list.format == Format::Table && io::stderr().is_terminal();
    let closed =
        if rows.rows.is_empty() && !person { closed_namespaces(plan, list, snap) } else { Vec::new() };
    for line in asked_in_vain(list, snap).into_iter().chain(closed).chain(notes(snap, person)) {
        let _ = writeln!(io::stderr(), "{line}");
    }
    Ok(ending)
}

/// What was asked for and this kernel does not tell, or not to us, and why: protocols that the filter names, forwards. Said
/// to scripts too, since no row may mean that there is none or no answer.
fn asked_in_vain(list: &ListPlan, snap: &Snapshot) -> Vec<String> {
    // A family names many protocols without asking for any one of them.
    let named = list.filter.columns().iter().any(|c| c.is(Role::Proto));
    let asked = if named { list.filter.protos() } else { ProtoSet::empty() };
    let mut out: Vec<String> = Vec::new();
    for (p, name) in Proto::ALL.into_iter().filter(|(p, _)| asked.has(*p)) {
        let is_dump = |s: &FaultSubject| matches!(s, FaultSubject::Dump { proto, .. } if *proto == p);
        let mut faults = snap.sample.faults.iter();
        let unread = faults.find(|f| f.kind == FaultKind::Unsupported && is_dump(&f.subject));
        if let Some(f) = unread.filter(|_| !snap.sockets().iter().any(|s| s.proto == p)) {
            let line = format!("sockscope: {name}: {}", f.detail);
            out.push(escape(&line).into_owned());
        }
    }
    // Read only where they are asked for; who asks for all there is, or takes what a form has, asks for none in particular.
    let chosen = list.chosen && list.columns.len() < list.table.columns.len();
    let looked_at = list.compared_columns();
    let asked = chosen
        || looked_at.iter().any(|c| c.needs.reads.intersects(Reads::PROC_CTX | Reads::SOCK_CTX | Reads::BPF));
    let is_extra = |f: &&Fault| matches!(f.subject, FaultSubject::SecurityContexts | FaultSubject::BpfMaps);
    for f in snap.sample.faults.iter().filter(|_| asked).filter(is_extra) {
        out.push(format!("sockscope: {}: {}", f.subject, f.detail));
    }
    // So with forwards that could not be looked for; other refusals are told by notes().
    for f in forwards::unread(snap).filter(|f| f.kind == FaultKind::NotPermitted) {
        out.push(escape(&format!("sockscope: {f}")).into_owned());
    }
    out
}

/// The namespaces that were not entered, where one was asked for and nothing was found. A person is told of them always.
fn closed_namespaces(plan: &Plan, list: &ListPlan, snap: &Snapshot) -> Vec<String> {
    let named = matches!(plan.settings.netns, Netns::Named(_))
        || list.filter.columns().iter().any(|c| ["netns", "target_netns"].contains(&c.name));
    let faults = snap.sample.faults.iter().filter(|f| named && f.kind == FaultKind::Namespace);
    faults.map(|f| escape(&format!("sockscope: {f}")).into_owned()).collect()
}

/// What is not in the rows and why. A person is told all of it; a script what it cannot expect: that something was not
/// understood or could not be read.
fn notes(snap: &Snapshot, person: bool) -> Vec<String> {
    let mut out = Vec::new();
    if person {
        out.extend(hidden(snap).into_iter().map(|h| escape(&h.said).into_owned()));
    }
    let told = |f: &&Fault| match f.kind {
        FaultKind::Malformed | FaultKind::Failed => true,
        // Descriptors that are hidden are told above, by what they hide.
        FaultKind::NotPermitted => person && !f.detail.is_empty(),
        FaultKind::Namespace => false,
        kind => person && kind.hides_something(),
    };
    let prefix = if person { "" } else { "sockscope: " };
    for f in snap.sample.faults.iter().filter(told) {
        out.push(escape(&format!("{prefix}{f}")).into_owned());
    }
    out
}
