//! `sockscope check`: resource limits for monitoring (Nagios plugin interface).

mod report;
mod window;

use super::exit_status::{ExitStatus, RunError};
use super::fleet::Fleet;
use super::listing;
use super::reader::Reader;
use crate::cli::Plan;
use crate::cli::check::{CheckOutput, CheckPlan};
use crate::cli::list_plan::ListPlan;
use crate::diagnose::finding::{Diagnosis, resolver_diagnoses};
use crate::diagnose::unjudged;
use crate::model::{Level, Limit, LimitKind, LimitSubject, Needs, Snapshot, Verify, Wants};
use report::Report;
use std::cmp::Reverse;
use std::ffi::OsString;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use window::{Verdict, Window};

/// Exit status if nothing worse was found, but something could not be judged, no limit matches, or the check failed.
pub(super) const UNKNOWN: u8 = 3;
/// Minimum number of polls within `--for`.
const MIN_POLLS: u32 = 10;

/// Checks and prints. A read error is the status UNKNOWN, which monitoring understands, not an error.
pub(super) fn run(plan: &Plan, check: &CheckPlan) -> Result<ExitStatus, RunError> {
    let (code, text) = match evaluate(plan, check) {
        Ok(done) => done,
        Err(e) if check.output == CheckOutput::Json => (UNKNOWN, report::error_json(&e.to_string())),
        Err(e) => (UNKNOWN, unknown_line(&e.to_string())),
    };
    if check.output != CheckOutput::Nothing {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(RunError::stdout)?;
    }
    Ok(ExitStatus::Check(code))
}

/// True if the command line is that of a check, whether or not it is valid.
pub(super) fn is_check(args: &[OsString], commands: &[&str]) -> bool {
    args.iter().skip(1).filter_map(|a| a.to_str()).find(|a| commands.contains(a)) == Some("check")
}

/// The status line of a check that could not be made.
pub(super) fn unknown_line(why: &str) -> String {
    format!("UNKNOWN - {}\n", report::plain(why))
}

fn evaluate(plan: &Plan, check: &CheckPlan) -> Result<(u8, String), RunError> {
    let mut wants = Wants { verify: Verify::All, ..listing::wants(&check.list) };
    if plan.settings.dns {
        wants.needs |= Needs::DNS;
    }
    if plan.hosts.is_named() {
        return evaluate_hosts(plan, check, wants);
    }
    let mut reader = Reader::open(plan, wants)?.with_rules(check.rules.clone());
    let matching = |snap: &Snapshot| matching(check, snap);
    let mut window = Window::default();
    let snap = reader.poll()?;
    window.add(&snap, &matching(&snap));
    if let Some(during) = check.during {
        let every = plan.interval().min(during / MIN_POLLS).max(Duration::from_millis(100));
        let deadline = Instant::now() + during;
        while Instant::now() < deadline {
            if !reader.is_recorded() {
                std::thread::sleep(every.min(deadline.saturating_duration_since(Instant::now())));
            }
            let Some(snap) = reader.poll_next()? else { break };
            window.add(&snap, &matching(&snap));
        }
    }
    let judged = Judged::new(plan, check, &window);
    Ok(judged.report(check, window.last().map(|s| &**s)))
}

/// Rows of the limits that are checked.
fn matching(check: &CheckPlan, snap: &Snapshot) -> Vec<usize> {
    let rows = listing::view(&check.list).arrange(snap).rows.into_iter().map(|r| r as usize);
    let selected = |r: &usize| check.only.is_empty() || check.only.contains(&snap.limits[*r].kind);
    rows.filter(selected).collect()
}

/// Checks several hosts: the worst of all is the status, and a host that cannot be read is one that is not judged.
fn evaluate_hosts(plan: &Plan, check: &CheckPlan, wants: Wants) -> Result<(u8, String), RunError> {
    let mut fleet = Fleet::open(plan, wants)?.with_rules(&check.rules);
    let mut windows: Vec<Window> = fleet.names().map(|_| Window::default()).collect();
    let deadline = check.during.map(|d| Instant::now() + d);
    let every = check.during.map(|d| plan.interval().min(d / MIN_POLLS).max(Duration::from_millis(100)));
    loop {
        for (i, snap) in fleet.poll() {
            if let Some(window) = windows.get_mut(i) {
                window.add(&snap, &matching(check, &snap));
            }
        }
        let left = deadline.map_or(Duration::ZERO, |d| d.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        std::thread::sleep(every.unwrap_or(left).min(left));
    }
    let mut all = Judged::default();
    for window in &windows {
        let Some(last) = window.last() else { continue };
        all.add(Judged::new(plan, check, window), &last.sample.host);
    }
    all.unjudged.extend(fleet.missing().map(|(host, why)| format!("{host}: {why}")));
    let last = windows.iter().find_map(Window::last);
    Ok(all.report(check, last.map(|s| &**s)))
}

/// Judgement of one host, or of several.
#[derive(Default)]
struct Judged {
    verdicts: Vec<Verdict>,
    resolvers: Vec<Diagnosis>,
    unjudged: Vec<String>,
    /// It is of several hosts.
    hosts: bool,
}

impl Judged {
    fn new(plan: &Plan, check: &CheckPlan, window: &Window) -> Self {
        let verdicts = window.verdicts(check.during);
        let resolvers =
            window.last().filter(|_| plan.settings.dns).map_or_else(Vec::new, |s| resolver_diagnoses(s));
        let mut unjudged = match window.last() {
            Some(snap) => unjudged_lines(check, snap, verdicts.is_empty()),
            None => Vec::new(),
        };
        unjudged.extend(window.last().filter(|s| plan.settings.dns && !s.sample.dns.on).map(|s| no_dns(s)));
        Self { verdicts, resolvers, unjudged, hosts: false }
    }

    /// Adds the judgement of a host, with its name before each line.
    fn add(&mut self, one: Self, host: &str) {
        let named = |text: String| format!("{host}: {text}");
        let verdict = |v: Verdict| Verdict { evidence: v.evidence.map(named), ..v };
        self.verdicts.extend(one.verdicts.into_iter().map(verdict));
        // Stable: those of one host stay in their order.
        self.verdicts.sort_by_key(|v| Reverse(v.level));
        let diagnosis = |mut d: Diagnosis| {
            d.evidence = named(d.evidence);
            d
        };
        self.resolvers.extend(one.resolvers.into_iter().map(diagnosis));
        self.unjudged.extend(one.unjudged.into_iter().map(named));
        self.hosts = true;
    }

    /// Exit status and text.
    fn report(&self, check: &CheckPlan, last: Option<&Snapshot>) -> (u8, String) {
        let worst = self.verdicts.first().map(|v| v.level);
        let worst = worst.max(self.resolvers.iter().map(|d| d.severity).max());
        let partial = !self.unjudged.is_empty() && !check.allow_partial;
        let (code, word) = match worst {
            Some(Level::Critical) => (2, "CRITICAL"),
            Some(Level::Warning) => (1, "WARNING"),
            Some(Level::Ok) if !partial => (0, "OK"),
            Some(Level::Ok) | None => (UNKNOWN, "UNKNOWN"),
        };
        let report = Report {
            verdicts: &self.verdicts,
            resolvers: &self.resolvers,
            unjudged: &self.unjudged,
            code,
            word,
            rules: &check.rules,
            last,
            hosts: self.hosts,
        };
        let text = match check.output {
            CheckOutput::Json => report.json(),
            CheckOutput::FirstLine => report.status_line(),
            CheckOutput::Text | CheckOutput::Nothing => report.text(),
        };
        (code, text)
    }
}

/// The reason why resolvers are not judged.
fn no_dns(snap: &Snapshot) -> String {
    let why = &*snap.sample.dns.reason;
    format!("DNS resolvers: {}", if why.is_empty() { "no packets are captured" } else { why })
}

/// Limits that could not be judged, of the kinds that `--only` and the filter select. A filter on more than the kind, such as
/// `pid:812`, selects rows, so it is complete if it matches one.
fn unjudged_lines(check: &CheckPlan, snap: &Snapshot, no_match: bool) -> Vec<String> {
    if !no_match && !filters_kinds_only(&check.list) {
        return Vec::new();
    }
    let is_wanted = |kind: LimitKind| {
        (check.only.is_empty() || check.only.contains(&kind)) && filter_selects(&check.list, snap, kind)
    };
    unjudged::lines(snap, &is_wanted)
}

fn filters_kinds_only(list: &ListPlan) -> bool {
    list.filter.columns().iter().all(|c| ["limit", "title", "set_by", "advice"].contains(&c.name))
}

/// True if the filter of a listing of limits can match this kind.
pub(super) fn filter_selects(list: &ListPlan, snap: &Snapshot, kind: LimitKind) -> bool {
    if list.filter.columns().is_empty() || !filters_kinds_only(list) {
        return true;
    }
    let mut probe = snap.clone();
    probe.limits = vec![Limit::new(kind, 0, LimitSubject::System, 0, None)];
    list.filter.over(&probe).matches(0)
}
