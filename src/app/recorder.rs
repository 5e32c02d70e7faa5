//! Writes samples to a recording, for `record` and for the dashboard.

use super::environment;
use super::exit_status::RunError;
use super::print::print_error;
use crate::cli::UsageError;
use crate::frame::{Encoder, FrameKind};
use crate::model::Sample;
use crate::model::lang::tr;
use crate::msg;
use crate::recording::{Outcome, Recording, RecordingError, Redactor, Retention, Writer};
use crate::tui::event::Recorded;
use std::path::{Path, PathBuf};

/// Change of a recording between two samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing is written, for this reason, until there is space.
    Paused(String),
    /// It is written again.
    Resumed,
}

impl Change {
    /// One line about it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Paused(why) => format!("recording paused: {why}"),
            Self::Resumed => "recording again".to_owned(),
        }
    }
}

/// A recording that is written.
#[derive(Debug)]
pub(super) struct Recorder {
    writer: Writer,
    encoder: Encoder,
    redactor: Option<Redactor>,
    before: Option<Sample>,
    paused: bool,
    /// Samples that were written, and that were not.
    counts: (u64, u64),
}

/// The directory, or the default one.
pub(super) fn directory(named: Option<&Path>, flag: &str) -> Result<PathBuf, UsageError> {
    let dir = named.map(Path::to_owned).or_else(environment::recording_dir);
    dir.ok_or_else(|| UsageError(format!("{flag}: HOME is not set, or is not yours: name a directory")))
}

impl Recorder {
    /// Opens the directory and locks it.
    pub(super) fn open(dir: &Path, retention: Retention, redact: bool) -> Result<Self, RunError> {
        let redactor = redact.then(Redactor::new).transpose();
        let redactor = redactor.map_err(|e| RunError::Dashboard(format!("read random numbers: {e}")))?;
        let writer = Writer::open(dir, retention)?;
        // A redacted directory is passed on as a whole.
        if redact && !is_redacted(dir)? {
            return Err(UsageError(format!(
                "--redact: {} has samples that are not redacted; name another directory",
                dir.display()
            ))
            .into());
        }
        Ok(Self { writer, encoder: Encoder::new(), redactor, before: None, paused: false, counts: (0, 0) })
    }

    /// Writes a sample.
    pub(super) fn push(&mut self, mut sample: Sample) -> Result<Option<Change>, RunError> {
        if let Some(redactor) = &self.redactor {
            redactor.sample(&mut sample);
        }
        if self.writer.needs_key(sample.at) {
            self.encoder.restart();
        }
        let frame = self.encoder.frame(&sample, self.before.as_ref());
        let frame = frame.map_err(|e| RunError::Dashboard(e.to_string()))?;
        let kind = if self.encoder.is_at_key() { FrameKind::Key } else { FrameKind::Delta };
        let outcome = self.writer.write(&frame, kind, sample.at)?;
        self.before = Some(sample);
        let was_paused = self.paused;
        self.paused = matches!(outcome, Outcome::Dropped(_));
        Ok(match outcome {
            Outcome::Written => {
                self.counts.0 += 1;
                was_paused.then_some(Change::Resumed)
            }
            Outcome::Dropped(why) => {
                self.counts.1 += 1;
                // What follows cannot be read without this frame.
                self.encoder.restart();
                (!was_paused).then_some(Change::Paused(why))
            }
        })
    }

    /// Samples that were written, and that were not since there was no space.
    pub(super) const fn counts(&self) -> (u64, u64) {
        self.counts
    }

    /// Marks the end of the recording.
    pub(super) fn close(self) -> Result<(), RunError> {
        Ok(self.writer.close()?)
    }
}

/// Prints how many samples were not written; an error if that is all of them.
pub(super) fn report_dropped((written, dropped): (u64, u64)) -> Result<(), RunError> {
    match (written, dropped) {
        (_, 0) => Ok(()),
        (0, dropped) => {
            Err(RunError::Dashboard(format!("no sample was recorded, for lack of space: {dropped} lost")))
        }
        (written, dropped) => {
            print_error(&format!("samples recorded: {written}; lost for lack of space: {dropped}"));
            Ok(())
        }
    }
}

/// Recording beside the dashboard. What fails is a line of its status; the dashboard continues.
#[derive(Debug, Default)]
pub(super) struct Beside {
    dir: Option<PathBuf>,
    at_once: bool,
    retention: Retention,
    recorder: Option<Recorder>,
}

impl Beside {
    /// In this directory, or in the default one; `at_once`: from the start.
    pub(super) fn new(dir: Option<&Path>, at_once: bool) -> Self {
        Self { dir: dir.map(Path::to_owned), at_once, ..Self::default() }
    }

    /// True if it begins with the dashboard.
    pub(super) const fn at_once(&self) -> bool {
        self.at_once
    }

    /// True if samples are written, or wait for space.
    pub(super) const fn is_on(&self) -> bool {
        self.recorder.is_some()
    }

    /// Begins.
    pub(super) fn begin(&mut self) -> (Recorded, String) {
        if self.recorder.is_some() {
            return (Recorded::On, tr("recording already").to_owned());
        }
        let opened = directory(self.dir.as_deref(), "--record").map_err(RunError::from).and_then(|dir| {
            self.recorder = Some(Recorder::open(&dir, self.retention, false)?);
            Ok(dir)
        });
        match opened {
            Ok(dir) => (Recorded::On, msg!("recording to {}", dir.display())),
            Err(e) => (Recorded::Off, msg!("not recorded: {}", e)),
        }
    }

    /// Ends.
    pub(super) fn end(&mut self) -> (Recorded, String) {
        let closed = self.recorder.take().map(Recorder::close);
        match closed {
            Some(Err(e)) => (Recorded::Off, msg!("recording ended: {}", e)),
            _ => (Recorded::Off, tr("recording ended").to_owned()),
        }
    }

    /// Writes a sample; returns the new state if it is another.
    pub(super) fn push(&mut self, sample: Sample) -> Option<(Recorded, String)> {
        match self.recorder.as_mut()?.push(sample) {
            Ok(change) => change.map(|change| match change {
                Change::Paused(why) => (Recorded::Paused, msg!("recording paused: {}", why)),
                Change::Resumed => (Recorded::On, tr("recording again").to_owned()),
            }),
            Err(e) => {
                self.recorder = None;
                Some((Recorded::Off, msg!("recording ended: {}", e)))
            }
        }
    }
}

/// True if all samples of a directory are redacted, or if there are none.
fn is_redacted(dir: &Path) -> Result<bool, RecordingError> {
    match Recording::open(dir) {
        Ok(recording) => Ok(recording.is_redacted()),
        Err(RecordingError::Empty { .. }) => Ok(true),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn sample(seconds: u64) -> Sample {
        let mut sample = testing::many(40).sample;
        sample.at.boot_ns = seconds * 1_000_000_000;
        sample.at.unix_ns = 1_777_885_200_000_000_000 + sample.at.boot_ns;
        sample
    }

    #[test]
    fn recording_beside_the_dashboard_fails_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Beside::new(Some(dir.path()), true);
        // However full the file system of the test is.
        first.retention.min_free = 0;
        assert!(first.at_once() && !first.is_on());
        assert_eq!(first.push(sample(1)), None, "nothing before it begins");
        assert_eq!(first.begin().0, Recorded::On);
        let mut second = Beside::new(Some(dir.path()), true);
        let (state, what) = second.begin();
        assert!(state == Recorded::Off && what.contains("another sockscope records there"), "{what}");
        assert!(!second.is_on());
        assert_eq!((first.push(sample(1)), first.push(sample(2))), (None, None));
        assert_eq!(first.end().0, Recorded::Off);
        assert!(!Recording::open(dir.path()).unwrap().is_redacted());
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (state, what) = Beside::new(Some(&file), true).begin();
        assert!(state == Recorded::Off && what.starts_with("not recorded: make directory"), "{what}");
    }

    #[test]
    fn redacted_directory_has_no_other_samples() {
        let dir = tempfile::tempdir().unwrap();
        let write = |redact| {
            let mut recorder =
                Recorder::open(dir.path(), Retention { min_free: 0, ..Retention::default() }, redact)?;
            recorder.push(sample(1))?;
            recorder.close()
        };
        write(true).unwrap();
        write(true).unwrap();
        assert!(is_redacted(dir.path()).unwrap());
        write(false).unwrap();
        let e = write(true).unwrap_err().to_string();
        assert!(e.starts_with("--redact: ") && e.contains("not redacted"), "{e}");
    }
}
