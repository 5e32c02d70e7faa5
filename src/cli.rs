//! The command line: what was typed ([`args`]), what the configuration file adds ([`config`], [`setting`]), and what it comes to ([`plan`], [`check`]).

pub mod args;
pub mod check;
pub mod config;
pub mod plan;
pub mod setting;

pub use args::Args;
pub use config::Config;
pub use plan::{Plan, UsageError};
