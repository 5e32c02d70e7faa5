//! Filtering by the kernel, simulated.

use super::spec::Scenario;
use crate::model::Socket;
use crate::model::wants::{Prefilter, Side};

/// Returns true if the kernel would dump the socket; `None` if a scenario does not have what is compared.
pub(super) fn passes(p: &Prefilter, s: &Socket, scenario: &Scenario) -> Option<bool> {
    let endpoint = |side: Side| if side == Side::Local { s.local } else { s.remote };
    match p {
        Prefilter::And(all) => combine(all, s, scenario, false),
        Prefilter::Or(any) => combine(any, s, scenario, true),
        Prefilter::Not(p) => passes(p, s, scenario).map(|b| !b),
        Prefilter::Ports { side, low, high } => Some((*low..=*high).contains(&endpoint(*side).port)),
        Prefilter::Prefix { side, addr, len } => Some(endpoint(*side).addr.in_prefix(addr, *len)),
        Prefilter::Iface(name) => Some(scenario.interfaces.get(&s.iface).is_some_and(|n| n == name)),
        Prefilter::Mark { .. } | Prefilter::Cgroup(_) | Prefilter::AutoBound => None,
    }
}

/// AND (`decisive` is false) or OR (`decisive` is true): one decisive operand is enough, otherwise an unknown one makes the
/// result unknown.
fn combine(all: &[Prefilter], s: &Socket, scenario: &Scenario, decisive: bool) -> Option<bool> {
    let mut unknown = false;
    for p in all {
        match passes(p, s, scenario) {
            Some(b) if b == decisive => return Some(decisive),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { None } else { Some(!decisive) }
}
