//! Moments of a recording, as typed.

use super::duration::parse_duration;
use std::time::{Duration, SystemTime};

/// Moment of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentArg {
    /// Nanoseconds since 1970.
    Unix(u64),
    /// Time of day in UTC, the last one that was recorded: nanoseconds since midnight.
    TimeOfDay(u64),
    /// Time before the last sample.
    Before(Duration),
}

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 3600 * SECOND;

impl MomentArg {
    /// Parses `2026-11-26T02:13:05Z`, `2026-11-26 02:13`, `02:13`, `:02:13:05`, `-5m`, `5m`, `last`, or seconds since 1970 with `@`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || {
            format!(
                "invalid time {text:?}: expected 02:13, 02:13:05, 2026-11-26T02:13:05 (UTC), 5m before the last sample, last, or @1764123185"
            )
        };
        let word = text.trim();
        if let Some(ago) = word.strip_prefix('-') {
            return Ok(Self::Before(parse_duration(ago)?));
        }
        if word == "last" {
            return Ok(Self::Before(Duration::ZERO));
        }
        // A number without a unit could be an hour.
        let ago = word.strip_suffix(" ago").unwrap_or(word);
        if ago.ends_with(|c: char| c.is_ascii_alphabetic())
            && let Ok(ago) = parse_duration(ago)
        {
            return Ok(Self::Before(ago));
        }
        if let Some(seconds) = word.strip_prefix('@') {
            let seconds: f64 = seconds.parse().map_err(|_| invalid())?;
            let since = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
            return Ok(Self::Unix(u64::try_from(since.as_nanos()).map_err(|_| invalid())?));
        }
        if let Some(time) = time_of_day(word.strip_prefix(':').unwrap_or(word)) {
            return Ok(Self::TimeOfDay(time));
        }
        // The date without seconds, or with a blank, as people write it.
        let full = match word.len() {
            10 => format!("{word}T00:00:00"),
            16 => format!("{word}:00"),
            _ => word.to_owned(),
        };
        let time = humantime::parse_rfc3339_weak(&full).map_err(|_| invalid())?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| invalid())?;
        Ok(Self::Unix(u64::try_from(since.as_nanos()).map_err(|_| invalid())?))
    }

    /// Nanoseconds since 1970; `last` is the time of the last sample.
    pub fn resolve(self, last: u64) -> u64 {
        match self {
            Self::Unix(ns) => ns,
            Self::TimeOfDay(time) => {
                let today = last / DAY * DAY + time;
                // The whole second belongs to it.
                if today / SECOND > last / SECOND { today.saturating_sub(DAY) } else { today }
            }
            Self::Before(ago) => last.saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX)),
        }
    }
}

/// Nanoseconds since midnight of `02:13` or `02:13:05`. Of `02:13` the end of the minute would be as right; its start is what is
/// typed.
fn time_of_day(word: &str) -> Option<u64> {
    let parts: Vec<&str> = word.split(':').collect();
    if !(2..=3).contains(&parts.len()) || parts.iter().any(|p| p.is_empty() || p.len() > 2) {
        return None;
    }
    let number = |i: usize, end: u64| match parts.get(i) {
        Some(p) if p.bytes().all(|c| c.is_ascii_digit()) => p.parse().ok().filter(|n| *n < end),
        Some(_) => None,
        None => Some(0),
    };
    Some((number(0, 24)? * 3600 + number(1, 60)? * 60 + number(2, 60)?) * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_parsed() {
        let at = |text: &str| MomentArg::parse(text).map(|m| m.resolve(1_777_885_200 * SECOND));
        // The last sample is of 2026-05-04T09:00:00Z.
        for (text, want) in [
            ("09:00", 1_777_885_200),
            ("08:59:30", 1_777_885_200 - 30),
            (":08:59:30", 1_777_885_200 - 30),
            ("09:01", 1_777_885_200 + 60 - 86_400),
            ("-5m", 1_777_885_200 - 300),
            ("5m", 1_777_885_200 - 300),
            ("5m ago", 1_777_885_200 - 300),
            ("last", 1_777_885_200),
            ("@1777885100", 1_777_885_100),
            ("2026-05-04T08:00:00Z", 1_777_885_200 - 3600),
            ("2026-05-04T08:00:00", 1_777_885_200 - 3600),
            ("2026-05-04 08:00", 1_777_885_200 - 3600),
            ("2026-05-04", 1_777_885_200 - 9 * 3600),
        ] {
            assert_eq!(at(text).unwrap(), want * SECOND, "{text}");
        }
        for wrong in
            ["", "9", "24:00", "12:60", "12:5x", "-", "-x", "@", "@-1", "@1e99", "yesterday", "1:2:3:4"]
        {
            assert!(at(wrong).unwrap_err().starts_with("invalid "), "{wrong}");
        }
    }
}
