//! Next hops that do not answer, of the destinations to which sockets repeat segments.

use super::{AF, decode, route};
use crate::collect::netlink::socket::NetlinkSocket;
use crate::model::path::{FirstPacket, NUD_FAILED, NUD_INCOMPLETE, RouteAnswer};
use crate::model::{Addr, FailedHop, Proto, Sample, Scope, Socket, TimerKind};
use std::collections::BTreeMap;

/// Most destinations of a namespace that are looked up.
const MAX_DESTS: usize = 16;

/// True if the socket waits for an acknowledgement and has repeated a segment.
fn repeats(s: &Socket) -> bool {
    s.proto == Proto::Tcp
        && s.timer.kind == TimerKind::On
        && s.timer.retrans >= 1
        && s.has_peer()
        && s.remote.addr.scope() != Scope::Loopback
}

/// Reads those of the sockets from index `begin` on, in the network namespace of the calling thread. Without such a socket, or if no
/// neighbour has failed, no route is looked up.
pub(crate) fn read_failed(netns: u16, begin: usize, sample: &mut Sample) {
    let mut dests: BTreeMap<(Addr, u32), (Socket, u32)> = BTreeMap::new();
    for s in sample.sockets.iter().skip(begin).filter(|s| repeats(s)) {
        let key = (s.remote.addr, s.iface);
        if dests.len() < MAX_DESTS || dests.contains_key(&key) {
            dests.entry(key).or_insert((*s, 0)).1 += 1;
        }
    }
    if dests.is_empty() {
        return;
    }
    let Ok(mut socket) = NetlinkSocket::open(None) else { return };
    let mut failed: Vec<(u32, Addr)> = Vec::new();
    for (family, is_v4) in AF.into_iter().zip([true, false]) {
        if dests.keys().any(|(addr, _)| addr.is_v4() == is_v4) {
            decode::each_neighbour(&mut socket, family, |link, addr, entry| {
                if entry.state & (NUD_FAILED | NUD_INCOMPLETE) != 0 {
                    failed.push((link, addr));
                }
            });
        }
    }
    if failed.is_empty() {
        return;
    }
    for ((dest, bound), (s, waiting)) in dests {
        // A lookup without the interface to which the socket is bound can have another answer.
        let (hop, iface) = if bound == 0 {
            let packet = FirstPacket {
                proto: s.proto,
                source: Some(s.local.addr),
                dest: s.remote,
                mark: sample.attrs_of(&s).mark().unwrap_or(0),
                uid: Some(s.uid),
                iif: None,
                translated: false,
            };
            let RouteAnswer::Found(found) = route(&mut socket, &packet, s.remote) else { continue };
            (found.gateway.unwrap_or(dest), found.oif)
        } else {
            (dest, bound)
        };
        if failed.contains(&(iface, hop)) {
            sample.failed_hops.push(FailedHop { netns, dest, hop, iface, waiting });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Family, SocketId, State, Timer};

    #[test]
    fn only_connections_that_repeat_to_another_host_are_looked_up() {
        let mut s = Socket::new(SocketId { netns: 0, cookie: 1 }, Family::Inet, Proto::Tcp, State::SynSent);
        s.remote = Endpoint::new(Addr::v4([10, 0, 0, 9]), 80);
        s.timer = Timer { kind: TimerKind::On, retrans: 1, expires_ms: 900 };
        assert!(repeats(&s));
        assert!(!repeats(&Socket { timer: Timer { retrans: 0, ..s.timer }, ..s }));
        assert!(!repeats(&Socket { timer: Timer { kind: TimerKind::Keepalive, ..s.timer }, ..s }));
        assert!(!repeats(&Socket { remote: Endpoint::new(Addr::v4([127, 0, 0, 1]), 80), ..s }));
        assert!(!repeats(&Socket { proto: Proto::Udp, ..s }));
    }
}
