//! Synthetic socket ids for sources without cookies.

use crate::model::{Socket, SocketId};
use rustc_hash::FxHashSet;
// Not FxHash: remote hosts choose their addresses, and could choose colliding ones.
use std::hash::{DefaultHasher, Hash, Hasher};

/// Assigns each socket of one sample a unique id, which stays the same in every sample while the socket exists.
#[derive(Debug, Default)]
pub(crate) struct SyntheticIds(FxHashSet<u64>);

impl SyntheticIds {
    /// Sets the socket's id. `false`: the same socket is in this sample already, because its table changed while it was
    /// read.
    pub(crate) fn assign(&mut self, s: &mut Socket) -> bool {
        s.id.cookie = cookie(s, false);
        if self.0.insert(s.id.cookie) {
            return true;
        }
        s.id.cookie = cookie(s, true);
        self.0.insert(s.id.cookie)
    }
}

/// Hash of what stays the same. A connection is identified by its two endpoints in every state (its inode is gone with the
/// last descriptor); a socket without a peer, or with the same endpoints as another one (`with_inode`), by its inode too.
fn cookie(s: &Socket, with_inode: bool) -> u64 {
    let mut h = DefaultHasher::new();
    (s.proto, s.local, s.remote).hash(&mut h);
    if with_inode || s.remote.is_none() {
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
    fn distinct_sockets_get_distinct_ids_and_a_repeated_one_is_refused() {
        let mut ids = SyntheticIds::default();
        let mut listeners = [socket(State::Listen, 7, 0), socket(State::Listen, 8, 0)];
        assert!(listeners.iter_mut().all(|s| ids.assign(s)), "two listeners on one port");
        assert_ne!(listeners[0].id, listeners[1].id);
        let mut same_endpoints = [socket(State::Established, 9, 5), socket(State::Established, 10, 5)];
        assert!(same_endpoints.iter_mut().all(|s| ids.assign(s)), "two with the same endpoints");
        assert!(
            !ids.assign(&mut same_endpoints[1]) && !ids.assign(&mut listeners[0]),
            "the same socket again"
        );
        assert!(same_endpoints.iter().chain(&listeners).all(|s| s.id.kernel_cookie().is_none()));
    }

    #[test]
    fn connection_keeps_its_id_in_every_state() {
        let (mut a, mut b) = (socket(State::Established, 9, 5), socket(State::TimeWait, 0, 5));
        assert!(SyntheticIds::default().assign(&mut a) && SyntheticIds::default().assign(&mut b));
        assert_eq!(a.id, b.id);
        let mut other = socket(State::TimeWait, 0, 6);
        assert!(SyntheticIds::default().assign(&mut other));
        assert_ne!(a.id, other.id);
    }
}
