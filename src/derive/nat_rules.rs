//! NAT rules: raw firewall rulesets of a sample, evaluated to the destinations that they translate.

mod iptables_eval;
mod match_state;
mod nft_eval;
mod registers;
mod set_ranges;
mod xt;

use crate::model::{FaultKind, FaultSubject, Faults, NatRule, Netfilter, Sample};
use std::collections::BTreeSet;

/// Most rules evaluated per ruleset, counting a chain each time it is jumped to.
const MAX_STEPS: usize = 200_000;
/// Most NAT rules per ruleset: sets and maps make several of one.
const MAX_RULES: usize = 4096;
/// Most nested jumps; the kernel allows sixteen.
const MAX_DEPTH: usize = 16;

/// NAT rules of one ruleset.
#[derive(Debug, Default, PartialEq, Eq)]
struct Evaluation {
    rules: Vec<NatRule>,
    /// A limit was reached: rules are missing.
    truncated: bool,
}

/// All rules that translate a destination and can be reached, in the order of namespaces, and faults of the evaluation.
pub(super) fn evaluate(sample: &Sample, netfilter: &Netfilter) -> (Vec<NatRule>, Faults) {
    let nft = netfilter.nft.iter().map(|r| r.netns);
    let all: BTreeSet<u16> = nft.chain(netfilter.iptables.iter().map(|t| t.netns)).collect();
    let (mut rules, mut faults) = (Vec::new(), Faults::default());
    let mut add = |evaluation: Evaluation, subject: FaultSubject| {
        rules.extend(evaluation.rules);
        if evaluation.truncated {
            faults.add(FaultKind::Failed, subject, "too many rules: not all were evaluated");
        }
    };
    for netns in all {
        for ruleset in netfilter.nft.iter().filter(|r| r.netns == netns) {
            let interfaces = sample.namespaces.get(usize::from(netns)).map(|n| &n.interfaces);
            add(nft_eval::evaluate(ruleset, interfaces), FaultSubject::NftRules);
        }
        for table in netfilter.iptables.iter().filter(|t| t.netns == netns) {
            add(iptables_eval::evaluate(table), FaultSubject::IptablesRules);
        }
    }
    (rules, faults)
}
