//! SyntheticIds for sources that have no cookies.

use crate::model::{Socket, SocketId};
use rustc_hash::FxHashSet;
// Not the fast hash: outsiders choose their addresses, and could choose two that fall together.
use std::hash::{DefaultHasher, Hash, Hasher};

/// Gives each socket of one sample an identity of its own, the same in every sample while it lives.
#[derive(Debug, Default)]
pub(crate) struct SyntheticIds(FxHashSet<u64>);

impl SyntheticIds {
    /// Sets the socket's identity. `false`: this very socket came before, because its table moved on while it was read.
    pub(crate) fn assign(&mut self, s: &mut Socket) -> bool {
        s.id.cookie = cookie(s, false);
        if self.0.insert(s.id.cookie) {
            return true;
        }
        s.id.cookie = cookie(s, true);
        self.0.insert(s.id.cookie)
    }
}

/// A hash of what stays the same. A connection is its two ends, through every state (its inode goes with the last
/// descriptor); what has no far end, or the ends of another (`exactly`), is told by its inode.
fn cookie(s: &Socket, exactly: bool) -> u64 {
    let mut h = DefaultHasher::new();
    (s.proto, s.local, s.remote).hash(&mut h);
    if exactly || s.remote.is_none() {
        (s.family, s.inode).hash(&mut h);
    }
    h.finish() | SocketId::SYNTHETIC
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Addr, Endpoint, Family, Proto, State};

    fn socket(state: State, inode: u64, remote: u16) -> Socket {
        let mut s = Socket::new(SocketId { netns: 0, cookie: 0 }, Family::Inet, Proto::Tcp, state);
        s.local = Endpoint::new(Addr::v4([127, 0, 0, 1]), 80);
        s.remote = if remote == 0 {
            Endpoint::new(Addr::ANY4, 0)
        } else {
            Endpoint::new(Addr::v4([10, 0, 0, 1]), remote)
        };
        s.inode = inode;
        s
    }

    #[test]
    fn one_socket_one_identity() {
        let mut ids = SyntheticIds::default();
        let mut listeners = [socket(State::Listen, 7, 0), socket(State::Listen, 8, 0)];
        assert!(listeners.iter_mut().all(|s| ids.assign(s)), "two that share a port are two");
        assert_ne!(listeners[0].id, listeners[1].id);
        let mut alike = [socket(State::Established, 9, 5), socket(State::Established, 10, 5)];
        assert!(alike.iter_mut().all(|s| ids.assign(s)), "so are two with the same ends");
        assert!(!ids.assign(&mut alike[1]) && !ids.assign(&mut listeners[0]), "but none is itself twice");
        assert!(alike.iter().chain(&listeners).all(|s| s.id.kernel_cookie().is_none()));
    }

    #[test]
    fn a_connection_keeps_its_identity_through_its_states() {
        let (mut a, mut b) = (socket(State::Established, 9, 5), socket(State::TimeWait, 0, 5));
        assert!(SyntheticIds::default().assign(&mut a) && SyntheticIds::default().assign(&mut b));
        assert_eq!(a.id, b.id);
        let mut other = socket(State::TimeWait, 0, 6);
        assert!(SyntheticIds::default().assign(&mut other));
        assert_ne!(a.id, other.id);
    }
}
