//! Columns of TCP sockets beside `tcp_info`.

use super::family::{bit_names, family_value};
use crate::format::{Column, Kind, Needs};
use crate::model::tcp_info::info_words;
use crate::model::{AttrSet, Proto};

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("tcp_option_names", "TCP-OPT NAMES", Kind::Text, 51,
        |s, r| family_value(s, r, Proto::Tcp, AttrSet::INFO, s.attrs(r).tcp_info().and_then(|t| t.options()).map(|n| {
            bit_names(n as u32, &["ts", "sack", "wscale", "ecn", "ecnseen", "fastopen", "usec_ts", "tfo_child"])
        })),
        "Negotiated TCP options: ts, sack, wscale, ecn, ecnseen, fastopen, usec_ts, tfo_child.")
        .needs(Needs::info(info_words(&[5]))).wide(6, 16, 44),
    Column::new("quick_acks", "QACK", Kind::Count, 71,
        |s, r| family_value(s, r, Proto::Tcp, AttrSet::NONE, s.attrs(r).quick_acks()),
        "Remaining immediate ACKs (quick ACK mode); only from /proc/net/tcp.")
        .called(&["qack"]),
    Column::new("bidir", "BIDIR", Kind::Bool, 71,
        |s, r| family_value(s, r, Proto::Tcp, AttrSet::NONE, s.attrs(r).bidirectional()),
        "Interactive (pingpong) mode: ACKs are piggybacked; only from /proc/net/tcp.")
        .called(&["pingpong"]),
];
