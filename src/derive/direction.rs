//! Which served endpoint a connection belongs to.

use crate::model::{Addr, Endpoint, Proto, Socket};
use rustc_hash::FxHashMap;

/// The served endpoints, for looking up whose client a connection is.
#[derive(Debug)]
pub(super) struct Served {
    /// One bit a port number: most connections of a client machine are turned away here.
    ports: Box<[u64; 1024]>,
    at: FxHashMap<(u16, Proto, Endpoint), u32>,
}

impl Default for Served {
    fn default() -> Self {
        Self { ports: Box::new([0; 1024]), at: FxHashMap::default() }
    }
}

impl Served {
    /// The endpoint is served by this row of the ports.
    pub(super) fn add(&mut self, netns: u16, proto: Proto, local: Endpoint, row: u32) {
        self.ports[usize::from(local.port) / 64] |= 1 << (local.port % 64);
        self.at.entry((netns, proto, local)).or_insert(row);
    }

    /// The row that accepted this connection: the exact address first, then the wildcard of its own family, then
    /// the IPv6 wildcard, which takes IPv4 clients too unless told otherwise.
    pub(super) fn of(&self, s: &Socket) -> Option<u32> {
        let port = s.local.port;
        if self.ports[usize::from(port) / 64] >> (port % 64) & 1 == 0 {
            return None;
        }
        let look = |addr| self.at.get(&(s.id.netns, s.proto, Endpoint::new(addr, port))).copied();
        look(s.local.addr)
            .or_else(|| if s.local.addr.is_v4() { look(Addr::ANY4) } else { None })
            .or_else(|| look(Addr::ANY6))
    }
}
