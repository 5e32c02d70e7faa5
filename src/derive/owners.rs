//! Owners of sockets, and the reason a socket has none.

use crate::model::{FaultKind, Missing, Owner, Process, Reads, Sample, Socket, State};

/// Index of a list of owners sorted by inode: an interpolation table. The kernel assigns inodes in ascending order, so they
/// are close to evenly spaced; the inode range is divided into up to twice as many buckets as there are owners.
#[derive(Debug)]
pub(super) struct OwnerIndex<'a> {
    owners: &'a [Owner],
    /// First inode.
    base: u64,
    /// Binary logarithm of the bucket width.
    shift: u32,
    /// Start of each bucket in the list, then the length of the list.
    starts: Vec<u32>,
}

impl<'a> OwnerIndex<'a> {
    /// The index of this list.
    pub(super) fn new(owners: &'a [Owner]) -> Self {
        let base = owners.first().map_or(0, |o| o.inode);
        let width = owners.last().map_or(0, |o| o.inode.saturating_sub(base));
        let buckets = 2 * owners.len() as u64;
        let mut shift = 0;
        while width >> shift > buckets {
            shift += 1;
        }
        let mut starts = Vec::with_capacity((width >> shift) as usize + 2);
        for (i, o) in owners.iter().enumerate() {
            let bucket = (o.inode.saturating_sub(base) >> shift) as usize;
            if starts.len() <= bucket {
                starts.resize(bucket + 1, i as u32);
            }
        }
        starts.push(owners.len() as u32);
        Self { owners, base, shift, starts }
    }

    /// The range of the owners of an inode, empty at 0 if there are none.
    pub(super) fn range(&self, inode: u64) -> (u32, u32) {
        let bucket = inode.checked_sub(self.base).map_or(usize::MAX, |n| (n >> self.shift) as usize);
        let (Some(&low), Some(&high)) = (self.starts.get(bucket), self.starts.get(bucket.saturating_add(1)))
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

/// Properties of a sample that decide why a socket has no owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissingOwner {
    owners_read: bool,
    pending: bool,
    deferred: bool,
    not_permitted: bool,
}

impl MissingOwner {
    /// The properties of this sample; `pending`: a later poll will read owners.
    pub(super) fn new(sample: &Sample, pending: bool) -> Self {
        let not_permitted = |p: &Process| p.fds_hidden == Some(Missing::NotPermitted);
        Self {
            owners_read: sample.wants.reads(Reads::OWNERS),
            pending,
            deferred: sample.faults.count(FaultKind::Deferred) > 0,
            not_permitted: sample.processes.iter().any(not_permitted),
        }
    }

    /// The reason that this socket has no owner.
    pub(super) const fn reason(self, s: &Socket) -> Missing {
        match s.state {
            State::TimeWait => Missing::TimeWait,
            // Not a socket of this host.
            State::Forwarded => Missing::NotApplicable,
            State::SynRecv if s.inode == 0 => Missing::Handshake,
            _ if s.inode == 0 && !s.proto.has_tcp_states() => Missing::NotReported,
            State::Established | State::CloseWait if s.inode == 0 => Missing::AcceptQueue,
            State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing if s.inode == 0 => {
                Missing::Orphan
            }
            _ if !self.owners_read && self.pending => Missing::Pending,
            _ if !self.owners_read => Missing::NotRead,
            _ if self.deferred => Missing::Pending,
            _ if self.not_permitted => Missing::NotPermitted,
            _ => Missing::NoVisibleProcess,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The range is that of a linear search, for dense and for sparse inodes.
        #[test]
        fn owner_range_matches_linear_search(
            mut inodes in prop::collection::vec(prop_oneof![0u64..40, 1_000u64..1_010, any::<u64>()], 0..60),
            more in any::<u64>(),
        ) {
            inodes.sort_unstable();
            let owners: Vec<Owner> =
                inodes.iter().zip(0..).map(|(inode, fd)| Owner { inode: *inode, process: 0, fd }).collect();
            let index = OwnerIndex::new(&owners);
            for inode in inodes.iter().copied().chain(0..41).chain([more, u64::MAX]) {
                let (begin, end) = index.range(inode);
                let found: Vec<u32> = owners[begin as usize..end as usize].iter().map(|o| o.fd).collect();
                let all = owners.iter().filter(|o| o.inode == inode && inode > 0).map(|o| o.fd);
                prop_assert_eq!(found, all.collect::<Vec<_>>(), "{}", inode);
            }
        }
    }
}
