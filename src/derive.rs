//! From samples to snapshots: owners joined, rates, groups, differences. Pure: time comes in with the sample.

mod alerts;
mod direction;
mod ends;
mod engine;
mod forwards;
mod gone;
mod identity;
mod limits;
mod owners;
mod peers;
mod ports;
mod processes;
mod recent;
mod scope;
mod trend;
mod units;

pub use engine::Engine;
