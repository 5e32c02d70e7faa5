//! Asking for a dump and walking through the answer.

use super::wire::{self, Header, Request};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::io;
use std::time::Duration;
use zerocopy::FromBytes;

/// More than the 32 KiB that the kernel fills at the most in one receive (`netlink_dump`).
const BUFFER: usize = 64 * 1024;

/// How long the kernel may be silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a dump that came to its end went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// The table changed meanwhile: rows may be doubled or missing.
    pub(crate) interrupted: bool,
    /// Messages that could not be understood.
    pub(crate) malformed: u32,
    /// Messages with something in them.
    pub(crate) messages: u32,
    /// It was left before its end: that many were enough.
    pub(crate) cut: bool,
}

/// Why a dump did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DumpError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Messages were lost on the way (`ENOBUFS`, a truncated receive).
    #[error("messages were lost")]
    Lost,
}

impl DumpError {
    /// Whether the kernel has no such table: module not there, protocol not built in.
    pub(crate) fn is_unsupported(&self) -> bool {
        let none =
            [Errno::NOENT, Errno::PROTONOSUPPORT, Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::NOPROTOOPT];
        matches!(self, Self::Io(e) if Errno::from_io_error(e).is_some_and(|e| none.contains(&e)))
    }
}

impl DumpError {
    /// Whether the caller may not ask this.
    pub(crate) fn is_not_permitted(&self) -> bool {
        matches!(self, Self::Io(e) if e.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether the kernel did not like how it was asked.
    pub(crate) fn is_refused(&self) -> bool {
        let refusals = [Errno::INVAL, Errno::PERM, Errno::OPNOTSUPP];
        matches!(self, Self::Io(e) if Errno::from_io_error(e).is_some_and(|e| refusals.contains(&e)))
    }
}

/// A message that makes no sense.
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
    /// Opens one in the network namespace of the calling thread; `None` is `NETLINK_ROUTE`.
    pub(crate) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket =
            net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; BUFFER], seq: 0, protocol })
    }

    /// Gives an order and waits for the kernel's answer to it.
    pub(crate) fn order(&mut self, order: &Request) -> io::Result<()> {
        self.seq = self.seq.wrapping_add(1);
        net::send(&self.socket, &order.numbered(self.seq), SendFlags::empty())?;
        loop {
            let n = match net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((_, n)) => n.min(self.buffer.len()),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let Ok((head, rest)) = Header::read_from_prefix(&self.buffer[..n]) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            if head.seq == self.seq && head.kind == wire::ERROR {
                let code = rest.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                return if code == 0 {
                    Ok(())
                } else {
                    Err(io::Error::from_raw_os_error(code.saturating_neg()))
                };
            }
        }
    }

    /// Asks, and calls with the payload of every message of the answer.
    pub(crate) fn dump(
        &mut self,
        ask: &Request,
        each: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<Done, DumpError> {
        self.dump_some(ask, None, each)
    }

    /// The same, until about `most` messages have come.
    pub(crate) fn dump_some(
        &mut self,
        ask: &Request,
        most: Option<u32>,
        mut each: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<Done, DumpError> {
        self.seq = self.seq.wrapping_add(1);
        net::send(&self.socket, &ask.numbered(self.seq), SendFlags::empty()).map_err(io::Error::from)?;
        let mut done = Done::default();
        loop {
            // MSG_TRUNC makes the kernel tell the whole length of a datagram that did not fit.
            let n = match net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((_, n)) => n,
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => return Err(DumpError::Lost),
                Err(e) => return Err(io::Error::from(e).into()),
            };
            if n > self.buffer.len() {
                return Err(DumpError::Lost);
            }
            if walk(&self.buffer[..n], self.seq, &mut done, &mut each)? {
                return Ok(done);
            }
            if most.is_some_and(|most| done.messages >= most) {
                // A dump cannot be called off but with its socket.
                *self = Self::open(self.protocol)?;
                done.cut = true;
                return Ok(done);
            }
        }
    }
}

/// Walks through the messages of one receive; whether it held the last one of the dump.
pub(crate) fn walk(
    mut rest: &[u8],
    seq: u32,
    done: &mut Done,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<bool, DumpError> {
    while !rest.is_empty() {
        let Ok((head, _)) = Header::read_from_prefix(rest) else {
            done.malformed += 1;
            return Ok(false);
        };
        let len = head.len as usize;
        let Some(payload) = rest.get(size_of::<Header>()..len) else {
            // Where the next message would begin is not known either.
            done.malformed += 1;
            return Ok(false);
        };
        rest = &rest[len.next_multiple_of(4).min(rest.len())..];
        if head.seq != seq {
            // The tail of a dump that was given up.
            continue;
        }
        done.interrupted |= head.flags & wire::DUMP_INTR != 0;
        match head.kind {
            wire::NOOP => {}
            wire::DONE => {
                let code = payload.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                return if code < 0 { Err(io::Error::from_raw_os_error(-code).into()) } else { Ok(true) };
            }
            wire::ERROR => {
                let code = payload.get(..4).map_or(0, |b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
                // Zero acknowledges; nobody asked for that.
                if code != 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()).into());
                }
            }
            wire::OVERRUN => return Err(DumpError::Lost),
            _ => {
                done.messages += 1;
                if each(payload).is_err() {
                    done.malformed += 1;
                }
            }
        }
    }
    Ok(false)
}
