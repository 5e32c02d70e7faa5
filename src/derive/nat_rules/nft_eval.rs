//! Evaluates `nf_tables` rules in the order of the kernel and collects what each rule that translates a destination
//! matches.

use super::match_state::{Constraint, MapEntry, MatchState};
use super::registers::{PacketField, RegValue, Registers, be16, index};
use super::set_ranges::ranges;
use super::xt::{self, NewDestination};
use super::{Evaluation, MAX_DEPTH, MAX_RULES, MAX_STEPS};
use crate::model::nft::{
    Chain, Data, Element, Expr, NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6, NFT_CMP_EQ, NFT_CMP_GT,
    NFT_CMP_GTE, NFT_CMP_LT, NFT_CMP_LTE, NFT_CMP_NEQ, NFT_LOOKUP_F_INV, NFT_META_IIF, NFT_META_IIFNAME,
    NFT_META_L4PROTO, NFT_META_MARK, NFT_META_NFPROTO, NFT_NAT_DNAT, NFT_RANGE_EQ, Ruleset, Set, Table,
};
use crate::model::{Family, NatRule, text};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// `IFNAMSIZ`: length of an interface name in a register.
const IFNAMSIZ: u32 = 16;

/// Interface names by index.
type Interfaces = BTreeMap<u32, String>;

/// A table with its chains and sets by name.
struct TableIndex<'a> {
    table: &'a Table,
    chains: FxHashMap<&'a str, &'a Chain>,
    sets: FxHashMap<&'a str, &'a Set>,
}

impl<'a> TableIndex<'a> {
    fn new(table: &'a Table) -> Self {
        Self {
            table,
            chains: table.chains.iter().map(|c| (&*c.name, c)).collect(),
            sets: table.sets.iter().map(|s| (&*s.name, s)).collect(),
        }
    }
}

/// All rules of one namespace that translate a destination and can be reached.
pub(super) fn evaluate(ruleset: &Ruleset, interfaces: Option<&Interfaces>) -> Evaluation {
    let none = Interfaces::new();
    let mut run = Evaluator {
        netns: ruleset.netns,
        interfaces: interfaces.unwrap_or(&none),
        out: Evaluation::default(),
        reached: Vec::new(),
        steps: 0,
    };
    let tables: Vec<TableIndex<'_>> = ruleset.tables.iter().map(TableIndex::new).collect();
    let base = |t| {
        let table: &TableIndex<'_> = t;
        table.table.chains.iter().filter(|c| c.nat_hook().is_some()).map(move |c| (table, c))
    };
    let mut bases: Vec<(&TableIndex<'_>, &Chain)> = tables.iter().flat_map(base).collect();
    // Received packets first: the same rules are often reached from the output hook too. At one hook the chain with the
    // lowest priority is evaluated first, and the first rule that matches a connection is the only one applied.
    bases.sort_by_key(|(t, c)| {
        (c.nat_hook(), c.hook.map_or(0, |h| h.priority), t.table.family, &*t.table.name, &*c.name)
    });
    let mut hook = None;
    for (table, chain) in bases {
        if hook != chain.nat_hook() {
            hook = chain.nat_hook();
            run.reached.clear();
        }
        let family = match table.table.family {
            NFPROTO_IPV4 => Some(Family::Inet),
            NFPROTO_IPV6 => Some(Family::Inet6),
            _ => None,
        };
        run.chain(table, &chain.name, &MatchState::new(family), 0);
    }
    run.out
}

struct Evaluator<'a> {
    netns: u16,
    interfaces: &'a Interfaces,
    out: Evaluation,
    /// Indexes of the rules reached at this hook.
    reached: Vec<usize>,
    steps: usize,
}

/// A rule that is evaluated.
struct Position<'a> {
    table: &'a TableIndex<'a>,
    chain: &'a str,
    handle: u64,
}

impl Evaluator<'_> {
    fn chain(&mut self, table: &TableIndex<'_>, name: &str, state: &MatchState, depth: usize) {
        let Some(chain) = table.chains.get(name) else { return };
        if depth > MAX_DEPTH {
            return;
        }
        for rule in &chain.rules {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                self.out.truncated = true;
                return;
            }
            let position = Position { table, chain: &chain.name, handle: rule.handle };
            self.rule(&position, &rule.expressions, state.clone(), depth);
        }
    }

    fn rule(&mut self, at: &Position<'_>, expressions: &[Expr], mut state: MatchState, depth: usize) {
        let mut regs = Registers::default();
        for expression in expressions {
            match expression {
                Expr::Payload { dreg, base, offset, len, .. } => {
                    let field = PacketField::from_payload(*base, *offset, *len, state.family);
                    regs.load(*dreg, *len, field);
                }
                Expr::Meta { dreg, key, .. } => regs.load(*dreg, Some(IFNAMSIZ), meta_field(*key)),
                Expr::Cmp { sreg, op, data } => {
                    let value = data.as_ref().and_then(Data::value);
                    self.compare(&mut state, regs.field(*sreg), *op, value);
                }
                Expr::Range { sreg, op, from, to } => {
                    let port = |d: &Option<Data>| d.as_ref().and_then(Data::value).map(be16);
                    let field = regs.field(*sreg);
                    match (field, *op, port(from), port(to)) {
                        (Some(PacketField::DestinationPort), Some(NFT_RANGE_EQ), Some(from), Some(to)) => {
                            state.ports = vec![(from, to)];
                        }
                        _ => state.condition_on(field),
                    }
                }
                Expr::Bitwise { sreg, dreg, len, mask, .. } => {
                    let mask = mask.as_ref().and_then(Data::value);
                    apply_mask(&mut state, &mut regs, (*sreg, *dreg, *len), mask);
                }
                Expr::Immediate { dreg, data: Some(data) } => match (data, dreg.and_then(index)) {
                    (Data::Verdict { chain, .. }, _) => {
                        if let Some(chain) = chain {
                            self.chain(at.table, chain, &state, depth + 1);
                        }
                    }
                    (Data::Value(value), Some(to)) => regs.store(to, value),
                    (Data::Value(_), None) => {}
                },
                Expr::Lookup { set, sreg, dreg, flags } => {
                    let set = set.as_deref().and_then(|name| at.table.sets.get(name).copied());
                    let (Some(set), Some(key)) = (set, sreg.and_then(index)) else { continue };
                    let inverted = flags.unwrap_or(0) & NFT_LOOKUP_F_INV != 0;
                    let jumps = lookup(&mut state, &mut regs, set, key, *dreg, inverted);
                    for (chain, state) in jumps {
                        self.chain(at.table, chain, &state, depth + 1);
                    }
                }
                Expr::Match { name, info, .. } => {
                    state.xt_match(name.as_deref().unwrap_or(""), info.as_deref().unwrap_or(&[]));
                }
                Expr::Target { name, info, .. } => {
                    let v6 = state.family == Some(Family::Inet6);
                    let (name, info) = (name.as_deref().unwrap_or(""), info.as_deref().unwrap_or(&[]));
                    if let Some(sent) = xt::target(name, info, v6) {
                        self.add(at, &state, |_| sent);
                    }
                }
                Expr::Nat {
                    kind: Some(NFT_NAT_DNAT),
                    family,
                    addr_min,
                    addr_max,
                    proto_min,
                    proto_max,
                    ..
                } => {
                    let len = if *family == Some(u32::from(NFPROTO_IPV6)) { 16 } else { 4 };
                    let [addr_min, addr_max, proto_min, proto_max] =
                        [addr_min, addr_max, proto_min, proto_max].map(|r| r.and_then(index));
                    self.add(at, &state, |map_value| {
                        let first = regs.addr(addr_min, len, map_value);
                        let last = regs.addr(addr_max, len, map_value);
                        let last_addr = last.filter(|last| first.is_some_and(|f| f < *last));
                        let ports = port_range(&regs, proto_min, proto_max, map_value);
                        NewDestination { addr: first, last_addr, ports }
                    });
                }
                Expr::Redir { proto_min, proto_max, .. } => {
                    let [proto_min, proto_max] = [proto_min, proto_max].map(|r| r.and_then(index));
                    self.add(at, &state, |map_value| {
                        let ports = port_range(&regs, proto_min, proto_max, map_value);
                        NewDestination { ports, ..NewDestination::default() }
                    });
                }
                Expr::Fib { dreg, .. } => regs.load(*dreg, Some(4), PacketField::Local),
                Expr::Ct { dreg, .. }
                | Expr::Numgen { dreg, .. }
                | Expr::Rt { dreg, .. }
                | Expr::Exthdr { dreg, .. }
                | Expr::Osf { dreg, .. }
                | Expr::Xfrm { dreg, .. }
                | Expr::Tunnel { dreg, .. }
                | Expr::Hash { dreg, .. }
                | Expr::Socket { dreg, .. }
                | Expr::Byteorder { dreg, .. } => regs.load(*dreg, Some(16), PacketField::Other),
                // They match only some of the packets.
                Expr::Other { name, .. } if matches!(&**name, "limit" | "quota" | "connlimit") => {
                    state.condition(name);
                }
                Expr::Nat { .. } | Expr::Masq { .. } | Expr::Immediate { .. } | Expr::Other { .. } => {}
            }
        }
    }

    /// A comparison of a field with a value.
    fn compare(
        &self,
        state: &mut MatchState,
        held: Option<PacketField>,
        op: Option<u32>,
        value: Option<&[u8]>,
    ) {
        let (Some(field), Some(op), Some(v)) = (held, op, value) else {
            state.condition_on(held);
            return;
        };
        match (field, op) {
            (PacketField::Protocol, NFT_CMP_EQ) => state.proto = v.first().copied(),
            (PacketField::Family, NFT_CMP_EQ) => {
                state.family = match v.first() {
                    Some(&NFPROTO_IPV4) => Some(Family::Inet),
                    Some(&NFPROTO_IPV6) => Some(Family::Inet6),
                    _ => state.family,
                };
            }
            (PacketField::Destination, NFT_CMP_EQ) => state.set_destination(v),
            (PacketField::Interface, NFT_CMP_EQ) => state.iface = Some(interface(v)),
            (PacketField::Interface, NFT_CMP_NEQ) => state.iface = Some(format!("!{}", interface(v))),
            (PacketField::DestinationPort, NFT_CMP_EQ) => state.ports = vec![(be16(v), be16(v))],
            (PacketField::DestinationPort, NFT_CMP_LT) => state.ports = vec![(0, be16(v).saturating_sub(1))],
            (PacketField::DestinationPort, NFT_CMP_GT) => {
                state.ports = vec![(be16(v).saturating_add(1), u16::MAX)];
            }
            (PacketField::Addresses, NFT_CMP_EQ) => {
                state.condition("source");
                state.set_destination(v.get(if v.len() > 8 { 16 } else { 4 }..).unwrap_or(&[]));
            }
            (PacketField::BothPorts, NFT_CMP_EQ) => {
                state.condition("source port");
                let port = v.get(2..).map_or(0, be16);
                state.ports = vec![(port, port)];
            }
            // Two comparisons make a range.
            (PacketField::DestinationPort, NFT_CMP_GTE) => state.ports = vec![(be16(v), u16::MAX)],
            (PacketField::DestinationPort, NFT_CMP_LTE) => {
                state.ports = vec![(state.ports.first().map_or(0, |p| p.0), be16(v))];
            }
            (PacketField::InterfaceIndex, NFT_CMP_EQ | NFT_CMP_NEQ) => {
                let index = v.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
                let name = self.interfaces.get(&index).cloned().unwrap_or_else(|| format!("if{index}"));
                state.iface = Some(if op == NFT_CMP_EQ { name } else { format!("!{name}") });
            }
            (PacketField::Local, _) => {}
            _ => state.condition_on(Some(field)),
        }
    }

    /// Adds the NAT rules of a rule: one for each destination, port range and map entry.
    fn add(&mut self, at: &Position<'_>, state: &MatchState, sent: impl Fn(&[u8]) -> NewDestination) {
        let family = match at.table.table.family {
            NFPROTO_INET => "inet",
            NFPROTO_IPV4 => "ip",
            NFPROTO_IPV6 => "ip6",
            _ => "?",
        };
        let location = format!("{family} {} {} handle {}", at.table.table.name, at.chain, at.handle);
        if state.map.is_empty() {
            self.add_all(state.nat_rules(self.netns, &location, sent(&[])));
        }
        for entry in &state.map {
            let mut narrowed = state.clone();
            narrowed.narrow(&entry.key);
            self.add_all(narrowed.nat_rules(self.netns, &location, sent(&entry.value)));
        }
    }

    /// Adds rules, each once, with the earlier rule that shadows it.
    fn add_all(&mut self, rules: Vec<NatRule>) {
        for rule in rules {
            let before = self.reached.iter().map(|i| &self.out.rules[*i]);
            let shadowed_by = before.into_iter().find(|r| r.shadows(&rule)).map(|r| r.location.clone());
            let same = |r: &NatRule| {
                r.location == rule.location && NatRule { shadowed_by: None, ..r.clone() } == rule
            };
            let known =
                if self.reached.len() < MAX_RULES { self.out.rules.iter().position(same) } else { None };
            match known {
                // Shadowed at only one of two hooks is not shadowed.
                Some(i) => {
                    self.out.rules[i].shadowed_by = self.out.rules[i].shadowed_by.take().and(shadowed_by);
                    self.reached.push(i);
                }
                None if self.out.rules.len() >= MAX_RULES => self.out.truncated = true,
                None => {
                    self.reached.push(self.out.rules.len());
                    self.out.rules.push(NatRule { shadowed_by, ..rule });
                }
            }
        }
    }
}

/// The packet field of a `meta` key.
fn meta_field(key: Option<u32>) -> PacketField {
    match key {
        Some(NFT_META_MARK) => PacketField::Mark,
        Some(NFT_META_IIF) => PacketField::InterfaceIndex,
        Some(NFT_META_IIFNAME) => PacketField::Interface,
        Some(NFT_META_NFPROTO) => PacketField::Family,
        Some(NFT_META_L4PROTO) => PacketField::Protocol,
        _ => PacketField::Other,
    }
}

/// Looks up the registers from `key` on. Membership narrows the state, a map is kept for the target that follows. Returns the
/// chains of a verdict map, each with its state.
fn lookup<'a>(
    state: &mut MatchState,
    regs: &mut Registers,
    set: &'a Set,
    key: usize,
    dreg: Option<u32>,
    inverted: bool,
) -> Vec<(&'a str, MatchState)> {
    let key_len = set.key_len as usize;
    let fields: Vec<PacketField> = (key..key + key_len.div_ceil(4))
        .map_while(|i| regs.get(i))
        .filter_map(|v| if let RegValue::PacketField(f, 0) = v { Some(f) } else { None })
        .collect();
    if inverted {
        for field in fields {
            state.condition_on(Some(field));
        }
        state.partial = true;
        return Vec::new();
    }
    // `Other` is followed too: a random number that selects a backend is not a condition.
    let followed = |f: &PacketField| {
        use PacketField::{Destination, DestinationPort, Interface, Other, Protocol};
        matches!(f, Protocol | Destination | DestinationPort | Interface | Other)
    };
    for field in fields.iter().filter(|f| !followed(f)) {
        state.condition_on(Some(*field));
    }
    let entries: Vec<(Constraint, &Element)> = ranges(set)
        .into_iter()
        .take(MAX_RULES)
        .map(|(first, last, e)| (Constraint::new(regs, key, key_len, first, &last), e))
        .collect();
    let Some(dreg) = dreg else {
        // Membership only.
        state.partial |= fields.contains(&PacketField::Other);
        let names: Vec<&str> = entries.iter().filter_map(|(c, _)| c.iface.as_deref()).collect();
        if !names.is_empty() {
            state.iface = Some(names.join(","));
        }
        state.dests.extend(entries.iter().filter_map(|(c, _)| c.dest));
        state.ports.extend(entries.iter().filter_map(|(c, _)| c.ports));
        let protos: FxHashSet<u8> = entries.iter().filter_map(|(c, _)| c.proto).collect();
        if protos.len() == 1 {
            state.proto = protos.into_iter().next();
        }
        return Vec::new();
    };
    if let Some(to) = index(dreg) {
        regs.load_map_value(to);
        let value = |e: &Element| e.data.as_ref().and_then(Data::value).map_or_else(Box::default, Box::from);
        state.map = entries.into_iter().map(|(key, e)| MapEntry { key, value: value(e) }).collect();
        return Vec::new();
    }
    let jump = |(key, e): (Constraint, &'a Element)| {
        let chain = e.data.as_ref().and_then(Data::chain)?;
        let mut narrowed = state.clone();
        narrowed.narrow(&key);
        Some((chain, narrowed))
    };
    entries.into_iter().filter_map(jump).collect()
}

/// A mask on the destination makes a prefix; the result of any other mask is not followed.
fn apply_mask(
    state: &mut MatchState,
    regs: &mut Registers,
    (sreg, dreg, len): (Option<u32>, Option<u32>, Option<u32>),
    mask: Option<&[u8]>,
) {
    let field = regs.field(sreg);
    let bits = mask.map(|m| m.iter().map(|b| b.count_ones()).sum::<u32>());
    if let (Some(PacketField::Destination), Some(bits)) = (field, bits) {
        state.prefix_len = Some(bits as u8);
        regs.load(dreg, len, PacketField::Destination);
    } else {
        let kept = field.filter(|f| matches!(f, PacketField::Source | PacketField::Mark));
        regs.load(dreg, len, kept.unwrap_or(PacketField::Other));
    }
}

/// First and last port; the last is the first if no register is named for it.
fn port_range(
    regs: &Registers,
    min: Option<usize>,
    max: Option<usize>,
    map_value: &[u8],
) -> Option<(u16, u16)> {
    regs.port(min, map_value).zip(regs.port(max.or(min), map_value))
}

/// The name of an interface, or a prefix with `*`: a comparison of fewer bytes than a name has.
fn interface(v: &[u8]) -> String {
    let more = if v.len() < IFNAMSIZ as usize && !v.contains(&0) { "*" } else { "" };
    format!("{}{more}", text::from_c_str(v))
}
