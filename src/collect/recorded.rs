//! Source of the samples of a recording.

use super::source::{CollectError, Source};
use crate::model::{FaultKind, FaultSubject, Sample, Wants};
use crate::recording::{Moments, Recording, RecordingError};
use std::path::Path;
use std::time::Duration;

/// Samples of a recording, one after the other. What was not recorded stays unread, whatever is requested; sockets of protocols that
/// are not requested are left out, as those of a live source.
#[derive(Debug)]
pub struct RecordedSource {
    recording: Recording,
    next: usize,
    /// Number after the last sample.
    end: usize,
    /// Least time between two samples, nanoseconds; 0: every sample.
    every: u64,
    /// Time before which no sample is read, if time between them is kept.
    due: u64,
}

/// Polls before a moment that give it its history: rates, ages, trends.
const HISTORY: [u64; 14] = [300, 270, 240, 210, 180, 150, 120, 90, 60, 30, 10, 5, 2, 1];

impl RecordedSource {
    /// Samples from number `from` up to, and without, `end`.
    pub const fn new(recording: Recording, from: usize, end: usize) -> Self {
        Self { recording, next: from, end, every: 0, due: 0 }
    }

    /// Leaves out samples closer together than this time.
    #[must_use]
    pub fn with_every(self, every: Duration) -> Self {
        Self { every: u64::try_from(every.as_nanos()).unwrap_or(u64::MAX), ..self }
    }

    /// The next sample alone.
    #[must_use]
    pub fn first_only(self) -> Self {
        Self { end: self.end.min(self.next + 1), ..self }
    }

    /// One sample more: it has the events of the time before it.
    #[must_use]
    pub fn and_one_more(self) -> Self {
        Self { end: (self.end + 1).min(self.recording.len()), ..self }
    }

    /// The same recording from its first sample on.
    #[must_use]
    pub fn from_start(self) -> Self {
        Self { next: 0, ..self }
    }

    /// True if this directory is not the one that is read.
    pub fn is_separate(&self, dir: &Path) -> bool {
        self.recording.is_separate(dir)
    }

    /// True if all samples are redacted.
    pub fn is_redacted(&self) -> bool {
        self.recording.is_redacted()
    }

    /// The recording.
    pub const fn recording(&self) -> &Recording {
        &self.recording
    }

    /// The recording alone.
    pub fn into_recording(self) -> Recording {
        self.recording
    }

    /// Samples of the five minutes before the next one, those of the last seconds closer to each other, with the sockets that are
    /// requested. A sample that cannot be read is left out.
    pub fn history(&mut self, wants: &Wants) -> Vec<Sample> {
        let Some(moment) = self.recording.moment(self.next) else { return Vec::new() };
        let mut numbers: Vec<usize> = HISTORY
            .iter()
            .filter_map(|s| self.recording.at(moment.at.unix_ns.checked_sub(s * 1_000_000_000)?).ok())
            .map(|m| m.number)
            .chain(self.next.checked_sub(1))
            .filter(|n| *n < self.next)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        let read = |n| {
            let mut sample = self.recording.sample(n).ok()?.clone();
            sample.retain_protos(wants.protos);
            Some(sample)
        };
        numbers.into_iter().filter_map(read).collect()
    }
}

impl Source for RecordedSource {
    fn resume(&mut self, unix_ns: u64) {
        if let Ok(moment) = self.recording.at(unix_ns) {
            self.next = moment.number + 1;
        }
    }

    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut damaged = 0;
        let mut first = String::new();
        while self.next < self.end {
            let number = self.next;
            self.next += 1;
            let at = self.recording.moment(number).map_or(0, |m| m.at.unix_ns);
            // Times of a clock that was set back are not waited for.
            if at < self.due && self.due - at <= self.every {
                continue;
            }
            // From the time that was due, so that rounding does not add up.
            let from = if self.due > 0 && at - self.due.min(at) < self.every { self.due } else { at };
            self.due = from.saturating_add(self.every);
            match self.recording.sample(number) {
                Ok(sample) => {
                    let mut sample = sample.clone();
                    sample.retain_protos(wants.protos);
                    let (kind, subject) = (FaultKind::Malformed, FaultSubject::Recording);
                    sample.faults.add_many(kind, subject, first, damaged);
                    return Ok(sample);
                }
                Err(e @ RecordingError::Io { .. }) => {
                    return Err(CollectError::Unavailable { backend: "recording", why: e.to_string() });
                }
                Err(e) => {
                    damaged += 1;
                    if first.is_empty() {
                        first = e.to_string();
                    }
                }
            }
        }
        Err(CollectError::EndOfRecording)
    }
}
