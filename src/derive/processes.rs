//! What is derived for each process.

use super::{peers::add, trend};
use crate::model::snapshot::{ProcessFacts, Rates, SocketFacts};
use crate::model::{Sample, Snapshot};
use rustc_hash::FxHashMap;

/// Readings of open descriptors that are kept.
const HISTORY: usize = 60;

/// One row a process, and the rows of the sockets of each.
pub(super) fn collect(
    sample: &Sample,
    facts: &[SocketFacts],
    rates: &[Rates],
    before: Option<&Snapshot>,
) -> (Vec<ProcessFacts>, Vec<u32>) {
    let past: FxHashMap<(u32, u64), usize> = before.map_or_else(FxHashMap::default, |b| {
        b.sample.processes.iter().enumerate().map(|(i, p)| ((p.info.pid, p.info.start_ns), i)).collect()
    });
    let mut out: Vec<ProcessFacts> = sample
        .processes
        .iter()
        .map(|p| {
            let old = past.get(&(p.info.pid, p.info.start_ns)).and_then(|i| before.map(|b| &b.processes[*i]));
            let mut history = old.map(|o| o.fd_history.clone()).unwrap_or_default();
            if let Ok(fds) = &p.fds {
                if history.len() == HISTORY {
                    history.remove(0);
                }
                history.push((sample.at.boot_ns, fds.open));
            }
            ProcessFacts {
                fds_per_min: trend::per_minute(&history),
                fd_history: history,
                first_seen_ns: old.map_or(sample.at.boot_ns, |o| o.first_seen_ns),
                ..ProcessFacts::default()
            }
        })
        .collect();
    // A counting sort of (process, row): how many each has, where each begins, then the rows.
    for f in facts {
        each(sample, f, |p| out[p].sockets.1 += 1);
    }
    let mut total = 0;
    for p in &mut out {
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
    (out, rows)
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
