//! Columns of MPTCP connections and their subflows.

use super::family::{INFO, bit_names, family_value, structure_column, structure_record};
use crate::format::{Column, Kind, Value};
use crate::model::struct_layout::MPTCP;
use crate::model::{AttrSet, Proto, Snapshot};

fn mptcp_field<'a>(snap: &Snapshot, row: usize, name: &str) -> Value<'a> {
    family_value(snap, row, Proto::Mptcp, AttrSet::INFO, snap.attrs(row).field(&MPTCP, name))
}

fn subflow<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let all = snap.attrs(row).subflow().map(|s| {
        let hex = |n: Option<u64>| n.map(|n| Value::from(format!("0x{n:x}")));
        let fields = [
            ("remote_token", hex(s.remote_token.map(u64::from))),
            ("remote_id", s.remote_id.map(Value::from)),
            ("local_token", hex(s.local_token.map(u64::from))),
            ("local_id", s.local_id.map(Value::from)),
            ("map_seq", hex(s.map_seq)),
            ("map_sfseq", s.map_sfseq.map(Value::from)),
            ("ssn_offset", hex(s.ssn_offset.map(u64::from))),
            ("map_datalen", s.map_datalen.map(Value::from)),
        ];
        Value::Record(fields.into_iter().filter_map(|(n, v)| Some((n, v?))).collect())
    });
    family_value(snap, row, Proto::Tcp, AttrSet::INFO, all)
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("mptcp_token", "MPTCP TOKEN", Kind::Hex, 71,
        |s, r| {
            let token = s.attrs(r).mptcp_token();
            let proto = if s.socket(r).proto == Proto::Mptcp { Proto::Mptcp } else { Proto::Tcp };
            family_value(s, r, proto, AttrSet::INFO, token)
        },
        "Token of the MPTCP connection, shared with its TCP subflows.")
        .needs(INFO).protos(super::INFO_OF).called(&["token"]),
    Column::new("mptcp_subflows", "SUBFLOWS", Kind::Count, 71, |s, r| mptcp_field(s, r, "subflows_total"),
        "Subflows of an MPTCP connection, including the first.")
        .needs(INFO),
    Column::new("mptcp_flags", "MPTCP FLAGS", Kind::Text, 71,
        |s, r| family_value(s, r, Proto::Mptcp, AttrSet::INFO,
            s.attrs(r).field(&MPTCP, "flags").map(|f| bit_names(f as u32, &["fallback", "remote-key"]))),
        "Flags of an MPTCP connection: fallback (to plain TCP), remote-key (peer key received).")
        .needs(INFO).wide(6, 11, 24),
    structure_column!("mptcp_info", "MPTCP", MPTCP, INFO, INFO,
        "All fields of struct mptcp_info."),
    Column::new("subflow_flags", "SUBFLOW", Kind::Text, 71,
        |s, r| family_value(s, r, Proto::Tcp, AttrSet::INFO, s.attrs(r).subflow().and_then(|f| f.letters())),
        "Flags of an MPTCP subflow: M m capable, J j join, B b backup (capitals: remote), e established, c connected, v mapping valid.")
        .needs(INFO).protos(super::TCP).wide(4, 7, 9),
    Column::new("subflow_info", "SUBFLOW MAP", Kind::List, 71, subflow,
        "MPTCP subflow: tokens and IDs of both ends, and its sequence mapping.")
        .needs(INFO).protos(super::TCP).wide(8, 24, 60),
];
