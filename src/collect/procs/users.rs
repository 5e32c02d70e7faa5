//! User names.

use crate::model::Sample;
use nix::unistd::{Uid, User};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Cache of looked-up user names, including ids without one.
#[derive(Debug)]
pub(crate) struct Users {
    live: bool,
    cache: BTreeMap<u32, Option<Box<str>>>,
    shared: Arc<BTreeMap<u32, Box<str>>>,
}

impl Users {
    /// `live`: use this machine's name service. Uids of a captured tree have no names.
    pub(crate) fn new(live: bool) -> Self {
        Self { live, cache: BTreeMap::new(), shared: Arc::default() }
    }

    /// Adds the names of all users in the sample.
    pub(crate) fn fill(&mut self, sample: &mut Sample) {
        if !self.live {
            return;
        }
        let mut changed = false;
        let mut last = None;
        let uids = sample.sockets.iter().map(|s| s.uid).chain(sample.processes.iter().map(|p| p.info.uid));
        for uid in uids {
            if last == Some(uid) {
                continue;
            }
            last = Some(uid);
            self.cache.entry(uid).or_insert_with(|| {
                changed = true;
                User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|u| u.name.into())
            });
        }
        if changed {
            let names = self.cache.iter().filter_map(|(uid, n)| Some((*uid, n.clone()?)));
            self.shared = Arc::new(names.collect());
        }
        sample.users = Arc::clone(&self.shared);
    }
}
