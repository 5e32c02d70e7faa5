//! Forward of one rule, the result of the evaluation.

use crate::model::{Addr, Endpoint, Filtered, ForwardKind, Hooks, Proto};

/// Destinations of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::derive) struct Host {
    /// Addresses are IPv6.
    pub(in crate::derive) v6: bool,
    /// First and last address; `None` for any.
    pub(in crate::derive) addrs: Option<(Addr, Addr)>,
    /// Length of the prefix that they are, in bits.
    pub(in crate::derive) bits: Option<u8>,
    /// First and last port; `None` for any.
    pub(in crate::derive) ports: Option<(u16, u16)>,
}

/// Forward of one rule: host endpoint, conditions, target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::derive) struct NatRule {
    /// Network namespace of the rule: an index of [`crate::model::Sample::namespaces`].
    pub(in crate::derive) netns: u16,
    /// Hooks at which the rule is reached.
    pub(in crate::derive) hooks: Hooks,
    /// Transport protocol; `None` for any.
    pub(in crate::derive) proto: Option<Proto>,
    /// Destinations matched.
    pub(in crate::derive) host: Host,
    /// Incoming interface matched, with `!` before an excluded one.
    pub(in crate::derive) iface: Option<String>,
    /// [`ForwardKind::Dnat`] or [`ForwardKind::Redirect`].
    pub(in crate::derive) kind: ForwardKind,
    /// New destination; the address is a wildcard for one of this host, or if it is unchanged. `None`: not evaluated.
    pub(in crate::derive) target: Option<Endpoint>,
    /// Last address and port of a target range.
    pub(in crate::derive) target_last: Option<Endpoint>,
    /// Conditions that the fields above do not cover.
    pub(in crate::derive) conditions: Vec<Condition>,
    /// All conditions, field by field.
    pub(in crate::derive) packets: Box<str>,
    /// Location of an earlier rule that takes every packet that this one matches.
    pub(in crate::derive) shadowed_by: Option<String>,
    /// Result of the filter rules behind the translation.
    pub(in crate::derive) filtered: Option<Filtered>,
    /// Location: `ip nat DOCKER handle 7`; for iptables-legacy `iptables-legacy nat DOCKER rule 2`.
    pub(in crate::derive) location: String,
}

/// Condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::derive) struct Condition {
    /// Field: `source`, `mark`. `None` for the choice among several targets.
    pub(in crate::derive) name: Option<Box<str>>,
    /// With values: `source 10.0.0.0/8`.
    pub(in crate::derive) text: Box<str>,
}
