//! The walk of packets through the base chains of a hook, in the order of the kernel.

use super::action::{Action, Branch};
use super::destination::NewDestination;
use super::fields::Fields;
use super::interval::Intervals;
use super::nft;
use super::packets::{Field, PacketBox};
use super::program::{
    NF_ACCEPT, NF_DROP, NF_QUEUE, Program, Rule, RuleId, XT_RETURN, is_goto, standard_verdict,
};
use super::registers::Interfaces;
use super::sets::Sets;
use super::taken::{Scope, Taken, untaken};
use super::xt;
use crate::model::nft::{NFPROTO_IPV4, NFPROTO_IPV6};
use crate::model::xtables::{Entry, XT_STANDARD_TARGET};
use rustc_hash::FxHashMap;

/// Most rules evaluated for one hook and family, counting a chain each time it is jumped to.
const MAX_STEPS: u64 = 2_000_000;
/// Most boxes handled for one hook and family.
const MAX_WORK: u64 = 8_000_000;
/// Most nested jumps (`NFT_JUMP_STACK_SIZE`).
const MAX_DEPTH: usize = 16;

/// Verdict on packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) enum Verdict {
    /// Accepted by a base chain; the next ones follow.
    Accept,
    Drop,
    /// Passed to a program.
    Queue,
    /// Sent to another destination.
    Nat(NewDestination),
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
}

/// Packets that enter a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) struct Entrance {
    /// `NF_INET_*`.
    pub(in crate::derive) hook: u32,
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(in crate::derive) family: u8,
    /// Chains of type `nat`, which see only the first packet of a connection; otherwise the others.
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
        // `NF_CT_STATE_BIT`: invalid 1, established 2, related 4, new 8, untracked 64.
        let states: &[u128] = if self.nat { &[4, 8] } else { &[1, 2, 4, 8, 64] };
        out.set(Field::CT_STATE, Intervals::union_of(states.iter().map(|s| (*s, *s)).collect()));
        out
    }
}

/// Walks the chains of one hook and reports each verdict. False if a budget was used up: verdicts are missing.
pub(in crate::derive) fn walk<'a>(
    program: &Program<'a>,
    interfaces: &Interfaces,
    fields: &mut Fields,
    entrance: Entrance,
    report: &mut dyn FnMut(&Outcome<'_>, &Fields),
) -> bool {
    fields.reset();
    let mut walk = Walk {
        program,
        interfaces,
        fields,
        family: entrance.family,
        resolved: Sets::default(),
        scopes: vec![Scope::default()],
        open: Vec::new(),
        destinations: FxHashMap::default(),
        report,
        steps: 0,
        work: 0,
    };
    let entry = [entrance.packets()];
    for chain in program.bases(entrance.hook, entrance.family, entrance.nat) {
        walk.scopes.push(Scope::default());
        walk.call(chain, &entry, 0);
        if program.chains[chain].base.is_some_and(|b| b.drops) {
            let policy = RuleId { chain: chain as u32, rule: RuleId::POLICY };
            walk.decide(policy, Verdict::Drop, &entry);
        }
        walk.scopes.truncate(1);
    }
    walk.within_budget()
}

struct Walk<'a, 'b> {
    program: &'b Program<'a>,
    interfaces: &'b Interfaces,
    fields: &'b mut Fields,
    family: u8,
    resolved: Sets<'a>,
    /// Packets taken in this hook, in this base chain, and in each chain that is open.
    scopes: Vec<Scope>,
    /// Chains that are being evaluated.
    open: Vec<usize>,
    destinations: FxHashMap<NewDestination, u32>,
    report: &'b mut dyn FnMut(&Outcome<'_>, &Fields),
    steps: u64,
    work: u64,
}

impl<'a> Walk<'a, '_> {
    const fn within_budget(&self) -> bool {
        self.steps <= MAX_STEPS && self.work <= MAX_WORK
    }

    /// Evaluates a chain. Packets that it returns go on after the rule that called it.
    fn call(&mut self, chain: usize, entry: &[PacketBox], depth: usize) {
        let program = self.program;
        let Some(c) = program.chains.get(chain) else { return };
        // The kernel refuses loops; a ruleset that changed while it was read may have one.
        if depth > MAX_DEPTH || !c.decides || self.open.contains(&chain) {
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
            Action::Continue => {}
            Action::Accept => self.decide(id, Verdict::Accept, &boxes),
            Action::Drop => self.decide(id, Verdict::Drop, &boxes),
            Action::Queue => self.decide(id, Verdict::Queue, &boxes),
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
    fn take(&mut self, scope: usize, rule: RuleId, destination: u32, boxes: Vec<PacketBox>) {
        self.work += boxes.len() as u64;
        let Some((outer, inner)) = self.scopes.split_at_mut_checked(scope + 1) else { return };
        for packets in boxes {
            match untaken(inner, &packets) {
                Some(parts) => {
                    for packets in parts {
                        outer[scope].add(Taken { packets, rule, destination });
                    }
                }
                // Then known only until the chain ends.
                None => {
                    if let Some(last) = inner.last_mut() {
                        last.add(Taken { packets, rule, destination });
                    }
                }
            }
        }
    }

    /// Packets that leave this chain.
    fn take_in_chain(&mut self, rule: RuleId, boxes: Vec<PacketBox>) {
        self.take(self.scopes.len() - 1, rule, 0, boxes);
    }

    fn decide(&mut self, rule: RuleId, verdict: Verdict, packets: &[PacketBox]) {
        let next = self.destinations.len() as u32 + 1;
        let destination = match verdict {
            Verdict::Nat(to) => *self.destinations.entry(to).or_insert(next),
            _ => 0,
        };
        (self.report)(&Outcome { rule, verdict, packets, taken: &self.scopes, destination }, self.fields);
        // An accepted packet is done with this base chain, a translated or dropped one with the hook.
        let scope = usize::from(verdict == Verdict::Accept);
        self.take(scope, rule, destination, packets.to_vec());
    }

    /// The packets that a rule matches, each with what it does to them.
    fn branches(&mut self, table: usize, rule: Rule<'a>, entry: &[PacketBox]) -> Vec<Branch<'a>> {
        match rule {
            Rule::Nft(rule) => {
                let mut context = nft::Context {
                    sets: &self.program.tables[table].sets,
                    resolved: &mut self.resolved,
                    fields: self.fields,
                    interfaces: self.interfaces,
                    family: self.family,
                    work: &mut self.work,
                };
                nft::branches(&mut context, &rule.expressions, entry)
            }
            Rule::Legacy(e) => {
                let v6 = self.family == NFPROTO_IPV6;
                let mut boxes = entry.to_vec();
                xt::narrow_entry(&mut boxes, self.fields, e, v6);
                self.work += 1 + boxes.len() as u64;
                if boxes.is_empty() {
                    return Vec::new();
                }
                entry_action(self.fields, e, v6).map(|action| Branch { boxes, action }).into_iter().collect()
            }
        }
    }
}

/// Action of an entry of iptables-legacy.
fn entry_action<'a>(fields: &mut Fields, e: &'a Entry, v6: bool) -> Option<Action<'a>> {
    if &*e.target.name != XT_STANDARD_TARGET {
        return nft::apply_target(fields, &e.target.name, &e.target.info, v6);
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
