//! Recordings: directories of files of frames, one file an hour.
//!
//! A file is named after the hour it begins in, `2026-11-26T21.sscope`, in UTC, so that names sort by time. It is nothing but
//! frames, one after the other: files can be concatenated, and a part of one can be read. The first frame is a key frame.

mod index;
mod redact;
mod retention;
mod ring;
mod scan;
mod writer;

pub use index::{Moment, Recording};
pub use redact::Redactor;
pub use retention::{Retention, file_name, is_recording_name};
pub use ring::{Moments, Ring};
pub use writer::{Outcome, Writer};

use std::io;
use std::path::PathBuf;

/// Error of a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A file operation failed.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// The operation: `open`, `write`.
        operation: &'static str,
        /// File or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process writes there.
    #[error("{}: another sockscope records there", .0.display())]
    Locked(PathBuf),
    /// No sample in the file or directory.
    #[error("{}: no recorded samples{why}", path.display())]
    Empty {
        /// File or directory.
        path: PathBuf,
        /// Reason, or other content.
        why: String,
    },
    /// No sample at the requested time.
    #[error("no sample {what}; recorded: {from} to {to}")]
    NoMoment {
        /// Requested time.
        what: String,
        /// Time of the first sample.
        from: String,
        /// Time of the last one.
        to: String,
    },
    /// A frame cannot be read.
    #[error("{}: {source}", path.display())]
    Frame {
        /// File.
        path: PathBuf,
        /// Its error.
        source: crate::frame::FrameError,
    },
}

impl RecordingError {
    /// Failed operation on a file.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io { operation, path: path.into(), source: source.into() }
    }
}
