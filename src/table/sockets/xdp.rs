//! Columns of XDP sockets.

use super::family::{structure_column, structure_record};
use crate::format::{Column, Kind, Needs, Value};
use crate::model::diag_attr::xdp;
use crate::model::struct_layout::{UMEM, XDP_STATS};
use crate::model::{AttrSet, Proto, Snapshot};
use crate::table::cell::na;

fn xdp_rings<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    if snap.socket(row).proto != Proto::Xdp {
        return na();
    }
    let a = snap.attrs(row);
    let rings = [
        ("rx", xdp::RX_RING),
        ("tx", xdp::TX_RING),
        ("fill", xdp::FILL_RING),
        ("completion", xdp::COMPLETION_RING),
    ];
    Value::Record(
        rings.into_iter().filter_map(|(name, n)| Some((name, Value::from(a.xdp_ring(n)?)))).collect(),
    )
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("xdp_rings", "XDP RINGS", Kind::List, 71, xdp_rings,
        "Ring sizes of an XDP socket: rx, tx, fill, completion.")
        .wide(8, 24, 60),
    structure_column!("xdp_umem", "XDP UMEM", UMEM, NONE, Needs::NONE,
        "Packet memory (UMEM) of an XDP socket."),
    structure_column!("xdp_stats", "XDP STATS", XDP_STATS, NONE, Needs::NONE,
        "Counters of an XDP socket: dropped and invalid packets, empty and full rings."),
];
