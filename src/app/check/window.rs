//! Verdicts over all polls of a check: a limit counts with its worst level, not with the one it has at the end.

use crate::diagnose::finding::limit_diagnosis;
use crate::format::{age, thousands};
use crate::model::{Level, Limit, LimitKind, LimitSubject, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A limit, judged over all polls.
pub(super) struct Verdict {
    /// Worst level.
    pub(super) level: Level,
    /// Snapshot in which it had that level, the last one for ok.
    pub(super) snap: Arc<Snapshot>,
    /// Its row there.
    pub(super) row: usize,
    /// Diagnosis; `None` for ok.
    pub(super) evidence: Option<String>,
}

impl Verdict {
    pub(super) fn limit(&self) -> &Limit {
        &self.snap.limits[self.row]
    }
}

/// Worst reading of one limit.
struct Worst {
    level: Level,
    snap: Arc<Snapshot>,
    row: usize,
    /// Losses at all polls but the first.
    lost: u64,
    /// Order in the last poll that had it.
    order: usize,
}

/// The polls of a check.
#[derive(Default)]
pub(super) struct Window {
    limits: HashMap<(LimitKind, u16, LimitSubject), Worst>,
    last: Option<Arc<Snapshot>>,
}

impl Window {
    /// Adds the matching rows of a poll, in order.
    pub(super) fn add(&mut self, snap: &Arc<Snapshot>, rows: &[usize]) {
        for (order, row) in rows.iter().enumerate() {
            let l = &snap.limits[*row];
            let new = || Worst { level: l.level, snap: Arc::clone(snap), row: *row, lost: 0, order };
            let worst = self.limits.entry(l.id()).or_insert_with(new);
            worst.lost += l.drops_new.unwrap_or(0);
            worst.order = order;
            if l.level >= worst.level {
                (worst.level, worst.snap, worst.row) = (l.level, Arc::clone(snap), *row);
            }
        }
        self.last = Some(Arc::clone(snap));
    }

    /// The last poll.
    pub(super) const fn last(&self) -> Option<&Arc<Snapshot>> {
        self.last.as_ref()
    }

    /// One verdict per limit, the worst first.
    pub(super) fn verdicts(&self, during: Option<Duration>) -> Vec<Verdict> {
        let mut all: Vec<&Worst> = self.limits.values().collect();
        all.sort_by_key(|w| (std::cmp::Reverse(w.level), w.order));
        let verdict = |w: &Worst| {
            let lost = during.filter(|_| w.lost > 0 && w.level > Level::Ok).map(|d| {
                let n = thousands(w.lost);
                format!(", {n} lost in {}", age(d.as_secs_f64()))
            });
            let mut snap = Arc::clone(&w.snap);
            if lost.is_some() && snap.limits[w.row].drops_new.is_some() {
                // The losses of the whole time are printed instead of those of one poll.
                Arc::make_mut(&mut snap).limits[w.row].drops_new = None;
            }
            let evidence = limit_diagnosis(&snap, w.row).map(|d| d.evidence + &lost.unwrap_or_default());
            Verdict { level: w.level, snap, row: w.row, evidence }
        };
        all.into_iter().map(verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::snapshot;

    fn poll(level: Level, drops_new: u64) -> Arc<Snapshot> {
        let mut snap = snapshot(vec![], vec![], &[]);
        let mut l = Limit::new(LimitKind::Conntrack, 0, LimitSubject::Net, 10, Some(100));
        (l.level, l.drops_new) = (level, Some(drops_new));
        snap.limits = vec![l];
        Arc::new(snap)
    }

    #[test]
    fn overflow_early_in_the_window_counts_at_its_end() {
        let mut window = Window::default();
        for (level, lost) in [(Level::Ok, 0), (Level::Critical, 60), (Level::Critical, 12), (Level::Ok, 0)] {
            window.add(&poll(level, lost), &[0]);
        }
        let verdicts = window.verdicts(Some(Duration::from_secs(12)));
        assert_eq!((verdicts.len(), verdicts[0].level), (1, Level::Critical));
        let evidence = verdicts[0].evidence.as_deref().unwrap();
        assert!(evidence.ends_with(", 72 lost in 12s") && !evidence.contains("just now"), "{evidence}");
    }

    #[test]
    fn limit_that_is_gone_at_the_end_counts() {
        let mut window = Window::default();
        window.add(&poll(Level::Warning, 0), &[0]);
        window.add(&poll(Level::Ok, 0), &[]);
        let verdicts = window.verdicts(None);
        assert_eq!((verdicts.len(), verdicts[0].level), (1, Level::Warning));
    }
}
