//! getsockopt(2) of `ip_tables`: a request and reply of any length in one buffer.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketType};
use std::io;

/// `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES`, the same for both families (`linux/netfilter_ipv4/ip_tables.h`).
pub(super) const IPT_SO_GET_INFO: i32 = 64;
pub(super) const IPT_SO_GET_ENTRIES: i32 = 65;

/// A socket for the tables of the namespace of the calling thread; of `ip6_tables` with `v6`.
pub(super) fn open(v6: bool) -> io::Result<OwnedFd> {
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    Ok(rustix::net::socket(family, SocketType::DGRAM, None)?)
}

/// Sends the request in `buf` (it starts with the name of the table) and overwrites it with the reply; its length.
#[expect(unsafe_code, reason = "no crate has getsockopt of any length without it")]
pub(super) fn get(socket: &OwnedFd, v6: bool, option: i32, buf: &mut [u8]) -> io::Result<usize> {
    let level = if v6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
    let mut len = libc::socklen_t::try_from(buf.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `len` bytes, the length of `buf`, and the new length to `len`; both live
    // until it returns. Any bytes are a valid `[u8]`.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, buf.as_mut_ptr().cast(), &raw mut len) };
    if result == 0 { Ok(buf.len().min(len as usize)) } else { Err(io::Error::last_os_error()) }
}
