//! Filter rules: for a set of packets at a hook, which verdict, by which rule; and the hooks that a packet passes after its
//! destination was translated.

use super::destination::{NewAddr, NewDestination, NewPorts};
use super::fields::Current;
use super::interval::Intervals;
use super::packets::{Field, PacketBox};
use super::program::{Base, RuleId};
use super::registers::interface_name;
use super::taken::{Taking, left};
use super::walk::{Entering, Entrance, Evaluation, Verdict, run};
use super::xt::{IPS_DST_NAT, dnat_status};
use crate::model::nft::{
    NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING, NF_INET_PRE_ROUTING,
    NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC,
};

/// Most boxes that the packets of one question are split into.
const MAX_PARTS: usize = 256;
/// `NF_CT_STATE_BIT(IP_CT_NEW)`.
const CT_NEW: u128 = 8;
/// `RTN_UNICAST`.
const RTN_UNICAST: u128 = 1;
/// `RTN_LOCAL`.
const RTN_LOCAL: u128 = 2;

/// A hook that packets pass.
#[derive(Clone, Copy, Debug)]
pub(in crate::derive) struct HookPass {
    /// `NF_INET_*`.
    pub(in crate::derive) hook: u32,
    /// Only the chains that come after the translation of destinations.
    pub(in crate::derive) is_late: bool,
    /// Only the chains that come before it, which see the packet as it came.
    pub(in crate::derive) is_early: bool,
    /// Name of the input interface if it is another one than before; empty for none.
    pub(in crate::derive) next_iif: Option<&'static str>,
}

impl HookPass {
    /// All filter chains of a hook.
    pub(in crate::derive) const fn new(hook: u32) -> Self {
        Self { hook, is_late: false, is_early: false, next_iif: None }
    }

    fn has_chain(self, base: &Base) -> bool {
        match self.hook {
            NF_INET_PRE_ROUTING | NF_INET_LOCAL_OUT => {
                !base.is_nat
                    && (!self.is_late || base.priority >= NF_IP_PRI_NAT_DST)
                    && (!self.is_early || base.priority < NF_IP_PRI_NAT_DST)
            }
            // Later ones see another source.
            NF_INET_POST_ROUTING => base.priority <= NF_IP_PRI_NAT_SRC,
            _ => true,
        }
    }

    const fn has_output(self) -> bool {
        !matches!(self.hook, NF_INET_PRE_ROUTING | NF_INET_LOCAL_IN)
    }
}

/// For these packets, this verdict, by this rule.
#[derive(Clone, Debug)]
pub(in crate::derive) struct Decision {
    pub(in crate::derive) packets: PacketBox,
    pub(in crate::derive) verdict: Verdict,
    pub(in crate::derive) rule: RuleId,
}

/// Verdicts on a set of packets.
#[derive(Debug)]
pub(in crate::derive) struct Decisions {
    /// Packets that are dropped, rejected or queued.
    pub(in crate::derive) stopped: Vec<Decision>,
    /// Packets that no rule stops.
    pub(in crate::derive) passed: Vec<PacketBox>,
    /// Verdicts of the last base chain that accepts; packets that none of them has were accepted by its policy.
    pub(in crate::derive) accepted: Vec<Decision>,
    /// Packets that a rule takes out of connection tracking.
    pub(in crate::derive) untracked: Vec<PacketBox>,
    /// False if the evaluation ran out of its limits: verdicts are missing.
    pub(in crate::derive) complete: bool,
}

/// Evaluates the chains of one hook for these packets: for each part the verdict and the rule.
pub(in crate::derive) fn decisions(
    evaluation: &mut Evaluation<'_, '_>,
    family: u8,
    pass: HookPass,
    packets: Vec<PacketBox>,
) -> Decisions {
    let mut out = Decisions {
        stopped: Vec::new(),
        passed: packets,
        accepted: Vec::new(),
        untracked: Vec::new(),
        complete: true,
    };
    let stages = evaluation.program.stages(pass.hook, family, &|base| pass.has_chain(base));
    if !stages.iter().flatten().flatten().any(|c| evaluation.program.decides(*c)) {
        return out;
    }
    evaluation.fields.current.next_iif = pass.next_iif.is_some();
    let mut entry = out.passed.clone();
    for b in &mut entry {
        if let Some(name) = pass.next_iif {
            b.set(Field::NEXT_IIF, Intervals::value(interface_name(name)));
        }
        if !pass.has_output() {
            b.set(Field::NEXT_OIF, Intervals::value(0));
        }
    }
    // Interfaces of this hook only are no property of the packets.
    let plain = |b: &PacketBox| {
        let b = b.without(Field::NEXT_IIF);
        if pass.has_output() { b } else { b.without(Field::NEXT_OIF) }
    };
    let last = stages.iter().flatten().flatten().last().copied();
    let entering = Entering { entry, family, is_tracked: !pass.is_early };
    let (accepted, untracked) = (&mut out.accepted, &mut out.untracked);
    let passed = run(evaluation, &stages, entering, &mut |outcome, _| {
        if outcome.verdict == Verdict::Accept && Some(outcome.rule.chain as usize) != last {
            return;
        }
        let parts = || outcome.packets.iter().flat_map(|b| left(outcome.taken, b, 0).packets);
        match outcome.verdict {
            Verdict::Accept => {
                let decision = |b: PacketBox| Decision {
                    packets: plain(&b),
                    verdict: Verdict::Accept,
                    rule: outcome.rule,
                };
                accepted.extend(parts().map(decision));
            }
            // Their state at that rule is not the one that later hooks see.
            Verdict::Untracked => untracked.extend(parts().map(|b| plain(&b).without(Field::CT_STATE))),
            _ => {}
        }
    });
    out.complete = passed.complete && passed.exact;
    for t in passed.taken.into_taken() {
        let verdict = match t.verdict {
            Taking::Dropped => Verdict::Drop,
            Taking::Rejected => Verdict::Reject,
            Taking::Queued => Verdict::Queue,
            Taking::Moved => continue,
        };
        let packets = plain(&t.packets);
        // The first rule that takes a packet is the one that is named.
        let mut parts = vec![packets.clone()];
        for earlier in &out.stopped {
            parts = parts.iter().flat_map(|p| p.subtract(&earlier.packets)).collect();
        }
        out.passed = out.passed.iter().flat_map(|p| p.subtract(&packets)).collect();
        if out.passed.len() > MAX_PARTS || parts.len() + out.stopped.len() > MAX_PARTS {
            out.complete = false;
            return out;
        }
        out.stopped.extend(parts.into_iter().map(|packets| Decision { packets, verdict, rule: t.rule }));
    }
    out
}

/// Packets whose destination a rule translates.
#[derive(Clone, Copy, Debug)]
pub(in crate::derive) struct Translated<'b> {
    pub(in crate::derive) entrance: Entrance,
    pub(in crate::derive) to: NewDestination,
    /// As they came.
    pub(in crate::derive) packets: &'b [PacketBox],
    /// Addresses of the namespace; `None` if they were not read.
    pub(in crate::derive) local: Option<&'b Intervals>,
}

/// Result of the filter rules for translated packets.
#[derive(Debug)]
pub(in crate::derive) enum Fate {
    /// No rule stops any of them.
    Passed,
    /// Each of them is stopped.
    Stopped(Vec<Decision>),
    /// Some of them are stopped: those of the decisions. A field that is not known from the packet as it came, such as the
    /// output interface, is a condition.
    Partly {
        stopped: Vec<Decision>,
        /// All of the packets, after the translation.
        entry: Vec<PacketBox>,
    },
    /// Reason.
    NotEvaluated(&'static str),
}

/// Follows translated packets through the hooks that come after: the routing decision, then input or forward and postrouting.
pub(in crate::derive) fn follow(evaluation: &mut Evaluation<'_, '_>, t: Translated<'_>) -> Fate {
    let marks = evaluation.fields.save_marks();
    evaluation.fields.current = Current {
        translated: true,
        new_addr: t.to.addr != NewAddr::Keep,
        new_port: t.to.ports != NewPorts::Keep,
        next_iif: false,
    };
    let fate = follow_translated(evaluation, t);
    evaluation.fields.current = Current::default();
    evaluation.fields.restore_marks(marks);
    fate
}

fn follow_translated(evaluation: &mut Evaluation<'_, '_>, t: Translated<'_>) -> Fate {
    let arrives = t.entrance.hook == NF_INET_PRE_ROUTING;
    let family = t.entrance.family;
    let late = |hook| HookPass { is_late: true, ..HookPass::new(hook) };
    let routed = |pass: HookPass| HookPass { next_iif: Some(""), ..pass };
    let looped = |hook| HookPass { next_iif: Some("lo"), ..HookPass::new(hook) };
    let (to_host, onward): (&[HookPass], &[HookPass]) = if arrives {
        (
            &[late(NF_INET_PRE_ROUTING), HookPass::new(NF_INET_LOCAL_IN)],
            &[
                late(NF_INET_PRE_ROUTING),
                HookPass::new(NF_INET_FORWARD),
                routed(HookPass::new(NF_INET_POST_ROUTING)),
            ],
        )
    } else {
        (
            &[
                late(NF_INET_LOCAL_OUT),
                routed(HookPass::new(NF_INET_POST_ROUTING)),
                looped(NF_INET_PRE_ROUTING),
                looped(NF_INET_LOCAL_IN),
            ],
            &[late(NF_INET_LOCAL_OUT), routed(HookPass::new(NF_INET_POST_ROUTING))],
        )
    };
    let (mut entry, mut passed, mut stopped) = (Vec::new(), Vec::new(), Vec::new());
    for packets in t.packets {
        let Some(packets) = translate(evaluation, &t, packets) else {
            return Fate::NotEvaluated("the new destination is not known");
        };
        let Some([local, remote]) = route(evaluation, &t, &packets) else {
            return Fate::NotEvaluated("the addresses of the namespace are not known");
        };
        for (packets, passes) in [(local, to_host), (remote, onward)] {
            let Some(packets) = packets else { continue };
            entry.push(packets.clone());
            let mut open = vec![packets];
            for pass in passes {
                let found = decisions(evaluation, family, *pass, open);
                if !found.complete {
                    return Fate::NotEvaluated("too many filter rules");
                }
                stopped.extend(found.stopped);
                open = found.passed;
            }
            passed.extend(open);
        }
    }
    if stopped.is_empty() {
        let leaves = passed.iter().any(|p: &PacketBox| p.values(Field::NEW_DADDR_TYPE).contains(RTN_UNICAST));
        if leaves && has_chains_behind(evaluation, family) {
            return Fate::NotEvaluated(
                "chains after the translation of sources, or at egress, are not evaluated",
            );
        }
        return Fate::Passed;
    }
    if passed.is_empty() && !entry.is_empty() {
        return Fate::Stopped(stopped);
    }
    Fate::Partly { stopped, entry }
}

/// True if packets that leave pass chains which decide and see another source: those are not evaluated.
fn has_chains_behind(evaluation: &Evaluation<'_, '_>, family: u8) -> bool {
    let is_behind = |base: &Base| !base.is_nat && base.priority > NF_IP_PRI_NAT_SRC;
    let stages = evaluation.program.stages(NF_INET_POST_ROUTING, family, &is_behind);
    stages.iter().flatten().flatten().any(|c| evaluation.program.decides(*c))
}

/// The packets with their new destination.
fn translate(
    evaluation: &mut Evaluation<'_, '_>,
    t: &Translated<'_>,
    packets: &PacketBox,
) -> Option<PacketBox> {
    let mut out = packets.clone();
    if out.values(Field::CT_STATE).contains(CT_NEW) {
        out.set(Field::CT_STATE, Intervals::value(CT_NEW));
    }
    let (addrs, ports) = (out.values(Field::DADDR), out.values(Field::DPORT));
    let new_addrs = match t.to.addr {
        NewAddr::Keep => None,
        NewAddr::Local => Some(t.local?.clone()),
        NewAddr::Unknown => return None,
        NewAddr::Among(a, b) => Some(Intervals::span(a, b)),
        NewAddr::Prefix(a, b) => {
            let only = addrs.single().and_then(|d| t.to.addr.translate(d));
            Some(only.map_or_else(|| Intervals::span(a, b), Intervals::value))
        }
    };
    let new_ports = match (t.to.ports, ports.single()) {
        (NewPorts::Keep, _) => None,
        (NewPorts::Shifted(a, b, base), Some(p)) => {
            let size = u32::from(b.saturating_sub(a)) + 1;
            let distance = (p as u32).wrapping_sub(base.into()) % size;
            Some(Intervals::value(u128::from(u32::from(a) + distance)))
        }
        (NewPorts::Among(a, b) | NewPorts::Shifted(a, b, _), _) => Some(Intervals::span(a.into(), b.into())),
    };
    let differs = |new: &Option<Intervals>, old: &Intervals| new.as_ref().is_some_and(|n| !n.intersects(old));
    if differs(&new_addrs, &addrs) || differs(&new_ports, &ports) {
        let status = dnat_status(evaluation.fields);
        out.set(status, Intervals::value(IPS_DST_NAT));
    }
    for (field, values) in [(Field::NEW_DADDR, new_addrs), (Field::NEW_DPORT, new_ports)] {
        if let Some(values) = values {
            out.set(field, values);
        }
    }
    Some(out)
}

/// The packets that are for this host, and those that are sent on. `None` if that is not known.
fn route(
    evaluation: &Evaluation<'_, '_>,
    t: &Translated<'_>,
    packets: &PacketBox,
) -> Option<[Option<PacketBox>; 2]> {
    let local = t.local?;
    let addr = evaluation.fields.now(Field::DADDR);
    let part = |values: &Intervals, kind| {
        let mut part = packets.narrowed(addr, values)?;
        // A condition that the rule had on the type before.
        if addr == Field::DADDR && !part.values(Field::DADDR_TYPE).contains(kind) {
            return None;
        }
        part.set(Field::NEW_DADDR_TYPE, Intervals::value(kind));
        Some(part)
    };
    let remote =
        if t.to.addr == NewAddr::Local { None } else { part(&local.complement(u128::MAX), RTN_UNICAST) };
    Some([part(local, RTN_LOCAL), remote])
}
