//! Tracked connections.

use super::FrameError;
use super::ints::Moves;
use super::pairs::Pairs;
use super::table::{Column, TableReader, TableWriter, endpoint, int, json, option};
use crate::model::{Endpoint, Flow, Proto, Sample};
use std::sync::LazyLock;

/// Columns of the table.
pub(super) static COLUMNS: LazyLock<Vec<Column<Flow>>> = LazyLock::new(|| {
    let mut out: Vec<Column<Flow>> = vec![
        json!("proto", proto),
        json!("bytes", bytes),
        int!("netns", netns),
        int!("status", status),
        option!("tcp_state", tcp_state),
        // Seconds.
        option!("timeout_s", Moves::Down(1_000_000_000), timeout_s),
        int!("mark", mark),
        int!("zone", zone),
        int!("id", id),
    ];
    endpoint!(out, "orig_src_high", "orig_src_low", "orig_src_port", orig.0);
    endpoint!(out, "orig_dst_high", "orig_dst_low", "orig_dst_port", orig.1);
    endpoint!(out, "reply_src_high", "reply_src_low", "reply_src_port", reply.0);
    endpoint!(out, "reply_dst_high", "reply_dst_low", "reply_dst_port", reply.1);
    out
});

pub(super) fn put(new: &Sample, old: &Sample, elapsed_ns: u64) -> Option<Vec<u8>> {
    let (rows, before) = (&*new.flows, &*old.flows);
    let pairs = Pairs::by_key(rows, before, |f| (f.netns, f.id));
    let mut table = TableWriter::new(&pairs, before.len(), elapsed_ns);
    let differing = pairs.differing(|i, j| rows[i] != before[j]);
    table.columns(&COLUMNS, &differing, rows, before);
    table.finish()
}

pub(super) fn read(table: &TableReader<'_>, old: &Sample) -> Result<Vec<Flow>, FrameError> {
    let ends = (Endpoint::default(), Endpoint::default());
    let blank = || Flow {
        netns: 0,
        proto: Proto::Tcp,
        orig: ends,
        reply: ends,
        status: 0,
        tcp_state: None,
        timeout_s: None,
        bytes: None,
        mark: 0,
        zone: 0,
        id: 0,
    };
    let mut rows = table.rows(&old.flows, blank)?;
    table.columns(&COLUMNS, &mut rows, &old.flows)?;
    Ok(rows)
}
