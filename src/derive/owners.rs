//! Which processes hold which sockets, and why nobody is known to.

use crate::model::{FaultKind, Missing, Owner, Process, Sample, Socket, State};

/// Finds the owners of sockets in the list sorted by inode.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    owners: &'a [Owner],
    last: usize,
}

impl<'a> Finder<'a> {
    /// In this list.
    pub(super) const fn new(owners: &'a [Owner]) -> Self {
        Self { owners, last: 0 }
    }

    /// The range of the owners of an inode. `hint` is where they began in the list before; close to that, or to where
    /// the last was found, they mostly are, so the search gallops from there.
    pub(super) fn range(&mut self, inode: u64, hint: Option<u32>) -> (u32, u32) {
        if inode == 0 || self.owners.is_empty() {
            return (0, 0);
        }
        let from = hint.filter(|h| *h > 0).map_or(self.last, |h| h as usize).min(self.owners.len() - 1);
        let (mut low, mut high);
        let mut step = 1;
        if self.owners[from].inode < inode {
            // Everything up to `low` is smaller.
            (low, high) = (from + 1, from + 1);
            while high < self.owners.len() && self.owners[high].inode < inode {
                low = high + 1;
                high = (high + step).min(self.owners.len());
                step *= 2;
            }
        } else {
            // Nothing from `high` on is smaller.
            (low, high) = (from, from);
            while low > 0 && self.owners[low - 1].inode >= inode {
                high = low - 1;
                low = low.saturating_sub(step);
                step *= 2;
            }
        }
        let begin = low + self.owners[low..high.max(low)].partition_point(|o| o.inode < inode);
        let end = begin + self.owners[begin..].iter().take_while(|o| o.inode == inode).count();
        self.last = begin;
        if begin == end { (0, 0) } else { (begin as u32, end as u32) }
    }
}

/// What can be said of sockets without an owner, the same for a whole sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excuse {
    read: bool,
    pending: bool,
    deferred: bool,
    refused: bool,
}

impl Excuse {
    /// `pending`: they are not read yet, but will be.
    pub(super) fn new(sample: &Sample, pending: bool) -> Self {
        let refused = |p: &Process| p.fds_hidden == Some(Missing::NotPermitted);
        Self {
            read: sample.wants.owners,
            pending,
            deferred: sample.faults.count(FaultKind::Deferred) > 0,
            refused: sample.processes.iter().any(refused),
        }
    }

    /// Why this socket has none.
    pub(super) const fn of(self, s: &Socket) -> Missing {
        match s.state {
            State::TimeWait => Missing::TimeWait,
            // No socket of this machine.
            State::Forwarded => Missing::NotApplicable,
            State::SynRecv if s.inode == 0 => Missing::Handshake,
            _ if s.inode == 0 && !s.proto.has_tcp_states() => Missing::NotReported,
            State::Established | State::CloseWait if s.inode == 0 => Missing::AcceptQueue,
            State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing if s.inode == 0 => {
                Missing::Orphan
            }
            _ if !self.read && self.pending => Missing::Pending,
            _ if !self.read => Missing::NotRead,
            _ if self.deferred => Missing::Pending,
            _ if self.refused => Missing::NotPermitted,
            _ => Missing::NoVisibleProcess,
        }
    }
}
