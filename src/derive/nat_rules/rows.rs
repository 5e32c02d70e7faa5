//! Rows from verdicts: one for each protocol, destination and port range of a rule.

use super::filtered::filtered;
use super::rule::{Condition, Host, NatRule};
use crate::derive::ruleset::destination::{NewAddr, NewDestination, NewPorts};
use crate::derive::ruleset::fields::{Fields, Form};
use crate::derive::ruleset::filter::{Translated, follow};
use crate::derive::ruleset::interval::{Intervals, Span};
use crate::derive::ruleset::local_addresses;
use crate::derive::ruleset::marks::MarksNow;
use crate::derive::ruleset::packets::{Field, PacketBox};
use crate::derive::ruleset::program::{Program, RuleId};
use crate::derive::ruleset::taken::{Left, left};
use crate::derive::ruleset::text;
use crate::derive::ruleset::walk::{Entrance, Evaluation, Outcome};
use crate::model::nft::{NF_INET_PRE_ROUTING, NFPROTO_IPV6};
use crate::model::{Addr, Endpoint, ForwardKind, Hooks, Proto, Sample};
use rustc_hash::FxHashMap;

/// Most destinations or ports of a rule that are rows of their own; above, they are a condition.
const MAX_CELLS: usize = 256;
/// Most protocols of a rule that are rows of their own.
const MAX_PROTOS: usize = 4;
/// Most exceptions that are written out.
const MAX_EXCEPTIONS: usize = 3;
/// Most alternatives of the packets of a row that are written out.
const MAX_ALTERNATIVES: usize = 16;
/// `NF_CT_STATE_BIT(IP_CT_NEW)`.
const CT_NEW: u128 = 8;
/// `RTN_LOCAL`.
const RTN_LOCAL: u128 = 2;

/// Rows with the same host and target.
type RowKey = (Option<u8>, Option<Span>, Option<Span>, bool, NewDestination);

struct Row {
    rule: RuleId,
    nat: NatRule,
    /// The packets that are left for it; none if it is shadowed.
    packets: Vec<PacketBox>,
    hook: u32,
    to: NewDestination,
    /// The marks that its packets have.
    marks: MarksNow,
    /// A chain of the same priority takes the packets if it comes first.
    contested: bool,
}

/// Rows of one namespace.
pub(super) struct Rows {
    netns: u16,
    /// Addresses of the namespace: of IPv4, of IPv6; `None` if they were not read.
    local: Option<[Intervals; 2]>,
    all: Vec<Option<Row>>,
    index: FxHashMap<RowKey, Vec<usize>>,
    /// Most rows.
    max: usize,
    complete: bool,
}

/// Values of a destination or port that are rows of their own, and whether all others are in `outside` as a condition.
struct Cells {
    spans: Vec<Option<Span>>,
    /// The rows have all values; otherwise they are a condition beside.
    exact: bool,
}

fn cells(values: &Intervals, all: &Intervals, is_addr: bool, v6: bool) -> Cells {
    if values == all {
        return Cells { spans: vec![None], exact: true };
    }
    let (spans, hull) = (values.spans(), values.hull().unwrap_or((0, 0)));
    let gaps = all.subtract(values);
    if Some(hull) == all.hull() && gaps.spans().len() < spans.len()
        || gaps.spans().len() == 1 && gaps.single() == Some(0)
    {
        return Cells { spans: vec![None], exact: false };
    }
    let count = |s: &Span| s.1.saturating_sub(s.0).saturating_add(1);
    let covered = spans.iter().map(count).fold(0, u128::saturating_add);
    let is_network = is_addr && spans.len() > 1 && text::prefix_len(hull, v6).is_some();
    if spans.len() > MAX_CELLS || is_network && covered > count(&hull) / 2 && spans.len() <= 4 {
        return Cells { spans: vec![Some(hull)], exact: false };
    }
    // Two ports are more often two of a list than a range.
    let each = spans.iter().flat_map(|(a, b)| {
        let pair = !is_addr && a + 1 == *b;
        let parts = if pair { [Some((*a, *a)), Some((*b, *b))] } else { [Some((*a, *b)), None] };
        parts.into_iter().flatten().map(Some)
    });
    Cells { spans: each.collect(), exact: true }
}

impl Rows {
    pub(super) fn new(netns: u16, sample: &Sample, max: usize) -> Self {
        let local = local_addresses::of(&sample.addresses, netns);
        Self { netns, local, all: Vec::new(), index: FxHashMap::default(), max, complete: true }
    }

    /// The rows, and false if there are more.
    pub(super) fn finish(self) -> (Vec<NatRule>, bool) {
        (self.all.into_iter().flatten().map(|r| r.nat).collect(), self.complete)
    }

    /// Number of rows so far.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Follows the packets of the rows from this one on through the filter rules behind their translation.
    pub(super) fn follow(&mut self, evaluation: &mut Evaluation<'_, '_>, entrance: Entrance, from: usize) {
        let v6 = entrance.family == NFPROTO_IPV6;
        let local = self.local.as_ref().map(|l| &l[usize::from(v6)]);
        for row in self.all.iter_mut().skip(from).flatten() {
            if row.packets.is_empty() {
                continue;
            }
            evaluation.fields.return_to_marks(row.marks);
            let translated = Translated { entrance, to: row.to, packets: &row.packets, local };
            let fate = follow(evaluation, translated);
            row.nat.filtered = Some(filtered(evaluation.program, evaluation.fields, &fate, v6));
        }
    }

    /// False if the type of an address contradicts the address.
    fn is_possible(&self, packets: &PacketBox, v6: bool) -> bool {
        let Some(local) = self.local.as_ref().map(|l| &l[usize::from(v6)]) else { return true };
        [(Field::SADDR, Field::SADDR_TYPE), (Field::DADDR, Field::DADDR_TYPE)].into_iter().all(
            |(addr, kind)| {
                let Some(types) = packets.get(kind) else { return true };
                let addrs = packets.values(addr);
                if types.single() == Some(RTN_LOCAL) {
                    addrs.intersects(local)
                } else {
                    types.contains(RTN_LOCAL) || !addrs.is_subset(local)
                }
            },
        )
    }

    /// Adds the rows of a verdict.
    pub(super) fn add(
        &mut self,
        program: &Program<'_>,
        fields: &Fields,
        entrance: Entrance,
        outcome: &Outcome<'_>,
        to: NewDestination,
    ) {
        let v6 = entrance.family == NFPROTO_IPV6;
        let location = program.location(outcome.rule);
        let all = [text::all_addresses(v6), Field::DPORT.all()];
        for packets in outcome.packets {
            let (dest, port) = (packets.values(Field::DADDR), packets.values(Field::DPORT));
            let (mut dests, mut ports) = (cells(&dest, &all[0], true, v6), cells(&port, &all[1], false, v6));
            if dests.spans.len() * ports.spans.len() > MAX_CELLS {
                (dests, ports) = (
                    Cells { spans: vec![dest.hull()], exact: false },
                    Cells { spans: vec![port.hull()], exact: false },
                );
            }
            for proto in protocols(packets) {
                for d in &dests.spans {
                    for p in &ports.spans {
                        if self.all.len() >= self.max {
                            self.complete = false;
                            return;
                        }
                        let mut cell = packets.clone();
                        let mut any = true;
                        for (field, span) in [
                            (Field::PROTO, proto.map(|n| (u128::from(n), u128::from(n)))),
                            (Field::DADDR, *d),
                            (Field::DPORT, *p),
                        ] {
                            if let Some((a, b)) = span {
                                any &= cell.narrow(field, &Intervals::span(a, b));
                            }
                        }
                        if any && self.is_possible(&cell, v6) {
                            let context = RowContext {
                                program,
                                fields,
                                entrance,
                                outcome,
                                to,
                                v6,
                                location: &location,
                            };
                            self.add_cell(&context, proto, &cell, (dests.exact, *d), (ports.exact, *p));
                        }
                    }
                }
            }
        }
    }

    fn add_cell(
        &mut self,
        c: &RowContext<'_>,
        proto: Option<u8>,
        cell: &PacketBox,
        dest: (bool, Option<Span>),
        port: (bool, Option<Span>),
    ) {
        let mut rest = left(c.outcome.taken, cell, c.outcome.destination);
        rest.packets.retain(|p| self.is_possible(p, c.v6));
        let contested = split_contested(&mut rest, c.outcome);
        if contested.is_empty() || !rest.packets.is_empty() {
            self.add_left(c, proto, (cell, &rest), dest, port, None);
        }
        for (rule, packets) in contested {
            let rest = Left { packets, taken: Vec::new(), exact: rest.exact, at_random: true };
            self.add_left(c, proto, (cell, &rest), dest, port, Some(rule));
        }
    }

    /// Adds the row of packets that are left of a cell, which the other rule may take before.
    fn add_left(
        &mut self,
        c: &RowContext<'_>,
        proto: Option<u8>,
        (cell, rest): (&PacketBox, &Left),
        dest: (bool, Option<Span>),
        port: (bool, Option<Span>),
        rival: Option<RuleId>,
    ) {
        let key = (proto, dest.1, port.1, c.v6, c.to);
        let shadowed = rest.packets.is_empty();
        let known = self.index.get(&key).cloned().unwrap_or_default();
        for i in &known {
            let Some(row) = self.all[*i].as_mut() else { continue };
            let same_rule = row.rule == c.outcome.rule;
            let is_covered = |small: &[PacketBox], big: &[PacketBox]| {
                small.iter().all(|s| big.iter().any(|b| b.covers(s)))
            };
            if row.hook != c.entrance.hook {
                // The rule is reached from another hook too.
                if same_rule && !shadowed && row.nat.shadowed_by.is_none() && row.contested == rival.is_some()
                {
                    row.nat.hooks.add(hooks(c.entrance.hook));
                    return;
                }
                // The same forward works for connections of this host.
                if !shadowed && row.nat.shadowed_by.is_some() {
                    self.all[*i] = None;
                }
                continue;
            }
            if same_rule && shadowed && (row.nat.shadowed_by.is_none() || row.nat.host == c.host(dest, port))
            {
                return;
            }
            if !shadowed
                && row.nat.shadowed_by.is_none()
                && is_covered(&rest.packets, &row.packets)
                && (rival.is_some() || !row.contested)
            {
                return;
            }
            let replaces = if row.nat.shadowed_by.is_some() {
                same_rule
            } else {
                is_covered(&row.packets, &rest.packets) && (rival.is_none() || row.contested)
            };
            if !shadowed && replaces {
                self.all[*i] = None;
            }
        }
        let mut nat = c.nat_rule(self.netns, proto, cell, rest, dest, port);
        if let Some(rival) = rival {
            let text = format!("order unknown: {} has the same priority", c.program.location(rival)).into();
            nat.conditions.push(Condition { name: Some("order unknown".into()), text });
        }
        self.index.entry(key).or_default().push(self.all.len());
        self.all.push(Some(Row {
            rule: c.outcome.rule,
            nat,
            packets: rest.packets.clone(),
            hook: c.entrance.hook,
            to: c.to,
            marks: c.fields.marks_now(),
            contested: rival.is_some(),
        }));
    }
}

/// Moves out the packets that chains of the same priority take if they come first, by the rule that takes them.
fn split_contested(rest: &mut Left, outcome: &Outcome<'_>) -> Vec<(RuleId, Vec<PacketBox>)> {
    let mut out: Vec<(RuleId, Vec<PacketBox>)> = Vec::new();
    if outcome.rivals.is_empty() {
        return out;
    }
    for packets in std::mem::take(&mut rest.packets) {
        let alone = left(outcome.rivals, &packets, outcome.destination);
        rest.at_random |= alone.at_random;
        rest.exact &= alone.exact;
        let mut open = vec![packets];
        for taken in &alone.taken {
            let both: Vec<PacketBox> = open.iter().filter_map(|p| p.intersect(&taken.packets)).collect();
            open = open.iter().flat_map(|p| p.subtract(&taken.packets)).collect();
            match out.iter_mut().find(|(rule, _)| *rule == taken.rule) {
                Some((_, all)) => all.extend(both),
                None => out.push((taken.rule, both)),
            }
        }
        rest.packets.extend(alone.packets);
        rest.taken.extend(alone.taken);
    }
    out
}

fn hooks(hook: u32) -> Hooks {
    let prerouting = hook == NF_INET_PRE_ROUTING;
    Hooks { prerouting, output: !prerouting }
}

/// Protocols that are rows of their own.
fn protocols(packets: &PacketBox) -> Vec<Option<u8>> {
    let values = packets.values(Field::PROTO);
    let each = values.spans().iter().flat_map(|s| s.0..=s.1).take(MAX_PROTOS + 1);
    let each: Vec<Option<u8>> = each.map(|n| u8::try_from(n).ok()).collect();
    if each.len() > MAX_PROTOS { vec![None] } else { each }
}

struct RowContext<'a> {
    program: &'a Program<'a>,
    fields: &'a Fields,
    entrance: Entrance,
    outcome: &'a Outcome<'a>,
    to: NewDestination,
    v6: bool,
    location: &'a str,
}

impl RowContext<'_> {
    fn host(&self, dest: (bool, Option<Span>), port: (bool, Option<Span>)) -> Host {
        let addr = |a| text::address(a, self.v6);
        let bits = dest.1.and_then(|s| text::prefix_len(s, self.v6));
        Host {
            v6: self.v6,
            addrs: dest.1.map(|(a, b)| (addr(a), addr(b))),
            bits: bits.filter(|b| *b < if self.v6 { 128 } else { 32 }),
            // No connection goes to port 0.
            ports: port.1.map(|(a, b)| (a.max(1) as u16, b as u16)),
        }
    }

    fn nat_rule(
        &self,
        netns: u16,
        proto: Option<u8>,
        cell: &PacketBox,
        rest: &Left,
        dest: (bool, Option<Span>),
        port: (bool, Option<Span>),
    ) -> NatRule {
        // One box is shown as it is, with what earlier rules took as a condition; more are shown as exceptions.
        let (all_dests, all_ports) = (text::all_addresses(self.v6), Field::DPORT.all());
        let mut shown = cell;
        let (mut dest, mut port) = (dest, port);
        if let [only] = &rest.packets[..]
            && rest.exact
        {
            let d = cells(&only.values(Field::DADDR), &all_dests, true, self.v6);
            let p = cells(&only.values(Field::DPORT), &all_ports, false, self.v6);
            if let ([d_span], [p_span]) = (&d.spans[..], &p.spans[..]) {
                shown = only;
                (dest, port) = ((d.exact, *d_span), (p.exact, *p_span));
            }
        }
        let wildcard = if self.location.contains("-legacy ") { '+' } else { '*' };
        let iif = shown.get(Field::IIF).filter(|v| v.single() != Some(0));
        let iface = iif.and_then(|v| text::interfaces(v, wildcard));
        let known_proto = proto.and_then(Proto::from_ip_number);
        let mut conditions = Vec::new();
        for (field, values) in shown.fields() {
            let is_shown = match *field {
                Field::FAMILY => true,
                Field::PROTO => known_proto.is_some(),
                Field::DADDR => dest.0,
                Field::DPORT => port.0,
                Field::CT_STATE => values.contains(CT_NEW),
                Field::DADDR_TYPE => values.contains(RTN_LOCAL),
                Field::IIF => iface.is_some() || iif.is_none(),
                Field::OIF => values.single() == Some(0),
                Field::SADDR => *values == all_dests,
                _ => *values == field.all(),
            };
            if !is_shown {
                // The addresses are written as those left out of the network that is the host.
                let hull = dest.1.filter(|_| *field == Field::DADDR).map(|(a, b)| Intervals::span(a, b));
                let text = self.condition(*field, values, hull.as_ref());
                conditions.push(Condition { name: self.short_name(*field), text });
            }
        }
        let exceptions = !std::ptr::eq(shown, cell) || rest.packets.is_empty();
        if !exceptions && (!rest.exact || rest.packets != [cell.clone()]) {
            let mut except: Vec<String> =
                rest.taken.iter().map(|t| self.exception(cell, &t.packets)).collect();
            except.dedup();
            let more = except.len().saturating_sub(MAX_EXCEPTIONS);
            except.truncate(MAX_EXCEPTIONS);
            if more > 0 || !rest.exact {
                except.push("what earlier rules take".to_owned());
            }
            if !except.is_empty() {
                let text: Box<str> = format!("except {}", except.join(" and ")).into();
                conditions.push(Condition { name: Some(text.clone()), text });
            }
        }
        let (target, target_last) = self.target(dest.1, port.1);
        let shadowed_by = rest.packets.is_empty().then(|| {
            let whole = rest.taken.iter().find(|t| t.packets.covers(cell)).or(rest.taken.first());
            whole.map_or_else(String::new, |t| self.program.location(t.rule))
        });
        NatRule {
            netns,
            hooks: hooks(self.entrance.hook),
            proto: known_proto,
            host: self.host(dest, port),
            iface,
            kind: if self.to.addr == NewAddr::Local { ForwardKind::Redirect } else { ForwardKind::Dnat },
            target,
            target_last,
            conditions,
            packets: self.packets(cell, rest).into(),
            shadowed_by,
            filtered: None,
            location: self.location.to_owned(),
        }
    }

    /// Name of a field without mask and numbers. `None` for a number that chooses among targets.
    fn short_name(&self, field: Field) -> Option<Box<str>> {
        let name = self.fields.name(field);
        let name = name.split_once(" & ").map_or(name, |(n, _)| n);
        if !field.is_random() {
            return Some(name.into());
        }
        let kind = name.split(' ').next().unwrap_or(name);
        (!matches!(kind, "numgen" | "jhash" | "symhash")).then(|| kind.into())
    }

    fn condition(&self, field: Field, values: &Intervals, among: Option<&Intervals>) -> Box<str> {
        let name = self.fields.name(field);
        if field.is_random() {
            return name.into();
        }
        if self.fields.form(field) == Form::Flag {
            return if values.contains(1) { name.into() } else { format!("not {name}").into() };
        }
        let values = match among {
            Some(all) => text::values_within(values, all, field, self.fields, self.v6),
            None => text::values(values, field, self.fields, self.v6),
        };
        match values.strip_prefix('!') {
            Some(others) => format!("{name} not {others}").into(),
            None => format!("{name} {values}").into(),
        }
    }

    /// Part of the cell that an earlier rule takes, by the fields in which it takes only some values.
    fn exception(&self, cell: &PacketBox, taken: &PacketBox) -> String {
        let narrower = taken.fields().iter().filter(|(f, v)| !cell.values(*f).is_subset(v));
        let words: Vec<String> = narrower.map(|(f, v)| self.condition(*f, v, None).into_string()).collect();
        words.join(" with ")
    }

    fn packets(&self, cell: &PacketBox, rest: &Left) -> String {
        if !rest.exact || rest.packets.len() > MAX_ALTERNATIVES {
            return format!("{} …", text::packets(cell, self.fields, self.v6));
        }
        let each: Vec<String> = rest.packets.iter().map(|p| text::packets(p, self.fields, self.v6)).collect();
        each.join(" | ") + if rest.at_random { " …" } else { "" }
    }

    /// First and last target of the destinations and ports of a row.
    fn target(&self, dest: Option<Span>, port: Option<Span>) -> (Option<Endpoint>, Option<Endpoint>) {
        let any = if self.v6 { Addr::ANY6 } else { Addr::ANY4 };
        let addr = |a| text::address(a, self.v6);
        let (first, last) = match (self.to.addr, dest) {
            (NewAddr::Unknown, _) => return (None, None),
            (NewAddr::Local, _) | (NewAddr::Keep, None) => (any, any),
            (NewAddr::Keep, Some((a, b))) | (NewAddr::Among(a, b), _) => (addr(a), addr(b)),
            (NewAddr::Prefix(a, b), dest) => {
                let translate = |v| self.to.addr.translate(v).unwrap_or(v);
                match dest.filter(|(x, y)| (x ^ y) & !(a ^ b) == 0) {
                    Some((x, y)) => (addr(translate(x)), addr(translate(y))),
                    None => (addr(a), addr(b)),
                }
            }
        };
        let (first_port, last_port) = match (self.to.ports, port) {
            (NewPorts::Among(a, b), _) => (a, b),
            (NewPorts::Keep, Some((a, b))) if a == b => (a as u16, a as u16),
            (NewPorts::Keep, _) => (0, 0),
            (NewPorts::Shifted(min, max, base), Some((a, b))) => {
                let size = u32::from(max.saturating_sub(min)) + 1;
                let shift = |p: u128| min + ((p as u32).wrapping_sub(base.into()) % size) as u16;
                if shift(a) <= shift(b) { (shift(a), shift(b)) } else { (min, max) }
            }
            (NewPorts::Shifted(min, max, _), None) => (min, max),
        };
        let several = last > first || last_port > first_port;
        (Some(Endpoint::new(first, first_port)), several.then(|| Endpoint::new(last.max(first), last_port)))
    }
}
