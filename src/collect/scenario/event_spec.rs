//! Short connections of a scenario, and connects that fail.

use super::series::Series;
use crate::model::sample::ClosedBy;
use crate::model::{Endpoint, Proto};

/// Connections of the same kind in every poll.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSpec {
    /// Protocol.
    pub proto: Proto,
    /// Local endpoint; of outgoing connections the first one.
    pub local: Endpoint,
    /// Remote endpoint; of incoming connections the first one.
    pub remote: Endpoint,
    /// Process id.
    pub pid: u32,
    /// Connections in a poll.
    pub number: Series,
    /// Remote addresses of incoming connections.
    pub hosts: u32,
    /// True for connections to a listener.
    pub inbound: bool,
    /// Duration, microseconds.
    pub took_us: u64,
    /// Bytes received and sent.
    pub bytes: (u64, u64),
    /// Round-trip time, microseconds.
    pub rtt_us: u32,
    /// Cause of the end.
    pub end: ClosedBy,
    /// True if the connection is closed without a FIN.
    pub aborts: bool,
}

impl EventSpec {
    /// One connection a poll that lasts 20 ms and is closed here.
    pub fn new(proto: Proto, local: Endpoint, remote: Endpoint) -> Self {
        Self {
            proto,
            local,
            remote,
            pid: 0,
            number: Series::from(1),
            hosts: 1,
            inbound: false,
            took_us: 20_000,
            bytes: (0, 0),
            rtt_us: 100,
            end: ClosedBy::Here,
            aborts: false,
        }
    }
}
