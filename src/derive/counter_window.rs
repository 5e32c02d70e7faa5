//! Recent deltas of counters of TCP connections and datagram sockets: over the last 30 to 60 seconds instead of since the connection was opened.

use super::identity::NONE;
use crate::model::counter_window::{CounterHistory, CounterSnapshot, WINDOW_NS};
use crate::model::tcp_info::{TCP_FIELDS, TcpField};
use crate::model::{Proto, Sample, Snapshot, Socket};

/// The words of `tcp_info` that hold the fields of a [`CounterSnapshot`].
fn words() -> u128 {
    let word = |name: &&str| TCP_FIELDS.iter().find(|f| f.name == *name).map_or(0, TcpField::words);
    CounterSnapshot::FIELDS.iter().map(word).fold(0, |all, w| all | w)
}

/// Counter histories of the sample's sockets; empty if the sample does not have the fields they consist of.
pub(super) fn histories(
    sample: &Sample,
    sockets: &[Socket],
    last: Option<&Snapshot>,
    was: &[u32],
) -> Vec<CounterHistory> {
    let words = words();
    if !sample.wants.attrs(crate::model::AttrSet::INFO) || sample.wants.needs.info_words & words != words {
        return Vec::new();
    }
    let now = sample.at.boot_ns;
    let history = |(s, was): (&Socket, &u32)| {
        let read = match s.proto {
            Proto::Tcp => sample.attrs_of(s).tcp_info().and_then(|t| CounterSnapshot::new(now, &t)),
            p if p.is_datagram() => sample.attrs_of(s).drops().map(|n| CounterSnapshot::of_drops(now, n)),
            _ => None,
        };
        let old = last.filter(|_| *was != NONE).and_then(|b| b.counters.get(*was as usize)).copied();
        next(old.unwrap_or_default(), read, now)
    };
    sockets.iter().zip(was).map(history).collect()
}

/// The history after one more reading.
fn next(old: CounterHistory, new: Option<CounterSnapshot>, now: u64) -> CounterHistory {
    let (Some(new), older, newer) = (new, old.older, old.newer) else { return CounterHistory::default() };
    match (older, newer) {
        // A counter that decreased belongs to another connection.
        (Some(older), _) if !new.follows(&older) => CounterHistory { older: Some(new), newer: Some(new) },
        (Some(older), Some(newer)) => {
            if now.saturating_sub(newer.at_ns) >= WINDOW_NS {
                CounterHistory { older: Some(newer), newer: Some(new) }
            } else {
                CounterHistory { older: Some(older), newer: Some(newer) }
            }
        }
        _ => CounterHistory { older: Some(new), newer: Some(new) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(secs: u64, sent: u32) -> CounterSnapshot {
        CounterSnapshot { at_ns: secs * 1_000_000_000, sent, ..CounterSnapshot::default() }
    }

    #[test]
    fn window_spans_30_to_60_seconds() {
        let mut m = CounterHistory::default();
        let mut spans = Vec::new();
        for secs in 0..200 {
            let now = snapshot(secs, secs as u32);
            m = next(m, Some(now), now.at_ns);
            spans.push(secs - m.older.unwrap().at_ns / 1_000_000_000);
        }
        assert_eq!((spans[0], spans[20], spans[29]), (0, 20, 29), "as long as there is");
        assert!(spans[60..].iter().all(|s| (30..60).contains(s)), "{spans:?}");
    }

    #[test]
    fn decreased_or_missing_counters_restart_the_window() {
        let m = next(CounterHistory::default(), Some(snapshot(1, 50)), 1_000_000_000);
        let again = next(m, Some(snapshot(2, 3)), 2_000_000_000);
        assert_eq!(again.older.unwrap().sent, 3);
        assert_eq!(next(m, None, 2_000_000_000), CounterHistory::default());
        assert_ne!(words(), 0);
    }
}
