//! NAT rules: raw firewall rulesets of a sample, evaluated to the destinations that they translate.

mod rows;
mod rule;
#[cfg(test)]
mod tests;

use crate::derive::ruleset::fields::Fields;
use crate::derive::ruleset::program::Program;
use crate::derive::ruleset::walk::{Entrance, Verdict, walk};
use crate::model::nft::{NF_INET_LOCAL_OUT, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::model::{FaultKind, FaultSubject, Faults, Netfilter, Sample};
use rows::Rows;
pub(super) use rule::NatRule;
use std::collections::{BTreeMap, BTreeSet};

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
