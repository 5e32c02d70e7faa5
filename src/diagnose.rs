//! Diagnosis: findings, fd leaks, remedies, missing privileges, and the route of a forwarded connection.

pub mod alert;
pub mod cause;
pub mod dns_rules;
pub mod event_rules;
pub mod fd_leak;
pub mod finding;
mod forward;
pub mod limit;
pub mod remedy;
pub mod route;
mod socket_rules;
mod state_age;
pub mod unjudged;
pub mod visibility;
pub mod why;

pub(crate) use state_age::in_state;
