//! What is derived for each process.

use super::peers::add;
use super::trend::{self, Series};
use crate::model::snapshot::{ProcessFacts, Rates, SocketFacts};
use crate::model::{Process, Sample};
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
}

impl Memory {
    /// One row a process, and the rows of the sockets of each.
    pub(super) fn collect(
        &mut self,
        sample: &Sample,
        facts: &[SocketFacts],
        rates: &[Rates],
    ) -> (Vec<ProcessFacts>, Vec<u32>) {
        self.poll += 1;
        let mut out: Vec<ProcessFacts> =
            sample.processes.iter().map(|p| self.meet(p, sample.at.boot_ns)).collect();
        // A poll that did not ask for processes says nothing of who is gone.
        if sample.wants.processes && self.known.len() > out.len() {
            let poll = self.poll;
            self.known.retain(|_, k| k.poll == poll);
        }
        let rows = share_out(sample, facts, rates, &mut out);
        (out, rows)
    }

    fn meet(&mut self, p: &Process, now: u64) -> ProcessFacts {
        let fresh = || Known { first_seen_ns: now, poll: 0, history: Series::default() };
        let k = self.known.entry((p.info.pid, p.info.start_ns)).or_insert_with(fresh);
        k.poll = self.poll;
        if let Ok(fds) = &p.fds {
            k.history.push(now, u64::from(fds.open));
        }
        ProcessFacts {
            fds_per_min: trend::per_minute(k.history.points()),
            fd_history: k.history.points().to_vec(),
            first_seen_ns: k.first_seen_ns,
            ..ProcessFacts::default()
        }
    }
}

/// Gives each process its sockets, and counts them. Returns the rows, process by process.
fn share_out(sample: &Sample, facts: &[SocketFacts], rates: &[Rates], out: &mut [ProcessFacts]) -> Vec<u32> {
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
        let s = &sample.sockets[row];
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
