//! Rules of `nf_tables` by namespace; one that is late keeps those of its last complete reading.

use super::add_fault;
use super::budget::{Budget, FilledBy};
use super::nft_ruleset::{self, Dump, Which};
use crate::collect::netlink::socket::NetlinkSocket;
use crate::model::{FaultKind, FaultSubject, Reads, Sample, nft};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// Longest time for all other namespaces of a poll.
const ALL_TIME: Duration = Duration::from_secs(3);
/// Time after which a namespace that was late is read again, nanoseconds.
const RETRY_NS: u64 = 30_000_000_000;
/// Time after which the rules of a namespace that is no longer read are forgotten, nanoseconds.
const FORGET_NS: u64 = 600_000_000_000;

/// Reads rules, within budgets for namespaces that are not that of this process.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// By number and inode of the namespace.
    known: FxHashMap<(u16, u64), Known>,
    poll: Option<Poll>,
}

/// Budget that is left for all other namespaces of a poll.
#[derive(Clone, Copy, Debug)]
struct Poll {
    /// Time of the poll, nanoseconds after boot.
    at_ns: u64,
    end: Instant,
    /// Bytes of tables of iptables-legacy, by who can fill them.
    bytes: [usize; 2],
}

impl Poll {
    fn new(at_ns: u64) -> Self {
        let bytes = [FilledBy::Administrator, FilledBy::AnyUser].map(FilledBy::max_bytes_of_all);
        Self { at_ns, end: Instant::now() + ALL_TIME, bytes }
    }
}

#[derive(Debug, Default)]
struct Known {
    /// The rules, and the time they were read.
    rules: Option<(nft::Ruleset, u64)>,
    /// Time of the last poll with this namespace.
    seen_ns: u64,
    /// Not read again before.
    retry_ns: u64,
}

impl Reader {
    /// Budget of a namespace in this poll.
    pub(super) fn budget(&mut self, netns: u16, by: FilledBy, sample: &Sample) -> Budget {
        if netns == 0 {
            return Budget::own();
        }
        let now = sample.at.boot_ns;
        let poll = match self.poll {
            Some(poll) if poll.at_ns == now => poll,
            _ => {
                self.known.retain(|_, k| now.saturating_sub(k.seen_ns) < FORGET_NS);
                Poll::new(now)
            }
        };
        self.poll = Some(poll);
        Budget::other(poll.end, poll.bytes[by as usize].min(by.max_bytes()))
    }

    /// Counts what a namespace left of its bytes against those of all.
    pub(super) fn settle(&mut self, netns: u16, by: FilledBy, before: usize, budget: &Budget) {
        if let Some(poll) = self.poll.as_mut().filter(|_| netns != 0) {
            let left = &mut poll.bytes[by as usize];
            *left = left.saturating_sub(before - budget.bytes_left());
        }
    }

    /// The rules of the namespace of the calling thread; read once more if they changed during the dump.
    pub(super) fn read(
        &mut self,
        socket: &mut NetlinkSocket,
        (netns, inode, name): (u16, u64, &str),
        budget: &Budget,
        sample: &mut Sample,
    ) -> Option<nft::Ruleset> {
        let now = sample.at.boot_ns;
        let known = self.known.entry((netns, inode)).or_default();
        known.seen_ns = now;
        if now < known.retry_ns {
            return late(known, name, sample);
        }
        let all = sample.wants.reads(Reads::FIREWALL);
        let which = if all { Which::All } else { Which::OfForwards };
        let mut read = nft_ruleset::read(socket, netns, budget, which);
        if read.as_ref().is_ok_and(|d| d.interrupted && !d.late) {
            sample.faults.add(FaultKind::Interrupted, FaultSubject::NftRules, "");
            read = nft_ruleset::read(socket, netns, budget, which);
        }
        match read {
            Ok(Dump { late: true, .. }) => {
                known.retry_ns = now + RETRY_NS;
                late(known, name, sample)
            }
            Ok(dump) => {
                if dump.truncated {
                    let why = "a set has too many elements: not all were read";
                    sample.faults.add(FaultKind::Failed, FaultSubject::NftRules, why);
                }
                sample.faults.add_many(FaultKind::Malformed, FaultSubject::NftRules, "", dump.malformed);
                if netns != 0 {
                    known.rules = Some((dump.ruleset.clone(), now));
                }
                Some(dump.ruleset)
            }
            Err(e) => {
                add_fault(FaultSubject::NftRules, &e, None, sample);
                None
            }
        }
    }
}

/// The last rules of a namespace that is late, with their age.
fn late(known: &Known, name: &str, sample: &mut Sample) -> Option<nft::Ruleset> {
    let why = "too many rules to read in time";
    let detail = match &known.rules {
        Some((_, at)) => {
            let age = sample.at.boot_ns.saturating_sub(*at) / 1_000_000_000;
            format!("{name}: {why}, those shown are {age} s old")
        }
        None => format!("{name}: {why}"),
    };
    sample.faults.add(FaultKind::Deferred, FaultSubject::NftRules, detail);
    known.rules.as_ref().map(|r| r.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendInfo, Stamp, Wants};
    use std::sync::Arc;

    fn sample(boot_s: u64) -> Sample {
        let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
        let at = Stamp { boot_ns: boot_s * 1_000_000_000, unix_ns: 0 };
        Sample::empty(at, "x".into(), info, Wants::default())
    }

    #[test]
    fn late_namespace_keeps_its_rules_with_their_age() {
        let (rules, mut now) = (nft::Ruleset { netns: 3, tables: Vec::new() }, sample(39));
        let known = Known { rules: Some((rules.clone(), 5_000_000_000)), ..Known::default() };
        assert_eq!(late(&known, "web", &mut now), Some(rules));
        assert_eq!(late(&Known::default(), "new", &mut now), None);
        let details: Vec<&str> = now.faults.iter().map(|f| f.detail.as_str()).collect();
        assert!(
            details[0].starts_with("web: ") && details[0].ends_with("those shown are 34 s old"),
            "{details:?}"
        );
        assert!(now.faults.iter().all(|f| f.kind == FaultKind::Deferred));
    }

    #[test]
    fn other_namespaces_of_a_poll_share_their_time() {
        let mut reader = Reader::default();
        let by = FilledBy::AnyUser;
        assert!(!reader.budget(1, by, &sample(10)).is_spent());
        reader.poll = Some(Poll { end: Instant::now(), ..Poll::new(10_000_000_000) });
        assert!(reader.budget(2, by, &sample(10)).is_spent());
        assert!(!reader.budget(0, by, &sample(10)).is_spent(), "not that of this process");
        assert!(!reader.budget(2, by, &sample(11)).is_spent(), "the next poll");
    }

    #[test]
    fn tables_of_namespaces_of_any_user_share_their_bytes() {
        let mut reader = Reader::default();
        let mut read = |netns, by: FilledBy, boot_s, bytes| {
            let budget = reader.budget(netns, by, &sample(boot_s));
            let before = budget.bytes_left();
            let fits = budget.charge_bytes(bytes);
            reader.settle(netns, by, before, &budget);
            fits
        };
        let (any, admin) = (FilledBy::AnyUser, FilledBy::Administrator);
        let (one, all) = (any.max_bytes(), any.max_bytes_of_all());
        assert!(!read(1, any, 10, one + 1), "more than one namespace may have");
        let fitting = (1..100).take_while(|n| read(*n, any, 10, one)).count();
        assert_eq!(fitting, all / one);
        assert!(read(0, any, 10, 2 * one), "that of this process has its own");
        assert!(read(99, admin, 10, 4 * one) && !read(98, any, 10, 1));
        assert!(read(98, any, 11, one), "the next poll");
    }
}
