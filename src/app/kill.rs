//! `sockscope kill`: signals the processes that own the matching sockets, or closes the sockets, after a confirmation.

use super::exit_status::{ExitStatus, RunError};
use super::list::print_no_match;
use super::listing::{view, wants};
use super::print::print_error;
use super::reader::Reader;
use crate::actions::{ActionError, close_socket, send_signal};
use crate::cli::kill::{KillMethod, KillPlan};
use crate::cli::{Plan, UsageError};
use crate::diagnose::visibility::hidden;
use crate::format::thousands;
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::model::{Missing, ProcInfo, Snapshot, Socket};
use crate::tui::offers::socket_line;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

/// Sockets listed per process, and in total for `--close`; the others are counted.
const MAX_LINES: usize = 20;

/// Targets of the action.
enum Targets {
    /// Processes with the rows of their matching sockets.
    Processes(Vec<(Arc<ProcInfo>, Vec<usize>)>),
    /// Sockets with their rows.
    Sockets(Vec<(Socket, usize)>),
}

/// Shows what the filter hits, asks, and acts.
pub(super) fn run(plan: &Plan, kill: &KillPlan) -> Result<ExitStatus, RunError> {
    let refused = |why: &str| Err(UsageError(format!("kill: {why}")).into());
    if plan.settings.read_only {
        return refused("disabled by --read-only");
    }
    if !plan.is_live() {
        return refused("acts on this machine only: remove --demo, --proc-root and --from");
    }
    let mut reader = Reader::open(plan, wants(&kill.list))?;
    let snap = reader.poll()?;
    let arranged = view(&kill.list).arrange(&snap);
    let rows: Vec<usize> = arranged.rows.iter().map(|r| *r as usize).collect();
    if rows.is_empty() {
        print_no_match(&kill.list, &snap, arranged, &mut reader)?;
        return Ok(ExitStatus::NoMatch);
    }
    let targets = match kill.method {
        KillMethod::Signal(_) => Targets::Processes(processes(&snap, &rows)),
        KillMethod::Close => Targets::Sockets(rows.iter().map(|r| (*snap.socket(*r), *r)).collect()),
    };
    let unowned = unowned(&snap, &rows);
    let question = match (&targets, kill.method) {
        (Targets::Processes(p), _) if p.is_empty() => {
            return refused(&format!("no process to signal: {}", unowned.join("; ")));
        }
        (Targets::Processes(p), KillMethod::Signal(signal)) => {
            format!("Send {} to {}?", signal.name, counted(p.len(), "process", "processes"))
        }
        (Targets::Processes(p), KillMethod::Close) => counted(p.len(), "process", "processes"),
        (Targets::Sockets(s), _) => format!(
            "Close {}? The application gets an error, the peer a RST.",
            counted(s.len(), "socket", "sockets")
        ),
    };
    if !kill.yes {
        preview(&snap, &targets);
        if matches!(kill.method, KillMethod::Signal(_)) {
            for line in &unowned {
                print_error(line);
            }
        }
        if !io::stdin().is_terminal() {
            return refused("not confirmed: standard input is not a terminal; --yes confirms");
        }
        if !confirmed(&question) {
            print_error("cancelled");
            return Ok(ExitStatus::NoMatch);
        }
    }
    let mut failed = 0;
    let mut report = |name: String, done: &str, result: Result<(), ActionError>| match result {
        Ok(()) => {
            let _ = writeln!(io::stdout(), "{done} {}", escape(&name));
        }
        Err(e) => {
            failed += 1;
            print_error(&e.to_string());
        }
    };
    match (&targets, kill.method) {
        (Targets::Processes(processes), KillMethod::Signal(signal)) => {
            for (process, _) in processes {
                report(named(process), signal.name, send_signal(process, signal));
            }
        }
        (Targets::Sockets(sockets), _) => {
            for (socket, row) in sockets {
                report(socket_line(&snap, *row), "closed", close_socket(socket, &snap.sample.namespaces));
            }
        }
        (Targets::Processes(_), KillMethod::Close) => {}
    }
    if failed > 0 {
        return refused(&format!("{failed} of {} failed", targets.len()));
    }
    Ok(ExitStatus::Success)
}

impl Targets {
    const fn len(&self) -> usize {
        match self {
            Self::Processes(p) => p.len(),
            Self::Sockets(s) => s.len(),
        }
    }
}

fn counted(n: usize, singular: &str, plural: &str) -> String {
    format!("{} {}", thousands(n as u64), if n == 1 { singular } else { plural })
}

fn named(process: &ProcInfo) -> String {
    format!("{} {}", process.name(), process.pid)
}

/// The owners of these rows, in the order of the rows; never this process.
fn processes(snap: &Snapshot, rows: &[usize]) -> Vec<(Arc<ProcInfo>, Vec<usize>)> {
    let mut out: Vec<(Arc<ProcInfo>, Vec<usize>)> = Vec::new();
    for row in rows {
        for owner in snap.owners(*row) {
            let info = &snap.process(owner).info;
            if info.pid == std::process::id() {
                continue;
            }
            match out.iter_mut().find(|(p, _)| p.pid == info.pid) {
                Some((_, rows)) if rows.last() == Some(row) => {}
                Some((_, rows)) => rows.push(*row),
                None => out.push((Arc::clone(info), vec![*row])),
            }
        }
    }
    out
}

/// Sockets without a process that a signal could reach, by reason.
fn unowned(snap: &Snapshot, rows: &[usize]) -> Vec<String> {
    let mut reasons: Vec<(Missing, usize)> = Vec::new();
    for row in rows.iter().filter(|r| snap.owners(**r).is_empty()) {
        let why = snap.facts.get(*row).and_then(|f| f.owner_missing).unwrap_or(Missing::NoVisibleProcess);
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, n)) => *n += 1,
            None => reasons.push((why, 1)),
        }
    }
    let mut out: Vec<String> = reasons
        .into_iter()
        .map(|(why, n)| {
            format!("{} without a process: {}", counted(n, "socket", "sockets"), tr(why.reason()))
        })
        .collect();
    if !out.is_empty() {
        out.extend(hidden(snap).into_iter().take(1).map(|h| h.summary));
    }
    out
}

/// Prints what would be hit on standard error, beside the question.
fn preview(snap: &Snapshot, targets: &Targets) {
    let lines = |rows: &[usize], indent: &str| {
        for row in rows.iter().take(MAX_LINES) {
            let _ = writeln!(io::stderr(), "{indent}{}", socket_line(snap, *row));
        }
        if rows.len() > MAX_LINES {
            let _ = writeln!(io::stderr(), "{indent}and {} more", thousands((rows.len() - MAX_LINES) as u64));
        }
    };
    match targets {
        Targets::Processes(processes) => {
            for (process, rows) in processes {
                let held = counted(rows.len(), "matching socket", "matching sockets");
                let _ = writeln!(io::stderr(), "{}  {held}", escape(&named(process)));
                lines(rows, "  ");
            }
        }
        Targets::Sockets(sockets) => lines(&sockets.iter().map(|(_, row)| *row).collect::<Vec<_>>(), ""),
    }
}

/// Asks on standard error; only `y` and `yes` confirm.
fn confirmed(question: &str) -> bool {
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}
