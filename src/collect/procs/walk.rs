//! The walk over the descriptors of one process: what each refers to, and which are sockets.

use crate::model::{FdKind, FdKinds};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Buffers that every walk uses again.
pub(super) struct Buffers {
    entries: Vec<MaybeUninit<u8>>,
    link: [MaybeUninit<u8>; 256],
}

impl Default for Buffers {
    fn default() -> Self {
        Self { entries: vec![MaybeUninit::uninit(); 32 * 1024], link: [MaybeUninit::uninit(); 256] }
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Inode and descriptor of each socket, sorted.
    pub(super) sockets: Vec<(u64, u32)>,
    /// All descriptors by kind.
    pub(super) kinds: FdKinds,
}

/// Walks `fd` below the directory of a process.
pub(super) fn walk(process: impl AsFd, bufs: &mut Buffers, found: &mut Found) -> Result<(), Errno> {
    found.sockets.clear();
    found.kinds = FdKinds::default();
    let dir: OwnedFd =
        openat(process, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut entries = RawDir::new(&dir, &mut bufs.entries);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(fd) = number(name.to_bytes()) else { continue };
        match link(&dir, name, &mut bufs.link) {
            Ok(target) => {
                let kind = FdKind::from_link(target);
                found.kinds.add(kind);
                if let (FdKind::Socket, Some(inode)) = (kind, socket_inode(target)) {
                    found.sockets.push((inode, fd));
                }
            }
            // Closed since it was listed.
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
    }
    found.sockets.sort_unstable();
    Ok(())
}

/// Whether descriptor `fd` of the process refers to the socket `inode` right now.
pub(super) fn still_holds(process: impl AsFd, fd: u32, inode: u64, bufs: &mut Buffers) -> bool {
    let Ok(name) = std::ffi::CString::new(format!("fd/{fd}")) else { return false };
    link(process, &name, &mut bufs.link).is_ok_and(|t| socket_inode(t) == Some(inode))
}

/// What descriptor `fd` of the process refers to, and the inode where that is a socket.
pub(super) fn target(
    process: impl AsFd,
    fd: u32,
    bufs: &mut Buffers,
) -> Result<(FdKind, Option<u64>), Errno> {
    let name = std::ffi::CString::new(format!("fd/{fd}")).map_err(|_| Errno::INVAL)?;
    let target = link(process, &name, &mut bufs.link)?;
    let kind = FdKind::from_link(target);
    Ok((kind, if kind == FdKind::Socket { socket_inode(target) } else { None }))
}

fn link<'b>(dir: impl AsFd, name: &CStr, buf: &'b mut [MaybeUninit<u8>; 256]) -> Result<&'b [u8], Errno> {
    let (target, _) = readlinkat_raw(dir, name, &mut buf[..])?;
    Ok(target)
}

/// The inode in `socket:[INODE]`.
pub(super) fn socket_inode(target: &[u8]) -> Option<u64> {
    wide(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

fn wide(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, c| {
        if !c.is_ascii_digit() {
            return None;
        }
        n.checked_mul(10)?.checked_add(u64::from(c - b'0'))
    })
}

/// A directory entry that is a number: a descriptor, a process.
pub(super) fn number(name: &[u8]) -> Option<u32> {
    wide(name).and_then(|n| n.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(socket_inode(b"socket:[18446744073709551615]"), Some(u64::MAX));
        for bad in
            [&b"socket:[]"[..], b"socket:[1", b"socket:[x]", b"pipe:[1]", b"socket:[99999999999999999999]"]
        {
            assert_eq!(socket_inode(bad), None);
        }
        assert_eq!(number(b"812"), Some(812));
        assert_eq!(number(b"self"), None);
        assert_eq!(number(b".."), None);
        assert_eq!(number(b"4294967296"), None);
    }
}
