//! Which way the owners are found: process by process by the walk, or all at once by the kernel's iterator.
//!
//! A reading at once costs by all descriptors of the machine, a walk by those of the processes that are to be walked.
//! So the first reading of a busy machine, and any that finds many processes changed, is made at once; in between the
//! walk of the few that changed is cheaper, however many descriptors the others have.

use super::bpf::{Loader, Told};
use super::fd_scan::Found;
use super::info::ticks_to_ns;
use super::{Known, Procs};
use crate::model::{FaultKind, FaultSubject, OwnersBy, Reads, Sample};
use rustix::thread::{CapabilitySet, capabilities};

/// What a step costs, nanoseconds: one descriptor and one process of a walk; one descriptor and one process of the
/// iterator, beginning a run of it, and loading it: 30 ms and, until the loader has let the kernel's BTF go, 28 MB, which
/// count as much again. (`cargo bench --bench figures` prints what they add up to: about the same at 10,000 descriptors,
/// a third at 100,000.)
const WALK_FD: u64 = 4_000;
const WALK_PROCESS: u64 = 20_000;
const BPF_FD: u64 = 500;
const BPF_PROCESS: u64 = 1_000;
const BPF_RUN: u64 = 200_000;
const BPF_LOAD: u64 = 60_000_000;

/// Open files of the machine from which on the program is loaded while the sockets are read, on another core.
const MANY_FILES: u64 = 25_000;

/// How owners are to be found, and what is there for it.
pub(crate) struct Finder {
    /// What was asked for; `None`: what costs less.
    asked: Option<OwnersBy>,
    /// Only over the live `/proc`.
    live: bool,
    loader: Loader,
    /// How all were found last.
    by: OwnersBy,
    /// When all were read at once, nanoseconds after boot.
    at_once_ns: u64,
    /// Whether the last reading at once showed what the walk may not see; before the first, whether it may.
    reveals: bool,
    /// The poll that took over the first reading.
    first_ns: u64,
}

impl Finder {
    pub(crate) fn new(live: bool) -> Self {
        // With it the walk sees whatever may be seen.
        let sees_all = capabilities(None).is_ok_and(|c| c.effective.contains(CapabilitySet::SYS_PTRACE));
        Self {
            asked: None,
            live,
            loader: Loader::default(),
            by: OwnersBy::Walk,
            at_once_ns: 0,
            reveals: !sees_all,
            first_ns: 0,
        }
    }

    fn forbidden(&self) -> bool {
        !self.live || self.asked == Some(OwnersBy::Walk)
    }
}

impl Procs {
    /// Finds owners this way; `None`: the one that costs less.
    #[must_use]
    pub fn by(mut self, asked: Option<OwnersBy>) -> Self {
        self.finder.asked = asked;
        self
    }

    /// Before the sockets are read: gets ready, beside that, what will be needed after it.
    pub fn prepare(&mut self, sample: &Sample) {
        let wanted = sample.wants.reads_any(Reads::OWNERS | Reads::FD_KINDS);
        if wanted && !self.finder.forbidden() && (self.finder.asked.is_some() || many_files()) {
            self.finder.loader.begin();
        }
    }

    /// Whether a core is taken by what is got ready.
    pub fn busy(&self) -> bool {
        matches!(self.finder.loader, Loader::Loading(_))
    }

    /// Reads the descriptors of all processes at once, if that is asked for or costs less than to walk these. Whoever it
    /// does not tell of is left to be walked.
    pub(crate) fn read_at_once(&mut self, pids: &[u32], sample: &Sample) -> bool {
        let now = sample.at.boot_ns.max(1);
        if self.finder.forbidden()
            || self.finder.at_once_ns == now
            || (self.finder.asked.is_none() || self.finder.first_ns == sample.at.boot_ns) && !self.pays(pids)
        {
            return false;
        }
        match self.finder.loader.read() {
            Some(told) => {
                self.finder.by = OwnersBy::BpfIter;
                self.finder.at_once_ns = now;
                self.adopt(told, now, true);
                true
            }
            None => {
                self.finder.by = OwnersBy::Walk;
                false
            }
        }
    }

    /// Takes over what was read at once while the sockets were: from before this poll, so that processes whose count of
    /// descriptors is another by now are looked at again. Whether there was such a reading.
    pub(crate) fn adopt_first(&mut self, sample: &Sample) -> bool {
        let Some(told) = self.finder.loader.first() else { return false };
        self.finder.by = OwnersBy::BpfIter;
        self.finder.first_ns = sample.at.boot_ns;
        self.adopt(told, sample.at.boot_ns.max(2) - 1, false);
        true
    }

    /// Takes over what the iterator told, read at this time: after (`newer`) or before descriptors were counted. A process that is not known by its number and start is
    /// none of ours, or new.
    fn adopt(&mut self, all: Vec<Told>, read_ns: u64, newer: bool) {
        let mut revealed = 0;
        for k in self.known.values_mut() {
            k.told = false;
        }
        for Told { pid, start_ns, found } in all {
            let ticks = u128::from(start_ns) * u128::from(self.hz) / 1_000_000_000;
            let start_ns = ticks_to_ns(ticks as u64, self.hz);
            let Some(k) = self.known.get_mut(&pid) else { continue };
            if k.info.as_ref().is_none_or(|i| i.start_ns != start_ns) {
                continue;
            }
            let hidden = k.hidden();
            if newer || k.open.is_err() {
                k.grow(found.kinds.total());
                k.open = Ok(found.kinds.total());
                k.open_ns = crate::collect::stamp().boot_ns;
            }
            revealed += u32::from(hidden);
            k.told = true;
            self.held.replace(&mut k.found, found);
            k.walked_ns = read_ns;
        }
        self.finder.reveals = revealed > 0;
        // Who was not told of and has nothing open holds nothing.
        for k in self.known.values_mut().filter(|k| k.walked_ns != read_ns && k.open == Ok(0)) {
            self.held.replace(&mut k.found, Found::default());
            k.walked_ns = read_ns;
        }
    }

    /// Whether all at once costs less than to walk these, or shows what the walk may not see.
    fn pays(&self, pids: &[u32]) -> bool {
        let load = match &self.finder.loader {
            Loader::Refused(_) => return false,
            Loader::Idle => BPF_LOAD,
            Loader::Loading(_) | Loader::Ready(_) => 0,
        };
        let walk = Amount::of(pids.iter().filter_map(|pid| self.known.get(pid)));
        costs_less(Amount::of(self.known.values()), walk, load) || self.shows_more()
    }

    /// Whether it may show what is hidden from the walk.
    fn shows_more(&self) -> bool {
        self.finder.reveals && self.known.values().any(Known::hidden)
    }

    /// Says in the sample how owners were found, and why not as asked.
    pub(crate) fn tell_finder(&self, sample: &mut Sample) {
        sample.owners_by = Some(self.finder.by);
        if let (Some(OwnersBy::BpfIter), Loader::Refused(why)) = (self.finder.asked, &self.finder.loader) {
            sample.faults.add(FaultKind::NotUsed, FaultSubject::BpfIter, why.clone());
        }
    }
}

/// Whether this machine has many files open (`/proc/sys/fs/file-nr`: open, unused, most).
fn many_files() -> bool {
    let text = std::fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse().ok()).is_some_and(|n: u64| n >= MANY_FILES)
}

/// Processes and their descriptors together.
#[derive(Clone, Copy)]
struct Amount {
    processes: u64,
    fds: u64,
}

impl Amount {
    fn of<'a>(known: impl Iterator<Item = &'a Known>) -> Self {
        known.fold(Self { processes: 0, fds: 0 }, |sum, k| Self {
            processes: sum.processes + 1,
            fds: sum.fds + k.open.map_or(0, u64::from),
        })
    }
}

/// Whether reading all at once costs less than walking these, with what loading still costs.
const fn costs_less(all: Amount, walk: Amount, load: u64) -> bool {
    load + BPF_RUN + all.fds * BPF_FD + all.processes * BPF_PROCESS
        < walk.fds * WALK_FD + walk.processes * WALK_PROCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_that_costs_less() {
        let n = |processes, fds| Amount { processes, fds };
        for (all, walk, load, at_once) in [
            // The first reading: of a small machine, of a busy one.
            (n(200, 4_000), n(200, 4_000), BPF_LOAD, false),
            (n(200, 100_000), n(200, 100_000), BPF_LOAD, true),
            // Later: nothing changed, one of many did, most did, one that has most of it did.
            (n(200, 100_000), n(0, 0), 0, false),
            (n(200, 100_000), n(1, 9_000), 0, false),
            (n(200, 100_000), n(150, 60_000), 0, true),
            (n(200, 100_000), n(1, 90_000), 0, true),
        ] {
            assert_eq!(costs_less(all, walk, load), at_once, "{} of {}", walk.fds, all.fds);
        }
    }
}
