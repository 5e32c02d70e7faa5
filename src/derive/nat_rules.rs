//! NAT rules: raw firewall rulesets of a sample, evaluated to the destinations that they translate.

mod filtered;
mod rows;
mod rule;
#[cfg(test)]
mod tests;

use crate::derive::ruleset::fields::Fields;
use crate::derive::ruleset::program::Program;
use crate::derive::ruleset::sets::Sets;
use crate::derive::ruleset::walk::{Entrance, Evaluation, Limits, Verdict, walk};
use crate::model::nft::{NF_INET_LOCAL_OUT, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::model::{FaultKind, FaultSubject, Faults, Netfilter, Sample};
use rows::Rows;
pub(super) use rule::NatRule;
use std::collections::{BTreeMap, BTreeSet};

/// Most rows of the namespace of this process.
const OWN_ROWS: usize = 100_000;
/// Work for the namespace of this process.
const OWN_LIMITS: Limits = Limits { steps: 8_000_000, work: 8_000_000 };
/// Work for the filter rules behind the translations of that namespace.
const OWN_FILTER_LIMITS: Limits = Limits { steps: 2_000_000, work: 4_000_000 };
/// Work for the filter rules of another namespace.
const OTHER_FILTER_LIMITS: Limits = Limits { steps: 100_000, work: 200_000 };
/// Most rows of another namespace: any user can create one and fill it.
const OTHER_ROWS: usize = 10_000;
/// Most rows of all other namespaces.
const ALL_ROWS: usize = 30_000;
/// Work for another namespace.
const OTHER_LIMITS: Limits = Limits { steps: 200_000, work: 1_000_000 };
/// Work for all other namespaces.
const ALL_LIMITS: Limits = Limits { steps: 2_000_000, work: 8_000_000 };

/// All rules that translate a destination, in the order of namespaces and hooks, and faults of the evaluation.
pub(super) fn evaluate(sample: &Sample, netfilter: &Netfilter) -> (Vec<NatRule>, Faults) {
    let nft = netfilter.nft.iter().map(|r| r.netns);
    let all: BTreeSet<u16> = nft.chain(netfilter.iptables.iter().map(|t| t.netns)).collect();
    let (mut rules, mut faults) = (Vec::new(), Faults::default());
    let no_interfaces = BTreeMap::new();
    let (mut rows_left, mut limits_left) = (ALL_ROWS, ALL_LIMITS);
    for netns in all {
        let nft = netfilter.nft.iter().filter(|r| r.netns == netns);
        let legacy = netfilter.iptables.iter().filter(|t| t.netns == netns);
        let subject =
            if nft.clone().next().is_some() { FaultSubject::NftRules } else { FaultSubject::IptablesRules };
        let program = Program::new(nft, legacy);
        let interfaces = sample.namespaces.get(usize::from(netns)).map_or(&no_interfaces, |n| &n.interfaces);
        let mut fields = Fields::default();
        let own = netns == 0;
        let before = Limits {
            steps: OTHER_LIMITS.steps.min(limits_left.steps),
            work: OTHER_LIMITS.work.min(limits_left.work),
        };
        let mut limits = if own { OWN_LIMITS } else { before };
        // Rows whose filter rules are not evaluated report it.
        let mut filter_limits = if own { OWN_FILTER_LIMITS } else { OTHER_FILTER_LIMITS };
        let mut rows = Rows::new(netns, sample, if own { OWN_ROWS } else { OTHER_ROWS.min(rows_left) });
        let mut complete = true;
        for hook in [NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT] {
            for family in [NFPROTO_IPV4, NFPROTO_IPV6] {
                let entrance = Entrance { hook, family, nat: true };
                let from = rows.len();
                let mut resolved = Sets::default();
                let mut evaluation = Evaluation {
                    program: &program,
                    interfaces,
                    fields: &mut fields,
                    resolved: &mut resolved,
                    limits: &mut limits,
                };
                complete &= walk(&mut evaluation, entrance, &mut |outcome, fields| {
                    if let Verdict::Nat(to) = outcome.verdict {
                        rows.add(&program, fields, entrance, outcome, to);
                    }
                });
                evaluation.limits = &mut filter_limits;
                rows.follow(&mut evaluation, entrance, from);
            }
        }
        let (found, all_rows) = rows.finish();
        if !own {
            rows_left = rows_left.saturating_sub(found.len());
            limits_left.steps -= before.steps - limits.steps;
            limits_left.work -= before.work - limits.work;
        }
        rules.extend(found);
        if !complete || !all_rows {
            let name = sample.namespaces.get(usize::from(netns)).map_or("", |n| &n.name);
            let of = if own || name.is_empty() { String::new() } else { format!("{name}: ") };
            faults.add(FaultKind::Failed, subject, format!("{of}too many rules: not all were evaluated"));
        }
    }
    (rules, faults)
}
