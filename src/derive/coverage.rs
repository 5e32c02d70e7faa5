//! Coverage of a poll: the tables and states it read, to tell closed sockets from sockets that were not read.

use crate::model::wants::{Prefilter, ProtoSet};
use crate::model::{FaultKind, FaultSubject, Faults, Proto, Reads, Sample, State, StateSet};

/// The protocols and states that a poll read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coverage {
    protos: ProtoSet,
    states: StateSet,
    prefilter: Option<Prefilter>,
    /// Every listener was read, whatever the states and prefilter.
    listeners: bool,
    /// Some table was read in part: a missing row proves nothing.
    incomplete: bool,
    /// Tables that could not be read at all.
    unread: Vec<FaultSubject>,
}

impl Coverage {
    /// The coverage of a sample.
    pub(super) fn new(sample: &Sample) -> Self {
        let w = &sample.wants;
        let (incomplete, unread) = gaps(&sample.faults);
        Self {
            protos: w.protos,
            states: w.states,
            prefilter: w.prefilter.clone(),
            listeners: w.reads(Reads::LISTENERS),
            incomplete,
            unread,
        }
    }

    /// True if both polls made the same request, so that their counts are comparable.
    pub(super) fn is_same_request(&self, other: &Self) -> bool {
        self.protos == other.protos && self.states == other.states && self.prefilter == other.prefilter
    }

    /// True if everything that `other` read was read here too, apart from protocols and states.
    fn includes(&self, other: &Self) -> bool {
        !self.incomplete
            && (self.prefilter.is_none() || self.prefilter == other.prefilter)
            && self.unread.iter().all(|u| other.unread.contains(u))
    }

    /// True if a socket that `before` has in this state and this poll lacks has closed: every state it could have changed
    /// to was read.
    pub(super) fn proves_closed(&self, before: &Self, proto: Proto, state: State) -> bool {
        self.includes(before) && self.protos.has(proto) && self.states.contains(successor_states(state))
    }

    /// True if a socket that this poll has in this state and `before` lacks was opened since: every state it could have
    /// been in was read. A socket that was in the handshake at `before` counts as opened since.
    pub(super) fn proves_opened(&self, before: &Self, proto: Proto, state: State) -> bool {
        before.includes(self) && before.protos.has(proto) && before.states.contains(predecessor_states(state))
    }

    /// True if every listener was read (for datagram protocols: every socket without a peer).
    pub(super) fn includes_listeners(&self, proto: Proto) -> bool {
        let state = if proto.has_tcp_states() { State::Listen } else { State::Unconn };
        self.protos.has(proto) && (self.listeners || self.prefilter.is_none() && self.states.has(state))
    }
}

/// True if some socket table was read in part, and the tables that were not read at all.
fn gaps(faults: &Faults) -> (bool, Vec<FaultSubject>) {
    let mut incomplete = false;
    let mut unread = Vec::new();
    for f in faults.iter().filter(|f| f.subject.is_sockets()) {
        match f.kind {
            FaultKind::Lost | FaultKind::Malformed => incomplete = true,
            // A dump that stopped at the row limit.
            FaultKind::Deferred if matches!(f.subject, FaultSubject::Dump { .. }) => incomplete = true,
            FaultKind::Failed | FaultKind::Unsupported | FaultKind::Namespace | FaultKind::NotCaptured => {
                unread.push(f.subject.clone());
            }
            _ => {}
        }
    }
    (incomplete, unread)
}

/// The states that a socket can change to from this one, this one included; `CLOSED` counts as closed.
fn successor_states(s: State) -> StateSet {
    use State::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, Forwarded, LastAck, Listen, SynRecv,
        SynSent, TimeWait, Unconn, Unknown,
    };
    let open = StateSet::only(&[Established, FinWait1, FinWait2, CloseWait, LastAck, Closing, TimeWait]);
    match s {
        Listen | LastAck | TimeWait | Forwarded => StateSet::only(&[s]),
        SynSent | SynRecv => open.with(s),
        // A datagram socket can be disconnected from its peer.
        Established => open.with(Unconn),
        FinWait1 => StateSet::only(&[FinWait1, FinWait2, Closing, TimeWait]),
        FinWait2 => StateSet::only(&[FinWait2, TimeWait]),
        CloseWait => StateSet::only(&[CloseWait, LastAck]),
        Closing => StateSet::only(&[Closing, TimeWait]),
        Closed => open.with(Closed).with(Listen).with(SynSent),
        Unconn => StateSet::only(&[Unconn, Established]),
        Unknown(_) => StateSet::ALL,
    }
}

/// The states that a socket in this one can have been in, this one included, handshakes excluded.
fn predecessor_states(s: State) -> StateSet {
    let handshake = StateSet::only(&[State::SynSent, State::SynRecv, State::Closed]);
    (!handshake)
        .states()
        .filter(|from| successor_states(*from).has(s))
        .fold(StateSet::empty().with(s), StateSet::with)
}
