//! Rules about the resolvers that this host asks: thresholds, and the evidence of each finding.

use crate::format::{Style, age, duration, thousands};
use crate::model::Snapshot;
use crate::model::lang::tr;
use crate::model::snapshot::{DnsRow, Resolver};
use crate::msg;

/// Rule about a [`Resolver`].
#[derive(Clone, Copy, Debug)]
pub struct DnsRule {
    /// True of a question that counts for it.
    pub counts: fn(&DnsRow) -> bool,
    /// True if there are too many of them.
    pub applies: fn(&Resolver) -> bool,
    /// Observed values, in one sentence.
    pub evidence: fn(&Snapshot, &Resolver) -> String,
}

/// Least number of slow answers or failures, and their least share: one name whose own servers are broken is no fault of the
/// resolver.
const LEAST: (u64, f64) = (3, 0.1);

fn is_many(n: u64, of: u64) -> bool {
    n >= LEAST.0 && n as f64 >= LEAST.1 * of as f64
}

/// Answers that come late.
pub(super) const SLOW_RULE: DnsRule = DnsRule {
    counts: DnsRow::is_slow,
    applies: |r| is_many(r.slow, r.answered()),
    evidence: |snap, r| {
        let took = |us: Option<u64>| duration(us.unwrap_or(0) as f64 / 1e6, &Style::default());
        msg!(
            "{} of {} answers of {} took 0.5 s or longer: median {}, 99th percentile {} ({})",
            thousands(r.slow),
            thousands(r.answered()),
            r.server,
            took(r.p50_us),
            took(r.p99_us),
            window(snap)
        )
    },
};

/// Questions without an answer, or with one that is a failure.
pub(super) const FAILING_RULE: DnsRule = DnsRule {
    counts: |row| row.query.outcome.is_failure(),
    applies: |r| is_many(r.failed(), r.asked),
    evidence: |snap, r| {
        let mut kinds = Vec::new();
        for (n, name) in [
            (r.timeouts, tr("not answered")),
            (r.servfail, "SERVFAIL"),
            (r.refused, "REFUSED"),
            (r.other_failed, tr("other errors")),
        ] {
            if n > 0 {
                kinds.push(format!("{} {name}", thousands(n)));
            }
        }
        let (failed, asked) = (thousands(r.failed()), thousands(r.asked));
        msg!(
            "{} of {} questions to {} failed: {} ({})",
            failed,
            asked,
            r.server,
            kinds.join(", "),
            window(snap)
        )
    },
};

fn window(snap: &Snapshot) -> String {
    msg!("last {}", age(snap.dns.secs))
}
