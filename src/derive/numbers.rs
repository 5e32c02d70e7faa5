//! Records the numbers of a snapshot that charts show: states, processes, limits and sockets.

use crate::model::history::{Metric, Recorder, Subject};
use crate::model::{FdUsage, Snapshot, State};

/// Adds the numbers of a new snapshot to its history. Processes and sockets without traffic or descriptors of note are left out
/// unless they are watched.
pub(super) fn record(snap: &Snapshot) {
    let mut recorder = snap.numbers.recorder(snap.sample.at.boot_ns);
    for state in State::all() {
        let n = snap.sample.wants.states.has(state).then(|| f64::from(snap.states.get(state)));
        recorder.add(&Subject::State(state), &[(Metric::Used, n)]);
    }
    for limit in &snap.limits {
        recorder.add(&snap.limit_subject(limit), &[(Metric::Used, Some(limit.used as f64))]);
    }
    for row in 0..snap.sample.processes.len() {
        record_process(snap, row, &mut recorder);
    }
    for row in 0..snap.live {
        record_socket(snap, row, &mut recorder);
    }
}

fn record_process(snap: &Snapshot, row: usize, recorder: &mut Recorder<'_>) {
    let (process, facts) = (&snap.sample.processes[row], &snap.processes[row]);
    let subject = Subject::Process(process.info.pid, process.info.start_ns);
    let fds = process.fds.as_ref().ok();
    let is_near = fds.and_then(FdUsage::share).is_some_and(|share| share >= 0.5);
    let is_shown = facts.sockets.0 < facts.sockets.1 || is_near;
    if !is_shown && !recorder.follows(&subject) {
        return;
    }
    recorder.add(
        &subject,
        &[(Metric::Fds, fds.map(|f| f64::from(f.open))), (Metric::Rx, facts.rx), (Metric::Tx, facts.tx)],
    );
}

fn record_socket(snap: &Snapshot, row: usize, recorder: &mut Recorder<'_>) {
    let s = snap.socket(row);
    let subject = Subject::Socket(s.id);
    let is_active = snap.facts[row].activity[7] > 0 || s.recv_q > 0 || (s.send_q > 0 && !s.is_listener());
    let is_new = !recorder.follows(&subject);
    if is_new && !(is_active && recorder.has_room(&subject)) {
        return;
    }
    let rates = snap.rates(row);
    let rate = |v: Option<f32>| v.map(f64::from);
    let mut values = vec![
        (Metric::RecvQ, Some(f64::from(s.recv_q))),
        (Metric::SendQ, Some(f64::from(s.send_q)).filter(|_| !s.is_listener())),
        (Metric::Rx, rate(rates.rx)),
        (Metric::Tx, rate(rates.tx)),
    ];
    if recorder.is_watched(&subject) {
        let info = snap.attrs(row).tcp_info();
        let number = |v: Option<u64>| v.map(|n| n as f64);
        values.extend([
            (Metric::Retrans, rate(rates.retrans)),
            (Metric::Rtt, number(info.and_then(|t| t.rtt_us()))),
            (Metric::Cwnd, number(info.and_then(|t| t.snd_cwnd()))),
            (Metric::DeliveryRate, number(info.and_then(|t| t.delivery_rate()))),
            (Metric::PacingRate, number(info.and_then(|t| t.pacing_rate()))),
        ]);
    }
    recorder.add(&subject, &values);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Proto;
    use crate::model::snapshot::Rates;
    use crate::testing::{process, row, snapshot};

    #[test]
    fn busy_sockets_and_their_processes_are_followed_and_idle_ones_when_watched() {
        let rows = ["10.0.0.9:1", "10.0.0.9:2"]
            .map(|remote| row(Proto::Tcp, State::Established, "10.0.0.4:443", remote, &[0]));
        let mut snap = snapshot(rows.into(), vec![process(812, "nginx", 33, 20, 1024)], &[]);
        snap.facts[0].activity[7] = 9;
        snap.rates[0] = Rates { rx: Some(500.0), ..snap.rates(0) }.into();
        let socket = |row: usize| Subject::Socket(snap.socket(row).id);
        let (busy, idle) = (socket(0), socket(1));
        let mut at = snap.sample.at.boot_ns;
        for poll in 0..2 {
            snap.sample.at.boot_ns = at;
            record(&snap);
            let rx = |s: &Subject| snap.numbers.series(s, Metric::Rx).map(|s| s.slots(at, 1, 1)[0]);
            assert_eq!(rx(&busy), Some(Some((500.0, 500.0))));
            let queue = snap.numbers.series(&idle, Metric::RecvQ);
            assert_eq!(queue.is_some(), poll > 0, "watched from the second poll on");
            snap.numbers.watch(&idle);
            at += 1_000_000_000;
        }
        let state = snap.numbers.series(&Subject::State(State::Established), Metric::Used);
        assert_eq!(state.map(|s| s.len()), Some(1), "does not change");
    }
}
