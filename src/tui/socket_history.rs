//! History of the selected socket since it was selected.

use crate::model::{Snapshot, SocketId};
use crate::table::SOCKETS;

/// Columns whose values are recorded.
pub(crate) const RECORDED: [&str; 9] =
    ["rx", "tx", "retrans_rate", "rtt_us", "snd_cwnd", "delivery_rate", "pacing_rate", "recv_q", "send_q"];

/// Maximum number of readings: five minutes at one per second.
const MAX_READINGS: usize = 300;

/// Readings of one socket, oldest first.
#[derive(Debug, Default)]
pub(crate) struct SocketHistory {
    id: Option<SocketId>,
    seq: u64,
    /// Nanoseconds after boot of the first and the last reading.
    pub(crate) span: (u64, u64),
    /// Microseconds busy, receiver-limited and send-buffer-limited at the first reading.
    first: Option<(u64, u64, u64)>,
    /// Values of each of [`RECORDED`]; `None`: missing.
    pub(crate) values: [Vec<Option<f64>>; RECORDED.len()],
}

impl SocketHistory {
    /// Records this row, once per snapshot; starts over for another socket.
    pub(crate) fn record(&mut self, snap: &Snapshot, row: usize) {
        let id = snap.socket(row).id;
        let at = snap.sample.at.boot_ns;
        if self.id != Some(id) {
            *self = Self { id: Some(id), span: (at, at), ..Self::default() };
        }
        if self.seq == snap.seq || row >= snap.live {
            return;
        }
        self.seq = snap.seq;
        self.span.1 = at;
        if self.first.is_none() {
            let counters = |t: crate::model::TcpInfo<'_>| {
                Some((t.busy_time_us()?, t.rwnd_limited_us()?, t.sndbuf_limited_us()?))
            };
            self.first = snap.attrs(row).tcp_info().and_then(counters);
        }
        for (name, all) in RECORDED.iter().zip(&mut self.values) {
            if all.len() == MAX_READINGS {
                all.remove(0);
            }
            all.push(SOCKETS.column(name).and_then(|c| c.value(snap, row).number()));
        }
    }

    /// Increase of the three counters since the first reading.
    pub(crate) fn busy_since(&self, busy: u64, receiver: u64, buffer: u64) -> Option<(u64, u64, u64)> {
        let (b, r, s) = self.first?;
        Some((busy.checked_sub(b)?, receiver.checked_sub(r)?, buffer.checked_sub(s)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Proto, State};
    use crate::testing::{row, snapshot};

    #[test]
    fn recorded_names_are_columns() {
        for name in RECORDED {
            assert!(SOCKETS.column(name).is_some(), "{name}");
        }
    }

    #[test]
    fn one_reading_per_snapshot_and_reset_for_another_socket() {
        let rows = ["10.0.0.9:1", "10.0.0.9:2"]
            .map(|far| row(Proto::Tcp, State::Established, "10.0.0.4:443", far, &[]));
        let mut snap = snapshot(rows.into(), vec![], &[]);
        let mut t = SocketHistory::default();
        let depth = |t: &SocketHistory| t.values[7].len();
        for seq in [1, 1, 2] {
            snap.seq = seq;
            t.record(&snap, 0);
        }
        assert_eq!((depth(&t), t.values[7][0]), (2, Some(0.0)));
        t.record(&snap, 1);
        assert_eq!(depth(&t), 1);
    }
}
