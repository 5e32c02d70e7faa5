//! The walk over the descriptors of one process: what each refers to, and which are sockets.

use crate::model::{FdKind, FdKinds, FdPlace, text};
use rustc_hash::FxHashMap;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Buffers that every walk uses again.
pub(crate) struct Buffers {
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
pub(crate) struct Found {
    /// Inode and descriptor of each socket, sorted.
    pub(crate) sockets: Vec<(u64, u32)>,
    /// All descriptors by kind.
    pub(crate) kinds: FdKinds,
    /// The highest descriptor.
    pub(crate) highest: Option<u32>,
}

impl Found {
    /// Whether this socket is among them.
    pub(crate) fn holds(&self, inode: u64) -> bool {
        let at = self.sockets.partition_point(|s| s.0 < inode);
        self.sockets.get(at).is_some_and(|s| s.0 == inode)
    }
}

/// Walks `fd` below the directory of a process.
pub(crate) fn walk(process: impl AsFd, bufs: &mut Buffers, found: &mut Found) -> Result<(), Errno> {
    found.sockets.clear();
    found.kinds = FdKinds::default();
    found.highest = None;
    each(process, bufs, |fd, target| {
        let kind = FdKind::from_link(target);
        found.kinds.add(kind);
        found.highest = found.highest.max(Some(fd));
        if let (FdKind::Socket, Some(inode)) = (kind, socket_inode(target)) {
            found.sockets.push((inode, fd));
        }
    })?;
    found.sockets.sort_unstable();
    Ok(())
}

/// Calls with every descriptor of a process and what its link says.
fn each(process: impl AsFd, bufs: &mut Buffers, mut see: impl FnMut(u32, &[u8])) -> Result<(), Errno> {
    let dir: OwnedFd =
        openat(process, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut entries = RawDir::new(&dir, &mut bufs.entries);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(fd) = number(name.to_bytes()) else { continue };
        match link(&dir, name, &mut bufs.link) {
            Ok(target) => see(fd, target),
            // Closed since it was listed.
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Descriptors that must lead to one place before it is worth a word.
const SEVERAL: u32 = 3;
/// Places that are named, and descriptors of each.
const PLACES: usize = 5;
const NAMED: usize = 8;

/// Where many descriptors lead to the same file, else to files of the same directory; the most first.
pub(crate) fn places(process: impl AsFd, bufs: &mut Buffers) -> Result<Vec<FdPlace>, Errno> {
    let mut files: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>> = FxHashMap::default();
    each(process, bufs, |fd, target| {
        let kind = FdKind::from_link(target);
        // Where a socket leads its far end says; a pipe or an eventfd leads nowhere.
        if matches!(kind, FdKind::File | FdKind::Memfd) {
            files.entry((kind, target.into())).or_default().push(fd);
        }
    })?;
    Ok(most(files))
}

fn most(files: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>>) -> Vec<FdPlace> {
    let mut dirs: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>> = FxHashMap::default();
    let mut all = Vec::new();
    let several = |fds: &Vec<u32>| fds.len() >= SEVERAL as usize;
    for ((kind, path), fds) in files {
        if several(&fds) {
            all.push((kind, path, fds));
        } else if let Some(end) = path.iter().rposition(|c| *c == b'/') {
            dirs.entry((kind, path[..=end].into())).or_default().extend(fds);
        }
    }
    all.extend(dirs.into_iter().filter(|(_, fds)| several(fds)).map(|((kind, path), fds)| (kind, path, fds)));
    all.sort_by(|a, b| b.2.len().cmp(&a.2.len()).then_with(|| a.1.cmp(&b.1)));
    let place = |(kind, path, mut fds): (FdKind, Box<[u8]>, Vec<u32>)| {
        fds.sort_unstable();
        let count = fds.len() as u32;
        fds.truncate(NAMED);
        FdPlace { kind, place: text::from_bytes(&path).into(), count, fds }
    };
    all.into_iter().take(PLACES).map(place).collect()
}

/// Whether descriptor `fd` of the process refers to the socket `inode` right now.
pub(crate) fn still_holds(process: impl AsFd, fd: u32, inode: u64, bufs: &mut Buffers) -> bool {
    let Ok(name) = std::ffi::CString::new(format!("fd/{fd}")) else { return false };
    link(process, &name, &mut bufs.link).is_ok_and(|t| socket_inode(t) == Some(inode))
}

/// What descriptor `fd` of the process refers to, and the inode where that is a socket.
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
pub(crate) fn number(name: &[u8]) -> Option<u32> {
    wide(name).and_then(|n| n.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_one_file_or_directory_are_a_place() {
        let mut files: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>> = FxHashMap::default();
        let mut put = |path: &str, fds: &[u32]| {
            files.insert((FdKind::File, path.as_bytes().into()), fds.to_vec());
        };
        put("/dev/null", &[9, 1, 4, 7]);
        put("/tmp/a", &[10]);
        put("/tmp/b", &[12, 11]);
        put("/etc/hosts", &[3]);
        let got: Vec<_> = most(files).into_iter().map(|p| (p.place.to_string(), p.count, p.fds)).collect();
        assert_eq!(
            got,
            [("/dev/null".to_owned(), 4, vec![1, 4, 7, 9]), ("/tmp/".to_owned(), 3, vec![10, 11, 12])]
        );
    }

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
