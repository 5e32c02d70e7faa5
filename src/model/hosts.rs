//! Host names of addresses, as resolved so far.

use super::addr::Addr;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Host names by address. Shared by all snapshots and filled in as the resolver answers; empty until names are
/// requested.
#[derive(Default)]
pub struct Hosts(RwLock<FxHashMap<Addr, Option<Arc<str>>>>);

/// Resolution state of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    /// Not requested, or no answer yet.
    Unknown,
    /// No name.
    None,
    /// Name.
    Name(Arc<str>),
}

impl Hosts {
    /// Resolution state of this address.
    pub fn get(&self, addr: &Addr) -> HostName {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).get(addr) {
            None => HostName::Unknown,
            Some(None) => HostName::None,
            Some(Some(name)) => HostName::Name(Arc::clone(name)),
        }
    }

    /// Stores an answer of the resolver.
    pub fn insert(&self, addr: Addr, name: Option<&str>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(addr, name.map(Arc::from));
    }
}

impl fmt::Debug for Hosts {
    /// Only the number of entries: the list can be long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hosts({})", self.0.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

impl PartialEq for Hosts {
    /// Samples are equal regardless of resolved names.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
