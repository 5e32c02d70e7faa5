//! What was typed: the definition that parser, help, man page and completions come from.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The command line as typed.
#[derive(Debug, Parser)]
#[command(
    name = "sockscope",
    version,
    long_version = LONG_VERSION,
    about = "Sockets, the processes behind them and their descriptor limits: live, and from scripts",
    after_help = EXAMPLES,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub struct Args {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// Flags of a listing, for the dashboard where standard output is no terminal.
    #[command(flatten)]
    pub list: List,
    /// How the dashboard starts.
    #[command(flatten)]
    pub start: Start,
    /// What to do; none: the dashboard.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The version, which commit it is made of where that is known, and what it can read by.
const LONG_VERSION: &str =
    concat!(env!("SOCKSCOPE_VERSION"), "\nbackends: netlink, proc, portable (--backend); scenes (--demo)");

const EXAMPLES: &str = "\
Examples:
  sockscope                                  the dashboard
  sockscope nginx                            the dashboard, showing what nginx holds
  sockscope list state:close-wait            who does not close its connections
  sockscope list port:443 --format json      the same rows for a script
  sockscope list state established '( dport = :ssh or sport = :ssh )'
  sockscope ports                            one row a listening endpoint, with its accept queue
  sockscope processes --sort fds_pct:desc    who is closest to its descriptor limit

Exit status: 0 fine, 1 nothing matched, 2 wrong use or failure.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the sockets once
    #[command(visible_alias = "sockets")]
    List(List),
    /// Print one row a served endpoint: accept queue, clients, processes
    Ports(List),
    /// Print one row a process: descriptors open and allowed, sockets by state
    Processes(List),
    /// Print one row a remote address
    Peers(List),
    /// Print one row a ceiling: how full, what was lost, where it is set
    Limits(List),
    /// Print one row a port forward: from where, by what, to where, who answers there
    Forwards(List),
    /// Judge what is about to run out, for cron and monitoring: one line, exit status 0, 1, 2 or 3
    Check(Check),
    /// Say what a state, queue, limit or column is; without a topic: list them
    Explain {
        /// `CLOSE_WAIT`, backlog, `rtt_us` and so on
        #[arg(help = "CLOSE_WAIT, backlog, rtt_us and so on")]
        topic: Option<String>,
    },
    /// Print the settings in force; write a commented file of them; check one
    Config(ConfigArgs),
    /// Print what the dashboard shows, as text or as a picture (SVG)
    Screenshot(Screenshot),
    /// Print a shell's completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
    /// Print the reference page (Markdown)
    #[command(hide = true)]
    Reference,
}

/// How the dashboard starts.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Start {
    /// Start with this table, or with this view of the configuration file
    #[arg(long, value_name = "VIEW", help_heading = "Dashboard")]
    pub view: Option<String>,
    /// Start as it was left: view, filters, order, columns
    #[arg(long, help_heading = "Dashboard")]
    pub resume: bool,
}

/// What to show, and in which form.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Screenshot {
    /// Show only what matches
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// How the dashboard starts.
    #[command(flatten)]
    pub start: Start,
    /// Columns and lines of the screen
    #[arg(long, value_name = "COLSxLINES", default_value = "120x36")]
    pub size: String,
    /// Polls before it is taken: rates and trends need some
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub polls: u32,
    /// Keys to press then, such as `3<enter>` or `/nginx<enter>`
    #[arg(
        long,
        value_name = "KEYS",
        default_value = "",
        help = "Keys to press then, such as '3<enter>' or '/nginx<enter>'"
    )]
    pub keys: String,
    /// In which form: text or svg
    #[arg(short = 'f', long, value_enum, value_name = "FORM", default_value = "text")]
    pub format: ScreenForm,
}

/// The forms of a screen, those of [`crate::tui::export::Form`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ScreenForm {
    /// Its characters
    #[default]
    Text,
    /// A picture
    Svg,
}

/// What to do with the configuration file.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct ConfigArgs {
    /// Write a file in which every setting stands as a comment; one that is there stays as it is
    #[arg(long, conflicts_with = "check")]
    pub init: bool,
    /// Say what is wrong with the file, line by line: exit status 2 where anything is
    #[arg(long)]
    pub check: bool,
}

/// Flags of a listing.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct List {
    /// Show only what matches: words, field:value, or an expression of ss
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Columns to print, in order, separated by commas ("help" lists them; "+NAME" adds to the usual ones)
    #[arg(short = 'c', long, value_name = "COLUMNS")]
    pub columns: Option<String>,
    /// Sort by these columns: NAME or NAME:desc, separated by commas
    #[arg(short = 's', long, value_name = "COLUMN[:desc]", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// One row a group with counts and sums: state, local, remote, process or any column
    #[arg(short = 'g', long, value_name = "COLUMN")]
    pub group_by: Option<String>,
    /// Print at most this many rows
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub top: Option<usize>,
    /// How to print
    #[arg(short = 'f', long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: FormatArg,
    /// No titles above the rows
    #[arg(short = 'H', long)]
    pub no_header: bool,
    /// Ask the system's resolver for the names of the far addresses
    #[arg(long)]
    pub resolve: bool,
    /// Print how many rows match (with --group-by: how many groups) and nothing else
    #[arg(long)]
    pub count: bool,
    /// Ask again and again: a table is drawn anew, ndjson prints an object an event (opened, changed, closed)
    #[arg(short = 'w', long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1s")]
    pub watch: Option<String>,
    /// Wait until a row matches this too, print the rows that do, and end
    #[arg(long, value_name = "FILTER", conflicts_with = "watch")]
    pub wait_for: Option<String>,
    /// Give up waiting after this long: exit status 1
    #[arg(long, value_name = "TIME", requires = "wait_for", allow_negative_numbers = true)]
    pub timeout: Option<String>,
}

/// Flags of a check.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Check {
    /// Only limits that match, in the words of the table of limits: nginx, limit:fds, subject:postgres
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Share that is a warning: 80% or 0.8 [default: 75%]
    #[arg(long, value_name = "SHARE")]
    pub warn: Option<String>,
    /// Share that is critical [default: 90%]
    #[arg(long, value_name = "SHARE")]
    pub crit: Option<String>,
    /// Only these limits, separated by commas: fds, files, accept, ports, conntrack … ("help" lists them)
    #[arg(long, value_name = "LIMITS")]
    pub only: Option<String>,
    /// Watch for this long and judge the trend too: what is full soon, what is lost meanwhile
    #[arg(long = "for", value_name = "TIME")]
    pub during: Option<String>,
    /// How to print
    #[arg(short = 'f', long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: FormatArg,
}

/// The printed forms, named by [`crate::output::Format::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Aligned columns
    #[default]
    Table,
    /// One array of objects
    Json,
    /// One object a line
    Ndjson,
    /// Comma-separated values
    Csv,
}

/// Flags that every command takes.
#[derive(Debug, Clone, ClapArgs)]
pub struct Global {
    /// Time between two polls: 500ms, 2s, 1m [default: 1s]
    #[arg(short, long, global = true, value_name = "TIME", allow_negative_numbers = true)]
    pub interval: Option<String>,
    /// Share of one core that the dashboard's polls may take: where they would take more, they are made less often
    /// [default: 25%]
    #[arg(long, global = true, value_name = "SHARE")]
    pub max_cpu: Option<String>,
    /// Where sockets are read from [default: auto]
    #[arg(long, global = true, value_enum, value_name = "BACKEND")]
    pub backend: Option<BackendArg>,
    /// How the owners of sockets are found [default: auto]
    #[arg(long, global = true, value_enum, value_name = "HOW")]
    pub owners: Option<OwnersArg>,
    /// Read a captured /proc tree instead of this machine
    #[arg(long, global = true, value_name = "DIR")]
    pub proc_root: Option<PathBuf>,
    /// A scripted machine instead of this one: a busy web server, or a scene by name or file
    #[arg(long, global = true, value_name = "SCENE", num_args = 0..=1, require_equals = true, default_missing_value = "busy-web", conflicts_with_all = ["proc_root", "backend", "netns"])]
    pub demo: Option<String>,
    /// Network namespaces to read: all that can be entered (the default), here, or those of this name, such as host
    #[arg(long, global = true, value_name = "NAME")]
    pub netns: Option<String>,
    /// Ask no container engine for the names of its containers
    #[arg(long, global = true)]
    pub no_engine: bool,
    /// Numbers instead of service and user names
    #[arg(short, long, global = true)]
    pub numeric: bool,
    /// The dashboard can end and signal nothing
    #[arg(long, global = true)]
    pub read_only: bool,
    /// The configuration file [default: ~/.config/sockscope/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Colour: auto (the default), always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<ColorArg>,
    /// Colours: auto (by the terminal's background), dark, light, high-contrast, color-blind, color-blind-light, 16, mono,
    /// or one of your own (a file in themes/ beside config.toml)
    #[arg(long, global = true, value_name = "THEME")]
    pub theme: Option<String>,
    /// No characters beyond ASCII in the dashboard [default: by the locale and the terminal]
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Language of what is explained: en or ko [default: by the locale]
    #[arg(long, global = true, value_name = "LANG")]
    pub lang: Option<String>,
}

/// The choices of `--backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// The best that answers: netlink, then proc, then portable
    Auto,
    /// The kernel's `sock_diag`
    Netlink,
    /// /proc/net
    Proc,
    /// The crates netstat2 and sysinfo
    Portable,
}

/// The choices of `--owners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OwnersArg {
    /// What costs less, as far as this program may
    Auto,
    /// All at once by the kernel's iterator (`bpf_iter`); needs `CAP_BPF` and `CAP_PERFMON`
    Bpf,
    /// Process by process by /proc/PID/fd
    Walk,
}

/// The choices of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    /// As the terminal can, unless `NO_COLOR` is set
    Auto,
    /// Even into a pipe
    Always,
    /// None
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds() {
        Args::command().debug_assert();
    }

    #[test]
    fn printed_forms_are_those_of_output() {
        let here: Vec<_> = FormatArg::value_variants()
            .iter()
            .map(|v| v.to_possible_value().unwrap().get_name().to_owned())
            .collect();
        let there: Vec<_> = crate::output::Format::ALL.iter().map(|(_, n)| (*n).to_owned()).collect();
        assert_eq!(here, there);
    }

    #[test]
    fn filters_and_flags_mix() {
        let a = Args::try_parse_from(["sockscope", "list", "port:443", "--format", "json", "nginx"]).unwrap();
        let Some(Command::List(l)) = a.command else { panic!() };
        assert_eq!(l.filter, ["port:443", "nginx"]);
        assert_eq!(l.format, FormatArg::Json);
        let a = Args::try_parse_from(["sockscope", "nginx", "-n"]).unwrap();
        assert!(a.command.is_none() && a.global.numeric);
        assert_eq!(a.list.filter, ["nginx"]);
    }
}
