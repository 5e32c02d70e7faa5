//! JSON (RFC 8259): valid for any name, numbers as numbers, missing as `null`.

use super::event::Event;
use super::grid::{BLOCK, Grid, Listing};
use crate::format::{self, Value};
use crate::model::addr::push_number;
use crate::model::text::is_hostile;
use crate::model::{Snapshot, Stamp};
use crate::sync::{cores, par_map};
use crate::table::Identity;
use std::io::{self, Write};

/// One array of objects, one object per line.
pub fn write_array(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    out.write_all(b"[")?;
    write_objects(out, list, "\n", ",")?;
    out.write_all(if list.grid.is_empty() { b"]\n" } else { b"\n]\n" })
}

/// One object per line (NDJSON).
pub fn write_lines(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    write_objects(out, list, "", "\n")?;
    if list.grid.is_empty() { Ok(()) } else { out.write_all(b"\n") }
}

/// Writes every row, preceded by `before` and separated by `between`.
fn write_objects(out: &mut dyn Write, list: &Listing<'_>, before: &str, between: &str) -> io::Result<()> {
    let (grid, n) = (list.grid, list.grid.len());
    // A few blocks at a time, to bound memory.
    let block = BLOCK / 4;
    let (blocks, mut first) = (n.div_ceil(block), 0);
    while first < blocks {
        let now = (blocks - first).min(cores());
        let texts = par_map(now, |i| {
            let begin = (first + i) * block;
            let mut buf = String::new();
            for row in begin..(begin + block).min(n) {
                if row > 0 {
                    buf.push_str(between);
                }
                buf.push_str(before);
                object(&mut buf, grid, row);
            }
            buf
        });
        for text in texts {
            out.write_all(text.as_bytes())?;
        }
        first += now;
    }
    Ok(())
}

/// Appends one row as an object; keys are the columns' names.
pub fn object(buf: &mut String, grid: &dyn Grid, row: usize) {
    buf.push('{');
    for (i, c) in grid.columns().iter().enumerate() {
        if i > 0 {
            buf.push(',');
        }
        string(buf, c.name);
        buf.push(':');
        value(buf, &grid.value(row, i));
    }
    buf.push('}');
}

/// Begins an event object: event, time and identity.
pub fn event_head(buf: &mut String, what: Event, at: Stamp, id: &Identity, snap: Option<&Snapshot>) {
    push(
        buf,
        format_args!(
            "{{\"event\":\"{}\",\"time\":{}.{:03},\"id\":",
            what.name(),
            at.unix_ns / 1_000_000_000,
            at.unix_ns / 1_000_000 % 1000
        ),
    );
    let netns = |n: u16| snap.and_then(|s| s.sample.namespaces.get(usize::from(n))).map_or(0, |n| n.inode);
    match id {
        Identity::Socket(s) => {
            push(buf, format_args!("{{\"netns\":{},\"cookie\":{}}}", netns(s.netns), s.cookie));
        }
        Identity::Port(n, proto, local, iface) => push(
            buf,
            format_args!(
                "{{\"netns\":{},\"proto\":\"{}\",\"local\":\"{local}\",\"iface_index\":{iface}}}",
                netns(*n),
                proto.name()
            ),
        ),
        Identity::Process(pid, start) => push(buf, format_args!("{{\"pid\":{pid},\"start_ns\":{start}}}")),
        Identity::Limit(kind, n, whose) => push(
            buf,
            format_args!(
                "{{\"netns\":{},\"limit\":\"{}\",\"subject\":{whose}}}",
                netns(*n),
                kind.info().name
            ),
        ),
        Identity::Forward(n, proto, host, by, target) => {
            let proto = proto.map_or("any", |p| p.name());
            let head = format_args!("{{\"netns\":{},\"proto\":\"{proto}\",\"host\":\"{host}\"", netns(*n))
                .to_string();
            push(buf, format_args!("{head},\"by\":\"{}\",\"target\":", by.name()));
            match target {
                Some(t) => push(buf, format_args!("\"{t}\"}}")),
                None => buf.push_str("null}"),
            }
        }
        Identity::Peer(a, (_, 0)) => push(buf, format_args!("{{\"addr\":\"{a}\"}}")),
        Identity::Peer(a, (n, iface)) => {
            let zone = snap.map_or_else(|| iface.to_string().into(), |s| s.iface_or_index(*n, *iface));
            buf.push_str("{\"addr\":");
            string(buf, &format!("{a}%{zone}"));
            buf.push('}');
        }
    }
}

/// Appends one value.
pub fn value(buf: &mut String, v: &Value<'_>) {
    match v {
        Value::Bool(b) => buf.push_str(if *b { "true" } else { "false" }),
        Value::Uint(n) => push_number(buf, *n),
        Value::Float(n) | Value::AtLeast(n) if n.is_finite() => {
            // Three decimals exceed the precision of any clock here.
            push(buf, format_args!("{}", (n * 1000.0).round() / 1000.0));
        }
        // JSON has no NaN or infinity.
        Value::Missing(_) | Value::Float(_) | Value::AtLeast(_) => buf.push_str("null"),
        Value::Text(s) => string(buf, s),
        Value::State(s) => string(buf, s.name()),
        Value::Addr(a) => {
            buf.push('"');
            a.push_to(buf);
            buf.push('"');
        }
        Value::Endpoint(e) => {
            buf.push('"');
            e.push_to(buf);
            buf.push('"');
        }
        Value::Zoned { .. } => string(buf, &format::exact(v)),
        Value::States(counts) => {
            buf.push('{');
            for (i, (s, n)) in counts.present().enumerate() {
                push(buf, format_args!("{}\"{}\":{n}", if i > 0 { "," } else { "" }, s.name()));
            }
            buf.push('}');
        }
        Value::Levels(l) => {
            for (i, n) in l.iter().enumerate() {
                push(buf, format_args!("{}{n}", if i > 0 { ',' } else { '[' }));
            }
            buf.push(']');
        }
        Value::List(items) => {
            buf.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    buf.push(',');
                }
                value(buf, item);
            }
            buf.push(']');
        }
        Value::Record(fields) => {
            buf.push('{');
            for (i, (name, v)) in fields.iter().enumerate() {
                if i > 0 {
                    buf.push(',');
                }
                string(buf, name);
                buf.push(':');
                value(buf, v);
            }
            buf.push('}');
        }
    }
}

/// Appends a string with its quotes. Whatever [`is_hostile`] names is escaped too, though JSON would allow it raw.
pub fn string(buf: &mut String, s: &str) {
    buf.push('"');
    if s.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        buf.push_str(s);
        buf.push('"');
        return;
    }
    for c in s.chars() {
        match c {
            '"' => buf.push_str("\\\""),
            '\\' => buf.push_str("\\\\"),
            '\n' => buf.push_str("\\n"),
            '\r' => buf.push_str("\\r"),
            '\t' => buf.push_str("\\t"),
            c if is_hostile(c) => {
                let mut units = [0u16; 2];
                for u in c.encode_utf16(&mut units) {
                    push(buf, format_args!("\\u{u:04x}"));
                }
            }
            c => buf.push(c),
        }
    }
    buf.push('"');
}

fn push(buf: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = std::fmt::Write::write_fmt(buf, args);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Missing, State, StateCounts};

    #[test]
    fn any_string_round_trips() {
        for s in [
            "",
            "nginx",
            "a\"b\\c\n\r\t\u{0}\u{1b}[0m",
            "\u{202e}abc\u{2066}",
            "한국어 \u{1f600}",
            "\u{9b}2J\u{7f}",
            "\u{e0041}",
        ] {
            let mut buf = String::new();
            string(&mut buf, s);
            assert!(!buf.chars().any(is_hostile), "{buf:?}");
            assert_eq!(serde_json::from_str::<String>(&buf).unwrap(), s);
        }
    }

    #[test]
    fn values_are_valid_json() {
        let mut counts = StateCounts::default();
        counts.add(State::CloseWait);
        for (v, want) in [
            (Value::Missing(Missing::NotPermitted), "null"),
            (Value::Uint(u64::MAX), "18446744073709551615"),
            (Value::Float(0.5), "0.5"),
            (Value::Float(f64::NAN), "null"),
            (Value::State(State::CloseWait), "\"CLOSE_WAIT\""),
            (Value::States(counts), "{\"CLOSE_WAIT\":1}"),
            (
                Value::List(vec![Value::Record(vec![("pid", Value::Uint(1)), ("comm", Value::text("x"))])]),
                "[{\"pid\":1,\"comm\":\"x\"}]",
            ),
        ] {
            let mut buf = String::new();
            value(&mut buf, &v);
            assert_eq!(buf, want);
        }
    }
}
