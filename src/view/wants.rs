//! Poll request for a view: the data that its columns, filter and sort order need.

use super::sort::SortKey;
use crate::filter::Filter;
use crate::format::Column;
use crate::model::{ProtoSet, Reads, Wants};
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
    // Protocols that the filter names are read in addition to the usual ones.
    let mut out = Wants::new(needs | table.always_needs, protos | filter.protos());
    // A local peer can be a socket that the filter excludes.
    if narrow && table.is_sockets() && !out.reads(Reads::LOCAL_PEERS) {
        let push = filter.pushdown();
        out.states = push.states;
        out.protos &= push.protos;
        out.prefilter = push.prefilter;
    }
    out
}
