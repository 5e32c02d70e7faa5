//! Sockets and processes that answers need beside the path.

use crate::app::exit_status::RunError;
use crate::app::reader::Reader;
use crate::cli::Plan;
use crate::model::{AttrSet, Needs, Netns, Proto, ProtoSet, Reads, Snapshot, State, StateSet, Wants};
use std::sync::Arc;

/// Reads what answers need beside the path. The connections of all namespaces are read only for the sockets of a process: the kernel
/// goes through its table of connections for each namespace.
pub(super) fn read(plan: &Plan, of_process: bool) -> Result<Arc<Snapshot>, RunError> {
    let states = if of_process { StateSet::ALL } else { serving_states() };
    Reader::open_in(plan, Netns::All, wants(states))?.poll()
}

/// States of sockets that serve an endpoint.
pub(super) fn serving_states() -> StateSet {
    StateSet::only(&[State::Listen, State::Unconn])
}

/// Request for the sockets in these states, with the data that answers need.
pub(super) fn wants(states: StateSet) -> Wants {
    let reads = Reads::OWNERS | Reads::PROCESSES | Reads::LISTENERS | Reads::HALTED;
    let needs = Needs::reads(reads).or(Needs::attrs(AttrSet::SKMEM));
    Wants { states, ..Wants::new(needs, ProtoSet::TCP_UDP.with(Proto::Mptcp)) }
}
