//! The firewall in front of listeners: what the filter rules of their namespace do with connections of other hosts.

#[cfg(test)]
mod tests;

use super::nat_rules::NatRule;
use super::ruleset::arrivals::{Arrivals, Arrived, Part};
use super::ruleset::fields::Fields;
use super::ruleset::interval::Intervals;
use super::ruleset::local_addresses;
use super::ruleset::program::Program;
use super::ruleset::sets::Sets;
use super::ruleset::text;
use super::ruleset::walk::{Evaluation, Limits};
use crate::model::snapshot::Port;
use crate::model::{FilterVerdict, Filtered, Netfilter, Proto, Sample, Scope, Socket};
use std::collections::{BTreeMap, BTreeSet};

/// Work for the rules of the namespace of this process, for all ports of a protocol and family.
const OWN_LIMITS: Limits = Limits { steps: 1_000_000, work: 2_000_000 };
/// The same for another namespace: any user can create one and fill it.
const OTHER_LIMITS: Limits = Limits { steps: 50_000, work: 100_000 };
/// Most rules that are named.
const MAX_RULES: usize = 4;
/// Most alternatives that are written out.
const MAX_ALTERNATIVES: usize = 4;
/// Reason of a verdict that is missing.
const TRANSLATED: &str = "a rule translates the destination";

/// Sets [`Port::filtered`] of the listeners that other hosts can address.
pub(super) fn evaluate(
    sample: &Sample,
    netfilter: &Netfilter,
    rules: &[NatRule],
    sockets: &[Socket],
    ports: &mut [Port],
) {
    let read = |n: u16| {
        netfilter.nft.iter().any(|r| r.netns == n) || netfilter.iptables.iter().any(|t| t.netns == n)
    };
    let is_wanted = |p: &Port| p.scope != Scope::Loopback && protocol(p.proto).is_some() && read(p.netns);
    let all: BTreeSet<u16> = ports.iter().filter(|p| is_wanted(p)).map(|p| p.netns).collect();
    for netns in all {
        let nft = netfilter.nft.iter().filter(|r| r.netns == netns);
        let legacy = netfilter.iptables.iter().filter(|t| t.netns == netns);
        let mut rows: Vec<&mut Port> =
            ports.iter_mut().filter(|p| p.netns == netns && is_wanted(p)).collect();
        let namespace = Namespace { sample, netns, program: Program::new(nft, legacy), rules, sockets };
        namespace.evaluate(&mut rows);
    }
}

/// Protocols whose listeners have a port that rules match on, with their numbers (`IPPROTO_*`).
fn protocols() -> impl Iterator<Item = (Proto, u8)> {
    (0..=u8::MAX).filter_map(|n| Some((Proto::from_ip_number(n)?, n)))
}

/// The protocol whose packets a listener gets.
fn protocol(proto: Proto) -> Option<Proto> {
    let of_packets = if proto == Proto::Mptcp { Proto::Tcp } else { proto };
    protocols().any(|(p, _)| p == of_packets).then_some(of_packets)
}

struct Namespace<'a> {
    sample: &'a Sample,
    netns: u16,
    program: Program<'a>,
    rules: &'a [NatRule],
    sockets: &'a [Socket],
}

/// Verdict of one family.
#[derive(PartialEq, Eq)]
struct OfFamily {
    verdict: FilterVerdict,
    detail: String,
}

impl Namespace<'_> {
    fn evaluate(&self, rows: &mut [&mut Port]) {
        let no_interfaces = BTreeMap::new();
        let namespace = self.sample.namespaces.get(usize::from(self.netns));
        let interfaces = namespace.map_or(&no_interfaces, |n| &n.interfaces);
        let local = local_addresses::of(&self.sample.addresses, self.netns);
        for (proto, number) in protocols() {
            let of_proto: Vec<usize> =
                (0..rows.len()).filter(|i| protocol(rows[*i].proto) == Some(proto)).collect();
            let mut found: Vec<Vec<(bool, OfFamily)>> = of_proto.iter().map(|_| Vec::new()).collect();
            for v6 in [false, true] {
                let serves: Vec<usize> =
                    (0..of_proto.len()).filter(|i| self.serves(rows[of_proto[*i]], v6)).collect();
                let each = serves.iter().map(|i| u128::from(rows[of_proto[*i]].local.port));
                let ports = Intervals::union_of(each.map(|p| (p, p)).collect());
                if ports.is_empty() {
                    continue;
                }
                let all =
                    local.as_ref().map_or_else(|| text::all_addresses(v6), |l| l[usize::from(v6)].clone());
                let addrs = all.subtract(&local_addresses::loopback(v6));
                if addrs.is_empty() {
                    continue;
                }
                let (mut fields, mut resolved) = (Fields::default(), Sets::default());
                let mut limits = if self.netns == 0 { OWN_LIMITS } else { OTHER_LIMITS };
                let mut evaluation = Evaluation {
                    program: &self.program,
                    interfaces,
                    fields: &mut fields,
                    resolved: &mut resolved,
                    limits: &mut limits,
                };
                let arrived = Arrivals { v6, proto: number, ports, addrs }.follow(&mut evaluation);
                for i in serves {
                    let p = &rows[of_proto[i]];
                    let of_family = match &arrived {
                        None => OfFamily {
                            verdict: FilterVerdict::NotEvaluated,
                            detail: "too many filter rules".to_owned(),
                        },
                        Some(_) if self.is_translated(p, proto, v6) => {
                            OfFamily { verdict: FilterVerdict::NotEvaluated, detail: TRANSLATED.to_owned() }
                        }
                        Some(arrived) => match self.of_family(arrived, &fields, p) {
                            Some(f) => f,
                            None => continue,
                        },
                    };
                    found[i].push((v6, of_family));
                }
            }
            for (i, families) in of_proto.iter().zip(found) {
                rows[*i].filtered = both(families);
            }
        }
    }

    /// True if a listener gets packets of a family.
    fn serves(&self, p: &Port, v6: bool) -> bool {
        let is_only = || {
            let attrs = |row: &u32| self.sockets.get(*row as usize).map(|s| self.sample.attrs_of(s).v6only());
            p.sockets.iter().all(|r| attrs(r) == Some(Some(true)))
        };
        match (p.local.addr.is_v4(), v6) {
            (true, v6) => !v6,
            (false, true) => true,
            (false, false) => p.local.addr.is_any() && !is_only(),
        }
    }

    /// True if a rule sends the packets of other hosts elsewhere.
    fn is_translated(&self, p: &Port, proto: Proto, v6: bool) -> bool {
        let port = p.local.port;
        self.rules.iter().any(|r| {
            r.netns == self.netns
                && r.hooks.prerouting
                && r.shadowed_by.is_none()
                && r.host.v6 == v6
                && r.proto.is_none_or(|x| x == proto)
                && r.host.ports.is_none_or(|(a, b)| (a..=b).contains(&port))
                && r.host.addrs.is_none_or(|(a, b)| {
                    p.local.addr.is_any()
                        || (text::address_value(&a)..=text::address_value(&b))
                            .contains(&text::address_value(&p.local.addr))
                })
        })
    }

    fn of_family(&self, arrived: &Arrived, fields: &Fields, p: &Port) -> Option<OfFamily> {
        let addr = Some(&p.local.addr).filter(|a| !a.is_any());
        let Part { passed, stopped } = arrived.part(fields, p.local.port, addr)?;
        let mut by: Vec<String> = Vec::new();
        for d in &stopped {
            let text = format!("{} by {}", d.verdict.done(), self.program.location(d.rule));
            if !by.contains(&text) {
                by.push(text);
            }
        }
        let (verdict, detail) = match (&passed[..], &by[..]) {
            (_, []) => (FilterVerdict::Accepted, String::new()),
            ([], by) => (FilterVerdict::Stopped, list(by, ", ", MAX_RULES)),
            // Not known of which packets: by a random choice, for example.
            (passed, by) if passed.iter().any(String::is_empty) => {
                (FilterVerdict::Partly, format!("some {}", list(by, ", ", MAX_RULES)))
            }
            (passed, by) => {
                let open = list(passed, " | ", MAX_ALTERNATIVES);
                (FilterVerdict::Partly, format!("{open} accepted, others {}", list(by, ", ", MAX_RULES)))
            }
        };
        Some(OfFamily { verdict, detail })
    }
}

fn list(all: &[String], between: &str, max: usize) -> String {
    let mut out = all.iter().take(max).map(String::as_str).collect::<Vec<_>>().join(between);
    if all.len() > max {
        out.push_str(" …");
    }
    out
}

/// The verdict on both families: the same, or each with its name.
fn both(mut families: Vec<(bool, OfFamily)>) -> Option<Filtered> {
    let (_, first) = families.first()?;
    if families.iter().all(|(_, f)| f == first) {
        let (_, f) = families.swap_remove(0);
        return Some(Filtered { verdict: f.verdict, detail: f.detail.into() });
    }
    let is_same = families.iter().all(|(_, f)| f.verdict == first.verdict);
    let verdict = if is_same { first.verdict } else { FilterVerdict::Partly };
    let each = families.iter().map(|(v6, f)| {
        let family = if *v6 { "IPv6" } else { "IPv4" };
        let detail = if f.verdict == FilterVerdict::Accepted { "accepted" } else { &f.detail };
        format!("{family} {detail}")
    });
    Some(Filtered { verdict, detail: each.collect::<Vec<_>>().join("; ").into() })
}
