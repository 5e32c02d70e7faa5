//! Threads working together: a mailbox in which the newest value wins, and a parallel map over scoped threads.

mod mailbox;
mod par_map;

pub use mailbox::Mailbox;
pub use par_map::{cores, par_map, par_map_with};
