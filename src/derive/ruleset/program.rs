//! Chains of all rulesets of a network namespace in one form, as the kernel walks them: `nf_tables` and iptables-legacy.

use super::interval::Intervals;
use super::registers::interface_name;
use crate::model::nft::{
    self, NF_INET_LOCAL_IN, NF_INET_POST_ROUTING, NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC, NFT_TABLE_F_DORMANT,
};
use crate::model::xtables::{
    self, Entry, HOOK_CHAINS, IP6T_F_GOTO, IPT_F_GOTO, XT_ERROR_TARGET, XT_STANDARD_TARGET,
};
use crate::model::{Family, text};
use rustc_hash::FxHashMap;
use std::cell::Cell;

/// `NF_IP_PRI_CONNTRACK`: connection tracking comes before the chains of higher priority.
pub(super) const NF_IP_PRI_CONNTRACK: i32 = -200;
/// Priorities of the tables of iptables (`NF_IP_PRI_*`).
const LEGACY_PRIORITIES: [(&str, i32); 5] =
    [("raw", -300), ("mangle", -150), ("nat", NF_IP_PRI_NAT_DST), ("filter", 0), ("security", 50)];
/// Priority of the ingress hook: before all chains of the hooks that follow.
const INGRESS: i32 = i32::MIN / 2;
/// Priority of the egress hook: after all chains of the hooks before.
const EGRESS: i32 = i32::MAX / 2;
/// `NF_DROP`.
pub(super) const NF_DROP: i32 = 0;
/// `NF_ACCEPT`.
pub(super) const NF_ACCEPT: i32 = 1;
/// `NF_QUEUE`.
pub(super) const NF_QUEUE: i32 = 3;

/// A rule: indexes of its chain and of the rule in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) struct RuleId {
    pub(super) chain: u32,
    /// [`RuleId::POLICY`] for the policy.
    pub(super) rule: u32,
}

impl RuleId {
    /// Index that stands for the policy of the chain.
    pub(super) const POLICY: u32 = u32::MAX;
}

/// Hook of a base chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    /// `NF_INET_*`.
    pub(super) hook: u32,
    pub(super) priority: i32,
    pub(super) drops: bool,
    pub(super) is_nat: bool,
}

/// Table of a chain.
#[derive(Debug)]
pub(super) struct ProgramTable<'a> {
    /// Family and name: `ip nat`, `iptables-legacy nat`.
    label: String,
    /// `NFPROTO_*`.
    pub(super) family: u8,
    /// Sets of `nf_tables` by name.
    pub(super) sets: FxHashMap<&'a str, &'a nft::Set>,
}

/// One rule in the form of its origin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule<'a> {
    Nft(&'a nft::Rule),
    Legacy(&'a Entry),
}

/// A chain.
#[derive(Debug)]
pub(super) struct ProgramChain<'a> {
    name: Box<str>,
    pub(super) table: usize,
    pub(super) base: Option<Base>,
    /// Input interfaces, at the ingress hook.
    pub(super) devices: Option<Intervals>,
    pub(super) rules: Vec<Rule<'a>>,
    /// A rule of this chain, or of one it jumps to, can end the evaluation.
    pub(super) decides: bool,
}

/// Base chains of one priority, by table.
pub(super) type Stage = Vec<Vec<usize>>;

/// All chains.
#[derive(Debug, Default)]
pub(in crate::derive) struct Program<'a> {
    pub(super) tables: Vec<ProgramTable<'a>>,
    pub(super) chains: Vec<ProgramChain<'a>>,
    /// Indexes of the base chains.
    bases: Vec<usize>,
    /// Chains of `nf_tables` by table and name.
    named: FxHashMap<(usize, &'a str), usize>,
    /// Chains of iptables-legacy by table and offset of the first rule.
    by_offset: FxHashMap<(usize, u32), usize>,
}

impl<'a> Program<'a> {
    /// The rulesets of one network namespace.
    pub(in crate::derive) fn new(
        nft: impl Iterator<Item = &'a nft::Ruleset>,
        legacy: impl Iterator<Item = &'a xtables::Table>,
    ) -> Self {
        let mut out = Self::default();
        for table in nft.flat_map(|r| &r.tables) {
            out.add_nft(table);
        }
        for table in legacy {
            out.add_legacy(table);
        }
        out.find_deciding();
        out.bases = (0..out.chains.len()).filter(|i| out.chains[*i].base.is_some()).collect();
        out
    }

    fn add_nft(&mut self, table: &'a nft::Table) {
        let at = self.tables.len();
        let family = match table.family {
            nft::NFPROTO_INET => "inet",
            nft::NFPROTO_IPV4 => "ip",
            nft::NFPROTO_IPV6 => "ip6",
            nft::NFPROTO_NETDEV => "netdev",
            _ => "?",
        };
        let sets = table.sets.iter().map(|s| (&*s.name, s)).collect();
        let label = format!("{family} {}", table.name);
        self.tables.push(ProgramTable { label, family: table.family, sets });
        for chain in &table.chains {
            // The chains of a dormant table are not registered.
            let hook = chain.hook.filter(|_| table.flags & NFT_TABLE_F_DORMANT == 0);
            let base = hook.and_then(|h| {
                let is_nat = chain.kind.as_deref() == Some("nat");
                let drops = chain.policy == Some(NF_DROP.cast_unsigned());
                match (table.family, h.number?) {
                    (nft::NFPROTO_NETDEV, nft::NF_NETDEV_INGRESS)
                    | (nft::NFPROTO_INET, nft::NF_INET_INGRESS) => {
                        let priority = INGRESS.saturating_add(h.priority);
                        Some(Base { hook: nft::NF_INET_PRE_ROUTING, priority, drops, is_nat })
                    }
                    (nft::NFPROTO_NETDEV, nft::NF_NETDEV_EGRESS) => {
                        let priority = EGRESS.saturating_add(h.priority);
                        Some(Base { hook: NF_INET_POST_ROUTING, priority, drops, is_nat })
                    }
                    (nft::NFPROTO_NETDEV, _) => None,
                    (_, hook) => Some(Base { hook, priority: h.priority, drops, is_nat }),
                }
            });
            let names = || chain.devices.iter().map(|d| interface_name(d)).map(|d| (d, d)).collect();
            let devices = (!chain.devices.is_empty()).then(|| Intervals::union_of(names()));
            self.named.insert((at, &chain.name), self.chains.len());
            let rules = chain.rules.iter().map(Rule::Nft).collect();
            self.chains.push(ProgramChain {
                name: chain.name.clone(),
                table: at,
                base,
                devices,
                rules,
                decides: false,
            });
        }
    }

    fn add_legacy(&mut self, table: &'a xtables::Table) {
        let at = self.tables.len();
        let v6 = table.family == Family::Inet6;
        let (program, family) =
            if v6 { ("ip6tables", nft::NFPROTO_IPV6) } else { ("iptables", nft::NFPROTO_IPV4) };
        let label = format!("{program}-legacy {}", table.name);
        self.tables.push(ProgramTable { label, family, sets: FxHashMap::default() });
        let is_error = |e: &Entry| &*e.target.name == XT_ERROR_TARGET;
        let (mut open, mut hooks) = (None, table.hooks.clone());
        hooks.sort_by_key(|h| h.first);
        for e in &table.entries {
            if let Some(h) = hooks.iter().find(|h| h.first == e.offset) {
                let name = HOOK_CHAINS.get(h.number as usize).copied().unwrap_or("?").into();
                let is_nat = &*table.name == "nat";
                let translates_source = is_nat && matches!(h.number, NF_INET_LOCAL_IN | NF_INET_POST_ROUTING);
                let priority = match LEGACY_PRIORITIES.iter().find(|(n, _)| *n == &*table.name) {
                    _ if translates_source => NF_IP_PRI_NAT_SRC,
                    known => known.map_or(0, |p| p.1),
                };
                let base = Base { hook: h.number, priority, drops: false, is_nat };
                open = Some(self.push_legacy(at, e.offset, name, Some(base)));
            }
            if is_error(e) {
                let name = text::from_c_str(&e.target.info).into();
                open = Some(self.push_legacy(at, e.offset + e.len, name, None));
                continue;
            }
            let Some(chain) = open.and_then(|c: usize| self.chains.get_mut(c)) else { continue };
            if hooks.iter().any(|h| h.underflow == e.offset) {
                if let Some(base) = &mut chain.base {
                    base.drops = standard_verdict(e).is_some_and(|v| v == -NF_DROP - 1);
                }
                open = None;
            } else {
                chain.rules.push(Rule::Legacy(e));
            }
        }
    }

    fn push_legacy(&mut self, table: usize, offset: u32, name: Box<str>, base: Option<Base>) -> usize {
        self.by_offset.insert((table, offset), self.chains.len());
        self.chains.push(ProgramChain {
            name,
            table,
            base,
            devices: None,
            rules: Vec::new(),
            decides: false,
        });
        self.chains.len() - 1
    }

    /// True if a chain can end the evaluation, by a rule or by its policy.
    pub(super) fn decides(&self, chain: usize) -> bool {
        self.chains.get(chain).is_some_and(|c| c.decides || c.base.is_some_and(|b| b.drops))
    }

    /// The chain of this name.
    pub(super) fn chain_named(&self, table: usize, name: &str) -> Option<usize> {
        self.named.get(&(table, name)).copied()
    }

    /// The chain that begins with the entry at this offset.
    pub(super) fn chain_at(&self, table: usize, offset: u32) -> Option<usize> {
        self.by_offset.get(&(table, offset)).copied()
    }

    /// Marks the chains that can end the evaluation, themselves or by a jump.
    fn find_deciding(&mut self) {
        let mut callers: Vec<Vec<usize>> = vec![Vec::new(); self.chains.len()];
        let mut open = Vec::new();
        for (i, chain) in self.chains.iter().enumerate() {
            let mut decides = false;
            for rule in &chain.rules {
                decides |= self.effects(chain.table, *rule, &mut |to| callers[to].push(i));
            }
            if decides {
                open.push(i);
            }
        }
        while let Some(i) = open.pop() {
            if !std::mem::replace(&mut self.chains[i].decides, true) {
                open.extend(&callers[i]);
            }
        }
    }

    /// True if a rule can end the evaluation by itself or changes the packet; reports the chains that it jumps to.
    fn effects(&self, table: usize, rule: Rule<'_>, jumps: &mut dyn FnMut(usize)) -> bool {
        match rule {
            Rule::Legacy(e) => match &*e.target.name {
                XT_STANDARD_TARGET => match standard_verdict(e) {
                    Some(v) if v < 0 => v != XT_RETURN,
                    Some(v) if v.cast_unsigned() != e.offset + e.len => {
                        if let Some(to) = self.chain_at(table, v.cast_unsigned()) {
                            jumps(to);
                        }
                        false
                    }
                    _ => false,
                },
                _ => true,
            },
            Rule::Nft(rule) => {
                let decides = Cell::new(false);
                let mut verdict = |data: &nft::Data| match data {
                    nft::Data::Verdict { code, chain } => {
                        decides.set(decides.get() || *code >= 0);
                        if let Some(to) = chain.as_deref().and_then(|c| self.chain_named(table, c)) {
                            jumps(to);
                        }
                    }
                    nft::Data::Value(_) => {}
                };
                for e in &rule.expressions {
                    match e {
                        nft::Expr::Immediate { data: Some(data), dreg: Some(0) } => verdict(data),
                        nft::Expr::Lookup { set: Some(set), dreg: Some(0), .. } => {
                            let set = self.tables[table].sets.get(&**set);
                            set.into_iter()
                                .flat_map(|s| &s.elements)
                                .filter_map(|e| e.data.as_ref())
                                .for_each(&mut verdict);
                        }
                        nft::Expr::Nat { .. }
                        | nft::Expr::Redir { .. }
                        | nft::Expr::Masq { .. }
                        | nft::Expr::Target { .. }
                        | nft::Expr::Meta { sreg: Some(_), .. }
                        | nft::Expr::Ct { sreg: Some(_), .. }
                        | nft::Expr::Payload { sreg: Some(_), .. } => decides.set(true),
                        nft::Expr::Other { name, .. }
                            if matches!(&**name, "reject" | "queue" | "notrack") =>
                        {
                            decides.set(true);
                        }
                        _ => {}
                    }
                }
                decides.get()
            }
        }
    }

    /// Base chains of a hook in the order of evaluation, for a family: those that fit.
    pub(super) fn stages(&self, hook: u32, family: u8, fits: &dyn Fn(&Base) -> bool) -> Vec<Stage> {
        let key = |i: &usize| {
            let c = self.chains.get(*i)?;
            let own_family = self.tables[c.table].family;
            let base = c.base.filter(|b| b.hook == hook)?;
            (fits(&base)
                && (own_family == family || matches!(own_family, nft::NFPROTO_INET | nft::NFPROTO_NETDEV)))
            .then_some((base.is_nat, base.priority))
        };
        let mut out: Vec<usize> = self.bases.iter().copied().filter(|i| key(i).is_some()).collect();
        // Of equal priority the chain registered last is called first (`nf_hook_entries_grow`).
        out.reverse();
        out.sort_by_key(key);
        let tied = out.chunk_by(|a, b| key(a) == key(b));
        let stage = |chains: &[usize]| {
            // Within a table the order is that of creation. Across tables it is not reported.
            let mut tables: Stage = Vec::new();
            for i in chains {
                let table = self.chains[*i].table;
                match tables.iter_mut().find(|t| t.first().is_some_and(|f| self.chains[*f].table == table)) {
                    Some(own) => own.push(*i),
                    None => tables.push(vec![*i]),
                }
            }
            tables
        };
        tied.map(stage).collect()
    }

    /// Location of a rule: `ip nat DOCKER handle 7`, `iptables-legacy nat DOCKER rule 2`.
    pub(in crate::derive) fn location(&self, id: RuleId) -> String {
        let Some(chain) = self.chains.get(id.chain as usize) else { return String::new() };
        let before = format!("{} {}", self.tables[chain.table].label, chain.name);
        match chain.rules.get(id.rule as usize) {
            Some(Rule::Nft(rule)) => format!("{before} handle {}", rule.handle),
            Some(Rule::Legacy(_)) => format!("{before} rule {}", id.rule + 1),
            None => format!("{before} policy"),
        }
    }
}

/// `XT_RETURN`.
pub(super) const XT_RETURN: i32 = -5;

/// Verdict or offset of a standard target.
pub(super) fn standard_verdict(e: &Entry) -> Option<i32> {
    e.target.info.first_chunk().map(|b| i32::from_ne_bytes(*b))
}

/// True if an entry jumps without returning.
pub(super) const fn is_goto(e: &Entry, v6: bool) -> bool {
    e.flags & (if v6 { IP6T_F_GOTO } else { IPT_F_GOTO }) != 0
}
