//! Numbers as text: counts, bytes, rates and shares.

use super::column::Kind;
use super::duration::{age, duration};
use super::style::Style;

/// At most three decimals, without trailing zeros.
pub(super) fn trim_float(n: f64) -> String {
    let s = format!("{n:.3}");
    let s = s.trim_end_matches('0').trim_end_matches('.');
    if s == "-0" { "0".to_owned() } else { s.to_owned() }
}

/// A number with the unit of its kind.
pub(super) fn number_text(n: f64, whole: Option<u64>, kind: Kind, style: Style) -> String {
    let plain = || whole.map_or_else(|| trim_float(n), |w| w.to_string());
    if kind == Kind::Hex {
        return format!("0x{:x}", whole.unwrap_or(n as u64));
    }
    // Exact counts and bytes; what has a unit keeps it, as ss -n does.
    let has_unit = matches!(kind, Kind::Micros | Kind::Millis | Kind::Secs | Kind::Time | Kind::Percent);
    if style.numeric && !has_unit {
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
        Kind::Time => time_of_day(n),
        Kind::Percent => percent(n),
        _ => plain(),
    }
}

/// Time of day in UTC, to the millisecond.
fn time_of_day(unix: f64) -> String {
    let ms = (unix * 1000.0) as u64 % 86_400_000;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// Date and time in UTC, to the second, of nanoseconds since 1970: `2026-11-26 02:13:05`.
pub fn date_and_time(unix_ns: u64) -> String {
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(unix_ns);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', "")
}

/// Time of day in UTC, to the second, of nanoseconds since 1970: `02:13:05`.
pub fn clock(unix_ns: u64) -> String {
    let s = unix_ns / 1_000_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
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
    // A value that would be rounded to four digits takes the next unit.
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

/// A rate, per second or per minute.
fn small_rate(n: f64) -> String {
    if n == 0.0 {
        "0".to_owned()
    } else if n < 10.0 {
        trim_float((n * 10.0).ceil() / 10.0)
    } else if n < 10_000.0 {
        thousands(n.round() as u64)
    } else {
        decimal_scaled(n)
    }
}

/// Scaled by 1000: `12k`.
fn decimal_scaled(n: f64) -> String {
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
    // The largest number of a sysctl, such as fs.file-max.
    if n >= i64::MAX as u64 {
        return "none".to_owned();
    }
    let mut scaled = n as f64 / 1e6;
    let mut unit = 0;
    // A value that would be rounded to four digits takes the next unit.
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
    fn counts_and_shares_have_few_digits() {
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
            (i64::MAX as u64 - 1, "9.22E"),
            // The largest value of a sysctl.
            (i64::MAX as u64, "none"),
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
    }
}
