//! Flags of `sockscope ship`.

use clap::Args as ClapArgs;
use std::path::PathBuf;

pub(super) const SHIP_EXAMPLES: &str = "\
Examples:
  sockscope ship --to 'http://127.0.0.1:9428/insert/jsonline?_time_field=time&_msg_field=kind'
  sockscope ship --to 'http://127.0.0.1:8123/?query=INSERT+INTO+sockscope+FORMAT+JSONEachRow'
  sockscope ship --to https://logs.example.com/in --token /etc/sockscope/token --spool /var/lib/sockscope/ship
  sockscope ship --to http://127.0.0.1:8080/ --from incident      the rows of a recording

Each row has an id: what is sent twice after a failure has the same one. {batch} in the URL is the id of the request.
While the receiver is down, batches wait in the directory of --spool. More: docs/fleet.md
Exit status: 0 success, 1 rows of a recording are still to be sent, 2 usage error or failure.";

/// Compression of a batch (`Content-Encoding`, RFC 9110 and RFC 8878).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// Zstandard, level 3
    #[default]
    Zstd,
    /// gzip
    Gzip,
    /// None
    None,
}

/// Rows to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RowKind {
    /// Connections as they open, close and fail
    Events,
    /// All at the start and once an hour, those that open, change and close at once
    Listeners,
    /// All once a minute, those whose level changed at once
    Limits,
}

impl RowKind {
    /// All of them, with the value of the key `kind` of their rows.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Events, "event"), (Self::Listeners, "listener"), (Self::Limits, "limit")];

    /// Value of the key `kind`.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Flags of `ship`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Ship {
    /// Receiver: http or https; {batch} stands for the id of a batch
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Rows to send, comma-separated [default: all]
    #[arg(long, value_name = "KINDS", value_enum, value_delimiter = ',')]
    pub only: Vec<RowKind>,
    /// Directory of what waits for the receiver [default: ~/.local/state/sockscope/ship]
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// Remove the oldest batches above this size of all, and count their rows [default: 1G]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub max_size: Option<String>,
    /// Rows of a batch [default: 10000]
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Send a batch after TIME also if it has fewer rows [default: 5s]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub flush: Option<String>,
    /// Compression of batches
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub compress: Encoding,
    /// File with a bearer token
    #[arg(long, value_name = "FILE")]
    pub token: Option<PathBuf>,
    /// File with headers, one Name: value a line
    #[arg(long, value_name = "FILE")]
    pub headers: Option<PathBuf>,
    /// Stop after TIME
    #[arg(long = "for", value_name = "TIME", allow_negative_numbers = true)]
    pub during: Option<String>,
}
