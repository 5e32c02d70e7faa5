//! The plan of `sockscope check`, and the rules of alerts.

use super::args::{Check, FormatArg};
use super::config::{Alerts, Shares};
use super::plan::{ListPlan, UsageError, time};
use crate::format::did_you_mean::nearest;
use crate::model::limit::CEILINGS;
use crate::model::{AlertRules, Ceiling};
use std::time::Duration;

/// A check, checked.
#[derive(Clone, Debug)]
pub struct CheckPlan {
    /// The limits that are looked at: filter and what must be read.
    pub list: ListPlan,
    /// The kinds of limits; empty for all.
    pub only: Vec<Ceiling>,
    /// When it is a warning, when critical.
    pub rules: AlertRules,
    /// How long to watch.
    pub during: Option<Duration>,
    /// As JSON.
    pub json: bool,
}

impl CheckPlan {
    pub(super) fn new(c: &Check, list: ListPlan, mut rules: AlertRules) -> Result<Self, UsageError> {
        if let Some(w) = &c.warn {
            rules.warn = share("--warn", w)?;
        }
        if let Some(w) = &c.crit {
            rules.crit = share("--crit", w)?;
        }
        if c.warn.is_some() || c.crit.is_some() {
            // What is asked for here holds for all.
            (rules.by_ceiling, rules.by_process) = (Vec::new(), Vec::new());
        }
        if rules.warn > rules.crit {
            return Err(UsageError("--warn is above --crit: a warning comes before".to_owned()));
        }
        let mut only = Vec::new();
        for word in c.only.iter().flat_map(|t| t.split(',')).map(str::trim).filter(|w| !w.is_empty()) {
            only.push(ceiling("--only", word)?);
        }
        let during = c.during.as_deref().map(|t| time("--for", t)).transpose()?;
        let json = match c.format {
            FormatArg::Table => false,
            FormatArg::Json => true,
            FormatArg::Ndjson | FormatArg::Csv => {
                return Err(UsageError("check prints a table or json".to_owned()));
            }
        };
        Ok(Self { list, only, rules, during, json })
    }
}

/// `80%`, `80` or `0.8`.
pub(super) fn share(what: &str, text: &str) -> Result<f64, UsageError> {
    let bad = || UsageError(format!("{what}: {text:?} is no share; write it like 80% or 0.8"));
    let number: f64 = text.trim().trim_end_matches('%').trim().parse().map_err(|_| bad())?;
    let share = if text.contains('%') || number > 1.0 { number / 100.0 } else { number };
    if share > 0.0 && share <= 10.0 { Ok(share) } else { Err(bad()) }
}

fn ceiling(what: &str, word: &str) -> Result<Ceiling, UsageError> {
    Ceiling::parse(word).ok_or_else(|| {
        let near = nearest(word, CEILINGS.iter().map(|c| c.name));
        let near = near.map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
        UsageError(format!("{what}: no limit {word:?}{near} (there are {})", names()))
    })
}

fn names() -> String {
    CEILINGS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
}

/// The rules of the configuration file.
pub(super) fn rules(a: &Alerts) -> Result<AlertRules, UsageError> {
    let mut out = AlertRules::default();
    if let Some(w) = &a.warn {
        out.warn = share("warn of [alerts]", w)?;
    }
    if let Some(w) = &a.crit {
        out.crit = share("crit of [alerts]", w)?;
    }
    if let Some(h) = &a.horizon {
        out.horizon_s = time("horizon of [alerts]", h)?.as_secs_f64();
    }
    let both = |name: &str, s: &Shares| {
        let what = format!("[alerts] {name}");
        Ok::<_, UsageError>((share(&what, &s.warn)?, share(&what, &s.crit)?))
    };
    for (name, s) in &a.limits {
        let (warn, crit) = both(name, s)?;
        out.by_ceiling.push((ceiling("[alerts.limits]", name)?, warn, crit));
    }
    for (name, s) in &a.processes {
        let (warn, crit) = both(name, s)?;
        out.by_process.push((name.as_str().into(), warn, crit));
    }
    if !matches!(a.notify.as_deref(), None | Some("osc9" | "osc777")) {
        return Err(UsageError("notify of [alerts]: write \"osc9\" or \"osc777\"".to_owned()));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn shares_in_every_spelling() {
        for (text, want) in [("80%", 0.8), ("80", 0.8), ("0.8", 0.8), (" 5 %", 0.05), ("1", 1.0)] {
            assert!((share("--warn", text).unwrap() - want).abs() < 1e-9, "{text}");
        }
        for text in ["", "x", "-1", "0", "5000%"] {
            assert!(share("--warn", text).is_err(), "{text}");
        }
        assert!(ceiling("--only", "acept").unwrap_err().to_string().contains("\"accept\""));
    }

    #[test]
    fn rules_of_a_file() {
        let s = |w: &str, c: &str| Shares { warn: w.into(), crit: c.into() };
        let mut a = Alerts { warn: Some("60%".into()), horizon: Some("5m".into()), ..Alerts::default() };
        a.limits = BTreeMap::from([("ports".to_owned(), s("50%", "60%"))]);
        let r = rules(&a).unwrap();
        assert_eq!(
            format!("{:?}", (r.warn, r.horizon_s, r.shares(Ceiling::Ports, None))),
            "(0.6, 300.0, (0.5, 0.6))"
        );
        a.limits.insert("prts".to_owned(), s("1%", "2%"));
        assert!(rules(&a).is_err());
    }
}
