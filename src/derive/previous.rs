//! The previous poll: its snapshot, its coverage, and owners to carry over.

use super::coverage::Coverage;
use crate::model::Snapshot;
use crate::model::snapshot::LastOwner;
use std::sync::Arc;

/// The previous poll.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) snap: Arc<Snapshot>,
    pub(super) coverage: Coverage,
    /// Last known owners of rows whose owners were not read, sorted by row.
    pub(super) carried_owners: Vec<(u32, LastOwner)>,
}

impl Previous {
    /// The last known owner of a row.
    pub(super) fn last_owner(&self, row: usize) -> Option<LastOwner> {
        let snap = &self.snap;
        if let Some(o) = snap.owners(row).first() {
            let info = &snap.process(o).info;
            return Some(LastOwner { pid: info.pid, comm: Arc::from(&*info.comm), fd: o.fd });
        }
        let known = |list: &[(u32, LastOwner)]| {
            let i = list.binary_search_by_key(&(row as u32), |(r, _)| *r).ok()?;
            Some(list[i].1.clone())
        };
        known(&snap.last_owners).or_else(|| known(&self.carried_owners))
    }
}
