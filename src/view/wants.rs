//! Request for the poll that answers a question.

use super::sort::SortKey;
use crate::filter::Filter;
use crate::format::Column;
use crate::model::{Needs, ProtoSet, Reads, Wants};
use crate::table::Table;

/// Request for showing these columns of these rows in this order.
///
/// The filter's own states, protocols and prefilter narrow what is read only for the table of sockets, and only
/// when `narrow` is set: a list printed once. A dashboard counts every socket, whatever it shows.
pub fn wants(
    table: &'static Table,
    columns: &[&'static Column],
    filter: &Filter,
    sort: &[SortKey],
    protos: ProtoSet,
    narrow: bool,
) -> Wants {
    let mut needs = columns.iter().fold(filter.needs(), |n, c| n | c.needs);
    needs = sort.iter().fold(needs, |n, k| n | k.column.needs);
    needs |= match table.name {
        "limits" => Needs::LIMITS,
        "forwards" => Needs::NAT,
        "processes" => Needs::OWNERS,
        _ => Needs::NONE,
    };
    // Protocols that the filter names are read in addition to the usual ones.
    let named = if matches!(table.name, "limits" | "forwards") { ProtoSet::empty() } else { filter.protos() };
    let mut out = Wants::new(needs, protos | named);
    // A local peer can be a socket that the filter excludes.
    if narrow && table.name == "list" && !out.reads(Reads::LOCAL_PEERS) {
        let push = filter.pushdown();
        out.states = push.states;
        out.protos &= push.protos;
        out.prefilter = push.prefilter;
    }
    out
}
