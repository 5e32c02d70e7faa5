//! What the selected socket did while one looked at it.

use crate::model::{Snapshot, SocketId};
use crate::table::SOCKETS;

/// Columns whose values are followed.
pub(crate) const FOLLOWED: [&str; 9] =
    ["rx", "tx", "retrans_rate", "rtt_us", "snd_cwnd", "delivery_rate", "pacing_rate", "recv_q", "send_q"];

/// Readings that are kept: five minutes at a second.
const KEEP: usize = 300;

/// Readings of one socket, oldest first.
#[derive(Debug, Default)]
pub(crate) struct SocketHistory {
    id: Option<SocketId>,
    seq: u64,
    /// Nanoseconds after boot of the first and the last reading.
    pub(crate) span: (u64, u64),
    /// Microseconds busy, and of those limited by the far end and by its send buffer, at the first reading.
    began: Option<(u64, u64, u64)>,
    /// Beside [`FOLLOWED`]; `None` where there was no value.
    pub(crate) values: [Vec<Option<f64>>; FOLLOWED.len()],
}

impl SocketHistory {
    /// Takes one reading of this row, once a snapshot; another socket begins anew.
    pub(crate) fn follow(&mut self, snap: &Snapshot, row: usize) {
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
        if self.began.is_none() {
            let of = |t: crate::model::TcpInfo<'_>| {
                Some((t.busy_time_us()?, t.rwnd_limited_us()?, t.sndbuf_limited_us()?))
            };
            self.began = snap.attrs(row).tcp_info().and_then(of);
        }
        for (name, all) in FOLLOWED.iter().zip(&mut self.values) {
            if all.len() == KEEP {
                all.remove(0);
            }
            all.push(SOCKETS.column(name).and_then(|c| c.value(snap, row).number()));
        }
    }

    /// The same three since the first reading, of what they are now.
    pub(crate) fn busy_since(&self, busy: u64, receiver: u64, buffer: u64) -> Option<(u64, u64, u64)> {
        let (b, r, s) = self.began?;
        Some((busy.checked_sub(b)?, receiver.checked_sub(r)?, buffer.checked_sub(s)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Proto, State};
    use crate::testing::{row, snapshot};

    #[test]
    fn what_is_followed_is_a_column() {
        for name in FOLLOWED {
            assert!(SOCKETS.column(name).is_some(), "{name}");
        }
    }

    #[test]
    fn one_reading_a_snapshot_and_anew_for_another_socket() {
        let rows = ["10.0.0.9:1", "10.0.0.9:2"]
            .map(|far| row(Proto::Tcp, State::Established, "10.0.0.4:443", far, &[]));
        let mut snap = snapshot(rows.into(), vec![], &[]);
        let mut t = SocketHistory::default();
        let depth = |t: &SocketHistory| t.values[7].len();
        for seq in [1, 1, 2] {
            snap.seq = seq;
            t.follow(&snap, 0);
        }
        assert_eq!((depth(&t), t.values[7][0]), (2, Some(0.0)));
        t.follow(&snap, 1);
        assert_eq!(depth(&t), 1);
    }
}
