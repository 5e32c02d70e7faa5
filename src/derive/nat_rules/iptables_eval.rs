//! Evaluates iptables-legacy tables: the built-in chain of each hook, with the chains that it jumps to.

#[cfg(test)]
mod tests;

use super::match_state::MatchState;
use super::registers::addr;
use super::{Evaluation, MAX_DEPTH, MAX_RULES, MAX_STEPS, xt};
use crate::model::xtables::{
    Entry, HOOK_CHAINS, IPT_INV_DSTIP, IPT_INV_SRCIP, IPT_INV_VIA_IN, Table, XT_ERROR_TARGET, XT_INV_PROTO,
    XT_STANDARD_TARGET,
};
use crate::model::{Family, text};
use rustc_hash::FxHashMap;

/// All rules of a table that translate a destination and can be reached.
pub(super) fn evaluate(table: &Table) -> Evaluation {
    let mut chains = FxHashMap::default();
    for e in table.entries.iter().filter(|e| &*e.target.name == XT_ERROR_TARGET) {
        chains.insert(e.offset + e.len, text::from_c_str(&e.target.info).into());
    }
    let by_offset = table.entries.iter().enumerate().map(|(i, e)| (e.offset, i)).collect();
    let mut run = Evaluator { table, chains, by_offset, steps: 0, out: Evaluation::default() };
    for hook in &table.hooks {
        let name = HOOK_CHAINS.get(hook.number as usize).copied().unwrap_or("?");
        run.chain(name, hook.first, Some(hook.underflow), &MatchState::new(Some(table.family)), 0);
    }
    run.out
}

struct Evaluator<'a> {
    table: &'a Table,
    /// Names of user-defined chains by the offset of their first rule.
    chains: FxHashMap<u32, Box<str>>,
    /// Indexes of entries by their offset.
    by_offset: FxHashMap<u32, usize>,
    steps: usize,
    out: Evaluation,
}

impl Evaluator<'_> {
    /// Evaluates a chain from this entry to its policy, or to the beginning of the next chain.
    fn chain(&mut self, name: &str, first: u32, policy: Option<u32>, state: &MatchState, depth: usize) {
        let Some(&begin) = self.by_offset.get(&first) else { return };
        let table = self.table;
        let entries = table.entries.get(begin..).unwrap_or(&[]);
        for (number, e) in (1..).zip(entries.iter().take_while(|e| policy.is_none_or(|p| e.offset < p))) {
            self.steps += 1;
            if self.steps > MAX_STEPS || depth > MAX_DEPTH {
                self.out.truncated |= self.steps > MAX_STEPS;
                return;
            }
            let state = match_entry(e, table.family, state);
            match &*e.target.name {
                XT_ERROR_TARGET => return,
                XT_STANDARD_TARGET => {
                    let verdict = e.target.info.first_chunk().map(|b| i32::from_ne_bytes(*b));
                    // Negative: a verdict. The next entry: a rule without target.
                    let jump =
                        verdict.and_then(|v| u32::try_from(v).ok()).filter(|to| *to != e.offset + e.len);
                    if let Some((to, name)) = jump.and_then(|to| Some((to, self.chains.get(&to).cloned()?))) {
                        self.chain(&name, to, None, &state, depth + 1);
                    }
                }
                target => {
                    let v6 = table.family == Family::Inet6;
                    if let Some(sent) = xt::target(target, &e.target.info, v6) {
                        let program = if v6 { "ip6tables" } else { "iptables" };
                        let location = format!("{program}-legacy {} {name} rule {number}", table.name);
                        self.add(&state, &location, sent);
                    }
                }
            }
        }
    }

    fn add(&mut self, state: &MatchState, location: &str, sent: xt::NewDestination) {
        for rule in state.nat_rules(self.table.netns, location, sent) {
            self.out.truncated |= self.out.rules.len() >= MAX_RULES;
            if self.out.rules.len() < MAX_RULES && !self.out.rules.contains(&rule) {
                self.out.rules.push(rule);
            }
        }
    }
}

/// The conditions of an entry, added to those that lead to it.
fn match_entry(e: &Entry, family: Family, before: &MatchState) -> MatchState {
    let mut state = before.clone();
    let prefix_len = |mask: &[u8; 16]| mask.iter().map(|b| b.count_ones()).sum::<u32>() as u8;
    let dest_len = prefix_len(&e.dst_mask);
    if e.invflags & IPT_INV_DSTIP != 0 {
        state.condition("destination");
    } else if dest_len > 0 {
        let dest = if family == Family::Inet6 { addr(&e.dst) } else { addr(&e.dst[..4]) };
        state.dests = dest.map(|a| (a, dest_len)).into_iter().collect();
    }
    if prefix_len(&e.src_mask) > 0 || e.invflags & IPT_INV_SRCIP != 0 {
        state.condition("source");
    }
    if e.out_iface_mask.iter().any(|b| *b != 0) {
        state.condition("out-interface");
    }
    if e.iface_mask.iter().any(|b| *b != 0) {
        // The mask covers the name, and the zero byte after it unless the name is a prefix.
        let len = e.iface_mask.iter().take_while(|b| **b != 0).count();
        let masked = &e.iface[..len];
        let more = if masked.contains(&0) { "" } else { "+" };
        let not = if e.invflags & IPT_INV_VIA_IN != 0 { "!" } else { "" };
        state.iface = Some(format!("{not}{}{more}", text::from_c_str(masked)));
    }
    match e.proto as u8 {
        0 => {}
        _ if e.invflags & XT_INV_PROTO != 0 => state.condition("protocol"),
        proto => state.proto = Some(proto),
    }
    for m in &e.matches {
        state.xt_match(&m.name, &m.info);
    }
    state
}
