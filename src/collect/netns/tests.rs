use super::enter::{Refusal, report};
use super::*;
use rustix::io::Errno;

/// Simulated machine: processes and mounts given per poll.
struct Machine {
    table: NetnsTable,
    now: u64,
}

impl Machine {
    fn new() -> Self {
        let mut table = NetnsTable::new(Netns::All);
        table.entries.push(NetnsEntry::new(1, "host"));
        table.numbers.insert(1, 0);
        Self { table, now: 0 }
    }

    /// Runs a poll with processes in namespaces of these inodes, and mounts with inode, path and creation time. Returns the
    /// number of each existing inode.
    fn poll(&mut self, processes: &[(u32, u64)], mounts: &[(u64, &str, i64)]) -> BTreeMap<u64, u16> {
        self.now += 1_000_000_000;
        self.table.poll += 1;
        let poll = self.table.poll;
        for (pid, inode) in processes {
            let m = self.table.members.0.entry(*pid).or_insert(Member {
                inode: 0,
                start_ns: u64::from(*pid),
                since_ns: self.now,
                ..Member::default()
            });
            if m.inode != *inode {
                (m.inode, m.joined_poll) = (*inode, poll);
            }
            m.last_seen_poll = poll;
        }
        self.table.members.0.retain(|_, m| m.last_seen_poll == poll);
        let mount = |(inode, path, created): &(u64, &str, i64)| {
            (*inode, NetnsMount { path: path.into(), created: (*created, 0), has_given_name: true })
        };
        let mut faults = Faults::default();
        self.table.assign_numbers(mounts.iter().map(mount).collect(), self.now, &mut faults);
        let existing = (0u16..).zip(&self.table.entries).filter(|(_, s)| s.gone_ns == 0);
        existing.map(|(i, s)| (s.namespace.inode, i)).collect()
    }

    fn name(&self, number: u16) -> &str {
        &self.table.entries[usize::from(number)].namespace.name
    }
}

#[test]
fn number_stays_while_a_process_or_the_mount_remains() {
    let mut m = Machine::new();
    assert_eq!(m.poll(&[(10, 7), (11, 7)], &[]), [(1, 0), (7, 1)].into());
    // One process exits, another joins.
    assert_eq!(m.poll(&[(11, 7), (12, 7)], &[(8, "/run/netns/red", 5)]), [(1, 0), (7, 1), (8, 2)].into());
    assert_eq!(m.poll(&[(12, 7)], &[(8, "/run/netns/red", 5)]), [(1, 0), (7, 1), (8, 2)].into());
    // Renamed, but the same file; then a process remains after the unmount.
    assert_eq!(m.poll(&[(12, 7), (13, 8)], &[(8, "/run/netns/blue", 5)])[&8], 2);
    assert_eq!(m.name(2), "blue");
    assert_eq!(m.poll(&[(12, 7), (13, 8)], &[])[&8], 2);
}

#[test]
fn reused_inode_gets_another_number() {
    let mut m = Machine::new();
    let red = [(8, "/run/netns/red", 5)];
    m.poll(&[(10, 7), (11, 9)], &red);
    // Between two polls all processes are replaced, and the inode is mounted again.
    let blue = [(8, "/run/netns/blue", 6)];
    assert_eq!(m.poll(&[(20, 7), (11, 9)], &blue), [(1, 0), (7, 4), (8, 5), (9, 3)].into());
    assert_eq!((m.name(2), m.name(5)), ("red", "blue"));
    // Missing in one poll.
    assert_eq!(m.poll(&[(11, 9)], &blue), [(1, 0), (8, 5), (9, 3)].into());
    assert_eq!(m.poll(&[(11, 9), (20, 7)], &blue)[&7], 6);
    // Minutes later the number of a deleted namespace is reused; the one with the reused inode keeps its number.
    m.now += NUMBER_REUSE_NS;
    assert_eq!(
        m.poll(&[(11, 9), (20, 7), (30, 77)], &blue),
        [(1, 0), (7, 6), (8, 5), (9, 3), (77, 1)].into()
    );
    assert_eq!(m.poll(&[(11, 9), (20, 7), (30, 77)], &blue)[&7], 6);
}

#[test]
fn namespace_gone_before_it_is_entered_is_counted() {
    let mut gone = NetnsEntry::new(u64::MAX, "brief");
    // No such process, and a file of another namespace.
    gone.pids = vec![u32::MAX];
    gone.mount = Some(NetnsMount { path: "/proc/self/stat".into(), created: (0, 0), has_given_name: true });
    assert_eq!(gone.enter(), Err(Refusal::Gone));
    gone.mount = Some(NetnsMount {
        path: "/run/netns/none-of-this-name".into(),
        created: (0, 0),
        has_given_name: true,
    });
    assert_eq!(gone.enter(), Err(Refusal::Gone));
    let mut faults = Faults::default();
    let closed = ("closed".to_owned(), Refusal::Refused(Errno::PERM));
    report(&[("brief".to_owned(), Refusal::Gone), closed, ("other".to_owned(), Refusal::Gone)], &mut faults);
    let counted: Vec<_> = faults.iter().map(|f| (f.kind, f.count, f.detail.as_str())).collect();
    assert_eq!(
        counted,
        [
            (FaultKind::Vanished, 2, ""),
            (FaultKind::Namespace, 1, "closed: not permitted, requires CAP_SYS_ADMIN"),
        ]
    );
}
