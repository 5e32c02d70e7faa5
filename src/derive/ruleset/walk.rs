//! The walk of packets through the base chains of a hook, in the order of the kernel.

use super::action::{Action, Branch};
use super::destination::NewDestination;
use super::fields::Fields;
use super::interval::Intervals;
use super::mark_versions::{Mark, Written};
use super::marks::MarkWriter;
use super::nft;
use super::packets::{Field, PacketBox, narrow_all};
use super::program::{
    Base, NF_ACCEPT, NF_DROP, NF_IP_PRI_CONNTRACK, NF_QUEUE, Program, Rule, RuleId, Stage, XT_RETURN,
    is_goto, standard_verdict,
};
use super::registers::Interfaces;
use super::sets::Sets;
use super::taken::{Scope, Taken, Taking, untaken};
use super::xt;
use crate::model::nft::{NF_IP_PRI_NAT_DST, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::model::xtables::{Entry, XT_STANDARD_TARGET};
use rustc_hash::FxHashMap;

/// Work that is left for the evaluation.
#[derive(Clone, Copy, Debug)]
pub(in crate::derive) struct Limits {
    /// Rules, counting a chain each time it is jumped to.
    pub(in crate::derive) steps: u64,
    /// Boxes handled.
    pub(in crate::derive) work: u64,
}

/// Most nested jumps: `nf_tables` has at most 16 (`NFT_JUMP_STACK_SIZE`), iptables-legacy as many as chains.
const MAX_DEPTH: usize = 128;

/// Verdict on packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) enum Verdict {
    /// Accepted by a base chain; the next ones follow.
    Accept,
    Drop,
    /// Dropped and answered.
    Reject,
    /// Passed to a program.
    Queue,
    /// Not seen by connection tracking, and so never translated.
    Untracked,
    /// Sent to another destination.
    Nat(NewDestination),
}

impl Verdict {
    /// Effect of a rule that stops packets, in one word.
    pub(in crate::derive) const fn done(self) -> &'static str {
        match self {
            Self::Reject => "rejected",
            Self::Queue => "queued",
            _ => "dropped",
        }
    }
}

/// For these packets, this verdict, by this rule.
#[derive(Debug)]
pub(in crate::derive) struct Outcome<'a> {
    /// The rule; for the policy of a chain, see [`Program::location`].
    pub(in crate::derive) rule: RuleId,
    pub(in crate::derive) verdict: Verdict,
    /// The packets that meet the conditions of the jumps to the rule and its own.
    pub(in crate::derive) packets: &'a [PacketBox],
    /// Packets that earlier rules took; see [`super::taken::left`].
    pub(in crate::derive) taken: &'a [Scope],
    /// Number of the new destination; 0 for other verdicts.
    pub(in crate::derive) destination: u32,
    /// Packets that chains of the same priority take, whose order is not known.
    pub(in crate::derive) rivals: &'a [Scope],
}

/// Packets that enter a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) struct Entrance {
    /// `NF_INET_*`.
    pub(in crate::derive) hook: u32,
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(in crate::derive) family: u8,
    /// Chains of type `nat`, which see only the first packet of a connection, and those before them; otherwise all others.
    pub(in crate::derive) nat: bool,
}

impl Entrance {
    fn packets(self) -> PacketBox {
        let mut out = PacketBox::default();
        out.set(Field::FAMILY, Intervals::value(self.family.into()));
        if self.family == NFPROTO_IPV4 {
            out.set(Field::SADDR, Intervals::span(0, u32::MAX.into()));
            out.set(Field::DADDR, Intervals::span(0, u32::MAX.into()));
        }
        // No input interface in OUTPUT and POSTROUTING, no output interface before routing: an empty name.
        let (input, output) = (matches!(self.hook, 0..=2), matches!(self.hook, 2..=4));
        for (field, has) in [(Field::IIF, input), (Field::OIF, output)] {
            if !has {
                out.set(field, Intervals::value(0));
            }
        }
        out.set(Field::CT_STATE, self.states());
        out
    }

    /// `NF_CT_STATE_BIT`: invalid 1, established 2, related 4, new 8, untracked 64.
    fn states(self) -> Intervals {
        let states: &[u128] = if self.nat { &[4, 8] } else { &[1, 2, 4, 8, 64] };
        Intervals::union_of(states.iter().map(|s| (*s, *s)).collect())
    }
}

/// Walks the chains of one hook and reports each verdict, within limits that are reduced by the work done. False if they
/// were used up: verdicts are missing.
pub(in crate::derive) fn walk(
    evaluation: &mut Evaluation<'_, '_>,
    entrance: Entrance,
    report: &mut dyn FnMut(&Outcome<'_>, &Fields),
) -> bool {
    evaluation.fields.reset();
    let nat = entrance.nat;
    // For translation those that come before it too.
    let fits = |base: &Base| base.is_nat == nat || nat && base.priority < NF_IP_PRI_NAT_DST;
    let stages = evaluation.program.stages(entrance.hook, entrance.family, &fits);
    let packets = Entering { entry: vec![entrance.packets()], family: entrance.family, is_tracked: false };
    run(evaluation, &stages, packets, report).complete
}

/// Rulesets and the state of their evaluation, across the hooks that a packet passes.
pub(in crate::derive) struct Evaluation<'a, 'b> {
    pub(in crate::derive) program: &'b Program<'a>,
    pub(in crate::derive) interfaces: &'b Interfaces,
    pub(in crate::derive) fields: &'b mut Fields,
    pub(in crate::derive) resolved: &'b mut Sets<'a>,
    pub(in crate::derive) limits: &'b mut Limits,
}

/// Packets that enter chains.
#[derive(Clone, Debug)]
pub(super) struct Entering {
    pub(super) entry: Vec<PacketBox>,
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(super) family: u8,
    /// Connection tracking has seen them before these chains.
    pub(super) is_tracked: bool,
}

/// Result of [`run`].
#[derive(Debug)]
pub(super) struct Passed {
    /// Packets that were taken out of the hook.
    pub(super) taken: Scope,
    /// False if the limits were used up.
    pub(super) complete: bool,
    /// False if `taken` lacks some, because they are too many parts.
    pub(super) exact: bool,
}

/// Walks base chains and reports each verdict, within limits that are reduced by the work done.
pub(super) fn run<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    stages: &[Stage],
    packets: Entering,
    report: &mut dyn FnMut(&Outcome<'_>, &Fields),
) -> Passed {
    let mut walk = Walk {
        program: evaluation.program,
        interfaces: evaluation.interfaces,
        fields: evaluation.fields,
        resolved: evaluation.resolved,
        scopes: vec![Scope::default(), Scope::default()],
        taking: HOOK,
        rivals: Vec::new(),
        is_silent: false,
        untracked_yet: false,
        packets,
        open: Vec::new(),
        destinations: FxHashMap::default(),
        report,
        limits: *evaluation.limits,
        steps: 0,
        work: 0,
        exact: true,
    };
    for tables in stages {
        match &tables[..] {
            [chains] => chains.iter().for_each(|chain| walk.call_base(*chain)),
            tied => walk.call_tied(tied),
        }
    }
    evaluation.limits.steps = evaluation.limits.steps.saturating_sub(walk.steps);
    evaluation.limits.work = evaluation.limits.work.saturating_sub(walk.work);
    let complete = walk.within_budget();
    let exact = walk.exact;
    Passed { taken: walk.scopes.swap_remove(HOOK), complete, exact }
}

/// Index of the scope of the hook.
const HOOK: usize = 0;
/// Index of the scope of one table of a tie.
const TIED: usize = 1;
/// Index of the scope of the base chain.
const BASE: usize = 2;

struct Walk<'a, 'b> {
    program: &'b Program<'a>,
    interfaces: &'b Interfaces,
    fields: &'b mut Fields,
    resolved: &'b mut Sets<'a>,
    /// Packets taken in this hook, by the table of a tie, in this base chain, and in each chain that is open.
    scopes: Vec<Scope>,
    /// [`HOOK`], or [`TIED`] while chains of equal priority are evaluated.
    taking: usize,
    /// Packets that the other tables of a tie take.
    rivals: Vec<Scope>,
    /// Verdicts are not reported.
    is_silent: bool,
    /// The chain comes before connection tracking.
    untracked_yet: bool,
    packets: Entering,
    /// Chains that are being evaluated.
    open: Vec<usize>,
    destinations: FxHashMap<NewDestination, u32>,
    report: &'b mut dyn FnMut(&Outcome<'_>, &Fields),
    limits: Limits,
    steps: u64,
    work: u64,
    /// See [`Passed::exact`].
    exact: bool,
}

impl<'a> Walk<'a, '_> {
    const fn within_budget(&self) -> bool {
        self.steps <= self.limits.steps && self.work <= self.limits.work
    }

    /// Evaluates a base chain.
    fn call_base(&mut self, chain: usize) {
        let Some(base) = self.program.chains.get(chain).and_then(|c| c.base) else { return };
        let mut entry = self.packets.entry.clone();
        if base.priority < NF_IP_PRI_CONNTRACK && !base.is_nat && !self.packets.is_tracked {
            // No connection is known yet: the state is invalid (`nft_ct_get_eval`).
            for packets in &mut entry {
                packets.set(Field::CT_STATE, Intervals::value(1));
            }
            self.untracked_yet = true;
        }
        if let Some(devices) = self.program.chains.get(chain).and_then(|c| c.devices.as_ref()) {
            narrow_all(&mut entry, self.fields.now(Field::IIF), devices);
        }
        self.scopes.push(Scope::default());
        self.call(chain, &entry, 0);
        if base.drops {
            let policy = RuleId { chain: chain as u32, rule: RuleId::POLICY };
            self.decide(policy, Verdict::Drop, &entry);
        }
        self.scopes.truncate(BASE);
        self.untracked_yet = false;
    }

    /// Evaluates chains of equal priority in several tables, which the kernel calls in an order that it does not report: each
    /// as if it came first, with what the others take beside.
    fn call_tied(&mut self, tables: &[Vec<usize>]) {
        let marks = self.fields.save_marks();
        let mut written = false;
        (self.taking, self.is_silent) = (TIED, true);
        let mut each: Vec<Scope> = Vec::with_capacity(tables.len());
        for chains in tables {
            for chain in chains {
                self.call_base(*chain);
            }
            each.push(std::mem::take(&mut self.scopes[TIED]));
            written |= self.fields.restore_marks(marks);
        }
        self.is_silent = false;
        for (i, chains) in tables.iter().enumerate() {
            let own = each.remove(i);
            self.rivals = each;
            for chain in chains {
                self.call_base(*chain);
            }
            self.scopes[TIED] = Scope::default();
            each = std::mem::take(&mut self.rivals);
            each.insert(i, own);
            self.fields.restore_marks(marks);
        }
        self.taking = HOOK;
        for scope in each {
            self.scopes[HOOK].append(scope);
        }
        if written {
            for which in [Mark::Packet, Mark::Connection] {
                self.fields.write_mark(which, vec![PacketBox::default()], Written::Unknown);
            }
        }
    }

    /// Evaluates a chain. Packets that it returns go on after the rule that called it.
    fn call(&mut self, chain: usize, entry: &[PacketBox], depth: usize) {
        let program = self.program;
        let Some(c) = program.chains.get(chain) else { return };
        // The kernel refuses loops; a ruleset that changed while it was read may have one.
        if !c.decides || self.open.contains(&chain) {
            return;
        }
        if depth > MAX_DEPTH {
            self.limits.steps = 0;
            return;
        }
        self.open.push(chain);
        self.scopes.push(Scope::default());
        for (i, rule) in c.rules.iter().enumerate() {
            self.steps += 1;
            if !self.within_budget() {
                break;
            }
            let id = RuleId { chain: chain as u32, rule: i as u32 };
            for branch in self.branches(c.table, *rule, entry) {
                self.act(id, c.table, branch, depth);
            }
        }
        self.scopes.pop();
        self.open.pop();
    }

    fn act(&mut self, id: RuleId, table: usize, branch: Branch<'_>, depth: usize) {
        let Branch { boxes, action } = branch;
        match action {
            Action::Accept => self.decide(id, Verdict::Accept, &boxes),
            Action::Drop => self.decide(id, Verdict::Drop, &boxes),
            Action::Reject => self.decide(id, Verdict::Reject, &boxes),
            Action::Queue => self.decide(id, Verdict::Queue, &boxes),
            // Later chains have no effect on tracking.
            Action::Untracked if self.untracked_yet => self.decide(id, Verdict::Untracked, &boxes),
            Action::Continue | Action::Untracked => {}
            Action::Nat(to) => self.decide(id, Verdict::Nat(to), &boxes),
            Action::Return => self.take_in_chain(id, boxes),
            Action::Jump(name) => {
                if let Some(chain) = self.program.chain_named(table, name) {
                    self.call(chain, &boxes, depth + 1);
                }
            }
            Action::JumpOffset(offset) => {
                if let Some(chain) = self.program.chain_at(table, offset) {
                    self.call(chain, &boxes, depth + 1);
                }
            }
            Action::Goto(name) => {
                if let Some(chain) = self.program.chain_named(table, name) {
                    self.call(chain, &boxes, depth + 1);
                }
                self.take_in_chain(id, boxes);
            }
            Action::GotoOffset(offset) => {
                if let Some(chain) = self.program.chain_at(table, offset) {
                    self.call(chain, &boxes, depth + 1);
                }
                self.take_in_chain(id, boxes);
            }
        }
    }

    /// Adds taken packets to a scope: those that did not leave an inner one before.
    fn take(
        &mut self,
        scope: usize,
        rule: RuleId,
        (verdict, destination): (Taking, u32),
        boxes: Vec<PacketBox>,
    ) {
        self.work += boxes.len() as u64;
        let Some((outer, inner)) = self.scopes.split_at_mut_checked(scope + 1) else { return };
        for packets in boxes {
            match untaken(inner, &packets) {
                Some(parts) => {
                    for mut packets in parts {
                        if self.untracked_yet && scope < BASE {
                            packets = packets.without(Field::CT_STATE);
                        }
                        outer[scope].add(Taken { packets, rule, destination, verdict });
                    }
                }
                // Then known only until the chain ends.
                None => {
                    self.exact &= scope >= BASE;
                    if let Some(last) = inner.last_mut() {
                        last.add(Taken { packets, rule, destination, verdict });
                    }
                }
            }
        }
    }

    /// Packets that leave this chain.
    fn take_in_chain(&mut self, rule: RuleId, boxes: Vec<PacketBox>) {
        self.take(self.scopes.len() - 1, rule, (Taking::Moved, 0), boxes);
    }

    fn decide(&mut self, rule: RuleId, verdict: Verdict, packets: &[PacketBox]) {
        let next = self.destinations.len() as u32 + 1;
        let destination = match verdict {
            Verdict::Nat(to) => *self.destinations.entry(to).or_insert(next),
            _ => 0,
        };
        if !self.is_silent {
            let (taken, rivals) = (&self.scopes[..], &self.rivals[..]);
            (self.report)(&Outcome { rule, verdict, packets, taken, destination, rivals }, self.fields);
        }
        // An accepted packet is done with this base chain, a translated or dropped one with the hook.
        let scope = if verdict == Verdict::Accept { BASE } else { self.taking };
        let taking = match verdict {
            Verdict::Drop => Taking::Dropped,
            Verdict::Reject => Taking::Rejected,
            Verdict::Queue => Taking::Queued,
            Verdict::Accept | Verdict::Untracked | Verdict::Nat(_) => Taking::Moved,
        };
        self.take(scope, rule, (taking, destination), packets.to_vec());
    }

    /// The packets that a rule matches, each with what it does to them.
    fn branches(&mut self, table: usize, rule: Rule<'a>, entry: &[PacketBox]) -> Vec<Branch<'a>> {
        match rule {
            Rule::Nft(rule) => {
                let mut context = nft::Context {
                    sets: &self.program.tables[table].sets,
                    resolved: self.resolved,
                    fields: self.fields,
                    interfaces: self.interfaces,
                    family: self.packets.family,
                    scopes: self.scopes.get(BASE..).unwrap_or(&[]),
                    all_scopes: &self.scopes,
                    untracked_yet: self.untracked_yet,
                    work: &mut self.work,
                };
                nft::branches(&mut context, &rule.expressions, entry)
            }
            Rule::Legacy(e) => {
                let v6 = self.packets.family == NFPROTO_IPV6;
                let mut boxes = entry.to_vec();
                xt::narrow_entry(&mut boxes, self.fields, e, v6);
                self.work += 1 + boxes.len() as u64;
                self.fields.resolve_marks(&mut boxes);
                if boxes.is_empty() {
                    return Vec::new();
                }
                let mut writer = MarkWriter {
                    fields: self.fields,
                    scopes: self.scopes.get(BASE..).unwrap_or(&[]),
                    untracked_yet: self.untracked_yet,
                };
                let action = entry_action(&mut writer, &mut boxes, e, v6);
                action.map(|action| Branch { boxes, action }).into_iter().collect()
            }
        }
    }
}

/// Action of an entry of iptables-legacy.
fn entry_action<'a>(
    writer: &mut MarkWriter<'_>,
    boxes: &mut Vec<PacketBox>,
    e: &'a Entry,
    v6: bool,
) -> Option<Action<'a>> {
    if &*e.target.name != XT_STANDARD_TARGET {
        let target = (&*e.target.name, e.target.revision.into(), &*e.target.info);
        return nft::apply_target(writer, boxes, target, v6);
    }
    let verdict = standard_verdict(e)?;
    // Negative: a verdict, minus one.
    Some(match verdict {
        XT_RETURN => Action::Return,
        v if v < 0 => match -v - 1 {
            NF_ACCEPT => Action::Accept,
            NF_QUEUE => Action::Queue,
            NF_DROP => Action::Drop,
            _ => Action::Continue,
        },
        v => match v.cast_unsigned() {
            // A rule without target.
            offset if offset == e.offset + e.len => Action::Continue,
            offset if is_goto(e, v6) => Action::GotoOffset(offset),
            offset => Action::JumpOffset(offset),
        },
    })
}
