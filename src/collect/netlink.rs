//! The netlink socket: messages out and in, and links and addresses by rtnetlink(7).

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod links;
pub(crate) mod neighbours;
pub(crate) mod socket;
pub(crate) mod wire;
