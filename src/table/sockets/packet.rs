//! Columns of packet sockets.

use super::family::{bit_names, structure_column, structure_record};
use crate::format::{Column, Kind, Needs, Value};
use crate::model::struct_layout::{PACKET, RX_RING, TX_RING};
use crate::model::{AttrSet, names};
use crate::table::cell::na;

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    structure_column!("packet_info", "PACKET", PACKET, NONE, Needs::NONE,
        "Settings of a packet socket: version, reserve, copy_thresh, tstamp, flags."),
    Column::new("packet_flags", "PKT FLAGS", Kind::Text, 63,
        |s, r| s.attrs(r).packet_flags()
            .map_or_else(na, |f| bit_names(f, &["running", "auxdata", "origdev", "vnethdr", "loss"])),
        "Flags of a packet socket: running, auxdata, origdev, vnethdr, loss.")
        .wide(6, 12, 40),
    structure_column!("rx_ring", "RX RING", RX_RING, NONE, Needs::NONE,
        "Receive ring of a packet socket: blocks, frames and their sizes."),
    structure_column!("tx_ring", "TX RING", TX_RING, NONE, Needs::NONE,
        "Send ring of a packet socket: blocks, frames and their sizes."),
    Column::new("fanout", "FANOUT", Kind::Id, 63,
        |s, r| s.attrs(r).packet_fanout().map_or_else(na, |(group, _)| Value::from(u32::from(group))),
        "Fanout group of a packet socket: the packets are distributed among its members."),
    Column::new("fanout_type", "FANOUT TYPE", Kind::Text, 63,
        |s, r| s.attrs(r).packet_fanout().map_or_else(na, |(_, kind)| Value::from(names::fanout_mode(kind))),
        "Distribution in the fanout group: hash, lb, cpu, rollover, random, qm, cbpf, ebpf.")
        .wide(4, 11, 11),
];
