//! Sets of packets in words.

use super::fields::{Fields, Form};
use super::interval::{Intervals, Span};
use super::packets::{Field, PacketBox};
use crate::model::Addr;
use crate::model::Proto;
use crate::model::nft::NFPROTO_IPV6;
use std::fmt::Write;

/// Most intervals written out; above, their number.
const MAX_LISTED: usize = 8;
/// Names of `NF_CT_STATE_BIT`.
const CT_STATES: [(u128, &str); 5] =
    [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
/// Names of `RTN_*`.
const ADDR_TYPES: [&str; 12] = [
    "unspec",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// An address of a family, from its number.
pub(in crate::derive) fn address(value: u128, v6: bool) -> Addr {
    if v6 { Addr::v6(value.to_be_bytes()) } else { Addr::v4((value as u32).to_be_bytes()) }
}

/// The number of an address.
pub(in crate::derive) fn address_value(addr: &Addr) -> u128 {
    let value = u128::from_be_bytes(*addr.octets());
    if addr.is_v4() { value & u128::from(u32::MAX) } else { value }
}

/// Length of the prefix that an interval of addresses is, in bits.
pub(in crate::derive) const fn prefix_len((first, last): Span, v6: bool) -> Option<u8> {
    let varies = first ^ last;
    let is_prefix = varies & varies.wrapping_add(1) == 0 && first & varies == 0;
    let bits = varies.count_ones() as u8;
    if is_prefix { Some(if v6 { 128 - bits } else { 32 - bits }) } else { None }
}

/// All addresses of a family.
pub(in crate::derive) fn all_addresses(v6: bool) -> Intervals {
    Intervals::span(0, if v6 { u128::MAX } else { u32::MAX.into() })
}

/// An interface name from its number, with `wildcard` after a prefix. `None` for other intervals.
pub(in crate::derive) fn interface((first, last): Span, wildcard: char) -> Option<String> {
    let bytes = first.to_be_bytes();
    let len = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let mut name = String::from_utf8_lossy(&bytes[..len]).into_owned();
    let varies = first ^ last;
    if first != last {
        if varies & varies.wrapping_add(1) != 0 || first & varies != 0 {
            return None;
        }
        name.push(wildcard);
    }
    Some(name)
}

/// Interfaces and prefixes of names, or with `!` all others.
pub(in crate::derive) fn interfaces(values: &Intervals, wildcard: char) -> Option<String> {
    let list = |values: &Intervals| {
        let names: Option<Vec<String>> = values.spans().iter().map(|s| interface(*s, wildcard)).collect();
        names.filter(|n| (1..=MAX_LISTED).contains(&n.len())).map(|n| n.join(","))
    };
    // The complement of names has one interval more, and the first begins with the empty name.
    if values.contains(0) || values.spans().first().is_some_and(|s| s.0 == 1) {
        let others = values.complement(u128::MAX);
        let others = if others.contains(0) { others.subtract(&Intervals::value(0)) } else { others };
        return list(&others).map(|names| format!("!{names}"));
    }
    list(values)
}

/// A prefix of names and those that are left out of it; `None` for other sets.
fn left_out_names(values: &Intervals) -> Option<(String, String)> {
    let names = interface(values.hull()?, '*').filter(|n| values.spans().len() > 1 && n != "*")?;
    let (first, last) = values.hull()?;
    let others = interfaces(&Intervals::span(first, last).subtract(values), '*')?;
    Some((names, others))
}

fn push_span(out: &mut String, (first, last): Span, form: Form, v6: bool) {
    let push = |out: &mut String, value: u128| {
        let written = match form {
            Form::Addr => write!(out, "{}", address(value, v6)),
            Form::Hex => write!(out, "{value:#x}"),
            Form::Proto => match u8::try_from(value).ok().and_then(Proto::from_ip_number) {
                Some(p) => write!(out, "{}", p.name()),
                None => write!(out, "{value}"),
            },
            Form::Family => write!(out, "{}", if value == u128::from(NFPROTO_IPV6) { "ip6" } else { "ip" }),
            Form::AddrType => write!(out, "{}", ADDR_TYPES.get(value as usize).unwrap_or(&"?")),
            Form::CtState => {
                let name = CT_STATES.iter().find(|s| s.0 == value).map_or("?", |s| s.1);
                write!(out, "{name}")
            }
            Form::Iface => match interface((value, value), '*') {
                Some(name) => write!(out, "{name}"),
                None => Ok(()),
            },
            Form::Number | Form::Flag => write!(out, "{value}"),
        };
        debug_assert!(written.is_ok());
    };
    match form {
        Form::Addr if first != last => match prefix_len((first, last), v6) {
            Some(bits) => {
                push(out, first);
                let _ = write!(out, "/{bits}");
                return;
            }
            None => push(out, first),
        },
        Form::Iface if first != last => {
            if let Some(name) = interface((first, last), '*') {
                out.push_str(&name);
                return;
            }
            push(out, first);
        }
        _ => push(out, first),
    }
    if first != last {
        out.push('-');
        push(out, last);
    }
}

/// Values of a field: `10.0.0.0/8`, `1-80,443`, with `!` before those that are left out if they are fewer.
pub(in crate::derive) fn values(values: &Intervals, field: Field, fields: &Fields, v6: bool) -> String {
    let all = if fields.form(field) == Form::Addr { all_addresses(v6) } else { field.all() };
    values_within(values, &all, field, fields, v6)
}

/// Values of a field that are among others.
pub(in crate::derive) fn values_within(
    values: &Intervals,
    all: &Intervals,
    field: Field,
    fields: &Fields,
    v6: bool,
) -> String {
    let form = fields.form(field);
    if form == Form::Iface {
        if let Some((names, others)) = left_out_names(values) {
            return format!("{names} but {others}");
        }
        if let Some(names) = interfaces(values, '*') {
            return names;
        }
        if let Some((names, others)) = left_out_names(&values.complement(u128::MAX)) {
            return format!("!{names} or {others}");
        }
    }
    let left_out = all.subtract(values);
    let few = matches!(form, Form::AddrType | Form::CtState);
    let all_but_one = left_out.single().is_some() && values.single().is_none();
    let fewer = left_out.spans().len() < values.spans().len();
    let is_few = matches!(form, Form::Flag | Form::CtState) || field.is_random();
    let (not, shown) = if !left_out.is_empty() && (fewer && !few || all_but_one && !is_few) {
        ("!", &left_out)
    } else {
        ("", values)
    };
    if shown.spans().len() > MAX_LISTED {
        return format!("{not}{} values", shown.spans().len());
    }
    let mut out = not.to_owned();
    for (i, span) in shown.spans().iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let singles: Vec<Span> = if few { (span.0..=span.1).map(|v| (v, v)).collect() } else { vec![*span] };
        for (k, s) in singles.into_iter().enumerate() {
            if k > 0 {
                out.push(',');
            }
            push_span(&mut out, s, form, v6);
        }
    }
    out
}

/// The conditions of a box: `family=ip protocol=tcp destination_port=80`.
pub(in crate::derive) fn packets(packets: &PacketBox, fields: &Fields, v6: bool) -> String {
    let mut out = String::new();
    for (field, set) in packets.fields().iter().filter(|(f, _)| fields.form(*f) == Form::Iface) {
        // All but some names of a prefix: two alternatives.
        let others = set.complement(u128::MAX);
        if interfaces(set, '*').is_none()
            && left_out_names(set).is_none()
            && left_out_names(&others).is_some()
            && let Some((first, last)) = others.hull()
        {
            let prefix = Intervals::span(first, last);
            let parts = [set.subtract(&prefix), set.intersect(&prefix)].map(|part| {
                let mut one = packets.clone();
                one.set(*field, part);
                self::packets(&one, fields, v6)
            });
            return parts.join(" | ");
        }
    }
    for (field, set) in packets.fields() {
        let all = if fields.form(*field) == Form::Addr { all_addresses(v6) } else { field.all() };
        if *set == all || fields.form(*field) == Form::Iface && set.single() == Some(0) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(fields.name(*field).chars().map(|c| if c == ' ' { '_' } else { c }));
        out.push('=');
        if fields.form(*field) == Form::Iface {
            let name = fields.name(*field);
            if let Some((names, others)) = left_out_names(set) {
                out.push_str(&format!("{names} {name}=!{others}"));
                continue;
            }
        }
        out.push_str(&values(set, *field, fields, v6));
    }
    out
}
