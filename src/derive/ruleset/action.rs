//! Actions of rules on the packets that they match.

use super::destination::NewDestination;
use super::packets::PacketBox;

/// Action of a rule on the packets that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    Accept,
    Drop,
    /// Drops the packet and answers it.
    Reject,
    Queue,
    /// Continues, but connection tracking does not see the packet: it is never translated.
    Untracked,
    Return,
    /// Chain of `nf_tables` by name.
    Jump(&'a str),
    Goto(&'a str),
    /// Chain of iptables-legacy by offset.
    JumpOffset(u32),
    GotoOffset(u32),
    Nat(NewDestination),
    Continue,
}

/// Packets and the action of a rule on them.
#[derive(Debug)]
pub(super) struct Branch<'a> {
    pub(super) boxes: Vec<PacketBox>,
    pub(super) action: Action<'a>,
}
