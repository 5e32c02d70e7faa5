//! DNS questions of a scenario, as written in its text.

use super::series::Series;
use crate::model::sample::DnsOutcome;
use crate::model::{Addr, Endpoint};

/// The same question in every poll.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsSpec {
    /// Name.
    pub name: String,
    /// Type.
    pub qtype: u16,
    /// Resolver.
    pub server: Endpoint,
    /// Process id.
    pub pid: u32,
    /// Questions in a poll.
    pub number: Series,
    /// Time to the answer, microseconds.
    pub took_us: Series,
    /// Answer.
    pub outcome: DnsOutcome,
    /// Addresses of the answer.
    pub addrs: Vec<Addr>,
    /// Number of times it is sent.
    pub tries: u32,
}

impl DnsSpec {
    /// One question a poll for an address, answered after 1 ms.
    pub fn new(name: &str, server: Endpoint) -> Self {
        Self {
            name: name.to_owned(),
            qtype: 1,
            server,
            pid: 0,
            number: Series::from(1),
            took_us: Series::from(1000),
            outcome: DnsOutcome::Answered(0),
            addrs: Vec::new(),
            tries: 1,
        }
    }
}
