//! The plan of `sockscope diff`.

use super::args::{Diff, FormatArg, Output};
use super::error::UsageError;
use super::moment::{MomentArg, flag_moment};
use crate::format::did_you_mean;
use crate::output::Format;
use crate::view::diff::Subject;
use std::path::PathBuf;

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum DiffSide {
    /// This machine now.
    Now,
    /// A moment of the recording that `--from` names.
    Moment(MomentArg),
    /// A moment of another recording; `None`: its last sample.
    Recording(PathBuf, Option<MomentArg>),
}

/// A comparison, checked.
#[derive(Clone, Debug)]
pub struct DiffPlan {
    /// Before and after.
    pub sides: [DiffSide; 2],
    /// Things to compare.
    pub only: Vec<Subject>,
    /// Output format.
    pub format: Format,
    /// Header line.
    pub header: bool,
}

impl DiffPlan {
    /// Checks the command line; `from`: a recording is named by `--from`.
    pub(super) fn new(d: &Diff, from: bool) -> Result<Self, UsageError> {
        let sides = [side(&d.before, from)?, side(&d.after, from)?];
        let mut only = Vec::new();
        for word in d.only.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|w| !w.is_empty()) {
            only.push(subject(word)?);
        }
        if only.is_empty() {
            only = Subject::ALL.iter().map(|(s, _)| *s).collect();
        }
        let Output { no_header, .. } = d.output;
        let format = match d.output.format() {
            FormatArg::Table => Format::Table,
            FormatArg::Json => Format::Json,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Csv => Format::Csv,
            FormatArg::Dot | FormatArg::Mermaid => {
                return Err(UsageError("diff: --format takes table, json, ndjson or csv".into()));
            }
        };
        Ok(Self { sides, only, format, header: !no_header })
    }

    /// True if both sides are moments of one recording.
    pub fn is_of_one_recording(&self) -> bool {
        match &self.sides {
            [DiffSide::Moment(_), DiffSide::Moment(_)] => true,
            [DiffSide::Recording(a, _), DiffSide::Recording(b, _)] => a == b,
            _ => false,
        }
    }
}

/// Thing to compare, in the singular or the plural.
fn subject(word: &str) -> Result<Subject, UsageError> {
    let singular = match word {
        "processes" => "process",
        "connection" => "connections",
        _ => word.strip_suffix('s').filter(|_| word != "connections" && word != "process").unwrap_or(word),
    };
    let names = || Subject::ALL.iter().map(|(_, n)| *n);
    Subject::ALL.iter().find(|(_, n)| *n == singular).map(|(s, _)| *s).ok_or_else(|| {
        let near = did_you_mean::nearest(word, names());
        let near = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
        UsageError(format!(
            "--only: unknown {word:?}{near} (known: {})",
            names().collect::<Vec<_>>().join(", ")
        ))
    })
}

/// `now`, a moment of the recording of `--from`, or another recording: `PATH` or `PATH@TIME`.
fn side(text: &str, from: bool) -> Result<DiffSide, UsageError> {
    if text == "now" {
        return Ok(DiffSide::Now);
    }
    if from && let Ok(moment) = MomentArg::parse(text) {
        return Ok(DiffSide::Moment(moment));
    }
    // A file can have the sign in its name.
    if !std::path::Path::new(text).exists()
        && let Some((path, time)) = text.rsplit_once('@').filter(|(path, _)| !path.is_empty())
    {
        return Ok(DiffSide::Recording(path.into(), Some(flag_moment("diff", time)?)));
    }
    if !from && MomentArg::parse(text).is_ok() {
        return Err(UsageError(format!(
            "diff: {text:?} is a time: name its recording with --from, or as RECORDING@{text}"
        )));
    }
    Ok(DiffSide::Recording(text.into(), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn sides_are_now_a_time_or_a_recording() {
        let before = |s| MomentArg::Before(Duration::from_secs(s));
        for (text, from, want) in [
            ("now", false, DiffSide::Now),
            ("-5m", true, DiffSide::Moment(before(300))),
            ("02:13", true, DiffSide::Moment(MomentArg::TimeOfDay(7_980_000_000_000))),
            ("/no/such/dir", true, DiffSide::Recording("/no/such/dir".into(), None)),
            ("/no/such/dir@-5m", false, DiffSide::Recording("/no/such/dir".into(), Some(before(300)))),
            ("old.sscope", false, DiffSide::Recording("old.sscope".into(), None)),
        ] {
            assert_eq!(side(text, from).unwrap(), want, "{text}");
        }
        assert!(side("02:13", false).unwrap_err().to_string().contains("--from"));
        assert!(side("x@yesterday", false).is_err());
    }

    #[test]
    fn subjects_are_named_in_singular_and_plural() {
        for (s, name) in Subject::ALL {
            assert_eq!(subject(name).unwrap(), s);
        }
        assert_eq!(subject("listeners").unwrap(), Subject::Listener);
        assert_eq!(subject("processes").unwrap(), Subject::Process);
        assert_eq!(subject("limits").unwrap(), Subject::Limit);
        assert!(subject("listner").unwrap_err().to_string().contains("did you mean \"listener\"?"));
    }
}
