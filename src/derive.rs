//! From samples to snapshots: owners joined, rates, groups, differences. Pure: time comes in with the sample.

mod alerts;
mod closed;
mod counter_window;
mod coverage;
mod direction;
mod dns;
mod engine;
mod event_window;
mod events;
mod forwarded;
mod forwards;
pub use forwards::is_proxy;
pub mod host_peers;
mod identity;
mod limits;
mod listener_filter;
mod local_peer;
mod map;
mod nat_rules;
mod numbers;
mod owners;
pub mod path;
mod peers;
mod ports;
mod previous;
mod processes;
mod ruleset;
mod trend;
mod units;

pub use engine::Engine;
