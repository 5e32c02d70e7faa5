//! Events. Those of a sample have no counterparts in an earlier one: every row is new.

use super::FrameError;
use super::ints::Moves;
use super::pairs::Pairs;
use super::table::{
    Column, TableReader, TableWriter, endpoint, half, int, json, option, option_u64, set_half,
};
use crate::model::sample::{Event, EventKind};
use crate::model::{Endpoint, Family, Proto, SocketId};
use std::sync::LazyLock;

/// Columns of the table.
pub(super) static COLUMNS: LazyLock<Vec<Column<Event>>> = LazyLock::new(|| {
    let mut out: Vec<Column<Event>> = vec![
        json!("kind", kind),
        json!("family", family),
        json!("proto", proto),
        json!("process", process),
        json!("inbound", inbound),
        json!("closed_by", closed_by),
        json!("from", from),
        json!("state_us", state_us),
        int!("at_ns", at_ns),
        int!("netns", id.netns),
        int!("cookie", id.cookie),
        int!("iface", iface),
        option!("uid", uid),
        int!("start_ns", start_ns),
        int!("opened_ns", opened_ns),
        option!("retrans", retrans),
        option!("rtt_us", rtt_us),
        int!("errno", errno),
    ];
    option_u64!(out, "tx", "tx_known", tx);
    option_u64!(out, "rx", "rx_known", rx);
    endpoint!(out, "local_addr_high", "local_addr_low", "local_port", local);
    out.extend([
        Column::Int {
            name: "remote_addr_high",
            moves: Moves::No,
            get: |e: &Event| e.remote.map_or(0, |r| half(&r.addr, 0)),
            set: |e, n| set_remote(e, n, |r, n| set_half(&mut r.addr, 0, n)),
        },
        Column::Int {
            name: "remote_addr_low",
            moves: Moves::No,
            get: |e: &Event| e.remote.map_or(0, |r| half(&r.addr, 8)),
            set: |e, n| set_remote(e, n, |r, n| set_half(&mut r.addr, 8, n)),
        },
        // 0 if the remote endpoint is not known, else its port plus 1. After the address.
        Column::Int {
            name: "remote_port",
            moves: Moves::No,
            get: |e: &Event| e.remote.map_or(0, |r| u64::from(r.port) + 1),
            set: |e, n| match n.checked_sub(1).map(u16::try_from) {
                None => {
                    e.remote = None;
                    true
                }
                Some(port) => set_remote(e, 1, |r, _| r.port = port.unwrap_or(0)) && port.is_ok(),
            },
        },
    ]);
    out
});

/// Changes the remote endpoint. There is none yet when its first column is set; 0 then leaves it so.
fn set_remote(e: &mut Event, n: u64, change: impl FnOnce(&mut Endpoint, u64)) -> bool {
    if n != 0 || e.remote.is_some() {
        change(e.remote.get_or_insert_default(), n);
    }
    true
}

pub(super) fn put(rows: &[Event]) -> Option<Vec<u8>> {
    let pairs = Pairs::all_new(rows.len());
    let mut table = TableWriter::new(&pairs, 0, 0);
    table.columns(&COLUMNS, &pairs.new_rows, rows, &[]);
    table.finish()
}

pub(super) fn read(table: &TableReader<'_>) -> Result<Vec<Event>, FrameError> {
    let blank = || Event {
        at_ns: 0,
        kind: EventKind::Opened,
        id: SocketId { netns: 0, cookie: 0 },
        family: Family::Inet,
        proto: Proto::Tcp,
        local: Endpoint::default(),
        remote: None,
        iface: 0,
        process: None,
        uid: None,
        inbound: None,
        start_ns: 0,
        opened_ns: 0,
        tx: None,
        rx: None,
        retrans: None,
        rtt_us: None,
        closed_by: None,
        errno: 0,
        from: None,
        state_us: None,
    };
    let mut rows = table.rows(&[], blank)?;
    table.columns(&COLUMNS, &mut rows, &[])?;
    Ok(rows)
}
