//! File descriptor leaks: what many descriptors of a process have in common.

use crate::format::thousands;
use crate::model::lang::tr;
use crate::model::snapshot::Direction;
use crate::model::{Endpoint, FdKind, Proto, Snapshot, State};
use crate::msg;
use rustc_hash::FxHashMap;

/// Least number of connections to one peer that are listed.
const SEVERAL: u32 = 3;
/// Suspects that are listed.
const MOST: usize = 6;
/// Descriptor numbers of each that are listed.
const NAMED: usize = 8;

/// A common property of several file descriptors of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Common property: `in CLOSE_WAIT`, `tcp to 10.0.0.9:5432`, `open on /var/log/x`. Not escaped.
    pub what: String,
    /// Number of descriptors.
    pub count: u32,
    /// Lowest descriptor numbers, if known.
    pub fds: Vec<u32>,
    /// Certainly a leak: connections the peer has closed.
    pub certain: bool,
}

impl Suspect {
    /// One line: `14 in CLOSE_WAIT (fd 12, 13, 14, ...)`.
    pub fn line(&self) -> String {
        msg!("{} {}{}", thousands(u64::from(self.count)), self.what, fd_list(&self.fds, self.count))
    }
}

/// ` (fd 12, 13 and 3 more)`; empty if no number is known.
fn fd_list(fds: &[u32], count: u32) -> String {
    if fds.is_empty() {
        return String::new();
    }
    let named: Vec<String> = fds.iter().map(u32::to_string).collect();
    let more = (count as usize).saturating_sub(fds.len());
    let more = if more > 0 { msg!(" and {} more", thousands(more as u64)) } else { String::new() };
    format!(" (fd {}{more})", named.join(", "))
}

/// Sockets of a process that have something in common.
#[derive(Default)]
struct Bucket {
    count: u32,
    fds: Vec<u32>,
}

/// Common properties of many descriptors of a process: connections in `CLOSE_WAIT`, connections to one peer, files of one
/// path or directory. Certain leaks first, then by number.
pub fn suspects(snap: &Snapshot, process: usize) -> Vec<Suspect> {
    let mut close_wait = Bucket::default();
    let mut by_peer: FxHashMap<(Proto, Endpoint), Bucket> = FxHashMap::default();
    for row in snap.sockets_of(process).iter().map(|r| *r as usize).filter(|r| *r < snap.live) {
        let s = snap.socket(row);
        let bucket = if s.state == State::CloseWait {
            &mut close_wait
        } else if s.proto == Proto::Tcp && !s.remote.is_none() && snap.facts[row].direction != Direction::In {
            by_peer.entry((s.proto, s.remote)).or_default()
        } else {
            continue;
        };
        bucket.count += 1;
        let own = snap.owners(row).iter().filter(|o| o.process as usize == process);
        bucket.fds.extend(own.filter_map(crate::model::Owner::fd));
    }
    let suspect = |what: String, mut b: Bucket, certain| {
        b.fds.sort_unstable();
        b.fds.truncate(NAMED);
        Suspect { what, count: b.count, fds: b.fds, certain }
    };
    let mut out = Vec::new();
    if close_wait.count > 0 {
        out.push(suspect(tr("in CLOSE_WAIT").to_owned(), close_wait, true));
    }
    for ((proto, peer), b) in by_peer.into_iter().filter(|(_, b)| b.count >= SEVERAL) {
        out.push(suspect(msg!("{} to {}", proto.name(), peer), b, false));
    }
    for p in snap.sample.processes[process].fd_targets.iter() {
        let what = match (p.kind, p.path.ends_with('/')) {
            (FdKind::Socket, _) => msg!("{} sockets never bound or connected", p.path),
            (FdKind::Memfd, _) => format!("memfd {}", p.path),
            (_, true) => msg!("files in {}", p.path),
            _ => msg!("open on {}", p.path),
        };
        out.push(Suspect { what, count: p.count, fds: p.fds.clone(), certain: false });
    }
    out.sort_by(|a, b| {
        b.certain.cmp(&a.certain).then(b.count.cmp(&a.count)).then_with(|| a.what.cmp(&b.what))
    });
    out.truncate(MOST);
    out
}

/// True if a process may leak descriptors: their number or that of its connections in `CLOSE_WAIT` keeps growing.
pub fn is_leaking(snap: &Snapshot, process: usize) -> bool {
    snap.processes.get(process).is_some_and(|f| f.close_wait_leak || f.fds_full_in.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FdTarget;
    use crate::testing::{process, row, snapshot};
    use std::sync::Arc;

    #[test]
    fn descriptors_with_a_common_property_are_suspects() {
        let tcp = |state, far: &str| row(Proto::Tcp, state, "10.0.0.4:40000", far, &[0]);
        let mut rows = vec![tcp(State::CloseWait, "203.0.113.5:1000")];
        rows.extend((0..4).map(|_| tcp(State::Established, "10.0.0.9:5432")));
        rows.extend((0..2).map(|_| tcp(State::Established, "10.0.0.8:80")));
        let mut api = process(991, "api", 33, 10, 1024);
        api.fd_targets = Arc::from([FdTarget {
            kind: FdKind::File,
            path: "/tmp/x".into(),
            count: 20,
            fds: (0..8).collect(),
        }]);
        let n = rows.len() as u32;
        let mut snap = snapshot(rows, vec![api], &[]);
        snap.sockets_of = (0..n).collect();
        snap.processes[0].sockets = (0, n);
        let lines: Vec<String> = suspects(&snap, 0).iter().map(Suspect::line).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("1 in CLOSE_WAIT"), "{lines:?}");
        assert_eq!(lines[1], "20 open on /tmp/x (fd 0, 1, 2, 3, 4, 5, 6, 7 and 12 more)");
        assert!(lines[2].starts_with("4 tcp to 10.0.0.9:5432"), "{lines:?}");
        assert!(!is_leaking(&snap, 0));
    }
}
