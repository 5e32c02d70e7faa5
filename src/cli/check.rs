//! The plan of `sockscope check`.

use super::args::{Check, FormatArg};
use super::error::UsageError;
use super::list_plan::ListPlan;
use super::settings::value::{flag_duration, flag_percentage, limit};
use crate::model::{AlertRules, LimitKind};
use std::time::Duration;

/// A check, checked.
#[derive(Clone, Debug)]
pub struct CheckPlan {
    /// The limits to check: filter and what must be read.
    pub list: ListPlan,
    /// Kinds of limits; empty for all.
    pub only: Vec<LimitKind>,
    /// Thresholds.
    pub rules: AlertRules,
    /// Time to observe.
    pub during: Option<Duration>,
    /// Judge what can be read, and ignore what cannot.
    pub allow_partial: bool,
    /// Output.
    pub output: CheckOutput,
}

/// Output of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutput {
    /// Status line with performance data, and details below.
    Text,
    /// Status line with performance data.
    FirstLine,
    /// JSON.
    Json,
    /// Nothing but the exit status.
    Nothing,
}

impl CheckPlan {
    pub(super) fn new(c: &Check, list: ListPlan, mut rules: AlertRules) -> Result<Self, UsageError> {
        if let Some(w) = &c.warn {
            rules.warn = flag_percentage("--warn", w)?;
        }
        if let Some(w) = &c.crit {
            rules.crit = flag_percentage("--crit", w)?;
        }
        if c.warn.is_some() || c.crit.is_some() {
            // Flags override the thresholds of single limits and processes too.
            (rules.by_kind, rules.by_process) = (Vec::new(), Vec::new());
        }
        if rules.warn > rules.crit {
            let percent = |share: f64| (share * 1e4).round() / 1e2;
            let (warn, crit) = (percent(rules.warn), percent(rules.crit));
            return Err(UsageError(format!("--warn ({warn}%) must be below --crit ({crit}%)")));
        }
        let words = c.only.iter().flat_map(|t| t.split(',')).map(str::trim).filter(|w| !w.is_empty());
        let only = words.map(limit).collect::<Result<_, _>>();
        let only = only.map_err(|e| UsageError(format!("--only: {e}")))?;
        let during = c.during.as_deref().map(|t| flag_duration("--for", t)).transpose()?;
        let format = if c.json { FormatArg::Json } else { c.format };
        let output = match format {
            FormatArg::Table | FormatArg::Json if c.quiet => CheckOutput::Nothing,
            FormatArg::Table if c.short => CheckOutput::FirstLine,
            FormatArg::Table => CheckOutput::Text,
            FormatArg::Json => CheckOutput::Json,
            FormatArg::Ndjson | FormatArg::Csv | FormatArg::Dot | FormatArg::Mermaid => {
                return Err(UsageError("--format: check supports table and json".to_owned()));
            }
        };
        Ok(Self { list, only, rules, during, allow_partial: c.allow_partial, output })
    }
}
