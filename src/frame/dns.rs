//! DNS questions. Like events they have no counterparts in an earlier sample: every row is new.

use super::FrameError;
use super::ints::Moves;
use super::pairs::Pairs;
use super::table::{Column, TableReader, TableWriter, endpoint, int, json, option};
use crate::model::sample::{DnsOutcome, DnsQuery};
use crate::model::{Endpoint, Proto};
use std::sync::LazyLock;

/// Columns of the table.
pub(super) static COLUMNS: LazyLock<Vec<Column<DnsQuery>>> = LazyLock::new(|| {
    let mut out: Vec<Column<DnsQuery>> = vec![
        json!("proto", proto),
        json!("name", name),
        json!("outcome", outcome),
        json!("addrs", addrs),
        json!("process", process),
        int!("asked_ns", asked_ns),
        int!("took_ns", took_ns),
        int!("netns", netns),
        int!("id", id),
        int!("qtype", qtype),
        int!("answers", answers),
        int!("tries", tries),
        option!("uid", uid),
        Column::Int {
            name: "inbound",
            moves: Moves::No,
            get: |q| u64::from(q.inbound),
            set: |q, n| {
                q.inbound = n != 0;
                n <= 1
            },
        },
        Column::Int {
            name: "truncated",
            moves: Moves::No,
            get: |q| u64::from(q.truncated),
            set: |q, n| {
                q.truncated = n != 0;
                n <= 1
            },
        },
    ];
    endpoint!(out, "client_addr_high", "client_addr_low", "client_port", client);
    endpoint!(out, "server_addr_high", "server_addr_low", "server_port", server);
    out
});

pub(super) fn put(rows: &[DnsQuery]) -> Option<Vec<u8>> {
    let pairs = Pairs::all_new(rows.len());
    let mut table = TableWriter::new(&pairs, 0, 0);
    table.columns(&COLUMNS, &pairs.new_rows, rows, &[]);
    table.finish()
}

pub(super) fn read(table: &TableReader<'_>) -> Result<Vec<DnsQuery>, FrameError> {
    let blank = || DnsQuery {
        asked_ns: 0,
        took_ns: 0,
        netns: 0,
        proto: Proto::Udp,
        client: Endpoint::default(),
        server: Endpoint::default(),
        inbound: false,
        id: 0,
        name: "".into(),
        qtype: 0,
        outcome: DnsOutcome::Timeout,
        truncated: false,
        answers: 0,
        addrs: Vec::new(),
        tries: 0,
        process: None,
        uid: None,
    };
    let mut rows = table.rows(&[], blank)?;
    table.columns(&COLUMNS, &mut rows, &[])?;
    Ok(rows)
}
