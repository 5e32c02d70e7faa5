//! The command line: what was typed ([`args`]), and what it comes to ([`plan`]).

pub mod args;
pub mod plan;

pub use args::Args;
pub use plan::{Plan, UsageError};
