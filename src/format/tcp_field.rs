//! Value of one `tcp_info` field of a socket row.

use super::value::Value;
use crate::model::struct_layout::MPTCP;
use crate::model::{AttrSet, Missing, Proto, Snapshot, State, tcp_info::TcpField};

/// A field of `tcp_info` of a socket row.
pub(crate) fn tcp_field_value<'a>(snap: &'a Snapshot, row: usize, field: &TcpField) -> Value<'a> {
    let s = snap.socket(row);
    // MPTCP has its own counters under the same names (struct mptcp_info).
    if s.proto == Proto::Mptcp && snap.sample.wants.attrs(AttrSet::INFO) && row < snap.live {
        return Value::from_opt(snap.attrs(row).field(&MPTCP, field.name), Missing::NotApplicable);
    }
    match snap.attrs(row).tcp_info() {
        Some(info) if info.field(field).is_some_and(|n| field.is_unset(n)) => {
            Value::Missing(Missing::NotApplicable)
        }
        Some(info) => {
            let kept = snap.sample.wants.needs.info_words & field.words() == field.words();
            let why = if kept { Missing::NotReported } else { Missing::NotRead };
            Value::from_opt(info.field(field), why)
        }
        None if !matches!(s.proto, Proto::Tcp | Proto::Mptcp) || s.state == State::TimeWait => {
            Value::Missing(Missing::NotApplicable)
        }
        // `/proc/net/tcp` has a few of these fields.
        None => Value::from_opt(snap.attrs(row).proc_tcp(field.name), Missing::NotRead),
    }
}
