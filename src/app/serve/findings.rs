//! Number of rows to which each finding applies.

use crate::diagnose::finding::{
    FINDINGS, flow_diagnoses, forward_diagnosis, limit_diagnosis, resolver_diagnoses, socket_diagnoses,
};
use crate::model::{Level, Snapshot};
use crate::output::metrics::FindingCount;
use std::collections::BTreeMap;

/// Counts by finding and severity. Each finding is there at its own severity, also with 0.
pub(super) fn counts(snap: &Snapshot) -> Vec<FindingCount> {
    let mut counts: BTreeMap<(&'static str, Level), u64> =
        FINDINGS.iter().map(|f| ((f.name, f.severity), 0)).collect();
    let of_sockets = (0..snap.live).flat_map(|row| socket_diagnoses(snap, row));
    let of_forwards = (0..snap.forward_rows().len()).filter_map(|row| forward_diagnosis(snap, row));
    let of_limits = (0..snap.limits.len()).filter_map(|row| limit_diagnosis(snap, row));
    let of_flows = flow_diagnoses(snap, &|_| true);
    let all = of_sockets.chain(of_forwards).chain(of_limits).chain(of_flows).chain(resolver_diagnoses(snap));
    for d in all {
        *counts.entry((d.finding.name, d.severity)).or_default() += 1;
    }
    counts.into_iter().map(|((name, severity), count)| FindingCount { name, severity, count }).collect()
}
