//! Rules about the connections of the last seconds between a process and a service: thresholds, and the evidence of each finding.

use crate::format::{age, thousands};
use crate::model::Snapshot;
use crate::model::lang::tr;
use crate::model::snapshot::{Direction, EVENT_WINDOW_S, EventFlow, FlowCounts};
use crate::msg;

/// Rule about an [`EventFlow`].
#[derive(Clone, Copy, Debug)]
pub struct EventRule {
    /// The connections that it is about, of a flow or of one row.
    pub count: fn(&FlowCounts) -> u64,
    /// True if they are too many.
    pub applies: fn(&Snapshot, &EventFlow) -> bool,
    /// Observed values, in one sentence.
    pub evidence: fn(&Snapshot, &EventFlow) -> String,
}

/// Least number of refused connects: a program that tries one service after the other has a few.
const REFUSED: u64 = 5;
/// Least number of connects without an answer, and of those that fail in another way.
const UNANSWERED: u64 = 3;
/// Short connections a second to one service for which keep-alive or a pool pays.
const CHURN_PER_S: f64 = 10.0;
/// Least time of observation for a rate, seconds.
const WATCHED_S: f64 = 5.0;
/// Least number of aborted connections, and their least share of those that ended: a program may abort a few on purpose.
const ABORTED: (u64, f64) = (5, 0.1);
/// Least number of connections that no process used.
const UNACCEPTED: u64 = 3;

/// Connects that were refused.
pub(super) const REFUSED_RULE: EventRule = EventRule {
    count: |c| c.refused,
    applies: |_, flow| flow.counts.refused >= REFUSED,
    evidence: |snap, flow| {
        let (n, window) = number_in_window(snap, flow.counts.refused);
        msg!("{}: {} connects to {} refused ({})", client(flow), n, service(flow), window)
    },
};

/// Connects without an answer.
pub(super) const UNANSWERED_RULE: EventRule = EventRule {
    count: |c| c.unanswered,
    applies: |_, flow| flow.counts.unanswered >= UNANSWERED,
    evidence: |snap, flow| {
        let (n, window) = number_in_window(snap, flow.counts.unanswered);
        msg!("{}: {} connects to {} not answered ({})", client(flow), n, service(flow), window)
    },
};

/// Connects that failed in another way.
pub(super) const FAILED_RULE: EventRule = EventRule {
    count: |c| c.other_failed,
    applies: |_, flow| flow.counts.other_failed >= UNANSWERED,
    evidence: |snap, flow| {
        let (n, window) = number_in_window(snap, flow.counts.other_failed);
        msg!("{}: {} connects to {} failed ({})", client(flow), n, service(flow), window)
    },
};

/// Many short connections to one service.
pub(super) const CHURN_RULE: EventRule = EventRule {
    count: |c| c.short,
    applies: |snap, flow| {
        let secs = snap.events.window.secs;
        flow.key.direction == Direction::Out
            && secs >= WATCHED_S
            && flow.counts.short as f64 / secs >= CHURN_PER_S
    },
    evidence: |snap, flow| {
        let rate = flow.counts.short as f64 / snap.events.window.secs;
        msg!(
            "{}: {} connections a second to {}, none longer than 1 s",
            client(flow),
            format!("{rate:.0}"),
            service(flow)
        )
    },
};

/// Connections that this host aborted.
pub(super) const ABORTED_RULE: EventRule = EventRule {
    count: |c| c.aborted,
    applies: |_, flow| {
        let (c, (least, share)) = (&flow.counts, ABORTED);
        c.aborted >= least && c.aborted as f64 >= share * c.closed as f64
    },
    evidence: |snap, flow| {
        let (n, window) = number_in_window(snap, flow.counts.aborted);
        let closed = thousands(flow.counts.closed);
        match flow.key.direction {
            Direction::In => {
                msg!(
                    "{}: {} of {} connections on {} reset by this host ({})",
                    client(flow),
                    n,
                    closed,
                    service(flow),
                    window
                )
            }
            _ => {
                msg!(
                    "{}: {} of {} connections to {} reset by this host ({})",
                    client(flow),
                    n,
                    closed,
                    service(flow),
                    window
                )
            }
        }
    },
};

/// Clients that gave up before a process used their connection.
pub(super) const UNACCEPTED_RULE: EventRule = EventRule {
    count: |c| c.unaccepted,
    applies: |snap, flow| snap.sees_accepts() && flow.counts.unaccepted >= UNACCEPTED,
    evidence: |snap, flow| {
        let (n, window) = number_in_window(snap, flow.counts.unaccepted);
        msg!(
            "{} clients of {} gave up before {} used their connection ({})",
            n,
            service(flow),
            client(flow),
            window
        )
    },
};

/// The process of a flow.
fn client(flow: &EventFlow) -> String {
    flow.process
        .as_ref()
        .map_or_else(|| tr("unknown process").to_owned(), |p| format!("{} {}", p.comm, p.pid))
}

fn service(flow: &EventFlow) -> String {
    flow.key.service.map_or_else(|| tr("unknown address").to_owned(), |end| end.to_string())
}

/// A number, and the time in which it was counted.
fn number_in_window(snap: &Snapshot, n: u64) -> (String, String) {
    let secs = snap.events.window.secs.min(EVENT_WINDOW_S as f64);
    (thousands(n), msg!("last {}", age(secs)))
}
