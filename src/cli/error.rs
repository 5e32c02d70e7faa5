//! Wrong use of the command line or of the configuration file.

/// A usage error, in one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);
