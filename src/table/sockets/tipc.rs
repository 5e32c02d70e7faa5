//! Columns of TIPC sockets.

use crate::format::{Column, Kind, Value};
use crate::table::cell::na;

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("tipc_congestion", "TIPC CONG", Kind::Text, 71,
        |s, r| s.attrs(r).tipc().map_or_else(na, |t| Value::text(match t {
            t if t.link_congested => "link",
            t if t.connection_congested => "conn",
            _ => "none",
        })),
        "Congestion of a TIPC socket: link (to the other node), conn (the peer does not read), none.")
        .wide(4, 9, 9),
    Column::new("tipc_published", "TIPC PUBL", Kind::Bool, 71,
        |s, r| s.attrs(r).tipc().map_or_else(na, |t| Value::Bool(t.published)),
        "TIPC socket bound to a service name."),
    Column::new("tipc_via", "TIPC VIA", Kind::Text, 71,
        |s, r| s.attrs(r).tipc().and_then(|t| t.via)
            .map_or_else(na, |(kind, instance)| Value::from(format!("{kind},{instance}"))),
        "Type and instance of the service name that a TIPC socket connected to.")
        .wide(6, 12, 21),
    Column::new("tipc_group", "TIPC GROUP", Kind::Id, 71,
        |s, r| s.attrs(r).tipc().and_then(|t| t.group).map_or_else(na, Value::from),
        "Communication group of a TIPC socket."),
];
