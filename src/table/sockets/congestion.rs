//! Columns of congestion control algorithms.

use super::family::{VEGAS_BIT, of, record, structure_column};
use crate::format::{Column, Kind, Value};
use crate::model::struct_layout::{DCTCP, VEGAS};
use crate::model::{AttrSet, Proto, Snapshot};

fn bbr<'a, T: Into<Value<'a>>>(
    snap: &Snapshot,
    row: usize,
    get: fn(crate::model::attr::Bbr) -> Option<T>,
) -> Value<'a> {
    of(snap, row, Proto::Tcp, AttrSet::VEGAS, snap.attrs(row).bbr().and_then(get))
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("bbr_bw", "BBR BW", Kind::BytesPerSec, 71, |s, r| bbr(s, r, |b| b.bw),
        "Bandwidth of the path by BBR's model.")
        .needs(VEGAS_BIT),
    Column::new("bbr_min_rtt_us", "BBR MRTT", Kind::Micros, 71, |s, r| bbr(s, r, |b| b.min_rtt_us),
        "Smallest round-trip time by BBR's model.")
        .called(&["bbr_min_rtt"]).needs(VEGAS_BIT),
    Column::new("bbr_pacing_gain", "BBR PGAIN", Kind::Count, 71, |s, r| bbr(s, r, |b| b.pacing_gain),
        "Factor on the bandwidth at which BBR sends now: above 1 it looks for more, below 1 it drains.")
        .needs(VEGAS_BIT),
    Column::new("bbr_cwnd_gain", "BBR CGAIN", Kind::Count, 71, |s, r| bbr(s, r, |b| b.cwnd_gain),
        "Factor on what fits the path that BBR has under way at the most.")
        .needs(VEGAS_BIT),
    structure_column!("dctcp_info", "DCTCP", DCTCP, VEGAS, VEGAS_BIT,
        "Figures of DCTCP: enabled, ce_state, alpha (1024: every byte marked), ab_ecn, ab_tot."),
    structure_column!("vegas_info", "VEGAS", VEGAS, VEGAS, VEGAS_BIT,
        "Figures of TCP Vegas: enabled, rttcnt, rtt_us, min_rtt_us."),
];
