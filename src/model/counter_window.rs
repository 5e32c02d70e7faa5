//! Counters of a TCP connection at earlier polls, for deltas over a recent window instead of since connect.

use super::tcp_info::TcpInfo;

/// Minimum length of the window once the connection was observed that long, nanoseconds; the maximum is twice that.
pub const WINDOW_NS: u64 = 30_000_000_000;

/// Counters of `tcp_info` at one poll. Times are in milliseconds, so a window of a minute fits and a snapshot stays small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// Time of the poll, nanoseconds after boot.
    pub at_ns: u64,
    /// Data segments sent (`tcpi_data_segs_out`).
    pub sent: u32,
    /// Segments retransmitted (`tcpi_total_retrans`).
    pub retransmitted: u32,
    /// Retransmissions of segments that had arrived (`tcpi_dsack_dups`: reported by the peer); 0 before Linux 4.19.
    pub spurious: u32,
    /// Packets that a datagram socket dropped (`sk_drops`); 0 for others.
    pub drops: u32,
    /// Time with data to send (`tcpi_busy_time`), milliseconds.
    pub busy_ms: u32,
    /// Busy time limited by the receiver's window (`tcpi_rwnd_limited`), milliseconds.
    pub rwnd_ms: u32,
    /// Busy time limited by the send buffer (`tcpi_sndbuf_limited`), milliseconds.
    pub sndbuf_ms: u32,
}

impl CounterSnapshot {
    /// Fields of `tcp_info` it needs.
    pub const FIELDS: [&'static str; 6] = [
        "data_segs_out",
        "total_retrans",
        "dsack_dups",
        "busy_time_us",
        "rwnd_limited_us",
        "sndbuf_limited_us",
    ];

    /// Counters as read at this time; `None` if the kernel does not report all of them.
    pub fn new(at_ns: u64, t: &TcpInfo<'_>) -> Option<Self> {
        let ms = |us: u64| (us / 1000) as u32;
        Some(Self {
            at_ns,
            sent: t.data_segs_out()? as u32,
            retransmitted: t.total_retrans()? as u32,
            spurious: t.dsack_dups().unwrap_or(0) as u32,
            drops: 0,
            busy_ms: ms(t.busy_time_us()?),
            rwnd_ms: ms(t.rwnd_limited_us()?),
            sndbuf_ms: ms(t.sndbuf_limited_us()?),
        })
    }

    /// Counters of a datagram socket.
    pub fn of_drops(at_ns: u64, drops: u32) -> Self {
        Self { at_ns, drops, ..Self::default() }
    }

    /// True if it can belong to the same connection as an earlier one: no counter decreased.
    pub const fn follows(&self, old: &Self) -> bool {
        self.sent >= old.sent
            && self.retransmitted >= old.retransmitted
            && self.busy_ms >= old.busy_ms
            && self.drops >= old.drops
    }

    /// Increase since an earlier snapshot; `at_ns` becomes the time between the two.
    #[must_use]
    pub const fn since(&self, old: &Self) -> Self {
        Self {
            at_ns: self.at_ns.saturating_sub(old.at_ns),
            sent: self.sent.saturating_sub(old.sent),
            retransmitted: self.retransmitted.saturating_sub(old.retransmitted),
            spurious: self.spurious.saturating_sub(old.spurious),
            drops: self.drops.saturating_sub(old.drops),
            busy_ms: self.busy_ms.saturating_sub(old.busy_ms),
            rwnd_ms: self.rwnd_ms.saturating_sub(old.rwnd_ms),
            sndbuf_ms: self.sndbuf_ms.saturating_sub(old.sndbuf_ms),
        }
    }
}

/// Two snapshots: the window starts at the older one, which the newer one replaces once that is old enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterHistory {
    /// Start of the window.
    pub older: Option<CounterSnapshot>,
    /// Start of the next window.
    pub newer: Option<CounterSnapshot>,
}
