//! JSON (RFC 8259): valid for any name, numbers as numbers, missing as `null`.

use super::Listing;
use crate::model::Snapshot;
use crate::model::text::is_hostile;
use crate::query::{Column, Value};
use std::io::{self, Write};

/// One array of objects, an object a line.
pub fn write_array(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    out.write_all(b"[")?;
    let mut buf = String::new();
    for (i, row) in list.rows.rows.iter().enumerate() {
        buf.clear();
        buf.push_str(if i == 0 { "\n" } else { ",\n" });
        object(&mut buf, list.snap, list.columns, *row as usize);
        out.write_all(buf.as_bytes())?;
    }
    out.write_all(if list.rows.rows.is_empty() { b"]\n" } else { b"\n]\n" })
}

/// One object a line, nothing around them.
pub fn write_lines(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    let mut buf = String::new();
    for row in &list.rows.rows {
        buf.clear();
        object(&mut buf, list.snap, list.columns, *row as usize);
        buf.push('\n');
        out.write_all(buf.as_bytes())?;
    }
    Ok(())
}

/// Appends one row as an object; keys are the columns' names.
pub fn object(buf: &mut String, snap: &Snapshot, columns: &[&'static Column], row: usize) {
    buf.push('{');
    for (i, c) in columns.iter().enumerate() {
        if i > 0 {
            buf.push(',');
        }
        string(buf, c.name);
        buf.push(':');
        value(buf, &c.value(snap, row));
    }
    buf.push('}');
}

/// Appends one value.
pub fn value(buf: &mut String, v: &Value<'_>) {
    match v {
        Value::Bool(b) => buf.push_str(if *b { "true" } else { "false" }),
        Value::Uint(n) => push(buf, format_args!("{n}")),
        Value::Float(n) if n.is_finite() => {
            // Three decimals are more than any clock here is good for.
            push(buf, format_args!("{}", (n * 1000.0).round() / 1000.0));
        }
        // JSON has no word for what is no number.
        Value::Missing(_) | Value::Float(_) => buf.push_str("null"),
        Value::Text(s) => string(buf, s),
        Value::State(s) => string(buf, s.name()),
        Value::Addr(a) => push(buf, format_args!("\"{a}\"")),
        Value::Endpoint(e) => push(buf, format_args!("\"{e}\"")),
        Value::States(counts) => {
            buf.push('{');
            for (i, (s, n)) in counts.present().enumerate() {
                push(buf, format_args!("{}\"{}\":{n}", if i > 0 { "," } else { "" }, s.name()));
            }
            buf.push('}');
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
    fn any_string_survives_the_way() {
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
    fn values() {
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
