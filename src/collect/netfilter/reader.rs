//! Rules of `nf_tables` by namespace; one that is late keeps those of its last complete reading.

use super::add_fault;
use super::budget::Budget;
use super::nft_ruleset::{self, Dump};
use crate::collect::netlink::socket::NetlinkSocket;
use crate::model::{FaultKind, FaultSubject, Sample, nft};
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
    /// Time of the poll, nanoseconds after boot, and the end of the time for all other namespaces.
    poll: Option<(u64, Instant)>,
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
    pub(super) fn budget(&mut self, netns: u16, sample: &Sample) -> Budget {
        if netns == 0 {
            return Budget::own();
        }
        let now = sample.at.boot_ns;
        let end = match self.poll {
            Some((poll, end)) if poll == now => end,
            _ => {
                self.known.retain(|_, k| now.saturating_sub(k.seen_ns) < FORGET_NS);
                Instant::now() + ALL_TIME
            }
        };
        self.poll = Some((now, end));
        Budget::other(end)
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
        let mut read = nft_ruleset::read(socket, netns, budget);
        if read.as_ref().is_ok_and(|d| d.interrupted && !d.late) {
            sample.faults.add(FaultKind::Interrupted, FaultSubject::NftRules, "");
            read = nft_ruleset::read(socket, netns, budget);
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
        assert!(!reader.budget(1, &sample(10)).is_spent());
        reader.poll = Some((10_000_000_000, Instant::now()));
        assert!(reader.budget(2, &sample(10)).is_spent());
        assert!(!reader.budget(0, &sample(10)).is_spent(), "not that of this process");
        assert!(!reader.budget(2, &sample(11)).is_spent(), "the next poll");
    }
}
