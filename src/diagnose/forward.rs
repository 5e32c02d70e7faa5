//! Rules about port forwards.

use super::route::target_text;
use crate::model::Snapshot;

pub(super) fn shadowed(snap: &Snapshot, row: usize) -> Option<String> {
    let rule = snap.forward_rows().get(row)?.shadowed_by.as_deref()?;
    Some(format!("shadowed by {rule}"))
}

pub(super) fn no_listener(snap: &Snapshot, row: usize) -> Option<String> {
    let f = snap.forward_rows().get(row)?;
    let target = target_text(f).unwrap_or_else(|| "the target".to_owned());
    (f.listens == Some(false)).then(|| format!("nothing listens on {target}"))
}
