//! Output of a check: status line, performance data, details, JSON.

use super::window::Verdict;
use crate::collect;
use crate::diagnose::alert::alert_json;
use crate::diagnose::finding::Diagnosis;
use crate::diagnose::limit::{set_by, stable_label};
use crate::diagnose::{fd_leak, remedy};
use crate::format::thousands;
use crate::model::text::{escape, escape_json};
use crate::model::{AlertRules, Level, LimitKind, Snapshot};
use crate::output::JsonHead;
use crate::output::json::push_head;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Maximum number of limits in the performance data: monitoring systems cut plugin output at 8 KiB.
const MAX_PERFDATA: usize = 80;

/// Result of a check.
pub(super) struct Report<'a> {
    /// The limits, the worst first.
    pub(super) verdicts: &'a [Verdict],
    /// Findings about DNS resolvers, with `--dns`.
    pub(super) resolvers: &'a [Diagnosis],
    /// Limits that could not be judged, one line per reason.
    pub(super) unjudged: &'a [String],
    /// Exit status.
    pub(super) code: u8,
    /// Its name.
    pub(super) word: &'a str,
    /// Thresholds.
    pub(super) rules: &'a AlertRules,
    /// The last snapshot.
    pub(super) last: Option<&'a Snapshot>,
    /// The limits are of several hosts.
    pub(super) hosts: bool,
}

impl Report<'_> {
    /// The status line with performance data behind a bar.
    pub(super) fn status_line(&self) -> String {
        let limits = self.verdicts.iter().filter_map(|v| v.evidence.as_deref());
        let found: Vec<&str> = limits.chain(self.resolvers.iter().map(|d| &*d.evidence)).collect();
        let checked = match self.verdicts.len() {
            0 => "no matching limit".to_owned(),
            1 => "1 limit checked".to_owned(),
            n => format!("{} limits checked", thousands(n as u64)),
        };
        let mut head = match found.first() {
            None if self.unjudged.is_empty() => checked,
            // The reason for UNKNOWN stands first.
            None => format!("not judged: {}; {checked}", self.unjudged.join("; ")),
            Some(first) if found.len() > 1 => format!("{first} (and {} more)", found.len() - 1),
            Some(first) => (*first).to_owned(),
        };
        if !found.is_empty() && !self.unjudged.is_empty() {
            let _ = write!(head, "; not judged: {}", self.unjudged.join("; "));
        }
        let mut out = format!("{} - {}", self.word, plain(&head));
        let perfdata = self.perfdata();
        if !perfdata.is_empty() {
            let _ = write!(out, " | {}", perfdata.join(" "));
        }
        out.push('\n');
        out
    }

    /// One value per label, in the order of the labels: of processes, or namespaces named by processes, with the same name the fullest, so that the set does not
    /// change with pids.
    fn perfdata(&self) -> Vec<String> {
        let mut values: BTreeMap<String, (f64, String)> = BTreeMap::new();
        for v in self.verdicts {
            let l = v.limit();
            let (Some(max), Some(share)) = (l.capacity(), l.share()) else { continue };
            let name = plain(&format!("{} {}", l.kind.info().name, stable_label(&v.snap, v.row)));
            let name = if self.hosts { format!("{} {name}", plain(&v.snap.sample.host)) } else { name };
            let name = name.replace(['\'', '='], "_");
            let comm = l.process.filter(|_| l.kind == LimitKind::Fds);
            let comm = comm.and_then(|p| v.snap.sample.processes.get(p as usize)).map(|p| &*p.info.comm);
            let (warn, crit) = self.rules.shares(l.kind, comm);
            let threshold = |share: f64| (max as f64 * share).floor() as u64;
            if values.get(&name).is_none_or(|(s, _)| share > *s) {
                let value = format!("'{name}'={};{};{};0;{max}", l.used, threshold(warn), threshold(crit));
                values.insert(name, (share, value));
            }
        }
        values.into_values().map(|(_, value)| value).take(MAX_PERFDATA).collect()
    }

    /// Nagios output: the status line, details below.
    pub(super) fn text(&self) -> String {
        let mut out = self.status_line();
        for v in self.verdicts {
            let Some(evidence) = &v.evidence else { continue };
            let l = v.limit();
            let info = l.kind.info();
            let (level, evidence) = (v.level.name(), plain(evidence));
            let _ = writeln!(out, "{level}: {evidence}. {} Set by: {}.", info.help, set_by(l));
            let process = l.process.filter(|_| matches!(l.kind, LimitKind::Fds | LimitKind::CloseWait));
            for s in process.map_or_else(Vec::new, |p| fd_leak::suspects(&v.snap, p as usize)) {
                let _ = writeln!(out, "  {}", plain(&s.line()));
            }
            for step in remedy::steps(&v.snap, v.row) {
                let _ = writeln!(out, "  {}", plain(&step));
            }
        }
        for d in self.resolvers {
            let _ = writeln!(out, "{}: {}. {}", d.severity.name(), plain(&d.evidence), d.help);
        }
        for line in self.unjudged {
            let _ = writeln!(out, "not judged: {}", plain(line));
        }
        out
    }

    /// JSON object.
    pub(super) fn json(&self) -> String {
        let all: Vec<String> = self.verdicts.iter().map(|v| alert_json(&v.snap, v.row)).collect();
        let worst = self.verdicts.iter().filter(|v| v.level > Level::Ok).count();
        let (word, code, all) = (self.word, self.code, all.join(","));
        let unjudged = serde_json::Value::from(self.unjudged.to_vec());
        let resolvers: Vec<&str> = self.resolvers.iter().map(|d| &*d.evidence).collect();
        let resolvers = serde_json::Value::from(resolvers);
        let head = json_head(self.last);
        let json = format!(
            "{{{head},\"status\":\"{word}\",\"exit\":{code},\"exceeded\":{worst},\"not_judged\":{unjudged},\"resolvers\":{resolvers},\"limits\":[{all}]}}\n"
        );
        escape_json(&json).into_owned()
    }
}

/// Time and host name of the last snapshot; without one, of now and here.
fn json_head(last: Option<&Snapshot>) -> String {
    let mut out = String::new();
    match last {
        Some(snap) => push_head(&mut out, JsonHead::new(snap)),
        None => push_head(&mut out, JsonHead { at: collect::stamp(), hostname: &collect::host() }),
    }
    out
}

/// JSON object of a check that could not be made.
pub(super) fn error_json(why: &str) -> String {
    let error = serde_json::Value::from(escape(why).into_owned());
    let head = json_head(None);
    format!("{{{head},\"status\":\"UNKNOWN\",\"exit\":3,\"error\":{error},\"limits\":[]}}\n")
}

/// Text without the bar that separates performance data, and without control characters.
pub(super) fn plain(s: &str) -> String {
    escape(s).replace('|', "/")
}
