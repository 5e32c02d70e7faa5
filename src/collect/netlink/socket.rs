//! A netlink socket: requests, and dumps read message by message.

#[cfg(any(test, fuzzing))]
mod replay;

use super::wire::{self, Header, Request};
use crate::privilege::{NETWORK, raise};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::io;
use std::time::Duration;
use zerocopy::FromBytes;

/// Receive buffer: the kernel sends at most 32 KiB at a time (`netlink_dump`).
const BUFFER_LEN: usize = 64 * 1024;

/// Receive timeout.
const RECV_TIMEOUT: Duration = Duration::from_secs(5);

/// Outcome of a dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DumpStats {
    /// The table changed during the dump (`NLM_F_DUMP_INTR`): rows may be duplicated or missing.
    pub(crate) interrupted: bool,
    /// Messages that could not be decoded.
    pub(crate) malformed: u32,
    /// Messages with a payload.
    pub(crate) messages: u32,
    /// The dump stopped at the requested number of messages.
    pub(crate) truncated: bool,
}

/// Error of an incomplete dump.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DumpError {
    /// System call or kernel error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Messages were lost (`ENOBUFS`, or a datagram longer than the buffer).
    #[error("messages were lost")]
    Lost,
}

impl DumpError {
    /// True if the kernel has no such table: module not available, protocol not built in.
    pub(crate) fn is_unsupported(&self) -> bool {
        let unsupported =
            [Errno::NOENT, Errno::PROTONOSUPPORT, Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::NOPROTOOPT];
        matches!(self, Self::Io(e) if Errno::from_io_error(e).is_some_and(|e| unsupported.contains(&e)))
    }

    /// True if the caller lacks the permission.
    pub(crate) fn is_not_permitted(&self) -> bool {
        matches!(self, Self::Io(e) if e.kind() == io::ErrorKind::PermissionDenied)
    }

    /// True if the kernel rejected the form of the request.
    pub(crate) fn is_rejected(&self) -> bool {
        let rejections = [Errno::INVAL, Errno::PERM, Errno::OPNOTSUPP];
        matches!(self, Self::Io(e) if Errno::from_io_error(e).is_some_and(|e| rejections.contains(&e)))
    }
}

/// A message that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A netlink socket with its receive buffer.
pub(crate) struct NetlinkSocket {
    socket: OwnedFd,
    buffer: Vec<u8>,
    seq: u32,
    protocol: Option<Protocol>,
}

impl NetlinkSocket {
    /// Opens a socket in the network namespace of the calling thread; `None` is `NETLINK_ROUTE`.
    pub(crate) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        // The kernel asks for the capability of the opener and of the sender (`netlink_ns_capable` in net/netlink).
        let _raised = raise(NETWORK);
        let socket =
            net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(RECV_TIMEOUT))?;
        Ok(Self { socket, buffer: vec![0; BUFFER_LEN], seq: 0, protocol })
    }

    /// Sends a request that changes something and waits for its acknowledgement.
    pub(crate) fn request(&mut self, request: &Request) -> io::Result<()> {
        self.exchange(request, |_| ())
    }

    /// Sends a request that is acknowledged and calls `answer` with the payload of every message before that.
    fn exchange(&mut self, request: &Request, mut answer: impl FnMut(&[u8])) -> io::Result<()> {
        let _raised = raise(NETWORK);
        self.seq = self.seq.wrapping_add(1);
        net::send(&self.socket, &request.with_seq(self.seq), SendFlags::empty())?;
        loop {
            let n = match net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((_, n)) => n.min(self.buffer.len()),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let Ok((head, rest)) = Header::read_from_prefix(&self.buffer[..n]) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            if head.seq != self.seq {
                continue;
            }
            if head.kind == wire::ERROR {
                let code = rest.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                return if code == 0 {
                    Ok(())
                } else {
                    Err(io::Error::from_raw_os_error(code.saturating_neg()))
                };
            }
            answer(rest);
        }
    }

    /// Sends a request for one object and returns the payload of the answer, or the error of the kernel.
    pub(crate) fn get(&mut self, request: &Request) -> io::Result<Option<Vec<u8>>> {
        let mut answer = None;
        self.exchange(request, |payload| answer = Some(payload.to_vec()))?;
        Ok(answer)
    }

    /// Sends a dump request and calls `each` with the payload of every message.
    pub(crate) fn dump(
        &mut self,
        request: &Request,
        each: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<DumpStats, DumpError> {
        self.dump_some(request, None, each)
    }

    /// Like [`Self::dump`], but stops after about `max` messages.
    pub(crate) fn dump_some(
        &mut self,
        request: &Request,
        max: Option<u32>,
        each: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<DumpStats, DumpError> {
        self.dump_while(request, |messages| max.is_none_or(|max| messages < max), each)
    }

    /// Like [`Self::dump`], but stops when `keep_reading` is false for the number of messages so far.
    pub(crate) fn dump_while(
        &mut self,
        request: &Request,
        keep_reading: impl Fn(u32) -> bool,
        mut each: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<DumpStats, DumpError> {
        // Each part of a dump is made when it is received.
        let _raised = raise(NETWORK);
        self.seq = self.seq.wrapping_add(1);
        net::send(&self.socket, &request.with_seq(self.seq), SendFlags::empty()).map_err(io::Error::from)?;
        let mut stats = DumpStats::default();
        loop {
            // With MSG_TRUNC recv returns the full length of a datagram that did not fit.
            let n = match net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((_, n)) => n,
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => return Err(DumpError::Lost),
                Err(e) => return Err(io::Error::from(e).into()),
            };
            // An empty datagram is the end of a recording; the kernel sends none.
            if n > self.buffer.len() || n == 0 {
                return Err(DumpError::Lost);
            }
            if read_messages(&self.buffer[..n], self.seq, &mut stats, &mut each)? {
                return Ok(stats);
            }
            if !keep_reading(stats.messages) {
                // A dump can be cancelled only by closing its socket.
                *self = Self::open(self.protocol)?;
                stats.truncated = true;
                return Ok(stats);
            }
        }
    }
}

/// Reads the messages of one datagram; returns true if it has the last one of the dump.
pub(crate) fn read_messages(
    mut rest: &[u8],
    seq: u32,
    stats: &mut DumpStats,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<bool, DumpError> {
    while !rest.is_empty() {
        let Ok((head, _)) = Header::read_from_prefix(rest) else {
            stats.malformed += 1;
            return Ok(false);
        };
        let len = head.len as usize;
        let Some(payload) = rest.get(size_of::<Header>()..len) else {
            // The start of the next message is unknown.
            stats.malformed += 1;
            return Ok(false);
        };
        rest = &rest[len.next_multiple_of(4).min(rest.len())..];
        if head.seq != seq {
            // Belongs to an earlier dump that was cancelled.
            continue;
        }
        stats.interrupted |= head.flags & wire::DUMP_INTR != 0;
        match head.kind {
            wire::NOOP => {}
            wire::DONE => {
                let code = payload.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                return if code < 0 {
                    Err(io::Error::from_raw_os_error(code.saturating_neg()).into())
                } else {
                    Ok(true)
                };
            }
            wire::ERROR => {
                let code = payload.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                // Zero is an unrequested acknowledgement.
                if code != 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()).into());
                }
            }
            wire::OVERRUN => return Err(DumpError::Lost),
            _ => {
                stats.messages += 1;
                if each(payload).is_err() {
                    stats.malformed += 1;
                }
            }
        }
    }
    Ok(false)
}
