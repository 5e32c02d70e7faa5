//! The command line: flags ([`args`]), settings from flags and the configuration file ([`settings`]), and the checked plan of
//! a run ([`plan`]).

pub mod args;
pub mod check;
pub mod command_first;
pub mod config_file;
pub mod diff;
pub mod equivalents;
pub mod error;
pub mod events;
pub mod export;
pub mod habits;
pub mod hosts;
pub mod kill;
pub mod list_plan;
pub mod moment;
pub mod plan;
#[cfg(feature = "sql")]
pub mod query;
pub mod record;
pub mod serve;
pub mod settings;
#[cfg(feature = "ship")]
pub mod ship;
pub mod ss_flags;
pub mod user_file;
pub mod who;
pub mod why;

pub use args::Args;
pub use error::UsageError;
pub use plan::Plan;
pub use settings::Settings;
