//! The listening endpoint that accepted a connection.

use crate::model::snapshot::Port;
use crate::model::{Addr, Endpoint, Family, Proto, Socket};
use rustc_hash::FxHashMap;

/// Index of the listening endpoints.
#[derive(Debug)]
pub(super) struct ListenerIndex {
    /// One bit per port number: rejects most outgoing connections without a map lookup.
    port_bits: Box<[u64; 1024]>,
    /// First and last port row of an endpoint: one row per bound interface.
    rows: FxHashMap<(u16, Proto, Endpoint), (u32, u32)>,
}

impl ListenerIndex {
    /// The index of these rows; rows of the same endpoint must be adjacent.
    pub(super) fn new(ports: &[Port]) -> Self {
        let mut port_bits = Box::new([0u64; 1024]);
        let mut rows = FxHashMap::default();
        for (i, p) in ports.iter().enumerate() {
            let n = usize::from(p.local.port);
            port_bits[n / 64] |= 1 << (n % 64);
            rows.entry((p.netns, p.proto, p.local)).or_insert((i as u32, i as u32)).1 = i as u32;
        }
        Self { port_bits, rows }
    }

    /// The row of the listener on the local endpoint of this connection. The exact address takes precedence, then the
    /// wildcard of the socket's own family, then the other one: the IPv6 wildcard accepts IPv4 clients too unless it is in
    /// `v6only`. A listener bound to the interface of the connection takes precedence over one that is not bound.
    pub(super) fn find(&self, s: &Socket, ports: &[Port], v6only: &[bool]) -> Option<u32> {
        let n = usize::from(s.local.port);
        if self.port_bits[n / 64] >> (n % 64) & 1 == 0 {
            return None;
        }
        let lookup = |addr: Addr| {
            let key = (s.id.netns, s.proto, Endpoint::new(addr, s.local.port));
            let (first, last) = *self.rows.get(&key)?;
            let mut rows = first..=last;
            let fits = |r: u32, iface: u32| {
                let r = r as usize;
                ports[r].iface == iface && !(addr == Addr::ANY6 && s.local.addr.is_v4() && v6only[r])
            };
            rows.clone().find(|r| s.iface != 0 && fits(*r, s.iface)).or_else(|| rows.find(|r| fits(*r, 0)))
        };
        let wildcards: &[Addr] = match (s.local.addr.is_v4(), s.family) {
            (false, _) => &[Addr::ANY6],
            (true, Family::Inet6) => &[Addr::ANY6, Addr::ANY4],
            (true, _) => &[Addr::ANY4, Addr::ANY6],
        };
        lookup(s.local.addr).or_else(|| wildcards.iter().find_map(|a| lookup(*a)))
    }
}
