//! Reading the machine: one trait, several backends.
//!
//! A [`Source`] makes [`Sample`]s. What is partly unreadable is in the sample as a counted fault; an error is only
//! what leaves nothing to show.

use crate::model::{Sample, Wants};
use std::io;

/// Where samples come from.
pub trait Source: Send {
    /// Reads once what is wanted.
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError>;
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A system call failed: what was tried, on what, and the system's answer.
    #[error("{operation} {subject}: {source}")]
    Io {
        /// What was tried: `open`, `bind`, `dump`.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A backend has nothing to read here: its name and why.
    #[error("{backend}: {why}")]
    Unavailable {
        /// Which backend.
        backend: &'static str,
        /// Why.
        why: String,
    },
}

impl CollectError {
    /// An input or output error with its operation and subject.
    pub fn io(operation: &'static str, subject: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, subject: subject.into(), source: source.into() }
    }
}
