//! The user namespace that owns a network namespace (`NS_GET_USERNS` of `include/uapi/linux/nsfs.h`).

use super::THREAD_SELF;
use super::stat::stat;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, open};
use std::path::Path;

/// True if the network namespace of the calling thread belongs to its user namespace. False if that is not known: the kernel
/// reports no owner outside it and those below.
pub(crate) fn is_own() -> bool {
    let path = |kind: &str| Path::new(THREAD_SELF).join("ns").join(kind);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let owner = open(path("net"), flags, Mode::empty()).ok().and_then(|netns| owner(&netns));
    let own = path("user").to_str().and_then(stat);
    owner.is_some() && owner == own
}

/// Inode and device of the user namespace that owns a namespace.
#[expect(unsafe_code, reason = "no crate offers NS_GET_USERNS")]
fn owner(namespace: &OwnedFd) -> Option<(u64, u64)> {
    const NS_GET_USERNS: libc::Ioctl = 0xb701;
    // SAFETY: the request takes no argument and returns a new descriptor, which nothing else owns.
    let owner = match unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) } {
        fd @ 0.. => unsafe { OwnedFd::from_raw_fd(fd) },
        _ => return None,
    };
    fstat(owner).ok().map(|s| (s.st_ino, s.st_dev))
}
