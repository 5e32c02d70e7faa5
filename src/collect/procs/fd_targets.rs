//! Frequent descriptor targets: the files and directories that a process close to its limit, or growing, has open most.

use super::fd_scan::{self, Buffers};
use super::foreign_fd::with_pinned;
use super::table::ProcessTable;
use crate::model::{FdKind, FdTarget, ProtoSet, Sample, StateSet, text};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{AtFlags, getxattr, statat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Share of its limit, or polls of growth, from which a process is sampled.
const NEAR_LIMIT: f64 = 0.5;
const GROWTH_POLLS: u32 = 3;
/// Polls between two samples of the same process.
const RESAMPLE_POLLS: u64 = 5;
/// Processes sampled per poll, and the most descriptors of each.
const SAMPLED_PER_POLL: usize = 8;
const SAMPLED_FDS_MAX: u32 = 100_000;
/// Descriptors that must share a target for it to be reported.
const SHARED_MIN: usize = 3;
/// Targets reported per process, and descriptors listed for each.
const TARGETS_MAX: usize = 5;
const LISTED_FDS_MAX: usize = 8;
/// Sockets whose protocol is read, and least number of unbound ones for them to be reported.
const PROTOCOLS_MAX: usize = 20_000;
const UNBOUND_MIN: usize = 10;

/// Samples the descriptor targets of processes that grow or are near their limit, the fullest first.
pub(crate) fn sample_fd_targets(table: &mut ProcessTable, sample: &Sample, bufs: &mut Buffers) {
    let poll = table.poll();
    let candidates = table.entries().iter().filter_map(|(pid, e)| {
        let open = e.fd_count.ok().filter(|n| *n <= SAMPLED_FDS_MAX && !e.fd_dir_denied)?;
        let share = f64::from(open) / e.nofile.map_or(f64::INFINITY, |l| l.0 as f64);
        let due = e.fd_targets.0 == 0 || poll >= e.fd_targets.0 + RESAMPLE_POLLS;
        (due && (share >= NEAR_LIMIT || e.growth_polls >= GROWTH_POLLS)).then_some((share, *pid))
    });
    let mut fullest: Vec<(f64, u32)> = candidates.collect();
    fullest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let listed = if fullest.is_empty() { None } else { ListedSockets::new(sample) };
    for (_, pid) in fullest.into_iter().take(SAMPLED_PER_POLL) {
        // The next poll notices if the process is gone.
        let fullest = table.get(pid).map(|e| e.threads.fullest()).unwrap_or_default();
        let targets = table.dir(pid).map(|dir| frequent_targets(dir, &fullest, listed.as_ref(), bufs));
        if let Some(Ok(targets)) = targets {
            table.record_fd_targets(pid, targets);
        }
    }
}

/// Sockets of a poll that read every TCP and UDP socket.
struct ListedSockets {
    inodes: FxHashSet<u64>,
    /// Inodes of the network namespaces that were read.
    namespaces: Vec<u64>,
}

impl ListedSockets {
    /// `None` if a socket that is missing could be one that was not read.
    fn new(sample: &Sample) -> Option<Self> {
        let w = &sample.wants;
        let is_whole = w.protos.contains(ProtoSet::TCP_UDP)
            && w.states == StateSet::ALL
            && w.prefilter.is_none()
            && w.max_sockets.is_none()
            && !sample.faults.iter().any(|f| f.subject.is_sockets() && f.kind.hides_data());
        is_whole.then(|| Self {
            inodes: sample.sockets.iter().map(|s| s.inode).collect(),
            namespaces: sample.namespaces.iter().map(|n| n.inode).filter(|i| *i != 0).collect(),
        })
    }

    /// True if the sockets of the network namespace of this process were read.
    fn has_netns_of(&self, process: impl AsFd) -> bool {
        let inode = statat(process, "ns/net", AtFlags::empty()).map(|s| s.st_ino);
        inode.is_ok_and(|i| self.namespaces.contains(&i))
    }
}

/// TCP and UDP sockets that the kernel does not list because they were never bound or connected, by protocol: the name that
/// sockfs has for them (`system.sockprotoname`).
fn unbound_sockets(process: impl AsFd, table: &str, unlisted: Vec<u32>) -> Vec<FdTarget> {
    let dir = format!("/proc/self/fd/{}/{table}", process.as_fd().as_raw_fd());
    let mut by_protocol: BTreeMap<&'static str, Vec<u32>> = BTreeMap::new();
    let mut name = [0; 32];
    for fd in unlisted {
        let link = PathBuf::from(format!("{dir}/{fd}"));
        let read = |own: &str| getxattr(own, "system.sockprotoname", &mut name);
        let len = with_pinned(&link, |text| text.starts_with(b"socket:["), read).unwrap_or(0);
        let protocol = match name.get(..len).unwrap_or(&[]).split(|b| *b == 0).next() {
            Some(b"TCP" | b"TCPv6") => "TCP",
            Some(b"UDP" | b"UDPv6") => "UDP",
            _ => continue,
        };
        by_protocol.entry(protocol).or_default().push(fd);
    }
    let target = |(protocol, mut fds): (&str, Vec<u32>)| {
        fds.sort_unstable();
        let count = fds.len() as u32;
        fds.truncate(LISTED_FDS_MAX);
        FdTarget { kind: FdKind::Socket, path: protocol.into(), count, fds }
    };
    // A few are opened between the two reads.
    by_protocol.into_iter().filter(|(_, fds)| fds.len() >= UNBOUND_MIN).map(target).collect()
}

/// Files that many descriptors refer to, and directories of the other files; the most frequent first.
fn frequent_targets(
    process: impl AsFd,
    table: &str,
    listed: Option<&ListedSockets>,
    bufs: &mut Buffers,
) -> Result<Vec<FdTarget>, Errno> {
    let listed = listed.filter(|l| l.has_netns_of(&process));
    let mut unlisted: Vec<u32> = Vec::new();
    let mut files: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>> = FxHashMap::default();
    fd_scan::for_each_fd(&process, table, bufs, |fd, target| {
        let kind = FdKind::from_link(target);
        // Sockets are identified by their peers; pipes and eventfds have no name.
        if matches!(kind, FdKind::File | FdKind::Memfd) {
            files.entry((kind, target.into())).or_default().push(fd);
        } else if kind == FdKind::Socket
            && unlisted.len() < PROTOCOLS_MAX
            && listed.is_some_and(|l| fd_scan::socket_inode(target).is_some_and(|i| !l.inodes.contains(&i)))
        {
            unlisted.push(fd);
        }
    })?;
    let mut out = unbound_sockets(process, table, unlisted);
    out.extend(most_frequent(files));
    Ok(out)
}

fn most_frequent(files: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>>) -> Vec<FdTarget> {
    let mut dirs: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>> = FxHashMap::default();
    let mut all = Vec::new();
    let is_shared = |fds: &Vec<u32>| fds.len() >= SHARED_MIN;
    for ((kind, path), fds) in files {
        if is_shared(&fds) {
            all.push((kind, path, fds));
        } else if let Some(slash) = path.iter().rposition(|c| *c == b'/') {
            dirs.entry((kind, path[..=slash].into())).or_default().extend(fds);
        }
    }
    all.extend(
        dirs.into_iter().filter(|(_, fds)| is_shared(fds)).map(|((kind, path), fds)| (kind, path, fds)),
    );
    all.sort_by(|a, b| b.2.len().cmp(&a.2.len()).then_with(|| a.1.cmp(&b.1)));
    let to_target = |(kind, path, mut fds): (FdKind, Box<[u8]>, Vec<u32>)| {
        fds.sort_unstable();
        let count = fds.len() as u32;
        fds.truncate(LISTED_FDS_MAX);
        FdTarget { kind, path: text::from_bytes(&path).into(), count, fds }
    };
    all.into_iter().take(TARGETS_MAX).map(to_target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_or_directory_with_three_descriptors_is_a_target() {
        let mut files: FxHashMap<(FdKind, Box<[u8]>), Vec<u32>> = FxHashMap::default();
        let mut insert = |path: &str, fds: &[u32]| {
            files.insert((FdKind::File, path.as_bytes().into()), fds.to_vec());
        };
        insert("/dev/null", &[9, 1, 4, 7]);
        insert("/tmp/a", &[10]);
        insert("/tmp/b", &[12, 11]);
        insert("/etc/hosts", &[3]);
        let targets: Vec<_> =
            most_frequent(files).into_iter().map(|p| (p.path.to_string(), p.count, p.fds)).collect();
        assert_eq!(
            targets,
            [("/dev/null".to_owned(), 4, vec![1, 4, 7, 9]), ("/tmp/".to_owned(), 3, vec![10, 11, 12])]
        );
    }
}
