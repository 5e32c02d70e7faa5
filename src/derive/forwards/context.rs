//! Parts of the snapshot that forwards are derived from.

use crate::model::snapshot::{PackedRates, Port, ProcessFacts, SocketFacts};
use crate::model::{Sample, Socket, Unit};

/// Pairs of indexes, in the order of the first.
pub(super) type IndexPairs = Vec<(u32, u32)>;

/// Largest port range whose ports are indexed one by one.
pub(super) const MAX_INDEXED_RANGE: u16 = 64;

/// The parts of the snapshot that forwards are derived from.
pub(in crate::derive) struct Context<'a> {
    pub(in crate::derive) sample: &'a Sample,
    /// The live rows.
    pub(in crate::derive) sockets: &'a [Socket],
    pub(in crate::derive) facts: &'a [SocketFacts],
    pub(in crate::derive) rates: &'a [PackedRates],
    pub(in crate::derive) ports: &'a [Port],
    pub(in crate::derive) processes: &'a [ProcessFacts],
    pub(in crate::derive) sockets_of: &'a [u32],
    pub(in crate::derive) units: &'a [Unit],
}

impl<'a> Context<'a> {
    /// Rows of the sockets of a process.
    pub(super) fn sockets_of(&self, process: usize) -> &'a [u32] {
        let (a, b) = self.processes.get(process).map_or((0, 0), |f| f.sockets);
        self.sockets_of.get(a as usize..b as usize).unwrap_or(&[])
    }
}
