//! Columns of TCP sockets beside `tcp_info`.

use super::family::{bits, of};
use crate::format::{Column, Kind, Needs};
use crate::model::{AttrSet, Proto};

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("tcp_option_names", "TCP-OPT NAMES", Kind::Text, 51,
        |s, r| of(s, r, Proto::Tcp, AttrSet::INFO, s.attrs(r).tcp_info().and_then(|t| t.options()).map(|n| {
            bits(n as u32, &["ts", "sack", "wscale", "ecn", "ecnseen", "fastopen", "usec_ts"])
        })),
        "Options that both ends of a TCP connection agreed on: ts, sack, wscale, ecn, ecnseen, fastopen, usec_ts.")
        .needs(Needs::info(1)).wide(6, 16, 44),
    Column::new("quick_acks", "QACK", Kind::Count, 71,
        |s, r| of(s, r, Proto::Tcp, AttrSet::NONE, s.attrs(r).quick_acks()),
        "Acknowledgements that it still sends at once; only /proc/net/tcp tells.")
        .called(&["qack"]),
    Column::new("bidir", "BIDIR", Kind::Bool, 71,
        |s, r| of(s, r, Proto::Tcp, AttrSet::NONE, s.attrs(r).bidirectional()),
        "Whether data goes both ways in turn, so that acknowledgements ride on it; only /proc/net/tcp tells.")
        .called(&["pingpong"]),
];
