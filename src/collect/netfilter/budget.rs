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
/// Most bytes of the tables of iptables-legacy of the namespace of this process; 5,000 services of kube-proxy have about 20 MiB.
const OWN_BYTES: usize = 256 << 20;

/// Users who can fill the tables of another namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilledBy {
    /// An administrator of this user namespace, as in a container of a service manager or engine.
    Administrator,
    /// Any user: the namespace belongs to another user namespace.
    AnyUser,
}

impl FilledBy {
    /// Most bytes of the tables of iptables-legacy of one namespace.
    pub(super) const fn max_bytes(self) -> usize {
        match self {
            Self::Administrator => 128 << 20,
            Self::AnyUser => 16 << 20,
        }
    }

    /// Most bytes of the tables of all namespaces of a poll.
    pub(super) const fn max_bytes_of_all(self) -> usize {
        match self {
            Self::Administrator => 512 << 20,
            Self::AnyUser => 64 << 20,
        }
    }
}

/// Elements and time that are left.
#[derive(Debug)]
pub(super) struct Budget {
    deadline: Instant,
    elements: AtomicUsize,
    bytes: AtomicUsize,
}

impl Budget {
    /// The budget of the namespace of this process.
    pub(super) fn own() -> Self {
        Self { deadline: Instant::now() + OWN_TIME, elements: OWN_ELEMENTS.into(), bytes: OWN_BYTES.into() }
    }

    /// The budget of another namespace, up to the deadline for all of them, with these bytes of tables.
    pub(super) fn other(all: Instant, bytes: usize) -> Self {
        Self { deadline: all.min(Instant::now() + TIME), elements: ELEMENTS.into(), bytes: bytes.into() }
    }

    /// Counts the bytes of a table; false, and none is counted, if they are too many.
    pub(super) fn charge_bytes(&self, bytes: usize) -> bool {
        let less = |n: usize| n.checked_sub(bytes);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Takes back the bytes of a table that was not read.
    pub(super) fn return_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of tables that are left.
    pub(super) fn bytes_left(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
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
        let budget = Budget { elements: 2.into(), ..Budget::own() };
        assert!(budget.charge() && !budget.is_spent());
        assert!(budget.charge() && budget.is_spent());
        assert!(!budget.charge());
        assert!(Budget::other(Instant::now(), 0).is_spent(), "no time is left for all of them");
        assert!(!Budget::own().is_spent());
    }

    #[test]
    fn table_above_the_bytes_left_is_not_counted() {
        let budget = Budget::other(Instant::now(), 100);
        assert!(budget.charge_bytes(60) && !budget.charge_bytes(60), "40 are left");
        assert!(budget.charge_bytes(40) && !budget.charge_bytes(1));
        assert_eq!(budget.bytes_left(), 0);
    }
}
