//! Inputs of the limits of one poll.

use crate::model::snapshot::{Port, ProcessFacts, SocketFacts};
use crate::model::{Sample, Socket};

/// The parts of the snapshot that limits are derived from.
pub(in crate::derive) struct Context<'a> {
    pub(in crate::derive) sample: &'a Sample,
    pub(in crate::derive) sockets: &'a [Socket],
    pub(in crate::derive) facts: &'a [SocketFacts],
    pub(in crate::derive) processes: &'a [ProcessFacts],
    pub(in crate::derive) ports: &'a [Port],
    /// Socket rows by process, see [`ProcessFacts::sockets`].
    pub(in crate::derive) sockets_of: &'a [u32],
}
