//! Names of addresses, as far as the resolver has told.

use super::Addr;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Names by address. The one part of a snapshot that fills in after it was made: a name comes when it comes, and is
/// the same for every snapshot. Empty until somebody asks.
#[derive(Default)]
pub struct Hosts(RwLock<FxHashMap<Addr, Option<Arc<str>>>>);

/// What is known of an address's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    /// Nobody asked, or the answer is not there yet.
    Unknown,
    /// It has none.
    None,
    /// Its name.
    Name(Arc<str>),
}

impl Hosts {
    /// What is known of this address.
    pub fn get(&self, addr: &Addr) -> HostName {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).get(addr) {
            None => HostName::Unknown,
            Some(None) => HostName::None,
            Some(Some(name)) => HostName::Name(Arc::clone(name)),
        }
    }

    /// Takes an answer in.
    pub fn put(&self, addr: Addr, name: Option<&str>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(addr, name.map(Arc::from));
    }
}

impl fmt::Debug for Hosts {
    /// How many: the names behind them are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hosts({})", self.0.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}

impl PartialEq for Hosts {
    /// What a sample says does not depend on what the resolver has answered.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
