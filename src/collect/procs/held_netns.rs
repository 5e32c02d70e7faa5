//! Network namespaces that only a descriptor keeps: of the namespace itself (`net:[INODE]`), or of a socket in it.
//!
//! A namespace without a process and without a mount exists as long as a descriptor refers to it (namespaces(7)). The scan of
//! the descriptors sees the links to namespaces. The namespace of a socket is reported by `SIOCGSKNS`, for a copy of its
//! descriptor (`pidfd_getfd(2)`); that is asked once for each socket that no dump listed, within [`QUERY_NS`] per poll, in
//! processes with few such sockets first. No namespace is kept open: it is opened again to be read.
//!
//! A socket that only watches its namespace does not count ([`only_watches`]). Two programs that watch every namespace would
//! otherwise keep each one permanently, each because of the socket of the other.

use super::fd_scan::FdSet;
use super::foreign_fd::{self, CopiedSocket};
use super::table::{ProcEntry, ProcessTable, scan_time};
use crate::collect::dns;
use crate::collect::source::stamp;
use crate::model::{FaultKind, FaultSubject, Owner, Sample};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::sockopt::{socket_domain, socket_protocol};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::Path;

/// Time a poll may spend on the namespaces of sockets, nanoseconds: about 5,000 sockets.
const QUERY_NS: u64 = 20_000_000;

/// Sockets whose namespace is remembered.
const REMEMBERED_MAX: usize = 200_000;

/// Descriptor that keeps a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// One of the namespace: the process, and the path of the descriptor below its directory (`fd/7`).
    Namespace(u32, Box<str>),
    /// One of a socket in it: process and number.
    Socket(u32, u32),
}

impl Keeper {
    /// The process.
    pub(crate) const fn pid(&self) -> u32 {
        match self {
            Self::Namespace(pid, _) | Self::Socket(pid, _) => *pid,
        }
    }

    /// Number of the descriptor.
    pub(crate) fn fd(&self) -> &str {
        match self {
            Self::Namespace(_, path) => path.rsplit('/').next().unwrap_or_default(),
            Self::Socket(..) => "",
        }
    }

    /// Opens the namespace, if its descriptor is not of another file by now.
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        match self {
            Self::Namespace(pid, path) => foreign_fd::open_netns(Path::new(&format!("/proc/{pid}/{path}"))),
            Self::Socket(pid, fd) => netns_of(CopiedSocket::new(open_pidfd(*pid)?, *fd)?.fd()?),
        }
    }
}

fn open_pidfd(pid: u32) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    pidfd_open(pid, PidfdFlags::empty())
}

/// Inode of the network namespace that a socket of another process keeps; 0 if it only watches it.
fn kept_netns(process: impl AsFd, (inode, fd): (u64, u32)) -> Result<u64, Errno> {
    let copy = CopiedSocket::new(process, fd)?;
    // The number may be that of another socket by now.
    if fstat(copy.fd()?)?.st_ino != inode {
        return Err(Errno::BADF);
    }
    if only_watches(copy.fd()?) { Ok(0) } else { Ok(fstat(netns_of(copy.fd()?)?)?.st_ino) }
}

/// True for a socket that reads the sockets of its namespace or captures its DNS packets, and carries no connection: one of
/// `NETLINK_SOCK_DIAG` (this program, `ss`), or a packet socket of this program.
fn only_watches(socket: &OwnedFd) -> bool {
    match socket_domain(socket) {
        Ok(AddressFamily::NETLINK) => matches!(socket_protocol(socket), Ok(Some(SOCK_DIAG))),
        Ok(AddressFamily::PACKET) => dns::is_capture(socket),
        _ => false,
    }
}

/// The network namespace of a socket (`SIOCGSKNS` of `include/uapi/linux/sockios.h`). Needs `CAP_NET_ADMIN` in it.
#[expect(unsafe_code, reason = "no crate offers SIOCGSKNS")]
fn netns_of(socket: &OwnedFd) -> Result<OwnedFd, Errno> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    // SAFETY: the request takes no argument and returns a new descriptor, which nothing else owns.
    match unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS, 0) } {
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// Finds the namespaces kept by descriptors, and remembers those of sockets.
#[derive(Debug, Default)]
pub(crate) struct HeldNetns {
    /// Inode of the namespace by inode of the socket; 0: refused, or it does not keep it.
    of_sockets: FxHashMap<u64, u64>,
    /// Number of entries above which those of closed sockets are dropped.
    prune_above: usize,
}

impl HeldNetns {
    /// Namespaces with a descriptor that keeps them, by inode; those of sockets only where no dump has the socket.
    pub(crate) fn find(&mut self, table: &ProcessTable, sample: &mut Sample) -> Vec<(u64, Keeper)> {
        let mut out = Vec::new();
        let now = scan_time(sample);
        let own = std::process::id();
        let mut unlisted: Vec<(u32, Vec<(u64, u32)>)> = Vec::new();
        let mut listed: FxHashSet<u64> = FxHashSet::default();
        for (pid, e) in table.entries() {
            out.extend(
                e.fds.netns.iter().map(|(inode, path)| (*inode, Keeper::Namespace(*pid, path.clone()))),
            );
            // The sockets of the others are known from an earlier poll.
            let has_new = |e: &ProcEntry| e.scanned_ns + 1 >= now && !e.fds.sockets.is_empty();
            if *pid == own || !has_new(e) {
                continue;
            }
            if listed.is_empty() {
                listed.extend(sample.sockets.iter().map(|s| s.inode));
            }
            let unknown = self.unknown(&e.fds, &listed);
            if !unknown.is_empty() {
                unlisted.push((*pid, unknown));
            }
        }
        self.query(unlisted, sample);
        let sockets = |e: &ProcEntry| e.fds.sockets.iter().map(|(inode, _)| *inode).collect::<Vec<_>>();
        self.drop_closed(|| table.entries().values().flat_map(sockets).collect());
        // A socket of which the namespace is known keeps it as long as its process has it.
        let elsewhere = |inode: &u64| self.of_sockets.get(inode).copied().filter(|netns| *netns != 0);
        for (pid, e) in table.entries().iter().filter(|_| !self.of_sockets.is_empty()) {
            let sockets = e.fds.sockets.iter().filter(|(_, fd)| *fd != Owner::NO_FD);
            let keeps = |(inode, fd): &(u64, u32)| Some((elsewhere(inode)?, Keeper::Socket(*pid, *fd)));
            out.extend(sockets.filter_map(keeps));
        }
        out
    }

    /// Sockets of a process that are neither in a dump nor remembered.
    fn unknown(&self, fds: &FdSet, listed: &FxHashSet<u64>) -> Vec<(u64, u32)> {
        let is_unknown = |(inode, fd): &&(u64, u32)| {
            *fd != Owner::NO_FD && !listed.contains(inode) && !self.of_sockets.contains_key(inode)
        };
        fds.sockets.iter().filter(is_unknown).copied().collect()
    }

    /// Drops the sockets that are in no table of descriptors any more, once as many were added as were kept the last time.
    fn drop_closed(&mut self, open: impl FnOnce() -> FxHashSet<u64>) {
        const FEW: usize = 1024;
        if self.of_sockets.len() > self.prune_above.max(FEW) {
            let open = open();
            self.of_sockets.retain(|inode, _| open.contains(inode));
            self.of_sockets.shrink_to(2 * FEW);
            self.prune_above = 2 * self.of_sockets.len();
        }
    }

    fn query(&mut self, mut unlisted: Vec<(u32, Vec<(u64, u32)>)>, sample: &mut Sample) {
        if self.of_sockets.len() > REMEMBERED_MAX {
            self.of_sockets.clear();
        }
        unlisted.sort_by_key(|(pid, sockets)| (sockets.len(), *pid));
        let began = stamp().boot_ns;
        let mut left = 0;
        for (pid, sockets) in unlisted {
            if stamp().boot_ns.saturating_sub(began) > QUERY_NS {
                left += sockets.len();
                continue;
            }
            let Ok(process) = open_pidfd(pid) else { continue };
            for (at, (inode, fd)) in sockets.iter().enumerate() {
                if at % 64 == 63 && stamp().boot_ns.saturating_sub(began) > QUERY_NS {
                    left += sockets.len() - at;
                    break;
                }
                match kept_netns(&process, (*inode, *fd)) {
                    Ok(netns) => _ = self.of_sockets.insert(*inode, netns),
                    // The whole process is another user's.
                    Err(Errno::PERM | Errno::ACCESS) if at == 0 => {
                        self.of_sockets.extend(sockets.iter().map(|(inode, _)| (*inode, 0)));
                        break;
                    }
                    Err(_) => _ = self.of_sockets.insert(*inode, 0),
                }
            }
        }
        sample.faults.add_many(FaultKind::Deferred, FaultSubject::Namespaces, "", left as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_sockets_are_forgotten_and_open_ones_kept() {
        let mut held = HeldNetns::default();
        let mut peak = 0;
        for inode in 0..100_000u64 {
            held.of_sockets.insert(inode, 1);
            // Five hundred stay open, all others close at once.
            held.drop_closed(|| (0..=inode).filter(|i| *i < 500 || *i == inode).collect());
            peak = peak.max(held.of_sockets.len());
        }
        assert!((0..500).all(|i| held.of_sockets.contains_key(&i)));
        assert!(peak <= 1025, "{peak}");
        // With many open ones it is not pruned in each poll.
        let mut prunes = 0;
        let mut held = HeldNetns::default();
        for inode in 0..100_000u64 {
            held.of_sockets.insert(inode, 1);
            held.drop_closed(|| {
                prunes += 1;
                (0..=inode).collect()
            });
        }
        assert!(held.of_sockets.len() == 100_000 && prunes < 10, "{prunes}");
    }

    #[test]
    fn namespace_of_a_socket_is_that_of_its_creator() {
        let socket: OwnedFd = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into();
        let own = std::fs::metadata("/proc/thread-self/ns/net").unwrap();
        let number = socket.as_raw_fd() as u32;
        let found = Keeper::Socket(std::process::id(), number).open();
        // Without CAP_NET_ADMIN it is refused.
        match found {
            Ok(fd) => assert_eq!(fstat(&fd).unwrap().st_ino, std::os::unix::fs::MetadataExt::ino(&own)),
            Err(e) => assert_eq!(e, Errno::PERM),
        }
        assert!(Keeper::Socket(std::process::id(), 1 << 20).open().is_err());
    }
}
