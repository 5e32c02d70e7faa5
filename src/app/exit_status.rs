//! Exit statuses and the errors that end a run.

use crate::cli::UsageError;
use std::io;

/// Exit status of a run that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// 0.
    Success,
    /// 1: no row matched, or the wait timed out.
    NoMatch,
    /// 2: the rows of some hosts were printed, others could not be read.
    Partial,
    /// Result of a check: 0 ok, 1 warning, 2 critical, 3 unknown.
    Check(u8),
}

/// Failure of a run, in one line: operation, subject, reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// Usage error.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// Reading sockets failed.
    #[error("{0}")]
    Collect(#[from] crate::collect::CollectError),
    /// A recording cannot be read or written.
    #[error("{0}")]
    Recording(#[from] crate::recording::RecordingError),
    /// An SQL statement cannot be answered.
    #[cfg(feature = "sql")]
    #[error("{0}")]
    Sql(#[from] crate::sql::SqlError),
    /// Output failed.
    #[error("write {subject}: {source}")]
    Output {
        /// The output.
        subject: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The dashboard failed.
    #[error("{0}")]
    Dashboard(String),
}

impl RunError {
    pub(super) fn stdout(source: io::Error) -> Self {
        Self::Output { subject: "standard output", source }
    }

    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}
