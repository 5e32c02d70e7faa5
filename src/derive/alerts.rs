//! Alerts: the level of each limit, with hysteresis, and the time it was raised.

use crate::model::Sample;
use crate::model::limit::{Alert, AlertRules, Level, Limit, LimitKind, LimitSubject};
use rustc_hash::FxHashMap;

/// Share of the limit by which usage must fall below a threshold before the alert is lowered.
const HYSTERESIS: f64 = 0.05;
/// Factor by which the forecast horizon of an active alert is longer, so that a forecast near it does not flap.
const HORIZON_HYSTERESIS: f64 = 1.5;
/// Consecutive polls below the lowered threshold before the alert is lowered.
const CLEAR_POLLS: u32 = 3;
/// Share below which a forecast raises no alert: too early to be reliable.
const MIN_FORECAST_SHARE: f64 = 0.2;

/// Stale `CLOSE_WAIT` connections of a process that are a leak although their number was not seen to grow: connection pools
/// leave a few until they use them again.
const STALE_ALERT: u64 = 10;

#[derive(Debug)]
struct ActiveAlert {
    level: Level,
    since_ns: u64,
    /// Consecutive polls below the lowered threshold.
    polls_below: u32,
    /// Losses since it was raised.
    lost: u64,
    last_poll: u64,
}

/// Active alerts.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    poll: u64,
    active: FxHashMap<(LimitKind, u16, LimitSubject), ActiveAlert>,
}

impl Alerts {
    /// Sets the level of each row and returns the alerts, most severe first.
    pub(super) fn update(&mut self, rows: &mut [Limit], sample: &Sample, rules: &AlertRules) -> Vec<Alert> {
        self.poll += 1;
        let now = sample.at.boot_ns;
        let mut out = Vec::new();
        for (i, row) in rows.iter_mut().enumerate() {
            let comm = row.process.filter(|_| row.kind == LimitKind::Fds);
            let comm = comm.and_then(|p| sample.processes.get(p as usize)).map(|p| &*p.info.comm);
            let current = level(row, rules, comm, 0.0, 1.0);
            let key = row.id();
            let mut new = false;
            match self.active.get_mut(&key) {
                Some(a) => {
                    let eased = level(row, rules, comm, HYSTERESIS, HORIZON_HYSTERESIS);
                    if current > a.level {
                        (a.level, a.polls_below, new) = (current, 0, true);
                    } else if eased < a.level {
                        a.polls_below += 1;
                        if a.polls_below >= CLEAR_POLLS {
                            (a.level, a.polls_below) = (eased, 0);
                        }
                    } else {
                        a.polls_below = 0;
                    }
                    a.last_poll = self.poll;
                    a.lost += row.drops_new.unwrap_or(0);
                    row.level = a.level;
                }
                None => row.level = current,
            }
            if row.level == Level::Ok {
                self.active.remove(&key);
                continue;
            }
            let poll = self.poll;
            let a = self.active.entry(key).or_insert_with(|| {
                new = true;
                let lost = row.drops_new.unwrap_or(0);
                ActiveAlert { level: row.level, since_ns: now, polls_below: 0, lost, last_poll: poll }
            });
            out.push(Alert { limit: i as u32, level: a.level, since_ns: a.since_ns, lost: a.lost, new });
        }
        // A limit without a row no longer exists.
        let poll = self.poll;
        self.active.retain(|_, a| a.last_poll == poll);
        sort(&mut out, rows);
        out
    }
}

/// Sorts alerts by level, then by the time until the limit is full: what fails now first, what does not grow last; a count
/// without a maximum after those with one.
fn sort(alerts: &mut [Alert], rows: &[Limit]) {
    let row = |a: &Alert| &rows[a.limit as usize];
    let lost = |a: &Alert| row(a).drops_new.unwrap_or(0);
    let share = |a: &Alert| row(a).share().unwrap_or(0.0);
    let seconds = |a: &Alert| {
        let row = row(a);
        let fails = row.share().is_some_and(|s| s >= 1.0 || lost(a) > 0);
        if fails || row.kind == LimitKind::Halted {
            return 0.0;
        }
        row.full_in.map_or(f64::INFINITY, |f| f.likely)
    };
    alerts.sort_by(|a, b| {
        (b.level.cmp(&a.level))
            .then(seconds(a).total_cmp(&seconds(b)))
            .then(share(b).total_cmp(&share(a)))
            .then(lost(b).cmp(&lost(a)))
    });
}

/// The level of a row. For an active alert `margin` lowers the thresholds and `horizon_factor` lengthens the horizon.
fn level(row: &Limit, rules: &AlertRules, comm: Option<&str>, margin: f64, horizon_factor: f64) -> Level {
    let lost = row.drops_new.is_some_and(|n| n > 0);
    let Some(share) = row.share() else {
        return if row.kind == LimitKind::Halted {
            Level::Critical
        } else if lost || row.kind == LimitKind::CloseWait && (row.grows || row.stale >= STALE_ALERT) {
            Level::Warning
        } else {
            Level::Ok
        };
    };
    let (warn, crit) = rules.shares(row.kind, comm);
    let horizon = rules.horizon_s * horizon_factor;
    // Drops are critical whatever the usage.
    if share >= crit - margin || lost || share > MIN_FORECAST_SHARE && row.is_full_within(horizon / 10.0) {
        Level::Critical
    } else if share >= warn - margin || share > MIN_FORECAST_SHARE && row.is_full_within(horizon) {
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
            stale: 0,
            level: Level::Ok,
        }
    }

    fn sample() -> Sample {
        let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
        Sample::empty(Stamp::default(), "h".into(), info, Wants::default())
    }

    #[test]
    fn alerts_are_ordered_by_level_and_time_until_full() {
        let mut losing = row(10, None);
        losing.drops_new = Some(3);
        let mut rows = [
            row(85, None),
            row(97, None),
            row(96, Some(200.0)),
            row(90, Some(900.0)),
            row(100, None),
            row(60, Some(30.0)),
            losing,
            row(88, None),
        ];
        for (i, r) in rows.iter_mut().enumerate() {
            r.subject = LimitSubject::User(i as u32);
        }
        let a = Alerts::default().update(&mut rows, &sample(), &AlertRules::default());
        let found: Vec<u32> = a.iter().map(|a| a.limit).collect();
        assert_eq!(found, [4, 6, 5, 2, 3, 1, 7, 0]);
    }

    #[test]
    fn alert_is_lowered_after_three_polls_below_threshold() {
        let mut alerts = Alerts::default();
        let rules = AlertRules::default();
        let mut step = |used, full| {
            let mut rows = [row(used, full)];
            let a = alerts.update(&mut rows, &sample(), &rules);
            (rows[0].level, a.first().map(|a| a.new))
        };
        assert_eq!(step(50, None), (Level::Ok, None));
        assert_eq!(step(76, None), (Warning, Some(true)));
        assert_eq!(step(74, None), (Warning, Some(false)), "just below");
        assert_eq!(step(91, None), (Critical, Some(true)), "a higher level is new");
        for _ in 0..2 {
            assert_eq!(step(60, None), (Critical, Some(false)), "fewer than three polls");
        }
        assert_eq!(step(60, None), (Level::Ok, None));
        assert_eq!(step(50, Some(300.0)), (Warning, Some(true)));
        assert_eq!(step(50, Some(30.0)), (Critical, Some(true)));
    }

    #[test]
    fn forecast_of_almost_empty_limit_raises_no_alert() {
        let mut rows = [row(3, Some(100.0))];
        assert!(Alerts::default().update(&mut rows, &sample(), &AlertRules::default()).is_empty());
    }

    #[test]
    fn drops_are_critical_until_three_polls_without() {
        let mut alerts = Alerts::default();
        let mut lossy = row(10, None);
        lossy.drops_new = Some(4);
        let a = alerts.update(&mut [lossy], &sample(), &AlertRules::default());
        assert_eq!(a[0].level, Critical);
        for n in 0..3 {
            let a = alerts.update(&mut [row(10, None)], &sample(), &AlertRules::default());
            assert_eq!(a.is_empty(), n == 2);
        }
    }
}
