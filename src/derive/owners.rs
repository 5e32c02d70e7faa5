//! Which processes hold which sockets, and why nobody is known to.

use crate::model::{FaultKind, Missing, Owner, Process, Reads, Sample, Socket, State};

/// Finds the owners of sockets in the list sorted by inode. The kernel counts inodes upwards, so that where one stands can
/// nearly be told from its number: the list is cut into twice as many spans of numbers as it has owners.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    owners: &'a [Owner],
    /// The first inode, and the bits that one span is wide.
    base: u64,
    shift: u32,
    /// Where each span begins in the list, and at the end its length.
    starts: Vec<u32>,
}

impl<'a> Finder<'a> {
    /// In this list.
    pub(super) fn new(owners: &'a [Owner]) -> Self {
        let base = owners.first().map_or(0, |o| o.inode);
        let width = owners.last().map_or(0, |o| o.inode.saturating_sub(base));
        let spans = 2 * owners.len() as u64;
        let mut shift = 0;
        while width >> shift > spans {
            shift += 1;
        }
        let mut starts = Vec::with_capacity((width >> shift) as usize + 2);
        for (at, o) in owners.iter().enumerate() {
            let span = (o.inode.saturating_sub(base) >> shift) as usize;
            if starts.len() <= span {
                starts.resize(span + 1, at as u32);
            }
        }
        starts.push(owners.len() as u32);
        Self { owners, base, shift, starts }
    }

    /// The range of the owners of an inode; 0 is none.
    pub(super) fn range(&self, inode: u64) -> (u32, u32) {
        let span = inode.checked_sub(self.base).map_or(usize::MAX, |n| (n >> self.shift) as usize);
        let (Some(&low), Some(&high)) = (self.starts.get(span), self.starts.get(span.saturating_add(1)))
        else {
            return (0, 0);
        };
        if inode == 0 {
            return (0, 0);
        }
        let within = &self.owners[low as usize..high as usize];
        let begin = low as usize + within.partition_point(|o| o.inode < inode);
        let end = begin + self.owners[begin..].iter().take_while(|o| o.inode == inode).count();
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
            read: sample.wants.reads(Reads::OWNERS),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Wherever inodes lie, close together or far apart, the range is the one that looking at each would give.
        #[test]
        fn a_range_is_all_there_are(
            mut inodes in prop::collection::vec(prop_oneof![0u64..40, 1_000u64..1_010, any::<u64>()], 0..60),
            more in any::<u64>(),
        ) {
            inodes.sort_unstable();
            let owners: Vec<Owner> =
                inodes.iter().zip(0..).map(|(inode, fd)| Owner { inode: *inode, process: 0, fd }).collect();
            let finder = Finder::new(&owners);
            for inode in inodes.iter().copied().chain(0..41).chain([more, u64::MAX]) {
                let (begin, end) = finder.range(inode);
                let found: Vec<u32> = owners[begin as usize..end as usize].iter().map(|o| o.fd).collect();
                let all = owners.iter().filter(|o| o.inode == inode && inode > 0).map(|o| o.fd);
                prop_assert_eq!(found, all.collect::<Vec<_>>(), "{}", inode);
            }
        }
    }
}
