//! The command line: what was typed ([`args`]), what the configuration file adds ([`config`]), and what it comes to ([`plan`], [`check`]).

pub mod args;
pub mod check;
pub mod config;
pub mod plan;

pub use args::Args;
pub use config::Config;
pub use plan::{Plan, UsageError};
