//! Budgets of reading the rules of one network namespace: any user can create one and fill it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Most rules, chains and elements of the namespace of this process.
const OWN_ELEMENTS: usize = 5_000_000;
/// Longest time for the namespace of this process.
const OWN_TIME: Duration = Duration::from_secs(60);
/// Most rules, chains and elements of another namespace.
const ELEMENTS: usize = 200_000;
/// Longest time for another namespace.
const TIME: Duration = Duration::from_secs(1);

/// Elements and time that are left.
#[derive(Debug)]
pub(super) struct Budget {
    deadline: Instant,
    elements: AtomicUsize,
}

impl Budget {
    /// The budget of the namespace of this process.
    pub(super) fn own() -> Self {
        Self { deadline: Instant::now() + OWN_TIME, elements: OWN_ELEMENTS.into() }
    }

    /// The budget of another namespace, up to the deadline for all of them.
    pub(super) fn other(all: Instant) -> Self {
        Self { deadline: all.min(Instant::now() + TIME), elements: ELEMENTS.into() }
    }

    /// Counts one rule, chain or element; false if there are too many.
    pub(super) fn charge(&self) -> bool {
        let less = |n: usize| n.checked_sub(1);
        self.elements.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.elements.load(Ordering::Relaxed) == 0 || self.is_out_of_time()
    }

    pub(super) fn is_out_of_time(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_ends_by_elements_or_by_time() {
        let budget = Budget { deadline: Instant::now() + OWN_TIME, elements: 2.into() };
        assert!(budget.charge() && !budget.is_spent());
        assert!(budget.charge() && budget.is_spent());
        assert!(!budget.charge());
        assert!(Budget::other(Instant::now()).is_spent(), "no time is left for all of them");
        assert!(!Budget::own().is_spent());
    }
}
