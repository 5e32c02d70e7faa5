use super::*;

/// A machine of processes that are each in a namespace of some inode, since some poll.
struct Machine {
    spaces: Spaces,
    now: u64,
}

impl Machine {
    fn new() -> Self {
        let mut spaces = Spaces::new(Netns::All);
        spaces.known.push(Space::new(1, "host"));
        spaces.at.insert(1, 0);
        Self { spaces, now: 0 }
    }

    /// One poll, at which these processes are in namespaces of these inodes and these are mounted; the number of each
    /// inode that is there now.
    fn poll(&mut self, processes: &[(u32, u64)], mounts: &[(u64, &str, i64)]) -> BTreeMap<u64, u16> {
        self.now += 1_000_000_000;
        self.spaces.poll += 1;
        let poll = self.spaces.poll;
        for (pid, inode) in processes {
            let m = self.spaces.members.entry(*pid).or_insert(Member {
                inode: 0,
                start_ns: u64::from(*pid),
                since_ns: self.now,
                seen: 0,
                asked: 0,
                joined: 0,
            });
            if m.inode != *inode {
                (m.inode, m.joined) = (*inode, poll);
            }
            m.seen = poll;
        }
        self.spaces.members.retain(|_, m| m.seen == poll);
        let mounted = |(inode, path, made): &(u64, &str, i64)| {
            (*inode, Mounted { path: path.into(), made: (*made, 0), by_hand: true })
        };
        let mut faults = Faults::default();
        self.spaces.settle(mounts.iter().map(mounted).collect(), self.now, &mut faults);
        let there = (0u16..).zip(&self.spaces.known).filter(|(_, s)| s.gone_ns == 0);
        there.map(|(i, s)| (s.namespace.inode, i)).collect()
    }

    fn name(&self, number: u16) -> &str {
        &self.spaces.known[usize::from(number)].namespace.name
    }
}

#[test]
fn a_number_stays_while_a_process_or_a_mount_does() {
    let mut m = Machine::new();
    assert_eq!(m.poll(&[(10, 7), (11, 7)], &[]), [(1, 0), (7, 1)].into());
    // One goes, another comes in.
    assert_eq!(m.poll(&[(11, 7), (12, 7)], &[(8, "/run/netns/red", 5)]), [(1, 0), (7, 1), (8, 2)].into());
    assert_eq!(m.poll(&[(12, 7)], &[(8, "/run/netns/red", 5)]), [(1, 0), (7, 1), (8, 2)].into());
    // Called otherwise, the same file all the same; a process of it stays when the mount goes.
    assert_eq!(m.poll(&[(12, 7), (13, 8)], &[(8, "/run/netns/blue", 5)])[&8], 2);
    assert_eq!(m.name(2), "blue");
    assert_eq!(m.poll(&[(12, 7), (13, 8)], &[])[&8], 2);
}

#[test]
fn the_inode_of_one_that_went_is_another_namespace() {
    let mut m = Machine::new();
    let red = [(8, "/run/netns/red", 5)];
    m.poll(&[(10, 7), (11, 9)], &red);
    // Between two polls: all others, and another mount of that inode.
    let blue = [(8, "/run/netns/blue", 6)];
    assert_eq!(m.poll(&[(20, 7), (11, 9)], &blue), [(1, 0), (7, 4), (8, 5), (9, 3)].into());
    assert_eq!((m.name(2), m.name(5)), ("red", "blue"));
    // Gone for a poll.
    assert_eq!(m.poll(&[(11, 9)], &blue), [(1, 0), (8, 5), (9, 3)].into());
    assert_eq!(m.poll(&[(11, 9), (20, 7)], &blue)[&7], 6);
    // Long after, the number of one that went is given to another, and the one that took its inode keeps its own.
    m.now += KEPT_NS;
    assert_eq!(
        m.poll(&[(11, 9), (20, 7), (30, 77)], &blue),
        [(1, 0), (7, 6), (8, 5), (9, 3), (77, 1)].into()
    );
    assert_eq!(m.poll(&[(11, 9), (20, 7), (30, 77)], &blue)[&7], 6);
}

#[test]
fn one_that_went_before_it_was_entered_is_counted() {
    let mut gone = Space::new(u64::MAX, "brief");
    // No such process, and a file that is not that namespace any more.
    gone.pids = vec![u32::MAX];
    gone.file = Some(Mounted { path: "/proc/self/stat".into(), made: (0, 0), by_hand: true });
    assert_eq!(gone.enter(), Err(Refusal::Gone));
    gone.file = Some(Mounted { path: "/run/netns/none-of-this-name".into(), made: (0, 0), by_hand: true });
    assert_eq!(gone.enter(), Err(Refusal::Gone));
    let mut faults = Faults::default();
    let closed = ("closed".to_owned(), Refusal::Refused(Errno::PERM));
    report(&[("brief".to_owned(), Refusal::Gone), closed, ("other".to_owned(), Refusal::Gone)], &mut faults);
    let told: Vec<_> = faults.iter().map(|f| (f.kind, f.count, f.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (FaultKind::Vanished, 2, ""),
            (FaultKind::Namespace, 1, "closed: not permitted, it needs CAP_SYS_ADMIN"),
        ]
    );
}
