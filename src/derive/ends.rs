//! The far ends that are on this machine too: loopback connections, and pairs of UNIX sockets.

use crate::model::{Addr, Endpoint, Family, Proto, Sample};
use rustc_hash::{FxHashMap, FxHashSet};

/// No far end here.
pub(super) const NONE: u32 = u32::MAX;

type Connection = (u16, Proto, Endpoint, Endpoint);

/// Beside each socket the row of its far end, [`NONE`] where that is elsewhere.
pub(super) fn join(sample: &Sample) -> Vec<u32> {
    let sockets = &sample.sockets;
    let mut out = vec![NONE; sockets.len()];
    let is_ip = |f: Family| matches!(f, Family::Inet | Family::Inet6);
    // Only what goes to an address that some socket has here can have its far end here.
    let here: FxHashSet<Addr> =
        sockets.iter().filter(|s| is_ip(s.family) && !s.remote.is_none()).map(|s| s.local.addr).collect();
    let mut ends: FxHashMap<Connection, u32> = FxHashMap::default();
    let mut inodes: FxHashMap<u64, u32> = FxHashMap::default();
    for (row, s) in sockets.iter().enumerate() {
        if s.family == Family::Unix {
            inodes.insert(s.inode, row as u32);
        } else if is_ip(s.family) && !s.remote.is_none() && here.contains(&s.remote.addr) {
            ends.insert((s.id.netns, s.proto, s.local, s.remote), row as u32);
        }
    }
    for (row, s) in sockets.iter().enumerate() {
        let found = if s.family == Family::Unix {
            sample.attrs_of(s).unix_peer().filter(|i| *i != 0).and_then(|i| inodes.get(&u64::from(i)))
        } else if is_ip(s.family) && !s.remote.is_none() {
            ends.get(&(s.id.netns, s.proto, s.remote, s.local))
        } else {
            None
        };
        if let Some(other) = found.filter(|o| **o != row as u32) {
            out[row] = *other;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attr::{self, unix};
    use crate::model::{Backend, BackendInfo, Socket, SocketId, Stamp, State, Wants};
    use std::sync::Arc;

    #[test]
    fn both_ends_know_each_other() {
        let info = Arc::new(BackendInfo { backend: Backend::Script, why: String::new() });
        let mut sample = Sample::empty(Stamp::default(), "x".into(), info, Wants::default());
        let end = |s: &str| {
            let a: std::net::SocketAddr = s.parse().unwrap();
            Endpoint::new(a.ip().into(), a.port())
        };
        let mut tcp = |local: &str, remote: Option<&str>| {
            let mut s =
                Socket::new(SocketId { netns: 0, cookie: 0 }, Family::Inet, Proto::Tcp, State::Established);
            s.local = end(local);
            s.remote = remote.map_or(Endpoint::new(Addr::ANY4, 0), end);
            sample.sockets.push(s);
        };
        tcp("127.0.0.1:80", None);
        tcp("127.0.0.1:80", Some("127.0.0.1:5000"));
        tcp("127.0.0.1:5000", Some("127.0.0.1:80"));
        tcp("10.0.0.4:5001", Some("203.0.113.5:80"));
        // A connection to itself is its own far end, and says nothing.
        tcp("127.0.0.1:7", Some("127.0.0.1:7"));
        for (inode, peer) in [(900, 901u32), (901, 900), (902, 0)] {
            let mut s =
                Socket::new(SocketId { netns: 0, cookie: 0 }, Family::Unix, Proto::Unix, State::Established);
            s.inode = inode;
            let mut raw = Vec::new();
            attr::push(&mut raw, unix::PEER, &peer.to_ne_bytes());
            sample.push_attrs(&mut s, &raw);
            sample.sockets.push(s);
        }
        assert_eq!(join(&sample), [NONE, 2, 1, NONE, NONE, 6, 5, NONE]);
    }
}
