//! DNS questions with their answers (RFC 1035), as captured on port 53.

use super::EventProcess;
use crate::model::addr::{Addr, Endpoint};
use crate::model::proto::Proto;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// Most addresses of an answer that are kept.
pub const DNS_ADDRS: usize = 4;

/// Outcome of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsOutcome {
    /// An answer came, with this response code (RFC 1035, 4.1.1).
    Answered(u8),
    /// No answer within the time a resolver library waits (`timeout` of resolv.conf(5): 5 s).
    Timeout,
}

impl DnsOutcome {
    /// Response codes with their names (IANA, DNS RCODEs).
    const RCODES: [(u8, &'static str); 11] = [
        (0, "NOERROR"),
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (3, "NXDOMAIN"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
        (6, "YXDOMAIN"),
        (7, "YXRRSET"),
        (8, "NXRRSET"),
        (9, "NOTAUTH"),
        (10, "NOTZONE"),
    ];

    /// Names of all outcomes that have one.
    pub fn names() -> Vec<&'static str> {
        Self::RCODES.iter().map(|(_, name)| *name).chain(["TIMEOUT"]).collect()
    }

    /// Name of the response code, or `TIMEOUT`.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Timeout => Cow::Borrowed("TIMEOUT"),
            Self::Answered(code) => Self::RCODES
                .iter()
                .find(|(c, _)| *c == code)
                .map_or_else(|| Cow::Owned(format!("RCODE{code}")), |(_, name)| Cow::Borrowed(*name)),
        }
    }

    /// The outcome of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let known = Self::RCODES.iter().find(|(_, n)| *n == name).map(|(code, _)| Self::Answered(*code));
        known.or_else(|| (name == "TIMEOUT").then_some(Self::Timeout))
    }

    /// True if the resolver failed: no answer, or one that a client cannot use. A name that does not exist (`NXDOMAIN`) is
    /// an answer.
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Answered(0 | 3))
    }
}

/// Types of questions with their names (IANA, Resource Record TYPEs).
const TYPES: [(u16, &str); 26] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (39, "DNAME"),
    (43, "DS"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (52, "TLSA"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (257, "CAA"),
];

/// Names of the types of questions that have one.
pub fn dns_types() -> Vec<&'static str> {
    TYPES.iter().map(|(_, name)| *name).collect()
}

/// Number of the type of this name.
pub fn dns_type(name: &str) -> Option<u16> {
    TYPES.iter().find(|(_, n)| *n == name).map(|(number, _)| *number)
}

/// Name of a type of question; `TYPE65280` for one without a name (RFC 3597).
pub fn dns_type_name(number: u16) -> Cow<'static, str> {
    let known = TYPES.iter().find(|(n, _)| *n == number);
    known.map_or_else(|| Cow::Owned(format!("TYPE{number}")), |(_, name)| Cow::Borrowed(*name))
}

/// One question, answered or not. Times are nanoseconds after boot (`CLOCK_BOOTTIME`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsQuery {
    /// Time of the question, as the kernel stamped its first packet.
    pub asked_ns: u64,
    /// Time from the question to its answer, nanoseconds; until it was given up if there was none.
    pub took_ns: u64,
    /// Network namespace: an index of [`super::Sample::namespaces`].
    pub netns: u16,
    /// Transport protocol: UDP or TCP.
    pub proto: Proto,
    /// Address and port that asked.
    pub client: Endpoint,
    /// Address and port of the resolver.
    pub server: Endpoint,
    /// True if the question came from another host or namespace: to a resolver here, or forwarded.
    pub inbound: bool,
    /// Identifier of the message.
    pub id: u16,
    /// Name asked for, in lower case and without the final dot; octets other than printable ASCII as `\DDD`.
    pub name: Box<str>,
    /// Type of the question (`A` is 1).
    pub qtype: u16,
    /// Answer or timeout.
    pub outcome: DnsOutcome,
    /// True if the answer was cut short (`TC`): the client asks once more by TCP.
    pub truncated: bool,
    /// Number of records in the answer section.
    pub answers: u16,
    /// First addresses of the answer, at most [`DNS_ADDRS`].
    pub addrs: Vec<Addr>,
    /// Number of times the question was sent.
    pub tries: u32,
    /// Process that asked; `None` if unknown.
    pub process: Option<Arc<EventProcess>>,
    /// User id of the socket that asked; `None` if unknown.
    pub uid: Option<u32>,
}

/// DNS questions that were answered or given up since the previous poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// True if packets are captured in at least one network namespace.
    pub on: bool,
    /// Reason why nothing is captured, or what is not known; empty if there is none.
    pub reason: Arc<str>,
    /// Time since which packets are captured, nanoseconds after boot.
    pub since_ns: u64,
    /// Questions, in the order of the times at which they were answered or given up.
    pub list: Vec<DnsQuery>,
    /// Questions that wait for their answer.
    pub waiting: u32,
    /// Packets that the kernel dropped because the receive buffer was full, and questions above the most that are kept.
    pub lost: u64,
}
