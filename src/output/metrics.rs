//! Metrics of a snapshot for Prometheus, as a bounded page of text.
//!
//! [`FAMILIES`] is the list of all metrics. No label is a process id, a remote address or an ephemeral port: rows are grouped by
//! command, unit, container, listener or kind of limit, the groups under most pressure have series of their own, and the rest is
//! the series `other`. A page has at most [`MAX_SERIES`] series, whatever the number of sockets.

mod connections;
mod families;
mod limits;
mod listeners;
mod processes;
mod series;
mod text;
mod totals;

pub use families::{FAMILIES, Family, Kind};
pub use text::Form;
pub use totals::Totals;

use crate::model::{Level, Snapshot};
use families::Groups;
use series::series_count;

/// Most series of a page.
pub const MAX_SERIES: usize = 2_000;
/// Groups of a family with series of their own, unless another number is set.
pub const DEFAULT_TOP: usize = 50;

/// Number of rows to which a finding applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingCount {
    /// Name of the finding.
    pub name: &'static str,
    /// Severity.
    pub severity: Level,
    /// Number of rows.
    pub count: u64,
}

/// Cost and state of the program that writes the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Own {
    /// Version of the program.
    pub version: &'static str,
    /// Polls so far.
    pub polls: u64,
    /// Polls that failed.
    pub poll_errors: u64,
    /// CPU time so far, seconds.
    pub cpu_s: f64,
}

/// Source of the values of a page.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Snapshot.
    pub snap: &'a Snapshot,
    /// Counters over all snapshots so far, this one included.
    pub totals: &'a Totals,
    /// Findings of the snapshot.
    pub findings: &'a [FindingCount],
    /// Program.
    pub own: &'a Own,
}

/// A page in both formats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    text: String,
    open_metrics: String,
    series: usize,
}

impl Page {
    /// Renders a page with series of their own for at most `top` groups of a family, and fewer if it would have more than
    /// [`MAX_SERIES`] otherwise.
    pub fn new(input: Input<'_>, top: usize) -> Self {
        let mut top = top.max(1);
        loop {
            let groups = Groups::new(input, top);
            let families: Vec<_> = FAMILIES.iter().map(|f| (f, f.points(&groups))).collect();
            let series = families.iter().map(|(_, points)| series_count(points)).sum();
            if series <= MAX_SERIES || top == 1 {
                return Self {
                    text: text::page(&families, Form::Text),
                    open_metrics: text::page(&families, Form::OpenMetrics),
                    series,
                };
            }
            top = (top * 3 / 4).max(1);
        }
    }

    /// The page in this format.
    pub fn form(&self, form: Form) -> &str {
        match form {
            Form::Text => &self.text,
            Form::OpenMetrics => &self.open_metrics,
        }
    }

    /// Number of series.
    pub const fn series(&self) -> usize {
        self.series
    }
}

#[cfg(test)]
mod tests;
