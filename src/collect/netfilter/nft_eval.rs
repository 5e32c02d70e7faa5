//! Goes through the rules of `nf_tables` as the kernel would, with registers that hold where a value comes from, and notes
//! what each rule that changes a destination is for.

use super::nft_ruleset::{Chain, Element, Place, Set};
use super::{addr, be32, each, nested, proto, text, xt};
use crate::model::{Addr, Family, NatRule};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Chains within chains that are gone into; the kernel allows sixteen.
const DEEPEST: usize = 16;
/// Rules that one rule with sets and maps is told as, at the most.
const MOST: usize = 4096;
/// Rules that are looked at, over all the ways there are.
const STEPS: usize = 200_000;

/// Everything of one namespace.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) chains: FxHashMap<Place, Chain>,
    pub(crate) sets: FxHashMap<Place, Set>,
    /// Names of interfaces by index.
    pub(crate) interfaces: BTreeMap<u32, String>,
}

/// A field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Protocol,
    Family,
    Destination,
    DestinationPort,
    Source,
    SourcePort,
    /// Source and destination address, which nft loads as one where a rule asks for both.
    Addresses,
    /// So with both ports.
    BothPorts,
    Mark,
    Interface,
    InterfaceIndex,
    /// Whether the destination is an address of this machine: every forward is for one.
    Local,
    Other,
}

/// What four bytes of the registers hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Nothing,
    /// A field of the packet from this byte on.
    Field(Field, u8),
    /// Four bytes, of which so many count.
    Data([u8; 4]),
    /// What the map of the last lookup has, from this byte on.
    Mapped(u8),
}

/// What a packet must be to come here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) family: Option<Family>,
    pub(crate) proto: Option<u8>,
    pub(crate) to: Vec<(Addr, u8)>,
    /// Bits of the destination that a mask left for the comparison that follows.
    bits: Option<u8>,
    pub(crate) ports: Vec<xt::Ports>,
    pub(crate) iface: Option<String>,
    /// There are more conditions than stand here.
    pub(crate) partial: bool,
    /// Those of them that have a name.
    pub(crate) conditions: Vec<Box<str>>,
    /// What the map that was last looked into has, beside what it was asked: one way an entry.
    mapped: Vec<(Constraint, Element)>,
}

/// What an element of a set says of the packet.
#[derive(Clone, Debug, Default)]
struct Constraint {
    to: Option<(Addr, u8)>,
    ports: Option<xt::Ports>,
    proto: Option<u8>,
    iface: Option<String>,
}

impl Field {
    /// What a condition on it is called, where it has a name.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Protocol => Some("protocol"),
            Self::Destination => Some("destination"),
            Self::DestinationPort => Some("destination port"),
            Self::Source => Some("source"),
            Self::SourcePort => Some("source port"),
            Self::Mark => Some("mark"),
            Self::Interface | Self::InterfaceIndex => Some("interface"),
            Self::Family | Self::Local | Self::Other | Self::Addresses | Self::BothPorts => None,
        }
    }
}

impl Table {
    /// The sets that rules look into.
    pub(crate) fn looked_into(&self) -> FxHashSet<Place> {
        let mut out = FxHashSet::default();
        for ((family, table, _), chain) in &self.chains {
            for rule in &chain.rules {
                for (name, data) in expressions(&rule.expressions) {
                    if name == "lookup"
                        && let Some(set) = nested(data).get(1)
                    {
                        out.insert((*family, table.clone(), text(set)));
                    }
                }
            }
        }
        out
    }
}

/// `NFTA_LIST_ELEM` by `NFTA_LIST_ELEM`: name and data.
fn expressions(bytes: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    each(bytes).filter_map(|(_, e)| {
        let attrs = nested(e);
        Some((text(attrs.get(1)?), attrs.get(2).unwrap_or(&[])))
    })
}

/// All rules that change a destination and can be reached, and whether some were left out.
pub(crate) fn run(table: &Table, netns: u16) -> (Vec<NatRule>, bool) {
    let mut run = Run { table, netns, out: Vec::new(), reached: Vec::new(), steps: 0, cut: false };
    let mut bases: Vec<&Place> =
        table.chains.iter().filter(|(_, c)| c.nat_hook.is_some()).map(|(p, _)| p).collect();
    // What comes in from outside first: the same rules are often reached for what this machine sends, too. At one hook the
    // chain of the lowest priority goes first, and the first rule that takes a connection is the only one.
    bases.sort_by_key(|p| (table.chains[*p].nat_hook, table.chains[*p].priority, *p));
    let mut hook = None;
    for place in bases {
        if hook != table.chains[place].nat_hook {
            hook = table.chains[place].nat_hook;
            run.reached.clear();
        }
        let family = match place.0 {
            2 => Some(Family::Inet),
            10 => Some(Family::Inet6),
            _ => None,
        };
        run.chain(place, &Way { family, ..Way::default() }, 0);
    }
    (run.out, run.cut)
}

struct Run<'a> {
    table: &'a Table,
    netns: u16,
    out: Vec<NatRule>,
    /// Those of them that were reached at this hook.
    reached: Vec<usize>,
    steps: usize,
    /// Something was left out because there was too much.
    cut: bool,
}

/// The index of the first four bytes of a register: `NFT_REG_1` to `4` have sixteen each, `NFT_REG32_*` four.
fn slot(register: u32) -> Option<usize> {
    match register {
        1..=4 => Some((register as usize - 1) * 4),
        8..=23 => Some(register as usize - 8),
        _ => None,
    }
}

impl Run<'_> {
    fn chain(&mut self, place: &Place, way: &Way, depth: usize) {
        let Some(chain) = self.table.chains.get(place) else { return };
        if depth > DEEPEST {
            return;
        }
        for rule in &chain.rules {
            self.steps += 1;
            if self.steps > STEPS {
                self.cut = true;
                return;
            }
            self.rule(place, rule.handle, &rule.expressions, way.clone(), depth);
        }
    }

    fn rule(&mut self, place: &Place, handle: u64, bytes: &[u8], mut way: Way, depth: usize) {
        let mut regs = [Slot::Nothing; 16];
        for (name, data) in expressions(bytes) {
            let a = nested(data);
            match name.as_str() {
                "payload" => load(&mut regs, be32(&a, 1), be32(&a, 4), payload(&a, way.family)),
                "meta" => {
                    let field = match be32(&a, 2) {
                        Some(3) => Field::Mark,
                        Some(4) => Field::InterfaceIndex,
                        Some(6) => Field::Interface,
                        Some(15) => Field::Family,
                        Some(16) => Field::Protocol,
                        _ => Field::Other,
                    };
                    // An interface's name is the longest there is.
                    load(&mut regs, be32(&a, 1), Some(16), field);
                }
                "cmp" => compare(&mut way, &regs, &a, self.table),
                "range" => range(&mut way, &regs, &a),
                "bitwise" => mask(&mut way, &mut regs, &a),
                "immediate" => {
                    if let Some(verdict) = a.get(2).and_then(|d| nested(d).get(2)) {
                        let v = nested(verdict);
                        // NFT_JUMP and NFT_GOTO name the chain.
                        if let Some(to) = v.get(2).map(text) {
                            self.chain(&(place.0, place.1.clone(), to), &way, depth + 1);
                        }
                    } else if let (Some(at), Some(v)) =
                        (be32(&a, 1).and_then(slot), a.get(2).and_then(|d| nested(d).get(1)))
                    {
                        store(&mut regs, at, v);
                    }
                }
                "lookup" => {
                    let jumps = self.lookup(place, &mut way, &mut regs, &a);
                    for (to, way) in jumps {
                        self.chain(&(place.0, place.1.clone(), to), &way, depth + 1);
                    }
                }
                "match" => {
                    let what = a.get(1).map(text).unwrap_or_default();
                    way.xt_match(&what, a.get(3).unwrap_or(&[]));
                }
                "target" => {
                    let what = a.get(1).map(text).unwrap_or_default();
                    let v6 = way.family == Some(Family::Inet6);
                    if let Some(sent) = xt::target(&what, a.get(3).unwrap_or(&[]), v6) {
                        self.found(place, handle, &way, |_| sent);
                    }
                }
                "fib" => load(&mut regs, be32(&a, 1), Some(4), Field::Local),
                "ct" | "numgen" | "rt" | "exthdr" | "osf" | "xfrm" | "tunnel" => {
                    load(&mut regs, be32(&a, 1), Some(16), Field::Other);
                }
                // Not all that comes.
                "limit" | "quota" | "connlimit" => way.condition(&name),
                "hash" | "socket" | "byteorder" => load(&mut regs, be32(&a, 2), Some(16), Field::Other),
                // NFT_NAT_DNAT.
                "nat" if be32(&a, 1) == Some(1) => {
                    let family = be32(&a, 2).unwrap_or(0);
                    let (at, ports) = (be32(&a, 3).and_then(slot), be32(&a, 5).and_then(slot));
                    let (end, last) = (be32(&a, 4).and_then(slot), be32(&a, 6).and_then(slot).or(ports));
                    let len = if family == 10 { 16 } else { 4 };
                    self.found(place, handle, &way, |mapped| {
                        let to = |at: Option<usize>| addr(&value(&regs, at?, len, mapped)?);
                        let port = |at: Option<usize>| Some(be16(&value(&regs, at?, 2, mapped)?));
                        let first = to(at);
                        let last_addr = to(end).filter(|last| first.is_some_and(|f| f < *last));
                        xt::Sent { to: first, last: last_addr, ports: port(ports).zip(port(last)) }
                    });
                }
                "redir" => {
                    let ports = be32(&a, 1).and_then(slot);
                    let last = be32(&a, 2).and_then(slot).or(ports);
                    self.found(place, handle, &way, |mapped| {
                        let port = |at: Option<usize>| Some(be16(&value(&regs, at?, 2, mapped)?));
                        xt::Sent { ports: port(ports).zip(port(last)), ..xt::Sent::default() }
                    });
                }
                _ => {}
            }
        }
    }

    /// Looks what a register holds up in a set: narrows the way, or notes what the map has. Gives the chains that a
    /// verdict map jumps to.
    fn lookup(
        &self,
        place: &Place,
        way: &mut Way,
        regs: &mut [Slot; 16],
        a: &crate::model::Attrs<'_>,
    ) -> Vec<(String, Way)> {
        let set = a.get(1).map(text).and_then(|n| self.table.sets.get(&(place.0, place.1.clone(), n)));
        let inverted = be32(a, 5).unwrap_or(0) & 1 != 0;
        let (Some(set), Some(at)) = (set, be32(a, 2).and_then(slot)) else { return Vec::new() };
        // What the key is made of, as far as it is not followed.
        let key: Vec<Field> = (at..(at + set.key_len.div_ceil(4)).min(regs.len()))
            .filter_map(|i| if let Slot::Field(f, 0) = regs[i] { Some(f) } else { None })
            .collect();
        if inverted {
            for f in key {
                way.condition_on(Some(f));
            }
            way.partial = true;
            return Vec::new();
        }
        // One of several, by a number that is no field of the packet, is no condition.
        let followed =
            [Field::Protocol, Field::Destination, Field::DestinationPort, Field::Interface, Field::Other];
        for f in key.iter().filter(|f| !followed.contains(f)) {
            way.condition_on(Some(*f));
        }
        let entries: Vec<(Constraint, Element)> = set
            .ranges()
            .into_iter()
            .take(MOST)
            .map(|(first, last, e)| (constraint(regs, at, set.key_len, &first, &last), e.clone()))
            .collect();
        let Some(into) = be32(a, 3) else {
            // Membership alone.
            way.partial |= key.contains(&Field::Other);
            let names: Vec<&str> = entries.iter().filter_map(|(c, _)| c.iface.as_deref()).collect();
            if !names.is_empty() {
                way.iface = Some(names.join(","));
            }
            way.to.extend(entries.iter().filter_map(|(c, _)| c.to));
            way.ports.extend(entries.iter().filter_map(|(c, _)| c.ports));
            let protos: FxHashSet<_> = entries.iter().filter_map(|(c, _)| c.proto).collect();
            if protos.len() == 1 {
                way.proto = protos.into_iter().next();
            }
            return Vec::new();
        };
        if let Some(to) = slot(into) {
            for (i, s) in regs.iter_mut().skip(to).take(8).enumerate() {
                *s = Slot::Mapped(i as u8 * 4);
            }
            way.mapped = entries;
            return Vec::new();
        }
        let narrowed = |c: &Constraint| {
            let mut w = way.clone();
            w.narrow(c);
            w
        };
        entries.into_iter().filter_map(|(c, e)| Some((e.jump?, narrowed(&c)))).collect()
    }

    /// Notes a rule: one for each destination, port and entry of the map.
    fn found(&mut self, place: &Place, handle: u64, way: &Way, sent: impl Fn(&[u8]) -> xt::Sent) {
        let family_name = match place.0 {
            1 => "inet",
            2 => "ip",
            10 => "ip6",
            _ => "?",
        };
        let stands = format!("{family_name} {} {} handle {handle}", place.1, place.2);
        let ways: Vec<(Way, Vec<u8>)> = if way.mapped.is_empty() {
            vec![(way.clone(), Vec::new())]
        } else {
            let one = |(c, e): &(Constraint, Element)| {
                let mut w = way.clone();
                w.narrow(c);
                (w, e.data.clone())
            };
            way.mapped.iter().map(one).collect()
        };
        for (way, mapped) in ways {
            for rule in way.rules(self.netns, &stands, sent(&mapped)) {
                self.note(rule);
            }
        }
    }

    /// Notes one, once, and the rule before it that takes all it is for.
    fn note(&mut self, rule: NatRule) {
        let before = self.reached.iter().map(|i| &self.out[*i]);
        let shadowed_by = before.into_iter().find(|r| r.takes_all_of(&rule)).map(|r| r.location.clone());
        let same = |r: &NatRule| NatRule { shadowed_by: None, ..r.clone() } == rule;
        let known =
            self.reached.len() < MOST && self.out.iter().any(|r| r.location == rule.location && same(r));
        let i = if known { self.out.iter().position(same) } else { None };
        match i {
            // What only one of two hooks comes to is reached.
            Some(i) => {
                self.out[i].shadowed_by = self.out[i].shadowed_by.take().and(shadowed_by);
                self.reached.push(i);
            }
            None if self.out.len() >= MOST => self.cut = true,
            None => {
                self.reached.push(self.out.len());
                self.out.push(NatRule { shadowed_by, ..rule });
            }
        }
    }
}

impl Way {
    /// Of this family, with no more conditions.
    pub(crate) fn of(family: Family) -> Self {
        Self { family: Some(family), ..Self::default() }
    }

    /// A match of iptables: ports, or a condition by its name.
    pub(crate) fn xt_match(&mut self, name: &str, info: &[u8]) {
        match xt::ports(name, info) {
            Some(ports) => self.ports = ports,
            // That the destination is local goes without saying, and so do remarks.
            None if matches!(name, "addrtype" | "comment" | "tcp" | "udp") => {}
            None => self.condition(name),
        }
    }

    /// Something more is asked for.
    pub(crate) fn condition(&mut self, name: &str) {
        self.partial = true;
        if self.conditions.iter().all(|c| **c != *name) {
            self.conditions.push(name.into());
        }
    }

    /// What comes this way is sent there by a rule at this place: one a destination and range of ports.
    pub(crate) fn rules(&self, netns: u16, place: &str, sent: xt::Sent) -> Vec<NatRule> {
        let target = sent.to;
        let some = |n: usize| n.max(1);
        let one = |i: usize| {
            let to = self.to.get(i / some(self.ports.len())).copied();
            NatRule {
                netns,
                family: self.family.or_else(|| target.or(to.map(|t| t.0)).map(family_of)),
                proto: self.proto.and_then(proto),
                to,
                ports: self.ports.get(i % some(self.ports.len())).copied(),
                iface: self.iface.clone(),
                target,
                target_ports: sent.ports,
                target_last: sent.last,
                shadowed_by: None,
                partial: self.partial,
                conditions: self.conditions.clone(),
                location: place.to_owned(),
            }
        };
        (0..some(self.to.len()) * some(self.ports.len())).map(one).collect()
    }

    fn narrow(&mut self, c: &Constraint) {
        if let Some(to) = c.to {
            self.to = vec![to];
        }
        if let Some(ports) = c.ports {
            self.ports = vec![ports];
        }
        self.proto = c.proto.or(self.proto);
        self.iface = c.iface.clone().or(self.iface.take());
    }
}

fn family_of(a: Addr) -> Family {
    if a.is_v4() { Family::Inet } else { Family::Inet6 }
}

fn be16(b: &[u8]) -> u16 {
    b.get(..2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

/// Which field a payload expression loads (base, offset, length).
fn payload(a: &crate::model::Attrs<'_>, family: Option<Family>) -> Field {
    let v6 = family == Some(Family::Inet6);
    match (be32(a, 2), be32(a, 3), be32(a, 4)) {
        (Some(1), Some(16), Some(..=4)) if !v6 => Field::Destination,
        (Some(1), Some(24), Some(..=16)) => Field::Destination,
        (Some(1), Some(9), Some(1)) if !v6 => Field::Protocol,
        (Some(1), Some(6), Some(1)) => Field::Protocol,
        (Some(1), Some(12), Some(..=4)) if !v6 => Field::Source,
        (Some(1), Some(8), Some(..=16)) => Field::Source,
        (Some(2), Some(2), Some(2)) => Field::DestinationPort,
        (Some(1), Some(12), Some(..=8)) if !v6 => Field::Addresses,
        (Some(1), Some(8), Some(..=32)) if v6 => Field::Addresses,
        (Some(2), Some(0), Some(2)) => Field::SourcePort,
        (Some(2), Some(0), Some(4)) => Field::BothPorts,
        _ => Field::Other,
    }
}

fn load(regs: &mut [Slot; 16], into: Option<u32>, len: Option<u32>, field: Field) {
    let Some(at) = into.and_then(slot) else { return };
    let slots = (len.unwrap_or(4).min(16) as usize).div_ceil(4);
    for (i, s) in regs.iter_mut().skip(at).take(slots).enumerate() {
        *s = Slot::Field(field, i as u8 * 4);
    }
}

fn store(regs: &mut [Slot; 16], at: usize, bytes: &[u8]) {
    for (s, four) in regs.iter_mut().skip(at).zip(bytes.chunks(4)) {
        let mut data = [0; 4];
        data[..four.len()].copy_from_slice(four);
        *s = Slot::Data(data);
    }
}

/// The bytes that a register holds, where they are known; those of the map's entry stand for what it has.
fn value(regs: &[Slot; 16], at: usize, len: usize, mapped: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len);
    for s in regs.get(at..at + len.div_ceil(4))? {
        match s {
            Slot::Data(d) => out.extend_from_slice(d),
            Slot::Mapped(from) => {
                let from = usize::from(*from);
                let four = mapped.get(from..mapped.len().min(from + 4))?;
                out.extend_from_slice(four);
                out.resize(out.len().next_multiple_of(4), 0);
            }
            _ => return None,
        }
    }
    out.truncate(len);
    (out.len() == len).then_some(out)
}

/// The field that a register begins with.
fn field(regs: &[Slot; 16], register: Option<u32>) -> Option<Field> {
    match regs.get(register.and_then(slot)?)? {
        Slot::Field(f, 0) => Some(*f),
        _ => None,
    }
}

/// `NFT_CMP_EQ` and the like.
fn compare(way: &mut Way, regs: &[Slot; 16], a: &crate::model::Attrs<'_>, table: &Table) {
    let held = field(regs, be32(a, 1));
    let known = held.zip(be32(a, 2)).zip(a.get(3).and_then(|d| nested(d).get(1)));
    let Some(((f, op), v)) = known else {
        way.condition_on(held);
        return;
    };
    match (f, op) {
        (Field::Protocol, 0) => way.proto = v.first().copied(),
        (Field::Family, 0) => {
            way.family = match v.first() {
                Some(2) => Some(Family::Inet),
                Some(10) => Some(Family::Inet6),
                _ => way.family,
            };
        }
        (Field::Destination, 0) => way.destination(v),
        (Field::Interface, 0) => way.iface = Some(interface(v)),
        (Field::Interface, 1) => way.iface = Some(format!("!{}", interface(v))),
        (Field::DestinationPort, 0) => way.ports = vec![(be16(v), be16(v))],
        (Field::DestinationPort, 2) => way.ports = vec![(0, be16(v).saturating_sub(1))],
        (Field::DestinationPort, 4) => way.ports = vec![(be16(v).saturating_add(1), u16::MAX)],
        (Field::Addresses, 0) => {
            way.condition("source");
            way.destination(v.get(if v.len() > 8 { 16 } else { 4 }..).unwrap_or(&[]));
        }
        (Field::BothPorts, 0) => {
            way.condition("source port");
            let port = v.get(2..).map_or(0, be16);
            way.ports = vec![(port, port)];
        }
        // Two comparisons make a range.
        (Field::DestinationPort, 5) => way.ports = vec![(be16(v), u16::MAX)],
        (Field::DestinationPort, 3) => {
            way.ports = vec![(way.ports.first().map_or(0, |p| p.0), be16(v))];
        }
        (Field::InterfaceIndex, 0 | 1) => {
            let index = v.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
            let name = table.interfaces.get(&index).cloned().unwrap_or_else(|| format!("if{index}"));
            way.iface = Some(if op == 0 { name } else { format!("!{name}") });
        }
        (Field::Local, _) => {}
        _ => way.condition_on(Some(f)),
    }
}

/// The name of an interface; where not all of a name is compared, it is the beginning of one.
fn interface(v: &[u8]) -> String {
    let more = if v.len() < 16 && !v.contains(&0) { "*" } else { "" };
    format!("{}{more}", text(v))
}

fn range(way: &mut Way, regs: &[Slot; 16], a: &crate::model::Attrs<'_>) {
    let end = |kind| a.get(kind).and_then(|d| nested(d).get(1)).map(be16);
    if let (Some(Field::DestinationPort), Some(0), Some(from), Some(to)) =
        (field(regs, be32(a, 1)), be32(a, 2), end(3), end(4))
    {
        way.ports = vec![(from, to)];
    } else {
        way.condition_on(field(regs, be32(a, 1)));
    }
}

/// A mask over the destination makes a prefix; anything else is not followed.
fn mask(way: &mut Way, regs: &mut [Slot; 16], a: &crate::model::Attrs<'_>) {
    let (from, into) = (be32(a, 1), be32(a, 2));
    let f = field(regs, from);
    let bits = a.get(4).and_then(|d| nested(d).get(1)).map(|m| m.iter().map(|b| b.count_ones()).sum::<u32>());
    if let (Some(Field::Destination), Some(bits)) = (f, bits) {
        way.bits = Some(bits as u8);
        load(regs, into, be32(a, 3), Field::Destination);
    } else {
        let kept = f.filter(|f| matches!(f, Field::Source | Field::Mark)).unwrap_or(Field::Other);
        load(regs, into, be32(a, 3), kept);
    }
}

impl Way {
    /// Something more is asked for of this field.
    fn condition_on(&mut self, field: Option<Field>) {
        match field.and_then(Field::name) {
            Some(name) => self.condition(name),
            None => self.partial = true,
        }
    }

    fn destination(&mut self, v: &[u8]) {
        let mut whole = v.to_vec();
        // The end of a prefix that ends with a byte is left away.
        let len = if v.len() <= 4 { 4 } else { 16 };
        whole.resize(len, 0);
        let bits = self.bits.take().unwrap_or((v.len() * 8) as u8);
        if let Some(a) = addr(&whole) {
            self.to = vec![(a, bits)];
        }
    }
}

/// What a range of keys says, where the key is made of what the registers hold from `at` on.
fn constraint(regs: &[Slot; 16], at: usize, key_len: usize, first: &[u8], last: &[u8]) -> Constraint {
    let mut out = Constraint::default();
    let mut i = at;
    while i < regs.len() && (i - at) * 4 < key_len.max(1) {
        let from = (i - at) * 4;
        let (a, b) = (first.get(from..).unwrap_or(&[]), last.get(from..).unwrap_or(&[]));
        match regs[i] {
            Slot::Field(Field::DestinationPort, 0) => out.ports = Some((be16(a), be16(b))),
            Slot::Field(Field::Protocol, 0) => out.proto = a.first().copied(),
            Slot::Field(Field::Interface, 0) => {
                let name = text(a.get(..16).unwrap_or(a));
                // A range of names is all that begin alike.
                let alike = a.iter().zip(b).take_while(|(x, y)| x == y).count();
                let more = if a.get(..16) == b.get(..16) { "" } else { "*" };
                out.iface = Some(format!("{}{more}", name.get(..alike).unwrap_or(&name)));
            }
            Slot::Field(Field::Destination, 0) => {
                let len = if regs.get(i + 1) == Some(&Slot::Field(Field::Destination, 4)) { 16 } else { 4 };
                if let (Some(low), Some(high)) = (a.get(..len).and_then(addr), b.get(..len).and_then(addr)) {
                    out.to = Some((low, prefix(&low, &high)));
                }
            }
            _ => {}
        }
        i += 1;
    }
    out
}

/// The length of the smallest prefix that holds both.
fn prefix(low: &Addr, high: &Addr) -> u8 {
    let (mut n, v4) = (0u8, low.is_v4());
    for (a, b) in low.octets().iter().zip(high.octets()) {
        let same = (a ^ b).leading_zeros() as u8;
        n += same.min(8);
        if same < 8 {
            break;
        }
    }
    if v4 { n.saturating_sub(96) } else { n }
}
