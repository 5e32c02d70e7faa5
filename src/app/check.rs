//! `sockscope check`: resource limits for monitoring (Nagios plugin interface).

use super::exit_status::{ExitStatus, RunError};
use super::listing;
use super::reader::Reader;
use crate::cli::Plan;
use crate::cli::check::CheckPlan;
use crate::diagnose::alert::alert_json;
use crate::diagnose::fd_leak;
use crate::diagnose::finding::limit_diagnosis;
use crate::diagnose::limit::subject;
use crate::diagnose::remedy;
use crate::model::text::escape;
use crate::model::{AlertRules, Level, Snapshot};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Exit status if no limit matches or reading failed.
const UNKNOWN: u8 = 3;
/// Minimum number of polls within `--for`.
const MIN_POLLS: u32 = 10;
/// Maximum number of limits in the performance data.
const MAX_PERFDATA: usize = 20;

/// Checks and prints. A read error is the status UNKNOWN, which monitoring understands, not an error.
pub(super) fn run(plan: &Plan, check: &CheckPlan) -> Result<ExitStatus, RunError> {
    match evaluate(plan, check) {
        Ok((code, text)) => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(RunError::stdout)?;
            Ok(ExitStatus::Check(code))
        }
        Err(e) => {
            let text = format!("UNKNOWN - {}\n", escape(&e.to_string()));
            io::stdout().write_all(text.as_bytes()).map_err(RunError::stdout)?;
            Ok(ExitStatus::Check(UNKNOWN))
        }
    }
}

fn evaluate(plan: &Plan, check: &CheckPlan) -> Result<(u8, String), RunError> {
    let wants = listing::wants(&check.list);
    let mut reader = Reader::open(plan, wants)?.with_rules(check.rules.clone());
    let mut snap = reader.poll()?;
    if let Some(during) = check.during {
        let every = plan.interval().min(during / MIN_POLLS).max(Duration::from_millis(100));
        let deadline = Instant::now() + during;
        while Instant::now() < deadline {
            std::thread::sleep(every.min(deadline.saturating_duration_since(Instant::now())));
            snap = reader.poll()?;
        }
    }
    let rows = listing::view(&check.list).arrange(&snap).rows;
    let selected = |r: &usize| check.only.is_empty() || check.only.contains(&snap.limits[*r].kind);
    let mut rows: Vec<usize> = rows.into_iter().map(|r| r as usize).filter(selected).collect();
    rows.sort_by_key(|r| std::cmp::Reverse(snap.limits[*r].level));
    let worst = rows.first().map(|r| snap.limits[*r].level);
    let (code, word) = match worst {
        None => (UNKNOWN, "UNKNOWN"),
        Some(Level::Ok) => (0, "OK"),
        Some(Level::Warning) => (1, "WARNING"),
        Some(Level::Critical) => (2, "CRITICAL"),
    };
    Ok((
        code,
        if check.json { json(&snap, &rows, code, word) } else { text(&snap, &rows, word, &check.rules) },
    ))
}

/// Nagios output: the status line with performance data behind a bar, details below.
fn text(snap: &Snapshot, rows: &[usize], word: &str, rules: &AlertRules) -> String {
    let found: Vec<String> =
        rows.iter().filter_map(|r| limit_diagnosis(snap, *r).map(|d| d.evidence)).collect();
    let head = match (found.first(), rows.len()) {
        (_, 0) => "no matching limit".to_owned(),
        (None, n) => format!("{n} {} checked", if n == 1 { "limit" } else { "limits" }),
        (Some(first), _) if found.len() > 1 => format!("{first} (and {} more)", found.len() - 1),
        (Some(first), _) => first.clone(),
    };
    let mut out = format!("{word} - {}", plain(&head));
    let perfdata = rows.iter().take(MAX_PERFDATA).filter_map(|r| {
        let l = &snap.limits[*r];
        let name = plain(&format!("{} {}", l.kind.info().name, subject(snap, *r))).replace(['\'', '='], "_");
        let max = l.max?;
        let comm = l.process.filter(|_| l.kind == crate::model::LimitKind::Fds);
        let comm = comm.and_then(|p| snap.sample.processes.get(p as usize)).map(|p| &*p.info.comm);
        let (warn, crit) = rules.shares(l.kind, comm);
        let threshold = |share: f64| (max as f64 * share).floor() as u64;
        Some(format!("'{name}'={};{};{};0;{max}", l.used, threshold(warn), threshold(crit)))
    });
    let perfdata: Vec<String> = perfdata.collect();
    if !perfdata.is_empty() {
        let _ = write!(out, " | {}", perfdata.join(" "));
    }
    out.push('\n');
    for (r, f) in rows.iter().zip(&found) {
        let info = snap.limits[*r].kind.info();
        let _ = writeln!(
            out,
            "{}: {} {} Set by: {}.",
            snap.limits[*r].level.name(),
            plain(f),
            info.help,
            info.set_by
        );
        let process = snap.limits[*r].process.filter(|_| {
            matches!(snap.limits[*r].kind, crate::model::LimitKind::Fds | crate::model::LimitKind::CloseWait)
        });
        for s in process.map_or_else(Vec::new, |p| fd_leak::suspects(snap, p as usize)) {
            let _ = writeln!(out, "  {}", plain(&s.line()));
        }
        for step in remedy::steps(snap, *r) {
            let _ = writeln!(out, "  {}", plain(&step));
        }
    }
    out
}

/// Text without the bar that separates performance data, and without control characters.
fn plain(s: &str) -> String {
    escape(s).replace('|', "/")
}

fn json(snap: &Snapshot, rows: &[usize], code: u8, word: &str) -> String {
    let all: Vec<String> = rows.iter().map(|r| alert_json(snap, *r)).collect();
    format!("{{\"status\":\"{word}\",\"exit\":{code},\"limits\":[{}]}}\n", all.join(","))
}
