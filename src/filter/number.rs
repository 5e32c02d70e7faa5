//! Numbers with units.

use crate::format::Kind;
use crate::model::lang::noop;
use std::cmp::Ordering;

/// A number in its column's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number; identifiers need all 64 bits.
    Whole(u64),
    /// Any other number.
    Real(f64),
}

type Units = &'static [(&'static str, u64)];

const BYTES: Units = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("p", 1 << 50),
    ("kb", 1 << 10),
    ("mb", 1 << 20),
    ("gb", 1 << 30),
    ("tb", 1 << 40),
    ("pb", 1 << 50),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("pib", 1 << 50),
];
const COUNTS: Units = &[("", 1), ("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000)];
const MICROS: Units = &[
    ("", 1),
    ("us", 1),
    ("µs", 1),
    ("μs", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];
const MILLIS: Units =
    &[("", 1), ("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SECS: Units = &[("", 1), ("s", 1), ("m", 60), ("min", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
const PERCENT: Units = &[("", 1), ("%", 1)];
const PLAIN: Units = &[("", 1)];

/// Units smaller than the column's own, as divisors.
fn divisor(kind: Kind, unit: &str) -> Option<u32> {
    match (kind, unit) {
        (Kind::Millis, "us" | "µs" | "μs") | (Kind::Secs, "ms") => Some(1_000),
        (Kind::Secs, "us" | "µs" | "μs") => Some(1_000_000),
        _ => None,
    }
}

/// The units of a kind of column.
pub(crate) const fn units(kind: Kind) -> Units {
    match kind {
        Kind::Bytes | Kind::BytesPerSec => BYTES,
        Kind::Count | Kind::Amount | Kind::PerSec | Kind::PerMin => COUNTS,
        Kind::Micros => MICROS,
        Kind::Millis => MILLIS,
        Kind::Secs => SECS,
        Kind::Percent => PERCENT,
        _ => PLAIN,
    }
}

/// Hint for an invalid number of this kind.
pub(crate) const fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Bytes => noop("expected bytes, as in 512, 64k or 1.5M"),
        Kind::BytesPerSec => noop("expected bytes a second, as in 512, 64k or 1.5M"),
        Kind::Micros | Kind::Millis | Kind::Secs => {
            noop("expected a time, as in 500us, 50ms, 10s, 5m, 2h or 3d")
        }
        Kind::Percent => noop("expected a share, as in 80%"),
        Kind::Hex => noop("expected a number, as in 17 or 0x11"),
        _ => noop("expected a number, as in 12 or 4k"),
    }
}

impl Number {
    /// Parses text in the units of this kind of column.
    pub fn parse(text: &str, kind: Kind) -> Option<Self> {
        if text.len() > 48 {
            return None;
        }
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            // `from_str_radix` takes a sign.
            let digits =
                matches!(kind, Kind::Hex | Kind::Id | Kind::Count | Kind::Amount) && !hex.starts_with('+');
            return if digits { u64::from_str_radix(hex, 16).ok().map(Self::Whole) } else { None };
        }
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
        let at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, unit) = rest.split_at(at);
        if !digits.bytes().any(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut unit = unit.to_lowercase();
        if matches!(kind, Kind::BytesPerSec | Kind::PerSec) {
            unit.truncate(unit.strip_suffix("/s").map_or(unit.len(), str::len));
        }
        if kind == Kind::PerMin {
            unit.truncate(unit.strip_suffix("/min").map_or(unit.len(), str::len));
        }
        let (times, by) = match units(kind).iter().find(|(u, _)| *u == unit) {
            Some((_, m)) => (*m, 1),
            None => (1, divisor(kind, &unit)?),
        };
        if !negative
            && by == 1
            && let Ok(n) = digits.parse::<u64>()
            && let Some(n) = n.checked_mul(times)
        {
            return Some(Self::Whole(n));
        }
        let n: f64 = digits.parse().ok()?;
        Self::from_f64(if negative { -n } else { n } * times as f64 / f64::from(by))
    }

    /// Integer if whole; otherwise rounded to 10⁻⁶, so that the text is short and exact.
    fn from_f64(n: f64) -> Option<Self> {
        let n = if n.abs() < 1e9 { (n * 1e6).round() / 1e6 } else { n };
        if n.abs() > 1e18 {
            return None;
        }
        // `-0` is 0.
        Some(if (0.0..9e15).contains(&n) && n.fract() == 0.0 { Self::Whole(n as u64) } else { Self::Real(n) })
    }

    /// The number as a float.
    pub fn f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(n) => n,
        }
    }

    /// Compares with an integer value.
    pub fn against_whole(self, v: u64) -> Ordering {
        match self {
            Self::Whole(n) => v.cmp(&n),
            Self::Real(n) => (v as f64).total_cmp(&n),
        }
    }

    /// Compares with any value.
    pub fn against(self, v: f64) -> Ordering {
        v.partial_cmp(&self.f64()).unwrap_or(Ordering::Less)
    }

    /// The text of the number, in the largest unit in which it is whole.
    pub fn text(self, kind: Kind) -> String {
        let n = match self {
            Self::Whole(n) => n,
            Self::Real(n) => return format!("{n}{}", if kind == Kind::Percent { "%" } else { "" }),
        };
        let steps: &[(&str, u64)] = match kind {
            Kind::Hex => return format!("0x{n:x}"),
            Kind::Percent => return format!("{n}%"),
            Kind::Bytes | Kind::BytesPerSec => &[("G", 1 << 30), ("M", 1 << 20), ("k", 1 << 10)],
            Kind::Micros => &[("s", 1_000_000), ("ms", 1_000), ("us", 1)],
            Kind::Millis => &[("s", 1_000), ("ms", 1)],
            Kind::Secs => &[("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)],
            _ => &[],
        };
        match steps.iter().find(|(_, m)| n != 0 && n.is_multiple_of(*m)) {
            Some((unit, m)) => format!("{}{unit}", n / m),
            None => n.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_back() {
        for (text, kind, want, canonical) in [
            ("512", Kind::Bytes, Number::Whole(512), "512"),
            ("1k", Kind::Bytes, Number::Whole(1024), "1k"),
            ("1.5M", Kind::BytesPerSec, Number::Whole(1_572_864), "1536k"),
            ("2MiB/s", Kind::BytesPerSec, Number::Whole(2 << 20), "2M"),
            ("50ms", Kind::Micros, Number::Whole(50_000), "50ms"),
            ("410us", Kind::Micros, Number::Whole(410), "410us"),
            ("410µs", Kind::Micros, Number::Whole(410), "410us"),
            ("10s", Kind::Secs, Number::Whole(10), "10s"),
            ("90m", Kind::Secs, Number::Whole(5400), "90m"),
            ("500ms", Kind::Secs, Number::Real(0.5), "0.5"),
            ("80%", Kind::Percent, Number::Whole(80), "80%"),
            ("99.5", Kind::Percent, Number::Real(99.5), "99.5%"),
            ("4k", Kind::Count, Number::Whole(4000), "4000"),
            ("-3", Kind::PerMin, Number::Real(-3.0), "-3"),
            ("0x11", Kind::Hex, Number::Whole(17), "0x11"),
            ("18446744073709551615", Kind::Id, Number::Whole(u64::MAX), "18446744073709551615"),
        ] {
            let n = Number::parse(text, kind).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(n, want, "{text}");
            assert_eq!(n.text(kind), canonical, "{text}");
            assert_eq!(Number::parse(&n.text(kind), kind), Some(n), "{text}");
        }
        for (text, kind) in [
            ("", Kind::Bytes),
            ("k", Kind::Bytes),
            ("1x", Kind::Bytes),
            ("1 k", Kind::Bytes),
            ("-", Kind::PerMin),
            ("1.2.3", Kind::Count),
            ("80%", Kind::Bytes),
            ("0x+1", Kind::Hex),
            ("..", Kind::Count),
            ("5ms", Kind::Count),
        ] {
            assert_eq!(Number::parse(text, kind), None, "{text}");
        }
    }
}
