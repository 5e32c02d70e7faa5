//! What a rule does with the packets that it matches.

use super::destination::NewDestination;
use super::packets::PacketBox;

/// What a rule does with the packets that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    Accept,
    Drop,
    Queue,
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

/// Packets and what a rule does with them.
#[derive(Debug)]
pub(super) struct Branch<'a> {
    pub(super) boxes: Vec<PacketBox>,
    pub(super) action: Action<'a>,
}
