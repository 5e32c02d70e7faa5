//! Owners of sockets, and the reason a socket has none.

use crate::model::{FaultKind, Missing, Owner, Reads, Sample, Socket, State};
use std::collections::BTreeSet;

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
#[derive(Clone, Debug)]
pub(super) struct MissingOwner<'a> {
    sample: &'a Sample,
    owners_read: bool,
    pending: bool,
    deferred: bool,
    hidden: HiddenProcesses<'a>,
    /// A captured tree without descriptors.
    not_captured: bool,
}

/// Users and cgroups of the processes whose descriptors may not be read.
#[derive(Clone, Debug, Default)]
struct HiddenProcesses<'a> {
    uids: BTreeSet<u32>,
    cgroups: BTreeSet<&'a str>,
    /// The cgroup of one is not known.
    unknown_cgroup: bool,
}

impl<'a> HiddenProcesses<'a> {
    fn new(sample: &'a Sample) -> Self {
        let mut out = Self::default();
        for p in sample.processes.iter().filter(|p| p.fds_hidden == Some(Missing::NotPermitted)) {
            out.uids.insert(p.info.uid);
            match &p.info.cgroup {
                Some(path) => _ = out.cgroups.insert(path),
                None => out.unknown_cgroup = true,
            }
        }
        out
    }

    /// Returns true if one of them may have the socket, by the cgroup and user in which it was created.
    fn may_hold(&self, s: &Socket, cgroup: Option<&str>) -> bool {
        match cgroup {
            _ if self.uids.is_empty() => false,
            // A service manager creates sockets in its own cgroup and passes them on; the root has any process.
            Some(path) if !self.unknown_cgroup && !matches!(path, "/" | "/init.scope") => {
                self.cgroups.contains(path)
            }
            // A daemon creates its sockets as root and then changes its user.
            _ => s.uid == 0 || self.uids.contains(&s.uid),
        }
    }
}

impl<'a> MissingOwner<'a> {
    /// The properties of this sample; `pending`: a later poll will read owners.
    pub(super) fn new(sample: &'a Sample, pending: bool) -> Self {
        Self {
            sample,
            owners_read: sample.wants.reads(Reads::OWNERS),
            pending,
            deferred: sample.faults.iter().any(|f| f.kind == FaultKind::Deferred && f.subject.is_owners()),
            hidden: HiddenProcesses::new(sample),
            not_captured: sample
                .faults
                .iter()
                .any(|f| f.kind == FaultKind::NotCaptured && f.subject.is_owners()),
        }
    }

    /// The reason that this socket has no owner.
    pub(super) fn reason(&self, s: &Socket) -> Missing {
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
            _ if self.hidden.may_hold(s, self.cgroup(s)) => Missing::NotPermitted,
            _ if self.not_captured => Missing::NotReported,
            _ => Missing::NoVisibleProcess,
        }
    }

    /// Path of the cgroup in which the socket was created, if it was read.
    fn cgroup(&self, s: &Socket) -> Option<&str> {
        let id = self.sample.attrs_of(s).cgroup_id()?;
        self.sample.cgroups.get(&id).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unowned_socket_is_not_permitted_only_if_a_hidden_process_may_hold_it() {
        use crate::model::attr::push;
        use crate::model::diag_attr::inet;
        use crate::model::{Process, Proto};
        use crate::testing::{process, row, snapshot};
        // Hidden: a process of user 33 in web.service.
        let mut hidden = process(812, "web", 33, 1, 10);
        hidden.fds_hidden = Some(Missing::NotPermitted);
        let visible = process(813, "x", 1000, 1, 10);
        let reasons = |processes: Vec<Process>| -> Vec<Missing> {
            let mut snap = snapshot(vec![], processes, &[]);
            let sample = &mut snap.sample;
            sample.cgroups = std::sync::Arc::new(
                [(5, "/system.slice/web.service".into()), (6, "/user.slice".into())].into(),
            );
            // Created by users 33, 0 and 1000; as root in web.service, in another cgroup.
            [(33, 0), (0, 0), (1000, 0), (0, 5), (0, 6)]
                .map(|(uid, cgroup): (u32, u64)| {
                    let mut s = row(Proto::Tcp, State::Listen, "0.0.0.0:80", "*", &[]).socket;
                    (s.uid, s.inode) = (uid, 77);
                    let mut raw = Vec::new();
                    if cgroup > 0 {
                        push(&mut raw, inet::CGROUP_ID, &cgroup.to_ne_bytes());
                    }
                    sample.push_attrs(&mut s, &raw);
                    MissingOwner::new(sample, false).reason(&s)
                })
                .into()
        };
        let (denied, none) = (Missing::NotPermitted, Missing::NoVisibleProcess);
        assert_eq!(reasons(vec![hidden.clone(), visible.clone()]), [denied, denied, none, denied, none]);
        assert_eq!(reasons(vec![visible.clone()]), [none; 5], "nothing is hidden");
        let mut info = (*hidden.info).clone();
        info.cgroup = None;
        hidden.info = info.into();
        assert_eq!(reasons(vec![hidden, visible]), [denied, denied, none, denied, denied], "cgroup unknown");
    }

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
