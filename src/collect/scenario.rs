//! Scenarios: demo data of a simulated machine over several polls, without a kernel.
//!
//! A [`Scenario`] describes the processes and sockets of a machine and how they change from poll to poll; a
//! [`ScenarioSource`] produces its samples. Time is simulated too, so everything derived and drawn is reproducible. Tests
//! build scenarios in code; screenshots and `--demo` use the files in [`SCENARIOS`].

mod attributes;
mod copies;
mod dns;
mod dns_spec;
mod event_spec;
mod events;
mod parse;
mod prefilter;
mod series;
mod source;
mod spec;
#[cfg(test)]
mod tests;
mod words;

pub use super::scenario::dns_spec::DnsSpec;
pub use super::scenario::event_spec::EventSpec;
pub use super::scenario::parse::ScenarioError;
pub use super::scenario::series::Series;
pub use super::scenario::source::ScenarioSource;
pub use spec::{OwnerSpec, ProcessSpec, SCENARIOS, Scenario, SocketSpec};
