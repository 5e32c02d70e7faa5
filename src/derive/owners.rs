//! Which processes hold which sockets.

use crate::model::{Missing, Process, Sample, Socket, State};

/// For each live socket the range of its owners in `sample.owners`, empty where there is none.
///
/// Owners come sorted by inode; the sockets' inodes are sorted too, and both lists are walked once.
pub(super) fn join(sample: &Sample, ranges: &mut Vec<(u32, u32)>) {
    ranges.clear();
    ranges.resize(sample.sockets.len(), (0, 0));
    let owners = &sample.owners;
    if owners.is_empty() {
        return;
    }
    let mut inodes: Vec<(u64, u32)> = sample
        .sockets
        .iter()
        .enumerate()
        .filter(|(_, s)| s.inode != 0)
        .map(|(row, s)| (s.inode, row as u32))
        .collect();
    inodes.sort_unstable();
    let mut at = 0;
    for (inode, row) in inodes {
        while at < owners.len() && owners[at].inode < inode {
            at += 1;
        }
        let end = at + owners[at..].iter().take_while(|o| o.inode == inode).count();
        ranges[row as usize] = (at as u32, end as u32);
    }
}

/// What can be said of sockets without an owner, the same for a whole sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excuse {
    read: bool,
    pending: bool,
    refused: bool,
}

impl Excuse {
    /// `first`: this is the first sample, which does without owners to be quick.
    pub(super) fn new(sample: &Sample, first: bool) -> Self {
        let refused = |p: &Process| p.fds_hidden == Some(Missing::NotPermitted);
        Self { read: sample.wants.owners, pending: first, refused: sample.processes.iter().any(refused) }
    }

    /// Why this socket has none.
    pub(super) fn of(&self, s: &Socket) -> Missing {
        match s.state {
            State::TimeWait => Missing::TimeWait,
            State::SynRecv => Missing::Handshake,
            _ if s.inode == 0 => match s.state {
                State::Established | State::CloseWait => Missing::AcceptQueue,
                _ => Missing::Orphan,
            },
            _ if !self.read => {
                if self.pending {
                    Missing::Pending
                } else {
                    Missing::NotRead
                }
            }
            _ if self.refused => Missing::NotPermitted,
            _ => Missing::NoVisibleProcess,
        }
    }
}
