//! The process of a socket at the time it asks, where no event names it: the socket by `sock_diag`, its owner by a search in
//! `/proc/PID/fd` that is cut short.
//!
//! A socket of `getaddrinfo(3)` lives until its answer comes. So it is looked up as soon as its question is read, and what asked
//! lately is searched first.

use crate::collect::netlink::socket::NetlinkSocket;
use crate::collect::netlink::wire::{InetMsg, Request};
use crate::model::sample::EventProcess;
use crate::model::{Endpoint, Family, ProcInfo, Proto, Socket, SocketId, State};
use crate::privilege::{PROCESSES, raise};
use rustix::net::netlink::SOCK_DIAG;
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::FromBytes;

/// Longest search of one socket.
const SEARCH_MAX: Duration = Duration::from_millis(15);
/// Processes that asked lately.
const RECENT_MAX: usize = 16;

/// Looks up sockets in the network namespace it was opened in.
pub(super) struct SocketLookup(NetlinkSocket);

impl SocketLookup {
    pub(super) fn open() -> Option<Self> {
        NetlinkSocket::open(Some(SOCK_DIAG)).ok().map(Self)
    }

    /// Inode and user of the socket between these ends.
    pub(super) fn find(&mut self, proto: Proto, local: Endpoint, remote: Endpoint) -> Option<(u64, u32)> {
        let v4 = local.addr.is_v4();
        let (family, number) = (if v4 { 2 } else { 10 }, if proto == Proto::Tcp { 6 } else { 17 });
        let id = SocketId { netns: 0, cookie: u64::MAX };
        let mut socket =
            Socket::new(id, if v4 { Family::Inet } else { Family::Inet6 }, proto, State::Established);
        // Of UDP the kernel takes the ends the other way round (`udp_dump_one` in net/ipv4/udp_diag.c).
        (socket.local, socket.remote) = if proto == Proto::Tcp { (local, remote) } else { (remote, local) };
        let answer = self.0.get(&Request::socket(family, number, v4, &socket)).ok()??;
        let (message, _) = InetMsg::read_from_prefix(&answer).ok()?;
        // Not one that is bound to the port alone and belongs to somebody else.
        let port = u16::from_be_bytes(message.id.sport);
        (port == local.port && message.inode != 0).then(|| (u64::from(message.inode), message.uid))
    }
}

/// Searches the owners of sockets.
#[derive(Debug, Default)]
pub(super) struct OwnerSearch {
    recent: VecDeque<Arc<EventProcess>>,
}

impl OwnerSearch {
    /// The process that holds the socket of this inode, unless the search takes too long.
    pub(super) fn find(&mut self, inode: u64, uid: u32) -> Option<Arc<EventProcess>> {
        let _raised = raise(PROCESSES);
        let until = Instant::now() + SEARCH_MAX;
        let target = format!("socket:[{inode}]");
        if let Some(at) = self.recent.iter().position(|p| holds(p.pid, &target))
            && let Some(known) = self.recent.remove(at)
            // The pid may be that of another process by now.
            && let Some(process) = process(known.pid)
        {
            let process = if process == *known { known } else { Arc::new(process) };
            self.recent.push_front(Arc::clone(&process));
            return Some(process);
        }
        let mut pids: Vec<u32> =
            fs::read_dir("/proc").ok()?.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
        // A program that asks has often just been started.
        pids.sort_unstable_by_key(|pid| std::cmp::Reverse(*pid));
        let of_user = |pid: &u32| fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == uid);
        let (own, others): (Vec<u32>, Vec<u32>) = pids.into_iter().partition(of_user);
        for pid in own.into_iter().chain(others) {
            if Instant::now() > until {
                return None;
            }
            if holds(pid, &target) {
                let process = Arc::new(process(pid)?);
                self.recent.truncate(RECENT_MAX - 1);
                self.recent.push_front(Arc::clone(&process));
                return Some(process);
            }
        }
        None
    }
}

/// True if a descriptor of the process refers to this.
fn holds(pid: u32, target: &str) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == target))
}

fn process(pid: u32) -> Option<EventProcess> {
    let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let comm = crate::model::text::from_bytes(comm.strip_suffix(b"\n").unwrap_or(&comm)).into();
    let uid = fs::metadata(format!("/proc/{pid}")).map_or(ProcInfo::NO_UID, |m| m.uid());
    Some(EventProcess { pid, start_ns: 0, comm, uid, cgroup_id: 0 })
}
