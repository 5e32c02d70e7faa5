//! Moments of a recording given to flags.

use super::error::UsageError;
pub use crate::format::moment::MomentArg;
use std::path::PathBuf;

/// The moment given to this flag.
pub(super) fn flag_moment(flag: &str, text: &str) -> Result<MomentArg, UsageError> {
    MomentArg::parse(text).map_err(|e| UsageError(format!("{flag}: {e}")))
}

/// Recording to read, checked.
#[derive(Clone, Debug)]
pub struct RecordingPlan {
    /// Directory or file; `None`: the default directory.
    pub path: Option<PathBuf>,
    /// Moment; `None`: the last sample, for the dashboard the first.
    pub at: Option<MomentArg>,
    /// Span instead of a moment.
    pub between: Option<SpanArg>,
    /// Speed of the dashboard, 1 for that of the recording.
    pub speed: f64,
}

/// Span of a recording: from one moment to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanArg {
    /// Its beginning.
    pub start: MomentArg,
    /// Its end.
    pub end: MomentArg,
}

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

impl SpanArg {
    /// Parses the values of `--between`; `None` without values.
    pub fn parse(flag: &str, texts: &[String]) -> Result<Option<Self>, UsageError> {
        let [start, end] = texts else { return Ok(None) };
        Ok(Some(Self { start: flag_moment(flag, start)?, end: flag_moment(flag, end)? }))
    }

    /// Nanoseconds since 1970 of both ends; `last` is the time of the last sample. An end typed to the second includes it.
    pub fn resolve(self, last: u64) -> Result<(u64, u64), UsageError> {
        let (start, end) = (self.start.resolve(last), self.end.resolve(last));
        let whole_second = !matches!(self.end, MomentArg::Before(_)) && end % SECOND == 0;
        let end = if whole_second { end.saturating_add(SECOND - 1) } else { end };
        if start > end {
            return Err(UsageError("--between: the end is before the start".to_owned()));
        }
        Ok((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_ends_with_the_second_that_is_typed() {
        let last = 1_777_885_200 * SECOND;
        let span = |start: &str, end: &str| {
            let span = SpanArg::parse("--between", &[start.to_owned(), end.to_owned()]).unwrap().unwrap();
            span.resolve(last)
        };
        assert_eq!(span("-5m", "last").unwrap(), (last - 300 * SECOND, last));
        let late = (last - 12 * 3600 * SECOND, last - 8 * 3600 * SECOND + SECOND - 1);
        assert_eq!(span("21:00", "01:00").unwrap(), late, "over midnight");
        assert!(span("last", "-5m").unwrap_err().to_string().contains("before the start"));
        assert_eq!(SpanArg::parse("--between", &[]).unwrap(), None);
        let wrong = SpanArg::parse("--between", &["noon".to_owned(), "last".to_owned()]).unwrap_err();
        assert!(wrong.to_string().starts_with("--between: "), "{wrong}");
    }
}
