//! Cost of the kernel alone: the same dumps received and discarded, and the same links read.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, RawDir, open, openat, readlinkat_raw};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use std::mem::MaybeUninit;

/// Dumps all TCP and UDP sockets of this namespace with these attributes (bits of `idiag_ext`); returns the number of messages.
pub(crate) fn dump(attrs: u8) -> usize {
    let s =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))
            .unwrap();
    let mut buf = vec![0u8; 1 << 15];
    let mut n = 0;
    for (family, proto) in [(2u8, 6u8), (10, 6), (2, 17), (10, 17)] {
        n += dump_table(&s, family, proto, attrs, &mut buf);
    }
    n
}

fn dump_table(s: &OwnedFd, family: u8, proto: u8, attrs: u8, buf: &mut [u8]) -> usize {
    // struct nlmsghdr, struct inet_diag_req_v2: a dump of every state.
    let mut request = vec![0u8; 72];
    request[0..4].copy_from_slice(&72u32.to_ne_bytes());
    request[4..6].copy_from_slice(&20u16.to_ne_bytes());
    request[6..8].copy_from_slice(&0x301u16.to_ne_bytes());
    (request[16], request[17], request[18]) = (family, proto, attrs);
    request[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    send(s, &request, SendFlags::empty()).unwrap();
    let mut n = 0;
    loop {
        let (got, _) = recv(s, &mut *buf, RecvFlags::empty()).unwrap();
        let mut at = 0;
        while at + 16 <= got {
            let len = u32::from_ne_bytes(buf[at..at + 4].try_into().unwrap()) as usize;
            // NLMSG_ERROR or NLMSG_DONE.
            if matches!(u16::from_ne_bytes(buf[at + 4..at + 6].try_into().unwrap()), 2 | 3) {
                return n;
            }
            n += 1;
            at += (len + 3) & !3;
        }
    }
}

/// Reads the links of all descriptors of all visible processes; returns their number.
pub(crate) fn scan_fds() -> usize {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut n = 0;
    let mut buf = vec![MaybeUninit::uninit(); 1 << 15];
    let mut link = [MaybeUninit::uninit(); 64];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) {
            continue;
        }
        let Ok(dir) = open(entry.path(), flags, Mode::empty()) else { continue };
        let Ok(fds) = openat(&dir, "fd", flags, Mode::empty()) else { continue };
        let mut all = RawDir::new(&fds, &mut buf);
        while let Some(Ok(e)) = all.next() {
            n += usize::from(readlinkat_raw(&fds, e.file_name(), &mut link).is_ok());
        }
    }
    n
}
