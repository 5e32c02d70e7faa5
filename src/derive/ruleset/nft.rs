//! Rules of `nf_tables`: expressions evaluated in their order over sets of packets.

use super::action::{Action, Branch};
use super::destination::{NewAddr, NewDestination, NewPorts, TargetEffect, target_effect};
use super::fields::{Fields, Key};
use super::interval::Intervals;
use super::mark_versions::{ALL_BITS, Mark, Written};
use super::marks::MarkWriter;
use super::packets::{Field, PacketBox, narrow_all};
use super::program::{NF_ACCEPT, NF_DROP, NF_QUEUE};
use super::registers::{Interfaces, Registers, meta_part, other_part, payload_parts, random_part, word_part};
use super::sets::Sets;
use super::taken::{Scope, untaken};
use super::xt;
use crate::model::nft::{
    Data, Expr, NF_NAT_RANGE_NETMAP, NFPROTO_INET, NFPROTO_IPV6, NFT_CMP_EQ, NFT_CMP_NEQ, NFT_CT_MARK,
    NFT_CT_STATE, NFT_FIB_RESULT_ADDRTYPE, NFT_GOTO, NFT_JUMP, NFT_LOOKUP_F_INV, NFT_META_MARK,
    NFT_META_PROTOCOL, NFT_NAT_DNAT, NFT_RANGE_EQ, NFT_RETURN, NFTA_FIB_F_DADDR, NFTA_FIB_F_SADDR, Set,
};
use crate::model::text;
use rustc_hash::FxHashMap;

/// `NFTA_OBJREF_IMM_TYPE`.
const NFTA_OBJREF_IMM_TYPE: u16 = 1;
/// `NFTA_DYNSET_SET_NAME`.
const NFTA_DYNSET_SET_NAME: u16 = 1;
/// `NFTA_DYNSET_EXPR` and `NFTA_DYNSET_EXPRESSIONS`.
const DYNSET_EXPRESSIONS: [u16; 2] = [7, 10];

/// Sets, fields and interfaces for the rules of a table.
pub(super) struct Context<'a, 'b> {
    pub(super) sets: &'b FxHashMap<&'a str, &'a Set>,
    pub(super) resolved: &'b mut Sets<'a>,
    pub(super) fields: &'b mut Fields,
    pub(super) interfaces: &'b Interfaces,
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(super) family: u8,
    /// Packets that do not get to the rule and may get to a later one.
    pub(super) scopes: &'b [Scope],
    /// Beside them those that left the hook.
    pub(super) all_scopes: &'b [Scope],
    /// See [`MarkWriter`].
    pub(super) untracked_yet: bool,
    /// Boxes handled.
    pub(super) work: &'b mut u64,
}

impl<'a> Context<'a, '_> {
    const fn writer(&mut self) -> MarkWriter<'_> {
        MarkWriter { fields: self.fields, scopes: self.scopes, untracked_yet: self.untracked_yet }
    }

    /// Notes that a `dynset` expression changes its set for these packets.
    fn change_set(&mut self, boxes: &[PacketBox], data: &[u8]) {
        let name = attribute(data, NFTA_DYNSET_SET_NAME).map(text::from_c_str);
        if let Some(set) = name.and_then(|n| self.sets.get(&*n).copied()) {
            let whole = |b: &PacketBox| vec![b.clone()];
            let parts = boxes.iter().flat_map(|b| untaken(self.all_scopes, b).unwrap_or_else(|| whole(b)));
            self.resolved.change(set, parts);
        }
    }

    /// True if one of these packets has changed the set before, so that its elements are not known.
    fn is_changed(&self, set: &'a Set, boxes: &[PacketBox]) -> bool {
        let by = |b: &PacketBox| match untaken(self.all_scopes, b) {
            Some(parts) => parts.iter().any(|p| self.resolved.is_changed_by(set, p)),
            None => true,
        };
        self.resolved.is_changed(set) && boxes.iter().any(by)
    }
}

/// Packets that have met the expressions so far.
struct State {
    boxes: Vec<PacketBox>,
    regs: Registers,
}

/// The packets that a rule matches, each with what it does to them.
pub(super) fn branches<'a>(
    c: &mut Context<'a, '_>,
    expressions: &'a [Expr],
    entry: &[PacketBox],
) -> Vec<Branch<'a>> {
    let mut states = vec![State { boxes: entry.to_vec(), regs: Registers::default() }];
    let mut out = Vec::new();
    for expression in expressions {
        let mut next = Vec::with_capacity(states.len());
        for mut state in states {
            *c.work += 1 + state.boxes.len() as u64;
            if let Expr::Lookup { set, sreg, dreg, flags } = expression {
                let negated = flags.unwrap_or(0) & NFT_LOOKUP_F_INV != 0;
                lookup(c, state, (set.as_deref(), *sreg, *dreg, negated), &mut next, &mut out);
                continue;
            }
            if let Some(each) = by_random_port(&state, expression) {
                *c.work += each.len() as u64;
                for mut state in each {
                    if let Some(action) = step(c, &mut state, expression) {
                        out.push(Branch { boxes: state.boxes, action });
                    }
                }
                continue;
            }
            match step(c, &mut state, expression) {
                Some(action) => out.push(Branch { boxes: state.boxes, action }),
                None if state.boxes.is_empty() => {}
                None => next.push(state),
            }
        }
        states = next;
        if states.is_empty() {
            break;
        }
    }
    for branch in &mut out {
        c.fields.resolve_marks(&mut branch.boxes);
    }
    out.retain(|b| !b.boxes.is_empty());
    out
}

/// Most ports of a random number that are branches of their own.
const MAX_RANDOM_PORTS: u128 = 256;

/// A random number as port: one state for each of its values. The kernel takes the first two bytes of the register, without
/// regard to its byte order.
fn by_random_port(state: &State, expression: &Expr) -> Option<Vec<State>> {
    let (Expr::Redir { proto_min: min, .. } | Expr::Nat { proto_min: min, .. }) = expression else {
        return None;
    };
    let part = state.regs.random(*min)?;
    let highest = part.field.highest();
    (part.host_order && highest < MAX_RANDOM_PORTS).then_some(())?;
    let each = (0..=highest).map(|n| {
        let value = Intervals::value(n);
        let boxes = state.boxes.iter().filter_map(|b| b.narrowed(part.field, &value)).collect();
        let mut regs = state.regs.clone();
        regs.store(*min, &(part.add.wrapping_add(n as u32)).to_ne_bytes());
        State { boxes, regs }
    });
    Some(each.collect())
}

fn verdict(data: &Data) -> Option<Action<'_>> {
    let Data::Verdict { code, chain } = data else { return None };
    Some(match (*code, chain.as_deref()) {
        (NF_DROP, _) => Action::Drop,
        (NF_ACCEPT, _) => Action::Accept,
        (NF_QUEUE, _) => Action::Queue,
        (NFT_RETURN, _) => Action::Return,
        (NFT_JUMP, Some(chain)) => Action::Jump(chain),
        (NFT_GOTO, Some(chain)) => Action::Goto(chain),
        (code, _) if code & 0xff == NF_QUEUE && code > 0 => Action::Queue,
        _ => Action::Continue,
    })
}

/// Looks the key up in a set: one state for each value of a map.
fn lookup<'a>(
    c: &mut Context<'a, '_>,
    mut state: State,
    (set, sreg, dreg, negated): (Option<&'a str>, Option<u32>, Option<u32>, bool),
    next: &mut Vec<State>,
    out: &mut Vec<Branch<'a>>,
) {
    let Some(set) = set.and_then(|name| c.sets.get(name).copied()) else {
        xt::condition(&mut state.boxes, c.fields, "lookup", set.unwrap_or("").as_bytes());
        next.push(state);
        return;
    };
    let layout = state.regs.parts(sreg, set.key_len.max(1) as usize);
    let resolved = c.resolved.resolve(set, layout, c.fields, c.interfaces);
    if c.is_changed(set, &state.boxes) {
        // The packet itself may have added its key.
        match dreg {
            None => resolved.membership(&mut state.boxes, c.fields, !negated),
            Some(to) => {
                resolved.membership(&mut state.boxes, c.fields, true);
                for data in resolved.groups.iter().filter_map(|g| g.data).filter(|_| to == 0) {
                    out.extend(verdict(data).map(|action| Branch { boxes: state.boxes.clone(), action }));
                }
                state.regs.forget(Some(to), set.data_len.unwrap_or(16) as usize);
            }
        }
        next.push(state);
        return;
    }
    let Some(to) = dreg else {
        if negated {
            *c.work += (resolved.len() * state.boxes.len()) as u64;
            resolved.others(&mut state.boxes, c.fields);
        } else {
            let (boxes, compared) = c.resolved.members(&resolved, &state.boxes, c.fields);
            *c.work += (compared + boxes.len()) as u64;
            state.boxes = boxes;
        }
        if !state.boxes.is_empty() {
            next.push(state);
        }
        return;
    };
    let cost: usize = resolved.groups.iter().map(|g| g.keys.len()).sum();
    *c.work += (cost * state.boxes.len()) as u64;
    for group in &resolved.groups {
        let boxes = group.keys.keep(&state.boxes);
        if boxes.is_empty() {
            continue;
        }
        match group.data {
            Some(data @ Data::Verdict { .. }) if to == 0 => {
                if let Some(action) = verdict(data) {
                    out.push(Branch { boxes, action });
                }
            }
            Some(Data::Value(value)) => {
                let mut regs = state.regs.clone();
                regs.store(Some(to), value);
                next.push(State { boxes, regs });
            }
            _ => {
                let mut regs = state.regs.clone();
                regs.forget(Some(to), set.data_len.unwrap_or(16) as usize);
                next.push(State { boxes, regs });
            }
        }
    }
}

/// Evaluates one expression; the action ends the rule.
#[rustfmt::skip]
fn step<'a>(c: &mut Context<'a, '_>, state: &mut State, expression: &'a Expr) -> Option<Action<'a>> {
    let State { boxes, regs } = state;
    match expression {
        Expr::Payload { dreg: Some(dreg), base, offset, len, .. } => {
            let parts = payload_parts(c.fields, base.unwrap_or(0), offset.unwrap_or(0), len.unwrap_or(0), c.family);
            regs.load(Some(*dreg), &parts);
        }
        Expr::Payload { .. } => c.fields.written(&Key::Payload(0, 0, 0)),
        Expr::Meta { key: Some(NFT_META_MARK), sreg: sreg @ Some(_), .. } => {
            c.writer().write(boxes, Mark::Packet, regs.written(*sreg));
        }
        Expr::Meta { key, sreg: Some(_), .. } => c.fields.written(&Key::Meta(key.unwrap_or(0))),
        Expr::Meta { dreg, key: Some(NFT_META_PROTOCOL), .. } => {
            regs.store(*dreg, if c.family == NFPROTO_IPV6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
        }
        Expr::Meta { dreg, key, .. } => {
            let part = meta_part(c.fields, key.unwrap_or(u32::MAX));
            regs.load(*dreg, &[(0, part)]);
        }
        Expr::Ct { key: Some(NFT_CT_MARK), sreg: sreg @ Some(_), .. } => {
            c.writer().write(boxes, Mark::Connection, regs.written(*sreg));
        }
        Expr::Ct { key, sreg: Some(_), .. } => c.fields.written(&Key::Ct(key.unwrap_or(0), 0)),
        Expr::Ct { dreg, key: Some(NFT_CT_STATE), .. } => regs.load(*dreg, &[(0, word_part(Field::CT_STATE))]),
        // Without a connection, before tracking, the rule does not match (`nft_ct_get_eval`).
        Expr::Ct { .. } if c.untracked_yet => boxes.clear(),
        Expr::Ct { dreg, key, direction, .. } => {
            let key = key.unwrap_or(u32::MAX);
            let names = ["ct state", "ct direction", "ct status", "ct mark", "ct secmark", "ct expiration", "ct helper"];
            let name = names.get(key as usize).copied().unwrap_or("ct");
            let len = if key == 1 { 1 } else { 4 };
            let part = other_part(c.fields, Key::Ct(key, direction.unwrap_or(0)), name, len);
            regs.load(*dreg, &[(0, part)]);
        }
        Expr::Fib { dreg, result, flags } => {
            let (result, flags) = (result.unwrap_or(0), flags.unwrap_or(0));
            let part = match (result, flags) {
                (NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR) => word_part(c.fields.now(Field::DADDR_TYPE)),
                (NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_SADDR) => word_part(Field::SADDR_TYPE),
                _ => {
                    let of = if flags & NFTA_FIB_F_SADDR != 0 { "fib saddr" } else { "fib daddr" };
                    other_part(c.fields, Key::Fib(result, flags), of, if result == 2 { 16 } else { 4 })
                }
            };
            regs.load(*dreg, &[(0, part)]);
        }
        Expr::Numgen { dreg, modulus, kind, offset } => {
            let how = if kind.unwrap_or(0) == 1 { "random" } else { "inc" };
            let modulus = modulus.unwrap_or(1);
            let name = format!("numgen {how} mod {modulus}");
            let part = random_part(c.fields, &name, modulus, offset.unwrap_or(0));
            regs.load(*dreg, &[(0, part)]);
        }
        Expr::Hash { dreg, modulus, kind, offset, .. } => {
            let how = if kind.unwrap_or(0) == 1 { "symhash" } else { "jhash" };
            let modulus = modulus.unwrap_or(1);
            let part = random_part(c.fields, &format!("{how} mod {modulus}"), modulus, offset.unwrap_or(0));
            regs.load(*dreg, &[(0, part)]);
        }
        Expr::Socket { dreg, .. } => other(c, regs, *dreg, "socket", expression),
        Expr::Rt { dreg, .. } => other(c, regs, *dreg, "rt", expression),
        Expr::Exthdr { dreg, .. } => other(c, regs, *dreg, "extension header", expression),
        Expr::Osf { dreg } => other(c, regs, *dreg, "osf", expression),
        Expr::Xfrm { dreg, .. } => other(c, regs, *dreg, "ipsec", expression),
        Expr::Tunnel { dreg, .. } => other(c, regs, *dreg, "tunnel", expression),
        Expr::Byteorder { sreg, dreg, len, .. } => regs.swap(*sreg, *dreg, len.unwrap_or(4) as usize),
        Expr::Bitwise { sreg, dreg, len, mask, xor } => {
            let value = |d: &'a Option<Data>| d.as_ref().and_then(Data::value);
            match (value(mask), value(xor)) {
                (Some(mask), Some(xor)) => {
                    regs.bitwise(c.fields, (*sreg, *dreg, len.unwrap_or(4) as usize), mask, xor);
                }
                _ => regs.forget(*dreg, len.unwrap_or(4) as usize),
            }
        }
        Expr::Cmp { sreg, op, data } => {
            let value = data.as_ref().and_then(Data::value).unwrap_or(&[]);
            compare(c, boxes, regs, (*sreg, op.unwrap_or(NFT_CMP_EQ)), value);
        }
        Expr::Range { sreg, op, from, to } => {
            let value = |d: &'a Option<Data>| d.as_ref().and_then(Data::value).unwrap_or(&[]);
            let (from, to) = (value(from), value(to));
            let parts = regs.parts(*sreg, from.len());
            let span = match parts.as_deref() {
                Some([(0, part)]) => part.span(from, to, c.interfaces).map(|s| (part.field, s)),
                _ => None,
            };
            match span {
                Some((field, span)) if *op == Some(NFT_RANGE_EQ) => narrow_all(boxes, field, &span),
                Some((field, span)) => narrow_all(boxes, field, &span.complement(field.highest())),
                None => xt::condition(boxes, c.fields, "range", &[from, to].concat()),
            }
        }
        Expr::Immediate { dreg: Some(0), data: Some(data) } => return verdict(data),
        Expr::Immediate { dreg, data: Some(Data::Value(value)) } => regs.store(*dreg, value),
        Expr::Immediate { .. } | Expr::Lookup { .. } => {}
        Expr::Match { name, info, .. } => {
            let (name, info) = (name.as_deref().unwrap_or(""), info.as_deref().unwrap_or(&[]));
            xt::narrow(boxes, c.fields, name, info, c.family == NFPROTO_IPV6);
        }
        Expr::Target { name, revision, info } => {
            let (name, info) = (name.as_deref().unwrap_or(""), info.as_deref().unwrap_or(&[]));
            let v6 = c.family == NFPROTO_IPV6;
            return apply_target(&mut c.writer(), boxes, (name, revision.unwrap_or(0), info), v6);
        }
        Expr::Nat { kind, family, addr_min, addr_max, proto_min, proto_max, flags } => {
            let of_family = family.unwrap_or(0);
            if of_family != u32::from(c.family) && of_family != u32::from(NFPROTO_INET) {
                boxes.clear();
                return None;
            }
            if *kind != Some(NFT_NAT_DNAT) {
                return Some(Action::Accept);
            }
            let addr = addr_min.map_or(NewAddr::Keep, |min| {
                let len = if c.family == NFPROTO_IPV6 { 16 } else { 4 };
                let number = |reg| Some(regs.bytes(Some(reg), len)?.iter().fold(0, |n, b| n << 8 | u128::from(*b)));
                let prefix = flags.unwrap_or(0) & NF_NAT_RANGE_NETMAP != 0;
                match (number(min), addr_max.map_or_else(|| number(min), number)) {
                    (Some(first), Some(last)) => NewAddr::range(first, last.max(first), prefix),
                    _ => NewAddr::Unknown,
                }
            });
            return Some(Action::Nat(NewDestination { addr, ports: ports(regs, *proto_min, *proto_max) }));
        }
        Expr::Redir { proto_min, proto_max, .. } => {
            let ports = ports(regs, *proto_min, *proto_max);
            return Some(Action::Nat(NewDestination { addr: NewAddr::Local, ports }));
        }
        Expr::Masq { .. } => return Some(Action::Accept),
        Expr::Other { name, data } => match &**name {
            "reject" => return Some(Action::Reject),
            "queue" => return Some(Action::Queue),
            "notrack" => return Some(Action::Untracked),
            // They match only some of the packets.
            "limit" | "quota" | "connlimit" => xt::condition(boxes, c.fields, &format!("{name}"), data),
            "objref" if attribute(data, NFTA_OBJREF_IMM_TYPE).is_some_and(|t| matches!(t.last(), Some(2 | 4 | 5))) => {
                xt::condition(boxes, c.fields, "limit", data);
            }
            "dynset" => {
                c.change_set(boxes, data);
                if DYNSET_EXPRESSIONS.iter().any(|n| attribute(data, *n).is_some()) {
                    xt::condition(boxes, c.fields, "dynset", data);
                }
            }
            _ => {}
        },
    }
    None
}

/// Effect of a target of xtables on the rule: name, revision and private structure.
pub(super) fn apply_target<'a>(
    writer: &mut MarkWriter<'_>,
    boxes: &mut Vec<PacketBox>,
    (name, revision, info): (&str, u32, &[u8]),
    v6: bool,
) -> Option<Action<'a>> {
    let (which, value) = match target_effect(name, revision, info, v6) {
        TargetEffect::Nat(to) => return Some(Action::Nat(to)),
        TargetEffect::Accept => return Some(Action::Accept),
        TargetEffect::Reject => return Some(Action::Reject),
        TargetEffect::Queue => return Some(Action::Queue),
        TargetEffect::Untracked => return Some(Action::Untracked),
        TargetEffect::Continue => return None,
        TargetEffect::Mark(change) => (Mark::Packet, changed(writer, Mark::Packet, change)),
        TargetEffect::Connmark(change) => (Mark::Connection, changed(writer, Mark::Connection, change)),
        // Before tracking there is no connection.
        TargetEffect::RestoreMark(_) if writer.untracked_yet => return None,
        TargetEffect::SaveMark(mask) => (Mark::Connection, changed(writer, Mark::Packet, Some((mask, 0)))),
        TargetEffect::RestoreMark(mask) => (Mark::Packet, changed(writer, Mark::Connection, Some((mask, 0)))),
    };
    writer.write(boxes, which, value);
    None
}

/// A mark `& mask ^ xor`.
fn changed(writer: &mut MarkWriter<'_>, of: Mark, change: Option<(u32, u32)>) -> Written {
    let Some((mask, xor)) = change else { return Written::Unknown };
    let (mask, xor) = (u128::from(mask) & ALL_BITS, xor.into());
    Written::Linear { field: of.field(writer.fields), mask, xor }
}

/// The first attribute of this number.
fn attribute(data: &[u8], number: u16) -> Option<&[u8]> {
    crate::model::Attrs::new(data, crate::model::Family::Netlink, crate::model::Proto::Raw).get(number)
}

/// Loads a value that only names a condition.
fn other(c: &mut Context<'_, '_>, regs: &mut Registers, dreg: Option<u32>, name: &str, expression: &Expr) {
    let content = format!("{expression:?}").into_bytes();
    let part = other_part(c.fields, Key::Condition(name.into(), content.into()), name, 4);
    regs.load(dreg, &[(0, part)]);
}

/// A comparison of registers with a value.
fn compare(
    c: &mut Context<'_, '_>,
    boxes: &mut Vec<PacketBox>,
    regs: &Registers,
    (sreg, op): (Option<u32>, u32),
    value: &[u8],
) {
    let parts = regs.parts(sreg, value.len()).unwrap_or_default();
    if let [(0, part)] = parts[..] {
        if let Some(values) = part.compared(op, value, c.interfaces) {
            narrow_all(boxes, part.field, &values);
            return;
        }
    } else if !parts.is_empty() && matches!(op, NFT_CMP_EQ | NFT_CMP_NEQ) {
        let each = parts.iter().map(|(at, p)| {
            let values = p.compared(NFT_CMP_EQ, value.get(*at..)?, c.interfaces)?;
            Some((p.field, values))
        });
        if let Some(each) = each.collect::<Option<Vec<(Field, Intervals)>>>() {
            let mut key = PacketBox::default();
            for (field, values) in &each {
                key.narrow(*field, values);
            }
            *boxes = if op == NFT_CMP_EQ {
                boxes.iter().filter_map(|b| b.intersect(&key)).collect()
            } else {
                boxes.iter().flat_map(|b| b.subtract(&key)).collect()
            };
            return;
        }
    }
    let names: Vec<&str> = parts.iter().map(|(_, p)| c.fields.name(p.field)).collect();
    let name = if names.is_empty() { "comparison".to_owned() } else { names.join(", ") };
    xt::condition(boxes, c.fields, &name, &[&[op as u8], value].concat());
}

fn ports(regs: &Registers, min: Option<u32>, max: Option<u32>) -> NewPorts {
    if min.is_none() {
        return NewPorts::Keep;
    }
    let port = |reg| regs.bytes(reg, 2).and_then(|b| b.first_chunk().map(|b| u16::from_be_bytes(*b)));
    match (port(min), regs.random(min)) {
        (Some(first), _) => NewPorts::Among(first, port(max).unwrap_or(first).max(first)),
        // A number of more values than are branches of their own.
        (None, Some(part)) => {
            let number = |n: u128| part.add.wrapping_add(n as u32);
            let first_bytes = |n: u32| n.to_ne_bytes().first_chunk().map_or(0, |b| u16::from_be_bytes(*b));
            let to_port = |n| if part.host_order { first_bytes(number(n)) } else { number(n) as u16 };
            let each = || (0..=part.field.highest().min(u16::MAX.into())).map(to_port);
            NewPorts::Among(each().min().unwrap_or(0), each().max().unwrap_or(u16::MAX))
        }
        (None, None) => NewPorts::Among(0, 0),
    }
}
