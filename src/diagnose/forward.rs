//! Rules about port forwards.

use super::route::target_text;
use crate::model::lang::tr;
use crate::model::snapshot::Port;
use crate::model::{FilterVerdict, Scope, Snapshot};
use crate::msg;

pub(super) fn shadowed(snap: &Snapshot, row: usize) -> Option<String> {
    let f = snap.forward_rows().get(row)?;
    // A rule with clients is reached, even if its evaluation differs.
    let rule = f.shadowed_by.as_deref().filter(|_| f.clients == 0)?;
    Some(msg!("shadowed by {}", rule))
}

pub(super) fn filtered(snap: &Snapshot, row: usize) -> Option<String> {
    let f = snap.forward_rows().get(row)?;
    // Connections that exist pass by their state.
    let stopped = |v: FilterVerdict| v == FilterVerdict::Stopped && f.clients == 0;
    f.filtered.as_ref().filter(|r| stopped(r.verdict)).map(|r| msg!("new connections: {}", r.detail))
}

pub(super) fn on_loopback(snap: &Snapshot, row: usize) -> Option<String> {
    let f = snap.forward_rows().get(row)?;
    let target = f.target.filter(|_| f.listens == Some(false) && f.clients == 0)?;
    let netns = f.target_netns?;
    let serves = |p: &&Port| {
        p.netns == netns
            && f.proto.is_none_or(|proto| proto == p.proto)
            && p.local.port == target.port
            && p.local.addr.scope() == Scope::Loopback
            && target.addr.scope() != Scope::Loopback
    };
    let port = snap.ports.iter().find(serves)?;
    let text = target_text(f).unwrap_or_else(|| tr("the target").to_owned());
    Some(msg!("nothing listens on {}, only on {}", text, port.local))
}

pub(super) fn no_listener(snap: &Snapshot, row: usize) -> Option<String> {
    let f = snap.forward_rows().get(row)?;
    let target = target_text(f).unwrap_or_else(|| tr("the target").to_owned());
    (f.listens == Some(false) && f.clients == 0).then(|| msg!("nothing listens on {}", target))
}
