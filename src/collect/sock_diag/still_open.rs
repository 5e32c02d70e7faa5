//! Asks the kernel for single sockets: on a busy machine some sockets of a dump are closed before their owner is found, and a
//! look-up of one costs a few microseconds where a search for its owner scans every process that changed.

use super::tables::{AF_INET, AF_INET6};
use crate::collect::netlink::socket::NetlinkSocket;
use crate::collect::netlink::wire::{InetMsg, Request};
use crate::model::{Family, Proto, Socket, State};
use rustix::io::Errno;
use zerocopy::FromBytes;

/// `IPPROTO_TCP`.
const TCP: u16 = 6;

/// True unless the kernel reports that the socket is closed, or that no process has it any more. Asked for connections of the
/// network namespace of `socket`: a look-up of a socket that is only bound finds nothing.
pub(super) fn may_be_open(socket: &mut NetlinkSocket, s: &Socket) -> bool {
    let is_connection = !matches!(s.state, State::Listen | State::Closed | State::Unconn | State::SynRecv)
        && s.state != State::Forwarded
        && s.has_peer()
        && s.local.port != 0;
    if s.proto != Proto::Tcp || s.id.netns != 0 || s.id.kernel_cookie().is_none() || !is_connection {
        return true;
    }
    let family = match s.family {
        Family::Inet => AF_INET,
        Family::Inet6 => AF_INET6,
        _ => return true,
    };
    match socket.get(&Request::socket(family, TCP, family == AF_INET, s)) {
        Ok(Some(answer)) => {
            InetMsg::read_from_prefix(&answer).map_or(true, |(m, _)| u64::from(m.inode) == s.inode)
        }
        Ok(None) => true,
        // None with these endpoints, or another one with another cookie.
        Err(e) => !matches!(Errno::from_io_error(&e), Some(Errno::NOENT | Errno::STALE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::{Source, sock_diag::NetlinkSource};
    use crate::model::{Reads, Wants};
    use rustix::net::netlink::SOCK_DIAG;
    use rustix::net::sockopt::set_socket_linger;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn closed_connection_is_reported_and_an_open_one_or_listener_is_not() {
        for any in ["127.0.0.1:0", "[::]:0"] {
            let listener = TcpListener::bind(any).unwrap();
            let port = listener.local_addr().unwrap().port();
            // An IPv4 client of the IPv6 wildcard has mapped addresses on the other end.
            let pair = || (TcpStream::connect(("127.0.0.1", port)).unwrap(), listener.accept().unwrap().0);
            let (open, reset, ended) = (pair(), pair(), pair());
            let local = |s: &TcpStream| s.local_addr().unwrap().port();
            let (reset_port, ended_port) = (local(&reset.0), local(&ended.0));
            let wants = Wants::default().without(Reads::OWNERS);
            let sample = NetlinkSource::new(String::new()).unwrap().sample(&wants).unwrap();
            set_socket_linger(&reset.0, Some(Duration::ZERO)).unwrap();
            drop(reset.0);
            drop(reset.1);
            // Ends in TIME_WAIT, with the cookie and without a process.
            drop(ended.0);
            drop(ended.1);
            let mut socket = NetlinkSocket::open(Some(SOCK_DIAG)).unwrap();
            let rows = sample.sockets.iter().filter(|s| [s.local.port, s.remote.port].contains(&port));
            let mut seen = [0; 2];
            for s in rows {
                let ends = [s.local.port, s.remote.port];
                let closed = ends.contains(&reset_port) || ends.contains(&ended_port);
                // On a busy machine the last segments of a connection take their time.
                let start = std::time::Instant::now();
                while closed && may_be_open(&mut socket, s) && start.elapsed() < Duration::from_secs(30) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                assert_eq!(may_be_open(&mut socket, s), !closed, "{s:?}");
                seen[usize::from(closed)] += 1;
                if !closed && s.state == State::Established {
                    // Another socket with these endpoints.
                    let mut other = *s;
                    other.id.cookie += 1 << 40;
                    assert!(!may_be_open(&mut socket, &other), "{s:?}");
                }
            }
            assert_eq!(seen, [3, 4], "listener, {} and its peer", local(&open.0));
        }
    }
}
