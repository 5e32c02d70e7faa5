//! Sockets and processes whose owners and names a poll checks first, however many others there are.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most sockets, and most processes, that are named one by one.
pub const SHOWN_MAX: usize = 2_000;

/// Owners and names that are checked in a poll even if nothing shows that they changed. All others are checked in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Those of the sample's sockets, if there are at most [`SHOWN_MAX`].
    #[default]
    IfFew,
    /// These beside: what a screen shows.
    Shown(Arc<Shown>),
    /// Those of all sockets of the sample, and the names of all processes: a listing that prints them.
    All,
}

/// Sockets and processes on screen, the most important first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Inodes of sockets, at most [`SHOWN_MAX`].
    pub inodes: Vec<u64>,
    /// Process IDs, at most [`SHOWN_MAX`].
    pub pids: Vec<u32>,
}
