//! Operands: values parsed for the kind of their field.

use super::ast::{Field, Operand};
use super::error::{FilterError, Problem};
use super::number::{self, Number};
use super::raw_value::{RawValue, error_at, shown, unknown_state};
use super::state_sets;
use crate::format::{Kind, Role, did_you_mean};
use crate::model::lang::tr;
use crate::model::{Addr, Services, StateSet};
use crate::msg;
use crate::table::Table;
use regex::{Regex, RegexBuilder};
use std::ops::Range;

/// Aliases of the directions.
const DIRECTION_WORDS: &[(&str, &str)] = &[
    ("accepted", "in"),
    ("incoming", "in"),
    ("inbound", "in"),
    ("connected", "out"),
    ("outgoing", "out"),
    ("outbound", "out"),
];
/// A value to show in a hint.
pub(crate) fn example(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::EitherEnd => "10.0.0.0/8",
        Field::EitherPort => "443",
        Field::Column(c) => match c.kind {
            Kind::Bytes | Kind::BytesPerSec => "64k",
            Kind::Micros | Kind::Millis => "50ms",
            Kind::Secs => "10s",
            Kind::Time => "1777885200",
            Kind::Percent => "80%",
            Kind::Port => "443",
            Kind::Addr | Kind::Endpoint => "10.0.0.0/8",
            Kind::State | Kind::States => "close-wait",
            Kind::Bool => "yes",
            Kind::Hex => "0x1",
            Kind::Count | Kind::Amount | Kind::Id | Kind::PerSec | Kind::PerMin | Kind::Trend => "10",
            Kind::Text | Kind::List => match c.role? {
                Role::Proto => "tcp",
                Role::Family => "inet6",
                Role::Process | Role::Owner | Role::Owners => "nginx",
                Role::User => "root",
                Role::Iface => "eth0",
                _ => return None,
            },
        },
    })
}

/// A compiled regular expression, or the error.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > 1000 {
        return Err(tr("regular expression too long: at most 1000 bytes").to_owned());
    }
    RegexBuilder::new(pattern).size_limit(1 << 20).dfa_size_limit(1 << 20).nest_limit(50).build().map_err(
        |e| match e {
            regex::Error::CompiledTooBig(_) => tr("regular expression too large").to_owned(),
            e => {
                let text = e.to_string();
                let last = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                msg!("invalid regular expression: {}", last)
            }
        },
    )
}

/// `10.0.0.1`, `10.0.0.0/8`, `10/8`, `10.0.0.1:443`, `[::1]:443`, `fe80::/10`, `[fe80::1%eth0]:443`, `*:443`, `:443`,
/// `localhost`. `None` for anything else.
pub(crate) fn host(text: &str, services: &Services) -> Option<Operand> {
    if text == "*" {
        return Some(Operand::Host(None, None, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, after) = rest.split_once(']')?;
        let (inner, inner_len) = split_len(inner)?;
        let (inner, zone) = split_zone(inner)?;
        // `ss` writes the interface behind the bracket.
        let (zone, after) = match after.strip_prefix('%') {
            Some(behind) if zone.is_none() => {
                let end = behind.find([':', '/']).unwrap_or(behind.len());
                (Some(zone_name(&behind[..end])?), &behind[end..])
            }
            _ => (zone, after),
        };
        let addr: Addr = if inner.contains(':') { inner.parse().ok()? } else { return None };
        let (len, port) = match after.strip_prefix('/') {
            Some(t) => {
                let (len, port) = t.split_once(':').map_or((t, None), |(l, p)| (l, Some(p)));
                (Some(len.parse::<u8>().ok()?), port)
            }
            None if after.is_empty() => (None, None),
            None => (None, Some(after.strip_prefix(':')?)),
        };
        return with_port(prefix(addr, inner, len.or(inner_len))?, port, zone, services);
    }
    // A bare IPv6 address has no port: its last group would be taken for one.
    if text.matches(':').count() >= 2 {
        let (addr, len) = split_len(text)?;
        let (addr, zone) = split_zone(addr)?;
        return Some(Operand::Host(Some(prefix(addr.parse().ok()?, addr, len)?), None, zone));
    }
    let (addr, port) = text.split_once(':').map_or((text, None), |(a, p)| (a, Some(p)));
    if addr.is_empty() || addr == "*" {
        return match port? {
            "" | "*" => Some(Operand::Host(None, None, None)),
            p => Some(Operand::Host(None, Some(ports(p, services)?), None)),
        };
    }
    let (word, len) = split_len(addr)?;
    let (word, zone) = split_zone(word)?;
    let parsed: Addr = if word.eq_ignore_ascii_case("localhost") {
        Addr::v4([127, 0, 0, 1])
    } else if len.is_some() {
        short_v4(word)?
    } else {
        word.parse().ok()?
    };
    with_port(prefix(parsed, word, len)?, port, zone, services)
}

/// Parses an address as `ss` does: `10.0` is 10.0.0.0.
pub(crate) fn ss_host(text: &str, services: &Services) -> Option<Operand> {
    host(text, services).or_else(|| {
        let (addr, port) = text.split_once(':').map_or((text, None), |(a, p)| (a, Some(p)));
        with_port((short_v4(addr)?, 32), port, None, services)
    })
}

fn with_port(
    addr: (Addr, u8),
    port: Option<&str>,
    zone: Option<String>,
    services: &Services,
) -> Option<Operand> {
    let port = match port {
        None | Some("" | "*") => None,
        Some(p) => Some(ports(p, services)?),
    };
    Some(Operand::Host(Some(addr), port, zone))
}

/// True if the text is an address or an endpoint in filter syntax.
pub(crate) fn is_host(text: &str) -> bool {
    host(text, &Services::default()).is_some()
}

/// The interface behind the `%` of an address (RFC 4007).
fn split_zone(text: &str) -> Option<(&str, Option<String>)> {
    match text.split_once('%') {
        None => Some((text, None)),
        Some((addr, zone)) => Some((addr, Some(zone_name(zone)?))),
    }
}

/// An interface name or index. A name of other characters would have to be quoted, and is compared as text.
fn zone_name(text: &str) -> Option<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'@' | b'+');
    // IFNAMSIZ, with its NUL.
    (1..16).contains(&text.len()).then_some(())?;
    text.bytes().all(is_plain).then(|| text.to_owned())
}

/// A port as a C number, as in `ss`: `22`, `0x16`, `026`.
fn port_number(text: &str) -> Option<u16> {
    let digits = |t: &str, radix| {
        // `from_str_radix` accepts a sign.
        t.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| u16::from_str_radix(t, radix).ok()).flatten()
    };
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits(hex, 16);
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => digits(octal, 8),
        _ => digits(text, 10),
    }
}

/// A port, a range or a service.
fn ports(text: &str, services: &Services) -> Option<(u16, u16)> {
    let port = |t: &str| {
        if t.starts_with(|c: char| c.is_ascii_digit()) { port_number(t) } else { services.port(t) }
    };
    if let Some(p) = port(text) {
        return Some((p, p));
    }
    let (a, b) = text.split_once('-')?;
    let (a, b) = (port(a)?, if b.is_empty() { u16::MAX } else { port(b)? });
    (a <= b).then_some((a, b))
}

fn split_len(text: &str) -> Option<(&str, Option<u8>)> {
    match text.split_once('/') {
        None => Some((text, None)),
        Some((a, l)) if l.bytes().all(|b| b.is_ascii_digit()) => Some((a, Some(l.parse().ok()?))),
        Some(_) => None,
    }
}

/// The network: its length relative to the address as written, host bits cleared.
fn prefix(addr: Addr, written: &str, len: Option<u8>) -> Option<(Addr, u8)> {
    let Some(len) = len else { return Some((addr, super::ast::full(&addr))) };
    let len = match (addr.is_v4(), written.contains(':')) {
        (true, false) if len <= 32 => len,
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
        (true, true) if (96..=128).contains(&len) => len - 96,
        (false, _) if len <= 128 => len,
        _ => return None,
    };
    let bits = usize::from(len) + if addr.is_v4() { 96 } else { 0 };
    let mut b = *addr.octets();
    for (i, x) in b.iter_mut().enumerate() {
        let keep = bits.saturating_sub(i * 8).min(8);
        *x &= !(0xffu16 >> keep) as u8;
    }
    let cleared = Addr::v6(b);
    // Clearing the host bits of `::ffff:…/90` would leave IPv4; such a length was rejected above.
    Some((cleared, len))
}

/// Up to four numbers separated by dots; missing ones are 0.
fn short_v4(text: &str) -> Option<Addr> {
    if let Ok(a) = text.parse::<Addr>() {
        return Some(a);
    }
    let mut out = [0u8; 4];
    for (n, part) in text.split('.').enumerate() {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *out.get_mut(n)? = part.parse().ok()?;
    }
    Some(Addr::v4(out))
}

/// The percentage field for a value with a percent sign: `fds>80%` tests `fds_pct`.
pub(crate) fn percent_field(table: &'static Table, field: Field, text: &str) -> Field {
    if let Field::Column(c) = field
        && text.ends_with('%')
        && c.kind != Kind::Percent
        && let Some(column) = c.percent_column.and_then(|name| table.column(name))
    {
        return Field::Column(column);
    }
    field
}

/// The operands of a list, and the field they apply to.
pub(crate) fn all(
    table: &'static Table,
    services: &Services,
    field: Field,
    values: Vec<RawValue>,
) -> Result<(Field, Vec<Operand>), FilterError> {
    let field = if values.iter().all(|v| !v.quoted && v.text.ends_with('%')) {
        values.first().map_or(field, |v| percent_field(table, field, &v.text))
    } else {
        field
    };
    let mut out: Vec<Operand> = Vec::with_capacity(values.len());
    for raw in values {
        let o = operand(services, field, raw)?;
        if let (Operand::States(new), Some(Operand::States(have))) = (&o, out.last_mut()) {
            *have |= *new;
        } else if !out.contains(&o) {
            out.push(o);
        }
    }
    Ok((field, out))
}

fn operand(services: &Services, field: Field, mut raw: RawValue) -> Result<Operand, FilterError> {
    let kind = field.kind();
    if matches!(field, Field::Column(c) if c.is(Role::Direction))
        && let Some((_, same)) = DIRECTION_WORDS.iter().find(|(w, _)| raw.text.eq_ignore_ascii_case(w))
    {
        (*same).clone_into(&mut raw.text);
    }
    let stateful = matches!(kind, Kind::State | Kind::States);
    let fixed = match field {
        Field::Column(c) => c.values.map(|all| all()),
        _ => None,
    };
    let is_none = !raw.quoted && (raw.text.eq_ignore_ascii_case("none") || raw.text == "-");
    if is_none && !stateful && !fixed.as_ref().is_some_and(|f| f.contains(&"none")) {
        return Ok(Operand::Missing);
    }
    match kind {
        Kind::State | Kind::States => match state_sets::parse(&raw.text) {
            Some(set) => Ok(Operand::States(set)),
            None => Err(unknown_state(&raw.text, raw.span)),
        },
        Kind::Bool => match raw.text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "1" => Ok(Operand::Bool(true)),
            "no" | "false" | "off" | "0" => Ok(Operand::Bool(false)),
            _ => Err(error_at(
                Problem::BadValue,
                raw.span,
                msg!("invalid value {}: expected yes or no", shown(&raw.text)),
                None,
            )),
        },
        Kind::Endpoint | Kind::Addr => {
            if !raw.quoted {
                if let Some(h) = host(&raw.text, services) {
                    return Ok(h);
                }
                if let Some(why) = invalid_prefix(&raw.text) {
                    return Err(error_at(
                        Problem::BadValue,
                        raw.span,
                        why,
                        Some(tr("example: 10.0.0.0/8 or fe80::/10").to_owned()),
                    ));
                }
            }
            Ok(free(raw))
        }
        Kind::Text | Kind::List => {
            if let (Some(fixed), false) = (&fixed, raw.wild)
                && !fixed.iter().any(|f| f.eq_ignore_ascii_case(&raw.text))
            {
                let near = did_you_mean::nearest(&raw.text, fixed.iter().copied());
                let hint =
                    near.map_or_else(|| msg!("one of {}", fixed.join(", ")), |n| msg!("did you mean {}?", n));
                let message = msg!("invalid {} {}", field.name(), shown(&raw.text));
                return Err(error_at(Problem::BadValue, raw.span, message, Some(hint)));
            }
            Ok(free(raw))
        }
        _ => numeric(services, field, &raw),
    }
}

/// The error for a network with an invalid prefix length.
fn invalid_prefix(text: &str) -> Option<String> {
    let (addr, len) = text.rsplit_once('/')?;
    let addr: Addr = addr.trim_matches(['[', ']']).parse().ok()?;
    let most = super::ast::full(&addr);
    Some(msg!("invalid prefix length {}: expected 0 to {}", shown(len), most))
}

fn free(raw: RawValue) -> Operand {
    if raw.wild && !raw.quoted { Operand::Glob(raw.text) } else { Operand::Text(raw.text) }
}

fn numeric(services: &Services, field: Field, raw: &RawValue) -> Result<Operand, FilterError> {
    let kind = field.kind();
    if kind == Kind::Hex
        && let Some((v, m)) = raw.text.split_once('/')
    {
        let whole = |t: &str, at: Range<usize>| match Number::parse(t, kind) {
            Some(Number::Whole(n)) => Ok(n),
            _ => Err(error_at(
                Problem::BadValue,
                at,
                msg!("invalid number {}", shown(t)),
                Some(tr("example: 0x1/0xff").to_owned()),
            )),
        };
        return Ok(Operand::Mask(whole(v, raw.span.clone())?, whole(m, raw.span.clone())?));
    }
    // A range; a service name may contain a `-`, a number may begin with one.
    if service(services, kind, &raw.text).is_none()
        && let Some(at) = raw.text.get(1..).and_then(|t| t.find('-')).map(|i| i + 1)
    {
        let part = |text: &str, from: usize| RawValue {
            text: text.to_owned(),
            span: (raw.span.start + from).min(raw.span.end)
                ..(raw.span.start + from + text.len()).min(raw.span.end),
            quoted: false,
            wild: false,
        };
        let low = part(&raw.text[..at], 0);
        let high = part(&raw.text[at + 1..], at + 1);
        let a = match number(services, field, &low) {
            Ok(a) => a,
            // `http-ltt`: the whole word is unknown.
            Err(_) if kind == Kind::Port && !low.text.bytes().all(|b| b.is_ascii_digit()) => {
                return number(services, field, raw).map(Operand::Number);
            }
            Err(e) => return Err(e),
        };
        if high.text.is_empty() {
            return Ok(Operand::Range(a, None));
        }
        let b = number(services, field, &high)?;
        if a.f64() > b.f64() {
            let hint = msg!("write {}-{}", high.text, low.text);
            return Err(error_at(Problem::BadValue, raw.span.clone(), tr("reversed range"), Some(hint)));
        }
        return Ok(Operand::Range(a, Some(b)));
    }
    number(services, field, raw).map(Operand::Number)
}

fn service(services: &Services, kind: Kind, text: &str) -> Option<u16> {
    if kind == Kind::Port { services.port(text.trim_start_matches(':')) } else { None }
}

/// A number in the unit of a field; for a port also a service name.
pub(crate) fn number(services: &Services, field: Field, raw: &RawValue) -> Result<Number, FilterError> {
    let kind = field.kind();
    let bad = |message: String, hint: String| {
        Err(error_at(Problem::BadValue, raw.span.clone(), message, Some(hint)))
    };
    match kind {
        Kind::Port => {
            let text = raw.text.trim_start_matches(':');
            if let Some(port) = service(services, kind, text) {
                return Ok(Number::Whole(u64::from(port)));
            }
            if text.bytes().all(|b| b.is_ascii_alphanumeric())
                && text.starts_with(|c: char| c.is_ascii_digit())
            {
                return match port_number(text) {
                    Some(n) => Ok(Number::Whole(u64::from(n))),
                    None => bad(msg!("invalid port {}", shown(text)), tr("expected 0 to 65535").to_owned()),
                };
            }
            let hint = did_you_mean::nearest(text, services.names()).map_or_else(
                || tr("expected a number or a name from /etc/services").to_owned(),
                |n| msg!("did you mean {}?", n),
            );
            bad(msg!("unknown service {}", shown(text)), hint)
        }
        Kind::State | Kind::States | Kind::Text | Kind::List | Kind::Addr | Kind::Endpoint | Kind::Bool => {
            let hint = match kind {
                Kind::Endpoint | Kind::Addr => tr("compare ports with local_port or remote_port").to_owned(),
                _ => msg!("write {}:{}", field.name(), example(field).unwrap_or("VALUE")),
            };
            bad(msg!("{} cannot be compared", field.name()), hint)
        }
        _ => match Number::parse(&raw.text, kind) {
            Some(n) => Ok(n),
            None => bad(
                msg!("invalid value {} for {}", shown(&raw.text), field.name()),
                tr(number::advice(kind)).to_owned(),
            ),
        },
    }
}

/// The states of an operand list.
pub(crate) fn state_set(operands: &[Operand]) -> StateSet {
    operands.iter().fold(StateSet::empty(), |s, o| match o {
        Operand::States(x) => s | *x,
        _ => s,
    })
}
