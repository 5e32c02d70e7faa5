//! Scan of the descriptors of one process: what each refers to, and which are sockets.

use super::info;
use crate::model::{FdKind, FdKinds, Owner};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Buffers shared by all scans of a thread.
pub(crate) struct Buffers {
    entries: Vec<MaybeUninit<u8>>,
    link: [MaybeUninit<u8>; 256],
    text: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            entries: vec![MaybeUninit::uninit(); 32 * 1024],
            link: [MaybeUninit::uninit(); 256],
            text: Vec::new(),
        }
    }
}

/// Descriptors of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FdSet {
    /// Inode and descriptor number of each socket, sorted; [`Owner::NO_FD`] for one that an `io_uring` has registered and that
    /// has no descriptor.
    pub(crate) sockets: Vec<(u64, u32)>,
    /// Number of descriptors by kind, in the fullest table.
    pub(crate) kinds: FdKinds,
    /// The highest descriptor number of that table.
    pub(crate) highest: Option<u32>,
    /// Descriptors of each table, that of the main thread first; empty if there is no other.
    pub(crate) tables: Vec<u32>,
    /// Descriptors of `io_uring`s.
    pub(crate) rings: Vec<u32>,
    /// Network namespaces of which descriptors are open: inode, and path below the process (`fd/7`).
    pub(crate) netns: Vec<(u64, Box<str>)>,
    /// Descriptors of namespaces of which the kind is not known.
    pub(crate) namespace_fds: Vec<u32>,
}

impl FdSet {
    /// Returns true if one of them refers to this socket.
    pub(crate) fn contains(&self, inode: u64) -> bool {
        let at = self.sockets.partition_point(|s| s.0 < inode);
        self.sockets.get(at).is_some_and(|s| s.0 == inode)
    }

    /// Counts one descriptor.
    pub(crate) fn add(&mut self, fd: u32, kind: FdKind, inode: Option<u64>) {
        self.kinds.add(kind);
        self.highest = self.highest.max(Some(fd));
        if let (FdKind::Socket, Some(inode)) = (kind, inode) {
            self.sockets.push((inode, fd));
        }
    }

    /// One set of the tables of a process, that of its main thread first.
    pub(crate) fn merged(mut tables: Vec<Self>) -> Self {
        if tables.len() < 2 {
            let mut only = tables.pop().unwrap_or_default();
            only.sockets.sort_unstable();
            // Kept as long as they do not change.
            only.sockets.shrink_to_fit();
            return only;
        }
        let counts = tables.iter().map(|t| t.kinds.total()).collect();
        let fullest = tables.iter().max_by_key(|t| t.kinds.total());
        let (kinds, highest) = fullest.map_or_else(Default::default, |t| (t.kinds, t.highest));
        let mut sockets: Vec<(u64, u32)> = tables.iter().flat_map(|t| t.sockets.iter().copied()).collect();
        sockets.sort_unstable();
        // A table that was copied has what was open then at the same numbers.
        sockets.dedup();
        let mut all = Self { sockets, kinds, highest, tables: counts, ..Self::default() };
        for t in tables {
            all.rings.extend(t.rings);
            all.netns.extend(t.netns);
            all.namespace_fds.extend(t.namespace_fds);
        }
        all
    }

    /// Adds the sockets registered with an `io_uring` that have no descriptor.
    pub(crate) fn add_registered(&mut self, inodes: &[u64]) {
        let new: Vec<(u64, u32)> =
            inodes.iter().filter(|i| !self.contains(**i)).map(|i| (*i, Owner::NO_FD)).collect();
        if !new.is_empty() {
            self.sockets.extend(new);
            self.sockets.sort_unstable();
            self.sockets.dedup();
        }
    }

    /// Returns true if sockets may come and go without a change of the descriptors that a rescan reads.
    pub(crate) const fn has_more_than_one_table(&self) -> bool {
        !self.tables.is_empty() || !self.rings.is_empty()
    }
}

/// Reads all descriptors of the process with this directory, and of its threads that have their own.
pub(crate) fn scan(process: impl AsFd, tids: &[u32], bufs: &mut Buffers) -> Result<FdSet, Errno> {
    let main = match scan_table(&process, "fd", bufs) {
        // The directory of an exited main thread belongs to root.
        Err(Errno::ACCESS | Errno::PERM) if !tids.is_empty() => FdSet::default(),
        scanned => scanned?,
    };
    let mut registered = Vec::new();
    let mut rings = |table: &FdSet, dir: &str, bufs: &mut Buffers| {
        for fd in &table.rings {
            registered_sockets(&process, &format!("{dir}info/{fd}"), &mut registered, bufs);
        }
    };
    rings(&main, "fd", bufs);
    let mut tables = vec![main];
    for tid in tids {
        let dir = thread_dir(*tid);
        let table = match scan_table(&process, &dir, bufs) {
            // The thread has exited.
            Err(Errno::NOENT | Errno::SRCH) => FdSet::default(),
            scanned => scanned?,
        };
        rings(&table, &dir, bufs);
        tables.push(table);
    }
    let mut found = FdSet::merged(tables);
    found.add_registered(&registered);
    Ok(found)
}

/// Descriptor directory of a thread, below that of its process.
pub(crate) fn thread_dir(tid: u32) -> String {
    format!("task/{tid}/fd")
}

/// Reads one descriptor table: `fd` or `task/TID/fd` below the directory of the process. The sockets are not sorted.
pub(crate) fn scan_table(process: impl AsFd, table: &str, bufs: &mut Buffers) -> Result<FdSet, Errno> {
    let mut found = FdSet::default();
    for_each_fd(process, table, bufs, |fd, target| {
        found.add(fd, FdKind::from_link(target), socket_inode(target));
        if target == b"anon_inode:[io_uring]" {
            found.rings.push(fd);
        } else if let Some(inode) = netns_inode(target) {
            found.netns.push((inode, format!("{table}/{fd}").into()));
        }
    })?;
    Ok(found)
}

/// Bytes of the `fdinfo` of an `io_uring` that are read: about 200,000 registered files.
const FDINFO_MAX: usize = 8 << 20;

/// Adds the sockets among the files registered with an `io_uring` (`UserFiles` of its `fdinfo`, `io_uring/fdinfo.c`). It holds
/// them as a descriptor would. What cannot be read adds none.
pub(crate) fn registered_sockets(
    process: impl AsFd,
    fdinfo: &str,
    inodes: &mut Vec<u64>,
    bufs: &mut Buffers,
) {
    if info::slurp(process, fdinfo, &mut bufs.text, FDINFO_MAX).is_err() {
        return;
    }
    let lines = bufs.text.split(|c| *c == b'\n');
    let files =
        lines.skip_while(|l| !l.starts_with(b"UserFiles:")).skip(1).take_while(|l| l.starts_with(b" "));
    // `    0: socket:[11912008]`
    let target = |l: &[u8]| l.iter().position(|c| *c == b':').map(|at| l[at + 1..].trim_ascii().to_vec());
    inodes.extend(files.filter_map(target).filter_map(|t| socket_inode(&t)));
}

/// Calls `visit` with every descriptor of a table (`fd` or `task/TID/fd`) and the target of its link.
pub(crate) fn for_each_fd(
    process: impl AsFd,
    table: &str,
    bufs: &mut Buffers,
    mut visit: impl FnMut(u32, &[u8]),
) -> Result<(), Errno> {
    let dir: OwnedFd =
        openat(process, table, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
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

/// Returns true if descriptor `fd` of the process, or of one of these threads, currently refers to the socket `inode`.
pub(crate) fn refers_to(process: impl AsFd, tids: &[u32], fd: u32, inode: u64, bufs: &mut Buffers) -> bool {
    let mut is_there = |name: String| {
        std::ffi::CString::new(name).is_ok_and(|name| {
            link(&process, &name, &mut bufs.link).is_ok_and(|t| socket_inode(t) == Some(inode))
        })
    };
    is_there(format!("fd/{fd}")) || tids.iter().any(|tid| is_there(format!("{}/{fd}", thread_dir(*tid))))
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

/// The inode in `net:[INODE]`.
fn netns_inode(target: &[u8]) -> Option<u64> {
    decimal(target.strip_prefix(b"net:[")?.strip_suffix(b"]")?)
}

/// The network namespace that descriptor `path` of the process (`fd/7`) refers to, if it is one.
pub(crate) fn netns_target(process: impl AsFd, path: &str, bufs: &mut Buffers) -> Option<u64> {
    let name = std::ffi::CString::new(path).ok()?;
    link(process, &name, &mut bufs.link).ok().and_then(netns_inode)
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
    fn sockets_registered_with_an_io_uring_are_read_from_its_fdinfo() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("fdinfo")).unwrap();
        let text = "pos:\t0\nSqThread:\t-1\nUserFiles:\t4\n    0: socket:[77]\n    2: /dev/null\n    3: socket:[78]\n\
                    UserBufs:\t1\n    0: 0x7f0000000000/4096\n";
        std::fs::write(dir.path().join("fdinfo/9"), text).unwrap();
        let process = std::fs::File::open(dir.path()).unwrap();
        let mut inodes = Vec::new();
        registered_sockets(&process, "fdinfo/9", &mut inodes, &mut Buffers::default());
        registered_sockets(&process, "fdinfo/10", &mut inodes, &mut Buffers::default());
        assert_eq!(inodes, [77, 78]);
        let mut fds = FdSet { sockets: vec![(77, 5)], ..FdSet::default() };
        fds.add_registered(&inodes);
        assert_eq!(
            fds.sockets,
            [(77, 5), (78, Owner::NO_FD)],
            "a socket with a descriptor is not listed twice"
        );
    }

    #[test]
    fn tables_are_merged_with_the_counts_of_the_fullest() {
        let table = |fds: &[(u32, u64)]| {
            let mut t = FdSet::default();
            for (fd, inode) in fds {
                t.add(*fd, FdKind::Socket, Some(*inode));
            }
            t
        };
        let merged = FdSet::merged(vec![table(&[(3, 9)]), table(&[(3, 9), (4, 8), (5, 1)]), table(&[])]);
        assert_eq!(merged.sockets, [(1, 5), (8, 4), (9, 3)]);
        assert_eq!((merged.kinds.total(), merged.highest, &*merged.tables), (3, Some(5), &[1, 3, 0][..]));
        assert!(FdSet::merged(vec![table(&[(3, 9)])]).tables.is_empty());
    }

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
