//! How values look.

pub mod column;
pub mod column_layout;
pub mod did_you_mean;
mod tcp_field;
pub mod value;

pub use crate::model::Needs;
pub use column::{Align, Column, Gauge, Get, Kind, Role, TextMatch, Tone, Width};
pub use value::Value;

use crate::model::addr::push_number;
use crate::model::text::escape;
use crate::model::{Addr, Endpoint, Missing, StateCounts};
use std::borrow::Cow;
use std::fmt::Write;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Choices about looks that hold for a whole screen or output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Numbers as they are: no units, no thousands.
    pub numeric: bool,
    /// ASCII only: `us` for `µs`, `..` for `…`.
    pub ascii: bool,
}

/// A value as a person reads it. Nothing in it can harm a terminal.
pub fn cell<'v>(value: &'v Value<'_>, kind: Kind, style: &Style) -> Cow<'v, str> {
    match value {
        Value::Missing(Missing::Steady) => Cow::Borrowed(Missing::Steady.reason()),
        Value::Missing(_) => Cow::Borrowed("-"),
        Value::Bool(b) => Cow::Borrowed(if *b { "yes" } else { "no" }),
        Value::Uint(n) => Cow::Owned(number(*n as f64, Some(*n), kind, *style)),
        Value::Float(n) => Cow::Owned(number(*n, None, kind, *style)),
        Value::AtLeast(n) => {
            let mark = if style.ascii { '>' } else { '≥' };
            Cow::Owned(format!("{mark}{}", number(*n, None, kind, *style)))
        }
        // What would not be seen, as a process can call itself.
        Value::Text(s) if s.trim().is_empty() => Cow::Owned(format!("\"{}\"", escape(s))),
        Value::Text(s) => match escape(s) {
            _ if style.ascii && !s.is_ascii() => Cow::Owned(to_ascii(s)),
            e => e,
        },
        Value::State(s) => Cow::Borrowed(s.name()),
        Value::Addr(a) => Cow::Owned(addr(a)),
        Value::Endpoint(e) => Cow::Owned(endpoint(e)),
        Value::States(c) => Cow::Owned(states(c)),
        Value::Levels(l) => Cow::Owned(levels(*l, style.ascii)),
        Value::List(items) => {
            let mut out = String::new();
            for (i, v) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                out.push_str(&cell(v, Kind::List, style));
            }
            if items.is_empty() { Cow::Borrowed("-") } else { Cow::Owned(out) }
        }
        Value::Record(fields) => {
            let mut out = String::new();
            // comm first, then the numbers: `nginx 812 fd 7`.
            let comm = fields.iter().find(|(n, _)| *n == "comm");
            if let Some((_, v)) = comm {
                out.push_str(&cell(v, Kind::Text, style));
            }
            for (name, v) in fields.iter().filter(|(n, _)| *n != "comm") {
                if !out.is_empty() {
                    out.push(' ');
                }
                if *name != "pid" {
                    out.push_str(name);
                    out.push(' ');
                }
                out.push_str(&cell(v, Kind::Id, style));
            }
            Cow::Owned(out)
        }
    }
}

/// Appends a value as [`cell`] gives it, without a text of its own where that can be: lists are written with this.
/// Returns how many screen columns it takes.
pub fn push_cell(out: &mut String, value: &Value<'_>, kind: Kind, style: &Style) -> usize {
    let from = out.len();
    match value {
        Value::Missing(_) => out.push('-'),
        Value::Endpoint(e) => e.push_to(out),
        Value::Addr(a) => a.push_to(out),
        Value::State(s) => out.push_str(s.name()),
        // Below a thousand there is neither a unit nor a comma.
        Value::Uint(n) if is_plain(*n, kind, *style) => push_number(out, *n),
        Value::Text(s) if s.bytes().all(|b| matches!(b, b' '..=b'~')) && !s.trim_ascii().is_empty() => {
            out.push_str(s);
        }
        other => {
            let text = cell(other, kind, style);
            out.push_str(&text);
            return width(&text);
        }
    }
    out.len() - from
}

/// Whether a number of this kind is written as its digits.
fn is_plain(n: u64, kind: Kind, style: Style) -> bool {
    match kind {
        Kind::Id | Kind::Port => true,
        Kind::Count | Kind::Amount | Kind::Bytes => style.numeric || n < 1000,
        _ => false,
    }
}

/// A value without any loss, for csv: numbers in full, empty where missing. Nothing in it can harm a terminal.
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
        Value::States(c) => join(c.present().map(|(s, n)| format!("{}={n}", s.name())), ";"),
        Value::Levels(l) => join(l.iter().map(u8::to_string), ";"),
        Value::List(items) => join(items.iter().map(exact), ";"),
        Value::Record(fields) => join(fields.iter().map(|(n, v)| format!("{n}={}", exact(v))), " "),
    }
}

/// A small curve: a level of nothing is the lowest.
fn levels(l: [u8; 8], ascii: bool) -> String {
    let glyphs = if ascii {
        ['_', '.', '-', '=', '+', '*', '#', '#']
    } else {
        ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    };
    // The highest stands for more than a gigabyte a second.
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

/// At most three digits behind the point, none where they say nothing.
fn trim_float(n: f64) -> String {
    let s = format!("{n:.3}");
    let s = s.trim_end_matches('0').trim_end_matches('.');
    if s == "-0" { "0".to_owned() } else { s.to_owned() }
}

fn number(n: f64, whole: Option<u64>, kind: Kind, style: Style) -> String {
    let plain = || whole.map_or_else(|| trim_float(n), |w| w.to_string());
    if kind == Kind::Hex {
        return format!("0x{:x}", whole.unwrap_or(n as u64));
    }
    if style.numeric {
        return plain();
    }
    match kind {
        Kind::Bytes | Kind::BytesPerSec => bytes(n),
        Kind::Count => whole.map_or_else(|| trim_float(n), thousands),
        Kind::Amount => whole.map_or_else(|| trim_float(n), amount),
        Kind::PerSec => small_rate(n),
        Kind::PerMin => {
            let s = small_rate(n.abs());
            match (s.as_str(), n < 0.0) {
                ("0", _) => s,
                (_, true) => format!("-{s}"),
                (_, false) => format!("+{s}"),
            }
        }
        Kind::Micros => duration(n / 1e6, &style),
        Kind::Millis => duration(n / 1e3, &style),
        Kind::Secs => age(n),
        Kind::Percent => percent(n),
        _ => plain(),
    }
}

/// Bytes in at most five characters, by 1024: `0`, `999`, `1.2K`, `12K`, `999K`, `1.0M`.
pub fn bytes(n: f64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if !n.is_finite() {
        return "-".to_owned();
    }
    let n = n.max(0.0);
    if n.round() < 1000.0 {
        return format!("{n:.0}");
    }
    let mut scaled = n / 1024.0;
    let mut unit = 0;
    // What would be rounded to four digits takes the next unit.
    while scaled.round() >= 1000.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if (scaled * 10.0).round() < 100.0 {
        format!("{scaled:.1}{}", UNITS[unit])
    } else {
        format!("{scaled:.0}{}", UNITS[unit])
    }
}

/// A number a second or a minute.
fn small_rate(n: f64) -> String {
    if n == 0.0 {
        "0".to_owned()
    } else if n < 10.0 {
        trim_float((n * 10.0).ceil() / 10.0)
    } else if n < 10_000.0 {
        thousands(n.round() as u64)
    } else {
        bytes_like(n)
    }
}

/// By 1000: `12k`.
fn bytes_like(n: f64) -> String {
    for (limit, unit) in [(999.5e3, (1e3, 'k')), (999.5e6, (1e6, 'M')), (f64::INFINITY, (1e9, 'G'))] {
        if n < limit {
            return format!("{:.0}{}", n / unit.0, unit.1);
        }
    }
    trim_float(n)
}

/// A whole number in at most seven characters: as it is below a million, then three digits by 1000: `2.36G`.
pub fn amount(n: u64) -> String {
    const UNITS: [char; 5] = ['M', 'G', 'T', 'P', 'E'];
    if n < 1_000_000 {
        return thousands(n);
    }
    let mut scaled = n as f64 / 1e6;
    let mut unit = 0;
    // What would be rounded to four digits takes the next unit.
    while scaled.round() >= 1000.0 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let places = usize::from(scaled < 9.995) + usize::from(scaled < 99.95);
    format!("{scaled:.places$}{}", UNITS[unit])
}

/// A whole number with a comma between thousands.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A share: `0%`, `0.4%`, `92%`, `99.9%` (never rounded up to a hundred), `137%`.
pub fn percent(n: f64) -> String {
    if n > 0.0 && n < 1.0 {
        let n = (n * 10.0).round().max(1.0) / 10.0;
        return if n >= 1.0 { "1%".to_owned() } else { format!("{n:.1}%") };
    }
    if n > 99.0 && n < 100.0 {
        return format!("{:.1}%", (n * 10.0).floor() / 10.0);
    }
    format!("{n:.0}%")
}

/// A short time with its best unit: `410µs`, `1.2ms`, `52ms`, `3.4s`, then as [`age`].
pub fn duration(secs: f64, style: &Style) -> String {
    let micro = if style.ascii { "us" } else { "µs" };
    let us = secs * 1e6;
    let one = |n: f64, unit: &str| {
        if (n * 10.0).round() < 100.0 { format!("{n:.1}{unit}") } else { format!("{n:.0}{unit}") }
    };
    if us.round() < 1.0 {
        "0".to_owned()
    } else if us.round() < 1000.0 {
        format!("{us:.0}{micro}")
    } else if (us / 1e3).round() < 1000.0 {
        one(us / 1e3, "ms")
    } else if secs < 59.95 {
        one(secs, "s")
    } else {
        age(secs)
    }
}

/// A long time in at most two units: `0s`, `59s`, `9m`, `2h`, `2h5m`, `3d4h`, `120d`, `2y`.
pub fn age(secs: f64) -> String {
    if !secs.is_finite() {
        return "-".to_owned();
    }
    let s = secs.max(0.0) as u64;
    let two = |a: u64, ua: char, b: u64, ub: char| {
        if b == 0 { format!("{a}{ua}") } else { format!("{a}{ua}{b}{ub}") }
    };
    match s {
        0..60 => format!("{s}s"),
        60..600 => two(s / 60, 'm', s % 60, 's'),
        600..3600 => format!("{}m", s / 60),
        3600..86400 => two(s / 3600, 'h', s % 3600 / 60, 'm'),
        86400..864_000 => two(s / 86400, 'd', s % 86400 / 3600, 'h'),
        _ => format!("{}d", s / 86400),
    }
}

/// An address; the wildcard in full.
pub fn addr(a: &Addr) -> String {
    a.to_string()
}

/// An endpoint.
pub fn endpoint(e: &Endpoint) -> String {
    e.to_string()
}

/// Counts by state, the most telling first: `ESTABLISHED 1,204 TIME_WAIT 3`.
fn states(c: &StateCounts) -> String {
    let mut out = String::new();
    for (s, n) in c.present() {
        if !out.is_empty() {
            out.push(' ');
        }
        let _ = write!(out, "{} {}", s.name(), thousands(u64::from(n)));
    }
    if out.is_empty() { "-".to_owned() } else { out }
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

/// How many screen columns a text takes.
pub fn width(s: &str) -> usize {
    s.width()
}

/// The text in at most `width` screen columns: as it is where it fits, else cut with an ellipsis between what a
/// reader sees as characters. In `ascii` the ellipsis is `..`.
pub fn shorten(s: &str, width: usize, style: &Style) -> String {
    shorten_with(s, width, *style, false)
}

/// The same, keeping the end and cutting in the middle: endpoints, whose port is at the end.
pub fn shorten_middle(s: &str, width: usize, style: &Style) -> String {
    shorten_with(s, width, *style, true)
}

fn shorten_with(s: &str, width: usize, style: Style, middle: bool) -> String {
    if s.width() <= width {
        return s.to_owned();
    }
    let dots = match (style.ascii, width) {
        (_, 0) => return String::new(),
        (true, 1) => ".",
        (true, _) => "..",
        (false, _) => "…",
    };
    let room = width - dots.len().min(dots.width());
    let tail_room = if middle { room / 2 } else { 0 };
    let mut tail: Vec<&str> = Vec::new();
    let mut used = 0;
    for g in s.graphemes(true).rev() {
        if used + g.width() > tail_room {
            break;
        }
        used += g.width();
        tail.push(g);
    }
    let mut out = String::with_capacity(s.len());
    for g in s.graphemes(true) {
        if used + g.width() > room {
            break;
        }
        used += g.width();
        out.push_str(g);
    }
    out.push_str(dots);
    out.extend(tail.into_iter().rev());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_five_columns_at_most() {
        for (n, want) in [
            (0.0, "0"),
            (0.4, "0"),
            (999.0, "999"),
            (999.6, "1.0K"),
            (1000.0, "1.0K"),
            (1024.0, "1.0K"),
            (1229.0, "1.2K"),
            (10_188.0, "9.9K"),
            (10_189.0, "10K"),
            (12_288.0, "12K"),
            (1_022_976.0, "999K"),
            (1_023_400.0, "999K"),
            (1_023_500.0, "1.0M"),
            (19_084_083.0, "18M"),
            (1e18, "888P"),
            (1.9e19, "16E"),
            (-5.0, "0"),
        ] {
            assert_eq!(bytes(n), want, "{n}");
        }
        let mut n = 1.0;
        while n < 1e21 {
            for x in [n, n * 0.9995, n * 1.02] {
                assert!(bytes(x).len() <= 5, "{x}: {}", bytes(x));
            }
            n *= 1.01;
        }
    }

    #[test]
    fn times() {
        let utf = Style::default();
        let ascii = Style { ascii: true, ..utf };
        for (s, want) in [
            (0.0, "0"),
            (410e-6, "410µs"),
            (999.4e-6, "999µs"),
            (0.9996e-3, "1.0ms"),
            (1.25e-3, "1.2ms"),
            (52e-3, "52ms"),
            (0.9994, "999ms"),
            (0.9996, "1.0s"),
            (3.4, "3.4s"),
            (59.0, "59s"),
            (59.96, "59s"),
            (61.0, "1m1s"),
            (7200.0, "2h"),
        ] {
            assert_eq!(duration(s, &utf), want, "{s}");
        }
        assert_eq!(duration(410e-6, &ascii), "410us");
        for (s, want) in [
            (0.0, "0s"),
            (59.9, "59s"),
            (60.0, "1m"),
            (185.0, "3m5s"),
            (599.0, "9m59s"),
            (600.0, "10m"),
            (3599.0, "59m"),
            (3600.0, "1h"),
            (7500.0, "2h5m"),
            (86_400.0, "1d"),
            (273_600.0, "3d4h"),
            (1e9, "11574d"),
        ] {
            assert_eq!(age(s), want, "{s}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
        for (n, want) in [
            (0, "0"),
            (999_999, "999,999"),
            (1_000_000, "1.00M"),
            (1_200_128, "1.20M"),
            (24_661_700, "24.7M"),
            (1_048_576, "1.05M"),
            (9_999_999, "10.0M"),
            (99_999_999, "100M"),
            (999_999_999, "1.00G"),
            (2_358_460_416, "2.36G"),
            (i64::MAX as u64, "9.22E"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(amount(n), want, "{n}");
        }
        for (n, want) in [
            (0.0, "0%"),
            (0.04, "0.1%"),
            (0.4, "0.4%"),
            (0.97, "1%"),
            (1.0, "1%"),
            (92.4, "92%"),
            (99.4, "99.4%"),
            (99.99, "99.9%"),
            (100.0, "100%"),
            (137.0, "137%"),
        ] {
            assert_eq!(percent(n), want, "{n}");
        }
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
    fn shortens_between_characters() {
        let utf = Style::default();
        let ascii = Style { ascii: true, ..utf };
        for (s, width, want, want_ascii) in [
            ("nginx", 5, "nginx", "nginx"),
            ("nginx", 4, "ngi…", "ng.."),
            ("nginx", 1, "…", "."),
            ("nginx", 0, "", ""),
            ("한국어", 6, "한국어", "한국어"),
            ("한국어", 5, "한국…", "한.."),
            ("한국어", 4, "한…", "한.."),
            ("한국어", 2, "…", ".."),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…", ".."),
            ("👩‍👩‍👧ab", 3, "👩‍👩‍👧…", ".."),
            ("", 3, "", ""),
        ] {
            assert_eq!(shorten(s, width, &utf), want, "{s} {width}");
            assert_eq!(shorten(s, width, &ascii), want_ascii, "{s} {width}");
        }
        assert_eq!(shorten_middle("[2001:db8::1234:5678]:61000", 15, &utf), "[2001:d…]:61000");
        for text in ["[2001:db8:1:2:3:4:5:6]:443", "한국어한국어한국어", "plain text here"] {
            for w in 0..40 {
                for s in [shorten(text, w, &utf), shorten_middle(text, w, &utf), shorten(text, w, &ascii)] {
                    assert!(width(&s) <= w, "{s} {w}");
                    assert!(s == text || w == 0 || s.contains('…') || s.contains('.'), "{s} {w}");
                }
            }
        }
    }
}
