//! The first packet of one connection through the chains of a hook: which rule stops it, and which translates it.
//!
//! Most fields have one value. A condition on a part of a known value (`tcp flags & syn`, `mark & 0xff`) is decided by that; any
//! other condition on an unknown value leaves the verdict open.

use super::destination::{NewAddr, NewDestination, NewPorts};
use super::fields::{Fields, Form, Key};
use super::filter::{HookPass, decisions};
use super::interval::Intervals;
use super::packets::{Field, PacketBox};
use super::program::RuleId;
use super::registers::interface_name;
use super::taken::left;
use super::text;
use super::walk::{Entering, Evaluation, Verdict, run};
use super::xt::{IPS_DST_NAT, connmark, dnat_status, mark};
use crate::model::path::{RuleHit, Stop};
use crate::model::{Addr, Endpoint};
use rustc_hash::FxHashMap;

/// `NFT_META_SKUID`.
const NFT_META_SKUID: u32 = 10;
/// `NFT_CT_DIRECTION`.
const NFT_CT_DIRECTION: u32 = 1;
/// Offset and length of the flags in the TCP header, which is `NFT_PAYLOAD_TRANSPORT_HEADER`.
const TCP_FLAGS: Key = Key::Payload(2, 13, 1);
/// Ports that a client has.
const CLIENT_PORTS: (u128, u128) = (1024, 65_535);

/// A packet in numbers.
#[derive(Clone, Debug)]
pub(in crate::derive) struct Facts<'a> {
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(in crate::derive) family: u8,
    pub(in crate::derive) v6: bool,
    /// `IPPROTO_*`.
    pub(in crate::derive) proto: u8,
    pub(in crate::derive) source: Option<Addr>,
    /// `None`: that of a client.
    pub(in crate::derive) source_port: Option<u16>,
    pub(in crate::derive) dest: Addr,
    /// `None`: that of a client.
    pub(in crate::derive) dest_port: Option<u16>,
    pub(in crate::derive) iif: Option<&'a str>,
    pub(in crate::derive) oif: Option<&'a str>,
    /// `RTN_*`.
    pub(in crate::derive) source_kind: Option<u8>,
    pub(in crate::derive) dest_kind: Option<u8>,
    /// It answers: the connection is established.
    pub(in crate::derive) is_reply: bool,
    /// Mark, if it is known.
    pub(in crate::derive) mark: Option<u32>,
    pub(in crate::derive) uid: Option<u32>,
    /// The destination of the connection was translated.
    pub(in crate::derive) translated: bool,
}

/// New destinations of a packet.
#[derive(Debug)]
pub(in crate::derive) struct Translations {
    /// Location of the rule, conditions that are not known, destination if it is one.
    pub(in crate::derive) found: Vec<(String, String, Option<Endpoint>)>,
    /// The packet may stay as it is.
    pub(in crate::derive) may_stay: bool,
}

/// Result of the chains of a hook.
#[derive(Debug)]
pub(in crate::derive) struct HookResult {
    /// Rules that stop the packet, the first first.
    pub(in crate::derive) hits: Vec<RuleHit>,
    /// The packet may pass.
    pub(in crate::derive) may_pass: bool,
    /// Connection tracking may not see it.
    pub(in crate::derive) untracked: bool,
    /// False if the rules are too many.
    pub(in crate::derive) complete: bool,
}

impl Facts<'_> {
    /// The packet as a box of a hook.
    fn entry(&self, hook: u32, untracked: bool) -> PacketBox {
        let mut out = PacketBox::default();
        out.set(Field::FAMILY, Intervals::value(self.family.into()));
        out.set(Field::PROTO, Intervals::value(self.proto.into()));
        let any = text::all_addresses(self.v6);
        let source = self.source.map_or(any, |a| Intervals::value(text::address_value(&a)));
        out.set(Field::SADDR, source);
        out.set(Field::DADDR, Intervals::value(text::address_value(&self.dest)));
        let port = |p: Option<u16>| {
            p.map_or_else(|| Intervals::span(CLIENT_PORTS.0, CLIENT_PORTS.1), |p| Intervals::value(p.into()))
        };
        out.set(Field::SPORT, port(self.source_port));
        out.set(Field::DPORT, port(self.dest_port));
        let (input, output) = (matches!(hook, 0..=2), matches!(hook, 2..=4));
        for (field, name, has) in [(Field::IIF, self.iif, input), (Field::OIF, self.oif, output)] {
            match name {
                _ if !has => out.set(field, Intervals::value(0)),
                Some(name) => out.set(field, Intervals::value(interface_name(name))),
                None => {}
            }
        }
        let state = if self.is_reply { 2 } else { 8 };
        out.set(
            Field::CT_STATE,
            if untracked {
                Intervals::union_of(vec![(state, state), (64, 64)])
            } else {
                Intervals::value(state)
            },
        );
        for (field, kind) in [(Field::SADDR_TYPE, self.source_kind), (Field::DADDR_TYPE, self.dest_kind)] {
            if let Some(kind) = kind {
                out.set(field, Intervals::value(kind.into()));
            }
        }
        out
    }

    /// Narrows the fields beside those of the header that are known.
    fn narrow(&self, packets: &mut PacketBox, fields: &mut Fields) {
        let mut set = |field: Field, value: u128| packets.set(field, Intervals::value(value));
        if let Some(m) = self.mark {
            set(mark(fields), m.into());
        }
        if !self.is_reply {
            set(connmark(fields), 0);
        }
        set(dnat_status(fields), if self.translated { IPS_DST_NAT } else { 0 });
        let direction = Key::Ct(NFT_CT_DIRECTION, 0);
        set(fields.known(direction, "ct direction", Form::Number, 0xff), u128::from(self.is_reply));
        if let Some(uid) = self.uid {
            let key = Key::Meta(NFT_META_SKUID);
            set(fields.known(key, "skuid", Form::Number, u32::MAX.into()), uid.into());
        }
        if self.proto == 6 {
            // SYN, or SYN and ACK.
            let flags = if self.is_reply { 0x12 } else { 0x02 };
            set(fields.known(TCP_FLAGS, "payload", Form::Number, 0xff), flags);
        }
    }

    /// The packet as a box of a hook, with the fields that are known beside those of the header.
    pub(super) fn packets(&self, hook: u32, untracked: bool, fields: &mut Fields) -> PacketBox {
        let mut out = self.entry(hook, untracked);
        self.narrow(&mut out, fields);
        out
    }

    /// The rules of a hook for this packet.
    pub(in crate::derive) fn pass(
        &self,
        evaluation: &mut Evaluation<'_, '_>,
        pass: HookPass,
        untracked: bool,
    ) -> HookResult {
        let entry = self.packets(pass.hook, untracked, evaluation.fields);
        let found = decisions(evaluation, self.family, pass, vec![entry.clone()]);
        let known = Known::new(&entry, evaluation.fields);
        let may_pass = found.passed.iter().any(|p| known.conditions(p, evaluation.fields, self.v6).is_some());
        let mut hits: Vec<RuleHit> = Vec::new();
        for d in &found.stopped {
            let Some(conditions) = known.conditions(&d.packets, evaluation.fields, self.v6) else { continue };
            let stop = match d.verdict {
                Verdict::Reject => evaluation.program.rejects_with(d.rule, self.v6),
                Verdict::Queue => Stop::Queue,
                _ => Stop::Drop,
            };
            let location = evaluation.program.location(d.rule);
            if hits.iter().any(|h| *h.location == *location) {
                continue;
            }
            hits.push(RuleHit {
                hook: pass.hook,
                stop,
                location: location.into(),
                packets: evaluation.program.packets_counted(d.rule),
                conditions: if may_pass { conditions.into() } else { Box::default() },
                by_chance: may_pass && Known::is_by_chance(&d.packets),
            });
        }
        HookResult {
            may_pass: may_pass || hits.is_empty(),
            hits,
            untracked: !found.untracked.is_empty(),
            complete: found.complete,
        }
    }

    /// New destinations of this packet by the rules of a hook; `None` if the rules are too many.
    pub(in crate::derive) fn translations(
        &self,
        evaluation: &mut Evaluation<'_, '_>,
        hook: u32,
    ) -> Option<Translations> {
        let stages = evaluation.program.stages(hook, self.family, &|base| base.is_nat);
        if stages.is_empty() {
            return Some(Translations { found: Vec::new(), may_stay: true });
        }
        let entry = self.packets(hook, false, evaluation.fields);
        let packets = Entering { entry: vec![entry.clone()], family: self.family, is_tracked: true };
        let mut found: Vec<(RuleId, NewDestination, PacketBox)> = Vec::new();
        let passed = run(evaluation, &stages, packets, &mut |outcome, _| {
            if let Verdict::Nat(to) = outcome.verdict {
                let parts = outcome.packets.iter().flat_map(|b| left(outcome.taken, b, 0).packets);
                found.extend(parts.map(|b| (outcome.rule, to, b)));
            }
        });
        (passed.complete && passed.exact).then_some(())?;
        let known = Known::new(&entry, evaluation.fields);
        let mut rest = vec![entry.clone()];
        let mut out: Vec<(String, String, Option<Endpoint>)> = Vec::new();
        for (rule, to, packets) in found {
            let Some(conditions) = known.conditions(&packets, evaluation.fields, self.v6) else { continue };
            rest = rest.iter().flat_map(|r| r.subtract(&packets)).collect();
            let location = evaluation.program.location(rule);
            if !out.iter().any(|(l, ..)| *l == location) {
                out.push((location, conditions, self.endpoint(to)));
            }
        }
        let may_stay = rest.iter().any(|r| known.conditions(r, evaluation.fields, self.v6).is_some());
        Some(Translations { found: out, may_stay })
    }

    /// The new destination, if it is one.
    fn endpoint(&self, to: NewDestination) -> Option<Endpoint> {
        let addr = match to.addr {
            // Of packets of this host (`nf_nat_redirect`).
            NewAddr::Local if self.iif.is_none() && self.v6 => Addr::v6(1u128.to_be_bytes()),
            NewAddr::Local if self.iif.is_none() => Addr::v4([127, 0, 0, 1]),
            NewAddr::Keep | NewAddr::Local => self.dest,
            NewAddr::Among(first, last) if first == last => text::address(first, self.v6),
            NewAddr::Unknown | NewAddr::Among(..) => return None,
            to @ NewAddr::Prefix(..) => {
                text::address(to.translate(text::address_value(&self.dest))?, self.v6)
            }
        };
        let port = match to.ports {
            NewPorts::Keep => self.dest_port?,
            NewPorts::Among(first, last) if first == last => first,
            NewPorts::Among(..) => return None,
            NewPorts::Shifted(first, last, base) => {
                let distance =
                    self.dest_port?.wrapping_sub(base) % (last.saturating_sub(first)).saturating_add(1);
                first.saturating_add(distance)
            }
        };
        Some(Endpoint::new(addr, port))
    }
}

/// Values that are known of a packet, also of parts of fields.
pub(super) struct Known<'a> {
    entry: &'a PacketBox,
    values: FxHashMap<u32, u128>,
}

impl<'a> Known<'a> {
    pub(super) fn new(entry: &'a PacketBox, fields: &Fields) -> Self {
        let single = |(f, v): &(Field, Intervals)| Some((f.id, v.single()?));
        let mut values: FxHashMap<u32, u128> = entry.fields().iter().filter_map(single).collect();
        for (id, base, mask, xor) in fields.masked_fields() {
            if let Some(value) = values.get(&base) {
                values.insert(id, value & mask ^ xor);
            }
        }
        Self { entry, values }
    }

    /// True if a part depends on a rate limit or a random choice.
    fn is_by_chance(part: &PacketBox) -> bool {
        part.fields().iter().any(|(f, values)| f.is_random() && *values != f.all())
    }

    /// The conditions of a part that are not known to hold, in words; `None` if one is known not to hold.
    pub(super) fn conditions(&self, part: &PacketBox, fields: &Fields, v6: bool) -> Option<String> {
        let mut open = PacketBox::default();
        for (field, values) in part.fields() {
            match self.values.get(&field.id) {
                Some(value) if values.contains(*value) => {}
                Some(_) => return None,
                None if self.entry.get(*field).is_some_and(|all| all.is_subset(values)) => {}
                None if *values == field.all() => {}
                None => open.set(*field, values.clone()),
            }
        }
        Some(text::packets(&open, fields, v6))
    }
}
