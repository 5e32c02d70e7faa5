//! What is wrong and why: findings, leaks, remedies, what could not be seen, and the route of a forwarded connection.

pub mod fd_leak;
pub mod finding;
pub mod remedy;
pub mod route;
mod state_age;
pub mod visibility;

pub(crate) use state_age::in_state;
