//! How TCP connections did lately: what their counters grew by, not since they began but over half a minute to a minute.

use super::identity::NONE;
use crate::model::counter_window::{Mark, Marks, WINDOW_NS};
use crate::model::tcp_info::{TCP_FIELDS, TcpField};
use crate::model::{Proto, Sample, Snapshot};

/// The words of `tcp_info` that a mark is made of.
fn words() -> u64 {
    let of = |name: &&str| TCP_FIELDS.iter().find(|f| f.name == *name).map_or(0, TcpField::word);
    Mark::FIELDS.iter().map(of).fold(0, |all, w| all | w)
}

/// The marks of the sample's rows, where what they are made of was asked for; else none.
pub(super) fn marks(sample: &Sample, last: Option<&Snapshot>, was: &[u32]) -> Vec<Marks> {
    let words = words();
    if !sample.wants.attrs(crate::model::AttrSet::INFO) || sample.wants.needs.info_words & words != words {
        return Vec::new();
    }
    let now = sample.at.boot_ns;
    let one = |(s, was): (&crate::model::Socket, &u32)| {
        let mark = match s.proto {
            Proto::Tcp => sample.attrs_of(s).tcp_info().and_then(|t| Mark::of(now, &t)),
            _ => None,
        };
        let old = last.filter(|_| *was != NONE).and_then(|b| b.recent.get(*was as usize)).copied();
        next(old.unwrap_or_default(), mark, now)
    };
    sample.sockets.iter().zip(was).map(one).collect()
}

/// The marks after one more reading.
fn next(old: Marks, mark: Option<Mark>, now: u64) -> Marks {
    let (Some(mark), older, newer) = (mark, old.older, old.newer) else { return Marks::default() };
    match (older, newer) {
        // A counter that went back is another connection's.
        (Some(older), _) if !mark.follows(&older) => Marks { older: Some(mark), newer: Some(mark) },
        (Some(older), Some(newer)) => {
            if now.saturating_sub(newer.at_ns) >= WINDOW_NS {
                Marks { older: Some(newer), newer: Some(mark) }
            } else {
                Marks { older: Some(older), newer: Some(newer) }
            }
        }
        _ => Marks { older: Some(mark), newer: Some(mark) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(secs: u64, sent: u32) -> Mark {
        Mark { at_ns: secs * 1_000_000_000, sent, ..Mark::default() }
    }

    #[test]
    fn the_window_is_half_a_minute_to_a_minute() {
        let mut m = Marks::default();
        let mut spans = Vec::new();
        for secs in 0..200 {
            let now = mark(secs, secs as u32);
            m = next(m, Some(now), now.at_ns);
            spans.push(secs - m.older.unwrap().at_ns / 1_000_000_000);
        }
        assert_eq!((spans[0], spans[20], spans[29]), (0, 20, 29), "as long as there is");
        assert!(spans[60..].iter().all(|s| (30..60).contains(s)), "{spans:?}");
    }

    #[test]
    fn what_is_not_known_or_went_back_begins_anew() {
        let m = next(Marks::default(), Some(mark(1, 50)), 1_000_000_000);
        let again = next(m, Some(mark(2, 3)), 2_000_000_000);
        assert_eq!(again.older.unwrap().sent, 3);
        assert_eq!(next(m, None, 2_000_000_000), Marks::default());
        assert_ne!(words(), 0);
    }
}
