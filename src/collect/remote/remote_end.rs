//! End of the connection to a host.

/// Reason why a host has no more samples, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct RemoteEnd {
    /// Reason.
    pub why: String,
    /// True if the host is there but serves none: no permission, no agent, an agent of another version.
    pub refused: bool,
}

impl RemoteEnd {
    pub(super) const fn lost(why: String) -> Self {
        Self { why, refused: false }
    }

    pub(super) const fn refused(why: String) -> Self {
        Self { why, refused: true }
    }
}
