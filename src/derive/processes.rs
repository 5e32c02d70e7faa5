//! Processes: sockets, rates, and growth of descriptors and of connections in `CLOSE_WAIT`.

use super::peers::add;
use super::trend::{self, Series};
use crate::model::snapshot::{PackedRates, ProcessFacts, SocketFacts};
use crate::model::state_age::in_state;
use crate::model::{FdKind, FdKinds, ProcUsage, Process, Reads, Sample, Socket, State};
use rustc_hash::FxHashMap;

/// Seconds in `CLOSE_WAIT` below which a connection proves no leak: applications that close late do so within 15 s.
pub(super) const LEAK_S: f64 = 16.0;

/// Past readings of processes, by pid and start time: pids are reused.
#[derive(Debug, Default)]
pub(super) struct ProcessHistory {
    poll: u64,
    readings: FxHashMap<(u32, u64), Readings>,
}

#[derive(Debug)]
struct Readings {
    first_seen_ns: u64,
    last_poll: u64,
    /// Open descriptors, oldest first.
    fds: Series,
    /// Descriptors by kind, one entry per change.
    fd_kinds: Series<FdKinds>,
    /// Connections in `CLOSE_WAIT`, since the first one.
    close_wait: Series,
    /// CPU time and the time it was read, nanoseconds.
    cpu: Option<(u64, u64)>,
    /// Share of one core between the last two such readings.
    cpu_share: Option<f64>,
}

impl ProcessHistory {
    /// Facts of each process, and the socket rows of all, grouped by process.
    pub(super) fn collect(
        &mut self,
        sample: &Sample,
        sockets: &[Socket],
        facts: &[SocketFacts],
        rates: &[PackedRates],
    ) -> (Vec<ProcessFacts>, Vec<u32>) {
        self.poll += 1;
        let mut out: Vec<ProcessFacts> =
            sample.processes.iter().map(|p| self.observe(p, sample.at.boot_ns)).collect();
        // Without a process list a missing process proves nothing.
        if sample.wants.reads(Reads::PROCESSES) && self.readings.len() > out.len() {
            let poll = self.poll;
            self.readings.retain(|_, r| r.last_poll == poll);
        }
        for (usage, (p, facts)) in sample.usage.iter().zip(sample.processes.iter().zip(&mut out)) {
            if let (Ok(usage), Some(past)) = (usage, self.readings.get_mut(&(p.info.pid, p.info.start_ns))) {
                facts.cpu = past.cpu_share(usage);
            }
        }
        let rows = assign_sockets(sample, sockets, facts, rates, &mut out);
        // Without owners or without that state the count is unknown.
        if sample.wants.reads(Reads::OWNERS) && sample.wants.states.has(State::CloseWait) {
            let now = sample.at.boot_ns;
            for (p, own) in sample.processes.iter().zip(&mut out) {
                let of_process = rows.get(own.sockets.0 as usize..own.sockets.1 as usize).unwrap_or(&[]);
                let age = |row: &u32| {
                    let (s, f) = (&sockets[*row as usize], &facts[*row as usize]);
                    in_state(f, s, sample.attrs_of(s), now).0
                };
                let closing = of_process.iter().filter(|r| sockets[**r as usize].state == State::CloseWait);
                let oldest_s = closing.map(age).fold(0.0, f64::max);
                self.update_close_wait(p, now, oldest_s, own);
            }
        }
        (out, rows)
    }

    /// Tracks the connections of a process that the peer has closed and the process has not; the oldest is in that state for
    /// `oldest_s` seconds.
    fn update_close_wait(&mut self, p: &Process, now: u64, oldest_s: f64, facts: &mut ProcessFacts) {
        let n = u64::from(facts.states.get(State::CloseWait));
        let Some(past) = self.readings.get_mut(&(p.info.pid, p.info.start_ns)) else { return };
        if n == 0 {
            // All closed: no leak.
            past.close_wait = Series::default();
            return;
        }
        past.close_wait.push(now, n);
        facts.close_wait_per_min = trend::growth(past.close_wait.points(), n, None).0;
        facts.close_wait_leak = oldest_s >= LEAK_S && trend::is_rising(past.close_wait.points());
    }

    /// Adds a reading and returns the facts that follow from it.
    fn observe(&mut self, p: &Process, now: u64) -> ProcessFacts {
        let new = || Readings {
            first_seen_ns: now,
            last_poll: 0,
            fds: Series::default(),
            fd_kinds: Series::default(),
            close_wait: Series::default(),
            cpu: None,
            cpu_share: None,
        };
        let past = self.readings.entry((p.info.pid, p.info.start_ns)).or_insert_with(new);
        past.last_poll = self.poll;
        if let Ok(fds) = &p.fds {
            // The count may be that of an earlier scan.
            let read_ns = if fds.open_at_ns == 0 { now } else { fds.open_at_ns };
            if past.fds.points().last().is_none_or(|l| l.0 < read_ns) {
                past.fds.push(read_ns, u64::from(fds.below_soft()));
            }
            if let Some(kinds) = fds.kinds.filter(|n| past.fd_kinds.points().last().is_none_or(|l| l.1 != *n))
            {
                past.fd_kinds.push(now, kinds);
            }
        }
        let (used, soft) = p.fds.as_ref().map_or((0, None), |f| (u64::from(f.below_soft()), f.soft));
        let (per_min, full_in) = trend::growth(past.fds.points(), used, soft);
        ProcessFacts {
            fds_full_in: full_in,
            fds_growing: fastest_growing(past.fd_kinds.points(), now),
            fds_per_min: per_min,
            fd_history: past.fds.points().to_vec(),
            first_seen_ns: past.first_seen_ns,
            ..ProcessFacts::default()
        }
    }
}

impl Readings {
    /// Adds a reading of the CPU time and returns the share of one core since the previous one.
    fn cpu_share(&mut self, now: &ProcUsage) -> Option<f64> {
        match self.cpu {
            // The same reading again.
            Some((_, at_ns)) if now.at_ns <= at_ns => return self.cpu_share,
            Some((cpu_ns, at_ns)) => {
                let used = now.cpu_ns.saturating_sub(cpu_ns) as f64;
                self.cpu_share = Some(used / (now.at_ns - at_ns) as f64);
            }
            None => {}
        }
        self.cpu = Some((now.cpu_ns, now.at_ns));
        self.cpu_share
    }
}

/// Least observation, in nanoseconds, for the growth of a kind of descriptor: one descriptor in one second is no trend.
const MIN_KIND_SPAN_NS: u64 = 10_000_000_000;

/// The kind of descriptor with the largest increase since the oldest reading, and its growth per minute.
fn fastest_growing(series: &[(u64, FdKinds)], now: u64) -> Option<(FdKind, f64)> {
    let ((first_ns, first), (_, last)) = (series.first()?, series.last()?);
    let span_ns = now.saturating_sub(*first_ns);
    if span_ns < MIN_KIND_SPAN_NS {
        return None;
    }
    let minutes = span_ns as f64 / 60e9;
    let increase = |k: FdKind| i64::from(last.get(k)) - i64::from(first.get(k));
    // On a tie the first in display order.
    let (kind, n) = FdKind::ALL.iter().rev().map(|(k, _)| (*k, increase(*k))).max_by_key(|(_, n)| *n)?;
    (n > 0).then(|| (kind, n as f64 / minutes))
}

/// Sets sockets, states and rates of each process. Returns the socket rows, grouped by process.
fn assign_sockets(
    sample: &Sample,
    sockets: &[Socket],
    facts: &[SocketFacts],
    rates: &[PackedRates],
    out: &mut [ProcessFacts],
) -> Vec<u32> {
    // Counting sort of (process, row): the count of each process, its start, then the rows.
    for f in facts {
        for_each_owner(sample, f, |p| out[p].sockets.1 += 1);
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
        for_each_owner(sample, f, |p| {
            let p = &mut out[p];
            rows[p.sockets.1 as usize] = row as u32;
            p.sockets.1 += 1;
            p.states.add(s.state);
            p.listening += u32::from(s.serves());
            if let Some(r) = rates.get(row).map(|r| r.unpack()) {
                add(&mut p.rx, r.rx);
                add(&mut p.tx, r.tx);
            }
        });
    }
    rows
}

/// Calls once for each process that owns the socket.
fn for_each_owner(sample: &Sample, f: &SocketFacts, mut call: impl FnMut(usize)) {
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
    use super::{ProcessHistory, fastest_growing};
    use crate::model::{FdKind, FdKinds, Missing, ProcUsage};
    use crate::testing::{process, snapshot};

    #[test]
    fn cpu_share_is_that_between_two_readings_and_pending_before() {
        const MS: u64 = 1_000_000;
        let mut history = ProcessHistory::default();
        let mut share = |start_ns: u64, usage: Result<(u64, u64), Missing>| {
            let mut p = process(812, "x", 0, 1, 10);
            let mut info = (*p.info).clone();
            info.start_ns = start_ns;
            p.info = info.into();
            let mut sample = snapshot(vec![], vec![p], &[]).sample;
            let read = |(cpu, at)| ProcUsage { cpu_ns: cpu * MS, at_ns: at * MS, rss: None, threads: 1 };
            sample.usage = vec![usage.map(read)];
            history.collect(&sample, &[], &[], &[]).0[0].cpu
        };
        assert_eq!(share(5, Ok((40, 1_000))), None, "one reading");
        assert_eq!(share(5, Ok((540, 2_000))), Some(0.5));
        assert_eq!(share(5, Ok((540, 2_000))), Some(0.5), "not read again");
        assert_eq!(share(5, Ok((2_540, 3_000))), Some(2.0), "two cores");
        assert_eq!(share(5, Err(Missing::Gone)), None);
        assert_eq!(share(5, Ok((2_540, 5_000))), Some(0.0));
        assert_eq!(share(6, Ok((10, 6_000))), None, "another process with this pid");
    }

    #[test]
    fn fd_kind_with_largest_increase_is_fastest_growing() {
        let kinds = |sockets: u32, files: u32| {
            let mut k = FdKinds::default();
            (0..sockets).for_each(|_| k.add(FdKind::Socket));
            (0..files).for_each(|_| k.add(FdKind::File));
            k
        };
        let minute = 60_000_000_000;
        assert_eq!(fastest_growing(&[], minute), None);
        assert_eq!(fastest_growing(&[(0, kinds(3, 3))], minute), None, "no change yet");
        let series = [(0, kinds(3, 3)), (minute / 2, kinds(9, 4))];
        assert_eq!(fastest_growing(&series, minute), Some((FdKind::Socket, 6.0)));
        assert_eq!(fastest_growing(&[(0, kinds(3, 3)), (1, kinds(1, 3))], minute), None, "fewer");
    }
}
