//! Peers on this machine: both ends of loopback connections, of connections between namespaces, and of UNIX sockets.

use crate::model::{Addr, Endpoint, Family, Proto, Sample, Scope, Socket};
use rustc_hash::{FxHashMap, FxHashSet};

/// No local peer.
pub(super) const NONE: u32 = u32::MAX;

type Connection = (u16, Proto, Endpoint, Endpoint);

/// Several rows have these endpoints: no peer is assigned.
const AMBIGUOUS: u32 = NONE - 1;

/// The row of the peer of each socket, live ones first; [`NONE`] if it is not on this machine.
pub(super) fn join(sample: &Sample, live: &[Socket], closed: &[Socket]) -> Vec<u32> {
    let sockets = || live.iter().chain(closed);
    let mut out = vec![NONE; live.len() + closed.len()];
    let is_ip = |f: Family| matches!(f, Family::Inet | Family::Inet6);
    // Only connections to a local address of some socket can have their peer here.
    let local_addrs: FxHashSet<Addr> =
        sockets().filter(|s| is_ip(s.family) && !s.remote.is_none()).map(|s| s.local.addr).collect();
    let mut ends: FxHashMap<Connection, u32> = FxHashMap::default();
    // Between namespaces endpoints identify the peer only if they are unique.
    let mut across: FxHashMap<(Proto, Endpoint, Endpoint), u32> = FxHashMap::default();
    let several_namespaces = sockets().any(|s| s.id.netns != 0);
    let mut inodes: FxHashMap<u64, u32> = FxHashMap::default();
    // Later rows do not replace earlier ones: a live socket comes before a closed one with its endpoints or inode.
    for (row, s) in sockets().enumerate() {
        let row = row as u32;
        if s.family == Family::Unix {
            inodes.entry(s.inode).or_insert(row);
        } else if is_ip(s.family) && !s.remote.is_none() && local_addrs.contains(&s.remote.addr) {
            ends.entry((s.id.netns, s.proto, s.local, s.remote)).or_insert(row);
            if several_namespaces && s.remote.addr.scope() != Scope::Loopback {
                let known = across.entry((s.proto, s.local, s.remote)).or_insert(row);
                *known = if *known == row { *known } else { AMBIGUOUS };
            }
        }
    }
    for (row, s) in sockets().enumerate() {
        let found = if s.family == Family::Unix {
            sample.attrs_of(s).unix_peer().filter(|i| *i != 0).and_then(|i| inodes.get(&u64::from(i)))
        } else if is_ip(s.family) && !s.remote.is_none() {
            let same = ends.get(&(s.id.netns, s.proto, s.remote, s.local));
            same.or_else(|| across.get(&(s.proto, s.remote, s.local)).filter(|o| **o != AMBIGUOUS))
        } else {
            None
        };
        out[row] = found.copied().unwrap_or(NONE);
    }
    // Endpoints have to agree both ways. A UNIX socket's peer is what the kernel reports (`UNIX_DIAG_PEER`): many datagram
    // clients have one server (`/dev/log`), which has no peer. A socket connected to itself is its own peer.
    for (row, _) in sockets().enumerate().filter(|(_, s)| s.family != Family::Unix) {
        if let Some(back) = out.get(out[row] as usize)
            && *back != row as u32
        {
            out[row] = NONE;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attr;
    use crate::model::diag_attr::unix;
    use crate::model::{Backend, BackendInfo, Socket, SocketId, Stamp, State, Wants};
    use std::sync::Arc;

    #[test]
    fn both_ends_are_paired() {
        let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
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
        // A connection to itself is its own peer.
        tcp("127.0.0.1:7", Some("127.0.0.1:7"));
        let unix = |sample: &mut Sample, inode: u64, peer: u32| {
            let id = SocketId { netns: 0, cookie: 0 };
            let mut s = Socket::new(id, Family::Unix, Proto::Unix, State::Established);
            s.inode = inode;
            let mut raw = Vec::new();
            attr::push(&mut raw, unix::PEER, &peer.to_ne_bytes());
            sample.push_attrs(&mut s, &raw);
            sample.sockets.push(s);
        };
        for (inode, peer) in [(900, 901), (901, 900), (902, 0)] {
            unix(&mut sample, inode, peer);
        }
        assert_eq!(join(&sample, &sample.sockets, &[]), [NONE, 2, 1, NONE, 4, 6, 5, NONE]);
        // Datagram clients of one server, which is not connected to any of them: 8 and 9 to 7.
        for (inode, peer) in [(903, 902), (904, 902)] {
            unix(&mut sample, inode, peer);
        }
        assert_eq!(join(&sample, &sample.sockets, &[])[5..], [6, 5, NONE, 7, 7]);
        // A closed socket does not take the place of the live one with its endpoints.
        let closed = [sample.sockets[2]];
        assert_eq!(join(&sample, &sample.sockets, &closed)[1..3], [2, 1]);
        // Between namespaces: not over loopback, and only if the endpoints are unique.
        sample.sockets.truncate(0);
        for (netns, local, remote) in [
            (0, "10.0.0.1:5000", "10.0.0.2:80"),
            (1, "10.0.0.2:80", "10.0.0.1:5000"),
            (0, "127.0.0.1:5000", "127.0.0.1:80"),
            (1, "127.0.0.1:80", "127.0.0.1:5000"),
            (0, "10.0.0.1:6000", "10.0.0.2:80"),
            (1, "10.0.0.2:80", "10.0.0.1:6000"),
            (2, "10.0.0.2:80", "10.0.0.1:6000"),
        ] {
            let mut s =
                Socket::new(SocketId { netns, cookie: 0 }, Family::Inet, Proto::Tcp, State::Established);
            (s.local, s.remote) = (end(local), end(remote));
            sample.sockets.push(s);
        }
        assert_eq!(join(&sample, &sample.sockets, &[]), [1, 0, NONE, NONE, NONE, NONE, NONE]);
    }
}
