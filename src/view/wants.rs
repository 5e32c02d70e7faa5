//! What must be read to answer a question.

use super::sort::SortKey;
use crate::filter::Filter;
use crate::format::{Column, Needs};
use crate::model::{AttrSet, ProtoSet, StateSet, Wants};
use crate::table::Table;

/// What must be read to show these columns of these rows in this order.
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
    let mut needs = columns.iter().fold(filter.needs(), |n, c| n.or(c.needs));
    needs = sort.iter().fold(needs, |n, k| n.or(k.column.needs));
    // Those that the filter names are read beside the usual ones.
    let mut out = of(needs.or(table.always_needs), protos.or(filter.protos()));
    // A far end can be one that the filter leaves out.
    if narrow && table.is_sockets() && !out.ends {
        let push = filter.pushdown();
        out.states = push.states;
        out.protos = out.protos.and(push.protos);
        out.prefilter = push.prefilter;
    }
    out
}

/// What these needs mean for a poll.
pub fn of(needs: Needs, protos: ProtoSet) -> Wants {
    Wants {
        protos,
        states: StateSet::ALL,
        attrs: AttrSet::NONE.or(needs.attrs),
        info_words: needs.info_words,
        owners: needs.owners,
        processes: needs.owners || needs.fd_kinds,
        fd_kinds: needs.fd_kinds,
        prefilter: None,
        listeners: needs.listeners,
        auto_port: needs.auto_port,
        cgroups: needs.cgroups,
        limits: needs.limits,
        ends: needs.ends,
        at_most: None,
        nat: needs.nat || needs.forwarded,
        forwarded: needs.forwarded,
        proc_ctx: needs.proc_ctx,
        sock_ctx: needs.sock_ctx,
        bpf: needs.bpf,
        tids: needs.tids,
    }
}
