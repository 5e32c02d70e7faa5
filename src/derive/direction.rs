//! Which served endpoint a connection belongs to.

use crate::model::snapshot::Port;
use crate::model::{Addr, Endpoint, Family, Proto, Socket};
use rustc_hash::FxHashMap;

/// The served endpoints, for looking up whose client a connection is.
#[derive(Debug)]
pub(super) struct Served {
    /// One bit a port number: most connections of a client machine are turned away here.
    numbers: Box<[u64; 1024]>,
    /// First and last row of the ports that serve an endpoint, one a bound interface.
    at: FxHashMap<(u16, Proto, Endpoint), (u32, u32)>,
}

impl Served {
    /// Of these rows, which are sorted so that those of one endpoint stand together.
    pub(super) fn new(ports: &[Port]) -> Self {
        let mut numbers = Box::new([0u64; 1024]);
        let mut at = FxHashMap::default();
        for (i, p) in ports.iter().enumerate() {
            let n = usize::from(p.local.port);
            numbers[n / 64] |= 1 << (n % 64);
            at.entry((p.netns, p.proto, p.local)).or_insert((i as u32, i as u32)).1 = i as u32;
        }
        Self { numbers, at }
    }

    /// The row that serves the local end of this connection. The exact address goes first, then the wildcard of the
    /// socket's own family, then the other one: the IPv6 wildcard takes IPv4 clients too unless its `only6` says
    /// otherwise. A row bound to an interface serves what came in there, before one that is not bound.
    pub(super) fn by(&self, s: &Socket, ports: &[Port], only6: &[bool]) -> Option<u32> {
        let n = usize::from(s.local.port);
        if self.numbers[n / 64] >> (n % 64) & 1 == 0 {
            return None;
        }
        let look = |addr: Addr| {
            let key = (s.id.netns, s.proto, Endpoint::new(addr, s.local.port));
            let (first, last) = *self.at.get(&key)?;
            let mut rows = first..=last;
            let fits = |r: u32, iface: u32| {
                let r = r as usize;
                ports[r].iface == iface && !(addr == Addr::ANY6 && s.local.addr.is_v4() && only6[r])
            };
            rows.clone().find(|r| s.iface != 0 && fits(*r, s.iface)).or_else(|| rows.find(|r| fits(*r, 0)))
        };
        let wild: &[Addr] = match (s.local.addr.is_v4(), s.family) {
            (false, _) => &[Addr::ANY6],
            (true, Family::Inet6) => &[Addr::ANY6, Addr::ANY4],
            (true, _) => &[Addr::ANY4, Addr::ANY6],
        };
        look(s.local.addr).or_else(|| wild.iter().find_map(|a| look(*a)))
    }
}
