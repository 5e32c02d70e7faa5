//! Other ends of connections that are on other hosts.
//!
//! Rows of a host refer to rows of another one only here. A snapshot holds no other snapshot alive: what it refers to are the
//! snapshots that were shown with it.

use super::{Map, Snapshot};
use crate::model::lang::noop;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

/// Link from a socket row to the other end of its connection on another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLink {
    /// Row of the socket.
    pub row: u32,
    /// Index of the other host.
    pub host: u32,
    /// Row of the other end there.
    pub peer: u32,
    /// True if the two ends can belong to no other connection; else it is likely.
    pub certain: bool,
    /// Index of the host that translates addresses between the two, the first as seen from the client.
    pub nat: Option<u32>,
}

/// Other end of a connection on another host.
#[derive(Clone, Debug)]
pub struct HostPeer {
    /// Index of its host.
    pub host: usize,
    /// Snapshot of its host.
    pub snap: Arc<Snapshot>,
    /// Its row there.
    pub row: usize,
    /// True if the two ends can belong to no other connection; else it is likely.
    pub certain: bool,
    /// Name of the host that translates addresses between the two.
    pub nat: Option<Arc<str>>,
}

impl HostPeer {
    /// Certainty in one word.
    pub const fn certainty(&self) -> &'static str {
        certainty(self.certain)
    }
}

/// Name of a certainty.
pub const fn certainty(certain: bool) -> &'static str {
    if certain { noop("certain") } else { noop("likely") }
}

/// Links of a snapshot, by row, and the snapshots of the hosts that were searched.
struct Links {
    links: Vec<HostLink>,
    hosts: Arc<[Weak<Snapshot>]>,
}

/// Other ends of the sockets of a snapshot, as known when it was last shown with those of other hosts; unknown before.
#[derive(Default)]
pub struct HostPeers {
    known: RwLock<Option<Arc<Links>>>,
    map: OnceLock<Map>,
}

impl HostPeers {
    /// Replaces the links, which are sorted by row.
    pub fn set(&self, links: Vec<HostLink>, hosts: Arc<[Weak<Snapshot>]>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Links { links, hosts }));
    }

    fn known(&self) -> Option<Arc<Links>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if other hosts were searched.
    pub fn is_known(&self) -> bool {
        self.known().is_some()
    }

    /// Map with the other ends on other hosts. It is set once: rows are numbered by its edges.
    pub fn map(&self) -> Option<&Map> {
        self.map.get()
    }

    /// Sets the map, if it is not set.
    pub fn set_map(&self, map: impl FnOnce() -> Map) {
        self.map.get_or_init(map);
    }

    /// All links, sorted by row.
    pub fn links(&self) -> Vec<HostLink> {
        self.known().map_or_else(Vec::new, |known| known.links.clone())
    }

    /// Other end of the socket of a row, while the snapshot of its host exists.
    pub fn get(&self, row: usize) -> Option<HostPeer> {
        let known = self.known()?;
        let at = known.links.binary_search_by_key(&row, |l| l.row as usize).ok()?;
        let link = known.links.get(at)?;
        let snap_of = |host: u32| known.hosts.get(host as usize)?.upgrade();
        let snap = snap_of(link.host)?;
        let row = link.peer as usize;
        let nat = link.nat.and_then(snap_of).map(|s| Arc::clone(&s.sample.host));
        snap.get_socket(row)?;
        Some(HostPeer { host: link.host as usize, snap, row, certain: link.certain, nat })
    }
}

impl fmt::Debug for HostPeers {
    /// Only the number of links: hosts refer to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostPeers({:?})", self.known().map(|known| known.links.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Proto, State};
    use crate::testing::{row, snapshot};

    fn host(name: &str) -> Arc<Snapshot> {
        let rows = vec![row(Proto::Tcp, State::Established, "10.0.0.1:1", "10.0.0.2:2", &[])];
        let mut snap = snapshot(rows, vec![], &[]);
        snap.sample.host = name.into();
        Arc::new(snap)
    }

    #[test]
    fn other_end_is_known_while_its_snapshot_exists() {
        let (a, b) = (host("a"), host("b"));
        assert!(!a.host_peers.is_known() && a.host_peers.get(0).is_none());
        let hosts: Arc<[_]> = [Arc::downgrade(&a), Arc::downgrade(&b)].into();
        a.host_peers.set(
            vec![HostLink { row: 0, host: 1, peer: 0, certain: false, nat: Some(1) }],
            Arc::clone(&hosts),
        );
        b.host_peers.set(vec![HostLink { row: 0, host: 0, peer: 7, certain: true, nat: None }], hosts);
        let peer = a.host_peers.get(0).unwrap();
        assert_eq!((&*peer.snap.sample.host, peer.row, peer.certainty()), ("b", 0, "likely"));
        assert_eq!(peer.nat.as_deref(), Some("b"));
        assert!(b.host_peers.get(0).is_none(), "a row that does not exist");
        let old = Arc::downgrade(&b);
        drop((peer, b));
        assert!(old.upgrade().is_none(), "links keep no snapshot");
        assert!(a.host_peers.get(0).is_none());
    }
}
