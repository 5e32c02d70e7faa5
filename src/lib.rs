//! sockscope: a terminal connection monitor for Linux.
//!
//! ```text
//! kernel -> collect::Source -> Sample -> derive::Engine::step -> Arc<Snapshot> -> ui | output | check
//! ```
//!
//! One direction: nothing later writes to anything earlier. [`model`] holds the nouns, [`collect`] reads the machine,
//! [`mod@derive`] computes, [`query`] asks, [`output`] prints, [`ui`] is the dashboard, [`cli`] the command
//! line and [`run`] ties them together. `tests/layers.rs` holds every module to what it may use.

pub mod cli;
pub mod collect;
pub mod derive;
pub mod model;
pub mod output;
pub mod query;
pub mod run;
pub mod ui;
