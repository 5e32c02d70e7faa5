//! Names of users.

use crate::model::Sample;
use nix::unistd::{Uid, User};
use std::collections::BTreeMap;
use std::sync::Arc;

/// User names that were asked for, with those that have none.
#[derive(Debug)]
pub(crate) struct Users {
    live: bool,
    known: BTreeMap<u32, Option<Box<str>>>,
    shared: Arc<BTreeMap<u32, Box<str>>>,
}

impl Users {
    /// `live`: ask this machine's name service. A captured tree has no users but numbers.
    pub(crate) fn new(live: bool) -> Self {
        Self { live, known: BTreeMap::new(), shared: Arc::default() }
    }

    /// Gives the sample the names of every user that occurs in it.
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
            self.known.entry(uid).or_insert_with(|| {
                changed = true;
                User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|u| u.name.into())
            });
        }
        if changed {
            let named = self.known.iter().filter_map(|(uid, n)| Some((*uid, n.clone()?)));
            self.shared = Arc::new(named.collect());
        }
        sample.users = Arc::clone(&self.shared);
    }
}
