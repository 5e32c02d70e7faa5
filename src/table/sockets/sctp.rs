//! Columns of SCTP associations.

use super::family::{INFO, family_value, structure_column, structure_record};
use crate::format::{Column, Kind, Value};
use crate::model::diag_attr::inet;
use crate::model::struct_layout::SCTP;
use crate::model::{AttrSet, Proto, Snapshot, names};

fn addresses<'a>(snap: &Snapshot, row: usize, number: u16) -> Value<'a> {
    let all = snap.attrs(row).addresses(number);
    let all = all.map(|a| Value::List(a.into_iter().map(|a| Value::from(a.to_string())).collect()));
    family_value(snap, row, Proto::Sctp, AttrSet::NONE, all)
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    structure_column!("sctp_info", "SCTP", SCTP, INFO, INFO,
        "All fields of struct sctp_info."),
    Column::new("sctp_state", "SCTP STATE", Kind::Text, 71,
        |s, r| family_value(s, r, Proto::Sctp, AttrSet::INFO,
            s.attrs(r).field(&SCTP, "state").map(|n| Value::from(names::sctp_state(n)))),
        "SCTP state of the association: COOKIE_WAIT, SHUTDOWN_SENT and so on.")
        .needs(INFO).wide(6, 17, 17),
    Column::new("sctp_primary", "SCTP PRIMARY", Kind::Addr, 71,
        |s, r| family_value(s, r, Proto::Sctp, AttrSet::INFO, s.attrs(r).sctp_primary().map(Value::Addr)),
        "Primary remote address of an SCTP association.")
        .needs(INFO),
    Column::new("sctp_local", "SCTP LOCAL", Kind::List, 71, |s, r| addresses(s, r, inet::LOCALS),
        "Local addresses of an SCTP association.")
        .wide(8, 20, 60),
    Column::new("sctp_peer", "SCTP PEER", Kind::List, 71, |s, r| addresses(s, r, inet::PEERS),
        "Remote addresses of an SCTP association.")
        .wide(8, 20, 60),
];
