//! What is derived for each process.

use super::peers::add;
use super::trend::{self, Series};
use crate::model::snapshot::{ProcessFacts, Rates, SocketFacts};
use crate::model::{FdKind, FdKinds, Process, Reads, Sample, Socket, State};
use rustc_hash::FxHashMap;

/// What is remembered of processes, by pid and start: a pid alone is given out again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    poll: u64,
    known: FxHashMap<(u32, u64), Known>,
}

#[derive(Debug)]
struct Known {
    first_seen_ns: u64,
    /// The poll it was last there.
    poll: u64,
    /// Open descriptors at the last polls, oldest first.
    history: Series,
    /// What they were, whenever that had changed.
    kinds: Series<FdKinds>,
    /// Its connections in `CLOSE_WAIT`, from the first on.
    close_wait: Series,
}

impl Memory {
    /// One row a process, and the rows of the sockets of each.
    pub(super) fn collect(
        &mut self,
        sample: &Sample,
        sockets: &[Socket],
        facts: &[SocketFacts],
        rates: &[Rates],
    ) -> (Vec<ProcessFacts>, Vec<u32>) {
        self.poll += 1;
        let mut out: Vec<ProcessFacts> =
            sample.processes.iter().map(|p| self.meet(p, sample.at.boot_ns)).collect();
        // A poll that did not ask for processes says nothing of who is gone.
        if sample.wants.reads(Reads::PROCESSES) && self.known.len() > out.len() {
            let poll = self.poll;
            self.known.retain(|_, k| k.poll == poll);
        }
        let rows = share_out(sample, sockets, facts, rates, &mut out);
        // A poll that did not look for owners or for that state says nothing of how many there are.
        if sample.wants.reads(Reads::OWNERS) && sample.wants.states.has(State::CloseWait) {
            for (p, facts) in sample.processes.iter().zip(&mut out) {
                self.left_open(p, sample.at.boot_ns, facts);
            }
        }
        (out, rows)
    }

    /// Follows the connections that the far ends have closed and a process has not.
    fn left_open(&mut self, p: &Process, now: u64, facts: &mut ProcessFacts) {
        let n = u64::from(facts.states.get(State::CloseWait));
        let Some(k) = self.known.get_mut(&(p.info.pid, p.info.start_ns)) else { return };
        if n == 0 {
            // All closed: nothing is left open.
            k.close_wait = Series::default();
            return;
        }
        k.close_wait.push(now, n);
        facts.close_wait_per_min = trend::per_minute(k.close_wait.points());
        facts.close_wait_leak = trend::rises(k.close_wait.points());
    }

    fn meet(&mut self, p: &Process, now: u64) -> ProcessFacts {
        let fresh = || Known {
            first_seen_ns: now,
            poll: 0,
            history: Series::default(),
            kinds: Series::default(),
            close_wait: Series::default(),
        };
        let k = self.known.entry((p.info.pid, p.info.start_ns)).or_insert_with(fresh);
        k.poll = self.poll;
        if let Ok(fds) = &p.fds {
            // Where a poll may not count all, the figure is of when it was counted.
            let read = if fds.open_at_ns == 0 { now } else { fds.open_at_ns };
            if k.history.points().last().is_none_or(|l| l.0 < read) {
                k.history.push(read, u64::from(fds.open));
            }
            if let Some(kinds) = fds.kinds.filter(|n| k.kinds.points().last().is_none_or(|l| l.1 != *n)) {
                k.kinds.push(now, kinds);
            }
        }
        let full_in =
            p.fds.as_ref().ok().and_then(|f| trend::full_in(k.history.points(), u64::from(f.open), f.soft?));
        ProcessFacts {
            fds_full_in: full_in,
            fds_growing: growing(k.kinds.points(), now),
            fds_per_min: trend::per_minute(k.history.points()),
            fd_history: k.history.points().to_vec(),
            first_seen_ns: k.first_seen_ns,
            ..ProcessFacts::default()
        }
    }
}

/// The kind that became more by most since the first reading that is kept, and by how many a minute.
fn growing(series: &[(u64, FdKinds)], now: u64) -> Option<(FdKind, f64)> {
    let ((began, first), (_, last)) = (series.first()?, series.last()?);
    let minutes = now.saturating_sub(*began) as f64 / 60e9;
    let more = |k: FdKind| i64::from(last.get(k)) - i64::from(first.get(k));
    // Of equals the first in the order of display.
    let (kind, n) = FdKind::ALL.iter().rev().map(|(k, _)| (*k, more(*k))).max_by_key(|(_, n)| *n)?;
    (n > 0 && minutes > 0.0).then(|| (kind, n as f64 / minutes))
}

/// Gives each process its sockets, and counts them. Returns the rows, process by process.
fn share_out(
    sample: &Sample,
    sockets: &[Socket],
    facts: &[SocketFacts],
    rates: &[Rates],
    out: &mut [ProcessFacts],
) -> Vec<u32> {
    // A counting sort of (process, row): how many each has, where each begins, then the rows.
    for f in facts {
        each(sample, f, |p| out[p].sockets.1 += 1);
    }
    let mut total = 0;
    for p in &mut *out {
        let n = p.sockets.1;
        p.sockets = (total, total);
        total += n;
    }
    let mut rows = vec![0u32; total as usize];
    for (row, f) in facts.iter().enumerate() {
        let s = &sockets[row];
        each(sample, f, |p| {
            let p = &mut out[p];
            rows[p.sockets.1 as usize] = row as u32;
            p.sockets.1 += 1;
            p.states.add(s.state);
            p.listening += u32::from(s.serves());
            if let Some(r) = rates.get(row) {
                add(&mut p.rx, r.rx);
                add(&mut p.tx, r.tx);
            }
        });
    }
    rows
}

/// Calls with each process that owns the socket, once.
fn each(sample: &Sample, f: &SocketFacts, mut call: impl FnMut(usize)) {
    let mut last = None;
    for o in &sample.owners[f.owners.0 as usize..f.owners.1 as usize] {
        if last != Some(o.process) {
            last = Some(o.process);
            call(o.process as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::growing;
    use crate::model::{FdKind, FdKinds};

    #[test]
    fn the_kind_that_grew_most() {
        let kinds = |sockets: u32, files: u32| {
            let mut k = FdKinds::default();
            (0..sockets).for_each(|_| k.add(FdKind::Socket));
            (0..files).for_each(|_| k.add(FdKind::File));
            k
        };
        let minute = 60_000_000_000;
        assert_eq!(growing(&[], minute), None);
        assert_eq!(growing(&[(0, kinds(3, 3))], minute), None, "no change yet");
        let series = [(0, kinds(3, 3)), (minute / 2, kinds(9, 4))];
        assert_eq!(growing(&series, minute), Some((FdKind::Socket, 6.0)));
        assert_eq!(growing(&[(0, kinds(3, 3)), (1, kinds(1, 3))], minute), None, "fewer");
    }
}
