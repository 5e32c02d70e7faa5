//! Counters of the selected socket when it was selected.

use crate::model::{Snapshot, SocketId};
use std::sync::Arc;

/// Readings of one socket of one host, oldest first.
#[derive(Debug, Default)]
pub(crate) struct SocketHistory {
    id: Option<(Arc<str>, SocketId)>,
    seq: u64,
    /// Nanoseconds after boot of the first and the last reading.
    pub(crate) span: (u64, u64),
    /// Microseconds busy, receiver-limited and send-buffer-limited at the first reading.
    first: Option<(u64, u64, u64)>,
}

impl SocketHistory {
    /// Records this row, once per snapshot; starts over for another socket.
    pub(crate) fn record(&mut self, snap: &Snapshot, row: usize) {
        let id = Some((Arc::clone(&snap.sample.host), snap.socket(row).id));
        let at = snap.sample.at.boot_ns;
        if self.id != id {
            *self = Self { id, span: (at, at), ..Self::default() };
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
    fn span_starts_over_for_another_socket() {
        let rows = ["10.0.0.9:1", "10.0.0.9:2"]
            .map(|remote| row(Proto::Tcp, State::Established, "10.0.0.4:443", remote, &[]));
        let mut snap = snapshot(rows.into(), vec![], &[]);
        let mut history = SocketHistory::default();
        for seq in [1, 2] {
            snap.seq = seq;
            snap.sample.at.boot_ns += 5;
            history.record(&snap, 0);
        }
        assert_eq!(history.span.1 - history.span.0, 5);
        history.record(&snap, 1);
        assert_eq!(history.span.1 - history.span.0, 0);
    }
}
