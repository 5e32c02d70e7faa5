//! Flags of `sockscope serve`.

use clap::Args as ClapArgs;
use std::path::PathBuf;

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  sockscope serve                                     http://127.0.0.1:9771/metrics
  sockscope serve --listen 0.0.0.0:9771              for a Prometheus on another host
  sockscope serve --listen unix:/run/sockscope/metrics.sock
  sockscope serve --textfile /var/lib/prometheus/node-exporter/sockscope.prom
  sockscope serve --once                              print the page

The page is that of the last poll, made every --every: a scrape reads nothing from the kernel. No label is a pid, a remote
address or an ephemeral port; a page has at most 2,000 series.
Exit status: 0 success, 2 usage error or failure.";

/// Flags of `serve`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Serve {
    /// Address and port, or unix:PATH [default: 127.0.0.1:9771]
    #[arg(long, value_name = "ADDR:PORT|unix:PATH")]
    pub listen: Option<String>,
    /// Write the page to FILE after every poll, in place of --listen or beside it
    #[arg(long, value_name = "FILE")]
    pub textfile: Option<PathBuf>,
    /// Poll once, write the page to --textfile or standard output, and exit
    #[arg(long, conflicts_with = "listen")]
    pub once: bool,
    /// Time between two polls [default: --interval if it is set, else 5s]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub every: Option<String>,
    /// Groups of a metric with series of their own; the rest is "other" [default: 50]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub top: Option<usize>,
}
