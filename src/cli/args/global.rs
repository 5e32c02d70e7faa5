//! Flags that every command takes.

use crate::cli::settings::flags::{GLOBAL, SettingFlags};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Flags that every command takes.
#[derive(Debug, Clone, ClapArgs)]
pub struct Global {
    /// Flags made from the settings.
    #[command(flatten)]
    pub settings: SettingFlags,
    /// Read a captured /proc tree instead of this machine
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    pub proc_root: Option<PathBuf>,
    /// Show demo data instead of this machine: a scenario by name or file [default scenario: busy-web]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "SCENARIO", num_args = 0..=1, require_equals = true, default_missing_value = "busy-web", conflicts_with_all = ["proc_root", "backend", "netns"])]
    pub demo: Option<String>,
    /// Read a recording instead of this machine: a directory or a file of `record`
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "RECORDING",
        help = "Read a recording instead of this machine: a directory or a file of record",
        conflicts_with_all = ["proc_root", "demo", "backend", "netns"]
    )]
    pub from: Option<PathBuf>,
    /// Moment of the recording (UTC): 02:13, 2026-11-26T02:13:05, -5m [default: the last sample]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// Span of the recording, from START to END: rows of every sample with --format ndjson, export and query; its events
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_names = ["START", "END"],
        num_args = 2,
        allow_hyphen_values = true,
        conflicts_with = "at"
    )]
    pub between: Vec<String>,
    /// Read other hosts by ssh, each with a sockscope in its PATH: names as ssh takes them, 'web-*' by the names in ~/.ssh/config
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "HOST,…",
        value_delimiter = ',',
        conflicts_with_all = ["proc_root", "demo", "from", "at", "between", "backend", "netns"]
    )]
    pub host: Vec<String>,
    /// Read the hosts of a file by ssh: one a line, # begins a comment
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "FILE",
        conflicts_with_all = ["proc_root", "demo", "from", "at", "between", "backend", "netns"]
    )]
    pub hosts: Option<PathBuf>,
    /// Copy this program, if it is static, or FILE to hosts without one: into the cache of the user there, checked by SHA-256
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true
    )]
    pub copy_agent: Option<Option<PathBuf>>,
    /// Configuration file [default: ~/.config/sockscope/config.toml]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
