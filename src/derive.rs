//! From samples to snapshots: owners joined, rates, groups, differences. Pure: time comes in with the sample.

mod direction;
mod engine;
mod owners;
mod peers;
mod ports;
mod processes;
mod trend;

pub use engine::Engine;
