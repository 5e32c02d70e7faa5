//! The IPv4 and IPv6 sockets of one service as one line.

use super::{Group, Grouper, Key, is_ip};
use crate::model::{Addr, Proto, Scope, Socket};
use rustc_hash::FxHashMap;

/// Service of one process on a port of both address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Protocol.
    pub proto: Proto,
    /// Local port.
    pub port: u16,
    /// Loopback addresses; else the wildcard addresses.
    pub loopback: bool,
    /// First owner, by its row in the snapshot.
    pub process: u32,
    /// Network namespace, by its index.
    pub netns: u16,
    /// Interface that the sockets are bound to, 0 for none.
    pub iface: u32,
}

impl Service {
    /// The service of a socket at `0.0.0.0`, `[::]`, `127.0.0.1` or `[::1]` whose process is known.
    fn new(s: &Socket, process: u32) -> Option<Self> {
        let loopback = s.local.addr.scope() == Scope::Loopback;
        let either = (loopback && [LOOPBACK4, LOOPBACK6].contains(&s.local.addr)) || s.local.addr.is_any();
        let served = is_ip(s.family) && s.local.port != 0 && s.remote.port == 0;
        (either && served).then_some(Self {
            proto: s.proto,
            port: s.local.port,
            loopback,
            process,
            netns: s.id.netns,
            iface: s.iface,
        })
    }

    /// Its endpoint: `*:80`, `localhost:631`.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", if self.loopback { "localhost" } else { "*" }, self.port)
    }

    /// A filter for the endpoints of both families.
    pub(super) fn filter(&self) -> String {
        let (v4, v6) = if self.loopback { ("127.0.0.1", "[::1]") } else { ("0.0.0.0", "[::]") };
        let port = self.port;
        format!("proto:{} (local:{v4}:{port} or local:{v6}:{port})", self.proto.name())
    }
}

const LOOPBACK4: Addr = Addr::v4([127, 0, 0, 1]);
const LOOPBACK6: Addr = Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

impl Grouper<'_> {
    /// Adds rows in their order; the sockets of a service of both families are a group, at the place of the first of them.
    pub(super) fn fold_services(
        &self,
        rows: &mut Vec<u32>,
        groups: &mut Vec<Group>,
        members: &[u32],
        outer: u64,
    ) {
        let mut services: FxHashMap<Service, (bool, bool, Vec<u32>)> = FxHashMap::default();
        let host = |r: u32| self.snap.host_index(self.table.id, r as usize);
        let service = |r: u32| {
            let (snap, row) = self.at(r);
            let process = self.snap.process_number(host(r), snap.owners(row).first()?.process);
            Service::new(snap.socket(row), process)
        };
        for r in members {
            let Some(key) = service(*r) else { continue };
            let (v4, v6, sockets) = services.entry(key).or_default();
            let (snap, row) = self.at(*r);
            let is_v4 = snap.socket(row).local.addr.is_v4();
            *if is_v4 { v4 } else { v6 } = true;
            sockets.push(*r);
        }
        services.retain(|_, (v4, v6, _)| *v4 && *v6);
        for r in members {
            let Some(key) = service(*r).filter(|k| services.contains_key(k)) else {
                rows.push(*r);
                continue;
            };
            let Some((_, _, sockets)) = services.get_mut(&key) else { continue };
            // Emptied at the first of its rows.
            let sockets = std::mem::take(sockets);
            if sockets.is_empty() {
                continue;
            }
            let of_host = self.snap.merged.is_some().then(|| host(*r) as u16);
            let mut group = self.sum((of_host, Key::Service(key)), &sockets, 1, outer);
            group.start = rows.len() as u32;
            groups.push(group);
            rows.extend(sockets);
        }
    }
}
