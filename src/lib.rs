//! sockscope: a terminal connection monitor for Linux.
//!
//! ```text
//! kernel -> collect::Source -> Sample -> derive::Engine::step -> Arc<Snapshot> -> ui | output | check
//! ```
//!
//! One direction: nothing later writes to anything earlier. [`model`] holds the nouns, [`collect`] reads the machine,
//! [`mod@derive`] computes, [`query`] asks, [`output`] prints, [`ui`] is the dashboard, [`cli`] the command
//! line and [`run`] ties them together. `tests/layers.rs` holds every module to what it may use.

//!
//! Where this goes another way than the first plan, and why:
//!
//! - Inside a state, the connections to one remote endpoint are a group too, not only those a listener took in: a pool
//!   of a thousand is one line, whichever end it is seen from.
//! - `--group-by` prints one row a group, with counts and sums, in every format; rows under titles are for the dashboard.
//! - `autobound` is asked of the kernel by a second, filtered dump, since no attribute tells it; then it means what `ss` means.
//! - Of `tcp_info` only the bytes that a shown, filtered or sorted column needs are kept: they are most of the memory.
//! - `<` and `>` go to the ends of a list, since `g` and `G` group.

pub mod cli;
pub mod collect;
pub mod derive;
pub mod model;
pub mod output;
pub mod query;
pub mod run;
pub mod ui;
