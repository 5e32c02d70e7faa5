//! The one question that has its answer in a buffer of the asker's: getsockopt(2) of `ip_tables`.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketType};
use std::io;

/// `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES`, the same for both families (`linux/netfilter_ipv4/ip_tables.h`).
pub(crate) const GET_INFO: i32 = 64;
pub(crate) const GET_ENTRIES: i32 = 65;

/// A socket that can be asked for the tables of the namespace of the calling thread; of IPv6 with `v6`.
pub(crate) fn open(v6: bool) -> io::Result<OwnedFd> {
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    Ok(rustix::net::socket(family, SocketType::DGRAM, None)?)
}

/// Asks with what is in `buf` (the table's name at its start) and has the answer in it; its length.
#[expect(unsafe_code, reason = "no crate asks for a socket option of any length without")]
pub(crate) fn ask(socket: &OwnedFd, v6: bool, option: i32, buf: &mut [u8]) -> io::Result<usize> {
    let level = if v6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
    let mut len = libc::socklen_t::try_from(buf.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `len` bytes, which is as long as `buf` is, and the new length to `len`; both live
    // until it returns. Any bytes are a valid `[u8]`.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, buf.as_mut_ptr().cast(), &raw mut len) };
    if result == 0 { Ok(buf.len().min(len as usize)) } else { Err(io::Error::last_os_error()) }
}
