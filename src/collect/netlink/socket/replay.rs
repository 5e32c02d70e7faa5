//! A netlink socket that answers with recorded messages: for tests and fuzzing.

use super::{BUFFER_LEN, Header, NetlinkSocket, wire};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, send, shutdown, socketpair};
use std::io;
use zerocopy::FromBytes;

/// Bytes of one datagram, as the kernel sends them at most.
const DATAGRAM: usize = 32 * 1024;

impl NetlinkSocket {
    /// A socket whose dumps receive these messages: the first one those up to the first `NLMSG_DONE` or error, and so on. The
    /// sequence numbers of the messages are replaced by those of the dumps. Its peer takes the requests, and is kept open for
    /// that.
    pub(crate) fn replay(messages: &[u8]) -> io::Result<(Self, OwnedFd)> {
        let (socket, kernel) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut rest = messages;
        let (mut seq, mut datagram) = (1u32, Vec::new());
        let full = |datagram: &mut Vec<u8>| {
            // What the socket has no room for is lost, as with the kernel.
            let _ = send(&kernel, datagram, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            datagram.clear();
        };
        while !rest.is_empty() {
            let head = Header::read_from_prefix(rest).ok().map(|(head, _)| head);
            let len = head.map_or(rest.len(), |h| (h.len as usize).next_multiple_of(4).clamp(16, rest.len()));
            let (message, after) = rest.split_at(len);
            if datagram.len() + len > DATAGRAM {
                full(&mut datagram);
            }
            let start = datagram.len();
            datagram.extend_from_slice(&message[..len.min(2 * DATAGRAM)]);
            if let Some(head) = head {
                datagram[start + 8..start + 12].copy_from_slice(&seq.to_ne_bytes());
                if matches!(head.kind, wire::DONE | wire::ERROR) {
                    full(&mut datagram);
                    seq += 1;
                }
            }
            rest = after;
        }
        full(&mut datagram);
        shutdown(&kernel, Shutdown::Write)?;
        Ok((Self { socket, buffer: vec![0; BUFFER_LEN], seq: 0, protocol: None }, kernel))
    }
}
