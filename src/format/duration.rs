//! Durations as text.

use super::style::Style;
use std::time::Duration;

/// A short duration in its best unit: `410µs`, `1.2ms`, `52ms`, `3.4s`, then as [`age`].
pub fn duration(secs: f64, style: &Style) -> String {
    let micro = if style.ascii { "us" } else { "µs" };
    let us = secs * 1e6;
    let scaled = |n: f64, unit: &str| {
        if (n * 10.0).round() < 100.0 { format!("{n:.1}{unit}") } else { format!("{n:.0}{unit}") }
    };
    if us.round() < 1.0 {
        "0".to_owned()
    } else if us.round() < 1000.0 {
        format!("{us:.0}{micro}")
    } else if (us / 1e3).round() < 1000.0 {
        scaled(us / 1e3, "ms")
    } else if secs < 59.95 {
        scaled(secs, "s")
    } else {
        age(secs)
    }
}

/// A long duration in at most two units: `0s`, `59s`, `9m`, `2h`, `2h5m`, `3d4h`, `120d`, `2y`.
pub fn age(secs: f64) -> String {
    if !secs.is_finite() {
        return "-".to_owned();
    }
    let s = secs.max(0.0) as u64;
    let pair = |a: u64, ua: char, b: u64, ub: char| {
        if b == 0 { format!("{a}{ua}") } else { format!("{a}{ua}{b}{ub}") }
    };
    match s {
        0..60 => format!("{s}s"),
        60..600 => pair(s / 60, 'm', s % 60, 's'),
        600..3600 => format!("{}m", s / 60),
        3600..86400 => pair(s / 3600, 'h', s % 3600 / 60, 'm'),
        86400..864_000 => pair(s / 86400, 'd', s % 86400 / 3600, 'h'),
        _ => format!("{}d", s / 86400),
    }
}

/// The duration of a text: `1s`, `500ms`, `0.5`, `2m`; 100 ms to a day.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("invalid duration {text:?}: expected 100ms to 1d, such as 500ms, 2s or 1m");
    let t = text.trim();
    let digits = t.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(t.len());
    let number: f64 = t[..digits].parse().map_err(|_| invalid())?;
    let unit = match t[digits..].trim() {
        "ms" => 0.001,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(invalid()),
    };
    let secs = number * unit;
    if (0.1..=86_400.0).contains(&secs) { Ok(Duration::from_secs_f64(secs)) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_best_unit() {
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
}
