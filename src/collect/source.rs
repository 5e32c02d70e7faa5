//! Sources of samples, their errors, and the clock.

use crate::model::{Sample, Stamp, Wants};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Source of samples.
pub trait Source: Send {
    /// Reads one sample of what is wanted.
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError>;

    /// CPU time that another process on this machine has taken for the samples so far.
    fn cpu_elsewhere(&mut self) -> Duration {
        Duration::ZERO
    }

    /// Continues after a moment, nanoseconds since 1970: of use for recordings only.
    fn resume(&mut self, _unix_ns: u64) {}
}

/// Error that leaves nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A system call failed.
    #[error("{operation} {subject}: {source}")]
    Io {
        /// The operation: `open`, `bind`, `dump`.
        operation: &'static str,
        /// Its object: a path, a table.
        subject: String,
        /// The system's error.
        source: io::Error,
    },
    /// The last sample of a recording was read.
    #[error("end of the recording")]
    EndOfRecording,
    /// There is no network namespace of this name.
    #[error("no network namespace {name:?}; available: {known}")]
    NoNamespace {
        /// The requested name.
        name: String,
        /// The available names.
        known: String,
    },
    /// A backend cannot read anything on this machine.
    #[error("{backend}: {why}")]
    Unavailable {
        /// Its name.
        backend: &'static str,
        /// The reason.
        why: String,
    },
}

impl CollectError {
    /// I/O error of an operation on a subject.
    pub fn io(operation: &'static str, subject: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, subject: subject.into(), source: source.into() }
    }
}

/// Current time.
pub fn stamp() -> Stamp {
    let ns = |clock| {
        let t = clock_gettime(clock);
        t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
    };
    Stamp { boot_ns: ns(ClockId::Boottime), unix_ns: ns(ClockId::Realtime) }
}

/// Host name of this machine.
pub fn host() -> Arc<str> {
    rustix::system::uname().nodename().to_string_lossy().into()
}
