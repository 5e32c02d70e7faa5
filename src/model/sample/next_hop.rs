//! Next hops that do not answer.

use crate::model::addr::Addr;
use serde::{Deserialize, Serialize};

/// Next hop of a destination to which sockets repeat segments, with an entry of the neighbour table in state FAILED or INCOMPLETE
/// (`ndm_state`, rtnetlink(7)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedHop {
    /// Network namespace: an index of [`super::Sample::namespaces`].
    pub netns: u16,
    /// Destination.
    pub dest: Addr,
    /// Address of the next hop: the gateway, or the destination itself.
    pub hop: Addr,
    /// Index of the interface (`RTA_OIF`).
    pub iface: u32,
    /// Sockets that repeat segments to the destination, of those that were read.
    pub waiting: u32,
}
