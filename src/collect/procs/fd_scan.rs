//! Scan of `/proc/PID/fd` of one process: what each descriptor refers to, and which are sockets.

use crate::model::{FdKind, FdKinds};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Buffers shared by all scans of a thread.
pub(crate) struct Buffers {
    entries: Vec<MaybeUninit<u8>>,
    link: [MaybeUninit<u8>; 256],
}

impl Default for Buffers {
    fn default() -> Self {
        Self { entries: vec![MaybeUninit::uninit(); 32 * 1024], link: [MaybeUninit::uninit(); 256] }
    }
}

/// Descriptors of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FdSet {
    /// Inode and descriptor number of each socket, sorted.
    pub(crate) sockets: Vec<(u64, u32)>,
    /// Number of descriptors by kind.
    pub(crate) kinds: FdKinds,
    /// The highest descriptor number.
    pub(crate) highest: Option<u32>,
}

impl FdSet {
    /// Returns true if one of them refers to this socket.
    pub(crate) fn contains(&self, inode: u64) -> bool {
        let at = self.sockets.partition_point(|s| s.0 < inode);
        self.sockets.get(at).is_some_and(|s| s.0 == inode)
    }
}

/// Reads all descriptors of the process with this directory.
pub(crate) fn scan(process: impl AsFd, bufs: &mut Buffers) -> Result<FdSet, Errno> {
    let mut found = FdSet::default();
    for_each_fd(process, bufs, |fd, target| {
        let kind = FdKind::from_link(target);
        found.kinds.add(kind);
        found.highest = found.highest.max(Some(fd));
        if let (FdKind::Socket, Some(inode)) = (kind, socket_inode(target)) {
            found.sockets.push((inode, fd));
        }
    })?;
    found.sockets.sort_unstable();
    Ok(found)
}

/// Calls `visit` with every descriptor of a process and the target of its link.
pub(crate) fn for_each_fd(
    process: impl AsFd,
    bufs: &mut Buffers,
    mut visit: impl FnMut(u32, &[u8]),
) -> Result<(), Errno> {
    let dir: OwnedFd =
        openat(process, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut entries = RawDir::new(&dir, &mut bufs.entries);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(fd) = number(name.to_bytes()) else { continue };
        match link(&dir, name, &mut bufs.link) {
            Ok(target) => visit(fd, target),
            // Closed after it was listed.
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Returns true if descriptor `fd` of the process currently refers to the socket `inode`.
pub(crate) fn refers_to(process: impl AsFd, fd: u32, inode: u64, bufs: &mut Buffers) -> bool {
    let Ok(name) = std::ffi::CString::new(format!("fd/{fd}")) else { return false };
    link(process, &name, &mut bufs.link).is_ok_and(|t| socket_inode(t) == Some(inode))
}

/// Kind of what descriptor `fd` of the process refers to, and the inode if that is a socket.
pub(crate) fn target(
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
pub(crate) fn socket_inode(target: &[u8]) -> Option<u64> {
    decimal(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

fn decimal(digits: &[u8]) -> Option<u64> {
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

/// Number a directory entry is named by: a descriptor, a pid.
pub(crate) fn number(name: &[u8]) -> Option<u32> {
    decimal(name).and_then(|n| n.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_target_and_entry_name_are_parsed_or_refused() {
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
