//! The plan of `sockscope record`.

use super::args::Record;
use super::error::UsageError;
use super::settings::value::{flag_duration, flag_size};
use crate::recording::Retention;
use std::path::PathBuf;
use std::time::Duration;

/// A recording to make, checked.
#[derive(Clone, Debug)]
pub struct RecordPlan {
    /// Directory; `None`: the default one.
    pub dir: Option<PathBuf>,
    /// Time between two samples; `None`: the interval of the settings.
    pub every: Option<Duration>,
    /// Time after which it ends.
    pub during: Option<Duration>,
    /// Limits of the directory.
    pub retention: Retention,
    /// Redact the samples.
    pub redact: bool,
}

impl RecordPlan {
    /// The plan; `is_copy`: of a recording that is read.
    pub(super) fn new(r: &Record, is_copy: bool) -> Result<Self, UsageError> {
        let time =
            |flag: &str, text: &Option<String>| text.as_deref().map(|t| flag_duration(flag, t)).transpose();
        // A copy is made once, and of all.
        let mut default = Retention::default();
        if is_copy {
            (default.keep, default.max_size) = (Duration::MAX, u64::MAX);
        }
        if is_copy && r.output.is_none() {
            return Err(UsageError("record: --from requires -o: the directory of the copy".into()));
        }
        if is_copy && (r.every.is_some() || r.during.is_some() || r.keep.is_some()) {
            return Err(UsageError("record: --every, --for and --keep are not for a copy (--from)".into()));
        }
        let max_size = match r.max_size.as_deref() {
            Some(text) => flag_size("--max-size", text)?,
            None => default.max_size,
        };
        let min_free = match r.min_free.as_deref() {
            Some(text) => percent("--min-free", text)?,
            None => default.min_free,
        };
        Ok(Self {
            dir: r.output.clone(),
            redact: r.redact,
            every: time("--every", &r.every)?,
            during: time("--for", &r.during)?,
            retention: Retention {
                keep: time("--keep", &r.keep)?.unwrap_or(default.keep),
                max_size,
                min_free,
            },
        })
    }
}

/// Whole percentage from text: `5%`, `5`.
fn percent(flag: &str, text: &str) -> Result<u8, UsageError> {
    let number = text.trim().trim_end_matches('%').parse::<u8>().ok().filter(|n| *n <= 100);
    number.ok_or_else(|| {
        UsageError(format!("{flag}: invalid percentage {text:?}: expected 0% to 100%, such as 5%"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_recording_are_checked() {
        let plan = RecordPlan::new(&Record::default(), false).unwrap();
        assert_eq!(plan.retention, Retention::default());
        let r = Record {
            keep: Some("2h".into()),
            max_size: Some("512M".into()),
            min_free: Some("10%".into()),
            ..Record::default()
        };
        let want = Retention { keep: Duration::from_secs(7200), max_size: 512 << 20, min_free: 10 };
        assert_eq!(RecordPlan::new(&r, false).unwrap().retention, want);
        for (wrong, flag) in [
            (Record { max_size: Some("0".into()), ..Record::default() }, "--max-size"),
            (Record { max_size: Some("big".into()), ..Record::default() }, "--max-size"),
            (Record { min_free: Some("200%".into()), ..Record::default() }, "--min-free"),
            (Record { keep: Some("soon".into()), ..Record::default() }, "--keep"),
            (Record { every: Some("0".into()), ..Record::default() }, "--every"),
        ] {
            let e = RecordPlan::new(&wrong, false).unwrap_err().to_string();
            assert!(e.starts_with(flag), "{e}");
        }
    }
}
