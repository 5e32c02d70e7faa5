//! The packet socket of one network namespace (`packet(7)`): cooked, with the filter attached before it is bound, so that nothing
//! else is ever queued.

use super::filter::{Instruction, PROGRAM};
use crate::privilege::{PACKETS, raise};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::io;
use std::mem::size_of;

/// Receive buffer asked for, bytes; without `CAP_NET_ADMIN` the system grants at most `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 8 << 20;
/// `ETH_P_ALL`, `PACKET_OUTGOING`, `PACKET_STATISTICS` (`linux/if_ether.h`, `linux/if_packet.h`).
const ETH_P_ALL: u16 = 3;
const PACKET_OUTGOING: u8 = 4;
const PACKET_STATISTICS: i32 = 6;
/// `SOL_PACKET`.
const SOL_PACKET: i32 = 263;

/// Metadata that the kernel reports with a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    /// Bytes in the buffer.
    pub(super) len: usize,
    /// `ETH_P_*` of its network layer.
    pub(super) ether_type: u16,
    pub(super) iface: u32,
    pub(super) outgoing: bool,
    /// Time at which the kernel saw it (`SO_TIMESTAMPNS`), nanoseconds since 1970; `None` without a stamp.
    pub(super) unix_ns: Option<u64>,
}

/// Socket that gets the packets of port 53 of one network namespace.
pub(super) struct Capture {
    socket: OwnedFd,
}

/// Sets an option of a socket.
#[expect(unsafe_code, reason = "no crate attaches a socket filter without it")]
fn set<T: Copy>(socket: &OwnedFd, option: i32, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let value: *const T = value;
    // SAFETY: the kernel reads `len` bytes, the size of `value`, which lives until it returns; a `sock_fprog` in it points to
    // a static program of the length it names.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value.cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// True if the packet socket, of any process, has the filter of a capture.
#[expect(unsafe_code, reason = "no crate reads a socket filter without it")]
pub(crate) fn is_capture(socket: &OwnedFd) -> bool {
    let mut program = [Instruction { code: 0, then: 0, or: 0, value: 0 }; PROGRAM.len()];
    // `SO_GET_FILTER` counts in instructions (`sk_get_filter` in net/core/filter.c), and refuses room for fewer than there are.
    let mut len = program.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` instructions to `program`, which lives until it returns and has room for them.
    let result = unsafe {
        let (to, len) = (program.as_mut_ptr().cast(), &raw mut len);
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, to, len)
    };
    result == 0 && program == PROGRAM
}

/// Binds the socket to all protocols and interfaces.
#[expect(unsafe_code, reason = "no crate has packet addresses without it")]
fn bind(socket: &OwnedFd) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ETH_P_ALL.to_be(),
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `len` bytes, the size of `address`, which lives until it returns.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Capture {
    /// Opens one in the network namespace of the calling thread. Without a protocol it gets nothing until it is bound.
    pub(super) fn open() -> io::Result<Self> {
        let _raised = raise(PACKETS);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        let filter: *const Instruction = PROGRAM.as_ptr();
        let program = libc::sock_fprog { len: PROGRAM.len() as u16, filter: filter.cast_mut().cast() };
        set(&socket, libc::SO_ATTACH_FILTER, &program)?;
        set(&socket, libc::SO_TIMESTAMPNS, &1_i32)?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        }
        bind(&socket)?;
        Ok(Self { socket })
    }

    /// Readable when a packet came.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes the next packet; `None` if there is none.
    #[expect(unsafe_code, reason = "no crate has packet addresses and time stamps without it")]
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<Packet> {
        /// Room for control messages, aligned as `struct cmsghdr`.
        #[repr(C, align(8))]
        struct Control([u8; 128]);
        loop {
            let mut control = Control([0; 128]);
            let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            // SAFETY: zero is a valid value of every field of both structures.
            let (mut address, mut header) =
                unsafe { (std::mem::zeroed::<libc::sockaddr_ll>(), std::mem::zeroed::<libc::msghdr>()) };
            header.msg_name = (&raw mut address).cast();
            header.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            header.msg_iov = &raw mut part;
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut control).cast();
            header.msg_controllen = size_of::<Control>() as _;
            // SAFETY: all that `header` points to lives until the call returns, with the lengths it names.
            let n = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
            let Ok(len) = usize::try_from(n) else {
                // An error of an interface that went down (`ENETDOWN`) is reported once, packets follow it.
                match io::Error::last_os_error().raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::INTR | Errno::NETDOWN) => continue,
                    _ => return None,
                }
            };
            // SAFETY: the kernel has filled `header` and its control messages; the macros stay within `msg_controllen`.
            let unix_ns = unsafe {
                let mut message = libc::CMSG_FIRSTHDR(&raw const header);
                let mut found = None;
                while !message.is_null() {
                    let m = &*message;
                    if (m.cmsg_level, m.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
                        let time: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                        found = nanoseconds(&time);
                    }
                    message = libc::CMSG_NXTHDR(&raw const header, message);
                }
                found
            };
            return Some(Packet {
                len: len.min(buffer.len()),
                ether_type: u16::from_be(address.sll_protocol),
                iface: u32::try_from(address.sll_ifindex).unwrap_or(0),
                outgoing: address.sll_pkttype == PACKET_OUTGOING,
                unix_ns,
            });
        }
    }

    /// Packets dropped since the last call, because the receive buffer was full.
    #[expect(unsafe_code, reason = "no crate has the statistics of a packet socket without it")]
    pub(super) fn take_drops(&self) -> u64 {
        /// `struct tpacket_stats`: packets with those dropped, and those dropped. Reading sets both to 0.
        #[repr(C)]
        struct Stats([u32; 2]);
        let mut stats = Stats([0; 2]);
        let mut len = size_of::<Stats>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes, the size of `stats`; both live until it returns.
        let result = unsafe {
            let stats = (&raw mut stats).cast();
            libc::getsockopt(self.socket.as_raw_fd(), SOL_PACKET, PACKET_STATISTICS, stats, &raw mut len)
        };
        if result == 0 { u64::from(stats.0[1]) } else { 0 }
    }
}

/// A time as nanoseconds.
fn nanoseconds(time: &libc::timespec) -> Option<u64> {
    // Its fields have other types elsewhere.
    #[allow(clippy::useless_conversion)]
    let (secs, ns) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
    u64::try_from(secs).ok()?.checked_mul(1_000_000_000)?.checked_add(u64::try_from(ns).ok()?)
}
