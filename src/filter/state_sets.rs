//! Named sets of states.

use crate::model::{State, StateSet};

/// A named set of states.
pub(crate) type Named = (&'static str, fn() -> StateSet);

/// The groups of `ss`, and `all`.
pub(crate) const GROUPS: [Named; 5] = [
    ("all", || StateSet::ALL),
    ("connected", || without(&[State::Listen, State::Closed, State::Unconn])),
    ("synchronized", || without(&[State::Listen, State::Closed, State::Unconn, State::SynSent])),
    ("bucket", || StateSet::only(&[State::SynRecv, State::TimeWait])),
    ("big", || without(&[State::SynRecv, State::TimeWait])),
];

/// Forwarded connections and unknown states are excluded, since `ss` does not know them.
fn without(states: &[State]) -> StateSet {
    !StateSet::only(states).with(State::Forwarded).with(State::Unknown(0))
}

/// The states of a word: a state in any spelling, or a group.
pub(crate) fn parse(word: &str) -> Option<StateSet> {
    if let Some((_, set)) = GROUPS.iter().find(|(n, _)| n.eq_ignore_ascii_case(word)) {
        return Some(set());
    }
    State::parse(word).map(|s| StateSet::only(&[s]))
}

/// The states of a word in `ss`, where a datagram socket without a peer is closed.
pub(crate) fn parse_ss(word: &str) -> Option<StateSet> {
    let closed = StateSet::only(&[State::Closed, State::Unconn]);
    if ["closed", "close", "unconnected"].iter().any(|w| w.eq_ignore_ascii_case(word)) {
        return Some(closed);
    }
    parse(word)
}

/// Every name of a state or a set.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    crate::model::state::STATES
        .iter()
        .flat_map(|s| std::iter::once(s.name).chain(s.aliases.iter().copied()))
        .chain(GROUPS.iter().map(|(n, _)| *n))
}
