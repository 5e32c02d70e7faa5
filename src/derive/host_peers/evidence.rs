//! Evidence of byte counters that two ends are those of one connection.

use crate::model::Snapshot;

/// Bytes by which counters of one direction differ at rest: SYN and FIN have a sequence number each.
const FLAGS: u64 = 2;
/// Fewest bytes of both directions that two other connections do not have by chance: more than handshakes of one kind.
const PROOF: u64 = 4096;
/// Share of the bytes by which counters of two moments may differ: a hundredth.
const PART: u64 = 100;

/// Result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Not known, too few bytes, or counters of two moments that differ.
    Unknown,
    /// Counters of both directions agree.
    Agrees,
    /// They cannot be those of one connection.
    Contradicts,
}

/// Counters of one end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) acked: Option<u64>,
    pub(super) received: Option<u64>,
    /// Nothing was sent or received since the previous poll.
    pub(super) idle: bool,
}

impl Counters {
    pub(super) fn new(snap: &Snapshot, row: usize) -> Self {
        let transfer = snap.attrs(row).transfer().unwrap_or_default();
        let rates = snap.rates(row);
        let idle = (rates.rx, rates.tx) == (Some(0.0), Some(0.0));
        Self { acked: transfer.acked, received: transfer.received, idle }
    }

    pub(super) fn evidence(&self, other: &Self) -> Evidence {
        let known = (self.acked.zip(other.received), other.acked.zip(self.received));
        let (Some((sent, got)), Some((sent_back, got_back))) = known else { return Evidence::Unknown };
        let is_ahead = |acked: u64, received: u64| acked > received.saturating_add(FLAGS);
        // The one was read before the other, and after it.
        if is_ahead(sent, got) && is_ahead(sent_back, got_back) {
            return Evidence::Contradicts;
        }
        let differ = |a: u64, b: u64, part: u64| a.abs_diff(b) > FLAGS + part;
        if self.idle && other.idle && (differ(sent, got, 0) || differ(sent_back, got_back, 0)) {
            return Evidence::Contradicts;
        }
        let is_same = |a: u64, b: u64| !differ(a, b, a.min(b) / PART);
        let enough = sent.saturating_add(sent_back) >= PROOF;
        if enough && is_same(sent, got) && is_same(sent_back, got_back) {
            Evidence::Agrees
        } else {
            Evidence::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counters(acked: u64, received: u64, idle: bool) -> Counters {
        Counters { acked: Some(acked), received: Some(received), idle }
    }

    #[test]
    fn counters_agree_contradict_or_prove_nothing() {
        use Evidence::{Agrees, Contradicts, Unknown};
        for (a, b, want) in [
            // At rest, with SYN and FIN.
            (counters(5001, 900, true), counters(900, 5000, true), Agrees),
            (counters(5001, 900, false), counters(900, 5000, false), Agrees),
            // A handshake is like any other.
            (counters(517, 1300, true), counters(1300, 517, true), Unknown),
            // The receiver was read first.
            (counters(50_000, 900, false), counters(900, 20_000, false), Unknown),
            (counters(50_000, 900, true), counters(900, 20_000, true), Contradicts),
            // Each was read before the other.
            (counters(50_000, 900, false), counters(9000, 20_000, false), Contradicts),
            (Counters::default(), counters(9000, 20_000, true), Unknown),
            (counters(1_000_000, 0, false), counters(0, 1_005_000, false), Agrees),
        ] {
            assert_eq!(a.evidence(&b), want, "{a:?} {b:?}");
            assert_eq!(b.evidence(&a), want, "{b:?} {a:?}");
        }
    }
}
