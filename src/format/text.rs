//! Values as text.

use super::column::Kind;
use super::number::{number_text, thousands, trim_float};
use super::style::Style;
use super::value::Value;
use super::width::width;
use crate::model::addr::push_number;
use crate::model::text::escape;
use crate::model::{Endpoint, Missing, StateCounts};
use std::borrow::Cow;
use std::fmt::Write;

/// A value for people. Control characters are escaped.
pub fn cell<'v>(value: &'v Value<'_>, kind: Kind, style: &Style) -> Cow<'v, str> {
    ready_text(value, *style).unwrap_or_else(|| {
        let mut out = String::new();
        push_built(&mut out, value, kind, *style);
        Cow::Owned(out)
    })
}

/// Appends a value as [`cell`] formats it, without an allocation where possible. Returns its screen columns.
pub fn push_cell(out: &mut String, value: &Value<'_>, kind: Kind, style: &Style) -> usize {
    let from = out.len();
    match value {
        Value::Text(s) if s.bytes().all(|b| matches!(b, b' '..=b'~')) && !s.trim_ascii().is_empty() => {
            out.push_str(s);
            return out.len() - from;
        }
        value => match ready_text(value, *style) {
            Some(text) => out.push_str(&text),
            None => push_built(out, value, kind, *style),
        },
    }
    width(&out[from..])
}

/// The text of a value that has one already.
fn ready_text<'v>(value: &'v Value<'_>, style: Style) -> Option<Cow<'v, str>> {
    Some(match value {
        Value::Missing(Missing::Stable) => Cow::Borrowed(Missing::Stable.reason()),
        Value::Missing(_) => Cow::Borrowed("-"),
        Value::Bool(b) => Cow::Borrowed(if *b { "yes" } else { "no" }),
        Value::State(s) => Cow::Borrowed(s.name()),
        // A process can give itself a name of blanks.
        Value::Text(s) if s.trim().is_empty() => Cow::Owned(format!("\"{}\"", escape(s))),
        Value::Text(s) => match escape(s) {
            _ if style.ascii && !s.is_ascii() => Cow::Owned(to_ascii(s)),
            e => e,
        },
        _ => return None,
    })
}

/// Appends the text of a value that must be built.
fn push_built(out: &mut String, value: &Value<'_>, kind: Kind, style: Style) {
    match value {
        // Below a thousand there is neither a unit nor a comma.
        Value::Uint(n) if is_plain(*n, kind, style) => push_number(out, *n),
        Value::Uint(n) => out.push_str(&number_text(*n as f64, Some(*n), kind, style)),
        Value::Float(n) => out.push_str(&number_text(*n, None, kind, style)),
        Value::AtLeast(n) => {
            out.push(if style.ascii { '>' } else { '≥' });
            out.push_str(&number_text(*n, None, kind, style));
        }
        Value::Addr(a) => a.push_to(out),
        Value::Endpoint(e) => e.push_to(out),
        Value::Zoned { end, with_port, zone } => push_zoned(out, end, *with_port, zone),
        Value::States(c) => push_states(out, c),
        Value::Levels(l) => out.push_str(&levels(*l, style.ascii)),
        Value::List(items) if items.is_empty() => out.push('-'),
        Value::List(items) => {
            for (i, v) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                push_cell(out, v, Kind::List, &style);
            }
        }
        Value::Record(fields) => push_record(out, fields, style),
        Value::Missing(_) | Value::Bool(_) | Value::State(_) | Value::Text(_) => {
            out.push_str(&cell(value, kind, &style));
        }
    }
}

/// A record with `comm` first and `pid` without its name: `nginx 812 fd 7`.
fn push_record(out: &mut String, fields: &[(&'static str, Value<'_>)], style: Style) {
    let from = out.len();
    if let Some((_, v)) = fields.iter().find(|(n, _)| *n == "comm") {
        push_cell(out, v, Kind::Text, &style);
    }
    for (name, v) in fields.iter().filter(|(n, _)| *n != "comm") {
        if out.len() > from {
            out.push(' ');
        }
        if *name != "pid" {
            out.push_str(name);
            out.push(' ');
        }
        push_cell(out, v, Kind::Id, &style);
    }
}

/// Returns whether a number of this kind is written in plain digits.
fn is_plain(n: u64, kind: Kind, style: Style) -> bool {
    match kind {
        Kind::Id | Kind::Port => true,
        Kind::Count | Kind::Amount | Kind::Bytes => style.numeric || n < 1000,
        _ => false,
    }
}

/// Appends a link-local address with its interface. An interface may have any name without blanks and slashes.
pub(crate) fn push_zoned(out: &mut String, end: &Endpoint, with_port: bool, zone: &str) {
    let zone = escape(zone);
    if with_port {
        end.push_zoned(out, Some(&zone));
    } else {
        end.addr.push_to(out);
        out.push('%');
        out.push_str(&zone);
    }
}

/// A value without loss, for CSV: full numbers, empty if missing. Control characters are escaped.
pub fn exact(value: &Value<'_>) -> String {
    match value {
        Value::Missing(_) => String::new(),
        Value::Bool(b) => b.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Float(n) | Value::AtLeast(n) => trim_float(*n),
        Value::Text(s) => escape(s).into_owned(),
        Value::State(s) => s.name().to_owned(),
        Value::Addr(a) => a.to_string(),
        Value::Endpoint(e) => e.to_string(),
        Value::Zoned { end, with_port, zone } => {
            let mut out = String::new();
            push_zoned(&mut out, end, *with_port, zone);
            out
        }
        Value::States(c) => join(c.present().map(|(s, n)| format!("{}={n}", s.name())), ";"),
        Value::Levels(l) => join(l.iter().map(u8::to_string), ";"),
        Value::List(items) => join(items.iter().map(exact), ";"),
        Value::Record(fields) => join(fields.iter().map(|(n, v)| format!("{n}={}", exact(v))), " "),
    }
}

/// A sparkline: level 0 is the lowest glyph.
fn levels(l: [u8; 8], ascii: bool) -> String {
    let glyphs = if ascii {
        ['_', '.', '-', '=', '+', '*', '#', '#']
    } else {
        ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    };
    // The highest glyph is more than a gigabyte per second.
    l.iter().map(|n| glyphs[usize::from(n.div_ceil(5)).min(7)]).collect()
}

fn join(parts: impl Iterator<Item = String>, by: &str) -> String {
    let mut out = String::new();
    for (i, p) in parts.enumerate() {
        if i > 0 {
            out.push_str(by);
        }
        out.push_str(&p);
    }
    out
}

/// Appends counts by state, most significant first: `ESTABLISHED 1,204 TIME_WAIT 3`.
fn push_states(out: &mut String, c: &StateCounts) {
    let from = out.len();
    for (s, n) in c.present() {
        if out.len() > from {
            out.push(' ');
        }
        let _ = write!(out, "{} {}", s.name(), thousands(u64::from(n)));
    }
    if out.len() == from {
        out.push('-');
    }
}

fn to_ascii(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in escape(s).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_has_the_unit_of_its_kind() {
        let cell = |v: Value<'_>, k| cell(&v, k, &Style::default()).into_owned();
        assert_eq!(cell(Value::Uint(812), Kind::Id), "812");
        assert_eq!(cell(Value::Uint(123_456), Kind::Count), "123,456");
        assert_eq!(cell(Value::Uint(123_456), Kind::Id), "123456");
        assert_eq!(cell(Value::Uint(255), Kind::Hex), "0xff");
        assert_eq!(cell(Value::Float(-2.5), Kind::PerMin), "-2.5");
        assert_eq!(cell(Value::Float(3.0), Kind::PerMin), "+3");
        assert_eq!(cell(Value::text("a\x1b[2Jb"), Kind::Text), "a\\e[2Jb");
        assert_eq!(exact(&Value::text("a\nb")), "a\\nb");
        assert_eq!(exact(&Value::Float(1.5)), "1.5");
        assert_eq!(exact(&Value::Missing(Missing::Gone)), "");
    }

    #[test]
    fn appended_cell_is_the_cell() {
        let style = Style::default();
        for value in [
            Value::Missing(Missing::Stable),
            Value::Missing(Missing::Gone),
            Value::Uint(812),
            Value::Uint(1_204),
            Value::text("한국어"),
            Value::text("a\x1bb"),
            Value::AtLeast(3.0),
            Value::List(vec![Value::Record(vec![("pid", Value::Uint(1)), ("comm", Value::text("init"))])]),
        ] {
            let mut out = "x".to_owned();
            let columns = push_cell(&mut out, &value, Kind::Count, &style);
            let text = cell(&value, Kind::Count, &style);
            assert_eq!((&out[1..], columns), (&*text, width(&text)));
        }
    }
}
