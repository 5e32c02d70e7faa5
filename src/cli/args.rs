//! The command line as typed: parser, help, manual page and completions come from this definition.

mod global;
mod serve;
#[cfg(feature = "ship")]
mod ship;

use super::equivalents;
use super::ss_flags::SsFlags;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
pub use global::Global;
use serve::SERVE_EXAMPLES;
pub use serve::Serve;
#[cfg(feature = "ship")]
use ship::SHIP_EXAMPLES;
#[cfg(feature = "ship")]
pub use ship::{Encoding, RowKind, Ship};
use std::path::PathBuf;

/// The command line as typed.
#[derive(Debug, Parser)]
#[command(
    name = "sockscope",
    version,
    long_version = LONG_VERSION,
    about = "Terminal connection monitor: sockets, the processes that own them, and the limits they run into",
    override_usage = "sockscope [OPTIONS] [FILTER]...\n       sockscope COMMAND [OPTIONS] [FILTER]...",
    after_help = EXAMPLES,
    after_long_help = long_examples(),
    subcommand_negates_reqs = true
)]
pub struct Args {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// Flags of a listing, for the dashboard where standard output is not a terminal.
    #[command(flatten)]
    pub list: List,
    /// Initial state of the dashboard.
    #[command(flatten)]
    pub start: Start,
    /// Recording beside the dashboard.
    #[command(flatten)]
    pub beside: RecordBeside,
    /// Print one page for a bug report: kernel, privileges, backends, terminal, configuration
    #[arg(long)]
    pub diagnose: bool,
    /// The command; none: the dashboard.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Version, with the commit where known, and the backends.
const LONG_VERSION: &str =
    concat!(env!("SOCKSCOPE_VERSION"), "\nbackends: netlink, proc, portable (--backend); demo data (--demo)");

const EXAMPLES: &str = "\
Examples:
  sockscope                                  start the dashboard
  sockscope nginx                            start the dashboard with a filter
  sockscope list state:close-wait            connections the application has not closed
  sockscope list port:443 --format json      rows as JSON, for scripts
  sockscope list state established '( dport = :ssh or sport = :ssh )'
  sockscope ports                            listening endpoints with their accept queues
  sockscope processes --sort fds_pct:desc    processes closest to their fd limit

Exit status: 0 success, 1 no match or timeout, 2 usage error or failure; check: 0 to 3, see check --help.";

/// The examples, and the equivalents of other tools.
fn long_examples() -> String {
    let mut out = format!(
        "{EXAMPLES}\n\nComing from ss, netstat or lsof, the same rows (as root with --netns here: the namespace of the shell alone):\n"
    );
    for line in equivalents::lines() {
        out.push_str(&format!("  {line}\n"));
    }
    out.push_str("\nLetters with another meaning here:\n");
    for line in equivalents::differences() {
        out.push_str(&format!("  {line}\n"));
    }
    out
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List sockets
    #[command(visible_aliases = ["ls", "sockets"])]
    List(List),
    /// List listening endpoints: accept queue, clients, processes
    Ports(List),
    /// List processes: open file descriptors, limits, sockets by state
    Processes(List),
    /// List remote addresses: connections, states, rates
    Peers(List),
    /// List resource limits: usage, drops and where each is configured
    Limits(List),
    /// List port forwards: host endpoint, NAT rule or proxy, target, process
    Forwards(List),
    /// Map who talks to whom: containers, units, processes and remote addresses; also --format dot or mermaid
    #[command(mut_arg("format", |a| a.value_parser(formats(FormatArg::value_variants()))))]
    Map(List),
    /// Print connections as they open, close and fail, also those between two polls
    #[command(after_help = EVENTS_EXAMPLES)]
    Events(Events),
    /// Print DNS questions with their answers and latency, by the process that asked
    #[command(after_help = DNS_EXAMPLES)]
    Dns(Events),
    /// Record samples to files, one an hour, to look at later with --from or replay
    #[command(after_help = RECORD_EXAMPLES)]
    Record(Record),
    /// Send events, listeners and limits as NDJSON to a receiver by HTTP
    #[cfg(feature = "ship")]
    #[command(after_help = SHIP_EXAMPLES)]
    Ship(Ship),
    /// Serve metrics for Prometheus, or write them for the textfile collector of the node exporter
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Start the dashboard on a recording, from a moment on
    Replay(Replay),
    /// Compare two moments: listeners, connections, processes, limits; exit status 1 if they differ
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(Diff),
    /// Write rows to a file or standard output, one per row and moment: Parquet, NDJSON or CSV
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
    /// Answer a SELECT over sockets, ports, processes, limits, events and DNS questions
    #[cfg(feature = "sql")]
    #[command(after_help = QUERY_EXAMPLES)]
    Query(Query),
    /// Show which process, unit and container holds a port; exit status 1 if it is free
    Who(Who),
    /// Explain why a connection does not work, by evidence from this kernel, without sending a packet
    #[command(after_help = WHY_EXAMPLES)]
    Why(Why),
    /// Signal the processes that own matching sockets, or close the sockets, after a confirmation
    #[command(after_help = KILL_EXAMPLES)]
    Kill(Kill),
    /// Start the dashboard with the processes that have the most traffic
    Top(Top),
    /// Check resource limits for monitoring (Nagios output, exit status 0-3)
    #[command(after_help = "Exit status: 0 ok, 1 warning, 2 critical, 3 unknown.")]
    Check(Check),
    /// Explain a state, queue, limit, column or finding; without a topic: list the topics
    Explain {
        /// Topic such as `CLOSE_WAIT`, backlog or `rtt_us`
        #[arg(help = "Topic such as CLOSE_WAIT, backlog or rtt_us")]
        topic: Option<String>,
    },
    /// Show the effective settings; write or check the configuration file
    Config(ConfigArgs),
    /// Print one screen of the dashboard as text or SVG
    Screenshot(Screenshot),
    /// Serve samples of this host to another sockscope, which starts it through ssh (--host)
    Agent {
        /// Requests on standard input, samples on standard output; it ends when either is closed
        #[arg(long, required = true)]
        stdio: bool,
    },
    /// Print a shell completion script
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
    /// Print the JSON Schema of rows, events, checks and alerts
    Schema,
    /// Print the version
    Version,
    /// Print the reference (Markdown)
    #[command(hide = true)]
    Reference,
}

impl Command {
    /// Flags of a command that prints the rows of a table.
    pub const fn listing(&self) -> Option<&List> {
        match self {
            Self::List(l)
            | Self::Ports(l)
            | Self::Processes(l)
            | Self::Peers(l)
            | Self::Limits(l)
            | Self::Forwards(l)
            | Self::Map(l) => Some(l),
            _ => None,
        }
    }
}

const EVENTS_EXAMPLES: &str = "\
Examples:
  sockscope events                                     every event until Ctrl-C
  sockscope events event:failed                        connects that fail, with their process
  sockscope events port:5432 --for 10s -f ndjson       ten seconds of one service, for scripts
  sockscope events event:closed --for 30s -g process   connections by process, with bytes

Standard error names the source: bpf requires CAP_BPF and CAP_PERFMON, sock_diag nothing.
Exit status: 0 success, 1 no event matched, 2 usage error or failure.";

const DNS_EXAMPLES: &str = "\
Examples:
  sockscope dns                                   every question until Ctrl-C
  sockscope dns result:timeout,servfail           what resolvers fail to answer, and for whom
  sockscope dns --for 30s -g server               questions, failures and latency by resolver
  sockscope dns name:example.com --count 1 -f ndjson

It captures packets of port 53, which requires CAP_NET_RAW; with CAP_BPF and CAP_PERFMON every process is known.
Not seen: DNS over TLS and HTTPS, other ports, and resolvers reached by a rewritten port.
Exit status: 0 success, 1 no question matched, 2 usage error or failure.";

const RECORD_EXAMPLES: &str = "\
Examples:
  sockscope record -o /var/lib/sockscope             record every second until Ctrl-C, the last 24 hours kept
  sockscope record --every 5s --for 1h -o incident   one hour, every five seconds
  sockscope list --from incident --at 02:13 state:close-wait
  sockscope replay incident --at 02:10

Times are UTC. A recording holds command lines: only its owner can read the files.
Exit status: 0 success, 2 usage error or failure.";

const DIFF_EXAMPLES: &str = "\
Examples:
  sockscope diff --from incident 02:10 02:20            ten minutes of a recording
  sockscope diff --from incident 5m last                its last five minutes
  sockscope diff release.sscope now --only listeners    a new listener since the release?
  sockscope diff web-1/@02:10 web-2/@02:10 -f json      two hosts at one time

A side is now, a time of the recording of --from, or a recording, alone (its last sample) or with @TIME.
Exit status: 0 no difference, 1 some, 2 usage error or failure.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  sockscope export --from incident -o sockets.parquet                      every sample of a recording
  sockscope export processes --from incident --every 1m -o fds.csv         one sample a minute
  sockscope export events --from incident --between 02:10 02:20 port:5432  events of ten minutes, as NDJSON
  sockscope export port:443 -c +rx_bytes,tx_bytes                          this machine now

The first column is time (UTC). Without --at or --between all of a recording is written; events are of their own time.
Exit status: 0 success, 1 no row matched, 2 usage error or failure; then FILE is left as it was.";

#[cfg(feature = "sql")]
const QUERY_EXAMPLES: &str = "\
Examples:
  sockscope query 'SELECT state, count(*) FROM sockets GROUP BY state'
  sockscope query 'SELECT time, fds_open FROM processes WHERE pid = 812' --from incident --between 02:00 03:00 --every 1m
  sockscope query --schema                                                 tables and columns

SQL of SQLite, SELECT only. Every table has a column time (UTC, 2026-11-26T02:13:05.000000Z): of the sample, in events of
the event. Without --at or --between the last sample of a recording is read. More: docs/queries.md
Exit status: 0 success, 1 no row, 2 usage error or failure.";

const WHY_EXAMPLES: &str = "\
Examples:
  sockscope why 10.0.0.4:5432                  can this machine reach it?
  sockscope why '[fd00::4]:53' --proto udp     the same by UDP
  sockscope why 10.0.0.4:5432 --pid 812        can this process, in its network namespace and as its user?
  sockscope why :443                           can clients reach the service on this port?
  sockscope why nginx                          what is wrong with the sockets of these processes?
  sockscope why 10.0.0.4:5432 --probe          one real connect beside the prediction
  sockscope why 10.0.0.4:5432 --watch          wait until the answer changes

The steps are in the order of the kernel: ok, fails, likely, not visible. The first that fails is the answer.
Exit status: 0 reachable, 1 cause found, 2 usage error or failure, 3 could not tell.";

const KILL_EXAMPLES: &str = "\
Examples:
  sockscope kill lport:8080 state:listen               SIGTERM to the process that listens on port 8080
  sockscope kill -9 pid:812                            SIGKILL; also --signal KILL
  sockscope kill --close dst 10.0.0.9                  close the connections, not the process (ss -K)

Exit status: 0 done, 1 nothing matched or not confirmed, 2 usage error or failure.";

/// Output format of rows.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
pub struct Output {
    /// Output format
    #[arg(short = 'f', long, value_parser = formats(&ROW_FORMATS), value_name = "FORMAT", default_value = "table")]
    pub format: FormatArg,
    /// Same as --format json
    #[arg(short = 'j', long, conflicts_with = "format")]
    pub json: bool,
    /// Omit the header line
    #[arg(short = 'H', long)]
    pub no_header: bool,
}

impl Output {
    /// The format, by either flag.
    pub fn format(self) -> FormatArg {
        if self.json { FormatArg::Json } else { self.format }
    }
}

/// Flags of `record`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Record {
    /// Directory, made if it does not exist [default: ~/.local/state/sockscope/recording]
    #[arg(short = 'o', long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Time between two samples [default: --interval]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub every: Option<String>,
    /// Stop after TIME
    #[arg(long = "for", value_name = "TIME", allow_negative_numbers = true)]
    pub during: Option<String>,
    /// Remove files older than TIME [default: 24h]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub keep: Option<String>,
    /// Remove the oldest files above this size of all [default: 1G]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub max_size: Option<String>,
    /// Remove the oldest files, then pause, below this free share of the file system [default: 5%]
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub min_free: Option<String>,
    /// Replace addresses, names and arguments under a key that is not stored; with --from: those of a copy
    #[arg(long)]
    pub redact: bool,
}

/// Flags of `diff`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Diff {
    /// Before: now, TIME of the recording of --from, RECORDING or RECORDING@TIME
    #[arg(value_name = "BEFORE", allow_negative_numbers = true)]
    pub before: String,
    /// After, as BEFORE
    #[arg(value_name = "AFTER", allow_negative_numbers = true)]
    pub after: String,
    /// Compare only these: listeners, connections, processes, limits
    #[arg(long, value_name = "SUBJECTS")]
    pub only: Option<String>,
    /// Output format.
    #[command(flatten)]
    pub output: Output,
}

/// Flags of `replay`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Replay {
    /// Recording: a directory or a file [default: ~/.local/state/sockscope/recording]
    #[arg(value_name = "RECORDING")]
    pub recording: Option<PathBuf>,
    /// Filter: words, field:value, or an ss expression
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Speed: 4x, 0.5x
    #[arg(long, value_name = "FACTOR", default_value = "1x")]
    pub speed: String,
}

/// Flags of `export`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Export {
    /// Table: sockets, ports, processes, peers, limits, forwards, edges, events or questions [default: sockets]; then a filter
    #[arg(value_name = "TABLE] [FILTER", help_heading = "Filter")]
    pub words: Vec<String>,
    /// File, replaced when it is complete [default: standard output]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Output format [default: by the ending of FILE, else ndjson]
    #[arg(short = 'f', long, value_enum, value_name = "FORMAT")]
    pub format: Option<ExportFormat>,
    /// Columns, comma-separated, all or help; "+NAME" adds to those of list --format json, "-NAME" removes
    #[arg(short = 'c', long, value_name = "COLUMNS", allow_hyphen_values = true)]
    pub columns: Option<String>,
    /// Leave out samples closer together than TIME
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub every: Option<String>,
    /// Omit the header line of CSV
    #[arg(short = 'H', long)]
    pub no_header: bool,
}

/// Formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Apache Parquet, compressed with zstd
    #[cfg(feature = "parquet")]
    Parquet,
    /// One JSON object per line
    Ndjson,
    /// Comma-separated values
    Csv,
}

/// Flags of `query`.
#[cfg(feature = "sql")]
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Query {
    /// Statement: a SELECT over sockets, ports, processes, peers, limits, forwards, edges, events, questions
    #[arg(value_name = "SELECT", required_unless_present = "schema")]
    pub sql: Option<String>,
    /// Print the tables and columns as SQL
    #[arg(long, conflicts_with = "sql")]
    pub schema: bool,
    /// Leave out samples closer together than TIME
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub every: Option<String>,
    /// Output format.
    #[command(flatten)]
    pub output: Output,
}

/// Flags of `who`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Who {
    /// Port: 8080, ssh, 8080/tcp or 127.0.0.1:8080
    #[arg(value_name = "PORT")]
    pub port: String,
    /// Output format.
    #[command(flatten)]
    pub output: Output,
}

/// Flags of `why`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Why {
    /// Destination ADDR:PORT, own port :PORT, or process by PID or NAME
    #[arg(value_name = "ADDR:PORT | :PORT | PID | NAME")]
    pub target: String,
    /// Transport protocol
    #[arg(long, value_parser = ["tcp", "udp"], value_name = "PROTO", default_value = "tcp")]
    pub proto: String,
    /// Source address of the connection [default: the one that the kernel chooses]
    #[arg(long, value_name = "ADDR")]
    pub source: Option<String>,
    /// User of the connection, by name or number [default: the one of --pid, or yours]
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// Process that connects: its network namespace, user and descriptors
    #[arg(long, value_name = "PID", allow_negative_numbers = true, conflicts_with = "netns")]
    pub pid: Option<u32>,
    /// Also make one real connect (UDP: send one empty datagram), as this user and in this network namespace, and wait for TIME
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "5s")]
    pub probe: Option<String>,
    /// Repeat every TIME until the answer changes, and print the new one
    #[arg(short = 'w', long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1s")]
    pub watch: Option<String>,
    /// Mark of the connection (`SO_MARK`)
    #[arg(long, value_name = "N", help = "Mark of the connection (SO_MARK)", allow_negative_numbers = true)]
    pub mark: Option<String>,
    /// Output format: table or json
    #[arg(
        short = 'f',
        long,
        value_parser = formats(&[FormatArg::Table, FormatArg::Json]),
        hide_possible_values = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub format: FormatArg,
    /// Same as --format json
    #[arg(short = 'j', long, conflicts_with = "format")]
    pub json: bool,
}

/// Flags of `events` and `dns`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Events {
    /// Filter: words, field:value, or an ss expression
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Stop after TIME
    #[arg(long = "for", value_name = "TIME", allow_negative_numbers = true)]
    pub during: Option<String>,
    /// Stop after N rows
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub count: Option<u64>,
    /// Columns, comma-separated ("help" lists them; "+NAME" adds to the default columns, "-NAME" removes)
    #[arg(short = 'c', long, value_name = "COLUMNS", allow_hyphen_values = true)]
    pub columns: Option<String>,
    /// At the end print one row per group with counts and sums: process, `remote_addr` or any column, comma-separated
    #[arg(
        short = 'g',
        long,
        value_name = "COLUMNS",
        help = "At the end print one row per group with counts and sums: process, remote_addr or any column, comma-separated"
    )]
    pub group_by: Option<String>,
    /// Sort groups by columns: NAME, NAME:asc or NAME:desc, comma-separated
    #[arg(short = 's', long, value_name = "COLUMN[:desc]", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Print at most N groups
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub top: Option<usize>,
    /// Output format.
    #[command(flatten)]
    pub output: Output,
    /// Resolve remote addresses (DNS)
    #[arg(short = 'r', long)]
    pub resolve: bool,
}

/// Flags of `kill`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Kill {
    /// Filter: words, field:value, or an ss expression
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Signal by name or number [default: TERM]
    #[arg(long, value_name = "SIGNAL", conflicts_with = "close")]
    pub signal: Option<String>,
    /// Close the sockets (`SOCK_DESTROY`) and leave the processes alone
    #[arg(long, help = "Close the sockets (SOCK_DESTROY) and leave the processes alone")]
    pub close: bool,
    /// Do not ask for confirmation
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Flags of ss.
    #[command(flatten)]
    pub ss: SsFlags,
}

/// Initial state of the dashboard.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Start {
    /// Initial view: a table, or the name of a saved view
    #[arg(long, value_name = "VIEW", help_heading = "Dashboard")]
    pub view: Option<String>,
    /// Restore the last session: view, filters, sort order, columns
    #[arg(long, help_heading = "Dashboard")]
    pub resume: bool,
}

/// Flags of `top`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Top {
    /// Flags of a listing.
    #[command(flatten)]
    pub list: List,
    /// Recording beside the dashboard.
    #[command(flatten)]
    pub beside: RecordBeside,
}

/// Recording beside the dashboard.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct RecordBeside {
    /// Record what is polled, as the command record does [default: ~/.local/state/sockscope/recording]
    #[arg(
        long = "record",
        value_name = "DIR",
        num_args = 0..=1,
        require_equals = true,
        help_heading = "Dashboard"
    )]
    pub record: Option<Option<PathBuf>>,
}

/// Flags of a screenshot.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Screenshot {
    /// Filter; as in the dashboard
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Initial state of the dashboard.
    #[command(flatten)]
    pub start: Start,
    /// Screen size
    #[arg(long, value_name = "COLSxLINES", default_value = "120x36")]
    pub size: String,
    /// Polls before the screenshot; rates and trends need more than one
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub polls: u32,
    /// Keys to press after the polls, such as `3<enter>` or `/nginx<enter>`
    #[arg(
        long,
        value_name = "KEYS",
        default_value = "",
        help = "Keys to press after the polls, such as '3<enter>' or '/nginx<enter>'"
    )]
    pub keys: String,
    /// Output format
    #[arg(short = 'f', long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: ScreenForm,
    /// Print an animated SVG with a frame for each of the keys
    #[arg(long, requires = "keys")]
    pub animate: bool,
}

/// Output formats of a screenshot, those of [`crate::tui::export::Form`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ScreenForm {
    /// Plain text
    #[default]
    Text,
    /// SVG image
    Svg,
}

/// Flags of the command for the configuration file.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct ConfigArgs {
    /// Write a commented default config file; never overwrites an existing one
    #[arg(long, conflicts_with = "check")]
    pub init: bool,
    /// Check the config file and print every problem with its line; exit status 2 if there is one
    #[arg(long)]
    pub check: bool,
}

/// Flags of a listing.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct List {
    /// Filter: words, field:value, or an ss expression
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Columns, comma-separated ("help" lists them; "+NAME" adds to the default columns, "-NAME" removes)
    #[arg(short = 'c', long, value_name = "COLUMNS", allow_hyphen_values = true)]
    pub columns: Option<String>,
    /// Sort by columns: NAME, NAME:asc or NAME:desc, comma-separated
    #[arg(short = 's', long, value_name = "COLUMN[:desc]", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Group by state, local, remote, process or any column, several comma-separated; printed, a group is one row with counts and sums
    #[arg(short = 'g', long, value_name = "COLUMNS")]
    pub group_by: Option<String>,
    /// Print at most N rows
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub top: Option<usize>,
    /// Output format.
    #[command(flatten)]
    pub output: Output,
    /// Resolve remote addresses (DNS)
    #[arg(short = 'r', long)]
    pub resolve: bool,
    /// Print only the number of matching rows (with --group-by: of groups)
    #[arg(long)]
    pub count: bool,
    /// Repeat every TIME: redraw the table, or print one NDJSON event per change (opened, changed, closed)
    #[arg(short = 'w', long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1s")]
    pub watch: Option<String>,
    /// Wait until a row also matches this filter, print the matching rows and exit
    #[arg(long, value_name = "FILTER", conflicts_with = "watch")]
    pub wait_for: Option<String>,
    /// Stop --watch after TIME, or --wait-for with exit status 1
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub timeout: Option<String>,
    /// Flags of ss.
    #[command(flatten)]
    pub ss: SsFlags,
}

/// Flags of a check.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Check {
    /// Filter on limits: nginx, limit:fds, subject:postgres
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
    /// Warning threshold, as a share of the limit: 80% or 0.8 [default: 75%]
    #[arg(long, value_name = "PERCENT")]
    pub warn: Option<String>,
    /// Critical threshold [default: 90%]
    #[arg(long, value_name = "PERCENT")]
    pub crit: Option<String>,
    /// Check only these limits, comma-separated: fds, files, accept, ports, conntrack …
    #[arg(long, value_name = "LIMITS")]
    pub only: Option<String>,
    /// Observe for TIME and also check growth and drops: limits about to be reached, losses meanwhile
    #[arg(long = "for", value_name = "TIME")]
    pub during: Option<String>,
    /// Exit 0, 1 or 2 although some limits could not be read (default: 3, if nothing worse was found)
    #[arg(long)]
    pub allow_partial: bool,
    /// Print only the first line
    #[arg(long, conflicts_with = "quiet")]
    pub short: bool,
    /// Print nothing; only set the exit status
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Output format: table or json
    #[arg(
        short = 'f',
        long,
        value_parser = formats(&[FormatArg::Table, FormatArg::Json]),
        hide_possible_values = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub format: FormatArg,
    /// Same as --format json
    #[arg(short = 'j', long, conflicts_with = "format")]
    pub json: bool,
}

/// Output formats, named by [`crate::output::Format::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Aligned columns
    #[default]
    Table,
    /// A JSON array of objects
    Json,
    /// One JSON object per line
    Ndjson,
    /// Comma-separated values
    Csv,
    /// A graph for Graphviz
    Dot,
    /// A graph for Mermaid
    Mermaid,
}

/// Formats of rows, which every table has.
const ROW_FORMATS: [FormatArg; 4] = [FormatArg::Table, FormatArg::Json, FormatArg::Ndjson, FormatArg::Csv];

/// Parser of the formats of a command. The others are known but not offered: their error names the command that has them.
fn formats(shown: &[FormatArg]) -> impl TypedValueParser<Value = FormatArg> + use<> {
    let value = |f: &FormatArg| f.to_possible_value().map(|v| v.hide(!shown.contains(f)));
    PossibleValuesParser::new(FormatArg::value_variants().iter().filter_map(value))
        .try_map(|name| FormatArg::from_str(&name, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definition_is_valid() {
        Args::command().debug_assert();
    }

    #[test]
    fn formats_match_those_of_output() {
        let here: Vec<_> = FormatArg::value_variants()
            .iter()
            .map(|v| v.to_possible_value().unwrap().get_name().to_owned())
            .collect();
        let there: Vec<_> = crate::output::Format::ALL.iter().map(|(_, n)| (*n).to_owned()).collect();
        assert_eq!(here, there);
    }

    #[test]
    fn filters_and_flags_can_be_mixed() {
        let a = Args::try_parse_from(["sockscope", "list", "port:443", "--format", "json", "nginx"]).unwrap();
        let Some(Command::List(l)) = a.command else { panic!() };
        assert_eq!(l.filter, ["port:443", "nginx"]);
        assert_eq!(l.output.format, FormatArg::Json);
        let a = Args::try_parse_from(["sockscope", "nginx", "-n"]).unwrap();
        assert!(a.command.is_none() && a.global.settings.has("numeric"));
        assert_eq!(a.list.filter, ["nginx"]);
    }
}
