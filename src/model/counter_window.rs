//! What counters of a TCP connection were at earlier polls, to tell how it does lately from how it ever did.

use super::TcpInfo;

/// The window reaches back this far at the least, as soon as it was watched that long, and twice as far at the most;
/// nanoseconds.
pub const WINDOW_NS: u64 = 30_000_000_000;

/// Counters of `tcp_info` at one poll; times in milliseconds, so that a window of a minute fits and a mark is small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// When, nanoseconds after boot.
    pub at_ns: u64,
    /// Data segments sent (`tcpi_data_segs_out`).
    pub sent: u32,
    /// Segments sent again (`tcpi_total_retrans`).
    pub again: u32,
    /// With something to send (`tcpi_busy_time`), milliseconds.
    pub busy_ms: u32,
    /// Of that held back by the far end's window (`tcpi_rwnd_limited`), milliseconds.
    pub rwnd_ms: u32,
    /// Of that held back by its own send buffer (`tcpi_sndbuf_limited`), milliseconds.
    pub sndbuf_ms: u32,
}

impl Mark {
    /// The fields of `tcp_info` that it is made of.
    pub const FIELDS: [&'static str; 5] =
        ["data_segs_out", "total_retrans", "busy_time_us", "rwnd_limited_us", "sndbuf_limited_us"];

    /// Of what was read at this time; `None` where the kernel does not tell all of it.
    pub fn of(at_ns: u64, t: &TcpInfo<'_>) -> Option<Self> {
        let ms = |us: u64| (us / 1000) as u32;
        Some(Self {
            at_ns,
            sent: t.data_segs_out()? as u32,
            again: t.total_retrans()? as u32,
            busy_ms: ms(t.busy_time_us()?),
            rwnd_ms: ms(t.rwnd_limited_us()?),
            sndbuf_ms: ms(t.sndbuf_limited_us()?),
        })
    }

    /// Whether it can be of the same connection as an earlier one: none of its counters went back.
    pub const fn follows(&self, old: &Self) -> bool {
        self.sent >= old.sent && self.again >= old.again && self.busy_ms >= old.busy_ms
    }

    /// What was counted since an earlier one: with the time between them in place of the moment.
    #[must_use]
    pub const fn since(&self, old: &Self) -> Self {
        Self {
            at_ns: self.at_ns.saturating_sub(old.at_ns),
            sent: self.sent.saturating_sub(old.sent),
            again: self.again.saturating_sub(old.again),
            busy_ms: self.busy_ms.saturating_sub(old.busy_ms),
            rwnd_ms: self.rwnd_ms.saturating_sub(old.rwnd_ms),
            sndbuf_ms: self.sndbuf_ms.saturating_sub(old.sndbuf_ms),
        }
    }
}

/// Two marks: the window reaches back to the older one, and when the newer is old enough it takes its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Where the window begins.
    pub older: Option<Mark>,
    /// Where the next one will begin.
    pub newer: Option<Mark>,
}
