//! Which limits are alarming, and since when.

use crate::model::Sample;
use crate::model::limit::{Alert, AlertRules, Level, Limit, LimitKind, LimitSubject};
use rustc_hash::FxHashMap;

/// Share by which a limit must fall below its threshold before its alert goes.
const EASE: f64 = 0.05;
/// Polls for which it must be clearly over.
const CALM: u32 = 3;
/// Below this share a forecast alarms nobody: what is far away may turn.
const FAR: f64 = 0.2;

#[derive(Debug)]
struct Raised {
    level: Level,
    since_ns: u64,
    calm: u32,
    poll: u64,
}

/// Alerts that are raised.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    poll: u64,
    raised: FxHashMap<(LimitKind, u16, LimitSubject), Raised>,
}

impl Alerts {
    /// Gives each row its level; the alerts, the worst first.
    pub(super) fn judge(&mut self, rows: &mut [Limit], sample: &Sample, rules: &AlertRules) -> Vec<Alert> {
        self.poll += 1;
        let now = sample.at.boot_ns;
        let mut out = Vec::new();
        for (i, row) in rows.iter_mut().enumerate() {
            let comm = row.process.filter(|_| row.kind == LimitKind::Fds);
            let comm = comm.and_then(|p| sample.processes.get(p as usize)).map(|p| &*p.info.comm);
            let seen = level(row, rules, comm, 0.0, 1.0);
            let key = row.id();
            let mut new = false;
            match self.raised.get_mut(&key) {
                Some(r) => {
                    let least = level(row, rules, comm, EASE, 1.5);
                    if seen > r.level {
                        (r.level, r.calm, new) = (seen, 0, true);
                    } else if least < r.level {
                        r.calm += 1;
                        if r.calm >= CALM {
                            (r.level, r.calm) = (least, 0);
                        }
                    } else {
                        r.calm = 0;
                    }
                    r.poll = self.poll;
                    row.level = r.level;
                }
                None => row.level = seen,
            }
            if row.level == Level::Ok {
                self.raised.remove(&key);
                continue;
            }
            let poll = self.poll;
            let r = self.raised.entry(key).or_insert_with(|| {
                new = true;
                Raised { level: row.level, since_ns: now, calm: 0, poll }
            });
            out.push(Alert { limit: i as u32, level: r.level, since_ns: r.since_ns, new });
        }
        // What has no row any more is over.
        let poll = self.poll;
        self.raised.retain(|_, r| r.poll == poll);
        let share = |a: &Alert| rows[a.limit as usize].share().unwrap_or(1.0);
        out.sort_by(|a, b| b.level.cmp(&a.level).then(share(b).total_cmp(&share(a))));
        out
    }
}

/// How bad a row is; `ease` lowers the thresholds and `patience` lengthens the horizon for what is raised already.
fn level(row: &Limit, rules: &AlertRules, comm: Option<&str>, ease: f64, patience: f64) -> Level {
    let lost = row.drops_new.is_some_and(|n| n > 0);
    let Some(share) = row.share() else {
        return if lost || row.kind == LimitKind::CloseWait && row.grows {
            Level::Warning
        } else {
            Level::Ok
        };
    };
    let (warn, crit) = rules.shares(row.kind, comm);
    let horizon = rules.horizon_s * patience;
    // A queue that loses clients is past every threshold.
    if share >= crit - ease || lost || share > FAR && row.is_full_within(horizon / 10.0) {
        Level::Critical
    } else if share >= warn - ease || share > FAR && row.is_full_within(horizon) {
        Level::Warning
    } else {
        Level::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendInfo, FullIn, Stamp, Wants};
    use Level::{Critical, Warning};
    use std::sync::Arc;

    fn row(used: u64, full_in: Option<f64>) -> Limit {
        Limit {
            kind: LimitKind::Conntrack,
            netns: 0,
            subject: LimitSubject::Net,
            process: None,
            used,
            max: Some(100),
            drops: None,
            drops_new: None,
            per_min: None,
            full_in: full_in.map(|s| FullIn { low: s, likely: s, high: s, span: 300.0 }),
            grows: false,
            level: Level::Ok,
        }
    }

    fn sample() -> Sample {
        let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
        Sample::empty(Stamp::default(), "h".into(), info, Wants::default())
    }

    #[test]
    fn an_alert_stays_until_it_is_clearly_over() {
        let mut alerts = Alerts::default();
        let rules = AlertRules::default();
        let mut at = |used, full| {
            let mut rows = [row(used, full)];
            let a = alerts.judge(&mut rows, &sample(), &rules);
            (rows[0].level, a.first().map(|a| a.new))
        };
        assert_eq!(at(50, None), (Level::Ok, None));
        assert_eq!(at(76, None), (Warning, Some(true)));
        assert_eq!(at(74, None), (Warning, Some(false)), "just below");
        assert_eq!(at(91, None), (Critical, Some(true)), "worse is new");
        for _ in 0..2 {
            assert_eq!(at(60, None), (Critical, Some(false)), "not yet calm");
        }
        assert_eq!(at(60, None), (Level::Ok, None));
        assert_eq!(at(50, Some(300.0)), (Warning, Some(true)));
        assert_eq!(at(50, Some(30.0)), (Critical, Some(true)));
    }

    #[test]
    fn what_is_almost_empty_alarms_nobody() {
        let mut rows = [row(3, Some(100.0))];
        assert!(Alerts::default().judge(&mut rows, &sample(), &AlertRules::default()).is_empty());
    }

    #[test]
    fn losses_are_an_alert_while_they_go_on() {
        let mut alerts = Alerts::default();
        let mut lossy = row(10, None);
        lossy.drops_new = Some(4);
        let a = alerts.judge(&mut [lossy], &sample(), &AlertRules::default());
        assert_eq!(a[0].level, Critical);
        for n in 0..3 {
            let a = alerts.judge(&mut [row(10, None)], &sample(), &AlertRules::default());
            assert_eq!(a.is_empty(), n == 2);
        }
    }
}
