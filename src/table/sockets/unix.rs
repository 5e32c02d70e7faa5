//! Columns of UNIX sockets.

use crate::format::{Column, Kind, Needs, Value};
use crate::model::Snapshot;
use crate::table::cell::na;

/// Clients in the accept queue of a UNIX listener: process, pid and socket inode.
fn pending<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let Some(inodes) = snap.attrs(row).pending() else { return na() };
    let owners = &snap.sample.owners;
    let client = |inode: u32| {
        let at = owners.partition_point(|o| o.inode < u64::from(inode));
        let who = owners.get(at).filter(|o| inode != 0 && o.inode == u64::from(inode)).map(|o| {
            let p = &snap.process(o).info;
            [("comm", Value::from(p.comm.to_string())), ("pid", Value::from(p.pid))]
        });
        Value::Record(
            who.into_iter().flatten().chain(std::iter::once(("inode", Value::from(inode)))).collect(),
        )
    };
    Value::List(inodes.map(client).collect())
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("peer_inode", "PEER INODE", Kind::Id, 63,
        |s, r| s.attrs(r).unix_peer().filter(|i| *i != 0).map_or_else(na, Value::from),
        "Inode of the peer of a UNIX socket."),
    Column::new("pending", "PENDING", Kind::List, 63, pending,
        "Clients in the accept queue of a UNIX listener: process, pid and socket inode.")
        .needs(Needs::OWNERS).wide(8, 24, 60),
    Column::new("vfs_inode", "FILE INODE", Kind::Id, 63,
        |s, r| s.attrs(r).vfs().map_or_else(na, |v| Value::from(v.inode)),
        "Inode of the file that a UNIX socket is bound to, as in stat(1).")
        .wide(6, 10, 20),
    Column::new("vfs_dev", "FILE DEV", Kind::Text, 63,
        |s, r| s.attrs(r).vfs().map_or_else(na, |v| Value::from(format!("{}:{}", v.dev >> 20, v.dev & 0xf_ffff))),
        "Device of that file: major:minor.")
        .wide(4, 8, 12),
];
