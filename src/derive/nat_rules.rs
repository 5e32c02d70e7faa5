//! NAT rules: raw firewall rulesets of a sample, evaluated to the destinations that they translate.

mod rows;
#[cfg(test)]
mod tests;

use crate::derive::ruleset::fields::Fields;
use crate::derive::ruleset::program::Program;
use crate::derive::ruleset::walk::{Entrance, Verdict, walk};
use crate::model::nft::{NF_INET_LOCAL_OUT, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::model::{Endpoint, FaultKind, FaultSubject, Faults, ForwardKind, Hooks, Netfilter, Proto, Sample};
use rows::{Host, Rows};
use std::collections::{BTreeMap, BTreeSet};

/// Forward of one rule: host endpoint, conditions, target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NatRule {
    /// Network namespace of the rule: an index of [`Sample::namespaces`].
    pub(super) netns: u16,
    /// Hooks at which the rule is reached.
    pub(super) hooks: Hooks,
    /// Transport protocol; `None` for any.
    pub(super) proto: Option<Proto>,
    /// Destinations matched.
    pub(super) host: Host,
    /// Incoming interface matched, with `!` before an excluded one.
    pub(super) iface: Option<String>,
    /// [`ForwardKind::Dnat`] or [`ForwardKind::Redirect`].
    pub(super) kind: ForwardKind,
    /// New destination; the address is a wildcard for one of this host, or if it is unchanged. `None`: not evaluated.
    pub(super) target: Option<Endpoint>,
    /// Last address and port of a target range.
    pub(super) target_last: Option<Endpoint>,
    /// Conditions that the fields above do not cover.
    pub(super) conditions: Vec<Condition>,
    /// All conditions, field by field.
    pub(super) packets: Box<str>,
    /// Location of an earlier rule that takes every packet that this one matches.
    pub(super) shadowed_by: Option<String>,
    /// Location: `ip nat DOCKER handle 7`; for iptables-legacy `iptables-legacy nat DOCKER rule 2`.
    pub(super) location: String,
}

/// Condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Field: `source`, `mark`. `None` for the choice among several targets.
    pub(super) name: Option<Box<str>>,
    /// With values: `source 10.0.0.0/8`.
    pub(super) text: Box<str>,
}

/// All rules that translate a destination, in the order of namespaces and hooks, and faults of the evaluation.
pub(super) fn evaluate(sample: &Sample, netfilter: &Netfilter) -> (Vec<NatRule>, Faults) {
    let nft = netfilter.nft.iter().map(|r| r.netns);
    let all: BTreeSet<u16> = nft.chain(netfilter.iptables.iter().map(|t| t.netns)).collect();
    let (mut rules, mut faults) = (Vec::new(), Faults::default());
    let no_interfaces = BTreeMap::new();
    for netns in all {
        let nft = netfilter.nft.iter().filter(|r| r.netns == netns);
        let legacy = netfilter.iptables.iter().filter(|t| t.netns == netns);
        let subject =
            if nft.clone().next().is_some() { FaultSubject::NftRules } else { FaultSubject::IptablesRules };
        let program = Program::new(nft, legacy);
        let interfaces = sample.namespaces.get(usize::from(netns)).map_or(&no_interfaces, |n| &n.interfaces);
        let mut fields = Fields::default();
        let mut rows = Rows::new(netns, sample);
        let mut complete = true;
        for hook in [NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT] {
            for family in [NFPROTO_IPV4, NFPROTO_IPV6] {
                let entrance = Entrance { hook, family, nat: true };
                complete &= walk(&program, interfaces, &mut fields, entrance, &mut |outcome, fields| {
                    if let Verdict::Nat(to) = outcome.verdict {
                        rows.add(&program, fields, entrance, outcome, to);
                    }
                });
            }
        }
        let (found, all_rows) = rows.finish();
        rules.extend(found);
        if !complete || !all_rows {
            faults.add(FaultKind::Failed, subject, "too many rules: not all were evaluated");
        }
    }
    (rules, faults)
}
