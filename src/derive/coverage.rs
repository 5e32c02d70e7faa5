//! What a poll could have shown, so that what it did not show is told from what is gone.

use crate::model::wants::{Prefilter, ProtoSet};
use crate::model::{FaultKind, FaultSubject, Faults, Proto, Reads, Sample, State, StateSet};

/// The part of the machine that a poll read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scope {
    protos: ProtoSet,
    states: StateSet,
    prefilter: Option<Prefilter>,
    /// Every serving socket was read, whatever else was left out.
    listeners: bool,
    /// Whether some table was read in part: then nothing follows from what it lacks.
    torn: bool,
    /// Tables that could not be read at all.
    unread: Vec<FaultSubject>,
}

impl Scope {
    /// Of a sample.
    pub(super) fn of(sample: &Sample) -> Self {
        let w = &sample.wants;
        let (torn, unread) = gaps(&sample.faults);
        Self {
            protos: w.protos,
            states: w.states,
            prefilter: w.prefilter.clone(),
            listeners: w.reads(Reads::LISTENERS),
            torn,
            unread,
        }
    }

    /// Whether both asked for the same, so that their counts can be compared.
    pub(super) fn asks_like(&self, other: &Self) -> bool {
        self.protos == other.protos && self.states == other.states && self.prefilter == other.prefilter
    }

    /// Whether everything that `other` asked for is asked for here, and read.
    fn has_all_of(&self, other: &Self) -> bool {
        !self.torn
            && (self.prefilter.is_none() || self.prefilter == other.prefilter)
            && self.unread.iter().all(|u| other.unread.contains(u))
    }

    /// Whether a socket that `before` showed in this state, and this one does not show, is closed: whatever state it
    /// had come to, it would be here.
    pub(super) fn proves_closed(&self, before: &Self, proto: Proto, state: State) -> bool {
        self.has_all_of(before) && self.protos.has(proto) && within(later(state), self.states)
    }

    /// Whether a socket that this one shows in this state, and `before` did not, was opened in between: whatever state
    /// it had been in, it would have been there. One in a handshake then counts as opened since.
    pub(super) fn proves_opened(&self, before: &Self, proto: Proto, state: State) -> bool {
        before.has_all_of(self) && before.protos.has(proto) && within(earlier(state), before.states)
    }

    /// Whether every listener is shown (of datagram protocols: every socket without a peer).
    pub(super) fn shows_listeners(&self, proto: Proto) -> bool {
        let state = if proto.has_tcp_states() { State::Listen } else { State::Unconn };
        self.protos.has(proto) && (self.listeners || self.prefilter.is_none() && self.states.has(state))
    }
}

/// Whether some table of sockets was read in part, and which were not read at all.
fn gaps(faults: &Faults) -> (bool, Vec<FaultSubject>) {
    let mut torn = false;
    let mut unread = Vec::new();
    for f in faults.iter().filter(|f| f.subject.is_sockets()) {
        match f.kind {
            FaultKind::Lost | FaultKind::Malformed => torn = true,
            // A table that was left in the middle, as far as it was wanted for now.
            FaultKind::Deferred if matches!(f.subject, FaultSubject::Dump { .. }) => torn = true,
            FaultKind::Failed | FaultKind::Unsupported | FaultKind::Namespace => {
                unread.push(f.subject.clone());
            }
            _ => {}
        }
    }
    (torn, unread)
}

fn within(a: StateSet, b: StateSet) -> bool {
    b.contains(a)
}

/// The states a socket can come to from this one, itself included; `CLOSED` counts as gone.
fn later(s: State) -> StateSet {
    use State::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, Forwarded, LastAck, Listen, SynRecv,
        SynSent, TimeWait, Unconn,
    };
    let open = StateSet::only(&[Established, FinWait1, FinWait2, CloseWait, LastAck, Closing, TimeWait]);
    match s {
        Listen | LastAck | TimeWait | Forwarded => StateSet::only(&[s]),
        SynSent | SynRecv => open.with(s),
        // A datagram socket can be let loose from its peer.
        Established => open.with(Unconn),
        FinWait1 => StateSet::only(&[FinWait1, FinWait2, Closing, TimeWait]),
        FinWait2 => StateSet::only(&[FinWait2, TimeWait]),
        CloseWait => StateSet::only(&[CloseWait, LastAck]),
        Closing => StateSet::only(&[Closing, TimeWait]),
        Closed => open.with(Closed).with(Listen).with(SynSent),
        Unconn => StateSet::only(&[Unconn, Established]),
    }
}

/// The states a socket can have come from, handshakes aside, itself included.
fn earlier(s: State) -> StateSet {
    let brief = StateSet::only(&[State::SynSent, State::SynRecv, State::Closed]);
    (!brief).states().filter(|from| later(*from).has(s)).fold(StateSet::empty().with(s), StateSet::with)
}
