//! Comma-separated values (RFC 4180): column names as header, exact numbers, empty fields for missing values.

use super::grid::Listing;
use crate::format::Value;
use crate::format::exact;
use crate::model::addr::push_number;
use std::io::{self, Write};

/// Writes the rows.
pub fn write(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    let mut line = String::new();
    if list.header {
        for (i, c) in list.grid.columns().iter().enumerate() {
            if i > 0 {
                line.push(',');
            }
            line.push_str(c.name);
        }
        line.push_str("\r\n");
        out.write_all(line.as_bytes())?;
    }
    for row in 0..list.grid.len() {
        line.clear();
        for i in 0..list.grid.columns().len() {
            if i > 0 {
                line.push(',');
            }
            let v = list.grid.value(row, i);
            match v {
                Value::Missing(_) => {}
                // They need no quotes.
                Value::Uint(n) => push_number(&mut line, n),
                Value::Endpoint(e) => e.push_to(&mut line),
                Value::Addr(a) => a.push_to(&mut line),
                v => field(&mut line, &exact(&v)),
            }
        }
        line.push_str("\r\n");
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Appends one field, quoted if needed. A field that a spreadsheet would run as a formula is quoted and prefixed with an
/// apostrophe.
fn field(line: &mut String, s: &str) {
    let formula = s.starts_with(['=', '+', '-', '@']) && s.parse::<f64>().is_err();
    if !formula && !s.contains([',', '"', '\n', '\r']) && !s.starts_with(' ') && !s.ends_with(' ') {
        line.push_str(s);
        return;
    }
    line.push('"');
    if formula {
        line.push('\'');
    }
    for c in s.chars() {
        if c == '"' {
            line.push('"');
        }
        line.push(c);
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn special_fields_are_quoted() {
        for (raw, want) in [
            ("nginx", "nginx"),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("=cmd()", "\"'=cmd()\""),
            ("-5", "-5"),
            (" x", "\" x\""),
            ("", ""),
        ] {
            let mut line = String::new();
            field(&mut line, raw);
            assert_eq!(line, want);
        }
    }
}
