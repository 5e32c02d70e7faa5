//! Firewall rulesets, evaluated as the kernel does: for which packets, which verdict, by which rule.
//!
//! Packets are symbolic: [`packets::PacketBox`] is a set of values for each field, and a rule narrows the boxes that
//! reach it. Rules of `nf_tables` ([`nft`]) and of xtables ([`xt`], in either ruleset) narrow the same fields, so they
//! cannot differ. A value that no field holds (a rate limit, an ipset) is a field of its own. [`walk`] follows the base
//! chains of a hook in order of priority, with jumps, returns and verdicts, and keeps what earlier rules took
//! ([`taken`]); it is indexed, so that the cost grows with the number of rules.

mod action;
pub(super) mod arrivals;
pub(super) mod destination;
mod evidence;
pub(super) mod fields;
pub(super) mod filter;
pub(super) mod first_packet;
pub(super) mod interval;
pub(super) mod local_addresses;
mod mark_versions;
pub(super) mod marks;
mod nft;
pub(super) mod packets;
pub(super) mod program;
pub(super) mod registers;
mod set_ranges;
pub(super) mod sets;
pub(super) mod taken;
pub(super) mod text;
pub(super) mod walk;
mod xt;
