//! Columns of congestion control algorithms.

use super::family::{VEGAS_BIT, family_value, structure_column, structure_record};
use crate::format::{Column, Kind, Value};
use crate::model::struct_layout::{DCTCP, VEGAS};
use crate::model::{AttrSet, Proto, Snapshot};

fn bbr<'a, T: Into<Value<'a>>>(
    snap: &Snapshot,
    row: usize,
    get: fn(crate::model::attr::Bbr) -> Option<T>,
) -> Value<'a> {
    family_value(snap, row, Proto::Tcp, AttrSet::VEGAS, snap.attrs(row).bbr().and_then(get))
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("bbr_bw", "BBR BW", Kind::BytesPerSec, 71, |s, r| bbr(s, r, |b| b.bw),
        "Bandwidth estimate of BBR.")
        .needs(VEGAS_BIT),
    Column::new("bbr_min_rtt_us", "BBR MRTT", Kind::Micros, 71, |s, r| bbr(s, r, |b| b.min_rtt_us),
        "Minimum RTT estimate of BBR.")
        .called(&["bbr_min_rtt"]).needs(VEGAS_BIT),
    Column::new("bbr_pacing_gain", "BBR PGAIN", Kind::Count, 71, |s, r| bbr(s, r, |b| b.pacing_gain),
        "Pacing gain of BBR: above 1 it probes for bandwidth, below 1 it drains the queue.")
        .needs(VEGAS_BIT),
    Column::new("bbr_cwnd_gain", "BBR CGAIN", Kind::Count, 71, |s, r| bbr(s, r, |b| b.cwnd_gain),
        "Congestion window gain of BBR, as a factor of the bandwidth-delay product.")
        .needs(VEGAS_BIT),
    structure_column!("dctcp_info", "DCTCP", DCTCP, VEGAS, VEGAS_BIT,
        "DCTCP fields: enabled, ce_state, alpha (1024: every byte marked), ab_ecn, ab_tot."),
    structure_column!("vegas_info", "VEGAS", VEGAS, VEGAS, VEGAS_BIT,
        "TCP Vegas fields: enabled, rttcnt, rtt_us, min_rtt_us."),
];
