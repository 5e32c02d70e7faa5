//! Rules about port forwards.

use super::route::target_text;
use crate::model::lang::tr;
use crate::model::{FilterVerdict, Snapshot};
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

pub(super) fn no_listener(snap: &Snapshot, row: usize) -> Option<String> {
    let f = snap.forward_rows().get(row)?;
    let target = target_text(f).unwrap_or_else(|| tr("the target").to_owned());
    (f.listens == Some(false) && f.clients == 0).then(|| msg!("nothing listens on {}", target))
}
